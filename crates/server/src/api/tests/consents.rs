//! What a third party's client is told of those who let it in.

use cardata_domain::client::Kind;
use cardata_domain::consent::ConsentId;
use cardata_domain::device_grant::State;
use cardata_domain::token::Scopes;
use cardata_domain::{consent, refresh};
use cardata_store::directory::{AccessToken, RefreshToken};
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::secret;
use crate::test_platform::SECRET;

const PATH: &str = "/v2/consents";

impl World {
    pub(super) async fn client_token(&self, client_id: ClientId) -> String {
        let id = client_id.to_string();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", id.as_str()),
            ("client_secret", SECRET),
        ];
        let answer = self.post_form("/gcdm/oauth/token", &form).await;
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// `person` lets the client in.
    async fn consent(
        &self,
        client_id: ClientId,
        person: Person,
        scopes: &str,
        expires_at: Option<Timestamp>,
    ) -> ConsentId {
        let scopes: Scopes = scopes.parse().unwrap();
        let approved = State::Approved(person.gcid());
        let hash = secret::hash(&secret::token());
        let grant = cardata_domain::device_grant::DeviceGrant {
            device_code_hash: hash.0.clone(),
            user_code: "qYjQrQip".into(),
            client_id,
            scopes,
            code_challenge: String::new(),
            expires_at: START,
            polled_at: None,
            lasts: None,
            state: approved,
        };
        let consent = consent::Consent {
            id: ConsentId::new(secret::uuid()),
            gcid: person.gcid(),
            client_id,
            scopes,
            purpose: String::new(),
            granted_at: START,
            expires_at,
            state: consent::State::Active,
        };
        let (consent_id, state) = (consent.id, refresh::State::Fresh);
        let fresh = RefreshToken { hash: hash.clone(), consent_id, expires_at: START, state };
        let (issued_at, expires_at) = (START, START);
        let access = AccessToken { hash: hash.clone(), consent_id, issued_at, expires_at };
        let directory = &self.platform.directory;
        directory.add_device_grant(&grant, START).await.unwrap();
        directory.exchange_device_grant(&hash, approved, &consent, &fresh, &access).await.unwrap();
        consent_id
    }
}

#[tokio::test]
async fn a_client_is_told_who_lets_it_in_to_what_and_until_when() {
    let world = World::with_vehicles().await;
    let fleet = world.confidential(Kind::ThirdParty).await;
    let end = START + SignedDuration::from_secs(60);
    let annas = world.consent(fleet, Person::Anna, SCOPES, None).await;
    world.pass(1);
    let bens = world.consent(fleet, Person::Ben, "cardata:streaming:read", Some(end)).await;
    let token = world.client_token(fleet).await;
    let listed = async || {
        let answer = world.get(PATH, &token).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.json().as_array().unwrap().clone()
    };
    let mut both = listed().await;
    both.sort_by_key(|one| one["gcid"].as_str().unwrap().to_owned());
    let scopes: Vec<_> = SCOPES.split(' ').collect();
    assert_eq!(
        both,
        [
            json!({
                "consent_id": annas.to_string(), "gcid": Person::Anna.gcid().to_string(),
                "scopes": scopes, "granted_at": "2026-09-21T14:13:20.000Z", "expires_at": null,
                "vehicles": [HERS],
            }),
            json!({
                "consent_id": bens.to_string(), "gcid": Person::Ben.gcid().to_string(),
                "scopes": ["cardata:streaming:read"], "granted_at": "2026-09-21T14:13:20.000Z",
                "expires_at": "2026-09-21T14:14:20.000Z", "vehicles": [SHARED, HIS],
            }),
        ],
        "only vehicles of which they are PRIMARY"
    );

    world.pass(59);
    assert_eq!(listed().await.len(), 1, "Ben's ended at the second, before anybody noted it");
    let directory = &world.platform.directory;
    directory.remove_mapping(Person::Anna.gcid(), HERS.parse().unwrap()).await.unwrap();
    assert_eq!(listed().await[0]["vehicles"], json!([]));
    directory.end_consent(annas, START, EndReason::Customer).await.unwrap();
    assert_eq!(listed().await, Vec::<Json>::new());
}

#[tokio::test]
async fn a_client_that_may_only_know_the_customer_is_told_no_vehicle() {
    let world = World::with_vehicles().await;
    let fleet = world.confidential(Kind::ThirdParty).await;
    world.consent(fleet, Person::Anna, "authenticate_user openid", None).await;
    let token = world.client_token(fleet).await;
    let listed = world.get(PATH, &token).await.json();
    assert_eq!(listed[0]["gcid"], Person::Anna.gcid().to_string());
    assert_eq!(listed[0]["vehicles"], json!([]));
}

#[tokio::test]
async fn a_client_is_told_nothing_of_what_others_were_let_in_to() {
    let world = World::with_vehicles().await;
    let [fleet, other] =
        [world.confidential(Kind::ThirdParty).await, world.confidential(Kind::ThirdParty).await];
    world.consent(fleet, Person::Anna, SCOPES, None).await;
    world.own_token(Person::Anna).await;
    world.own_token(Person::Ben).await;
    let answer = world.get(PATH, &world.client_token(other).await).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "[]"));
    let all = world.get(PATH, &world.client_token(fleet).await).await.json();
    assert_eq!(all.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn only_a_clients_own_token_opens_the_list_and_only_in_time() {
    let world = World::with_vehicles().await;
    let fleet = world.confidential(Kind::ThirdParty).await;
    let ask = async |token: &str| refusal(&world.get(PATH, token).await);
    let consented = world.own_token(Person::Anna).await;
    assert_eq!(ask(&consented).await, refused(401, "CU-101"));
    assert_eq!(ask("never issued").await, refused(401, "CU-101"));
    assert_eq!(ask("").await, refused(403, "TP-403"));
    let token = world.client_token(fleet).await;
    let answer = world.call("POST", PATH, &token, Body::empty()).await;
    assert_eq!(refusal(&answer), refused(405, "CU-400"));
    world.pass(3599);
    assert_eq!(world.get(PATH, &token).await.status, StatusCode::OK);
    world.pass(1);
    assert_eq!(ask(&token).await, refused(401, "CU-102"));
}

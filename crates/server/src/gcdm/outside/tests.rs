//! Tokens of an identity provider outside: which are taken, and what forgers try.

use std::path::PathBuf;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cardata_domain::client::{Client, Kind, Services};
use cardata_domain::consent::{ConsentId, EndReason};
use cardata_domain::ledger::Actor;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::endings;
use crate::gcdm::{device, keys, verify};
use crate::profile::Profile;
use crate::stream::test_peer::Peer;
use crate::test_platform::{Answer, Person, SCOPES, START, World, third_party};

const ISSUER: &str = "https://id.example.com/realms/cars";
const AUDIENCE: &str = "https://cars.example.com";
const MAPPINGS: &str = "/customers/vehicles/mappings";

/// A key of somebody's.
struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    jwk: Jwk,
}

impl Signer {
    fn elliptic(kid: &str) -> Self {
        let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).unwrap();
        Self::new(EncodingKey::from_ec_der(der.as_ref()), Algorithm::ES256, kid)
    }

    fn edwards(kid: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        Self::new(EncodingKey::from_ed_der(der.as_ref()), Algorithm::EdDSA, kid)
    }

    async fn rsa(kid: &str) -> Self {
        let pem = keys::generate(START).await.private_pem;
        Self::new(EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), Algorithm::RS256, kid)
    }

    fn new(key: EncodingKey, algorithm: Algorithm, kid: &str) -> Self {
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).unwrap();
        jwk.common.key_id = Some(kid.to_owned());
        Self { key, algorithm, jwk }
    }

    fn header(&self) -> Header {
        Header { kid: self.jwk.common.key_id.clone(), ..Header::new(self.algorithm) }
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    fn sign_with(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).unwrap()
    }
}

/// What a good token says of Anna and the client that she let in.
fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "a name there", "gcid": Person::Anna.gcid().to_string(),
        "azp": third_party().to_string(), "scope": format!("profile {SCOPES} email"),
        "iat": START.as_second(), "nbf": START.as_second(), "exp": START.as_second() + 600,
    })
}

/// The same with one claim changed, or left out for null.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name)
    } else {
        members.insert(name.to_owned(), value)
    };
    claims
}

/// A platform that takes tokens of a provider whose keys stand in a file.
struct Scene {
    world: World,
    file: PathBuf,
    _folder: TempDir,
}

impl Scene {
    async fn new(signers: &[&Signer]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jwks.json");
        publish(&file, signers);
        let jwks = Jwks::open(file.to_str().unwrap(), START).await.unwrap();
        let provider =
            OutsideProvider { issuer: ISSUER.to_owned(), audience: AUDIENCE.to_owned(), jwks };
        let adjust = |platform: &mut Platform| platform.outside = Some(provider);
        let world = World::adjusted(Profile::open(), adjust).await;
        Self { world, file, _folder: folder }
    }

    /// Anna lets the third party's client in.
    async fn consent(&self, scopes: &str, lasts: Option<SignedDuration>) -> ConsentId {
        let world = &self.world;
        let (device_code, user_code) = world.start_login(third_party(), scopes).await;
        let directory = &world.platform.directory;
        let grant = directory.device_grant_by_user_code(&user_code).await.unwrap().unwrap();
        let gcid = Person::Anna.gcid();
        device::approve(&world.platform, &grant, gcid, lasts).await.unwrap();
        let tokens = world.poll(third_party(), &device_code).await.tokens();
        let access = verify::access_token(&world.platform, &tokens.access_token).await;
        access.unwrap().consent_id
    }

    async fn rest(&self, token: &str) -> Answer {
        self.world.get(MAPPINGS, token).await
    }

    /// The return code of a CONNECT as Anna.
    async fn mqtt(&self, token: &str) -> u8 {
        let gcid = Person::Anna.gcid().to_string();
        Peer::connect(&self.world, &gcid, token, "outside", true).await.1
    }

    async fn is_taken(&self, token: &str) {
        let answer = self.rest(token).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(self.mqtt(token).await, 0);
    }

    async fn is_refused(&self, token: &str, why: &str) {
        let answer = self.rest(token).await;
        let id = answer.json()["exveErrorId"].clone();
        assert_eq!((answer.status.as_u16(), id), (401, json!("CU-101")), "{why}");
        assert_eq!(self.mqtt(token).await, 4, "{why}");
    }
}

fn publish(file: &std::path::Path, signers: &[&Signer]) {
    let keys: Vec<_> = signers.iter().map(|signer| &signer.jwk).collect();
    std::fs::write(file, json!({ "keys": keys }).to_string()).unwrap();
}

#[tokio::test]
async fn a_token_of_each_kind_of_key_opens_rest_and_the_stream() {
    let signers = [Signer::rsa("r").await, Signer::elliptic("e"), Signer::edwards("d")];
    let scene = Scene::new(&signers.each_ref()).await;
    let consent = scene.consent(SCOPES, None).await;
    for signer in &signers {
        let token = signer.sign(&claims());
        scene.is_taken(&token).await;
        let told = verify::stream_password(&scene.world.platform, &token).await.unwrap();
        assert_eq!((told.gcid, told.client_id), (Person::Anna.gcid(), third_party()));
        assert_eq!(told.consent_id, consent);
        assert_eq!(told.scopes.to_string(), SCOPES);
        assert_eq!(told.expires_at, START + SignedDuration::from_secs(600));
    }
    // Its `alg` may be missing in the set: what the key is says it.
    let mut silent = Signer::elliptic("silent");
    silent.jwk.common.key_algorithm = None;
    let scene = Scene::new(&[&silent]).await;
    scene.consent(SCOPES, None).await;
    scene.is_taken(&silent.sign(&claims())).await;
}

#[tokio::test]
async fn our_own_tokens_go_on_as_before() {
    let signer = Signer::elliptic("e");
    let scene = Scene::new(&[&signer]).await;
    let tokens = scene.world.log_in(third_party(), Person::Anna, SCOPES).await;
    assert_eq!(scene.mqtt(&tokens.id_token).await, 0);
    scene.is_taken(&tokens.access_token).await;
    let without = World::new().await;
    without.log_in(third_party(), Person::Anna, SCOPES).await;
    let answer = without.get(MAPPINGS, &signer.sign(&claims())).await;
    assert_eq!(answer.status, 401, "no provider, no tokens of it");
}

/// A header that `jsonwebtoken` would not write.
fn headed(header: &Value, claims: &Value, signature: &str) -> String {
    let encoded = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.{signature}", encoded(header), encoded(claims))
}

#[tokio::test]
async fn the_key_says_the_algorithm_and_comes_from_the_provider_alone() {
    let rsa = Signer::rsa("r").await;
    let elliptic = Signer::elliptic("e");
    let scene = Scene::new(&[&rsa, &elliptic]).await;
    scene.consent(SCOPES, None).await;
    let claims = claims();
    let good = rsa.sign(&claims);
    scene.is_taken(&good).await;
    let parts: Vec<_> = good.split('.').collect();

    for (none, signature) in [("none", ""), ("None", ""), ("none", parts[2]), ("NONE", parts[2])] {
        let token = headed(&json!({"typ": "JWT", "alg": none, "kid": "r"}), &claims, signature);
        scene.is_refused(&token, none).await;
    }
    scene.is_refused(&format!("{}.{}.", parts[0], parts[1]), "no signature").await;

    // HMAC with what everybody knows of the public key.
    let AlgorithmParameters::RSA(public) = &rsa.jwk.algorithm else { panic!("an RSA key") };
    let set = std::fs::read(&scene.file).unwrap();
    let modulus = URL_SAFE_NO_PAD.decode(&public.n).unwrap();
    for secret in [public.n.as_bytes(), &modulus, &set] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let header = Header { alg: algorithm, ..rsa.header() };
            let key = EncodingKey::from_secret(secret);
            let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
            scene.is_refused(&token, "HMAC").await;
        }
    }
    // The right key with another algorithm than its own.
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        let header = Header { alg: algorithm, ..rsa.header() };
        scene.is_refused(&rsa.sign_with(&header, &claims), "another algorithm").await;
    }
    // The name of one key, the signature of another.
    let named = |signer: &Signer, kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..signer.header() };
        signer.sign_with(&header, &claims)
    };
    let stranger = Signer::rsa("r").await;
    scene
        .is_refused(&stranger.sign(&claims), "a stranger's key under the name of a right one")
        .await;
    for (token, why) in [
        (named(&rsa, Some("e")), "the name of another key"),
        (named(&elliptic, Some("r")), "the name of another key"),
        (named(&rsa, Some("unknown")), "no such name"),
        (named(&rsa, Some("")), "an empty name"),
        (named(&rsa, None), "no name"),
    ] {
        scene.is_refused(&token, why).await;
    }
    // Keys that come with the token.
    for (name, value) in [
        ("jwk", json!(stranger.jwk)),
        ("jku", json!("https://evil.example.com/jwks.json")),
        ("x5u", json!("https://evil.example.com/cert.pem")),
    ] {
        for kid in ["r", "mine"] {
            let mut header =
                serde_json::to_value(Header { kid: Some(kid.to_owned()), ..stranger.header() })
                    .unwrap();
            header[name] = value.clone();
            let header: Header = serde_json::from_value(header).unwrap();
            scene.is_refused(&stranger.sign_with(&header, &claims), name).await;
        }
    }
    // An extension that must be understood.
    let header = Header { crit: Some(vec!["b64".to_owned()]), ..rsa.header() };
    scene.is_refused(&rsa.sign_with(&header, &claims), "crit").await;
}

#[tokio::test]
async fn neither_issuer_can_speak_for_the_other() {
    let signer = Signer::rsa("r").await;
    let scene = Scene::new(&[&signer]).await;
    let platform = &scene.world.platform;
    let tokens = scene.world.log_in(third_party(), Person::Anna, SCOPES).await;
    let part = tokens.id_token.split('.').nth(1).unwrap();
    let ours: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    // The provider signs what we would say, under its own key's name and under ours.
    let kid = platform.keys.list()[0].kid.clone();
    let borrowed = Header { kid: Some(kid.clone()), ..signer.header() };
    for header in [&signer.header(), &borrowed] {
        scene.is_refused(&signer.sign_with(header, &ours), "our issuer, its key").await;
        let mut both = claims();
        both["sid"] = ours["sid"].clone();
        both["aud"] = json!([AUDIENCE, third_party().to_string()]);
        both["iss"] = json!([ISSUER, platform.public_url]);
        scene.is_refused(&signer.sign_with(header, &both), "both issuers").await;
    }
    scene.is_refused(&signer.sign_with(&borrowed, &claims()), "its issuer, our key's name").await;
    // We sign what it would say.
    let stored = platform.directory.signing_keys().await.unwrap().remove(0);
    let own = EncodingKey::from_rsa_pem(stored.private_pem.as_bytes()).unwrap();
    for kid in [kid, "r".to_owned()] {
        let header = Header { kid: Some(kid), ..Header::new(Algorithm::RS256) };
        let token = jsonwebtoken::encode(&header, &claims(), &own).unwrap();
        scene.is_refused(&token, "its issuer, our key").await;
    }
}

#[tokio::test]
async fn every_claim_must_be_right() {
    let signer = Signer::elliptic("e");
    let scene = Scene::new(&[&signer]).await;
    scene.consent(SCOPES, None).await;
    let now = START.as_second();
    let anna = Person::Anna.gcid().to_string();
    let client = third_party().to_string();
    let good = [
        claims_with("aud", json!(["another", AUDIENCE])),
        claims_with("exp", json!(now + 1)),
        claims_with("exp", json!(f64::from(i32::try_from(now).unwrap()) + 0.5)),
        claims_with("nbf", Value::Null),
        claims_with("nbf", json!(now + 30)),
        claims_with("azp", json!(client.to_uppercase())),
        claims_with("client_id", json!(client)),
    ];
    for claims in &good {
        scene.is_taken(&signer.sign(claims)).await;
    }
    let mut by_sub = claims_with("gcid", Value::Null);
    by_sub["sub"] = json!(anna);
    scene.is_taken(&signer.sign(&by_sub)).await;
    let mut by_client_id = claims_with("azp", Value::Null);
    by_client_id["client_id"] = json!(client);
    scene.is_taken(&signer.sign(&by_client_id)).await;

    let ben = Person::Ben.gcid().to_string();
    let nobody = "00000000-0000-4000-8000-000000000000";
    let wrong = [
        ("iss", Value::Null),
        ("iss", json!("https://id.example.com/realms/cars/")),
        ("iss", json!([ISSUER])),
        ("aud", Value::Null),
        ("aud", json!("https://cars.example.com/")),
        ("aud", json!([])),
        ("aud", json!(client)),
        ("exp", Value::Null),
        ("exp", json!((now + 600).to_string())),
        ("exp", json!(1e300)),
        ("exp", json!(-1e300)),
        ("nbf", json!(now + 31)),
        ("nbf", json!("now")),
        ("gcid", json!(nobody)),
        ("gcid", json!("no GCID")),
        ("gcid", json!(7)),
        ("gcid", Value::Null),
        ("azp", Value::Null),
        ("azp", json!(nobody)),
        ("azp", json!("no client id")),
        ("azp", json!(Person::Ben.client_id().to_string())),
        ("client_id", json!(Person::Anna.client_id().to_string())),
        ("client_id", json!("no client id")),
        ("scope", json!(["cardata:api:read"])),
    ];
    for (name, value) in wrong {
        let why = format!("{name}: {value}");
        scene.is_refused(&signer.sign(&claims_with(name, value)), &why).await;
    }
    // Somebody else's, of course, says nothing about Anna.
    let token = signer.sign(&claims_with("gcid", json!(ben)));
    scene.is_refused(&token, "Ben has let nobody in").await;
}

#[tokio::test]
async fn a_token_ends_at_its_second_and_opens_what_its_scope_names() {
    let signer = Signer::elliptic("e");
    let scene = Scene::new(&[&signer]).await;
    scene.consent(SCOPES, None).await;
    let id = async |token: &str| scene.rest(token).await.json()["exveErrorId"].clone();
    let streams = signer.sign(&claims_with("scope", json!("cardata:streaming:read")));
    assert_eq!((id(&streams).await, scene.mqtt(&streams).await), (json!("CU-103"), 0));
    let reads = signer.sign(&claims_with("scope", json!("openid cardata:api:read")));
    assert_eq!(scene.rest(&reads).await.status, 200);
    assert_eq!(scene.mqtt(&reads).await, 5);
    let nothing = signer.sign(&claims_with("scope", Value::Null));
    assert_eq!((id(&nothing).await, scene.mqtt(&nothing).await), (json!("CU-103"), 5));

    let token = signer.sign(&claims());
    scene.world.pass(599);
    scene.is_taken(&token).await;
    scene.world.pass(1);
    assert_eq!((id(&token).await, scene.mqtt(&token).await), (json!("CU-102"), 4));
}

#[tokio::test]
async fn without_an_active_consent_here_a_token_opens_nothing() {
    let signer = Signer::elliptic("e");
    let scene = Scene::new(&[&signer]).await;
    let directory = &scene.world.platform.directory;
    let token = signer.sign(&claims());
    scene.is_refused(&token, "no consent").await;
    // To another client, or of another customer.
    scene.world.log_in(Person::Anna.client_id(), Person::Anna, SCOPES).await;
    scene.world.log_in(third_party(), Person::Ben, SCOPES).await;
    scene.is_refused(&token, "somebody else's consent").await;

    let consent = scene.consent(SCOPES, None).await;
    scene.is_taken(&token).await;
    directory.end_consent(consent, START, EndReason::Customer).await.unwrap();
    scene.is_refused(&token, "an ended consent").await;

    scene.consent(SCOPES, Some(SignedDuration::from_secs(60))).await;
    let told = verify::stream_password(&scene.world.platform, &token).await.unwrap();
    assert_eq!(told.expires_at, START + SignedDuration::from_secs(60), "the consent's end");
    scene.world.pass(59);
    scene.is_taken(&token).await;
    scene.world.pass(1);
    scene.is_refused(&token, "a consent whose time is over").await;
}

#[tokio::test]
async fn a_token_opens_no_more_than_the_consent_and_the_best_one_counts() {
    let signer = Signer::elliptic("e");
    let scene = Scene::new(&[&signer]).await;
    let platform = &scene.world.platform;
    let token = signer.sign(&claims());
    let reads = scene.consent("openid cardata:api:read", None).await;
    assert_eq!(scene.rest(&token).await.status, 200);
    assert_eq!(scene.mqtt(&token).await, 5);
    // Another consent that streams, for a while; each door takes the one that opens it.
    scene.consent("cardata:streaming:read", Some(SignedDuration::from_secs(60))).await;
    let longer = scene.consent("cardata:streaming:read", Some(SignedDuration::from_secs(90))).await;
    let streaming = verify::stream_password(platform, &token).await.unwrap();
    assert_eq!(streaming.consent_id, longer);
    assert_eq!(streaming.scopes.to_string(), "cardata:streaming:read");
    assert_eq!(verify::rest_bearer(platform, &token).await.unwrap().consent_id, reads);

    // A client that lost its service, and one that is gone.
    let directory = &platform.directory;
    let client = directory.client(third_party()).await.unwrap().unwrap();
    let api_only = Client { services: Services { api: true, stream: false }, ..client.clone() };
    directory.put_client(&api_only).await.unwrap();
    assert_eq!(scene.mqtt(&token).await, 5);
    let gone = Client { state: client.delete(START).unwrap(), ..client.clone() };
    directory.put_client(&gone).await.unwrap();
    scene.is_refused(&token, "a deleted client").await;
    let bens = Client { kind: Kind::Personal(Person::Ben.gcid()), ..client };
    directory.put_client(&bens).await.unwrap();
    scene.is_refused(&token, "a client that is not open to Anna").await;
}

#[tokio::test]
async fn ending_the_consent_ends_the_stream_that_an_outside_token_opened() {
    let signer = Signer::edwards("d");
    let scene = Scene::new(&[&signer]).await;
    let platform = &scene.world.platform;
    let id = scene.consent(SCOPES, None).await;
    let token = signer.sign(&claims());
    let gcid = Person::Anna.gcid().to_string();
    let (mut stream, code, _) = Peer::connect(&scene.world, &gcid, &token, "s", true).await;
    assert_eq!(code, 0);
    let consent = platform.directory.consent(id).await.unwrap().unwrap();
    let (why, actor) = (EndReason::Customer, Actor::Customer);
    let ending = endings::end_consents(platform, vec![consent], why, actor);
    let (ended, last) = tokio::join!(ending, stream.receive());
    assert_eq!((ended.unwrap().streams, last), (1, None));
    scene.is_refused(&token, "an ended consent").await;
}

#[tokio::test]
async fn a_new_key_is_found_by_its_name_but_not_looked_for_more_than_once_a_minute() {
    let [old, new, newer] = ["old", "new", "newer"].map(Signer::elliptic);
    let scene = Scene::new(&[&old]).await;
    scene.consent(SCOPES, None).await;
    let taken = async |signer: &Signer| {
        let mut late = claims();
        late["exp"] = json!(START.as_second() + 100_000);
        scene.rest(&signer.sign(&late)).await.status == 200
    };
    publish(&scene.file, &[&new]);
    assert!(!taken(&new).await, "looked less than a minute ago");
    scene.world.pass(60);
    assert!(taken(&old).await, "nobody has looked yet");
    assert!(taken(&new).await);
    assert!(!taken(&old).await, "withdrawn");
    publish(&scene.file, &[&new, &newer]);
    scene.world.pass(59);
    assert!(!taken(&newer).await);
    scene.world.pass(1);
    // What can't be read changes nothing.
    std::fs::write(&scene.file, "not JSON").unwrap();
    assert!(!taken(&newer).await && taken(&new).await);
    publish(&scene.file, &[&newer]);
    scene.world.pass(60);
    assert!(taken(&newer).await && !taken(&new).await);
    // A key that the provider withdrew is noticed within the hour without any unknown name.
    publish(&scene.file, &[&old]);
    scene.world.pass(3599);
    assert!(taken(&newer).await);
    scene.world.pass(1);
    assert!(!taken(&newer).await);
    assert!(taken(&old).await);
}

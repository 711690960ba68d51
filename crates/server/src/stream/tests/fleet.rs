//! Fleets: a third party's client that streams for itself what many customers let it see, alone or in a group.

use std::collections::{BTreeMap, BTreeSet};

use cardata_contract::oauth::{GRANT_DEVICE_CODE, TokenResponse};
use cardata_domain::client::Kind;
use cardata_domain::consent::{Consent, EndReason};
use cardata_domain::ledger::Actor;
use cardata_domain::session::{SessionKey, StoredSession};
use cardata_domain::vehicle::{Mapping, MappingType};
use cardata_domain::{ClientId, Sequence, Vin};
use cardata_mqtt::Version;
use jiff::SignedDuration;

use super::super::test_peer::{
    ANNAS, BENS, ConnAck, Connect, Delivery, Farewell, ODOMETER, Peer, SHARED, SOC, add_container,
    id_token, odometer, property, put_properties, report, soc, text, world,
};
use super::auth_properties;
use crate::profile::{Connections, Profile};
use crate::test_platform::{ADMIN_TOKEN, PKCE, Person, SCOPES, SECRET, START, World};
use crate::{endings, gcdm};

const EVERYTHING: &str = "+/+";
const GROUP: &str = "$share/workers/+/+";
const STREAM: &str = "cardata:streaming:read";

/// Anna and Ben with their cars, and a third party's client that both can let in.
pub(crate) struct Fleet {
    pub(crate) world: World,
    client: ClientId,
}

impl Fleet {
    /// With a container of the state of charge for each customer.
    async fn new() -> Self {
        Self::with(Profile::open()).await
    }

    async fn with(profile: Profile) -> Self {
        let world = world(profile).await;
        let client = world.confidential(Kind::ThirdParty).await;
        for person in [Person::Anna, Person::Ben] {
            add_container(&world, person, client, SOC).await;
        }
        Self { world, client }
    }

    /// Both customers have let it in.
    pub(crate) async fn consented() -> Self {
        let fleet = Self::new().await;
        for person in [Person::Anna, Person::Ben] {
            fleet.consent(person, SCOPES, None).await;
        }
        fleet
    }

    /// `person` lets the client in, for as long as `lasts` says.
    async fn consent(
        &self,
        person: Person,
        scopes: &str,
        lasts: Option<SignedDuration>,
    ) -> TokenResponse {
        self.consent_to(self.client, person, scopes, lasts).await
    }

    async fn consent_to(
        &self,
        client: ClientId,
        person: Person,
        scopes: &str,
        lasts: Option<SignedDuration>,
    ) -> TokenResponse {
        let id = client.to_string();
        let own = [("client_id", id.as_str()), ("client_secret", SECRET)];
        let start =
            [("scope", scopes), ("code_challenge", PKCE.1), ("code_challenge_method", "S256")];
        let form = [own.as_slice(), &start].concat();
        let started = self.world.post_form("/gcdm/oauth/device/code", &form).await.json();
        let user_code = started["user_code"].as_str().unwrap();
        let platform = &self.world.platform;
        let grant = platform.directory.device_grant_by_user_code(user_code).await.unwrap().unwrap();
        gcdm::device::approve(platform, &grant, person.gcid(), lasts).await.unwrap();
        let exchange = [
            ("grant_type", GRANT_DEVICE_CODE),
            ("device_code", started["device_code"].as_str().unwrap()),
            ("code_verifier", PKCE.0),
        ];
        let form = [own.as_slice(), &exchange].concat();
        self.world.post_form("/gcdm/oauth/token", &form).await.tokens()
    }

    /// A token with which the client acts for itself.
    async fn token(&self, scopes: &str) -> String {
        self.token_of(self.client, scopes).await
    }

    async fn token_of(&self, client: ClientId, scopes: &str) -> String {
        let id = client.to_string();
        let form = [
            ("client_id", id.as_str()),
            ("client_secret", SECRET),
            ("grant_type", "client_credentials"),
            ("scope", scopes),
        ];
        let answer = self.world.post_form("/gcdm/oauth/token", &form).await;
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// A CONNECT of MQTT 5 with a session that is kept.
    fn connect(&self, token: &str, id: &str) -> Connect {
        Connect {
            user_name: Some(self.client.to_string()),
            ..Connect::new(Version::V5, Person::Anna, token).client_id(id).clean(false)
        }
        .property(0x11, &1000_u32.to_be_bytes())
    }

    pub(crate) async fn connected(&self, id: &str) -> (Peer, ConnAck) {
        let connect = self.connect(&self.token(STREAM).await, id);
        let (peer, connack) = Peer::connect_with(&self.world, &connect).await;
        assert_eq!(connack.code, 0, "{}", String::from_utf8_lossy(&connack.properties));
        (peer, connack)
    }

    /// A client that reads everything with QoS 1, without the newest values at first.
    pub(super) async fn reading(&self, id: &str) -> Peer {
        let (mut peer, _) = self.connected(id).await;
        assert_eq!(peer.subscribe(EVERYTHING, 0x21).await, 1);
        peer
    }

    /// A member of the group, with QoS 1.
    pub(crate) async fn member(&self, id: &str) -> Peer {
        let (mut peer, _) = self.connected(id).await;
        assert_eq!(peer.subscribe(GROUP, 1).await, 1);
        peer
    }

    async fn end_consents(&self, person: Person) {
        let platform = &self.world.platform;
        let consents = platform.directory.consents_of(person.gcid()).await.unwrap();
        let to_fleet: Vec<Consent> =
            consents.into_iter().filter(|consent| consent.client_id == self.client).collect();
        endings::end_consents(platform, to_fleet, EndReason::Customer, Actor::Customer)
            .await
            .unwrap();
    }

    /// Ends what `person` consented to, and tells no connection.
    async fn end_unseen(&self, person: Person) {
        let platform = &self.world.platform;
        for consent in platform.directory.consents_of(person.gcid()).await.unwrap() {
            let now = platform.clock.now();
            let why = EndReason::Customer;
            assert!(platform.directory.end_consent(consent.id, now, why).await.unwrap());
        }
    }

    async fn stored(&self, name: &str) -> Option<StoredSession> {
        let key =
            SessionKey { gcid: None, client_id: self.client, mqtt_client_id: name.to_owned() };
        let platform = &self.world.platform;
        let now = platform.clock.now();
        platform.directory.session(&key, now).await.unwrap()
    }

    /// Writes what was acknowledged.
    async fn flush(&self) {
        let platform = &self.world.platform;
        let synced = platform.journal.synced();
        platform.cursors.flush(&*platform.directory, synced).await.unwrap();
    }

    /// A call of the operator's.
    async fn admin(&self, method: &str, path: &str, body: String) -> serde_json::Value {
        let answer = self.world.call(method, path, ADMIN_TOKEN, body).await;
        assert!(answer.status.is_success(), "{}", answer.body);
        answer.json()
    }
}

fn vin(text: &str) -> Vin {
    text.parse().unwrap()
}

fn topic(person: Person, vin: &str) -> String {
    format!("{}/{vin}", person.gcid())
}

/// Topic and state of charge of the next delivery, which is acknowledged.
async fn next(peer: &mut Peer) -> (String, i64) {
    let delivery = peer.delivery().await;
    if delivery.packet_id.is_some() {
        peer.ack(&delivery).await;
    }
    let [(_, value)] = &delivery.values[..] else { panic!("{delivery:?}") };
    (delivery.topic, *value)
}

/// What `peer` gets until an answer to a PINGREQ, all acknowledged; perhaps not all that is under way.
async fn some(peer: &mut Peer) -> Vec<(String, i64)> {
    let mut got = Vec::new();
    peer.send(0xC0, &[]).await;
    loop {
        let packet = peer.receive().await.expect("the connection stays open");
        if packet.0 == 0xD0 {
            return got;
        }
        let delivery = Delivery::of(Version::V5, &packet);
        if delivery.packet_id.is_some() {
            peer.ack(&delivery).await;
        }
        got.push((delivery.topic, delivery.values[0].1));
    }
}

/// What each of `peers` gets, `count` messages together, all acknowledged.
async fn gather<const N: usize>(
    mut peers: [&mut Peer; N],
    count: usize,
) -> [Vec<(String, i64)>; N] {
    let mut got = [const { Vec::new() }; N];
    for _ in 0..10_000 {
        for (peer, got) in peers.iter_mut().zip(&mut got) {
            got.extend(some(peer).await);
        }
        if got.iter().map(Vec::len).sum::<usize>() >= count {
            return got;
        }
    }
    panic!("{count} messages are expected, and this came: {got:?}");
}

/// Whether nothing comes. An answer may overtake what is under way, and ten don't.
async fn is_quiet(peer: &mut Peer) -> bool {
    for _ in 0..10 {
        if !peer.is_quiet().await {
            return false;
        }
    }
    true
}

// Who is let in.

#[tokio::test]
async fn a_clients_own_token_is_let_in_with_the_clients_id_as_user_name_and_no_other() {
    let fleet = Fleet::consented().await;
    let (own, client) = (fleet.token(STREAM).await, fleet.client.to_string());
    let scopeless = fleet.token("cardata:api:read").await;
    let tokens = fleet.consent(Person::Anna, SCOPES, None).await;
    let anna = Person::Anna.gcid().to_string();
    let upper = client.to_uppercase();
    for (what, user, token, expected) in [
        ("its own", client.as_str(), own.as_str(), 0),
        ("in capitals, with more behind", &format!("{upper}/worker-1"), &own, 0),
        ("a customer's user name", &anna, &own, 5),
        ("no user name", "", &own, 5),
        ("another client's id", &Person::Anna.client_id().to_string(), &own, 5),
        ("no scope", &client, &scopeless, 5),
        ("a customer's token", &client, &tokens.access_token, 5),
        ("garbage", &client, "garbage", 4),
        ("a customer's token with the customer's user name", &anna, &tokens.access_token, 0),
    ] {
        let (_, code, _) = Peer::connect(&fleet.world, user, token, "", true).await;
        assert_eq!(code, expected, "{what}");
    }
    fleet.world.pass(3600);
    let (_, code, _) = Peer::connect(&fleet.world, &client, &own, "", true).await;
    assert_eq!(code, 4, "expired");
}

#[tokio::test]
async fn a_group_is_no_name_for_a_client_and_shared_subscriptions_are_told_to_fleets_alone() {
    let fleet = Fleet::consented().await;
    let token = fleet.token(STREAM).await;
    let (_, refused) = Peer::connect_with(&fleet.world, &fleet.connect(&token, GROUP)).await;
    assert_eq!(refused.code, 0x85);
    let (_, connack) = fleet.connected("a").await;
    assert_eq!(property(&connack.properties, 0x2A), Some(vec![1]));
    let id_token = id_token(&fleet.world, Person::Anna).await;
    let connect = Connect::new(Version::V5, Person::Anna, &id_token).client_id(GROUP);
    let (mut peer, connack) = Peer::connect_with(&fleet.world, &connect).await;
    assert_eq!((connack.code, property(&connack.properties, 0x2A)), (0, Some(vec![0])));
    assert_eq!(peer.subscribe_all(&[(GROUP, 1), (EVERYTHING, 1)]).await, [0x9E, 0x87]);
}

#[tokio::test]
async fn the_oldest_connection_of_a_fleet_gives_way() {
    let fleet = Fleet::with(Profile { connections_per_fleet: 2, ..Profile::open() }).await;
    let (mut first, _) = fleet.connected("a").await;
    let (mut second, _) = fleet.connected("b").await;
    let (mut third, _) = fleet.connected("c").await;
    assert_eq!(first.farewell().await.map(|farewell| farewell.code), Some(0x8E));
    assert!(is_quiet(&mut second).await && is_quiet(&mut third).await);
}

// What it sees.

#[tokio::test]
async fn one_filter_brings_every_consenting_customers_vehicles_with_their_own_topics_and_views() {
    let fleet = Fleet::consented().await;
    add_container(&fleet.world, Person::Ben, fleet.client, ODOMETER).await;
    let mut peer = fleet.reading("a").await;
    for (number, vin) in [ANNAS, BENS, SHARED].into_iter().enumerate() {
        report(&fleet.world, vin, u32::try_from(number).unwrap()).await;
    }
    let mut both = soc(1);
    both.extend(odometer(1));
    let mut shared = soc(2);
    shared.extend(odometer(2));
    for (person, vin, values) in
        [(Person::Anna, ANNAS, soc(0)), (Person::Ben, BENS, both), (Person::Ben, SHARED, shared)]
    {
        let delivery = peer.delivery().await;
        assert_eq!((delivery.topic, delivery.values), (topic(person, vin), values));
    }
    let packed = fleet.world.platform.tally.flush(&*fleet.world.platform.directory).await;
    packed.unwrap();
    for (person, vehicles) in [(Person::Anna, 1), (Person::Ben, 2)] {
        let sent = fleet.world.platform.directory.deliveries(person.gcid()).await.unwrap();
        assert_eq!(sent.len(), vehicles);
        assert!(sent.iter().all(|one| one.client_id == fleet.client && one.messages == 1));
    }
}

#[tokio::test]
async fn whoever_did_not_consent_to_this_client_and_its_stream_is_not_seen() {
    let fleet = Fleet::new().await;
    let other = fleet.world.confidential(Kind::ThirdParty).await;
    add_container(&fleet.world, Person::Anna, other, SOC).await;
    // To another client; and to this one without the stream.
    fleet.consent_to(other, Person::Anna, SCOPES, None).await;
    fleet.consent(Person::Ben, "openid cardata:api:read", None).await;
    let mut peer = fleet.reading("a").await;
    let refused = format!("{}/{ANNAS}", Person::Anna.gcid());
    assert_eq!(peer.subscribe(&refused, 1).await, 0x87);
    // Of one who consents some day, the vehicles come then.
    assert_eq!(peer.subscribe(&format!("{}/+", Person::Anna.gcid()), 1).await, 1);
    for vin in [ANNAS, BENS, SHARED] {
        report(&fleet.world, vin, 1).await;
    }
    assert!(is_quiet(&mut peer).await);
    // A consent that ends, and one that has ended.
    fleet.consent(Person::Ben, SCOPES, Some(SignedDuration::from_secs(60))).await;
    report(&fleet.world, BENS, 2).await;
    assert_eq!(next(&mut peer).await, (topic(Person::Ben, BENS), 2));
    fleet.world.pass(60);
    // Nobody has noticed yet that its time is over.
    report(&fleet.world, BENS, 3).await;
    assert!(is_quiet(&mut peer).await);
    let mut late = fleet.reading("b").await;
    report(&fleet.world, BENS, 4).await;
    assert!(is_quiet(&mut late).await && is_quiet(&mut peer).await);
}

#[tokio::test]
async fn a_vehicle_that_its_customer_only_drives_is_not_seen_through_them() {
    let fleet = Fleet::new().await;
    // Anna drives Ben's second car.
    fleet.consent(Person::Anna, SCOPES, None).await;
    let mut peer = fleet.reading("a").await;
    report(&fleet.world, SHARED, 1).await;
    report(&fleet.world, ANNAS, 2).await;
    assert_eq!(next(&mut peer).await, (topic(Person::Anna, ANNAS), 2));
    assert!(is_quiet(&mut peer).await);
}

#[tokio::test]
async fn a_bare_hash_is_refused_with_the_reason() {
    let fleet = Fleet::consented().await;
    let (mut peer, _) = fleet.connected("a").await;
    peer.send(0x82, &super::super::test_peer::subscribe(Version::V5, 1, &[], &[("#", 1)])).await;
    let (first, body) = peer.receive().await.unwrap();
    let why = String::from_utf8_lossy(&body);
    assert!(first == 0x90 && body.ends_with(&[0x87]) && why.contains("a bare #"), "{why}");
}

// What changes while it is connected.

#[tokio::test]
async fn a_consent_that_is_given_while_it_is_connected_brings_the_vehicles_at_once() {
    let fleet = Fleet::new().await;
    let mut peer = fleet.reading("a").await;
    report(&fleet.world, ANNAS, 1).await;
    fleet.consent(Person::Anna, SCOPES, None).await;
    report(&fleet.world, ANNAS, 2).await;
    report(&fleet.world, BENS, 3).await;
    assert_eq!(next(&mut peer).await, (topic(Person::Anna, ANNAS), 2));
    assert!(is_quiet(&mut peer).await);
}

#[tokio::test]
async fn one_customers_end_takes_their_vehicles_and_backlog_and_leaves_the_connection() {
    let fleet = Fleet::consented().await;
    let peer = fleet.reading("a").await;
    peer.leave().await;
    report(&fleet.world, ANNAS, 1).await;
    report(&fleet.world, BENS, 2).await;
    // Connected, with its backlog on the way: one message is all that it takes at a time.
    let token = fleet.token(STREAM).await;
    let connect = fleet.connect(&token, "a").property(0x21, &[0, 1]);
    let (mut peer, connack) = Peer::connect_with(&fleet.world, &connect).await;
    assert_eq!((connack.code, connack.flags), (0, 1));
    let first = peer.delivery().await;
    assert_eq!(first.topic, topic(Person::Anna, ANNAS));
    report(&fleet.world, ANNAS, 3).await;
    fleet.end_consents(Person::Anna).await;
    report(&fleet.world, ANNAS, 4).await;
    peer.ack(&first).await;
    assert_eq!(next(&mut peer).await, (topic(Person::Ben, BENS), 2));
    assert!(is_quiet(&mut peer).await);
    // Whoever consents again begins anew.
    fleet.consent(Person::Anna, SCOPES, None).await;
    report(&fleet.world, ANNAS, 5).await;
    assert_eq!(next(&mut peer).await, (topic(Person::Anna, ANNAS), 5));
}

/// What is queued must not leave later, and can't be told apart any more.
#[tokio::test]
async fn of_a_customer_who_ended_nothing_leaves_the_buffer_of_a_client_that_does_not_read() {
    let fleet = Fleet::consented().await;
    let mut peer = fleet.reading("a").await;
    report(&fleet.world, BENS, 1).await;
    assert_eq!(next(&mut peer).await.0, topic(Person::Ben, BENS));
    assert_eq!(peer.subscribe(EVERYTHING, 0x20).await, 0);
    // More than the pipe holds, so that the rest waits here.
    for number in 0..600 {
        report(&fleet.world, ANNAS, number).await;
    }
    fleet.end_consents(Person::Anna).await;
    let mut bytes = 0;
    while let Some((_, body)) = peer.receive().await {
        bytes += body.len();
    }
    assert!(bytes <= 1 << 16, "{bytes} bytes came, and the pipe has room for {}", 1 << 16);
    let (mut again, connack) = fleet.connected("a").await;
    assert_eq!(connack.flags, 1);
    report(&fleet.world, BENS, 2).await;
    assert_eq!(next(&mut again).await, (topic(Person::Ben, BENS), 2));
}

#[tokio::test]
async fn nothing_waits_of_a_customer_who_ended_and_consented_again_while_it_was_away() {
    let fleet = Fleet::consented().await;
    let mut peer = fleet.reading("a").await;
    report(&fleet.world, ANNAS, 1).await;
    report(&fleet.world, BENS, 2).await;
    // Both are on their way, and neither is acknowledged.
    let topics = [peer.delivery().await.topic, peer.delivery().await.topic];
    assert_eq!(topics, [topic(Person::Anna, ANNAS), topic(Person::Ben, BENS)]);
    peer.leave().await;
    report(&fleet.world, ANNAS, 3).await;
    fleet.end_consents(Person::Anna).await;
    report(&fleet.world, ANNAS, 4).await;
    fleet.consent(Person::Anna, SCOPES, None).await;
    let (mut peer, connack) = fleet.connected("a").await;
    assert_eq!(connack.flags, 1);
    assert_eq!(next(&mut peer).await, (topic(Person::Ben, BENS), 2));
    assert!(is_quiet(&mut peer).await);
    report(&fleet.world, ANNAS, 5).await;
    assert_eq!(next(&mut peer).await, (topic(Person::Anna, ANNAS), 5));
}

/// As if the end and the new consent had come faster than the connection looks.
#[tokio::test]
async fn what_happens_between_two_consents_is_nothing_to_a_connection_that_looks_only_after_both() {
    for filter in [EVERYTHING, GROUP] {
        let fleet = Fleet::consented().await;
        let token = fleet.token(STREAM).await;
        // One message is all that it takes at a time, so that the next one waits in the journal.
        let connect = fleet.connect(&token, "a").property(0x21, &[0, 1]);
        let (mut peer, _) = Peer::connect_with(&fleet.world, &connect).await;
        let options = if filter == GROUP { 1 } else { 0x21 };
        assert_eq!(peer.subscribe(filter, options).await, 1);
        report(&fleet.world, ANNAS, 1).await;
        let first = peer.delivery().await;
        fleet.end_unseen(Person::Anna).await;
        fleet.world.pass(1);
        report(&fleet.world, ANNAS, 2).await;
        fleet.world.pass(1);
        fleet.consent(Person::Anna, SCOPES, None).await;
        peer.ack(&first).await;
        assert!(is_quiet(&mut peer).await, "{filter}");
        report(&fleet.world, ANNAS, 3).await;
        assert_eq!(next(&mut peer).await, (topic(Person::Anna, ANNAS), 3), "{filter}");
    }
}

#[tokio::test]
async fn what_waits_for_a_session_ends_also_where_the_next_consent_comes_before_the_end_is_done() {
    let fleet = Fleet::consented().await;
    fleet.reading("a").await.leave().await;
    report(&fleet.world, ANNAS, 1).await;
    // A connection that takes its time to look.
    let key = SessionKey { gcid: None, client_id: fleet.client, mqtt_client_id: "slow".to_owned() };
    let router = &fleet.world.platform.router;
    let slow = router.register(key, None, Connections::PerClient(5)).await.unwrap();
    let mut ending = Box::pin(fleet.end_consents(Person::Anna));
    let asked = tokio::select! {
        () = &mut ending => panic!("whoever ends a consent waits until nothing of it is sent"),
        asked = slow.wanted_to_look() => asked,
    };
    fleet.world.pass(1);
    report(&fleet.world, ANNAS, 2).await;
    fleet.world.pass(1);
    let looking = async { drop(slow.wanted_to_look().await) };
    tokio::join!(fleet.consent(Person::Anna, SCOPES, None), looking);
    drop(asked);
    ending.await;
    drop(slow);
    let (mut peer, connack) = fleet.connected("a").await;
    assert_eq!(connack.flags, 1);
    assert!(is_quiet(&mut peer).await);
    report(&fleet.world, ANNAS, 3).await;
    assert_eq!(next(&mut peer).await, (topic(Person::Anna, ANNAS), 3));
}

#[tokio::test]
async fn what_waits_when_a_consents_time_is_over_does_not_come_with_the_next_one() {
    let fleet = Fleet::new().await;
    fleet.consent(Person::Anna, SCOPES, Some(SignedDuration::from_secs(60))).await;
    fleet.reading("a").await.leave().await;
    report(&fleet.world, ANNAS, 1).await;
    fleet.world.pass(60);
    report(&fleet.world, ANNAS, 2).await;
    fleet.world.pass(1);
    // Nobody has looked yet for consents whose time is over.
    fleet.consent(Person::Anna, SCOPES, None).await;
    let (mut peer, connack) = fleet.connected("a").await;
    assert_eq!(connack.flags, 1);
    assert!(is_quiet(&mut peer).await);
    report(&fleet.world, ANNAS, 3).await;
    assert_eq!(next(&mut peer).await, (topic(Person::Anna, ANNAS), 3));
}

#[tokio::test]
async fn one_of_two_consents_of_a_customer_ends_and_nothing_changes() {
    let fleet = Fleet::consented().await;
    let second = fleet.consent(Person::Anna, SCOPES, None).await;
    let mut peer = fleet.reading("a").await;
    let form = [
        ("client_id", fleet.client.to_string()),
        ("client_secret", SECRET.to_owned()),
        ("token", second.refresh_token),
    ];
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fleet.world.post_form("/gcdm/oauth/revoke", &form).await;
    report(&fleet.world, ANNAS, 1).await;
    assert_eq!(next(&mut peer).await, (topic(Person::Anna, ANNAS), 1));
}

#[tokio::test]
async fn a_change_of_containers_reaches_a_fleet_at_its_next_event() {
    let fleet = Fleet::consented().await;
    let mut peer = fleet.reading("a").await;
    let id = add_container(&fleet.world, Person::Anna, fleet.client, ODOMETER).await;
    report(&fleet.world, ANNAS, 1).await;
    let mut both = soc(1);
    both.extend(odometer(1));
    assert_eq!(peer.values().await, both);
    assert!(fleet.world.platform.directory.delete_container(id, START).await.unwrap());
    let entitlements = &fleet.world.platform.entitlements;
    entitlements.refresh(Person::Anna.gcid(), fleet.client).await.unwrap();
    report(&fleet.world, ANNAS, 2).await;
    assert_eq!(peer.values().await, soc(2));
}

#[tokio::test]
async fn a_vehicle_that_changes_hands_comes_with_its_new_owner_and_from_then_on() {
    let fleet = Fleet::consented().await;
    let mut peer = fleet.reading("a").await;
    report(&fleet.world, ANNAS, 1).await;
    let before = peer.delivery().await;
    assert_eq!(before.topic, topic(Person::Anna, ANNAS));
    let link = |person: Person| {
        format!(
            r#"{{"email":"{}","vin":"{ANNAS}","type":"PRIMARY","hand_over":true}}"#,
            person.email()
        )
    };
    fleet.admin("PUT", "/admin/v1/mappings", link(Person::Ben)).await;
    report(&fleet.world, ANNAS, 2).await;
    assert_eq!(next(&mut peer).await, (topic(Person::Ben, ANNAS), 2));
    // Ben's consent is what counts now.
    fleet.end_consents(Person::Anna).await;
    report(&fleet.world, ANNAS, 3).await;
    assert_eq!(next(&mut peer).await, (topic(Person::Ben, ANNAS), 3));
    fleet
        .admin(
            "DELETE",
            &format!("/admin/v1/mappings/{}/{ANNAS}", Person::Ben.email()),
            String::new(),
        )
        .await;
    report(&fleet.world, ANNAS, 4).await;
    assert!(is_quiet(&mut peer).await);
}

#[tokio::test]
async fn a_link_that_was_only_secondary_ends_without_a_fleets_place_in_the_vehicle() {
    let fleet = Fleet::consented().await;
    let mut peer = fleet.reading("a").await;
    report(&fleet.world, SHARED, 1).await;
    next(&mut peer).await;
    assert!(is_quiet(&mut peer).await);
    peer.leave().await;
    report(&fleet.world, SHARED, 2).await;
    let ended = endings::end_mapping(
        &fleet.world.platform,
        Person::Anna.gcid(),
        vin(SHARED),
        Actor::Operator,
    );
    assert!(ended.await.unwrap().is_some());
    let (mut peer, _) = fleet.connected("a").await;
    assert_eq!(next(&mut peer).await, (topic(Person::Ben, SHARED), 2));
}

#[tokio::test]
async fn a_deleted_customer_is_gone_from_a_fleet_that_stays_open() {
    let fleet = Fleet::consented().await;
    let mut peer = fleet.reading("a").await;
    let platform = &fleet.world.platform;
    assert!(
        endings::delete_customer(platform, Person::Anna.gcid(), Actor::Customer).await.unwrap()
    );
    report(&fleet.world, ANNAS, 1).await;
    report(&fleet.world, BENS, 2).await;
    assert_eq!(next(&mut peer).await, (topic(Person::Ben, BENS), 2));
    let kept = fleet.stored("a").await.unwrap();
    assert!(kept.cursors.iter().all(|(of, _)| *of != vin(ANNAS)), "{kept:?}");
}

// What ends its connection.

#[tokio::test]
async fn what_ends_the_clients_own_right_closes_its_fleet() {
    for (what, sessions_stay) in
        [("revoke", true), ("secret", true), ("services", true), ("delete", false)]
    {
        let fleet = Fleet::consented().await;
        let token = fleet.token(STREAM).await;
        let connect = fleet.connect(&token, "a");
        let (mut peer, _) = Peer::connect_with(&fleet.world, &connect).await;
        peer.subscribe(EVERYTHING, 0x21).await;
        let (id, path) = (fleet.client.to_string(), format!("/admin/v1/clients/{}", fleet.client));
        let end = async {
            match what {
                "revoke" => {
                    let form =
                        [("client_id", id.as_str()), ("client_secret", SECRET), ("token", &token)];
                    fleet.world.post_form("/gcdm/oauth/revoke", &form).await;
                }
                "secret" => drop(fleet.admin("POST", &format!("{path}/secret"), "{}".into()).await),
                "services" => {
                    let body = r#"{"services":{"stream":false}}"#.to_owned();
                    fleet.admin("PATCH", &path, body).await;
                }
                _ => drop(fleet.admin("DELETE", &path, String::new()).await),
            }
        };
        let (farewell, ()) = tokio::join!(peer.farewell(), end);
        assert_eq!(farewell.map(|farewell| farewell.code), Some(0x87), "{what}");
        let (_, connack) = Peer::connect_with(&fleet.world, &connect).await;
        assert!(connack.code >= 0x80, "{what}: the token is good no longer");
        assert_eq!(fleet.stored("a").await.is_some(), sessions_stay, "{what}");
    }
}

#[tokio::test]
async fn a_fleet_goes_on_with_a_fresh_token_and_not_with_a_strangers() {
    let fleet = Fleet::consented().await;
    let token = fleet.token(STREAM).await;
    let connect = fleet
        .connect(&token, "a")
        .property(0x15, &text("cardata-token"))
        .property(0x16, &text(&token));
    let (mut peer, _) = Peer::connect_with(&fleet.world, &connect).await;
    let with = |token: &str| {
        let mut body = vec![0x19];
        put_properties(&auth_properties("cardata-token", token), &mut body);
        body
    };
    peer.send(0xF0, &with(&fleet.token(STREAM).await)).await;
    let (first, body) = peer.receive().await.unwrap();
    assert_eq!((first, body[0]), (0xF0, 0));
    let other = fleet.world.confidential(Kind::ThirdParty).await;
    peer.send(0xF0, &with(&fleet.token_of(other, STREAM).await)).await;
    let farewell: Option<Farewell> = peer.farewell().await;
    assert_eq!(farewell.map(|farewell| farewell.code), Some(0x87));
}

// What is kept.

#[tokio::test]
async fn a_fleet_gets_what_it_missed_and_only_where_it_had_subscribed() {
    let fleet = Fleet::consented().await;
    let mut peer = fleet.reading("a").await;
    report(&fleet.world, ANNAS, 1).await;
    assert_eq!(next(&mut peer).await, (topic(Person::Anna, ANNAS), 1));
    assert!(is_quiet(&mut peer).await);
    peer.leave().await;
    report(&fleet.world, ANNAS, 2).await;
    report(&fleet.world, BENS, 3).await;
    let (mut peer, connack) = fleet.connected("a").await;
    assert_eq!(connack.flags, 1);
    let mut got = [next(&mut peer).await, next(&mut peer).await];
    got.sort();
    assert_eq!(got, [(topic(Person::Anna, ANNAS), 2), (topic(Person::Ben, BENS), 3)]);
    assert!(is_quiet(&mut peer).await);
    let (mut other, _) = fleet.connected("b").await;
    assert!(is_quiet(&mut other).await);
}

#[tokio::test]
async fn the_newest_values_come_with_a_subscription_of_a_fleet() {
    let fleet = Fleet::consented().await;
    report(&fleet.world, ANNAS, 1).await;
    report(&fleet.world, BENS, 2).await;
    let (mut peer, _) = fleet.connected("a").await;
    peer.subscribe(EVERYTHING, 1).await;
    for (person, vin, number) in [(Person::Anna, ANNAS, 1), (Person::Ben, BENS, 2)] {
        let delivery = peer.delivery().await;
        assert_eq!((delivery.topic, delivery.values), (topic(person, vin), soc(number)));
        assert!(delivery.retain);
    }
}

// Groups.

/// Three vehicles more, all Anna's, so that each of two members has some.
async fn with_more_vehicles(fleet: &Fleet) -> Vec<String> {
    let more = (4..=9).map(|number| format!("WBY0000000000000{number}"));
    let more: Vec<_> = more.collect();
    for vin in &more {
        let directory = &fleet.world.platform.directory;
        directory.put_vehicle(&crate::test_platform::vehicle(vin)).await.unwrap();
        let mapping = Mapping {
            gcid: Person::Anna.gcid(),
            vin: vin.parse().unwrap(),
            mapping_type: MappingType::Primary,
            since: START,
        };
        directory.put_mapping(&mapping).await.unwrap();
    }
    more.into_iter().chain([ANNAS, BENS, SHARED].map(str::to_owned)).collect()
}

/// Lets each of `vehicles` report `number`.
async fn report_all(fleet: &Fleet, vehicles: &[String], number: u32) {
    for vin in vehicles {
        report(&fleet.world, vin, number).await;
    }
}

fn vins(got: &[(String, i64)]) -> Vec<String> {
    let mut vins: Vec<_> =
        got.iter().map(|(topic, _)| topic.split_once('/').unwrap().1.to_owned()).collect();
    vins.sort();
    vins
}

/// Waits until the members have agreed on who reads what: each has looked after the other did.
async fn agreed(fleet: &Fleet) {
    for _ in 0..3 {
        endings::fleets_look_anew(&fleet.world.platform, &[fleet.client]).await;
    }
}

#[tokio::test]
async fn each_message_of_a_group_goes_to_one_member_and_all_members_have_some() {
    let fleet = Fleet::consented().await;
    let mut vehicles = with_more_vehicles(&fleet).await;
    vehicles.sort();
    let (mut one, mut other) = (fleet.member("a").await, fleet.member("b").await);
    agreed(&fleet).await;
    for number in 1..=3 {
        report_all(&fleet, &vehicles, number).await;
        let [got, gotten] = gather([&mut one, &mut other], vehicles.len()).await;
        assert!(!got.is_empty() && !gotten.is_empty(), "{got:?} {gotten:?}");
        let all = [got, gotten].concat();
        assert_eq!(vins(&all), vehicles);
        assert!(all.iter().all(|(_, value)| *value == i64::from(number)), "{all:?}");
    }
}

#[tokio::test]
async fn a_group_has_its_filter_and_another_group_gets_the_same_again() {
    let fleet = Fleet::consented().await;
    let (mut anna, _) = fleet.connected("a").await;
    let of_anna = format!("$share/workers/{}/+", Person::Anna.gcid());
    assert_eq!(anna.subscribe(&of_anna, 2).await, 1, "QoS 2 is granted as 1");
    let mut all = fleet.member("b").await;
    report(&fleet.world, ANNAS, 1).await;
    report(&fleet.world, BENS, 2).await;
    let [got, gotten] = gather([&mut anna, &mut all], 3).await;
    assert_eq!(got, [(topic(Person::Anna, ANNAS), 1)]);
    assert_eq!(vins(&gotten), [ANNAS, BENS]);
}

#[tokio::test]
async fn what_a_member_did_not_acknowledge_goes_to_another_one_and_nothing_else_comes_twice() {
    let fleet = Fleet::consented().await;
    let vehicles = with_more_vehicles(&fleet).await;
    let (mut one, mut other) = (fleet.member("a").await, fleet.member("b").await);
    agreed(&fleet).await;
    report_all(&fleet, &vehicles, 1).await;
    gather([&mut one, &mut other], vehicles.len()).await;
    report_all(&fleet, &vehicles, 2).await;
    let seen = one.delivery().await;
    assert_eq!(seen.values, soc(2));
    // Gone without a word.
    drop(one);
    let mut got = Vec::new();
    while got.len() < vehicles.len() {
        got.push(next(&mut other).await);
    }
    assert!(got.iter().all(|(_, value)| *value == 2), "{got:?}");
    let mut expected = vehicles.clone();
    expected.sort();
    assert_eq!(vins(&got), expected, "with what the other one had seen and not acknowledged");
    agreed(&fleet).await;
    assert!(is_quiet(&mut other).await);
}

#[tokio::test]
async fn a_member_that_comes_takes_vehicles_over_and_nothing_is_lost() {
    let fleet = Fleet::consented().await;
    let mut vehicles = with_more_vehicles(&fleet).await;
    vehicles.sort();
    let mut one = fleet.member("a").await;
    report_all(&fleet, &vehicles, 1).await;
    gather([&mut one], vehicles.len()).await;
    assert!(is_quiet(&mut one).await);
    let mut other = fleet.member("b").await;
    report_all(&fleet, &vehicles, 2).await;
    let all = gather([&mut one, &mut other], vehicles.len()).await.concat();
    assert!(all.iter().all(|(_, value)| *value == 2), "{all:?}");
    let mut seen = vins(&all);
    seen.dedup();
    assert_eq!(seen, vehicles);
}

#[tokio::test]
async fn a_member_that_comes_after_all_were_gone_gets_the_groups_backlog() {
    let fleet = Fleet::consented().await;
    let mut one = fleet.member("a").await;
    report(&fleet.world, ANNAS, 1).await;
    assert_eq!(next(&mut one).await, (topic(Person::Anna, ANNAS), 1));
    assert!(is_quiet(&mut one).await);
    one.leave().await;
    assert_eq!(fleet.stored("a").await.unwrap().cursors, []);
    let kept = fleet.stored(GROUP).await.unwrap();
    assert_eq!(kept.expiry_seconds, Some(1000));
    assert!(kept.cursors.contains(&(vin(ANNAS), Sequence(1))), "{kept:?}");
    report(&fleet.world, ANNAS, 2).await;
    report(&fleet.world, BENS, 3).await;
    let mut other = fleet.member("b").await;
    assert_eq!(vins(&gather([&mut other], 2).await.concat()), [ANNAS, BENS]);
    assert!(is_quiet(&mut other).await);
    other.leave().await;
    // And when its time is over, it is gone.
    fleet.world.pass(1000);
    report(&fleet.world, ANNAS, 4).await;
    let mut third = fleet.member("c").await;
    assert!(is_quiet(&mut third).await);
}

#[tokio::test]
async fn a_group_of_members_that_are_not_kept_ends_with_the_last_one() {
    let fleet = Fleet::consented().await;
    let token = fleet.token(STREAM).await;
    let connect = Connect { properties: Vec::new(), ..fleet.connect(&token, "a").clean(true) };
    let (mut peer, _) = Peer::connect_with(&fleet.world, &connect).await;
    assert_eq!(peer.subscribe(GROUP, 1).await, 1);
    report(&fleet.world, ANNAS, 1).await;
    assert_eq!(next(&mut peer).await.1, 1);
    peer.leave().await;
    assert_eq!(fleet.stored(GROUP).await, None);
    report(&fleet.world, ANNAS, 2).await;
    let mut other = fleet.member("b").await;
    assert!(is_quiet(&mut other).await);
}

#[tokio::test]
async fn a_groups_place_survives_the_end_of_the_process() {
    let fleet = Fleet::consented().await;
    let mut one = fleet.member("a").await;
    report(&fleet.world, ANNAS, 1).await;
    next(&mut one).await;
    assert!(is_quiet(&mut one).await);
    fleet.flush().await;
    // What a crash leaves is what the directory has while members are connected.
    let kept = fleet.stored(GROUP).await.unwrap();
    assert!(kept.cursors.contains(&(vin(ANNAS), Sequence(1))), "{kept:?}");
}

#[tokio::test]
async fn a_customers_end_takes_their_vehicles_from_a_group_with_its_backlog() {
    let fleet = Fleet::consented().await;
    let one = fleet.member("a").await;
    one.leave().await;
    report(&fleet.world, ANNAS, 1).await;
    report(&fleet.world, BENS, 2).await;
    fleet.end_consents(Person::Anna).await;
    fleet.consent(Person::Anna, SCOPES, None).await;
    let mut other = fleet.member("b").await;
    assert_eq!(next(&mut other).await, (topic(Person::Ben, BENS), 2));
    assert!(is_quiet(&mut other).await);
    // The same while members are connected.
    report(&fleet.world, ANNAS, 3).await;
    assert_eq!(next(&mut other).await.1, 3);
    fleet.end_consents(Person::Anna).await;
    report(&fleet.world, ANNAS, 4).await;
    fleet.consent(Person::Anna, SCOPES, None).await;
    report(&fleet.world, ANNAS, 5).await;
    assert_eq!(next(&mut other).await, (topic(Person::Anna, ANNAS), 5));
}

#[tokio::test]
async fn whoever_leaves_a_group_reads_alone_again_and_the_others_have_all() {
    let fleet = Fleet::consented().await;
    let vehicles = with_more_vehicles(&fleet).await;
    let (mut one, mut other) = (fleet.member("a").await, fleet.member("b").await);
    agreed(&fleet).await;
    assert_eq!(one.unsubscribe(&[GROUP]).await, [0]);
    assert_eq!(one.subscribe(EVERYTHING, 0x21).await, 1);
    agreed(&fleet).await;
    report_all(&fleet, &vehicles, 1).await;
    for peer in [&mut one, &mut other] {
        let [got] = gather([peer], vehicles.len()).await;
        assert_eq!(vins(&got).len(), vehicles.len());
    }
}

#[tokio::test]
async fn a_member_of_qos_0_carries_the_groups_place_along() {
    let fleet = Fleet::consented().await;
    let (mut one, _) = fleet.connected("a").await;
    assert_eq!(one.subscribe(GROUP, 0).await, 0);
    report(&fleet.world, ANNAS, 1).await;
    assert_eq!(next(&mut one).await.1, 1);
    one.leave().await;
    report(&fleet.world, ANNAS, 2).await;
    let mut other = fleet.member("b").await;
    assert_eq!(next(&mut other).await.1, 2);
    assert!(is_quiet(&mut other).await);
}

#[tokio::test]
async fn two_third_parties_share_nothing_though_their_groups_have_the_same_name() {
    let fleet = Fleet::consented().await;
    let other = fleet.world.confidential(Kind::ThirdParty).await;
    let token = fleet.token_of(other, STREAM).await;
    let connect = Connect { user_name: Some(other.to_string()), ..fleet.connect(&token, "a") };
    let (mut stranger, connack) = Peer::connect_with(&fleet.world, &connect).await;
    assert_eq!(connack.code, 0);
    assert_eq!(stranger.subscribe(GROUP, 1).await, 1);
    let mut own = fleet.member("a").await;
    report(&fleet.world, ANNAS, 1).await;
    assert_eq!(next(&mut own).await.1, 1);
    assert!(is_quiet(&mut stranger).await);
}

#[tokio::test]
async fn where_nothing_is_kept_a_group_shares_what_is_live() {
    let fleet = Fleet::with(Profile::bmw()).await;
    fleet.consent(Person::Anna, SCOPES, None).await;
    let (mut one, _) = fleet.connected("a").await;
    let (mut other, _) = fleet.connected("b").await;
    for peer in [&mut one, &mut other] {
        assert_eq!(peer.subscribe(GROUP, 1).await, 1);
    }
    agreed(&fleet).await;
    report(&fleet.world, ANNAS, 1).await;
    let all = gather([&mut one, &mut other], 1).await.concat();
    assert_eq!(all, [(topic(Person::Anna, ANNAS), 1)]);
    assert_eq!(fleet.stored(GROUP).await, None);
}

/// Members come and go as they like, some without a word and with messages unacknowledged: every event reaches one of
/// them, and of each vehicle none comes for the first time after a later one.
#[tokio::test]
async fn whoever_comes_and_goes_a_group_gets_every_event_and_each_vehicles_in_order() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let fleet = Fleet::consented().await;
    let vehicles = with_more_vehicles(&fleet).await;
    // A fixed sequence of numbers that look random (Knuth's MMIX).
    let mut state = 42_u64;
    let mut draw = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut members: BTreeMap<&str, Peer> = BTreeMap::new();
    members.insert("a", fleet.member("a").await);
    let mut seen: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut number = 0;
    for _ in 0..120 {
        let name = NAMES[draw(NAMES.len())];
        match (draw(4), members.contains_key(name)) {
            (0, true) => drop(members.remove(name)),
            (0, false) => {
                let (mut peer, connack) = fleet.connected(name).await;
                if connack.flags == 0 {
                    peer.subscribe(GROUP, 1).await;
                }
                members.insert(name, peer);
            }
            (1, true) => members.remove(name).unwrap().leave().await,
            (2, true) => {
                let got = some(members.get_mut(name).unwrap()).await;
                for (topic, value) in got {
                    seen.entry(topic).or_default().push(value);
                }
            }
            _ => {
                number += 1;
                report(&fleet.world, &vehicles[draw(vehicles.len())], number).await;
            }
        }
    }
    drop(members);
    let mut last = fleet.member("last").await;
    for vin in &vehicles {
        report(&fleet.world, vin, number + 1).await;
    }
    let is_complete = |seen: &BTreeMap<String, Vec<i64>>| {
        seen.len() == vehicles.len()
            && seen.values().all(|values| values.last() == Some(&i64::from(number + 1)))
    };
    while !is_complete(&seen) {
        let (topic, value) = next(&mut last).await;
        seen.entry(topic).or_default().push(value);
    }
    let mut all: Vec<_> = seen.values().flatten().copied().collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (1..=i64::from(number + 1)).collect::<Vec<_>>());
    for (topic, values) in &seen {
        let mut newest = 0;
        let mut firsts = BTreeSet::new();
        for value in values.iter().filter(|value| firsts.insert(**value)) {
            assert!(*value > newest, "{topic}: {values:?}");
            newest = *value;
        }
    }
}

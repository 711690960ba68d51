//! Rules for MQTT sessions and cursors.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use cardata_domain::event::Sequence;
use cardata_domain::session::{
    LeftBehind, SessionKey, StoredSession, StoredSubscription, Unfinished,
};
use cardata_store::Directory;
use cardata_store::directory::SESSIONS_MAX;

use super::samples::*;

fn key(mqtt_client_id: &str) -> SessionKey {
    SessionKey {
        gcid: Some(gcid(1)),
        client_id: client_id(1),
        mqtt_client_id: mqtt_client_id.into(),
    }
}

/// Of client 1 for itself.
fn fleet(mqtt_client_id: &str) -> SessionKey {
    SessionKey { gcid: None, ..key(mqtt_client_id) }
}

fn session(cursors: &[(u32, u64)]) -> StoredSession {
    StoredSession {
        subscriptions: vec![
            subscription(&format!("{}/+", gcid(1)), 1, NonZeroU32::new(0x0FFF_FFFF)),
            subscription("$share/a \"group\"/#", 2, None),
            subscription("ü", 0, Some(NonZeroU32::MIN)),
        ],
        expiry_seconds: Some(100),
        cursors: cursors
            .iter()
            .map(|(number, sequence)| (vin(*number), Sequence(*sequence)))
            .collect(),
        exactly_once: cursors.len() > 1,
        left: None,
    }
}

fn subscription(filter: &str, qos: u8, identifier: Option<NonZeroU32>) -> StoredSubscription {
    StoredSubscription { filter: filter.into(), qos, identifier }
}

/// The session at rest with deliveries of the events 5 to `newest`.
fn left(newest: u64) -> StoredSession {
    let unfinished = |sequence: u64| Unfinished {
        packet_id: NonZeroU16::new(u16::try_from(sequence).unwrap()).unwrap(),
        vin: vin(1),
        sequence: Sequence(sequence),
        at: at(i64::try_from(sequence).unwrap()),
        part: u64::MAX - sequence,
        exactly_once: sequence.is_multiple_of(2),
        done: sequence.is_multiple_of(3),
    };
    let left = LeftBehind {
        unfinished: (5..=newest).map(unfinished).collect(),
        releasing: vec![NonZeroU16::MAX, NonZeroU16::MIN],
        given_up: vec![NonZeroU16::new(7).unwrap()],
        complete_until: vec![(vin(1), at(4)), (vin(2), at(-4))],
    };
    StoredSession { left: Some(left), ..session(&[(1, 4)]) }
}

/// The session, its cursors in the order of their VINs.
async fn found(directory: &impl Directory, key: &SessionKey) -> Option<StoredSession> {
    let mut session = directory.session(key, at(0)).await.unwrap()?;
    session.cursors.sort();
    Some(session)
}

pub(crate) async fn a_session_comes_back_as_it_was_put(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    assert_eq!(found(&*directory, &key("a")).await, None);
    for stored in [session(&[(1, 0), (2, 1 << 40), (3, 7)]), session(&[]), StoredSession::default()]
    {
        directory.put_session(&key("a"), &stored).await.unwrap();
        assert_eq!(found(&*directory, &key("a")).await, Some(stored));
    }
}

pub(crate) async fn what_a_session_left_behind_is_there_until_it_is_connected_again(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    for stored in [left(9), StoredSession { left: Some(LeftBehind::default()), ..session(&[]) }] {
        directory.put_session(&key("a"), &session(&[(3, 7)])).await.unwrap();
        directory.rest_session(&key("a"), &stored, at(0)).await.unwrap();
        assert_eq!(found(&*directory, &key("a")).await, Some(stored.clone()));
        directory.put_session(&key("a"), &stored).await.unwrap();
        let connected = StoredSession { left: None, ..stored };
        assert_eq!(found(&*directory, &key("a")).await, Some(connected));
    }
}

pub(crate) async fn what_speaks_of_events_that_a_crash_took_is_forgotten(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    for newest in [8, 9] {
        directory.rest_session(&key(&newest.to_string()), &left(newest), at(0)).await.unwrap();
    }
    directory.recover_sessions(Sequence(8), at(50)).await.unwrap();
    assert_eq!(found(&*directory, &key("8")).await, Some(left(8)));
    assert_eq!(found(&*directory, &key("9")).await, Some(session(&[(1, 4)])));
}

pub(crate) async fn a_session_put_again_keeps_nothing_of_the_old(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    directory.put_session(&key("a"), &session(&[(1, 5), (2, 5)])).await.unwrap();
    let mut second = session(&[(2, 4), (3, 6)]);
    second.subscriptions.truncate(1);
    directory.put_session(&key("a"), &second).await.unwrap();
    assert_eq!(found(&*directory, &key("a")).await, Some(second));
}

pub(crate) async fn sessions_differ_in_each_part_of_their_key(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let keys = [
        key("a"),
        key("A"),
        key(""),
        SessionKey { gcid: Some(gcid(2)), ..key("a") },
        SessionKey { client_id: client_id(2), ..key("a") },
        fleet("a"),
        SessionKey { client_id: client_id(2), ..fleet("a") },
    ];
    for (sequence, key) in (1..).zip(&keys) {
        directory.put_session(key, &session(&[(1, sequence)])).await.unwrap();
    }
    for (sequence, key) in (1..).zip(&keys) {
        assert_eq!(found(&*directory, key).await, Some(session(&[(1, sequence)])), "{key:?}");
    }
}

pub(crate) async fn cursors_move_in_many_sessions_at_once(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    directory.put_session(&key("a"), &session(&[(1, 1), (2, 1)])).await.unwrap();
    directory.put_session(&key("b"), &session(&[(1, 1)])).await.unwrap();
    directory.put_session(&key("c"), &session(&[(1, 1)])).await.unwrap();
    let moves =
        [(key("a"), session(&[(2, 9), (3, 4)]).cursors), (key("b"), session(&[(1, 8)]).cursors)];
    directory.move_cursors(&moves).await.unwrap();
    assert_eq!(found(&*directory, &key("a")).await, Some(session(&[(1, 1), (2, 9), (3, 4)])));
    assert_eq!(found(&*directory, &key("b")).await, Some(session(&[(1, 8)])));
    assert_eq!(found(&*directory, &key("c")).await, Some(session(&[(1, 1)])));
}

pub(crate) async fn no_cursor_moves_back(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    directory.put_session(&key("a"), &session(&[(1, 5), (2, 5)])).await.unwrap();
    directory.move_cursors(&[(key("a"), session(&[(1, 4), (2, 6)]).cursors)]).await.unwrap();
    assert_eq!(found(&*directory, &key("a")).await, Some(session(&[(1, 5), (2, 6)])));
    directory.put_session(&key("a"), &session(&[(1, 3)])).await.unwrap();
    assert_eq!(
        found(&*directory, &key("a")).await,
        Some(session(&[(1, 3)])),
        "it is another session"
    );
}

pub(crate) async fn cursors_of_unknown_sessions_are_left_out(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    directory.put_session(&key("a"), &session(&[(1, 1)])).await.unwrap();
    let stranger = SessionKey { gcid: Some(gcid(9)), client_id: client_id(9), ..key("a") };
    let cursors = session(&[(1, 2)]).cursors;
    let moves = [key("gone"), stranger, key("a")].map(|key| (key, cursors.clone()));
    directory.move_cursors(&moves).await.unwrap();
    directory.move_cursors(&[]).await.unwrap();
    assert_eq!(found(&*directory, &key("a")).await, Some(session(&[(1, 2)])));
    assert_eq!(found(&*directory, &key("gone")).await, None);
}

pub(crate) async fn a_removed_session_takes_its_cursors_along(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    directory.put_session(&key("a"), &session(&[(1, 1)])).await.unwrap();
    directory.put_session(&key("b"), &session(&[(1, 1)])).await.unwrap();
    assert!(directory.remove_session(&key("a")).await.unwrap());
    assert!(!directory.remove_session(&key("a")).await.unwrap());
    assert_eq!(found(&*directory, &key("a")).await, None);
    directory.put_session(&key("a"), &session(&[])).await.unwrap();
    assert_eq!(found(&*directory, &key("a")).await, Some(session(&[])));
    assert_eq!(found(&*directory, &key("b")).await, Some(session(&[(1, 1)])));
}

pub(crate) async fn a_session_expires_only_after_its_connection_has_ended(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let there = async |second| directory.session(&key("a"), at(second)).await.unwrap().is_some();
    directory.put_session(&key("a"), &session(&[(1, 5)])).await.unwrap();
    assert!(there(1_000_000).await);
    assert_eq!(directory.remove_expired_sessions(at(1_000_000)).await.unwrap(), []);

    directory.rest_session(&key("a"), &session(&[(1, 5)]), at(1000)).await.unwrap();
    assert!(there(1099).await);
    assert!(!there(1100).await);
    // Connected again in time.
    directory.put_session(&key("a"), &session(&[(1, 6)])).await.unwrap();
    assert!(there(1_000_000).await);

    directory.rest_session(&key("a"), &session(&[(1, 6)]), at(2000)).await.unwrap();
    assert_eq!(directory.remove_expired_sessions(at(2099)).await.unwrap(), []);
    assert_eq!(directory.remove_expired_sessions(at(2100)).await.unwrap(), [key("a")]);
    assert!(!there(0).await);
}

pub(crate) async fn a_crash_gives_connected_sessions_their_time_and_others_no_more(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let lasting = StoredSession { expiry_seconds: None, ..session(&[]) };
    directory.put_session(&key("connected"), &session(&[])).await.unwrap();
    directory.put_session(&key("resting"), &session(&[])).await.unwrap();
    directory.put_session(&key("lasting"), &lasting).await.unwrap();
    directory.rest_session(&key("resting"), &session(&[]), at(50)).await.unwrap();
    directory.recover_sessions(Sequence(0), at(100)).await.unwrap();
    assert_eq!(directory.remove_expired_sessions(at(199)).await.unwrap(), [key("resting")]);
    assert_eq!(directory.remove_expired_sessions(at(200)).await.unwrap(), [key("connected")]);
    assert_eq!(directory.remove_expired_sessions(at(1 << 32)).await.unwrap(), []);
    assert_eq!(directory.session(&key("lasting"), at(1 << 32)).await.unwrap(), Some(lasting));
}

pub(crate) async fn of_a_clients_sessions_the_hundred_that_were_put_last_stay(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let neighbours = [
        SessionKey { gcid: Some(gcid(2)), ..key("0") },
        SessionKey { client_id: client_id(2), ..key("0") },
        fleet("0"),
    ];
    for neighbour in &neighbours {
        directory.put_session(neighbour, &session(&[(1, 1)])).await.unwrap();
    }
    for number in 0..SESSIONS_MAX {
        directory.put_session(&key(&number.to_string()), &session(&[(1, 1)])).await.unwrap();
    }
    let none: [SessionKey; 0] = [];
    assert_eq!(directory.put_session(&key("0"), &session(&[(1, 2)])).await.unwrap(), none);
    let one_more = directory.put_session(&key("one more"), &session(&[(1, 1)])).await.unwrap();
    assert_eq!(one_more, [key("1")], "it is told which one ended");
    assert_eq!(found(&*directory, &key("0")).await, Some(session(&[(1, 2)])));
    assert_eq!(found(&*directory, &key("1")).await, None);
    for kept in [&key("2"), &key("one more"), &neighbours[0], &neighbours[1], &neighbours[2]] {
        assert!(found(&*directory, kept).await.is_some(), "{kept:?}");
    }
    // One that ended while it was connected comes back when it is laid to rest, in another one's place.
    let rested = directory.rest_session(&key("1"), &session(&[(1, 1)]), at(0)).await.unwrap();
    assert_eq!(rested, [key("2")]);
    assert!(found(&*directory, &key("1")).await.is_some());
    assert_eq!(found(&*directory, &key("2")).await, None);
    assert_eq!(directory.rest_session(&key("0"), &session(&[(1, 2)]), at(0)).await.unwrap(), none);
}

pub(crate) async fn the_sessions_of_a_client_at_a_customer_go_together(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let neighbours = [
        SessionKey { gcid: Some(gcid(2)), ..key("a") },
        SessionKey { client_id: client_id(2), ..key("a") },
    ];
    for key in [key("a"), key("b"), neighbours[0].clone(), neighbours[1].clone()] {
        directory.put_session(&key, &session(&[(1, 1)])).await.unwrap();
    }
    directory.rest_session(&key("b"), &left(9), at(0)).await.unwrap();
    let mut removed = directory.remove_sessions_of(Some(gcid(1)), client_id(1)).await.unwrap();
    removed.sort_by(|one, other| one.mqtt_client_id.cmp(&other.mqtt_client_id));
    assert_eq!(removed, [key("a"), key("b")]);
    assert_eq!(directory.remove_sessions_of(Some(gcid(1)), client_id(1)).await.unwrap(), []);
    for key in [key("a"), key("b")] {
        assert_eq!(found(&*directory, &key).await, None);
        // Nothing of the backlog is left for one that comes back under the same name.
        directory.put_session(&key, &session(&[])).await.unwrap();
        assert_eq!(found(&*directory, &key).await, Some(session(&[])));
    }
    for key in &neighbours {
        assert_eq!(found(&*directory, key).await, Some(session(&[(1, 1)])), "{key:?}");
    }
}

pub(crate) async fn a_customers_cursors_of_a_vehicle_go_in_every_session(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let of_another = SessionKey { gcid: Some(gcid(2)), ..key("a") };
    let of_the_customer = [key("a"), key("b"), SessionKey { client_id: client_id(2), ..key("a") }];
    for key in of_the_customer.iter().chain([&of_another]) {
        directory.put_session(key, &session(&[(1, 5), (2, 6)])).await.unwrap();
    }
    directory.remove_cursors_of(gcid(1), vin(1)).await.unwrap();
    directory.remove_cursors_of(gcid(1), vin(9)).await.unwrap();
    let cursors = async |key| found(&*directory, key).await.unwrap().cursors;
    for key in &of_the_customer {
        assert_eq!(cursors(key).await, [(vin(2), Sequence(6))], "{key:?}");
    }
    assert_eq!(cursors(&of_another).await, [(vin(1), Sequence(5)), (vin(2), Sequence(6))]);
    // Should the vehicle come back, it begins anew.
    directory.move_cursors(&[(key("a"), vec![(vin(1), Sequence(3))])]).await.unwrap();
    assert_eq!(cursors(&key("a")).await, [(vin(1), Sequence(3)), (vin(2), Sequence(6))]);
}

pub(crate) async fn a_fleets_sessions_are_kept_like_a_customers(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let none: [SessionKey; 0] = [];
    for number in 0..SESSIONS_MAX {
        directory.put_session(&fleet(&number.to_string()), &session(&[(1, 1)])).await.unwrap();
    }
    assert_eq!(directory.put_session(&fleet("0"), &session(&[(1, 2)])).await.unwrap(), none);
    let ended = directory.put_session(&fleet("one more"), &session(&[])).await.unwrap();
    assert_eq!(ended, [fleet("1")]);
    directory.move_cursors(&[(fleet("0"), vec![(vin(1), Sequence(7))])]).await.unwrap();
    assert_eq!(found(&*directory, &fleet("0")).await, Some(session(&[(1, 7)])));
    directory.rest_session(&fleet("0"), &left(9), at(0)).await.unwrap();
    assert_eq!(found(&*directory, &fleet("0")).await, Some(left(9)));
    assert_eq!(directory.remove_expired_sessions(at(100)).await.unwrap(), [fleet("0")]);
    assert!(directory.remove_session(&fleet("2")).await.unwrap());
    assert!(!directory.remove_session(&fleet("2")).await.unwrap());
    let of_the_customer = key("a");
    directory.put_session(&of_the_customer, &session(&[])).await.unwrap();
    let removed = directory.remove_sessions_of(None, client_id(1)).await.unwrap();
    assert_eq!(removed.len(), SESSIONS_MAX as usize - 2);
    assert!(found(&*directory, &of_the_customer).await.is_some());
}

pub(crate) async fn what_fleets_may_read_no_longer_is_forgotten_and_nothing_else(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let of_another = SessionKey { client_id: client_id(2), ..fleet("a") };
    for key in [fleet("a"), fleet("b"), of_another.clone(), key("a")] {
        directory.put_session(&key, &session(&[(1, 5), (2, 6)])).await.unwrap();
    }
    let cursors = async |key: &SessionKey| found(&*directory, key).await.unwrap().cursors;
    let [first, second] = [(vin(1), Sequence(5)), (vin(2), Sequence(6))];
    directory.leave_fleets(Some(client_id(1)), &[]).await.unwrap();
    assert_eq!(cursors(&fleet("a")).await, [first, second]);
    directory.leave_fleets(Some(client_id(1)), &[vin(1)]).await.unwrap();
    for (key, left) in [
        (fleet("a"), vec![second]),
        (fleet("b"), vec![second]),
        (of_another.clone(), vec![first, second]),
        (key("a"), vec![first, second]),
    ] {
        assert_eq!(cursors(&key).await, left, "{key:?}");
    }
    directory.leave_fleets(None, &[vin(2)]).await.unwrap();
    assert_eq!(cursors(&fleet("a")).await, []);
    assert_eq!(cursors(&of_another).await, [first]);
    assert_eq!(cursors(&key("a")).await, [first, second]);
}

pub(crate) async fn what_was_on_its_way_of_a_vehicle_goes_when_a_fleet_may_read_it_no_longer(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    directory.rest_session(&fleet("a"), &left(9), at(0)).await.unwrap();
    directory.leave_fleets(Some(client_id(1)), &[vin(2)]).await.unwrap();
    let mut expected = left(9).left.unwrap();
    expected.complete_until.pop();
    let left_behind = async || found(&*directory, &fleet("a")).await.unwrap().left.unwrap();
    assert_eq!(left_behind().await, expected);
    directory.leave_fleets(Some(client_id(1)), &[vin(1)]).await.unwrap();
    assert!(expected.give_up(&[vin(1)]));
    assert_eq!(left_behind().await, expected);
    assert_eq!(expected.unfinished, []);
}

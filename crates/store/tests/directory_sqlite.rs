//! What the SQLite directory promises beyond the suite: its file, and what it makes of damage.

#![expect(clippy::unwrap_used, reason = "a rule that fails should panic where it fails")]

#[path = "directory_conformance/samples.rs"]
mod samples;

use std::path::Path;
use std::slice;

use cardata_domain::client::{Client, Kind, Services};
use cardata_domain::consent::{Consent, EndReason, State as ConsentState};
use cardata_domain::container::{self, Container, ContainerId};
use cardata_domain::device_grant::State;
use cardata_domain::event::Sequence;
use cardata_domain::ledger::{Act, Record};
use cardata_domain::privacy::{Precision, Settings};
use cardata_domain::refresh;
use cardata_domain::session::{SessionKey, StoredSession, StoredSubscription};
use cardata_store::Directory;
use cardata_store::directory::sqlite::SqliteDirectory;
use cardata_store::directory::{
    ChargingProgress, ContainerLimit, DirectoryError, LedgerQuery, SigningKey, VehicleCertificate,
};
use jiff::Timestamp;
use samples::*;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

/// Every line of the ledger.
const ALL: LedgerQuery = LedgerQuery { gcid: None, on_consent: false, before: None, limit: 1000 };

fn key() -> SessionKey {
    SessionKey { gcid: Some(gcid(1)), client_id: client_id(1), mqtt_client_id: "a".into() }
}

fn session() -> StoredSession {
    StoredSession {
        expiry_seconds: Some(7),
        subscriptions: vec![StoredSubscription {
            filter: format!("{}/{}", gcid(1), vin(1).as_str()),
            qos: 1,
            identifier: None,
        }],
        cursors: vec![(vin(1), Sequence(7))],
        exactly_once: false,
        left: None,
    }
}

fn container() -> Container {
    Container {
        id: ContainerId::from_random([0; ContainerId::LENGTH]),
        gcid: gcid(1),
        client_id: client_id(1),
        name: "name".into(),
        purpose: "purpose".into(),
        descriptors: ["vehicle.a".into()].into(),
        created_at: at(0),
        state: container::State::Active,
    }
}

/// A client of customer 1, with a secret.
fn personal() -> Client {
    Client { secret_hash: Some("5ec2e7".repeat(10)), ..client(3, Some(gcid(1))) }
}

fn settings() -> Settings {
    Settings { precision: Precision::TenKilometres, hides_zones: true }
}

/// A directory at `path` with one of everything.
async fn filled(path: &Path) -> SqliteDirectory {
    let directory = SqliteDirectory::open(path).await.unwrap();
    populate(&directory).await;
    directory.put_mapping(&mapping(1, 1)).await.unwrap();
    consented(&directory, "first", 1).await;
    let limit = ContainerLimit::ActivePerClient(10);
    directory.add_container(&container(), limit).await.unwrap();
    directory.put_session(&key(), &session()).await.unwrap();
    directory
        .add_signing_key(&SigningKey {
            kid: "k".into(),
            private_pem: "pem".into(),
            created_at: at(0),
        })
        .await
        .unwrap();
    directory.put_client(&personal()).await.unwrap();
    directory.add_client_token(&client_token("clients", 3, 60), at(0)).await.unwrap();
    let ticked = ["vehicle.a".to_owned()];
    directory.put_stream_configuration(gcid(1), client_id(1), &ticked, at(0)).await.unwrap();
    directory.put_location_settings(gcid(1), client_id(1), settings()).await.unwrap();
    directory.add_zone(gcid(1), &zone(1)).await.unwrap();
    directory.count_deliveries(&[delivery(0, 1, 2)]).await.unwrap();
    directory.append_to_ledger(&lines()).await.unwrap();
    directory.put_charging(&[charging(1, 0, &[10], &[])]).await.unwrap();
    directory.add_source(&source("a")).await.unwrap();
    directory.put_ingest_answer(&answer("a", "k", 0), at(0)).await.unwrap();
    directory.add_certificates(&[certificate(1, 1, 60)], at(0)).await.unwrap();
    directory.revoke_certificates(vin(1), None, at(1)).await.unwrap();
    directory
}

/// What the ledger of a filled directory says: one line that can go, and one on a consent.
fn lines() -> [Record; 2] {
    let by_the_client = |act| line(0, act).with_client(client_id(1)).with("vin", vin(1).as_str());
    [by_the_client(Act::DataRead), by_the_client(Act::ConsentGranted)]
}

/// Every read there is; the first failure.
async fn read_all(directory: &SqliteDirectory) -> Result<(), DirectoryError> {
    assert_eq!(directory.customer(gcid(1)).await?, Some(customer(1)));
    assert_eq!(directory.customer_by_email(&customer(1).email).await?, Some(customer(1)));
    assert_eq!(directory.customers().await?, [customer(1), customer(2)]);
    assert_eq!(directory.vehicle(vin(1)).await?, Some(vehicle(1)));
    assert_eq!(directory.mappings(gcid(1)).await?, [mapping(1, 1)]);
    assert_eq!(directory.client(client_id(1)).await?, Some(client(1, None)));
    assert_eq!(directory.consent(consent_id(1)).await?, Some(consent(1)));
    let (refresh, access) = tokens("first", 1);
    assert!(directory.device_grant(&hash("first")).await?.is_some());
    assert_eq!(directory.refresh_token(&hash("first")).await?, Some(refresh));
    assert_eq!(directory.access_token(&hash("first")).await?, Some(access));
    assert_eq!(directory.containers(gcid(1), client_id(1)).await?, [container()]);
    assert_eq!(directory.session(&key(), at(0)).await?, Some(session()));
    assert_eq!(directory.signing_keys().await?.len(), 1);
    assert_eq!(directory.client(client_id(3)).await?, Some(personal()));
    assert_eq!(directory.consents_of(gcid(1)).await?, [consent(1)]);
    let token = directory.client_token(&hash("clients")).await?;
    assert_eq!(token, Some(client_token("clients", 3, 60)));
    let ticked = directory.stream_configuration(gcid(1), client_id(1)).await?;
    assert_eq!(ticked, ["vehicle.a"]);
    assert_eq!(directory.location_settings(gcid(1), client_id(1)).await?, settings());
    assert_eq!(directory.zones(gcid(1)).await?, [zone(1)]);
    assert_eq!(directory.deliveries(gcid(1)).await?, [delivery(0, 1, 2)]);
    let ledger: Vec<_> = directory.ledger(ALL).await?.into_iter().map(|(_, line)| line).collect();
    let [older, newer] = lines();
    assert_eq!(ledger, [newer, older]);
    assert_eq!(directory.charging_cursors().await?, [(vin(1), Sequence(7))]);
    let charges = directory.charging_sessions(vin(1), second(0), second(99), 9).await?;
    assert_eq!(charges, [charge(10)]);
    assert_eq!(directory.sources().await?, [source("a")]);
    let answered = directory.ingest_answer(&source("a").key_hash, "k").await?;
    assert_eq!(answered, Some(answer("a", "k", 0)));
    let certificates = directory.certificates_after(None, None, 9).await?;
    let revoked = VehicleCertificate { revoked_at: Some(at(1)), ..certificate(1, 1, 60) };
    assert_eq!(certificates, [revoked]);
    Ok(())
}

/// A connection of its own to the file, which checks no reference.
async fn outsider(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).foreign_keys(false);
    SqliteConnection::connect_with(&options).await.unwrap()
}

#[tokio::test]
async fn a_read_sees_every_write_that_ended_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let directory = SqliteDirectory::open(&folder.path().join("directory.db")).await.unwrap();
    directory.put_customer(&customer(1)).await.unwrap();
    for number in 1..=50 {
        directory.put_vehicle(&vehicle(number)).await.unwrap();
        // Twice, so that the second one can come out of memory.
        for _ in 0..2 {
            let known = directory.mappings(gcid(1)).await.unwrap();
            assert_eq!(known.len(), number as usize - 1);
        }
        directory.put_mapping(&mapping(1, number)).await.unwrap();
        assert_eq!(directory.mappings(gcid(1)).await.unwrap().len(), number as usize);
    }
}

#[tokio::test]
async fn a_file_opened_again_holds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.db");
    drop(filled(&path).await);
    let again = SqliteDirectory::open(&path).await.unwrap();
    read_all(&again).await.unwrap();
    // And beside another that has it open, too.
    read_all(&SqliteDirectory::open(&path).await.unwrap()).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_but_the_owner_may_read_its_files() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let _directory = filled(&folder.path().join("directory.db")).await;
    let mut files = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        files += 1;
    }
    assert_eq!(files, 3, "the file itself, its log and the log's index");
}

#[tokio::test]
async fn readers_do_not_wait_for_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.db");
    let directory = filled(&path).await;
    let mut outsider = outsider(&path).await;
    let mut writing = outsider.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("UPDATE customers SET password_hash = ''").execute(&mut *writing).await.unwrap();
    read_all(&directory).await.unwrap();
}

#[tokio::test]
async fn what_is_no_directory_and_what_is_a_newer_ones_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no-database");
    let content =
        "not a database, and long enough that nobody takes it for an empty one\n".repeat(20);
    std::fs::write(&path, &content).unwrap();
    let refused = SqliteDirectory::open(&path).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::Store { .. }), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), content);

    let refused = SqliteDirectory::open(&folder.path().join("no/such/folder")).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::Store { .. }), "{refused:?}");

    let path = folder.path().join("newer.db");
    drop(filled(&path).await);
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, x'00', 0)",
    )
    .execute(&mut outsider(&path).await)
    .await
    .unwrap();
    let refused = SqliteDirectory::open(&path).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::Store { .. }), "{refused:?}");
}

#[tokio::test]
async fn what_expired_does_not_pile_up() {
    let directory = SqliteDirectory::in_memory().await.unwrap();
    populate(&directory).await;
    consented(&directory, "first", 1).await;
    let (mut refresh, access) = tokens("second", 1);
    let used = directory.refresh_token(&hash("first")).await.unwrap().unwrap();
    let a_day_after = at(3600 + 86_400 + 1);
    directory.rotate_refresh_token(&used, &refresh, &access, a_day_after).await.unwrap();
    assert_eq!(directory.access_token(&hash("first")).await.unwrap(), None);
    assert!(directory.refresh_token(&hash("first")).await.unwrap().is_some());

    refresh.hash = hash("third");
    refresh.expires_at = at(15 * 86_400);
    let (_, mut access) = tokens("third", 1);
    access.expires_at = refresh.expires_at;
    let end_of_first = at(14 * 86_400 + 1);
    let used = directory.refresh_token(&hash("second")).await.unwrap().unwrap();
    directory.rotate_refresh_token(&used, &refresh, &access, end_of_first).await.unwrap();
    assert_eq!(directory.refresh_token(&hash("first")).await.unwrap(), None);

    let grant = grant("late", State::Pending);
    directory.add_device_grant(&grant, at(300 + 3601)).await.unwrap();
    assert_eq!(directory.device_grant(&hash("first")).await.unwrap(), None);
}

#[tokio::test]
async fn a_row_that_names_what_is_not_there_is_refused() {
    let directory = SqliteDirectory::in_memory().await.unwrap();
    populate(&directory).await;
    for link in [mapping(9, 1), mapping(1, 9)] {
        let refused = directory.put_mapping(&link).await.unwrap_err();
        assert!(matches!(refused, DirectoryError::Store { .. }), "{refused:?}");
    }
    assert_eq!(directory.mappings(gcid(1)).await.unwrap(), []);
}

#[tokio::test]
async fn a_damaged_row_is_an_error_that_tells_no_secret() {
    let damages = [
        "UPDATE customers SET gcid = upper(gcid)",
        "UPDATE customers SET created_at = 9223372036854775807",
        "UPDATE customers SET email = CAST(x'ff' AS TEXT)",
        "UPDATE vehicles SET drivetrain = 'STEAM'",
        "UPDATE vehicles SET build = '{\"brand\":'",
        "UPDATE mappings SET mapping_type = 'TERTIARY'",
        "UPDATE mappings SET vin = 'WBY0000000000000000001'",
        "UPDATE clients SET owner = 'nobody' WHERE kind = 'PERSONAL'",
        "UPDATE clients SET owner = NULL WHERE kind = 'PERSONAL'",
        "UPDATE clients SET kind = 'PERSONAL'",
        "UPDATE clients SET kind = 'SECRET'",
        "UPDATE clients SET purpose = CAST(x'ff' AS TEXT)",
        "UPDATE clients SET secret_hash = CAST(x'ff' AS TEXT) WHERE secret_hash IS NOT NULL",
        "UPDATE clients SET deleted_at = 9223372036854775807",
        "UPDATE consents SET scopes = 'openid everything'",
        "UPDATE consents SET ended_at = -9223372036854775807",
        "UPDATE consents SET ended_at = 0, end_reason = NULL",
        "UPDATE consents SET ended_at = 0, end_reason = 'BOREDOM'",
        "UPDATE consents SET expires_at = 9223372036854775807",
        "UPDATE consents SET purpose = CAST(x'ff' AS TEXT)",
        "UPDATE consents SET client_id = ''",
        "UPDATE device_grants SET state = 'LOST'",
        "UPDATE device_grants SET state = 'APPROVED', approved_by = NULL",
        "UPDATE device_grants SET state = 'APPROVED', approved_by = 'nobody'",
        "UPDATE refresh_tokens SET consent_id = 'none'",
        "UPDATE access_tokens SET consent_id = 'none'",
        "UPDATE access_tokens SET issued_at = -9223372036854775807",
        "UPDATE containers SET id = 'short'",
        "UPDATE containers SET descriptors = '[1]'",
        "UPDATE sessions SET subscriptions = subscriptions || ']'",
        "UPDATE sessions SET subscriptions = '[[\"WBY00000000000001\", 256]]'",
        "UPDATE cursors SET vin = 'wby00000000000001'",
        "UPDATE cursors SET sequence = -1",
        "UPDATE signing_keys SET created_at = 9223372036854775807",
        "UPDATE stream_configurations SET descriptors = '{\"vehicle.a\": \"WBY0\"}'",
        "UPDATE location_settings SET precision = 'VAGUE'",
        "UPDATE zones SET id = 'home'",
        "UPDATE zones SET name = CAST(x'ff' AS TEXT)",
        "UPDATE zones SET latitude_e6 = -90000001",
        "UPDATE zones SET latitude_e6 = -4817701200",
        "UPDATE zones SET longitude_e6 = 180000001",
        "UPDATE zones SET longitude_e6 = -2147483648",
        "UPDATE zones SET radius_m = -1",
        "UPDATE zones SET radius_m = 0",
        "UPDATE client_tokens SET client_id = 'none'",
        "UPDATE client_tokens SET scopes = 'everything'",
        "UPDATE client_tokens SET issued_at = -9223372036854775807",
        "UPDATE client_tokens SET expires_at = -9223372036854775807",
        "UPDATE charging_progress SET sequence = -1",
        "UPDATE charging_sessions SET session = '{}'",
        "UPDATE charging_sessions SET session = replace(session, '1790000010000', '9223372036854775807')",
        "UPDATE deliveries SET client_id = 'none'",
        "UPDATE deliveries SET vin = 'WBY0000000000000000001'",
        "UPDATE deliveries SET channel = 'POST'",
        "UPDATE deliveries SET first_at = -9223372036854775807",
        "UPDATE deliveries SET last_at = 9223372036854775807",
        "UPDATE deliveries SET messages = -1",
        "UPDATE sources SET vins = '[\"wby00000000000001\"]'",
        "UPDATE sources SET vins = '{}'",
        "UPDATE sources SET created_at = 9223372036854775807",
        "UPDATE ingest_answers SET status = 65536",
        "UPDATE ingest_answers SET kept_at = 9223372036854775807",
        "UPDATE vehicle_certificates SET vin = 'WBY0000000000000000001'",
        "UPDATE vehicle_certificates SET expires_at = 9223372036854775807",
        "UPDATE vehicle_certificates SET revoked_at = 9223372036854775807",
        "UPDATE ledger SET number = -number",
        "UPDATE ledger SET at = 9223372036854775807",
        "UPDATE ledger SET actor = 'BURGLAR'",
        "UPDATE ledger SET gcid = 'nobody'",
        "UPDATE ledger SET client_id = 'none'",
        "UPDATE ledger SET act = 'WHISPERED'",
        "UPDATE ledger SET detail = json_array(detail)",
        "UPDATE ledger SET detail = detail || 'x'",
    ];
    for damage in damages {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.db");
        let directory = filled(&path).await;
        let mut outsider = outsider(&path).await;
        sqlx::query("DROP TRIGGER ledger_is_not_rewritten").execute(&mut outsider).await.unwrap();
        let done = sqlx::query(damage).execute(&mut outsider).await.unwrap();
        assert!(done.rows_affected() > 0, "{damage}");
        // Where a key was damaged, the row is found by listing only.
        let error = match damage {
            "UPDATE customers SET gcid = upper(gcid)" => directory.customers().await.map(drop),
            _ => read_all(&directory).await,
        }
        .unwrap_err();
        assert!(matches!(error, DirectoryError::Damaged { .. }), "{damage}: {error:?}");
        let text = full_text(&error);
        for secret in ["wby0", "example.com", "argon2", "pem", "müller", "481770", "5ec2e7"] {
            assert!(!text.contains(secret), "{damage}: {text}");
        }
    }
}

#[tokio::test]
async fn the_ledger_is_only_added_to_and_keeps_its_record_of_consents_as_long_as_the_account() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.db");
    let directory = filled(&path).await;
    let mut outsider = outsider(&path).await;
    let refused = [
        "UPDATE ledger SET act = 'LOGGED_IN'",
        "UPDATE ledger SET on_consent = 0",
        "UPDATE ledger SET detail = '{}' WHERE on_consent = 0",
        "UPDATE ledger SET gcid = NULL",
        "DELETE FROM ledger",
        "DELETE FROM ledger WHERE on_consent = 1",
    ];
    for statement in refused {
        let error = sqlx::query(statement).execute(&mut outsider).await.unwrap_err();
        assert!(error.to_string().contains("ledger") || error.to_string().contains("record"));
        read_all(&directory).await.unwrap();
    }
    let delete = "DELETE FROM ledger WHERE on_consent = 0";
    sqlx::query(delete).execute(&mut outsider).await.unwrap();
    assert_eq!(directory.ledger(ALL).await.unwrap().len(), 1);
    assert!(directory.delete_customer(gcid(1)).await.unwrap());
    assert_eq!(directory.ledger(ALL).await.unwrap(), []);
}

#[tokio::test]
async fn no_table_names_a_deleted_customer_or_what_only_that_one_had() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.db");
    let directory = filled(&path).await;
    let mut outsider = outsider(&path).await;
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT tables.name, columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
         WHERE tables.type = 'table'",
    )
    .fetch_all(&mut outsider)
    .await
    .unwrap();
    let names =
        [gcid(1).to_string(), "Customer.1@".into(), "Müllers".into(), client_id(3).to_string()];
    let mut found = async |name: &str| {
        let mut found = Vec::new();
        for (table, column) in &columns {
            let query =
                format!("SELECT COUNT(*) FROM {table} WHERE instr(CAST({column} AS TEXT), $1)");
            let query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(query)).bind(name);
            if query.fetch_one(&mut outsider).await.unwrap() > 0 {
                found.push(format!("{table}.{column}"));
            }
        }
        found
    };
    for name in &names {
        assert!(!found(name).await.is_empty(), "{name}");
    }
    directory.delete_customer(gcid(1)).await.unwrap();
    for name in &names {
        assert_eq!(found(name).await, [""; 0], "{name}");
    }
}

#[tokio::test]
async fn a_search_that_another_version_left_begins_anew_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.db");
    let directory = filled(&path).await;
    let mut outsider = outsider(&path).await;
    let other = "UPDATE charging_progress SET detector = '{\"form\":2}'";
    sqlx::query(other).execute(&mut outsider).await.unwrap();
    let read = directory.charging_progress(vin(1)).await.unwrap();
    assert_eq!(read, ChargingProgress { version: 1, cursor: Sequence(7), ..Default::default() });
    read_all(&directory).await.unwrap();
}

/// Makes the file of the version before consents had a purpose and an end, with rows of its own.
async fn of_the_previous_version(path: &Path) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::migrate!("./migrations").run_to(3, &mut connection).await.unwrap();
    let (first, second) = (gcid(1), gcid(2));
    let rows = format!(
        "INSERT INTO customers VALUES ('{first}', 'Customer.1@Example.com', 'customer.1@example.com', 'hash', 1000000);
         INSERT INTO customers VALUES ('{second}', 'b@example.com', 'b@example.com', 'hash', 2000000);
         INSERT INTO clients VALUES ('{personal}', '{first}', 'my hub', 1, 1, 3000000);
         INSERT INTO clients VALUES ('{third}', NULL, 'their hub', 0, 1, 4000000);
         INSERT INTO consents VALUES ('{active}', '{first}', '{personal}', 'openid', 5000000, NULL);
         INSERT INTO consents VALUES ('{ended}', '{second}', '{third}', 'openid', 6000000, 7000000);
         INSERT INTO device_grants VALUES
             ('{grant}', 'qYjQrQip', '{third}', 'openid', 'challenge', 9000000, NULL, 'APPROVED', '{second}');
         INSERT INTO refresh_tokens VALUES ('{token}', '{active}', 9000000, 8000000);
         INSERT INTO access_tokens VALUES ('{token}', '{active}', 9000000);
         INSERT INTO containers VALUES
             ('AAAAAAAAAAAAA', '{first}', '{personal}', 'name', 'purpose', '[\"vehicle.a\"]', 5000000, NULL);
         INSERT INTO containers VALUES
             ('BBBBBBBBBBBBB', '{first}', '{personal}', 'name', 'purpose', '[\"vehicle.a\"]', 5000000, 6000000);
         INSERT INTO sessions (gcid, client_id, mqtt_client_id, subscriptions)
             VALUES ('{first}', '{personal}', 'a', '[]');
         INSERT INTO cursors VALUES (1, '{vin}', 7);",
        vin = vin(1).as_str(),
        personal = client_id(1),
        third = client_id(2),
        active = consent_id(1),
        ended = consent_id(2),
        grant = hash("code").0,
        token = hash("token").0,
    );
    sqlx::raw_sql(AssertSqlSafe(rows)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_directory_of_the_previous_version_keeps_what_it_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.db");
    of_the_previous_version(&path).await;
    let directory = SqliteDirectory::open(&path).await.unwrap();
    let at = |second| Timestamp::from_second(second).unwrap();

    let own = Client {
        name: "my hub".into(),
        purpose: String::new(),
        services: Services { api: true, stream: true },
        created_at: at(3),
        ..client(1, Some(gcid(1)))
    };
    let third = Client {
        id: client_id(2),
        kind: Kind::ThirdParty,
        name: "their hub".into(),
        services: Services { api: false, stream: true },
        created_at: at(4),
        ..own.clone()
    };
    assert_eq!(directory.clients_of(gcid(1)).await.unwrap(), slice::from_ref(&own));
    assert_eq!(directory.clients().await.unwrap(), [own, third]);

    let active = Consent {
        scopes: "openid".parse().unwrap(),
        purpose: String::new(),
        granted_at: at(5),
        ..consent(1)
    };
    let ended = Consent {
        id: consent_id(2),
        gcid: gcid(2),
        client_id: client_id(2),
        granted_at: at(6),
        state: ConsentState::Ended { at: at(7), why: EndReason::TokenReuse },
        ..active.clone()
    };
    assert_eq!(directory.consents_of(gcid(1)).await.unwrap(), slice::from_ref(&active));
    assert_eq!(directory.consents_of(gcid(2)).await.unwrap(), [ended]);
    assert_eq!(directory.consents_to(client_id(2)).await.unwrap(), []);
    assert_eq!(directory.expired_consents(Timestamp::MAX).await.unwrap(), [], "none has an end");

    let grant = directory.device_grant(&hash("code")).await.unwrap().unwrap();
    assert_eq!((grant.state, grant.lasts), (State::Approved(gcid(2)), None));
    let token = directory.refresh_token(&hash("token")).await.unwrap().unwrap();
    assert_eq!(token.state, refresh::State::Rotated { at: at(8) });
    let containers = directory.containers(gcid(1), client_id(1)).await.unwrap();
    assert_eq!(containers.len(), 1);
    let deleted = directory.container("BBBBBBBBBBBBB".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(deleted.state, container::State::Deleted { at: at(6) });
    let session = directory.session(&key(), at(0)).await.unwrap().unwrap();
    assert_eq!(session.cursors, [(vin(1), Sequence(7))]);
    // Which is counted, and takes its cursors along.
    let directory = directory.with_sessions_max(1);
    let other = SessionKey { mqtt_client_id: "b".into(), ..key() };
    let ended = directory.put_session(&other, &StoredSession::default()).await.unwrap();
    assert_eq!(ended, [key()]);

    // And all of it ends as what is new does.
    assert!(directory.end_consent(active.id, at(9), EndReason::Customer).await.unwrap());
    assert!(directory.delete_customer(gcid(1)).await.unwrap());
    assert_eq!(directory.clients().await.unwrap().len(), 1);
}

#[tokio::test]
async fn as_many_sessions_of_a_client_stay_as_the_directory_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let directory = SqliteDirectory::open(&folder.path().join("directory.db")).await.unwrap();
    let directory = directory.with_sessions_max(3);
    populate(&directory).await;
    let key = |name: &str| SessionKey { mqtt_client_id: name.into(), ..key() };
    let kept = async |names: [&str; 5]| {
        let mut kept = Vec::new();
        for name in names {
            if directory.session(&key(name), at(0)).await.unwrap().is_some() {
                kept.push(name.to_owned());
            }
        }
        kept
    };
    for name in ["a", "b", "c", "b"] {
        directory.put_session(&key(name), &session()).await.unwrap();
    }
    assert_eq!(kept(["a", "b", "c", "d", "e"]).await, ["a", "b", "c"]);
    directory.put_session(&key("d"), &session()).await.unwrap();
    assert_eq!(kept(["a", "b", "c", "d", "e"]).await, ["b", "c", "d"]);
    // What ended otherwise has left its place.
    assert!(directory.remove_session(&key("b")).await.unwrap());
    directory.rest_session(&key("c"), &session(), at(0)).await.unwrap();
    assert_eq!(directory.remove_expired_sessions(at(1 << 32)).await.unwrap(), [key("c")]);
    for name in ["a", "e"] {
        directory.put_session(&key(name), &session()).await.unwrap();
    }
    assert_eq!(kept(["a", "b", "c", "d", "e"]).await, ["a", "d", "e"]);
}

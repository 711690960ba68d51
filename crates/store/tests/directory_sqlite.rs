//! What the SQLite directory promises beyond the suite: its file, and what it makes of damage.

#![expect(clippy::unwrap_used, reason = "a rule that fails should panic where it fails")]

#[path = "directory_conformance/samples.rs"]
mod samples;

use std::path::Path;

use cardata_domain::container::{self, Container, ContainerId};
use cardata_domain::device_grant::State;
use cardata_domain::event::Sequence;
use cardata_domain::session::{SessionKey, StoredSession, StoredSubscription};
use cardata_store::Directory;
use cardata_store::directory::sqlite::SqliteDirectory;
use cardata_store::directory::{ContainerLimit, DirectoryError, SigningKey};
use samples::{
    at, client_id, consent, consent_id, consented, customer, full_text, gcid, hash, mapping,
    populate, tokens, vehicle, vin,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};

fn key() -> SessionKey {
    SessionKey { gcid: gcid(1), client_id: client_id(1), mqtt_client_id: "a".into() }
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
        descriptors: vec!["vehicle.a".into()],
        created_at: at(0),
        state: container::State::Active,
    }
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
    directory
}

/// Every read there is; the first failure.
async fn read_all(directory: &SqliteDirectory) -> Result<(), DirectoryError> {
    assert_eq!(directory.customer(gcid(1)).await?, Some(customer(1)));
    assert_eq!(directory.customer_by_email(&customer(1).email).await?, Some(customer(1)));
    assert_eq!(directory.customers().await?, [customer(1), customer(2)]);
    assert_eq!(directory.vehicle(vin(1)).await?, Some(vehicle(1)));
    assert_eq!(directory.mappings(gcid(1)).await?, [mapping(1, 1)]);
    assert_eq!(directory.client(client_id(1)).await?, Some(samples::client(1, None)));
    assert_eq!(directory.consent(consent_id(1)).await?, Some(consent(1)));
    let (refresh, access) = tokens("first", 1);
    assert!(directory.device_grant(&hash("first")).await?.is_some());
    assert_eq!(directory.refresh_token(&hash("first")).await?, Some(refresh));
    assert_eq!(directory.access_token(&hash("first")).await?, Some(access));
    assert_eq!(directory.containers(gcid(1), client_id(1)).await?, [container()]);
    assert_eq!(directory.session(&key(), at(0)).await?, Some(session()));
    assert_eq!(directory.signing_keys().await?.len(), 1);
    Ok(())
}

/// A connection of its own to the file, which checks no reference.
async fn outsider(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).foreign_keys(false);
    SqliteConnection::connect_with(&options).await.unwrap()
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

    let grant = samples::grant("late", State::Pending);
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
        "UPDATE clients SET owner = 'nobody'",
        "UPDATE consents SET scopes = 'openid everything'",
        "UPDATE consents SET ended_at = -9223372036854775807",
        "UPDATE consents SET client_id = ''",
        "UPDATE device_grants SET state = 'LOST'",
        "UPDATE device_grants SET state = 'APPROVED', approved_by = NULL",
        "UPDATE device_grants SET state = 'APPROVED', approved_by = 'nobody'",
        "UPDATE refresh_tokens SET consent_id = 'none'",
        "UPDATE access_tokens SET consent_id = 'none'",
        "UPDATE containers SET id = 'short'",
        "UPDATE containers SET descriptors = '[1]'",
        "UPDATE sessions SET subscriptions = subscriptions || ']'",
        "UPDATE sessions SET subscriptions = '[[\"WBY00000000000001\", 256]]'",
        "UPDATE cursors SET vin = 'wby00000000000001'",
        "UPDATE cursors SET sequence = -1",
        "UPDATE signing_keys SET created_at = 9223372036854775807",
    ];
    for damage in damages {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.db");
        let directory = filled(&path).await;
        sqlx::query(damage).execute(&mut outsider(&path).await).await.unwrap();
        // Where a key was damaged, the row is found by listing only.
        let error = match damage {
            "UPDATE customers SET gcid = upper(gcid)" => directory.customers().await.map(drop),
            _ => read_all(&directory).await,
        }
        .unwrap_err();
        assert!(matches!(error, DirectoryError::Damaged { .. }), "{damage}: {error:?}");
        let text = full_text(&error);
        for secret in ["wby0", "example.com", "argon2", "pem"] {
            assert!(!text.contains(secret), "{damage}: {text}");
        }
    }
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

//! The directory in one SQLite file.
//!
//! One connection writes and a few others read, so that readers never wait for a writer and writers queue in order
//! instead of failing as busy. Each noun's queries stand in its own module below; they bind `$1`, which PostgreSQL
//! understands, too.
//!
//! What one row says of another must be there: a mapping needs its customer and its vehicle, a consent its customer
//! and its client. Times are kept to the microsecond.

mod additions;
mod cache;
mod certificates;
mod charging;
mod choices;
mod clients;
mod consents;
mod containers;
mod customers;
mod failure;
mod grants;
mod ledger;
mod requests;
mod row;
mod sessions;
mod sources;
mod tokens;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cardata_domain::charging::Session;
use cardata_domain::client::Client;
use cardata_domain::consent::{Consent, ConsentId, EndReason};
use cardata_domain::container::{Container, ContainerId};
use cardata_domain::customer::Customer;
use cardata_domain::device_grant::{DeviceGrant, State};
use cardata_domain::event::Sequence;
use cardata_domain::ledger::Record;
use cardata_domain::privacy::{Settings, Zone, ZoneId};
use cardata_domain::session::{SessionKey, StoredSession};
use cardata_domain::vehicle::{Mapping, Vehicle};
use cardata_domain::{ClientId, Gcid, Vin};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{
    AccessToken, AddContainerError, AddError, Additions, ChargingProgress, ChargingUpdate,
    ClientToken, ContainerLimit, DailyRequests, Delivery, Directory, DirectoryError, FleetVehicle,
    IngestAnswer, LedgerQuery, RefreshToken, SESSIONS_MAX, SigningKey, Source, TokenHash,
    VehicleCertificate,
};
use cache::{Cache, Key};
use failure::{FailingTo, Failure};

/// Connections that read. A read takes far less than a millisecond, so these are for not waiting, not for speed.
const READERS: u32 = 4;

/// How long to wait for another process that writes to the same file, such as a backup or an operator's shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A [`Directory`] in SQLite. Cheap to clone: clones share their connections.
///
/// Not for tests under tokio's paused clock: SQLite works in threads of its own, which tokio takes for idleness, so
/// its clock jumps and calls fail as timed out.
#[derive(Debug, Clone)]
pub struct SqliteDirectory {
    writer: SqlitePool,
    readers: SqlitePool,
    cache: Arc<Cache>,
    /// Persistent sessions of one customer and client.
    sessions_max: u32,
}

impl SqliteDirectory {
    /// Opens the file at `path`, made with access for its owner alone if it is not there, and brings its tables up to
    /// date.
    ///
    /// # Errors
    /// [`DirectoryError::Store`] when the file can't be made or opened, is no such file, or a newer version of this
    /// program wrote it.
    pub async fn open(path: &Path) -> Result<Self, DirectoryError> {
        create(path).await.failing_to("create its file")?;
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT);
        let writing = options
            .clone()
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // In WAL mode only FULL syncs at each commit; NORMAL may lose the last ones when the power goes.
            .synchronous(SqliteSynchronous::Full)
            // What is deleted is overwritten: a customer who leaves leaves nothing in free pages.
            .pragma("secure_delete", "ON");
        let cache = Arc::new(Cache::default());
        let writer = cache.watch(lasting(1));
        let writer = writer.connect_with(writing).await.failing_to("open its file")?;
        migrate(&writer).await?;
        let readers = lasting(READERS)
            .connect_with(options.read_only(true))
            .await
            .failing_to("open its file for reading")?;
        Ok(Self { writer, readers, cache, sessions_max: SESSIONS_MAX })
    }

    /// Keeps `sessions_max` persistent sessions of one customer and client instead of [`SESSIONS_MAX`].
    #[must_use]
    pub fn with_sessions_max(mut self, sessions_max: u32) -> Self {
        self.sessions_max = sessions_max;
        self
    }

    /// An empty directory that is gone with its last clone.
    ///
    /// # Errors
    /// [`DirectoryError::Store`] when there is no memory for it.
    pub async fn in_memory() -> Result<Self, DirectoryError> {
        // A second connection would have a memory of its own.
        let writer = lasting(1)
            .connect_with(SqliteConnectOptions::new().in_memory(true).foreign_keys(true))
            .await
            .failing_to("open a store in memory")?;
        migrate(&writer).await?;
        // Nothing is kept where the connection that writes is the one that reads.
        let cache = Arc::new(Cache::default());
        Ok(Self { readers: writer.clone(), writer, cache, sessions_max: SESSIONS_MAX })
    }
}

/// Makes the file unless it is there. The file holds private keys, and SQLite gives its companions (`-wal`, `-shm`) the
/// same mode.
async fn create(path: &Path) -> Result<(), std::io::Error> {
    let mut options = tokio::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(path).await.map(drop)
}

/// A pool whose connections stay: a file can't hang up, and what is in memory dies with its connection.
fn lasting(connections_max: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

async fn migrate(pool: &SqlitePool) -> Result<(), DirectoryError> {
    sqlx::migrate!("./migrations").run(pool).await.failing_to("bring its tables up to date")
}

#[async_trait]
impl Directory for SqliteDirectory {
    async fn put_customer(&self, customer: &Customer) -> Result<(), DirectoryError> {
        customers::put(&self.writer, customer).await.failing_to("keep a customer")
    }

    async fn customer_by_email(&self, email: &str) -> Result<Option<Customer>, DirectoryError> {
        customers::by_email(&self.readers, email).await.failing_to("find a customer by e-mail")
    }

    async fn customer(&self, gcid: Gcid) -> Result<Option<Customer>, DirectoryError> {
        customers::by_gcid(&self.readers, gcid).await.failing_to("find a customer")
    }

    async fn customers(&self) -> Result<Vec<Customer>, DirectoryError> {
        customers::all(&self.readers).await.failing_to("list the customers")
    }

    async fn customers_after(
        &self,
        after: Option<Gcid>,
        limit: u32,
    ) -> Result<Vec<Customer>, DirectoryError> {
        customers::after(&self.readers, after, limit).await.failing_to("list customers")
    }

    async fn add(&self, additions: &Additions) -> Result<(), AddError> {
        let added = additions::add(&self.writer, additions).await;
        added.failing_to("add customers, vehicles and mappings")?.map_or(Ok(()), Err)
    }

    async fn set_password(&self, gcid: Gcid, password_hash: &str) -> Result<bool, DirectoryError> {
        customers::set_password(&self.writer, gcid, password_hash)
            .await
            .failing_to("change a password")
    }

    async fn delete_customer(&self, gcid: Gcid) -> Result<bool, DirectoryError> {
        customers::delete(&self.writer, gcid).await.failing_to("delete a customer")
    }

    async fn put_vehicle(&self, vehicle: &Vehicle) -> Result<(), DirectoryError> {
        customers::put_vehicle(&self.writer, vehicle).await.failing_to("keep a vehicle")
    }

    async fn vehicle(&self, vin: Vin) -> Result<Option<Vehicle>, DirectoryError> {
        customers::vehicle(&self.readers, vin).await.failing_to("find a vehicle")
    }

    async fn vehicles(&self) -> Result<Vec<Vehicle>, DirectoryError> {
        customers::vehicles(&self.readers).await.failing_to("list the vehicles")
    }

    async fn vehicles_after(
        &self,
        after: Option<Vin>,
        limit: u32,
    ) -> Result<Vec<Vehicle>, DirectoryError> {
        customers::vehicles_after(&self.readers, after, limit).await.failing_to("list vehicles")
    }

    async fn put_mapping(&self, mapping: &Mapping) -> Result<(), DirectoryError> {
        customers::put_mapping(&self.writer, mapping).await.failing_to("keep a mapping")
    }

    async fn remove_mapping(&self, gcid: Gcid, vin: Vin) -> Result<bool, DirectoryError> {
        customers::remove_mapping(&self.writer, gcid, vin).await.failing_to("remove a mapping")
    }

    async fn mappings(&self, gcid: Gcid) -> Result<Vec<Mapping>, DirectoryError> {
        let load = customers::mappings(&self.readers, gcid);
        self.cache.read(Key::Mappings(gcid), load).await.failing_to("list a customer's mappings")
    }

    async fn mappings_of_vehicle(&self, vin: Vin) -> Result<Vec<Mapping>, DirectoryError> {
        customers::mappings_of_vehicle(&self.readers, vin)
            .await
            .failing_to("list a vehicle's mappings")
    }

    async fn put_client(&self, client: &Client) -> Result<(), DirectoryError> {
        clients::put(&self.writer, client).await.failing_to("keep a client")
    }

    async fn client(&self, id: ClientId) -> Result<Option<Client>, DirectoryError> {
        clients::by_id(&self.readers, id).await.failing_to("find a client")
    }

    async fn clients_of(&self, owner: Gcid) -> Result<Vec<Client>, DirectoryError> {
        clients::of(&self.readers, owner).await.failing_to("list a customer's clients")
    }

    async fn clients(&self) -> Result<Vec<Client>, DirectoryError> {
        clients::all(&self.readers).await.failing_to("list the clients")
    }

    async fn clients_after(
        &self,
        after: Option<ClientId>,
        limit: u32,
    ) -> Result<Vec<Client>, DirectoryError> {
        clients::after(&self.readers, after, limit).await.failing_to("list clients")
    }

    async fn consent(&self, id: ConsentId) -> Result<Option<Consent>, DirectoryError> {
        let load = consents::by_id(&self.readers, id);
        self.cache.read(Key::Consent(id), load).await.failing_to("find a consent")
    }

    async fn consents_of(&self, gcid: Gcid) -> Result<Vec<Consent>, DirectoryError> {
        consents::of(&self.readers, gcid).await.failing_to("list a customer's consents")
    }

    async fn consents_to(&self, client_id: ClientId) -> Result<Vec<Consent>, DirectoryError> {
        consents::to(&self.readers, client_id).await.failing_to("list the consents to a client")
    }

    async fn fleet(
        &self,
        client_id: ClientId,
        now: Timestamp,
    ) -> Result<Vec<FleetVehicle>, DirectoryError> {
        consents::fleet(&self.readers, client_id, now).await.failing_to("list a fleet's vehicles")
    }

    async fn expired_consents(&self, now: Timestamp) -> Result<Vec<Consent>, DirectoryError> {
        consents::expired(&self.readers, now).await.failing_to("list expired consents")
    }

    async fn end_consent(
        &self,
        id: ConsentId,
        at: Timestamp,
        why: EndReason,
    ) -> Result<bool, DirectoryError> {
        consents::end(&self.writer, id, at, why).await.failing_to("end a consent")
    }

    async fn stream_configuration(
        &self,
        gcid: Gcid,
        client_id: ClientId,
    ) -> Result<Vec<String>, DirectoryError> {
        choices::stream_configuration(&self.readers, gcid, client_id)
            .await
            .failing_to("find what a client is sent")
    }

    async fn put_stream_configuration(
        &self,
        gcid: Gcid,
        client_id: ClientId,
        descriptors: &[String],
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        choices::put_stream_configuration(&self.writer, gcid, client_id, descriptors, now)
            .await
            .failing_to("keep what a client is sent")
    }

    async fn location_settings(
        &self,
        gcid: Gcid,
        client_id: ClientId,
    ) -> Result<Settings, DirectoryError> {
        let load = choices::location_settings(&self.readers, gcid, client_id);
        self.cache
            .read(Key::LocationSettings(gcid, client_id), load)
            .await
            .failing_to("find how exactly a client may know places")
    }

    async fn put_location_settings(
        &self,
        gcid: Gcid,
        client_id: ClientId,
        settings: Settings,
    ) -> Result<(), DirectoryError> {
        choices::put_location_settings(&self.writer, gcid, client_id, settings)
            .await
            .failing_to("keep how exactly a client may know places")
    }

    async fn zones(&self, gcid: Gcid) -> Result<Vec<Zone>, DirectoryError> {
        let load = choices::zones(&self.readers, gcid);
        self.cache.read(Key::Zones(gcid), load).await.failing_to("list a customer's zones")
    }

    async fn add_zone(&self, gcid: Gcid, zone: &Zone) -> Result<bool, DirectoryError> {
        choices::add_zone(&self.writer, gcid, zone).await.failing_to("add a zone")
    }

    async fn remove_zone(&self, gcid: Gcid, id: ZoneId) -> Result<bool, DirectoryError> {
        choices::remove_zone(&self.writer, gcid, id).await.failing_to("remove a zone")
    }

    async fn append_to_ledger(&self, records: &[Record]) -> Result<(), DirectoryError> {
        ledger::append(&self.writer, records).await.failing_to("add to the ledger")
    }

    async fn ledger(&self, query: LedgerQuery) -> Result<Vec<(u64, Record)>, DirectoryError> {
        ledger::read(&self.readers, query).await.failing_to("read the ledger")
    }

    async fn prune_ledger(&self, before: Timestamp) -> Result<u64, DirectoryError> {
        ledger::prune(&self.writer, before).await.failing_to("drop old lines of the ledger")
    }

    async fn count_deliveries(&self, deliveries: &[Delivery]) -> Result<(), DirectoryError> {
        ledger::count(&self.writer, deliveries).await.failing_to("count what was sent")
    }

    async fn deliveries(&self, gcid: Gcid) -> Result<Vec<Delivery>, DirectoryError> {
        ledger::deliveries(&self.readers, gcid).await.failing_to("find what was sent")
    }

    async fn put_requests(
        &self,
        day: Date,
        counted: &[DailyRequests],
    ) -> Result<(), DirectoryError> {
        requests::put(&self.writer, day, counted).await.failing_to("count requests")
    }

    async fn requests(&self, day: Date) -> Result<Vec<DailyRequests>, DirectoryError> {
        requests::of(&self.readers, day).await.failing_to("find how many requests there were")
    }

    async fn add_source(&self, source: &Source) -> Result<bool, DirectoryError> {
        sources::add(&self.writer, source).await.failing_to("add a source")
    }

    async fn sources(&self) -> Result<Vec<Source>, DirectoryError> {
        sources::all(&self.readers).await.failing_to("list the sources")
    }

    async fn source(&self, key_hash: &TokenHash) -> Result<Option<Source>, DirectoryError> {
        sources::by_key(&self.readers, key_hash).await.failing_to("find a source")
    }

    async fn remove_source(&self, name: &str) -> Result<bool, DirectoryError> {
        sources::remove(&self.writer, name).await.failing_to("remove a source")
    }

    async fn ingest_answer(
        &self,
        sender: &TokenHash,
        key: &str,
    ) -> Result<Option<IngestAnswer>, DirectoryError> {
        sources::answer(&self.readers, sender, key).await.failing_to("find an answer")
    }

    async fn put_ingest_answer(
        &self,
        answer: &IngestAnswer,
        before: Timestamp,
    ) -> Result<(), DirectoryError> {
        sources::put_answer(&self.writer, answer, before).await.failing_to("keep an answer")
    }

    async fn add_certificates(
        &self,
        certificates: &[VehicleCertificate],
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        certificates::add(&self.writer, certificates, now).await.failing_to("keep certificates")
    }

    async fn certificates_after(
        &self,
        vin: Option<Vin>,
        serial: Option<&str>,
        limit: u32,
    ) -> Result<Vec<VehicleCertificate>, DirectoryError> {
        certificates::after(&self.readers, vin, serial, limit).await.failing_to("list certificates")
    }

    async fn revoked_certificates(
        &self,
        now: Timestamp,
    ) -> Result<Vec<VehicleCertificate>, DirectoryError> {
        certificates::revoked(&self.readers, now).await.failing_to("list revoked certificates")
    }

    async fn revoke_certificates(
        &self,
        vin: Vin,
        serial: Option<&str>,
        at: Timestamp,
    ) -> Result<Vec<String>, DirectoryError> {
        certificates::revoke(&self.writer, vin, serial, at).await.failing_to("revoke certificates")
    }

    async fn add_device_grant(
        &self,
        grant: &DeviceGrant,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        grants::add(&self.writer, grant, now).await.failing_to("add a device grant")
    }

    async fn device_grant(
        &self,
        device_code_hash: &TokenHash,
    ) -> Result<Option<DeviceGrant>, DirectoryError> {
        grants::by_device_code(&self.readers, device_code_hash)
            .await
            .failing_to("find a device grant")
    }

    async fn device_grant_by_user_code(
        &self,
        user_code: &str,
    ) -> Result<Option<DeviceGrant>, DirectoryError> {
        grants::by_user_code(&self.readers, user_code)
            .await
            .failing_to("find a device grant by its user code")
    }

    async fn note_poll(
        &self,
        device_code_hash: &TokenHash,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        grants::note_poll(&self.writer, device_code_hash, now).await.failing_to("note a poll")
    }

    async fn move_device_grant(
        &self,
        device_code_hash: &TokenHash,
        from: State,
        to: State,
        lasts: Option<SignedDuration>,
    ) -> Result<bool, DirectoryError> {
        grants::advance(&self.writer, device_code_hash, from, to, lasts)
            .await
            .failing_to("move a device grant")
    }

    async fn exchange_device_grant(
        &self,
        device_code_hash: &TokenHash,
        approved: State,
        consent: &Consent,
        refresh: &RefreshToken,
        access: &AccessToken,
    ) -> Result<bool, DirectoryError> {
        grants::exchange(&self.writer, device_code_hash, approved, consent, refresh, access)
            .await
            .failing_to("exchange a device grant")
    }

    async fn refresh_token(
        &self,
        hash: &TokenHash,
    ) -> Result<Option<RefreshToken>, DirectoryError> {
        tokens::refresh(&self.readers, hash).await.failing_to("find a refresh token")
    }

    async fn rotate_refresh_token(
        &self,
        used: &RefreshToken,
        refresh: &RefreshToken,
        access: &AccessToken,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        tokens::rotate(&self.writer, used, refresh, access, now)
            .await
            .failing_to("rotate a refresh token")
    }

    async fn revoke_access_token(&self, hash: &TokenHash) -> Result<bool, DirectoryError> {
        tokens::revoke_access(&self.writer, hash).await.failing_to("end an access token")
    }

    async fn add_client_token(
        &self,
        token: &ClientToken,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        tokens::add_clients(&self.writer, token, now).await.failing_to("add a client's token")
    }

    async fn client_token(&self, hash: &TokenHash) -> Result<Option<ClientToken>, DirectoryError> {
        tokens::clients(&self.readers, hash).await.failing_to("find a client's token")
    }

    async fn revoke_client_tokens_of(&self, client_id: ClientId) -> Result<u64, DirectoryError> {
        tokens::revoke_all_of_client(&self.writer, client_id)
            .await
            .failing_to("end a client's tokens")
    }

    async fn revoke_client_token(&self, hash: &TokenHash) -> Result<bool, DirectoryError> {
        tokens::revoke_clients(&self.writer, hash).await.failing_to("end a client's token")
    }

    async fn access_token(&self, hash: &TokenHash) -> Result<Option<AccessToken>, DirectoryError> {
        let load = tokens::access(&self.readers, hash);
        let key = Key::AccessToken(hash.clone());
        self.cache.read(key, load).await.failing_to("find an access token")
    }

    async fn add_signing_key(&self, key: &SigningKey) -> Result<(), DirectoryError> {
        tokens::add_signing_key(&self.writer, key).await.failing_to("add a signing key")
    }

    async fn signing_keys(&self) -> Result<Vec<SigningKey>, DirectoryError> {
        tokens::signing_keys(&self.readers).await.failing_to("list the signing keys")
    }

    async fn remove_signing_key(&self, kid: &str) -> Result<bool, DirectoryError> {
        tokens::remove_signing_key(&self.writer, kid).await.failing_to("remove a signing key")
    }

    async fn add_container(
        &self,
        container: &Container,
        limit: ContainerLimit,
    ) -> Result<(), AddContainerError> {
        if containers::add(&self.writer, container, limit).await.failing_to("add a container")? {
            Ok(())
        } else {
            let (ContainerLimit::ActivePerClient(max) | ContainerLimit::PerCustomer { max, .. }) =
                limit;
            Err(AddContainerError::LimitReached(max))
        }
    }

    async fn container(&self, id: ContainerId) -> Result<Option<Container>, DirectoryError> {
        let load = containers::by_id(&self.readers, id);
        self.cache.read(Key::Container(id), load).await.failing_to("find a container")
    }

    async fn containers(
        &self,
        gcid: Gcid,
        client_id: ClientId,
    ) -> Result<Vec<Container>, DirectoryError> {
        containers::active(&self.readers, gcid, client_id).await.failing_to("list the containers")
    }

    async fn delete_container(
        &self,
        id: ContainerId,
        now: Timestamp,
    ) -> Result<bool, DirectoryError> {
        containers::delete(&self.writer, id, now).await.failing_to("delete a container")
    }

    async fn session(
        &self,
        key: &SessionKey,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, DirectoryError> {
        sessions::by_key(&self.readers, key, now).await.failing_to("find a session")
    }

    async fn put_session(
        &self,
        key: &SessionKey,
        session: &StoredSession,
    ) -> Result<Vec<SessionKey>, DirectoryError> {
        sessions::put(&self.writer, key, session, self.sessions_max)
            .await
            .failing_to("keep a session")
    }

    async fn move_cursors(
        &self,
        moves: &[(SessionKey, Vec<(Vin, Sequence)>)],
    ) -> Result<(), DirectoryError> {
        sessions::move_cursors(&self.writer, moves).await.failing_to("move the cursors")
    }

    async fn rest_session(
        &self,
        key: &SessionKey,
        session: &StoredSession,
        now: Timestamp,
    ) -> Result<Vec<SessionKey>, DirectoryError> {
        sessions::rest(&self.writer, key, session, now, self.sessions_max)
            .await
            .failing_to("lay a session to rest")
    }

    async fn recover_sessions(
        &self,
        newest: Sequence,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        sessions::recover(&self.writer, newest, now).await.failing_to("lay all sessions to rest")
    }

    async fn remove_expired_sessions(
        &self,
        now: Timestamp,
    ) -> Result<Vec<SessionKey>, DirectoryError> {
        sessions::remove_expired(&self.writer, now).await.failing_to("remove expired sessions")
    }

    async fn remove_session(&self, key: &SessionKey) -> Result<bool, DirectoryError> {
        // Each client that begins anew asks for this, most have no session kept, and a write costs all who read.
        let load = sessions::any_of(&self.readers, key.gcid, key.client_id);
        let any = self.cache.read(Key::Sessions(key.gcid, key.client_id), load).await;
        if !any.failing_to("look for a client's sessions")? {
            return Ok(false);
        }
        sessions::remove(&self.readers, &self.writer, key).await.failing_to("remove a session")
    }

    async fn remove_sessions_of(
        &self,
        gcid: Option<Gcid>,
        client_id: ClientId,
    ) -> Result<Vec<SessionKey>, DirectoryError> {
        sessions::remove_of(&self.writer, gcid, client_id)
            .await
            .failing_to("remove a client's sessions")
    }

    async fn remove_cursors_of(&self, gcid: Gcid, vin: Vin) -> Result<(), DirectoryError> {
        sessions::remove_cursors_of(&self.writer, gcid, vin).await.failing_to("remove cursors")
    }

    async fn leave_fleets(
        &self,
        client_id: Option<ClientId>,
        vehicles: &[Vin],
    ) -> Result<(), DirectoryError> {
        sessions::leave_out(&self.writer, client_id, vehicles)
            .await
            .failing_to("remove vehicles from fleets")
    }

    async fn charging_cursors(&self) -> Result<Vec<(Vin, Sequence)>, DirectoryError> {
        charging::cursors(&self.readers).await.failing_to("list how far charging was searched")
    }

    async fn charging_progress(&self, vin: Vin) -> Result<ChargingProgress, DirectoryError> {
        charging::progress(&self.readers, vin)
            .await
            .failing_to("find how far charging was searched")
    }

    async fn put_charging(&self, updates: &[ChargingUpdate]) -> Result<usize, DirectoryError> {
        charging::put(&self.writer, updates).await.failing_to("keep charging sessions")
    }

    async fn charging_sessions(
        &self,
        vin: Vin,
        from: Timestamp,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Session>, DirectoryError> {
        charging::sessions(&self.readers, vin, from, before, limit)
            .await
            .failing_to("find charging sessions")
    }

    async fn forget_charging(&self, vin: Vin) -> Result<(), DirectoryError> {
        charging::forget(&self.writer, vin).await.failing_to("forget charging sessions")
    }

    async fn close(&self) {
        // The last connection to go works the write-ahead log into the file, and it must be one that may write.
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Begins a transaction that may write from its first statement on, so that it can't fail half-way because another
/// process began to write in between.
async fn begin(writer: &SqlitePool) -> Result<sqlx::SqliteTransaction<'static>, Failure> {
    Ok(writer.begin_with("BEGIN IMMEDIATE").await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_writer_syncs_each_commit_and_checks_references() {
        let folder = tempfile::tempdir().unwrap();
        let directory = SqliteDirectory::open(&folder.path().join("directory.db")).await.unwrap();
        let setting = async |pragma| {
            sqlx::query_scalar::<_, String>(pragma).fetch_one(&directory.writer).await.unwrap()
        };
        assert_eq!(setting("SELECT journal_mode FROM pragma_journal_mode").await, "wal");
        // 2 is FULL.
        assert_eq!(setting("SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous").await, "2");
        assert_eq!(
            setting("SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys").await,
            "1"
        );
    }
}

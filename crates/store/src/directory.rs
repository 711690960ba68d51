//! Everything but events: customers, vehicles, clients, consents, containers, tokens and sessions.
//!
//! "Not there" is `Option`, not an error. Secrets come in hashed ([`TokenHash`]); the directory never sees a token.

pub mod sqlite;

use async_trait::async_trait;
use cardata_domain::charging::{Detector, Session};
use cardata_domain::client::Client;
use cardata_domain::consent::{Consent, ConsentId, EndReason};
use cardata_domain::container::{Container, ContainerId};
use cardata_domain::customer::Customer;
use cardata_domain::device_grant::{DeviceGrant, State};
use cardata_domain::event::Sequence;
use cardata_domain::ledger::Record;
use cardata_domain::privacy::{Settings, Zone, ZoneId};
use cardata_domain::refresh;
use cardata_domain::session::{SessionKey, StoredSession};
use cardata_domain::token::Scopes;
use cardata_domain::vehicle::{Mapping, Vehicle};
use cardata_domain::{ClientId, Gcid, Vin};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

/// The SHA-256 of a secret, in lower-case hexadecimal.
///
/// Enough for secrets of at least 128 random bits; passwords are argon2 hashes instead.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenHash(pub String);

/// A refresh token at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// Its hash.
    pub hash: TokenHash,
    /// The consent that it rests on.
    pub consent_id: ConsentId,
    /// The first instant at which it is no longer good.
    pub expires_at: Timestamp,
    /// Whether it was exchanged for its successor.
    pub state: refresh::State,
}

/// An access token at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Its hash.
    pub hash: TokenHash,
    /// The consent that it rests on.
    pub consent_id: ConsentId,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The first instant at which it is no longer good.
    pub expires_at: Timestamp,
}

/// A token at rest with which a client acts for itself (RFC 6749 §4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientToken {
    /// Its hash.
    pub hash: TokenHash,
    /// Which client.
    pub client_id: ClientId,
    /// What it permits, as long as the client is subscribed to that.
    pub scopes: Scopes,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The first instant at which it is no longer good.
    pub expires_at: Timestamp,
}

/// How data reached a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Over MQTT.
    Stream,
    /// Over the REST API.
    Rest,
}

/// What a client was sent of a vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Whose data.
    pub gcid: Gcid,
    /// To which client.
    pub client_id: ClientId,
    /// Of which vehicle.
    pub vin: Vin,
    /// How.
    pub channel: Channel,
    /// When it was first.
    pub first_at: Timestamp,
    /// When it was last.
    pub last_at: Timestamp,
    /// How many messages or answers.
    pub messages: u64,
}

/// How far the search for a vehicle's charging sessions got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChargingProgress {
    /// Grows with each change; 0 where there was none yet.
    pub version: i64,
    /// The last event that was searched.
    pub cursor: Sequence,
    /// What is known after that event.
    pub detector: Detector,
}

/// A step of the search with one vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargingUpdate {
    /// Whose sessions.
    pub vin: Vin,
    /// How far it is now, with the version at which it was read.
    pub progress: ChargingProgress,
    /// Sessions that nothing can change any more; they are added.
    pub settled: Vec<Session>,
    /// The others; they replace those of the step before.
    pub unsettled: Vec<Session>,
}

/// Charging sessions of one vehicle that are kept, the newest: five years of one a day.
pub const CHARGING_SESSIONS_MAX: u32 = 2000;

/// How many REST requests a client made for a customer on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyRequests {
    /// Whose data.
    pub gcid: Gcid,
    /// Which client.
    pub client_id: ClientId,
    /// How many.
    pub requests: u32,
}

/// A program that may report events of vehicles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What the operator calls it; there are no two of one name.
    pub name: String,
    /// The hash of the key that it shows.
    pub key_hash: TokenHash,
    /// The vehicles that it may report for; `None` is any.
    pub vins: Option<Vec<Vin>>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// What a request with an idempotency key was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestAnswer {
    /// The hash of what the sender showed.
    pub sender: TokenHash,
    /// The sender's name for the request.
    pub key: String,
    /// The hash of what was sent.
    pub body_hash: TokenHash,
    /// The HTTP status.
    pub status: u16,
    /// The body of the answer.
    pub answer: String,
    /// When it was answered.
    pub kept_at: Timestamp,
}

/// A certificate that was issued to a vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VehicleCertificate {
    /// Its serial number, in lower-case hexadecimal.
    pub serial: String,
    /// Whose.
    pub vin: Vin,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The first instant at which it is no longer good.
    pub expires_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// Which lines of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerQuery {
    /// Of one customer, or of all.
    pub gcid: Option<Gcid>,
    /// Only the record of consents.
    pub on_consent: bool,
    /// Only lines with a lower number than this.
    pub before: Option<u64>,
    /// How many at the most, the newest first.
    pub limit: u32,
}

/// What an operator adds at once.
#[derive(Debug, Clone, Default)]
pub struct Additions {
    /// Customers who are new.
    pub customers: Vec<Customer>,
    /// Vehicles that are new, or replace those with the same VIN.
    pub vehicles: Vec<Vehicle>,
    /// Links that are new, or replace those of the same customer and vehicle.
    pub mappings: Vec<Mapping>,
    /// What the ledger says of it.
    pub records: Vec<Record>,
}

/// Why nothing was added.
#[derive(Debug, Error)]
pub enum AddError {
    /// A customer with one of the e-mail addresses is there already.
    #[error("the e-mail address is another customer's")]
    EmailTaken,
    /// One of the links would give a vehicle a second PRIMARY.
    #[error("vehicle {0} has another PRIMARY")]
    SecondPrimary(Vin),
    /// The store failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// A key that signs id tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Its name in token headers and in the JWKS.
    pub kid: String,
    /// The private key, PKCS #8 in PEM.
    pub private_pem: String,
    /// When it was made; the newest signs, older ones still verify.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A vehicle that a client may stream for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetVehicle {
    /// Which.
    pub vin: Vin,
    /// Whose.
    pub gcid: Gcid,
    /// Since when there was a consent at each moment.
    pub since: Timestamp,
    /// When the consent ends that lasts longest, exclusively; `None` until somebody ends it.
    pub until: Option<Timestamp>,
}

/// How many containers a customer may have, and which of them count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerLimit {
    /// So many ACTIVE ones for each customer and client.
    ActivePerClient(u32),
    /// So many for each customer over all clients; deleted ones count while they were deleted after this instant.
    PerCustomer {
        /// How many.
        max: u32,
        /// Deleted ones count while `deleted_at` is later than this.
        deleted_count_since: Timestamp,
    },
}

/// Why a container was not added.
#[derive(Debug, Error)]
pub enum AddContainerError {
    /// The customer has as many as allowed.
    #[error("the maximum of {0} containers is reached")]
    LimitReached(u32),
    /// The store failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// The store below failed; what it was doing may or may not have been done.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// It could not be opened, read or written.
    #[error("the directory's store failed while it was to {action}")]
    Store {
        /// What it was to do.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row holds what no version of this program writes.
    #[error("the directory holds `{value}` where a {expected} belongs")]
    Damaged {
        /// What belongs there.
        expected: &'static str,
        /// What is there; never a secret.
        value: String,
    },
}

/// Refresh tokens, and access tokens, that one consent may have at a time, so that a client which refreshes without a
/// pause can't fill the disk; one that refreshes every half minute needs 120 an hour.
pub const TOKENS_MAX: u32 = 1000;

/// Persistent sessions that one client may have at one customer, unless a directory is told another number. Far more
/// than connections: programs that draw a new name for each connection leave sessions behind that nobody comes back to.
pub const SESSIONS_MAX: u32 = 100;

/// The directory. Each method is one transaction: done whole, durable when it returns, or not at all.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    // Customers and vehicles.

    /// Adds a customer, or replaces the one with the same GCID.
    async fn put_customer(&self, customer: &Customer) -> Result<(), DirectoryError>;
    /// The customer who logs in as `email`, without regard to case.
    async fn customer_by_email(&self, email: &str) -> Result<Option<Customer>, DirectoryError>;
    /// The customer with this id.
    async fn customer(&self, gcid: Gcid) -> Result<Option<Customer>, DirectoryError>;
    /// Every customer, the oldest first.
    async fn customers(&self) -> Result<Vec<Customer>, DirectoryError>;
    /// Customers by their GCID, at most `limit` of those that come after `after`.
    async fn customers_after(
        &self,
        after: Option<Gcid>,
        limit: u32,
    ) -> Result<Vec<Customer>, DirectoryError>;
    /// Adds all of `additions`, or nothing. Of two that would each give a vehicle its PRIMARY, one is refused.
    async fn add(&self, additions: &Additions) -> Result<(), AddError>;
    /// Gives a customer another password; whether there is such a customer. Log-ins of clients that were approved with
    /// the old one and did not get their tokens yet get none any more.
    async fn set_password(&self, gcid: Gcid, password_hash: &str) -> Result<bool, DirectoryError>;
    /// Deletes a customer and all that is known of them: mappings, personal clients, consents, tokens, containers, choices,
    /// sessions, counts and lines of the ledger. Vehicles stay. Whether there was such a customer.
    async fn delete_customer(&self, gcid: Gcid) -> Result<bool, DirectoryError>;
    /// Adds a vehicle, or replaces the one with the same VIN.
    async fn put_vehicle(&self, vehicle: &Vehicle) -> Result<(), DirectoryError>;
    /// The vehicle with this number.
    async fn vehicle(&self, vin: Vin) -> Result<Option<Vehicle>, DirectoryError>;
    /// Every vehicle, by its number.
    async fn vehicles(&self) -> Result<Vec<Vehicle>, DirectoryError>;
    /// Vehicles by their number, at most `limit` of those that come after `after`.
    async fn vehicles_after(
        &self,
        after: Option<Vin>,
        limit: u32,
    ) -> Result<Vec<Vehicle>, DirectoryError>;
    /// Links a customer to a vehicle, or changes the link; whether the vehicle has another PRIMARY is not looked at, as
    /// [`Directory::add`] does.
    async fn put_mapping(&self, mapping: &Mapping) -> Result<(), DirectoryError>;
    /// Ends a link; whether there was one.
    async fn remove_mapping(&self, gcid: Gcid, vin: Vin) -> Result<bool, DirectoryError>;
    /// A customer's links, the oldest first.
    async fn mappings(&self, gcid: Gcid) -> Result<Vec<Mapping>, DirectoryError>;
    /// The links of a vehicle, the oldest first.
    async fn mappings_of_vehicle(&self, vin: Vin) -> Result<Vec<Mapping>, DirectoryError>;

    // Clients and consents.

    /// Adds a client, or replaces the one with the same id; one that was deleted stays so.
    async fn put_client(&self, client: &Client) -> Result<(), DirectoryError>;
    /// The client with this id.
    async fn client(&self, id: ClientId) -> Result<Option<Client>, DirectoryError>;
    /// The personal clients of a customer, the oldest first; also deleted ones.
    async fn clients_of(&self, owner: Gcid) -> Result<Vec<Client>, DirectoryError>;
    /// Every client, the oldest first; also deleted ones.
    async fn clients(&self) -> Result<Vec<Client>, DirectoryError>;
    /// Clients by their id, at most `limit` of those that come after `after`; also deleted ones.
    async fn clients_after(
        &self,
        after: Option<ClientId>,
        limit: u32,
    ) -> Result<Vec<Client>, DirectoryError>;
    /// The consent with this id.
    async fn consent(&self, id: ConsentId) -> Result<Option<Consent>, DirectoryError>;
    /// A customer's consents, the oldest first; also those that ended.
    async fn consents_of(&self, gcid: Gcid) -> Result<Vec<Consent>, DirectoryError>;
    /// The consents to a client that were not ended, the oldest first; also those whose time is over.
    async fn consents_to(&self, client_id: ClientId) -> Result<Vec<Consent>, DirectoryError>;
    /// What `client_id` may stream for itself at `now`: the PRIMARY vehicles of each customer with an active consent to
    /// it that has the scope of the stream; each vehicle once, in the order of their numbers.
    async fn fleet(
        &self,
        client_id: ClientId,
        now: Timestamp,
    ) -> Result<Vec<FleetVehicle>, DirectoryError>;
    /// The consents that were not ended and whose time is over at `now`.
    async fn expired_consents(&self, now: Timestamp) -> Result<Vec<Consent>, DirectoryError>;
    /// Ends a consent and every token that rests on it; false when it was ended before or never was.
    async fn end_consent(
        &self,
        id: ConsentId,
        at: Timestamp,
        why: EndReason,
    ) -> Result<bool, DirectoryError>;

    // What customers choose for a client.

    /// The descriptors that a customer ticked for a client, and that count like one more container.
    async fn stream_configuration(
        &self,
        gcid: Gcid,
        client_id: ClientId,
    ) -> Result<Vec<String>, DirectoryError>;
    /// Replaces them.
    async fn put_stream_configuration(
        &self,
        gcid: Gcid,
        client_id: ClientId,
        descriptors: &[String],
        now: Timestamp,
    ) -> Result<(), DirectoryError>;
    /// How exactly a client may know a customer's places; exactly, until the customer chose.
    async fn location_settings(
        &self,
        gcid: Gcid,
        client_id: ClientId,
    ) -> Result<Settings, DirectoryError>;
    /// Replaces that.
    async fn put_location_settings(
        &self,
        gcid: Gcid,
        client_id: ClientId,
        settings: Settings,
    ) -> Result<(), DirectoryError>;
    /// A customer's zones, by name.
    async fn zones(&self, gcid: Gcid) -> Result<Vec<Zone>, DirectoryError>;
    /// Adds a zone; false when the customer has [`ZONES_MAX`](cardata_domain::privacy::ZONES_MAX) already.
    async fn add_zone(&self, gcid: Gcid, zone: &Zone) -> Result<bool, DirectoryError>;
    /// Removes a customer's zone; whether there was one.
    async fn remove_zone(&self, gcid: Gcid, id: ZoneId) -> Result<bool, DirectoryError>;

    // What happened.

    /// Adds lines to the ledger, all or none. Those of customers that are gone are left out, so that none comes back by
    /// what was under way when its customer was deleted.
    async fn append_to_ledger(&self, records: &[Record]) -> Result<(), DirectoryError>;
    /// Lines of the ledger with their numbers, the newest first.
    async fn ledger(&self, query: LedgerQuery) -> Result<Vec<(u64, Record)>, DirectoryError>;
    /// Drops lines from before `before`, except the record of consents; how many.
    async fn prune_ledger(&self, before: Timestamp) -> Result<u64, DirectoryError>;
    /// Adds to what clients were sent: of each the earlier first time, the later last time, and the sum of messages.
    /// Those of customers and clients that are gone are left out.
    async fn count_deliveries(&self, deliveries: &[Delivery]) -> Result<(), DirectoryError>;
    /// What clients were sent of a customer's vehicles.
    async fn deliveries(&self, gcid: Gcid) -> Result<Vec<Delivery>, DirectoryError>;

    /// Replaces how many requests there were on `day`, for each that is named. Those of customers and clients that are
    /// gone are left out; of earlier days nothing need be kept.
    async fn put_requests(
        &self,
        day: Date,
        counted: &[DailyRequests],
    ) -> Result<(), DirectoryError>;
    /// How many requests there were on `day`.
    async fn requests(&self, day: Date) -> Result<Vec<DailyRequests>, DirectoryError>;

    // What lets events in.

    /// Adds a source; false when there is one of the same name.
    async fn add_source(&self, source: &Source) -> Result<bool, DirectoryError>;
    /// Every source, by name.
    async fn sources(&self) -> Result<Vec<Source>, DirectoryError>;
    /// The source whose key has this hash.
    async fn source(&self, key_hash: &TokenHash) -> Result<Option<Source>, DirectoryError>;
    /// Removes a source with what its requests were answered; whether there was one.
    async fn remove_source(&self, name: &str) -> Result<bool, DirectoryError>;
    /// What the sender's request of this name was answered.
    async fn ingest_answer(
        &self,
        sender: &TokenHash,
        key: &str,
    ) -> Result<Option<IngestAnswer>, DirectoryError>;
    /// Keeps an answer in place of an earlier one of the same sender and key, and drops all from before `before`.
    async fn put_ingest_answer(
        &self,
        answer: &IngestAnswer,
        before: Timestamp,
    ) -> Result<(), DirectoryError>;
    /// Adds certificates of known vehicles, all or none. Those that expired before `now` go.
    async fn add_certificates(
        &self,
        certificates: &[VehicleCertificate],
        now: Timestamp,
    ) -> Result<(), DirectoryError>;
    /// Certificates by their serial numbers, of one vehicle or of all, at most `limit` of those that come after `serial`.
    async fn certificates_after(
        &self,
        vin: Option<Vin>,
        serial: Option<&str>,
        limit: u32,
    ) -> Result<Vec<VehicleCertificate>, DirectoryError>;
    /// The revoked certificates that would else be good at `now`.
    async fn revoked_certificates(
        &self,
        now: Timestamp,
    ) -> Result<Vec<VehicleCertificate>, DirectoryError>;
    /// Revokes a vehicle's certificate of this serial number, or all of the vehicle's; gives the serial numbers of those
    /// that were not revoked before.
    async fn revoke_certificates(
        &self,
        vin: Vin,
        serial: Option<&str>,
        at: Timestamp,
    ) -> Result<Vec<String>, DirectoryError>;

    // The device code flow and tokens.

    /// Adds a grant. Grants that expired more than an hour before `now` may go.
    async fn add_device_grant(
        &self,
        grant: &DeviceGrant,
        now: Timestamp,
    ) -> Result<(), DirectoryError>;
    /// The grant with this device code.
    async fn device_grant(
        &self,
        device_code_hash: &TokenHash,
    ) -> Result<Option<DeviceGrant>, DirectoryError>;
    /// The grant with this user code, compared exactly; of several the newest.
    async fn device_grant_by_user_code(
        &self,
        user_code: &str,
    ) -> Result<Option<DeviceGrant>, DirectoryError>;
    /// Notes when the client polled last.
    async fn note_poll(
        &self,
        device_code_hash: &TokenHash,
        now: Timestamp,
    ) -> Result<(), DirectoryError>;
    /// Moves a grant from state `from` to `to`; false when it was not in `from`, and then nothing happened. The consent
    /// that comes of it will last as `lasts` says.
    async fn move_device_grant(
        &self,
        device_code_hash: &TokenHash,
        from: State,
        to: State,
        lasts: Option<SignedDuration>,
    ) -> Result<bool, DirectoryError>;
    /// Exchanges an approved grant: moves it from `approved` to [`State::Exchanged`] and adds the consent with its first
    /// tokens, all or nothing. False when another exchange came first; nothing happened then.
    async fn exchange_device_grant(
        &self,
        device_code_hash: &TokenHash,
        approved: State,
        consent: &Consent,
        refresh: &RefreshToken,
        access: &AccessToken,
    ) -> Result<bool, DirectoryError>;
    /// The refresh token with this hash.
    async fn refresh_token(&self, hash: &TokenHash)
    -> Result<Option<RefreshToken>, DirectoryError>;
    /// Marks `used` as rotated at `now`, if it was not yet, and adds its successors. False when `used` is no longer as
    /// the caller read it, since another rotation or a revocation came first; nothing happened then.
    ///
    /// Refresh tokens that expired before `now` go; access tokens a day later, so that their users are told why. Of the
    /// consent's tokens the [`TOKENS_MAX`] that expire last stay.
    async fn rotate_refresh_token(
        &self,
        used: &RefreshToken,
        refresh: &RefreshToken,
        access: &AccessToken,
        now: Timestamp,
    ) -> Result<bool, DirectoryError>;
    /// Ends one access token before its time; whether there was one.
    async fn revoke_access_token(&self, hash: &TokenHash) -> Result<bool, DirectoryError>;
    /// Adds a token with which a client acts for itself. Those of the client that expired before `now` go, and of the
    /// others the [`TOKENS_MAX`] that expire last stay.
    async fn add_client_token(
        &self,
        token: &ClientToken,
        now: Timestamp,
    ) -> Result<(), DirectoryError>;
    /// The client's token with this hash.
    async fn client_token(&self, hash: &TokenHash) -> Result<Option<ClientToken>, DirectoryError>;
    /// Ends every token of a client for itself; how many there were.
    async fn revoke_client_tokens_of(&self, client_id: ClientId) -> Result<u64, DirectoryError>;
    /// Ends a client's token before its time; whether there was one.
    async fn revoke_client_token(&self, hash: &TokenHash) -> Result<bool, DirectoryError>;
    /// The access token with this hash.
    async fn access_token(&self, hash: &TokenHash) -> Result<Option<AccessToken>, DirectoryError>;
    /// Adds a key that signs from now on.
    async fn add_signing_key(&self, key: &SigningKey) -> Result<(), DirectoryError>;
    /// Every key, the newest first.
    async fn signing_keys(&self) -> Result<Vec<SigningKey>, DirectoryError>;
    /// Removes a key, whose tokens are good no longer; whether there was one.
    async fn remove_signing_key(&self, kid: &str) -> Result<bool, DirectoryError>;

    // Containers.

    /// Adds a container unless `limit` is reached; counting and adding are one step, so two at a time can't pass it.
    async fn add_container(
        &self,
        container: &Container,
        limit: ContainerLimit,
    ) -> Result<(), AddContainerError>;
    /// The container with this id, also when it was deleted.
    async fn container(&self, id: ContainerId) -> Result<Option<Container>, DirectoryError>;
    /// The ACTIVE containers of a customer and client, the oldest first.
    async fn containers(
        &self,
        gcid: Gcid,
        client_id: ClientId,
    ) -> Result<Vec<Container>, DirectoryError>;
    /// Deletes a container; false when it was deleted before or never was.
    async fn delete_container(
        &self,
        id: ContainerId,
        now: Timestamp,
    ) -> Result<bool, DirectoryError>;

    // MQTT sessions.

    /// The persistent session of this key, unless it has expired at `now`.
    async fn session(
        &self,
        key: &SessionKey,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, DirectoryError>;
    /// Adds a persistent session or replaces all that is known of it. It is connected from now on, does not expire until
    /// [`Directory::rest_session`], and has left nothing behind, whatever `session` says.
    ///
    /// Of the sessions of one customer and client so many stay as the directory was told, [`SESSIONS_MAX`] unless it was:
    /// those that were put last. Gives the names of those that ended with it.
    async fn put_session(
        &self,
        key: &SessionKey,
        session: &StoredSession,
    ) -> Result<Vec<SessionKey>, DirectoryError>;
    /// Moves cursors of sessions that exist forward; those of others are left out, and none moves back. Many sessions in
    /// one transaction.
    async fn move_cursors(
        &self,
        moves: &[(SessionKey, Vec<(Vin, Sequence)>)],
    ) -> Result<(), DirectoryError>;
    /// The same as [`Directory::put_session`] for a session whose connection has ended at `now`: with what it left
    /// behind, and kept for as long as it says from then on. It counts as put, and others may end with it.
    async fn rest_session(
        &self,
        key: &SessionKey,
        session: &StoredSession,
        now: Timestamp,
    ) -> Result<Vec<SessionKey>, DirectoryError>;
    /// To be called before the first connection, with the journal's `newest` event. Sessions that a crash found
    /// connected are at rest from `now` on. What sessions left behind is forgotten where it speaks of events that a
    /// crash took with it: their numbers will be given to others.
    async fn recover_sessions(
        &self,
        newest: Sequence,
        now: Timestamp,
    ) -> Result<(), DirectoryError>;
    /// Ends the sessions that have expired at `now`, and gives their names.
    async fn remove_expired_sessions(
        &self,
        now: Timestamp,
    ) -> Result<Vec<SessionKey>, DirectoryError>;
    /// Ends a persistent session; whether there was one.
    async fn remove_session(&self, key: &SessionKey) -> Result<bool, DirectoryError>;
    /// Ends every persistent session of a client at a customer, or its fleet's where there is none, so that nothing of
    /// its backlog is left; which.
    async fn remove_sessions_of(
        &self,
        gcid: Option<Gcid>,
        client_id: ClientId,
    ) -> Result<Vec<SessionKey>, DirectoryError>;
    /// Forgets how far a customer's sessions got with a vehicle that is theirs no longer.
    async fn remove_cursors_of(&self, gcid: Gcid, vin: Vin) -> Result<(), DirectoryError>;
    /// Forgets how far fleets' sessions got with `vehicles`, which they may read no longer, and what they left behind of
    /// them: those of `client_id`, or of all clients.
    async fn leave_fleets(
        &self,
        client_id: Option<ClientId>,
        vehicles: &[Vin],
    ) -> Result<(), DirectoryError>;

    // Charging sessions.

    /// The vehicles that have a plug and a PRIMARY, each with the last event in which charging sessions were searched.
    async fn charging_cursors(&self) -> Result<Vec<(Vin, Sequence)>, DirectoryError>;
    /// How far the search got with a vehicle. A detector that can't be read, as of another version of this program, is a
    /// new one.
    async fn charging_progress(&self, vin: Vin) -> Result<ChargingProgress, DirectoryError>;
    /// Moves the search on with several vehicles; of each the [`CHARGING_SESSIONS_MAX`] newest sessions stay. Gives with
    /// how many that was done: a vehicle is left out when its version is not as it was read, since it was searched or
    /// forgotten meanwhile.
    async fn put_charging(&self, updates: &[ChargingUpdate]) -> Result<usize, DirectoryError>;
    /// A vehicle's charging sessions that began at `from` or later and earlier than `before`, the newest first, at most
    /// `limit`.
    async fn charging_sessions(
        &self,
        vin: Vin,
        from: Timestamp,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Session>, DirectoryError>;
    /// Forgets a vehicle's charging sessions, and what is known of one under way. A search that read its progress before
    /// can't write any more.
    async fn forget_charging(&self, vin: Vin) -> Result<(), DirectoryError>;

    /// Lets go of the store and leaves it in a form that can be copied; later calls fail.
    async fn close(&self);
}

//! Everything but events: customers, vehicles, clients, consents, containers, tokens and sessions.
//!
//! "Not there" is `Option`, not an error. Secrets come in hashed ([`TokenHash`]); the directory never sees a token.

pub mod sqlite;

use async_trait::async_trait;
use cardata_domain::client::Client;
use cardata_domain::consent::{Consent, ConsentId};
use cardata_domain::container::{Container, ContainerId};
use cardata_domain::customer::Customer;
use cardata_domain::device_grant::{DeviceGrant, State};
use cardata_domain::event::Sequence;
use cardata_domain::session::{SessionKey, StoredSession};
use cardata_domain::vehicle::{Mapping, Vehicle};
use cardata_domain::{ClientId, Gcid, Vin};
use jiff::Timestamp;
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
    /// When it was exchanged for its successor.
    pub rotated_at: Option<Timestamp>,
}

/// An access token at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Its hash.
    pub hash: TokenHash,
    /// The consent that it rests on.
    pub consent_id: ConsentId,
    /// The first instant at which it is no longer good.
    pub expires_at: Timestamp,
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
    /// Adds a vehicle, or replaces the one with the same VIN.
    async fn put_vehicle(&self, vehicle: &Vehicle) -> Result<(), DirectoryError>;
    /// The vehicle with this number.
    async fn vehicle(&self, vin: Vin) -> Result<Option<Vehicle>, DirectoryError>;
    /// Links a customer to a vehicle, or changes the link.
    async fn put_mapping(&self, mapping: &Mapping) -> Result<(), DirectoryError>;
    /// Ends a link; whether there was one.
    async fn remove_mapping(&self, gcid: Gcid, vin: Vin) -> Result<bool, DirectoryError>;
    /// A customer's links, the oldest first.
    async fn mappings(&self, gcid: Gcid) -> Result<Vec<Mapping>, DirectoryError>;

    // Clients and consents.

    /// Adds a client, or replaces the one with the same id.
    async fn put_client(&self, client: &Client) -> Result<(), DirectoryError>;
    /// The client with this id.
    async fn client(&self, id: ClientId) -> Result<Option<Client>, DirectoryError>;
    /// The personal clients of a customer, the oldest first.
    async fn clients_of(&self, owner: Gcid) -> Result<Vec<Client>, DirectoryError>;
    /// The consent with this id.
    async fn consent(&self, id: ConsentId) -> Result<Option<Consent>, DirectoryError>;
    /// Ends a consent and every token that rests on it; whether it was active until now.
    async fn revoke_consent(&self, id: ConsentId, now: Timestamp) -> Result<bool, DirectoryError>;

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
    /// Moves a grant from state `from` to `to`; false when it was not in `from`, and then nothing happened.
    async fn move_device_grant(
        &self,
        device_code_hash: &TokenHash,
        from: State,
        to: State,
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
    /// The access token with this hash.
    async fn access_token(&self, hash: &TokenHash) -> Result<Option<AccessToken>, DirectoryError>;
    /// Adds a key that signs from now on.
    async fn add_signing_key(&self, key: &SigningKey) -> Result<(), DirectoryError>;
    /// Every key, the newest first.
    async fn signing_keys(&self) -> Result<Vec<SigningKey>, DirectoryError>;

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
    /// Of the sessions of one customer and client so many stay as the directory was told, [`SESSIONS_MAX`] unless it was:
    /// those that were put last.
    async fn put_session(
        &self,
        key: &SessionKey,
        session: &StoredSession,
    ) -> Result<(), DirectoryError>;
    /// Moves cursors of sessions that exist forward; those of others are left out, and none moves back. Many sessions in
    /// one transaction.
    async fn move_cursors(
        &self,
        moves: &[(SessionKey, Vec<(Vin, Sequence)>)],
    ) -> Result<(), DirectoryError>;
    /// The same as [`Directory::put_session`] for a session whose connection has ended at `now`: with what it left
    /// behind, and kept for as long as it says from then on.
    async fn rest_session(
        &self,
        key: &SessionKey,
        session: &StoredSession,
        now: Timestamp,
    ) -> Result<(), DirectoryError>;
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

    /// Lets go of the store and leaves it in a form that can be copied; later calls fail.
    async fn close(&self);
}

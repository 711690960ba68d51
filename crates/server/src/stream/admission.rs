//! Who is let in, and what the session then sees.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cardata_contract::stream::encode;
use cardata_domain::consent::ConsentId;
use cardata_domain::event::Payloads;
use cardata_domain::projection::View;
use cardata_domain::session::{SessionKey, StoredSession};
use cardata_domain::token::{Claims, ClientClaims, Refusal, Scope, check, check_client};
use cardata_domain::vehicle;
use cardata_domain::{ClientId, Event, Gcid, Recorded, Sequence, Vin};
use cardata_mqtt::packet::{Auth, Connect};
use cardata_mqtt::{Admission, ConnectRefusal, Qos, Reader, Source, Vehicles, Version, topic};
use cardata_store::directory::DirectoryError;
use thiserror::Error;

use crate::attempts::Peer;
use crate::entitlements::ViewCell;
use crate::faults::{Kind, Whom};
use crate::gcdm::verify::{self, VerifyError};
use crate::platform::Platform;
use crate::profile::{Connections, Delivery};
use crate::secret;
use crate::stream::fleet::{Fleet, FleetViews};
use crate::stream::router::{
    Arrivals, FLEET_MAILBOX_MAX, MAILBOX_MAX, Mailbox, Registration, Router,
};

/// The method of authentication that carries a token (MQTT 5 §4.12), so that a fresh one can follow without a gap.
pub(crate) const AUTH_METHOD: &str = "cardata-token";
/// Bytes that a client identifier may have; those of known clients have up to 60.
const CLIENT_ID_MAX: usize = 256;

/// Why a CONNECT is refused; each reason has its return code (wire §2.3) and stands in the log.
#[derive(Debug, Error)]
pub(crate) enum RefusedConnect {
    #[error("too many CONNECTs came from this address; wait a minute")]
    Rate,
    #[error("there is no token in the password field; send an id token or an access token")]
    NoToken,
    #[error("the token is not genuine, or its consent was ended; log in again")]
    Token,
    #[error(
        "a client identifier that begins with `{}` names a group; choose another",
        topic::SHARE
    )]
    GroupName,
    #[error("the token expired at {0}; refresh it")]
    Expired(jiff::Timestamp),
    #[error(
        "the token lacks the scope cardata:streaming:read; subscribe the client to the stream and log in again"
    )]
    Scope,
    #[error("the user name is not the GCID that the token is for")]
    UserName,
    #[error("the token is a client's own, and the user name is not its client id")]
    FleetUserName,
    #[error("the only method of authentication is `{AUTH_METHOD}`, with a token as its data")]
    AuthMethod,
    #[error("the client identifier is longer than {CLIENT_ID_MAX} bytes")]
    ClientId,
    #[error(
        "nothing is retained here, and so no Will; connect without one, or with one that is not to be retained"
    )]
    RetainedWill,
    #[error("the customer has as many connections as the profile allows; end one of them first")]
    Occupied,
    #[error("it is refused on purpose, by a fault of the sandbox")]
    OnPurpose(ConnectRefusal),
    #[error("the directory failed")]
    Directory(#[from] DirectoryError),
}

impl RefusedConnect {
    pub(crate) fn code(&self) -> ConnectRefusal {
        match self {
            Self::Rate => ConnectRefusal::ConnectionRateExceeded,
            Self::NoToken | Self::Token | Self::Expired(_) => ConnectRefusal::BadUserNameOrPassword,
            Self::Scope | Self::UserName | Self::FleetUserName | Self::Occupied => {
                ConnectRefusal::NotAuthorized
            }
            Self::AuthMethod => ConnectRefusal::BadAuthenticationMethod,
            Self::ClientId | Self::GroupName => ConnectRefusal::IdentifierRejected,
            Self::RetainedWill => ConnectRefusal::RetainNotSupported,
            Self::OnPurpose(refusal) => *refusal,
            Self::Directory(_) => ConnectRefusal::ServerUnavailable,
        }
    }
}

/// A client that was let in.
pub(crate) struct Admitted {
    pub(crate) admission: Admission,
    pub(crate) registration: Registration,
    pub(crate) arrivals: Arrivals,
    /// With a client's own token.
    pub(crate) fleet: Option<Box<Fleet>>,
}

/// Who shows a token that is genuine.
enum Bearer {
    /// A client that a customer let in.
    Customer(Claims),
    /// A client for itself.
    Client(ClientClaims),
}

impl Bearer {
    fn client_id(&self) -> ClientId {
        match self {
            Self::Customer(claims) => claims.client_id,
            Self::Client(claims) => claims.client_id,
        }
    }

    fn gcid(&self) -> Option<Gcid> {
        match self {
            Self::Customer(claims) => Some(claims.gcid),
            Self::Client(_) => None,
        }
    }

    fn consent_id(&self) -> Option<ConsentId> {
        match self {
            Self::Customer(claims) => Some(claims.consent_id),
            Self::Client(_) => None,
        }
    }

    fn expires_at(&self) -> jiff::Timestamp {
        match self {
            Self::Customer(claims) => claims.expires_at,
            Self::Client(claims) => claims.expires_at,
        }
    }

    /// Whether it opens the stream at `now`.
    fn check(&self, now: jiff::Timestamp) -> Result<(), Refusal> {
        match self {
            Self::Customer(claims) => check(claims, Scope::StreamingRead, now),
            Self::Client(claims) => check_client(claims, Scope::StreamingRead, now),
        }
    }
}

/// Lets the sender of `connect` in, or says why not.
pub(crate) async fn admit(
    platform: &Arc<Platform>,
    connect: &Connect,
    peer: Peer,
    now: Instant,
) -> Result<Admitted, RefusedConnect> {
    // Before the token: whoever sends too many gets no signature checked and no row read.
    if !platform.door.hears(peer, platform.clock.now()) {
        return Err(RefusedConnect::Rate);
    }
    let bearer = authenticate(platform, connect).await?;
    // [MQTT-3.2.2-13]; 3.1.1 has no words for it.
    if connect.version == Version::V5 && connect.retained_will && !platform.profile.snapshots {
        return Err(RefusedConnect::RetainedWill);
    }
    let key = session_key(&bearer, &connect.client_id)?;
    let refused = platform.struck(Whom::of(&key), |fault| match fault.kind {
        Kind::RefuseConnect(refusal) => Some(refusal),
        _ => None,
    });
    if let Some(refusal) = refused {
        return Err(RefusedConnect::OnPurpose(refusal));
    }
    let limit = match bearer {
        Bearer::Customer(_) => platform.profile.connections,
        Bearer::Client(_) => Connections::PerClient(platform.profile.connections_per_fleet),
    };
    let registration = platform
        .router
        .register(key.clone(), bearer.consent_id(), limit)
        .await
        .map_err(|_| RefusedConnect::Occupied)?;
    // Looked up after the registration: a right that ends from now on finds the connection and closes it.
    still_good(platform, connect, &bearer).await?;
    let kept = kept_session(platform, &key, connect.clean_start).await?;
    let capacity = match bearer {
        Bearer::Customer(_) => MAILBOX_MAX,
        Bearer::Client(_) => FLEET_MAILBOX_MAX,
    };
    let (mailbox, arrivals) = Router::mailbox(capacity);
    let (reader, vehicles, views, fleet) = match &bearer {
        Bearer::Customer(claims) => {
            let view = platform.entitlements.cell(claims.gcid, claims.client_id).await?;
            let vehicles = vehicles(platform, claims.gcid, claims.client_id).await?;
            (Reader::Customer(claims.gcid), vehicles, Views::Customer(view), None)
        }
        Bearer::Client(claims) => {
            let mut fleet = Box::new(Fleet::new(claims.client_id));
            let vehicles = fleet.look(platform).await?.vehicles;
            (Reader::Fleet, vehicles, Views::Fleet(fleet.views()), Some(fleet))
        }
    };
    let source = LiveSource { views, platform: platform.clone(), mailbox, attached: Vec::new() };
    let admission = Admission {
        reader,
        assigned_client_id: connect.client_id.is_empty().then_some(key.mqtt_client_id),
        vehicles,
        expires_at: expires_at(platform, &bearer, now),
        qos_max: match platform.profile.delivery {
            Delivery::AsGranted => Qos::ExactlyOnce,
            Delivery::AtMostOnce => Qos::AtMostOnce,
        },
        snapshots: platform.profile.snapshots,
        keeps_sessions: platform.profile.delivery == Delivery::AsGranted,
        kept,
        source: Box::new(source),
    };
    Ok(Admitted { admission, registration, arrivals, fleet })
}

/// Whether what `bearer` rests on has not ended since it was looked at.
async fn still_good(
    platform: &Platform,
    connect: &Connect,
    bearer: &Bearer,
) -> Result<(), RefusedConnect> {
    match bearer {
        Bearer::Customer(claims) => {
            let consent = platform.directory.consent(claims.consent_id).await?;
            let is_active =
                |consent: cardata_domain::consent::Consent| consent.is_active(platform.clock.now());
            consent.is_some_and(is_active).then_some(()).ok_or(RefusedConnect::Token)
        }
        Bearer::Client(_) => verified(platform, token(connect)?).await.map(drop),
    }
}

/// The token's end on the clock that timers go by.
fn expires_at(platform: &Platform, bearer: &Bearer, now: Instant) -> Instant {
    let lifetime = bearer.expires_at().duration_since(platform.clock.now());
    now + Duration::try_from(lifetime).unwrap_or(Duration::ZERO)
}

/// The vehicles of which the customer is PRIMARY.
pub(crate) async fn vehicles(
    platform: &Platform,
    gcid: Gcid,
    client_id: ClientId,
) -> Result<Vehicles, DirectoryError> {
    let mappings = platform.mappings(gcid, client_id).await?;
    Ok(Vehicles::of(gcid, vehicle::primary(&mappings)))
}

/// Until when a connection may go on with the fresh token in `auth`; `None` if it may not, as the token is not good, or is
/// for another customer, client or consent than the connection.
pub(crate) async fn reauthenticate(
    platform: &Platform,
    registration: &Registration,
    auth: &Auth,
    now: Instant,
) -> Option<Instant> {
    let bearer = verified(platform, &auth.data).await.ok()?;
    let key = registration.key();
    let is_same = (bearer.gcid(), bearer.client_id(), bearer.consent_id())
        == (key.gcid, key.client_id, registration.consent_id());
    is_same.then(|| expires_at(platform, &bearer, now))
}

/// Who shows a token that is genuine, in time, and good for the stream.
async fn verified(platform: &Platform, token: &[u8]) -> Result<Bearer, RefusedConnect> {
    let token = std::str::from_utf8(token).map_err(|_| RefusedConnect::Token)?;
    let bearer = match verify::stream_password(platform, token).await {
        // No customer's; a client's own, perhaps.
        Err(VerifyError::Invalid) => {
            verify::client_token(platform, token).await.map(Bearer::Client)
        }
        verified => verified.map(Bearer::Customer),
    };
    let bearer = bearer.map_err(|error| match error {
        VerifyError::Invalid | VerifyError::Revoked | VerifyError::NoConsent => {
            RefusedConnect::Token
        }
        VerifyError::Directory(error) => error.into(),
    })?;
    bearer.check(platform.clock.now()).map_err(|refusal| match refusal {
        Refusal::Expired(at) => RefusedConnect::Expired(at),
        Refusal::MissingScope(_) => RefusedConnect::Scope,
    })?;
    Ok(bearer)
}

/// The token that `connect` shows.
fn token(connect: &Connect) -> Result<&[u8], RefusedConnect> {
    let sent = match &connect.auth {
        Some(auth) if auth.method != AUTH_METHOD => return Err(RefusedConnect::AuthMethod),
        Some(auth) if !auth.data.is_empty() => Some(&auth.data),
        _ => connect.password.as_ref(),
    };
    sent.filter(|token| !token.is_empty()).map(|token| &**token).ok_or(RefusedConnect::NoToken)
}

async fn authenticate(platform: &Platform, connect: &Connect) -> Result<Bearer, RefusedConnect> {
    let bearer = verified(platform, token(connect)?).await?;
    // Identity comes from the token. Some clients append to the user name, as in `{gcid}/{e-mail}` (wire §2.2).
    let user_name = connect.user_name.as_deref().unwrap_or_default();
    let name = user_name.split('/').next().unwrap_or_default();
    let (expected, refusal) = match &bearer {
        Bearer::Customer(claims) => (claims.gcid.to_string(), RefusedConnect::UserName),
        Bearer::Client(claims) => (claims.client_id.to_string(), RefusedConnect::FleetUserName),
    };
    if name.eq_ignore_ascii_case(&expected) { Ok(bearer) } else { Err(refusal) }
}

fn session_key(bearer: &Bearer, mqtt_client_id: &str) -> Result<SessionKey, RefusedConnect> {
    if mqtt_client_id.len() > CLIENT_ID_MAX {
        return Err(RefusedConnect::ClientId);
    }
    // Groups are kept under such names beside a fleet's sessions.
    if bearer.gcid().is_none() && mqtt_client_id.starts_with(topic::SHARE) {
        return Err(RefusedConnect::GroupName);
    }
    let mqtt_client_id = match mqtt_client_id {
        "" => format!("assigned-{}", secret::uuid()),
        chosen => chosen.to_owned(),
    };
    Ok(SessionKey { gcid: bearer.gcid(), client_id: bearer.client_id(), mqtt_client_id })
}

/// The session to go on with; a clean one ends what there was. [MQTT-3.1.2-6]
async fn kept_session(
    platform: &Platform,
    key: &SessionKey,
    clean: bool,
) -> Result<Option<StoredSession>, DirectoryError> {
    if clean || platform.profile.delivery == Delivery::AtMostOnce {
        platform.cursors.forget(key);
        platform.directory.remove_session(key).await?;
        return Ok(None);
    }
    let known = platform.cursors.resume(key);
    let stored = platform.directory.session(key, platform.clock.now()).await?;
    if stored.is_none() {
        // Expired, perhaps; what is still known of it must not come back.
        platform.cursors.forget(key);
    }
    Ok(stored.map(|stored| known.over(stored)))
}

/// What a client may see; looked into at each delivery, so that a change of containers takes effect at once.
enum Views {
    Customer(Arc<ViewCell>),
    Fleet(Arc<FleetViews>),
}

/// A session's view of the journal, the router and what its client may see.
struct LiveSource {
    platform: Arc<Platform>,
    views: Views,
    mailbox: Arc<Mailbox>,
    attached: Vec<Vin>,
}

impl Source for LiveSource {
    fn attach(&mut self, vin: Vin) -> Sequence {
        // First the mailbox, then the head: an event in between arrives and is known to be before the head.
        self.platform.router.attach(vin, &self.mailbox);
        self.attached.push(vin);
        self.platform.journal.head(vin)
    }

    fn detach(&mut self, vin: Vin) {
        self.platform.router.detach(vin, &self.mailbox);
        self.attached.retain(|attached| *attached != vin);
    }

    fn payloads(&self, customer: Gcid, recorded: &Recorded) -> Payloads {
        let Some(view) = self.view(customer) else { return Payloads::default() };
        recorded.payloads(&view, |event, entries| encode(event, entries, view.gcid))
    }

    fn payloads_of_merged(&self, customer: Gcid, event: &Event) -> Payloads {
        let Some(view) = self.view(customer) else { return Payloads::default() };
        view.payloads(event, |event, entries| encode(event, entries, view.gcid))
    }

    fn note_oversized(&mut self) {
        metrics::counter!("cardata_mqtt_oversized_messages_total").increment(1);
    }

    fn note_gap(&mut self) {
        metrics::counter!("cardata_mqtt_gaps_total").increment(1);
    }

    fn note_merged(&mut self) {
        metrics::counter!("cardata_mqtt_merged_events_total").increment(1);
    }
}

impl LiveSource {
    /// What the client may see of a customer's vehicles at this moment, if anything.
    fn view(&self, customer: Gcid) -> Option<arc_swap::Guard<Arc<View>>> {
        match &self.views {
            Views::Customer(cell) => Some(cell.load()),
            Views::Fleet(views) => {
                views.of(customer, || self.platform.clock.now()).map(|cell| cell.load())
            }
        }
    }
}

impl Drop for LiveSource {
    fn drop(&mut self) {
        for vin in &self.attached {
            self.platform.router.detach(*vin, &self.mailbox);
        }
    }
}

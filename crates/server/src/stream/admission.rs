//! Who is let in, and what the session then sees.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cardata_contract::stream::encode;
use cardata_domain::event::Payloads;
use cardata_domain::session::{SessionKey, StoredSession};
use cardata_domain::token::{Claims, Refusal, Scope, check};
use cardata_domain::vehicle::MappingType;
use cardata_domain::{Event, Gcid, Recorded, Sequence, Vin};
use cardata_mqtt::packet::{Auth, Connect};
use cardata_mqtt::{Admission, ConnectRefusal, Qos, Source, Version};
use cardata_store::directory::DirectoryError;
use thiserror::Error;

use crate::attempts::Peer;
use crate::entitlements::ViewCell;
use crate::gcdm::verify::{self, VerifyError};
use crate::platform::Platform;
use crate::profile::Delivery;
use crate::secret;
use crate::stream::router::{Arrivals, Mailbox, Registration, Router};

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
    #[error("the token expired at {0}; refresh it")]
    Expired(jiff::Timestamp),
    #[error(
        "the token lacks the scope cardata:streaming:read; subscribe the client to the stream and log in again"
    )]
    Scope,
    #[error("the user name is not the GCID that the token is for")]
    UserName,
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
    #[error("the directory failed")]
    Directory(#[from] DirectoryError),
}

impl RefusedConnect {
    pub(crate) fn code(&self) -> ConnectRefusal {
        match self {
            Self::Rate => ConnectRefusal::ConnectionRateExceeded,
            Self::NoToken | Self::Token | Self::Expired(_) => ConnectRefusal::BadUserNameOrPassword,
            Self::Scope | Self::UserName | Self::Occupied => ConnectRefusal::NotAuthorized,
            Self::AuthMethod => ConnectRefusal::BadAuthenticationMethod,
            Self::ClientId => ConnectRefusal::IdentifierRejected,
            Self::RetainedWill => ConnectRefusal::RetainNotSupported,
            Self::Directory(_) => ConnectRefusal::ServerUnavailable,
        }
    }
}

/// A client that was let in.
pub(crate) struct Admitted {
    pub(crate) admission: Admission,
    pub(crate) registration: Registration,
    pub(crate) arrivals: Arrivals,
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
    let claims = authenticate(platform, connect).await?;
    // [MQTT-3.2.2-13]; 3.1.1 has no words for it.
    if connect.version == Version::V5 && connect.retained_will && !platform.profile.snapshots {
        return Err(RefusedConnect::RetainedWill);
    }
    let key = session_key(&claims, &connect.client_id)?;
    let registration = platform
        .router
        .register(key.clone(), claims.consent_id, platform.profile.connections)
        .await
        .map_err(|_| RefusedConnect::Occupied)?;
    // Looked up after the registration: a consent that ends from now on finds the connection and closes it.
    let consent = platform.directory.consent(claims.consent_id).await?;
    if !consent.is_some_and(|consent| consent.is_active(platform.clock.now())) {
        return Err(RefusedConnect::Token);
    }
    let kept = kept_session(platform, &key, connect.clean_start).await?;
    let (mailbox, arrivals) = Router::mailbox();
    let source = LiveSource {
        view: platform.entitlements.cell(claims.gcid, claims.client_id).await?,
        platform: platform.clone(),
        mailbox,
        attached: Vec::new(),
    };
    let admission = Admission {
        gcid: claims.gcid,
        assigned_client_id: connect.client_id.is_empty().then_some(key.mqtt_client_id),
        vehicles: vehicles(platform, claims.gcid).await?,
        expires_at: expires_at(platform, &claims, now),
        qos_max: match platform.profile.delivery {
            Delivery::AsGranted => Qos::ExactlyOnce,
            Delivery::AtMostOnce => Qos::AtMostOnce,
        },
        snapshots: platform.profile.snapshots,
        keeps_sessions: platform.profile.delivery == Delivery::AsGranted,
        kept,
        source: Box::new(source),
    };
    Ok(Admitted { admission, registration, arrivals })
}

/// The token's end on the clock that timers go by.
fn expires_at(platform: &Platform, claims: &Claims, now: Instant) -> Instant {
    let lifetime = claims.expires_at.duration_since(platform.clock.now());
    now + Duration::try_from(lifetime).unwrap_or(Duration::ZERO)
}

/// The vehicles of which the customer is PRIMARY.
pub(crate) async fn vehicles(platform: &Platform, gcid: Gcid) -> Result<Vec<Vin>, DirectoryError> {
    let mappings = platform.directory.mappings(gcid).await?;
    let primary = mappings.iter().filter(|mapping| mapping.mapping_type == MappingType::Primary);
    Ok(primary.map(|mapping| mapping.vin).collect())
}

/// Until when a connection may go on with the fresh token in `auth`, and with which vehicles; `None` if it may not, as
/// the token is not good, or is for another customer, client or consent than the connection.
pub(crate) async fn reauthenticate(
    platform: &Platform,
    registration: &Registration,
    auth: &Auth,
    now: Instant,
) -> Option<(Instant, Vec<Vin>)> {
    let claims = verified(platform, &auth.data).await.ok()?;
    let key = registration.key();
    let is_same = (claims.gcid, claims.client_id, claims.consent_id)
        == (key.gcid, key.client_id, registration.consent_id());
    let vehicles = vehicles(platform, key.gcid).await.ok()?;
    is_same.then(|| (expires_at(platform, &claims, now), vehicles))
}

/// What a token says that is genuine, in time, and good for the stream.
async fn verified(platform: &Platform, token: &[u8]) -> Result<Claims, RefusedConnect> {
    let token = std::str::from_utf8(token).map_err(|_| RefusedConnect::Token)?;
    let claims = verify::stream_password(platform, token).await.map_err(|error| match error {
        VerifyError::Invalid | VerifyError::Revoked | VerifyError::NoConsent => {
            RefusedConnect::Token
        }
        VerifyError::Directory(error) => error.into(),
    })?;
    check(&claims, Scope::StreamingRead, platform.clock.now()).map_err(
        |refusal| match refusal {
            Refusal::Expired(at) => RefusedConnect::Expired(at),
            Refusal::MissingScope(_) => RefusedConnect::Scope,
        },
    )?;
    Ok(claims)
}

async fn authenticate(platform: &Platform, connect: &Connect) -> Result<Claims, RefusedConnect> {
    let sent = match &connect.auth {
        Some(auth) if auth.method != AUTH_METHOD => return Err(RefusedConnect::AuthMethod),
        Some(auth) if !auth.data.is_empty() => Some(&auth.data),
        _ => connect.password.as_ref(),
    };
    let token = sent.filter(|token| !token.is_empty()).ok_or(RefusedConnect::NoToken)?;
    let claims = verified(platform, token).await?;
    // Identity comes from the token. Some clients append to the user name, as in `{gcid}/{e-mail}` (wire §2.2).
    let user_name = connect.user_name.as_deref().unwrap_or_default();
    let gcid = user_name.split('/').next().unwrap_or_default();
    if gcid.eq_ignore_ascii_case(&claims.gcid.to_string()) {
        Ok(claims)
    } else {
        Err(RefusedConnect::UserName)
    }
}

fn session_key(claims: &Claims, mqtt_client_id: &str) -> Result<SessionKey, RefusedConnect> {
    if mqtt_client_id.len() > CLIENT_ID_MAX {
        return Err(RefusedConnect::ClientId);
    }
    let mqtt_client_id = match mqtt_client_id {
        "" => format!("assigned-{}", secret::uuid()),
        chosen => chosen.to_owned(),
    };
    Ok(SessionKey { gcid: claims.gcid, client_id: claims.client_id, mqtt_client_id })
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

/// A session's view of the journal, the router and what its client may see.
struct LiveSource {
    platform: Arc<Platform>,
    /// Looked into at each delivery, so that a change of containers takes effect at once.
    view: Arc<ViewCell>,
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

    fn payloads(&self, recorded: &Recorded) -> Payloads {
        let view = self.view.load();
        recorded.payloads(&view, |event, entries| encode(event, entries, view.gcid))
    }

    fn payloads_of_merged(&self, event: &Event) -> Payloads {
        let view = self.view.load();
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

impl Drop for LiveSource {
    fn drop(&mut self) {
        for vin in &self.attached {
            self.platform.router.detach(*vin, &self.mailbox);
        }
    }
}

//! What all listeners share.

use std::sync::Arc;

use cardata_domain::{Catalogue, Gcid};
use cardata_store::{Directory, Journal};

use crate::clock::Clock;
use crate::door::Door;
use crate::entitlements::Entitlements;
use crate::faults::Faults;
use crate::gcdm::keys::Keys;
use crate::gcdm::outside::OutsideProvider;
use crate::ingest::Ingest;
use crate::ingest::certificates::Certificates;
use crate::portal::login::Visitors;
use crate::profile::Profile;
use crate::quota::Quota;
use crate::stream::catch_up::CatchUp;
use crate::stream::cursors::Cursors;
use crate::stream::groups::Groups;
use crate::stream::router::Router;
use crate::tally::Tally;
use crate::tasks::Tasks;

/// What all listeners share; made once, passed as `Arc`.
pub struct Platform {
    /// Customers, clients, containers, tokens, sessions.
    pub directory: Arc<dyn Directory>,
    /// Events.
    pub journal: Arc<dyn Journal>,
    /// The known descriptors.
    pub catalogue: Arc<Catalogue>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// How strict to be.
    pub profile: Profile,
    /// Where HTTPS is reached from outside, without a slash at the end: `https://localhost:8443`.
    pub public_url: String,
    /// Where customers' MQTT is reached from outside, such as `localhost:9000`.
    pub stream_address: String,
    /// The keys that sign id tokens.
    pub keys: Keys,
    /// Whose tokens are taken beside our own, if anybody's.
    pub outside: Option<OutsideProvider>,
    /// What open connections may see.
    pub entitlements: Entitlements,
    /// Hands events to open connections, and finds connections to close.
    pub router: Arc<Router>,
    /// Where connections catch up.
    pub catch_up: CatchUp,
    /// Who shares subscriptions.
    pub groups: Groups,
    /// How far persistent sessions got.
    pub cursors: Cursors,
    /// What stands before the customers' sessions.
    pub door: Arc<Door>,
    /// What stands before the vehicles' listener.
    pub vehicles_door: Arc<Door>,
    /// Vehicles' certificates, and the connections that they opened.
    pub vehicle_certificates: Certificates,
    /// What those who report events share.
    pub ingest: Ingest,
    /// The customer for whom every device code is approved at once (`--auto-approve`).
    pub auto_approve: Option<Gcid>,
    /// How long access tokens and id tokens live; [`cardata_domain::token::ACCESS_LIFETIME`] but in a sandbox that wants
    /// to see them expire.
    pub access_lifetime: jiff::SignedDuration,
    /// The operator's bearer token.
    pub admin_token: String,
    /// Who is logged in in a browser.
    pub visitors: Visitors,
    /// What clients were sent.
    pub tally: Tally,
    /// How many REST requests there were today.
    pub quota: Quota,
    /// What goes wrong on purpose; none but in a sandbox, which alone may ever have any.
    pub faults: Option<Faults>,
    /// Background work.
    pub tasks: Tasks,
}

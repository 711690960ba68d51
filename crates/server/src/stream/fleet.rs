//! A fleet: a client that reads for itself what many customers let it see, each vehicle with its own customer's view.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use cardata_domain::{ClientId, Gcid};
use cardata_mqtt::Vehicles;
use cardata_store::directory::DirectoryError;
use jiff::Timestamp;

use crate::entitlements::ViewCell;
use crate::platform::Platform;
use crate::stream::groups::Membership;

/// What a fleet sees of each customer. Looked into at each delivery, and made anew when customers come and go.
#[derive(Default)]
pub(crate) struct FleetViews(ArcSwap<HashMap<Gcid, Seen>>);

#[derive(Clone)]
struct Seen {
    view: Arc<ViewCell>,
    /// When the customer's consent ends, if that is known.
    until: Option<Timestamp>,
}

impl FleetViews {
    /// The view of a customer's vehicles; `None` when the client may see nothing of them at `now`.
    pub(crate) fn of(&self, customer: Gcid, now: impl Fn() -> Timestamp) -> Option<Arc<ViewCell>> {
        let views = self.0.load();
        let seen = views.get(&customer)?;
        let is_over = seen.until.is_some_and(|until| until <= now());
        (!is_over).then(|| seen.view.clone())
    }
}

/// What the connection of a fleet has besides others.
pub(crate) struct Fleet {
    client_id: ClientId,
    views: Arc<FleetViews>,
    /// Where it shares with others.
    pub(crate) member: Option<Membership>,
}

impl Fleet {
    pub(crate) fn new(client_id: ClientId) -> Self {
        Self { client_id, views: Arc::default(), member: None }
    }

    pub(crate) fn views(&self) -> Arc<FleetViews> {
        self.views.clone()
    }

    /// Looks which vehicles of which customers the client may read now. Their views are there when this returns, and
    /// those of others are not.
    ///
    /// # Errors
    /// [`DirectoryError`]; the views are as before.
    pub(crate) async fn look(&self, platform: &Platform) -> Result<Vehicles, DirectoryError> {
        let vehicles = platform.directory.fleet(self.client_id, platform.clock.now()).await?;
        let known = self.views.0.load_full();
        let mut views = HashMap::new();
        for vehicle in &vehicles {
            if views.contains_key(&vehicle.gcid) {
                continue;
            }
            let view = match known.get(&vehicle.gcid) {
                Some(seen) => seen.view.clone(),
                None => platform.entitlements.cell(vehicle.gcid, self.client_id).await?,
            };
            views.insert(vehicle.gcid, Seen { view, until: vehicle.until });
        }
        self.views.0.store(Arc::new(views));
        Ok(Vehicles::new(vehicles.iter().map(|vehicle| (vehicle.vin, vehicle.gcid)).collect()))
    }
}

//! A fleet: a client that reads for itself what many customers let it see, each vehicle with its own customer's view.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use cardata_domain::{ClientId, Gcid, Vin};
use cardata_mqtt::Vehicles;
use cardata_store::directory::{DirectoryError, FleetVehicle};
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
    /// Since when there was a consent at each moment.
    since: Timestamp,
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

/// What a connection may read.
pub(crate) struct Look {
    pub(crate) vehicles: Vehicles,
    /// Those of them that it may read anew, and since when: between two looks the right to them ended and was given again.
    /// Nothing of before may leave any more.
    pub(crate) renewed: BTreeMap<Vin, Timestamp>,
    /// Whether there was more before, of which nothing must leave any more.
    pub(crate) loses: bool,
}

/// What the connection of a fleet has besides others.
pub(crate) struct Fleet {
    client_id: ClientId,
    views: Arc<FleetViews>,
    /// What it may read, as far as is known.
    known: Vehicles,
    /// Where it shares with others.
    pub(crate) member: Option<Membership>,
}

impl Fleet {
    pub(crate) fn new(client_id: ClientId) -> Self {
        Self { client_id, views: Arc::default(), known: Vehicles::default(), member: None }
    }

    pub(crate) fn views(&self) -> Arc<FleetViews> {
        self.views.clone()
    }

    /// Looks which vehicles of which customers the client may read now. Their views are there when this returns, and
    /// those of others are not.
    ///
    /// # Errors
    /// [`DirectoryError`]; the views are as before.
    pub(crate) async fn look(&mut self, platform: &Platform) -> Result<Look, DirectoryError> {
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
            let (since, until) = (vehicle.since, vehicle.until);
            views.insert(vehicle.gcid, Seen { view, since, until });
        }
        self.views.0.store(Arc::new(views));
        let is_renewed = |vehicle: &&FleetVehicle| {
            known.get(&vehicle.gcid).is_some_and(|seen| seen.since < vehicle.since)
        };
        let renewed = vehicles.iter().filter(is_renewed);
        let renewed: BTreeMap<_, _> = renewed.map(|vehicle| (vehicle.vin, vehicle.since)).collect();
        let vehicles: Vec<_> = vehicles.iter().map(|vehicle| (vehicle.vin, vehicle.gcid)).collect();
        let vehicles = Vehicles::new(vehicles);
        let known = std::mem::replace(&mut self.known, vehicles.clone());
        let is_lost = |(vin, of)| vehicles.customer(vin) != Some(of) || renewed.contains_key(&vin);
        let loses = known.iter().any(is_lost);
        Ok(Look { vehicles, renewed, loses })
    }
}

//! What each client may see, as cells that open connections look into at each delivery.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use cardata_domain::privacy::LocationPrivacy;
use cardata_domain::projection::{Packing, View};
use cardata_domain::{Catalogue, ClientId, Gcid};
use cardata_store::Directory;
use cardata_store::directory::DirectoryError;
use tokio::sync::Mutex;

/// What one client may see of one customer's vehicles at this very moment.
pub type ViewCell = ArcSwap<View>;

/// All cells that somebody looks into.
pub struct Entitlements {
    directory: Arc<dyn Directory>,
    catalogue: Arc<Catalogue>,
    packing: Packing,
    /// Held over the reading of the directory, so that of two changes the later one's result stays.
    cells: Mutex<HashMap<(Gcid, ClientId), Weak<ViewCell>>>,
}

impl Entitlements {
    /// None yet.
    pub fn new(directory: Arc<dyn Directory>, catalogue: Arc<Catalogue>, packing: Packing) -> Self {
        Self { directory, catalogue, packing, cells: Mutex::default() }
    }

    /// The cell for `client_id` at `gcid`, shared by all connections of the two.
    ///
    /// # Errors
    /// [`DirectoryError`] when the containers can't be read.
    pub async fn cell(
        &self,
        gcid: Gcid,
        client_id: ClientId,
    ) -> Result<Arc<ViewCell>, DirectoryError> {
        let mut cells = self.cells.lock().await;
        if let Some(cell) = cells.get(&(gcid, client_id)).and_then(Weak::upgrade) {
            return Ok(cell);
        }
        cells.retain(|_, cell| cell.strong_count() > 0);
        let cell = Arc::new(ArcSwap::from_pointee(self.view(gcid, client_id).await?));
        cells.insert((gcid, client_id), Arc::downgrade(&cell));
        Ok(cell)
    }

    /// Reads anew what a client may see, after that was changed; open connections follow from their next delivery on.
    ///
    /// # Errors
    /// [`DirectoryError`] when it can't be read. The cell then shows nothing at all until the next successful call: too
    /// little is better than too much. Close the connections that look into it, since their cursors would move past
    /// what they are due.
    pub async fn refresh(&self, gcid: Gcid, client_id: ClientId) -> Result<(), DirectoryError> {
        let cells = self.cells.lock().await;
        let Some(cell) = cells.get(&(gcid, client_id)).and_then(Weak::upgrade) else {
            return Ok(());
        };
        match self.view(gcid, client_id).await {
            Ok(view) => cell.store(Arc::new(view)),
            Err(error) => {
                cell.store(Arc::new(View::nothing(gcid, self.packing)));
                return Err(error);
            }
        }
        Ok(())
    }

    /// The clients of a customer that somebody looks for.
    pub async fn watched(&self, gcid: Gcid) -> Vec<ClientId> {
        let cells = self.cells.lock().await;
        let watched = cells.iter().filter(|((of, _), cell)| *of == gcid && cell.strong_count() > 0);
        watched.map(|((_, client_id), _)| *client_id).collect()
    }

    /// What `client_id` may see of the vehicles of `gcid` now: its ACTIVE containers and what the customer ticked for it,
    /// places as exactly as the customer allows.
    ///
    /// # Errors
    /// [`DirectoryError`] when it can't be read.
    pub async fn view(&self, gcid: Gcid, client_id: ClientId) -> Result<View, DirectoryError> {
        let containers = self.directory.containers(gcid, client_id).await?;
        let ticked = self.directory.stream_configuration(gcid, client_id).await?;
        let names =
            containers.iter().flat_map(|container| &container.descriptors[..]).chain(&ticked);
        let entitled = self.catalogue.streamable(names.map(String::as_str));
        let privacy = self.privacy(gcid, client_id).await?.map(Arc::new);
        Ok(View { gcid, entitled, privacy, packing: self.packing })
    }

    /// How exactly `client_id` may know where the vehicles of `gcid` are now; `None` exactly.
    ///
    /// # Errors
    /// [`DirectoryError`] when it can't be read.
    pub async fn privacy(
        &self,
        gcid: Gcid,
        client_id: ClientId,
    ) -> Result<Option<LocationPrivacy>, DirectoryError> {
        let settings = self.directory.location_settings(gcid, client_id).await?;
        let zones = self.directory.zones(gcid).await?;
        Ok(LocationPrivacy::new(settings, &zones, &self.catalogue))
    }
}

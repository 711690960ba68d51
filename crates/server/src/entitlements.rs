//! Who is entitled to which descriptors, as cells that open connections look into at each delivery.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use cardata_domain::{Catalogue, ClientId, DescriptorSet, Gcid};
use cardata_store::Directory;
use cardata_store::directory::DirectoryError;
use tokio::sync::Mutex;

/// The descriptors that one client may see of one customer's vehicles at this very moment.
pub type EntitlementCell = ArcSwap<DescriptorSet>;

/// All cells that somebody looks into.
pub struct Entitlements {
    directory: Arc<dyn Directory>,
    catalogue: Arc<Catalogue>,
    /// Held over the reading of the directory, so that of two changes the later one's result stays.
    cells: Mutex<HashMap<(Gcid, ClientId), Weak<EntitlementCell>>>,
}

impl Entitlements {
    /// None yet.
    pub fn new(directory: Arc<dyn Directory>, catalogue: Arc<Catalogue>) -> Self {
        Self { directory, catalogue, cells: Mutex::default() }
    }

    /// The cell for `client_id` at `gcid`, shared by all connections of the two.
    ///
    /// # Errors
    /// [`DirectoryError`] when the containers can't be read.
    pub async fn cell(
        &self,
        gcid: Gcid,
        client_id: ClientId,
    ) -> Result<Arc<EntitlementCell>, DirectoryError> {
        let mut cells = self.cells.lock().await;
        if let Some(cell) = cells.get(&(gcid, client_id)).and_then(Weak::upgrade) {
            return Ok(cell);
        }
        cells.retain(|_, cell| cell.strong_count() > 0);
        let cell = Arc::new(ArcSwap::from_pointee(self.load(gcid, client_id).await?));
        cells.insert((gcid, client_id), Arc::downgrade(&cell));
        Ok(cell)
    }

    /// Reads the containers anew after one was added or deleted; open connections follow from their next delivery on.
    ///
    /// # Errors
    /// [`DirectoryError`] when the containers can't be read. The cell then shows nothing at all until the next
    /// successful call: too little is better than too much. Close the connections that look into it, since their cursors
    /// would move past what they are due.
    pub async fn refresh(&self, gcid: Gcid, client_id: ClientId) -> Result<(), DirectoryError> {
        let cells = self.cells.lock().await;
        let Some(cell) = cells.get(&(gcid, client_id)).and_then(Weak::upgrade) else {
            return Ok(());
        };
        let loaded = self.load(gcid, client_id).await;
        match loaded {
            Ok(set) => cell.store(Arc::new(set)),
            Err(error) => {
                cell.store(Arc::default());
                return Err(error);
            }
        }
        Ok(())
    }

    async fn load(&self, gcid: Gcid, client_id: ClientId) -> Result<DescriptorSet, DirectoryError> {
        let containers = self.directory.containers(gcid, client_id).await?;
        let names =
            containers.iter().flat_map(|container| &container.descriptors).map(String::as_str);
        Ok(self.catalogue.streamable(names))
    }
}

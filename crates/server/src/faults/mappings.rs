//! A customer's vehicles as the customer's programs see them: as they are, but for what faults make of them.

use cardata_domain::vehicle::{Mapping, MappingType};
use cardata_domain::{ClientId, Gcid};
use cardata_store::directory::DirectoryError;

use super::kind::Kind;
use super::registry::Whom;
use crate::platform::Platform;

/// The vehicle that is nobody's.
const GHOST: &str = "WBYGHST0000000000";

impl Platform {
    /// The vehicles of `gcid` as `client_id` is shown them.
    ///
    /// # Errors
    /// [`DirectoryError`] when they can't be read.
    pub(crate) async fn mappings(
        &self,
        gcid: Gcid,
        client_id: ClientId,
    ) -> Result<Vec<Mapping>, DirectoryError> {
        let mut mappings = self.directory.mappings(gcid).await?;
        if self.faults().is_none() {
            return Ok(mappings);
        }
        let whom = Whom::client(client_id, Some(gcid));
        for mapping in &mut mappings {
            let is_primary = mapping.mapping_type == MappingType::Primary;
            let whom = Whom { vin: Some(mapping.vin), ..whom };
            if is_primary && self.is_struck(whom, &Kind::Secondary) {
                mapping.mapping_type = MappingType::Secondary;
            }
        }
        if let Ok(vin) = GHOST.parse()
            && self.is_struck(whom, &Kind::GhostVehicle)
        {
            let (mapping_type, since) = (MappingType::Primary, self.clock.now());
            mappings.push(Mapping { gcid, vin, mapping_type, since });
        }
        Ok(mappings)
    }
}

//! A vehicle's events in the journal, as one client may see them.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use cardata_domain::descriptor::DescriptorSet;
use cardata_domain::projection::project;
use cardata_domain::{Entry, Sequence, Vin};
use jiff::{SignedDuration, Timestamp};

use crate::Platform;
use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::entitlements::ViewCell;

/// Events that are read at once.
const CHUNK: usize = 1024;
/// How far ahead a vehicle's clock may be: an event is looked for from so long before its values' times. It also covers a
/// server's clock that was set back.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(24);

/// Goes through the events of a vehicle.
pub(super) struct Scan {
    platform: Arc<Platform>,
    view: Arc<ViewCell>,
    wanted: Option<DescriptorSet>,
    vin: Vin,
    after: Sequence,
}

impl Scan {
    /// Of the values that were taken at `from` or later, in the order in which they came; with `wanted`, of no other
    /// descriptors.
    pub(super) async fn since(
        platform: &Arc<Platform>,
        caller: Caller,
        vin: Vin,
        from: Timestamp,
        wanted: Option<DescriptorSet>,
    ) -> Result<Self, ApiError> {
        let from = from.checked_sub(AHEAD_MAX).unwrap_or(Timestamp::MIN);
        let after = platform.journal.before(from).await?;
        Self::after(platform, caller, vin, after, wanted).await
    }

    /// The same of events after a number.
    pub(super) async fn after(
        platform: &Arc<Platform>,
        caller: Caller,
        vin: Vin,
        after: Sequence,
        wanted: Option<DescriptorSet>,
    ) -> Result<Self, ApiError> {
        let view = platform.entitlements.cell(caller.gcid, caller.client_id).await?;
        Ok(Self { platform: platform.clone(), view, wanted, vin, after })
    }

    /// Hands what is visible of each event to `take`, until that wants no more. Gives the number after which it would go
    /// on, if it would.
    pub(super) async fn each(
        mut self,
        mut take: impl FnMut(&[Cow<'_, Entry>]) -> ControlFlow<()>,
    ) -> Result<Option<Sequence>, ApiError> {
        loop {
            let events = self.platform.journal.read(self.vin, self.after, CHUNK).await?;
            // Each time anew: what the client may see can change meanwhile.
            let view = self.view.load_full();
            let entitled = match &self.wanted {
                None => Cow::Borrowed(&view.entitled),
                Some(wanted) => Cow::Owned(wanted.and(&view.entitled)),
            };
            for recorded in &events {
                let privacy = view.privacy.as_deref();
                if let Some(visible) = project(&recorded.event, &entitled, privacy)
                    && take(&visible).is_break()
                {
                    return Ok(Some(self.after));
                }
                self.after = recorded.sequence;
            }
            if events.len() < CHUNK {
                return Ok(None);
            }
        }
    }
}

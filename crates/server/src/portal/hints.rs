//! The way of a newcomer from the account to the first message, as far as it is not gone yet.

use super::problem::Problem;
use super::visit::Visit;

/// One step.
pub(super) struct Hint {
    pub(super) text: &'static str,
    pub(super) path: &'static str,
    pub(super) is_done: bool,
    pub(super) is_next: bool,
}

/// The steps, or none when the customer has gone them all.
pub(super) async fn steps(visit: &Visit) -> Result<Vec<Hint>, Problem> {
    let (directory, gcid, t) = (&visit.platform.directory, visit.gcid(), visit.text());
    if !directory.deliveries(gcid).await?.is_empty() {
        return Ok(Vec::new());
    }
    let clients = directory.clients_of(gcid).await?;
    let now = visit.now();
    let consents = directory.consents_of(gcid).await?;
    let active: Vec<_> = consents.iter().filter(|consent| consent.is_active(now)).collect();
    let mut has_choice = false;
    for consent in &active {
        let view = visit.platform.entitlements.view(gcid, consent.client_id).await?;
        has_choice |= !view.entitled.is_empty();
    }
    let has_client = clients.iter().any(cardata_domain::client::Client::is_active);
    let steps = [
        (t.hint_client, "/clients", has_client || !active.is_empty()),
        (t.hint_consent, "/oneid/link", !active.is_empty()),
        (t.hint_choice, "/clients", has_choice),
        (t.hint_message, "/clients", false),
    ];
    let next = steps.iter().position(|(_, _, is_done)| !is_done);
    let hint =
        |(index, (text, path, is_done))| Hint { text, path, is_done, is_next: Some(index) == next };
    Ok(steps.into_iter().enumerate().map(hint).collect())
}

//! What a `cardata dev` needs before it can be measured: vehicles with certificates, and clients that may see them.

use std::sync::Arc;

use cardata_client::http::Http;
use cardata_client::login::{Login, SCOPE};
use cardata_client::operator::{Admin, Method, Operator};
use cardata_client::ready_file::ReadyFile;
use cardata_client::rest::Rest;
use serde_json::json;

use super::{Cast, DeliveryError, Door};
use crate::crew;
use crate::enrolment;
use crate::latency::message;
use crate::progress::{Progress, Silent};
use crate::target::{Handshakes, Target};

/// More, so that there are as many selections as [`ENTITLEMENTS_MAX`].
const VALUES_TO_CHOOSE_FROM: usize = message::DESCRIPTORS.len();
/// Selections of values that differ: all that have the first one.
pub const ENTITLEMENTS_MAX: u64 = (1 << (VALUES_TO_CHOOSE_FROM - 1)) - 1;
/// Vehicles that are linked at a time.
const AT_ONCE: u64 = 4;
const NAME: &str = "cardata bench";
const PURPOSE: &str = "measures how fast events are delivered; can be deleted";

/// A `cardata dev`, as the demo customer who signed in.
pub struct Sandbox {
    /// Where it is.
    pub ready: ReadyFile,
    /// Trusts its certificate.
    pub http: Http,
    /// The customer's e-mail address.
    pub email: String,
    /// The customer's REST API through the client that signed in.
    pub rest: Rest,
}

/// What was made for a measurement, and goes after it.
pub(super) enum Stage {
    Container(String),
    /// Clients, whose containers go with them.
    Clients(Vec<String>),
}

impl Sandbox {
    /// Gets so many vehicles and so many different selections of their values ready.
    pub(super) async fn stage(
        &self,
        target: &Target,
        vehicles: u64,
        entitlements: u64,
        progress: &Arc<dyn Progress>,
    ) -> Result<(Cast, Stage), DeliveryError> {
        let admin = self.admin()?;
        let enrolled = enrolment::enrol(&self.ready, &admin, vehicles, progress).await?;
        progress.begin("linking vehicles", vehicles);
        let (to, email) = (admin.clone(), self.email.clone());
        let link = move |vin: String| {
            let (admin, email) = (to.clone(), email.clone());
            async move {
                let link = json!({"email": email, "vin": vin, "type": "PRIMARY"});
                admin.call(Method::Put, &["mappings"], &[], Some(&link)).await.map(drop)
            }
        };
        let vins: Vec<_> = enrolled.iter().map(|vehicle| vehicle.vin.clone()).collect();
        crew::each(vins, AT_ONCE, progress, link).await?;
        let doors = enrolled.into_iter().filter_map(|vehicle| {
            let topic = format!("vehicles/{}/telemetry", vehicle.vin);
            Some(Door { target: vehicle.target?, topic, vin: vehicle.vin })
        });
        let vehicles = doors.collect();
        if entitlements <= 1 {
            let descriptors: Vec<_> = chosen(u64::MAX, message::USUAL);
            let container = self.rest.create_container(NAME, PURPOSE, &descriptors).await?;
            let stage = Stage::Container(container.summary.container_id);
            let accounts = vec![target.clone()];
            return Ok((Cast { vehicles, accounts, values: message::USUAL }, stage));
        }
        let mut clients = Vec::new();
        let accounts = self.accounts(&admin, entitlements, &mut clients, progress).await;
        let stage = Stage::Clients(clients);
        match accounts {
            Ok(accounts) => Ok((Cast { vehicles, accounts, values: VALUES_TO_CHOOSE_FROM }, stage)),
            Err(error) => {
                // The first error tells more.
                let _ = self.clear(stage).await;
                Err(error)
            }
        }
    }

    /// Clients of the customer, each with a selection of its own, and their accounts.
    async fn accounts(
        &self,
        admin: &Admin,
        count: u64,
        clients: &mut Vec<String>,
        progress: &Arc<dyn Progress>,
    ) -> Result<Vec<Target>, DeliveryError> {
        progress.begin("letting clients in", count);
        let operator = Operator::new(self.http.clone(), &self.ready);
        let mut accounts = Vec::new();
        for selection in 1..=count {
            let client = json!({"name": NAME, "email": self.email});
            let made = admin.call(Method::Post, &["clients"], &[], Some(&client)).await?;
            let client_id = made["client_id"].as_str().unwrap_or_default().to_owned();
            clients.push(client_id.clone());
            let login = Login::new(self.http.clone(), &self.ready.http_url, &client_id);
            let started = login.start(SCOPE).await?;
            operator.approve(&started.user_code, &self.email).await?;
            let tokens = login.finish(&started).await?;
            let rest = Rest::new(self.http.clone(), &self.ready.http_url, tokens.access_token);
            let descriptors = chosen(selection, VALUES_TO_CHOOSE_FROM);
            rest.create_container(NAME, PURPOSE, &descriptors).await?;
            let token = tokens.id_token.expose();
            let account = Target::cardata(&self.ready, &tokens.gcid, token, Handshakes::Full);
            accounts.push(account.await?);
            progress.advance(1);
        }
        Ok(accounts)
    }

    /// Removes what was made.
    pub(super) async fn clear(&self, stage: Stage) -> Result<(), DeliveryError> {
        match stage {
            Stage::Container(id) => Ok(self.rest.delete_container(&id).await?),
            Stage::Clients(ids) => {
                let admin = self.admin()?;
                let silent: Arc<dyn Progress> = Arc::new(Silent);
                let delete = move |id: String| {
                    let admin = admin.clone();
                    async move {
                        let path = ["clients", id.as_str()];
                        admin.call(Method::Delete, &path, &[], None).await.map(drop)
                    }
                };
                Ok(crew::each(ids, AT_ONCE, &silent, delete).await.map(drop)?)
            }
        }
    }

    fn admin(&self) -> Result<Admin, DeliveryError> {
        let http = Http::without_tls().map_err(DeliveryError::Http)?;
        Ok(Admin::new(http, &self.ready.admin_url, self.ready.admin_token.clone()))
    }
}

/// The first descriptor of an event, and those of the others whose bits are set in `selection`.
fn chosen(selection: u64, values: usize) -> Vec<String> {
    let is_chosen = |index: usize| index == 0 || selection >> (index - 1) & 1 == 1;
    let all = message::DESCRIPTORS.iter().take(values).enumerate();
    all.filter(|(index, _)| is_chosen(*index)).map(|(_, name)| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_selections_are_the_same_and_each_has_the_number() {
        let selections: HashSet<_> = (1..=ENTITLEMENTS_MAX)
            .map(|selection| chosen(selection, VALUES_TO_CHOOSE_FROM))
            .collect();
        assert_eq!(selections.len() as u64, ENTITLEMENTS_MAX);
        assert!(selections.iter().all(|chosen| chosen[0] == message::DESCRIPTORS[0]));
        assert_eq!(chosen(u64::MAX, message::USUAL).len(), message::USUAL);
    }
}

//! The REST API with an access token: mappings, containers and latest values (wire §4).

use cardata_contract::error_code::ErrorBody;
pub use cardata_contract::rest::{
    ContainerDetails, ContainerState, ContainerSummary, MappingKind, TelematicData, TelematicEntry,
    VehicleMapping,
};
use cardata_contract::rest::{ContainerList, CreateContainer};
use reqwest::{RequestBuilder, Url};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::Secret;
use crate::http::{Answer, Http, TransportError};

/// The REST API as one customer sees it through one client.
#[derive(Debug, Clone)]
pub struct Rest {
    http: Http,
    base_url: String,
    access_token: Secret,
}

/// Why a call gave nothing.
#[derive(Debug, Error)]
pub enum RestError {
    /// No answer came.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The service refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An answer that is none of the API's.
    #[error("the server's answer (HTTP {0}) is not one of the REST API")]
    Unreadable(u16),
}

/// A refusal in the service's own words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the server refused: {message} ({id}, HTTP {status}){}{note}", if .note.is_empty() { "" } else { ": " })]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Such as `CU-402`.
    pub id: String,
    /// What the id stands for.
    pub message: String,
    /// What was wrong in this case, when told.
    pub note: String,
}

impl RestError {
    /// Whether the token is to blame, so that logging in again helps.
    pub fn needs_login(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 401)
    }
}

impl Rest {
    /// The API at `base_url`, such as `https://localhost:8443`, opened by `access_token`.
    pub fn new(http: Http, base_url: &str, access_token: Secret) -> Self {
        Self { http, base_url: base_url.trim_end_matches('/').to_owned(), access_token }
    }

    /// The customer's vehicles.
    ///
    /// # Errors
    /// [`RestError`], as from each call here.
    pub async fn mappings(&self) -> Result<Vec<VehicleMapping>, RestError> {
        self.call(self.http.get(&self.url("vehicles/mappings"))).await
    }

    /// Registers a container and gives it with its id.
    ///
    /// # Errors
    /// [`RestError::Refused`] with `CU-402` for an unknown descriptor, `CU-124` when there are too many containers.
    pub async fn create_container(
        &self,
        name: &str,
        purpose: &str,
        descriptors: &[String],
    ) -> Result<ContainerDetails, RestError> {
        let body = CreateContainer {
            name: name.to_owned(),
            purpose: purpose.to_owned(),
            technical_descriptors: descriptors.to_vec(),
        };
        self.call(self.http.post(&self.url("containers")).json(&body)).await
    }

    /// The client's containers, without their descriptors.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn containers(&self) -> Result<Vec<ContainerSummary>, RestError> {
        let list: ContainerList = self.call(self.http.get(&self.url("containers"))).await?;
        Ok(list.containers)
    }

    /// One container with its descriptors.
    ///
    /// # Errors
    /// [`RestError::Refused`] with `CU-105` when there is none with this id.
    pub async fn container(&self, id: &str) -> Result<ContainerDetails, RestError> {
        self.call(self.http.get(&self.container_url(id))).await
    }

    /// Deletes a container; what only it let through stops at once.
    ///
    /// # Errors
    /// [`RestError::Refused`] with `CU-105` when there is none with this id.
    pub async fn delete_container(&self, id: &str) -> Result<(), RestError> {
        let answer = self.send(self.http.delete(&self.container_url(id))).await?;
        if answer.is_success() { Ok(()) } else { Err(refusal(&answer)) }
    }

    /// The latest values of a vehicle that a container names.
    ///
    /// # Errors
    /// [`RestError::Refused`] with `CU-104` for a vehicle whose data the customer may not read.
    pub async fn telematic_data(
        &self,
        vin: &str,
        container_id: &str,
    ) -> Result<TelematicData<'static>, RestError> {
        // Percent-encoding for a path segment leaves nothing that would end a query's value but these two.
        let container_id = encoded(container_id).replace('&', "%26").replace('+', "%2B");
        let query = format!("vehicles/{}/telematicData?containerId={container_id}", encoded(vin));
        self.call(self.http.get(&self.url(&query))).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/customers/{path}", self.base_url)
    }

    fn container_url(&self, id: &str) -> String {
        self.url(&format!("containers/{}", encoded(id)))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, TransportError> {
        let request = request.bearer_auth(self.access_token.expose()).header("x-version", "v1");
        Answer::to(request).await
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, RestError> {
        let answer = self.send(request).await?;
        if answer.is_success() {
            answer.json().ok_or(RestError::Unreadable(answer.status))
        } else {
            Err(refusal(&answer))
        }
    }
}

fn refusal(answer: &Answer) -> RestError {
    match answer.json::<ErrorBody>() {
        Some(body) => {
            let ErrorBody { id, message, note, .. } = body;
            Refusal { status: answer.status, id, message, note }.into()
        }
        None => RestError::Unreadable(answer.status),
    }
}

/// `text` as one segment of a path, whatever is in it.
pub(crate) fn encoded(text: &str) -> String {
    let mut url = Url::parse("http://h").expect("a constant address");
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().push(text);
    }
    url.path().trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment_of_the_path() {
        assert_eq!(encoded("W00J000D000AB"), "W00J000D000AB");
        assert_eq!(encoded("../a?b#c d"), "..%2Fa%3Fb%23c%20d");
    }

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        let refusal = |note: &str| Refusal {
            status: 403,
            id: "CU-105".to_owned(),
            message: "No permission for specified containerId".to_owned(),
            note: note.to_owned(),
        };
        assert_eq!(
            refusal("gone").to_string(),
            "the server refused: No permission for specified containerId (CU-105, HTTP 403): gone"
        );
        assert!(refusal("").to_string().ends_with("(CU-105, HTTP 403)"));
        assert!(!RestError::from(refusal("")).needs_login());
    }
}

//! `/customers/vehicles/{vin}/telematicData` (wire §4.6): the latest values of what a container names.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};
use cardata_contract::error_code::ErrorCode;
use cardata_contract::rest::TelematicData;
use cardata_domain::container::{Container, ContainerId};
use cardata_domain::{Catalogue, Entry, Vin};
use serde::Deserialize;

use super::auth::Caller;
use super::containers::{own_active, parse_id, refuse_deprecated};
use super::error::ApiError;
use super::form;
use super::vehicles::{PathVin, require_primary};
use crate::Platform;

/// About as many bytes has a descriptor in an answer.
const ENTRY_LENGTH: usize = 192;

/// The part of the address behind the question mark.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    container_id: Option<String>,
}

/// The endpoint, with answers of its own.
pub(super) fn route() -> MethodRouter<Arc<Platform>> {
    let answers = Arc::<Answers>::default();
    get(move |platform, caller, vin, parameters| read(platform, caller, vin, parameters, answers))
}

/// `GET /customers/vehicles/{vin}/telematicData?containerId=…`.
#[utoipa::path(
    get, path = "/customers/vehicles/{vin}/telematicData",
    tag = "Vehicles",
    summary = "The latest values of what a container names",
    params(
        ("containerId" = String, Query, description = "An ACTIVE container of the client", pattern = "^[A-Z0-9]{13}$")
    ),
    responses((status = 200, body = TelematicData, description = "Each descriptor of the container")),
    security(("token" = [])),
)]
pub(super) async fn read(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    PathVin(vin): PathVin,
    parameters: Result<Query<Parameters>, QueryRejection>,
    answers: Arc<Answers>,
) -> Result<impl IntoResponse, ApiError> {
    let Query(Parameters { container_id }) =
        parameters.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    let id = match container_id.as_deref() {
        None => return Err(ApiError::bad_request("the parameter `containerId` is missing")),
        // Production answers an empty one as one without permission, not as one of wrong form.
        Some("") => None,
        Some(text) => Some(parse_id(text)?),
    };
    require_primary(&platform, caller, vin).await?;
    let Some(id) = id else {
        return Err(ApiError::new(ErrorCode::Container, "the parameter `containerId` is empty"));
    };
    let container = own_active(&platform, caller, id).await?;
    refuse_deprecated(&platform, caller, &container.descriptors)?;
    let latest = platform.journal.latest(vin).await?;
    let answer = match platform.entitlements.privacy(caller.gcid, caller.client_id).await? {
        Some(privacy) => {
            let shown = privacy.apply(latest.iter().collect(), &latest);
            let shown: Vec<_> = shown.into_iter().map(Cow::into_owned).collect();
            Answer::new(&container, &shown, &platform.catalogue)?
        }
        None => answers.answer(&container, vin, latest, &platform.catalogue)?,
    };
    caller.note_read(&platform, vin, "telematicData");
    let media = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, media), (ETAG, answer.tag)], answer.body))
}

/// A body with its tag.
#[derive(Debug, Clone)]
struct Answer {
    body: Bytes,
    tag: HeaderValue,
}

impl Answer {
    fn new(
        container: &Container,
        latest: &[Entry],
        catalogue: &Catalogue,
    ) -> Result<Self, ApiError> {
        let data = TelematicData::new(&container.descriptors, latest, catalogue);
        let mut body = Vec::with_capacity(container.descriptors.len() * ENTRY_LENGTH);
        serde_json::to_writer(&mut body, &data).map_err(|error| ApiError::internal(&error))?;
        Ok(Self { tag: form::tag(&body), body: body.into() })
    }
}

/// Answers that were given, each good as long as the vehicle has told nothing new. A container's descriptors never change.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Given>);

/// What was answered, and of which latest values.
type Given = HashMap<(ContainerId, Vin), (Arc<[Entry]>, Answer)>;

/// Answers that are kept; with more, it begins anew.
const ANSWERS_MAX: usize = 1024;

impl Answers {
    /// What `container` shows of `latest`, places as they are.
    fn answer(
        &self,
        container: &Container,
        vin: Vin,
        latest: Arc<[Entry]>,
        catalogue: &Catalogue,
    ) -> Result<Answer, ApiError> {
        let key = (container.id, vin);
        if let Some((of, answer)) = self.locked().get(&key)
            && Arc::ptr_eq(of, &latest)
        {
            return Ok(answer.clone());
        }
        let answer = Answer::new(container, &latest, catalogue)?;
        let mut answers = self.locked();
        if answers.len() >= ANSWERS_MAX {
            answers.clear();
        }
        answers.insert(key, (latest, answer.clone()));
        Ok(answer)
    }

    fn locked(&self) -> MutexGuard<'_, Given> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use cardata_domain::Value;
    use cardata_domain::container::ContainerRequest;
    use jiff::Timestamp;

    use super::*;
    use crate::test_platform::Person;

    const SIGNALS: [&str; 2] = ["vehicle.soc", "vehicle.odometer"];

    fn latest(catalogue: &Catalogue, value: i64) -> Arc<[Entry]> {
        let entry = |name| {
            let id = catalogue.intern(name).unwrap();
            Entry::new(catalogue, id, Timestamp::UNIX_EPOCH, Value::integer(value), None)
        };
        SIGNALS.map(entry).into()
    }

    fn container(catalogue: &Catalogue, number: u8, name: &str) -> Container {
        let id = ContainerId::from_random([number; ContainerId::LENGTH]);
        let (gcid, client_id) = (Person::Anna.gcid(), Person::Anna.client_id());
        let wanted = ContainerRequest::new("a", "b", &[name.to_owned()], catalogue).unwrap();
        wanted.register(id, gcid, client_id, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_answer_is_given_again_to_the_same_question_only() {
        let catalogue = Catalogue::shipped();
        let (first, second) = (latest(&catalogue, 1), latest(&catalogue, 2));
        let [one, other] =
            [0, 1].map(|number| container(&catalogue, number, SIGNALS[usize::from(number)]));
        let vins: [Vin; 2] =
            ["WBY00000000000001", "WBY00000000000002"].map(|vin| vin.parse().unwrap());
        let answers = Answers::default();
        let answer = |container: &Container, vin, latest: &Arc<[Entry]>| {
            answers.answer(container, vin, latest.clone(), &catalogue).unwrap_or_else(|_| panic!())
        };
        for (container, vin, latest) in [
            (&one, vins[0], &first),
            (&one, vins[0], &first),
            (&one, vins[0], &second),
            (&one, vins[0], &first),
            (&one, vins[1], &second),
            (&other, vins[0], &first),
        ] {
            let expected = Answer::new(container, latest, &catalogue).unwrap_or_else(|_| panic!());
            let given = answer(container, vin, latest);
            assert_eq!((given.body, given.tag), (expected.body, expected.tag));
        }
        let again = [0, 1].map(|_| answer(&other, vins[0], &first).body.as_ptr());
        assert_eq!(again[0], again[1], "it is made once");
    }

    #[test]
    fn no_more_answers_are_kept_than_allowed() {
        let catalogue = Catalogue::shipped();
        let latest = latest(&catalogue, 1);
        let container = container(&catalogue, 0, SIGNALS[0]);
        let answers = Answers::default();
        for number in 0..=ANSWERS_MAX {
            let vin = format!("WBY{number:014}").parse().unwrap();
            assert!(answers.answer(&container, vin, latest.clone(), &catalogue).is_ok());
        }
        assert_eq!(answers.locked().len(), 1);
    }
}

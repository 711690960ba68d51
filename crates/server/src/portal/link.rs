//! `/oneid/link`: a person logs in, names the code that a device shows, sees who asks for what, and decides.
//!
//! One path, four steps, each a form that works without script. Whatever goes wrong is said on the page, which then
//! shows the last step again.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use cardata_domain::device_grant::{DecisionError, DeviceGrant};
use cardata_domain::token::Scope;
use cardata_store::directory::DirectoryError;
use serde::Deserialize;
use thiserror::Error;

use super::login::{Session, Visitor, Visitors};
use super::page;
use crate::attempts::Peer;
use crate::gcdm::device::{self, DecideError};
use crate::platform::Platform;

/// Where the page is; clients print it.
pub const PATH: &str = "/oneid/link";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    trouble: Option<String>,
    form_proof: String,
    user_code: &'a str,
}

#[derive(Template)]
#[template(path = "code.html")]
struct CodePage<'a> {
    trouble: Option<String>,
    form_proof: String,
    user_code: &'a str,
    email: &'a str,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    form_proof: String,
    user_code: &'a str,
    email: &'a str,
    client_name: &'a str,
    client_id: String,
    scopes: Vec<(&'static str, &'static str)>,
}

#[derive(Template)]
#[template(path = "done.html")]
struct DonePage<'a> {
    is_approved: bool,
    client_name: &'a str,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct LinkQuery {
    user_code: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct LinkForm {
    form_proof: String,
    action: String,
    user_code: String,
    email: String,
    password: String,
}

/// What went wrong, in words for the person.
#[derive(Debug, Error)]
enum Trouble {
    #[error("This page could not be read. Please try again.")]
    Unreadable,
    #[error("This page is too old, or your browser refuses cookies. Please try again.")]
    Stale,
    #[error("Please log in first.")]
    LoggedOut,
    #[error("The e-mail address or the password is wrong.")]
    WrongPassword,
    #[error("There were too many wrong tries from here. Please wait a minute.")]
    TooManyTries,
    #[error(
        "There is no such code. Compare it with your device: capital and small letters differ."
    )]
    UnknownCode,
    #[error("This code has expired. Start again at your device to get a new one.")]
    Expired,
    #[error("This code was used already. Start again at your device to get a new one.")]
    AlreadyDecided,
    #[error(
        "This client belongs to another customer, and only that customer can approve it. \
         Use the other account, or a client of your own."
    )]
    Foreign,
    #[error("Something failed on our side. Please try again in a moment.")]
    Failed,
}

impl Trouble {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::Stale | Self::LoggedOut | Self::WrongPassword | Self::Foreign => {
                StatusCode::FORBIDDEN
            }
            Self::UnknownCode => StatusCode::NOT_FOUND,
            Self::AlreadyDecided => StatusCode::CONFLICT,
            Self::Expired => StatusCode::GONE,
            Self::TooManyTries => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<DirectoryError> for Trouble {
    fn from(error: DirectoryError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "the page for codes failed");
        Self::Failed
    }
}

impl From<DecisionError> for Trouble {
    fn from(error: DecisionError) -> Self {
        match error {
            DecisionError::Expired => Self::Expired,
            DecisionError::AlreadyDecided => Self::AlreadyDecided,
        }
    }
}

impl From<DecideError> for Trouble {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Foreign => Self::Foreign,
            DecideError::Deleted => Self::Expired,
            DecideError::Decision(error) => error.into(),
            DecideError::Directory(error) => error.into(),
        }
    }
}

pub(super) async fn show(
    State(platform): State<Arc<Platform>>,
    headers: HeaderMap,
    query: Result<Query<LinkQuery>, QueryRejection>,
) -> Response {
    let visitor = platform.visitors.visitor(&headers, platform.clock.now());
    let query = query.map(|Query(query)| query).unwrap_or_default();
    first_step(&visitor, &tidy(&query.user_code), None)
}

pub(super) async fn submit(
    State(platform): State<Arc<Platform>>,
    peer: Peer,
    headers: HeaderMap,
    form: Result<Form<LinkForm>, FormRejection>,
) -> Response {
    let visitor = platform.visitors.visitor(&headers, platform.clock.now());
    let Ok(Form(form)) = form else {
        return first_step(&visitor, "", Some(&Trouble::Unreadable));
    };
    let user_code = tidy(&form.user_code);
    let step = Step { platform: &platform, visitors: &platform.visitors, visitor, peer, user_code };
    let outcome = step.act(form).await;
    outcome.unwrap_or_else(|trouble| first_step(&step.visitor, &step.user_code, Some(&trouble)))
}

/// Letters and digits only, so that spaces and hyphens between them do no harm.
fn tidy(user_code: &str) -> String {
    user_code.chars().filter(char::is_ascii_alphanumeric).take(16).collect()
}

/// The first thing that the visitor still has to do: log in, or name the code.
fn first_step(visitor: &Visitor, user_code: &str, trouble: Option<&Trouble>) -> Response {
    let status = trouble.map_or(StatusCode::OK, Trouble::status);
    let trouble = trouble.map(ToString::to_string);
    let form_proof = visitor.form_proof();
    let mut response = match &visitor.session {
        None => page(status, &LoginPage { trouble, form_proof, user_code }),
        Some(Session { email, .. }) => {
            page(status, &CodePage { trouble, form_proof, user_code, email })
        }
    };
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(RETRY_AFTER, 60.into());
    }
    visitor.mark(response)
}

/// A form that was sent.
struct Step<'a> {
    platform: &'a Platform,
    visitors: &'a Visitors,
    visitor: Visitor,
    peer: Peer,
    user_code: String,
}

impl Step<'_> {
    async fn act(&self, form: LinkForm) -> Result<Response, Trouble> {
        if !self.visitor.sent(&form.form_proof) {
            return Err(Trouble::Stale);
        }
        match (form.action.as_str(), &self.visitor.session) {
            ("log-in", _) => self.log_in(&form.email, form.password).await,
            ("log-out", _) => Ok(self.begin_anew(&self.visitors.log_out(&self.visitor))),
            (_, None) => Err(Trouble::LoggedOut),
            ("continue", Some(session)) => self.ask(session).await,
            ("approve", Some(session)) => self.approve(session).await,
            ("deny", Some(session)) => self.deny(session).await,
            _ => Err(Trouble::Unreadable),
        }
    }

    async fn log_in(&self, email: &str, password: String) -> Result<Response, Trouble> {
        let now = self.platform.clock.now();
        if !self.visitors.may_guess_password(self.peer, now) {
            return Err(Trouble::TooManyTries);
        }
        let customer = self.platform.directory.customer_by_email(email.trim()).await?;
        let fits = self.visitors.password_fits(customer.as_ref(), password).await;
        let Some(customer) = customer.filter(|_| fits) else {
            metrics::counter!("cardata_portal_log_ins_total", "outcome" => "refused").increment(1);
            return Err(Trouble::WrongPassword);
        };
        self.visitors.password_was_right(self.peer);
        metrics::counter!("cardata_portal_log_ins_total", "outcome" => "ok").increment(1);
        Ok(self.begin_anew(&self.visitors.log_in(&customer, now)))
    }

    /// Back to the page, now as `visitor`, so that reloading it does not send the password again.
    fn begin_anew(&self, visitor: &Visitor) -> Response {
        let target = match self.user_code.as_str() {
            "" => PATH.to_owned(),
            user_code => format!("{PATH}?user_code={user_code}"),
        };
        visitor.mark(Redirect::to(&target).into_response())
    }

    /// Shows who asks for what.
    async fn ask(&self, session: &Session) -> Result<Response, Trouble> {
        let grant = self.grant().await?;
        let client = device::client_for(self.platform, &grant, session.gcid).await?;
        grant.decide(Some(session.gcid), self.platform.clock.now())?;
        Ok(page(
            StatusCode::OK,
            &ConsentPage {
                form_proof: self.visitor.form_proof(),
                user_code: &self.user_code,
                email: &session.email,
                client_name: &client.name,
                client_id: client.id.to_string(),
                scopes: grant.scopes.iter().map(|scope| (scope.as_str(), meaning(scope))).collect(),
            },
        ))
    }

    async fn approve(&self, session: &Session) -> Result<Response, Trouble> {
        let grant = self.grant().await?;
        let client = device::client_for(self.platform, &grant, session.gcid).await?;
        device::approve(self.platform, &grant, session.gcid, None).await?;
        Ok(page(StatusCode::OK, &DonePage { is_approved: true, client_name: &client.name }))
    }

    async fn deny(&self, session: &Session) -> Result<Response, Trouble> {
        let grant = self.grant().await?;
        let client = device::client_for(self.platform, &grant, session.gcid).await?;
        device::deny(self.platform, &grant).await?;
        Ok(page(StatusCode::OK, &DonePage { is_approved: false, client_name: &client.name }))
    }

    async fn grant(&self) -> Result<DeviceGrant, Trouble> {
        if !self.visitors.may_guess_code(self.peer, self.platform.clock.now()) {
            return Err(Trouble::TooManyTries);
        }
        let grant = self.platform.directory.device_grant_by_user_code(&self.user_code).await?;
        let grant = grant.ok_or(Trouble::UnknownCode)?;
        self.visitors.code_was_right(self.peer);
        Ok(grant)
    }
}

/// What a scope lets a client do, in words for the person.
fn meaning(scope: Scope) -> &'static str {
    match scope {
        Scope::AuthenticateUser => "know that you logged in",
        Scope::OpenId => "know your customer number",
        Scope::ApiRead => {
            "read the latest data of your vehicles, such as mileage and position, and set up \
             containers, the lists of values that it receives"
        }
        Scope::StreamingRead => {
            "receive the values in its containers as they change, for as long as you allow it"
        }
    }
}

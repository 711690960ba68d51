//! `/oneid/link`: a person logs in, names the code that a device shows, sees who asks for what, and decides.
//!
//! One path, four steps, each a form that works without script. Whatever goes wrong is said on the page, which then
//! shows the last step again.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use cardata_domain::client::Kind;
use cardata_domain::device_grant::{DecisionError, DeviceGrant};
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::token::Scope;
use cardata_store::directory::DirectoryError;
use jiff::SignedDuration;
use serde::Deserialize;

use super::log_in::{self, Refused};
use super::login::{Session, Visitor, Visitors};
use super::page;
use super::problem::Problem;
use super::text::{Text, fill};
use super::visit::{Fields, text_of};
use crate::attempts::Peer;
use crate::gcdm::device::{self, DecideError};
use crate::platform::Platform;

/// Where the page is; clients print it.
pub const PATH: &str = "/oneid/link";

#[derive(Template)]
#[template(path = "link_login.html")]
struct LoginPage<'a> {
    t: &'static Text,
    path: String,
    trouble: Option<&'static str>,
    form_proof: String,
    user_code: &'a str,
}

#[derive(Template)]
#[template(path = "link_code.html")]
struct CodePage<'a> {
    t: &'static Text,
    path: String,
    trouble: Option<&'static str>,
    form_proof: String,
    user_code: &'a str,
    you_are: String,
}

#[derive(Template)]
#[template(path = "link_consent.html")]
struct ConsentPage<'a> {
    t: &'static Text,
    path: String,
    form_proof: String,
    user_code: &'a str,
    you_are: String,
    wants: String,
    purpose: Option<String>,
    client: String,
    scopes: Vec<(&'static str, &'static str)>,
}

#[derive(Template)]
#[template(path = "link_done.html")]
struct DonePage {
    t: &'static Text,
    path: String,
    title: &'static str,
    words: String,
    /// Where to choose what the client is sent, or to see it.
    next: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct LinkQuery {
    user_code: String,
}

/// What went wrong.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Unreadable,
    Stale,
    LoggedOut,
    WrongPassword,
    TooManyTries,
    UnknownCode,
    Expired,
    AlreadyDecided,
    Foreign,
    Failed,
}

impl Trouble {
    fn status(self) -> StatusCode {
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

    fn words(self, t: &'static Text) -> &'static str {
        match self {
            Self::Unreadable => t.trouble_unreadable,
            Self::Stale => t.trouble_stale,
            Self::LoggedOut => t.trouble_logged_out,
            Self::WrongPassword => t.trouble_wrong_password,
            Self::TooManyTries => t.trouble_too_many,
            Self::UnknownCode => t.trouble_unknown_code,
            Self::Expired => t.trouble_expired,
            Self::AlreadyDecided => t.trouble_decided,
            Self::Foreign => t.trouble_foreign,
            Self::Failed => t.trouble_failed,
        }
    }
}

impl From<DirectoryError> for Trouble {
    fn from(error: DirectoryError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "the page for codes failed");
        Self::Failed
    }
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::WrongPassword => Self::WrongPassword,
            Refused::TooManyTries => Self::TooManyTries,
            Refused::Failed => Self::Failed,
        }
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
    first_step(&visitor, text_of(&headers), &tidy(&query.user_code), None)
}

pub(super) async fn submit(
    State(platform): State<Arc<Platform>>,
    peer: Peer,
    request: Request,
) -> Result<Response, Problem> {
    let t = text_of(request.headers());
    let visitor = platform.visitors.visitor(request.headers(), platform.clock.now());
    let fields = match Fields::read(request).await {
        Ok(fields) => fields,
        Err(Problem::TooLarge) => return Err(Problem::TooLarge),
        Err(_) => return Ok(first_step(&visitor, t, "", Some(Trouble::Unreadable))),
    };
    let user_code = tidy(fields.get("user_code"));
    let visitors = &platform.visitors;
    let step = Step { platform: &platform, visitors, visitor, peer, user_code, t };
    let outcome = step.act(&fields).await;
    Ok(outcome
        .unwrap_or_else(|trouble| first_step(&step.visitor, t, &step.user_code, Some(trouble))))
}

/// Letters and digits only, so that spaces and hyphens between them do no harm.
fn tidy(user_code: &str) -> String {
    user_code.chars().filter(char::is_ascii_alphanumeric).take(16).collect()
}

/// The path of this page with a code.
fn path_with(user_code: &str) -> String {
    match user_code {
        "" => PATH.to_owned(),
        user_code => format!("{PATH}?user_code={user_code}"),
    }
}

/// The first thing that the visitor still has to do: log in, or name the code.
fn first_step(
    visitor: &Visitor,
    t: &'static Text,
    user_code: &str,
    trouble: Option<Trouble>,
) -> Response {
    let status = trouble.map_or(StatusCode::OK, Trouble::status);
    let trouble = trouble.map(|trouble| trouble.words(t));
    let (form_proof, path) = (visitor.form_proof(), path_with(user_code));
    let mut response = match &visitor.session {
        None => page(status, &LoginPage { t, path, trouble, form_proof, user_code }),
        Some(Session { email, .. }) => {
            let you_are = fill(t.you_are, &[email]);
            page(status, &CodePage { t, path, trouble, form_proof, user_code, you_are })
        }
    };
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(RETRY_AFTER, 60.into());
    }
    visitor.mark(response)
}

/// A form that was sent.
struct Step<'a> {
    platform: &'a Arc<Platform>,
    visitors: &'a Visitors,
    visitor: Visitor,
    peer: Peer,
    user_code: String,
    t: &'static Text,
}

impl Step<'_> {
    async fn act(&self, fields: &Fields) -> Result<Response, Trouble> {
        if !self.visitor.sent(fields.get("form_proof")) {
            return Err(Trouble::Stale);
        }
        match (fields.get("action"), &self.visitor.session) {
            ("log-in", _) => self.log_in(fields.get("email"), fields.get("password")).await,
            ("log-out", _) => Ok(self.begin_anew(&self.visitors.log_out(&self.visitor))),
            (_, None) => Err(Trouble::LoggedOut),
            ("continue", Some(session)) => self.ask(session).await,
            ("approve", Some(session)) => self.approve(session, lasts(fields.get("lasts"))?).await,
            ("deny", Some(session)) => self.deny(session).await,
            _ => Err(Trouble::Unreadable),
        }
    }

    async fn log_in(&self, email: &str, password: &str) -> Result<Response, Trouble> {
        let visitor = log_in::log_in(self.platform, self.peer, email, password).await?;
        Ok(self.begin_anew(&visitor))
    }

    /// Back to the page, now as `visitor`, so that reloading it does not send the password again.
    fn begin_anew(&self, visitor: &Visitor) -> Response {
        visitor.mark(Redirect::to(&path_with(&self.user_code)).into_response())
    }

    /// Shows who asks for what.
    async fn ask(&self, session: &Session) -> Result<Response, Trouble> {
        let grant = self.grant().await?;
        let client = device::client_for(self.platform, &grant, session.gcid).await?;
        grant.decide(Some(session.gcid), self.platform.clock.now())?;
        let t = self.t;
        let purpose = Some(client.purpose.as_str()).filter(|purpose| !purpose.is_empty());
        Ok(page(
            StatusCode::OK,
            &ConsentPage {
                t,
                path: path_with(&self.user_code),
                form_proof: self.visitor.form_proof(),
                user_code: &self.user_code,
                you_are: fill(t.you_are, &[&session.email]),
                wants: fill(t.consent_wants, &[&client.name]),
                purpose: purpose.map(|purpose| fill(t.consent_purpose, &[purpose])),
                client: fill(t.consent_client, &[&client.id.to_string()]),
                scopes: grant.scopes.iter().map(|one| (one.as_str(), meaning(one, t))).collect(),
            },
        ))
    }

    async fn approve(
        &self,
        session: &Session,
        lasts: Option<SignedDuration>,
    ) -> Result<Response, Trouble> {
        let grant = self.grant().await?;
        let client = device::client_for(self.platform, &grant, session.gcid).await?;
        device::approve(self.platform, &grant, session.gcid, lasts).await?;
        let words = fill(self.t.allowed_text, &[&client.name]);
        // A third party's client has a consent only when it has fetched its tokens, and until then no page.
        let next = match client.kind {
            Kind::Personal(_) => format!("/clients/{}/stream", client.id),
            Kind::ThirdParty | Kind::ResourceServer => "/sharing".to_owned(),
        };
        Ok(self.done(self.t.allowed_title, words, Some(next)))
    }

    async fn deny(&self, session: &Session) -> Result<Response, Trouble> {
        let grant = self.grant().await?;
        let client = device::client_for(self.platform, &grant, session.gcid).await?;
        device::deny(self.platform, &grant).await?;
        let now = self.platform.clock.now();
        let record = Record::new(now, Actor::Customer, Act::ConsentRefused)
            .of(session.gcid)
            .with_client(client.id)
            .with("scopes", grant.scopes.to_string());
        self.platform.directory.append_to_ledger(&[record]).await?;
        let words = fill(self.t.refused_text, &[&client.name]);
        Ok(self.done(self.t.refused_title, words, None))
    }

    fn done(&self, title: &'static str, words: String, next: Option<String>) -> Response {
        page(StatusCode::OK, &DonePage { t: self.t, path: PATH.to_owned(), title, words, next })
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

/// For how long access is given; without a word on it, until the customer ends it.
fn lasts(text: &str) -> Result<Option<SignedDuration>, Trouble> {
    let days = match text {
        "" | "until-ended" => return Ok(None),
        "day" => 1,
        "month" => 30,
        "year" => 365,
        _ => return Err(Trouble::Unreadable),
    };
    Ok(Some(SignedDuration::from_hours(24 * days)))
}

/// What a scope lets a client do, in words for the person.
pub(super) fn meaning(scope: Scope, t: &Text) -> &'static str {
    match scope {
        Scope::AuthenticateUser => t.scope_authenticate,
        Scope::OpenId => t.scope_openid,
        Scope::ApiRead => t.scope_api,
        Scope::StreamingRead => t.scope_streaming,
    }
}

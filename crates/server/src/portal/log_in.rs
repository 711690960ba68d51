//! `/login` and `/logout`, and the one place where a password is judged.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest as _, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Redirect, Response};
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_store::directory::DirectoryError;
use serde::Deserialize;

use super::login::{PASSWORD_LENGTH, Visitor};
use super::problem::Problem;
use super::text::Text;
use super::visit::{Fields, Sent, local, text_of};
use super::{encode, page};
use crate::attempts::Peer;
use crate::platform::Platform;

const PATH: &str = "/login";

#[derive(Template)]
#[template(path = "login.html")]
struct LogInPage<'a> {
    t: &'static Text,
    trouble: Option<&'static str>,
    form_proof: String,
    next: &'a str,
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct LogInQuery {
    next: String,
}

/// Why nobody was logged in.
pub(super) enum Refused {
    WrongPassword,
    TooManyTries,
    Failed,
}

impl From<DirectoryError> for Refused {
    fn from(error: DirectoryError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a log-in failed on our side");
        Self::Failed
    }
}

/// Logs in whoever knows the password; the browser gets a new cookie then.
pub(super) async fn log_in(
    platform: &Arc<Platform>,
    peer: Peer,
    email: &str,
    password: &str,
) -> Result<Visitor, Refused> {
    let now = platform.clock.now();
    let email = email.trim();
    if !platform.visitors.may_guess_password(peer, email, now) {
        return Err(Refused::TooManyTries);
    }
    // One that nobody can have is not worth the work of hashing it.
    let password: String = password.chars().take(PASSWORD_LENGTH.end() + 1).collect();
    let customer = platform.directory.customer_by_email(email).await?;
    let fits = platform.visitors.password_fits(customer.as_ref(), password).await;
    let gcid = customer.as_ref().map(|customer| customer.gcid);
    let (outcome, act) = if fits { ("ok", Act::LoggedIn) } else { ("refused", Act::LogInRefused) };
    metrics::counter!("cardata_portal_log_ins_total", "outcome" => outcome).increment(1);
    if let Some(gcid) = gcid {
        let record = Record::new(now, Actor::Customer, act).of(gcid);
        if fits {
            note(platform, record).await;
        } else {
            // In the background, so that the time tells nothing about whether there is such a customer.
            let owned = platform.clone();
            platform.tasks.spawn("note_log_in", async move { note(&owned, record).await });
        }
    }
    let customer = customer.filter(|_| fits).ok_or(Refused::WrongPassword)?;
    platform.visitors.password_was_right(peer, email);
    Ok(platform.visitors.log_in(&customer, now))
}

/// Adds a line to the ledger. What it tells of has happened, so a failure stops nothing.
async fn note(platform: &Platform, record: Record) {
    if let Err(error) = platform.directory.append_to_ledger(&[record]).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a line is missing in the ledger"
        );
    }
}

/// The path of the log-in that leads to `next` afterwards.
pub(super) fn path_to(next: &str) -> String {
    match local(next) {
        "/" => PATH.to_owned(),
        next => format!("{PATH}?next={}", encode(next)),
    }
}

pub(super) async fn show(
    State(platform): State<Arc<Platform>>,
    query: Result<Query<LogInQuery>, QueryRejection>,
    request: Request,
) -> Response {
    let visitor = platform.visitors.visitor(request.headers(), platform.clock.now());
    let next = query.map(|Query(query)| query.next).unwrap_or_default();
    if visitor.session.is_some() {
        return Redirect::to(local(&next)).into_response();
    }
    form(&visitor, text_of(request.headers()), local(&next), None)
}

fn form(
    visitor: &Visitor,
    t: &'static Text,
    next: &str,
    trouble: Option<(StatusCode, &'static str)>,
) -> Response {
    let (status, trouble) =
        trouble.map_or((StatusCode::OK, None), |(status, words)| (status, Some(words)));
    let form_proof = visitor.form_proof();
    let template = LogInPage { t, trouble, form_proof, next, path: path_to(next) };
    let mut response = page(status, &template);
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(RETRY_AFTER, 60.into());
    }
    visitor.mark(response)
}

pub(super) async fn submit(
    State(platform): State<Arc<Platform>>,
    peer: Peer,
    request: Request,
) -> Result<Response, Problem> {
    let t = text_of(request.headers());
    let visitor = platform.visitors.visitor(request.headers(), platform.clock.now());
    let fields = Fields::read(request).await?;
    let next = local(fields.get("next")).to_owned();
    if !visitor.sent(fields.get("form_proof")) {
        return Ok(form(&visitor, t, &next, Some((StatusCode::FORBIDDEN, t.trouble_stale))));
    }
    let trouble = match log_in(&platform, peer, fields.get("email"), fields.get("password")).await {
        Ok(visitor) => return Ok(visitor.mark(Redirect::to(&next).into_response())),
        Err(Refused::WrongPassword) => (StatusCode::FORBIDDEN, t.trouble_wrong_password),
        Err(Refused::TooManyTries) => (StatusCode::TOO_MANY_REQUESTS, t.trouble_too_many),
        Err(Refused::Failed) => return Err(Problem::Failed),
    };
    Ok(form(&visitor, t, &next, Some(trouble)))
}

/// `POST /logout`.
pub(super) async fn log_out(
    State(platform): State<Arc<Platform>>,
    request: Request,
) -> Result<Response, Response> {
    let Sent { visit, .. } = Sent::from_request(request, &platform).await?;
    let record = Record::new(visit.now(), Actor::Customer, Act::LoggedOut).of(visit.gcid());
    let nobody = platform.visitors.log_out(&visit.visitor);
    note(&platform, record).await;
    Ok(nobody.mark(Redirect::to(PATH).into_response()))
}

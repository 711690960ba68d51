//! Who asks for a page, in which language; and a form that surely came from a page of ours.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use cardata_domain::Gcid;
use jiff::Timestamp;

use super::language::Language;
use super::login::{Session, Visitor};
use super::problem::Problem;
use super::text::Text;
use crate::platform::Platform;

/// A logged-in customer who asks for a page.
pub(super) struct Visit {
    pub(super) platform: Arc<Platform>,
    pub(super) visitor: Visitor,
    pub(super) session: Session,
    pub(super) language: Language,
    /// The path of the page that was asked for, with its query; none for a form, which may have no page of its own.
    pub(super) path: Option<String>,
}

impl Visit {
    pub(super) fn gcid(&self) -> Gcid {
        self.session.gcid
    }

    pub(super) fn text(&self) -> &'static Text {
        self.language.text()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.platform.clock.now()
    }

    /// What every page shows around its content; `section` is the part of the menu that it belongs to.
    pub(super) fn frame(&self, section: &'static str) -> Frame {
        Frame {
            t: self.text(),
            section,
            path: self.path.clone().unwrap_or_else(|| format!("/{section}")),
            email: self.session.email.clone(),
            form_proof: self.visitor.form_proof(),
        }
    }

    fn of(parts: &Parts, platform: &Arc<Platform>) -> Result<Self, Redirect> {
        let visitor = platform.visitors.visitor(&parts.headers, platform.clock.now());
        let path = parts.uri.path_and_query().filter(|_| parts.method == Method::GET);
        let path = path.map(ToString::to_string);
        let Some(session) = visitor.session.clone() else {
            // A form that was sent too late must not be sent again by logging in.
            let next = path.as_deref().unwrap_or("/");
            return Err(Redirect::to(&super::log_in::path_to(next)));
        };
        let language = Language::of(&parts.headers);
        Ok(Self { platform: platform.clone(), visitor, session, language, path })
    }
}

impl FromRequestParts<Arc<Platform>> for Visit {
    type Rejection = Redirect;

    async fn from_request_parts(
        parts: &mut Parts,
        platform: &Arc<Platform>,
    ) -> Result<Self, Redirect> {
        Self::of(parts, platform)
    }
}

/// What every page of a logged-in customer shows around its content.
pub(super) struct Frame {
    pub(super) t: &'static Text,
    pub(super) section: &'static str,
    pub(super) path: String,
    pub(super) email: String,
    pub(super) form_proof: String,
}

/// A form that a logged-in customer sent from a page that this browser got from here.
pub(super) struct Sent {
    pub(super) visit: Visit,
    pub(super) fields: Fields,
}

impl FromRequest<Arc<Platform>> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, platform: &Arc<Platform>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let visit = Visit::of(&parts, platform).map_err(Redirect::into_response)?;
        let fields = Fields::read(Request::from_parts(parts, body)).await?;
        if !visit.visitor.sent(fields.get("form_proof")) {
            return Err(Problem::Stale.into_response());
        }
        Ok(Self { visit, fields })
    }
}

/// The fields of a form, in their order; a name may come more than once.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) async fn read(request: Request) -> Result<Self, Problem> {
        let form = Form::<Vec<(String, String)>>::from_request(request, &()).await;
        form.map(|Form(fields)| Self(fields)).map_err(|rejection: FormRejection| {
            match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
                _ => Problem::Unreadable,
            }
        })
    }

    /// The first value of `name`; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Every value of `name`.
    pub(super) fn all<'a, 'name>(
        &'a self,
        name: &'name str,
    ) -> impl Iterator<Item = &'a str> + use<'a, 'name> {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Whether a box was ticked.
    pub(super) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }
}

/// Where a link may lead after a log-in or a change of language: a path of ours, and nowhere else.
pub(super) fn local(path: &str) -> &str {
    let is_local = path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_local { path } else { "/" }
}

/// The language of a request for which nobody has to be logged in.
pub(super) fn text_of(headers: &HeaderMap) -> &'static Text {
    Language::of(headers).text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_path_of_ours_and_nowhere_else() {
        for good in ["/", "/vehicles/WBY?x=1&y=%20", "/oneid/link?user_code=abc"] {
            assert_eq!(local(good), good);
        }
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\r\nSet-Cookie: a=b",
            "/\tx",
            " /",
        ] {
            assert_eq!(local(bad), "/", "{bad:?}");
        }
    }
}

//! The members of a request, taken one by one, so that each complaint names the member that it is about.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use cardata_domain::customer::Customer;
use serde_json::{Map, Value};

use super::BODY_LENGTH_MAX;
use super::refusal::Refusal;
use crate::platform::Platform;

/// Members that were not taken yet.
#[derive(Debug, Default)]
pub(super) struct Fields {
    members: Map<String, Value>,
    /// The object that they are in, with a dot behind it; empty for the outermost.
    within: String,
    /// Those that were asked for.
    known: Vec<&'static str>,
}

/// The members of a query, all of them texts.
pub(super) struct QueryFields(pub(super) Fields);

/// Rows of a page, unless told.
const LIMIT: u32 = 100;
/// Rows that a page may have.
const LIMIT_MAX: u32 = 1000;

impl Fields {
    /// The members of a JSON object; no bytes at all stand for an empty one.
    pub(super) fn parse(json: &[u8]) -> Result<Self, Refusal> {
        if json.is_empty() {
            return Ok(Self::default());
        }
        let members =
            serde_json::from_slice(json).map_err(|error| Refusal::Body(error.to_string()))?;
        Ok(Self { members, ..Self::default() })
    }

    /// A text, if it is there. `null` is as good as nothing.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "must be a text")),
        }
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, name: &'static str) -> Result<String, Refusal> {
        self.text(name)?.ok_or_else(|| self.wrong(name, "is missing"))
    }

    /// What a text says, if it is there.
    pub(super) fn parsed<T>(&mut self, name: &'static str) -> Result<Option<T>, Refusal>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let parsed = text.parse();
        parsed.map(Some).map_err(|error| self.wrong(name, format!("can't be used: {error}")))
    }

    /// What a text says that must be there.
    pub(super) fn required_parsed<T>(&mut self, name: &'static str) -> Result<T, Refusal>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parsed(name)?.ok_or_else(|| self.wrong(name, "is missing"))
    }

    /// A text, or a number as text, if it is there.
    pub(super) fn plain(&mut self, name: &'static str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
            Some(_) => Err(self.wrong(name, "must be a text, a number, true or false")),
        }
    }

    /// `true` or `false`, if it is there.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(name, "must be true or false")),
        }
    }

    /// A list of texts, if it is there.
    pub(super) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let texts = serde_json::from_value(value);
        texts.map(Some).map_err(|_| self.wrong(name, "must be a list of texts"))
    }

    /// An object, if it is there.
    pub(super) fn object(&mut self, name: &'static str) -> Result<Option<Self>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(members)) => {
                let within = format!("{}{name}.", self.within);
                Ok(Some(Self { members, within, known: Vec::new() }))
            }
            Some(_) => Err(self.wrong(name, "must be an object")),
        }
    }

    /// The customer whom `gcid` or `email` names, if one of them is there.
    pub(super) async fn customer(
        &mut self,
        platform: &Platform,
    ) -> Result<Option<Customer>, Refusal> {
        let directory = &platform.directory;
        let remedy = "see who there is: GET /admin/v1/customers";
        let gcid = self.parsed("gcid")?;
        let email = self.text("email")?;
        let (field, found) = match (gcid, email) {
            (Some(_), Some(_)) => return Err(self.wrong("email", "stands beside `gcid`; send one")),
            (Some(gcid), None) => ("gcid", directory.customer(gcid).await?),
            (None, Some(email)) => ("email", directory.customer_by_email(email.trim()).await?),
            (None, None) => return Ok(None),
        };
        let unknown = || {
            Refusal::field(field, "names nobody: there is no customer with this e-mail or GCID")
                .or_else(remedy)
        };
        found.ok_or_else(unknown).map(Some)
    }

    /// Refuses what nobody asked for: a name with a slip of the pen must not be passed over.
    pub(super) fn end(self) -> Result<(), Refusal> {
        match self.members.keys().next() {
            None => Ok(()),
            Some(name) => {
                let known = self.known.join(", ");
                Err(self.wrong(name, format!("is not known here; known are: {known}")))
            }
        }
    }

    /// The complaint about a member.
    pub(super) fn wrong(&self, name: &str, reason: impl Into<String>) -> Refusal {
        Refusal::field(&format!("{}{name}", self.within), reason)
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.members.remove(name).filter(|value| !value.is_null())
    }
}

impl QueryFields {
    /// Which page: what it begins after, and how many rows it has.
    pub(super) fn page<T>(&mut self, after: &'static str) -> Result<(Option<T>, u32), Refusal>
    where
        T: FromStr,
        T::Err: Display,
    {
        let after = self.0.parsed(after)?;
        let limit = self.0.parsed("limit")?.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Refusal::field("limit", format!("must be 1 to {LIMIT_MAX}")));
        }
        Ok((after, limit))
    }

    /// `true` or `false`, if it is there.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, Refusal> {
        match self.0.text(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::field(name, "must be true or false")),
        }
    }
}

impl FromRequest<Arc<Platform>> for Fields {
    type Rejection = Refusal;

    async fn from_request(request: Request, platform: &Arc<Platform>) -> Result<Self, Refusal> {
        let body = Bytes::from_request(request, platform).await;
        Self::parse(&body.map_err(|_| Refusal::Length(BODY_LENGTH_MAX))?)
    }
}

impl FromRequestParts<Arc<Platform>> for QueryFields {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Platform>) -> Result<Self, Refusal> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Refusal::Body(error.to_string()))?;
        let mut members = Map::new();
        for (name, value) in pairs {
            if members.insert(name.clone(), Value::String(value)).is_some() {
                return Err(Refusal::field(&name, "stands twice in the query"));
            }
        }
        Ok(Self(Fields { members, ..Fields::default() }))
    }
}

/// The page's rows under `name`, and what the next one begins after.
pub(super) fn page(name: &str, rows: Vec<Value>, next: Option<String>) -> Value {
    let mut page = Map::new();
    page.insert(name.to_owned(), rows.into());
    page.insert("next".to_owned(), next.map_or(Value::Null, Value::String));
    page.into()
}

/// What the page after `rows` begins after, if there may be one.
pub(super) fn next<T>(rows: &[T], limit: u32, key: impl Fn(&T) -> String) -> Option<String> {
    rows.last().filter(|_| rows.len() >= limit as usize).map(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes()).unwrap()
    }

    fn complaint<T>(result: Result<T, Refusal>) -> String {
        result.err().unwrap().to_string()
    }

    #[test]
    fn each_complaint_names_its_member() {
        let mut all = fields(r#"{"a": 5, "b": "yes", "c": {"d": 1}, "limit": "x", "e": null}"#);
        assert_eq!(complaint(all.text("a")), "`a` must be a text");
        assert_eq!(complaint(all.flag("b")), "`b` must be true or false");
        let mut inner = all.object("c").unwrap().unwrap();
        assert_eq!(complaint(inner.flag("d")), "`c.d` must be true or false");
        assert!(complaint(all.parsed::<u32>("limit")).starts_with("`limit` can't be used: "));
        assert_eq!(complaint(all.required("e")), "`e` is missing");
        assert_eq!(complaint(all.required_parsed::<u32>("f")), "`f` is missing");
    }

    #[test]
    fn what_nobody_asked_for_is_refused_with_what_is_known() {
        let mut all = fields(r#"{"name": "x", "pupose": "y"}"#);
        all.text("name").unwrap();
        all.text("purpose").unwrap();
        assert_eq!(complaint(all.end()), "`pupose` is not known here; known are: name, purpose");
        assert!(fields("").end().is_ok() && fields("{}").end().is_ok());
        assert!(complaint(Fields::parse(b"[]")).starts_with("the body is no JSON object"));
    }
}

//! In which form an answer goes out: as JSON or XML (wire §4.1), with a tag by which a client can ask whether it changed.

use axum::body::{self, Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cardata_contract::error_code::ErrorCode;
use serde_json::Value;

use super::error::ApiError;
use crate::secret;

/// Gives what a handler answers the form that the client asks for. Streams and what has no body pass as they are.
pub(super) async fn shape(request: Request, next: Next) -> Response {
    let media = Media::wanted(request.headers());
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().get_all(IF_NONE_MATCH).iter().cloned().collect::<Vec<_>>();
    let response = next.run(request).await;
    match response.body().size_hint().exact() {
        None | Some(0) => return response,
        Some(_) => {}
    }
    let (mut parts, body) = response.into_parts();
    let Ok(mut body) = body::to_bytes(body, usize::MAX).await else {
        return ApiError::new(ErrorCode::Internal, "the answer was lost").into_response();
    };
    if parts.headers.get(CONTENT_TYPE).is_some_and(|media| media == Media::Json.content_type()) {
        parts.headers.append(VARY, HeaderValue::from_static("accept"));
        if media != Media::Json {
            body = xml(&body, parts.status.is_success());
            // A tag that came along is that of the JSON.
            parts.headers.remove(ETAG);
            parts.headers.remove(CONTENT_LENGTH);
            parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
        }
    }
    if is_read && parts.status == StatusCode::OK {
        let tag = parts.headers.entry(ETAG).or_insert_with(|| tag(&body)).clone();
        // Each answer is one customer's, and is asked for again each time.
        parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if known.iter().any(|known| names(known, &tag)) {
            parts.status = StatusCode::NOT_MODIFIED;
            parts.headers.remove(CONTENT_TYPE);
            parts.headers.remove(CONTENT_LENGTH);
            body = Bytes::new();
        }
    }
    Response::from_parts(parts, Body::from(body))
}

/// A tag for the very bytes of an answer. It is a weak one, since the answer may go out compressed.
pub(super) fn tag(body: &[u8]) -> HeaderValue {
    let digest = URL_SAFE_NO_PAD.encode(&secret::sha256(body)[..16]);
    HeaderValue::try_from(format!("W/\"{digest}\"")).expect("base64url has no special characters")
}

/// Whether an `If-None-Match` names `tag` (RFC 9110 §13.1.2; our tags have no commas).
fn names(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else { return false };
    let opaque = |tag: &'_ str| tag.trim().trim_start_matches("W/").to_owned();
    let tag = opaque(tag);
    known.split(',').any(|one| one.trim() == "*" || opaque(one) == tag)
}

/// What answers can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
    Xml,
    /// The older name for it.
    TextXml,
}

impl Media {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml",
            Self::TextXml => "text/xml; charset=utf-8",
        }
    }

    /// What the client likes best. JSON where it likes two the same, says nothing, or takes none of them: an answer
    /// that it didn't ask for helps more than none (RFC 9110 §12.5.1 allows either).
    fn wanted(headers: &HeaderMap) -> Self {
        let ranges: Vec<_> = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(Range::parse)
            .collect();
        let quality = |media: &Self| {
            let best = ranges.iter().filter_map(|range| Some((range.matches(*media)?, range)));
            best.max_by_key(|(exactness, _)| *exactness).map_or(0, |(_, range)| range.quality)
        };
        // Of several that are equal, `max_by_key` takes the last.
        [Self::TextXml, Self::Xml, Self::Json].into_iter().max_by_key(quality).unwrap_or(Self::Json)
    }
}

/// One element of `Accept`.
struct Range {
    /// In lower case: `application/xml`, `application/*`, `*/*`.
    kind: String,
    /// In thousandths.
    quality: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next()?.to_ascii_lowercase();
        let mut quality = 1000;
        for parameter in parts {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            if name.trim().eq_ignore_ascii_case("q") {
                quality = thousandths(value.trim())?;
            }
        }
        Some(Self { kind, quality })
    }

    /// How exactly it names `media`, from 0; `None` when it doesn't.
    fn matches(&self, media: Media) -> Option<u8> {
        let full = media.content_type().split(';').next().unwrap_or_default();
        let family = full.split_once('/').map_or("", |(family, _)| family);
        match &*self.kind {
            kind if kind == full => Some(2),
            kind if kind.strip_suffix("/*") == Some(family) => Some(1),
            "*/*" => Some(0),
            _ => None,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
fn thousandths(text: &str) -> Option<u16> {
    let quality: f32 = text.parse().ok()?;
    (0.0..=1.0).contains(&quality).then(|| (quality * 1000.0).round() as u16)
}

/// `json` as XML: each member is an element of its name, a list one element for each item, and null an empty element with
/// `xsi:nil`. The root is `response` or `error`; items of a bare list are `item`.
fn xml(json: &[u8], is_success: bool) -> Bytes {
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    let root = if is_success { "response" } else { "error" };
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <{root} xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">"
    );
    content(&mut text, &value);
    text.extend(["</", root, ">\n"]);
    text.into()
}

fn element(text: &mut String, name: &str, value: &Value) {
    // No name begins with a digit, as some VINs do.
    let guard = if name.starts_with(|first: char| first.is_ascii_digit()) { "_" } else { "" };
    match value {
        Value::Null => text.extend(["<", guard, name, " xsi:nil=\"true\"/>"]),
        Value::Array(items) => items.iter().for_each(|item| element(text, name, item)),
        _ => {
            text.extend(["<", guard, name, ">"]);
            content(text, value);
            text.extend(["</", guard, name, ">"]);
        }
    }
}

fn content(text: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
        Value::String(plain) => {
            // XML has no form at all for these, not even an escaped one.
            let is_no_character = |c: char| {
                c < ' ' && !matches!(c, '\t' | '\n' | '\r') || matches!(c, '\u{fffe}' | '\u{ffff}')
            };
            let plain = plain.replace(is_no_character, "\u{fffd}");
            text.push_str(&quick_xml::escape::escape(plain).replace('\r', "&#13;"));
        }
        Value::Array(items) => items.iter().for_each(|item| element(text, "item", item)),
        Value::Object(members) => {
            for (name, member) in members {
                element(text, name, member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: &[&str]) -> Media {
        let headers = accept.iter().map(|value| (ACCEPT, value.parse().unwrap()));
        Media::wanted(&headers.collect())
    }

    #[test]
    fn xml_is_for_those_who_like_it_better_than_json() {
        for accept in [
            &["application/xml"] as &[_],
            &["APPLICATION/XML"],
            &["application/json;q=0.5, application/xml"],
            &["application/json;q=0.5", "application/xml;q=0.9"],
            &["text/html, application/xml;q=0.9, */*;q=0.8"],
            &["application/json;q=0, application/*"],
        ] {
            assert_eq!(wanted(accept), Media::Xml, "{accept:?}");
        }
        assert_eq!(wanted(&["text/xml"]), Media::TextXml);
        assert_eq!(wanted(&["text/*, application/json;q=0.1"]), Media::TextXml);
    }

    #[test]
    fn everybody_else_gets_json() {
        for accept in [
            &[] as &[_],
            &[""],
            &["*/*"],
            &["application/json"],
            &["application/*"],
            &["application/json, application/xml"],
            &["application/xml, */*"],
            &["image/png, image/*"],
            &["application/xml;q=0"],
            &["application/xml;q=2"],
            &["application/xml;q=x"],
            &["xml"],
            &[",;,"],
        ] {
            assert_eq!(wanted(accept), Media::Json, "{accept:?}");
        }
    }

    #[test]
    fn xml_has_the_names_of_the_json_and_escapes_what_it_must() {
        let json = r#"{"a.b":[{"x":1},{"x":null}],"5UX":true,"empty":[],"t":"<&>\u0000ä\r"}"#;
        assert_eq!(
            xml(json.as_bytes(), true),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <response xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
             <_5UX>true</_5UX><a.b><x>1</x></a.b><a.b><x xsi:nil=\"true\"/></a.b>\
             <t>&lt;&amp;&gt;\u{fffd}ä&#13;</t></response>\n"
        );
        let list = xml(br#"["a",2]"#, false);
        assert!(list.ends_with(b"<item>a</item><item>2</item></error>\n"), "{list:?}");
    }

    #[test]
    fn a_tag_is_known_by_its_text_alone() {
        let ours = tag(b"body");
        let text = ours.to_str().unwrap().to_owned();
        let known = |text: &str| names(&text.parse().unwrap(), &ours);
        for same in [&text, "*", &format!("\"x\", {text}"), text.trim_start_matches("W/")] {
            assert!(known(same), "{same}");
        }
        for other in ["", "\"x\"", &text[..text.len() - 2]] {
            assert!(!known(other), "{other}");
        }
        assert_ne!(tag(b"other body"), ours);
    }
}

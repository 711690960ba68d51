//! Who a client says it is, and how it proves that (RFC 6749 §2.3).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::RequestError;
use super::form::{Form, decode};

/// Who a client says it is, and how it proves that.
pub struct Credentials {
    /// As it was sent; upper case happens.
    pub client_id: String,
    /// The proof.
    pub proof: Proof,
}

/// How a client proves who it is.
pub enum Proof {
    /// Not at all, as public clients.
    Nothing,
    /// `client_secret_post`: the secret stands in the body.
    Post(String),
    /// `client_secret_basic`: it stands in the header `Authorization`; may be empty.
    Basic(String),
}

impl Credentials {
    /// Takes them from a form and the header `Authorization`. Another scheme than Basic says nothing about a client, and
    /// is ignored.
    pub(super) fn take(form: &mut Form, authorization: Option<&str>) -> Result<Self, RequestError> {
        let Some(encoded) = authorization.and_then(basic) else {
            let client_id = form.take("client_id")?;
            let secret = form.take("client_secret").ok();
            return Ok(Self { client_id, proof: secret.map_or(Proof::Nothing, Proof::Post) });
        };
        let (client_id, secret) = pair(encoded)?;
        if form.get("client_secret").is_some() {
            return Err(RequestError::TwoProofs);
        }
        if form.get("client_id").is_some_and(|other| !other.eq_ignore_ascii_case(&client_id)) {
            let name = "client_id";
            return Err(RequestError::Unsupported { name, expected: "as in `Authorization`" });
        }
        Ok(Self { client_id, proof: Proof::Basic(secret) })
    }
}

/// What follows the scheme Basic.
fn basic(authorization: &str) -> Option<&str> {
    let (scheme, rest) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| rest.trim())
}

/// Programs differ in whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Id and secret, each form-encoded before they were put together (RFC 6749 §2.3.1).
fn pair(encoded: &str) -> Result<(String, String), RequestError> {
    let text = BASE64.decode(encoded).map_err(|_| RequestError::Authorization)?;
    let colon = text.iter().position(|byte| *byte == b':').ok_or(RequestError::Authorization)?;
    let half = |bytes| decode(bytes).map_err(|_| RequestError::Authorization);
    let (id, secret) = (half(&text[..colon])?, half(&text[colon + 1..])?);
    if id.is_empty() { Err(RequestError::Authorization) } else { Ok((id, secret)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> String {
        format!("Basic {}", BASE64.encode(text))
    }

    /// Id, and the secret with where it stood.
    fn read(body: &str, authorization: Option<&str>) -> Result<(String, String), RequestError> {
        let credentials = Credentials::take(&mut Form::parse(body.as_bytes())?, authorization)?;
        let proof = match credentials.proof {
            Proof::Nothing => "nothing".to_owned(),
            Proof::Post(secret) => format!("post {secret}"),
            Proof::Basic(secret) => format!("basic {secret}"),
        };
        Ok((credentials.client_id, proof))
    }

    fn is(id: &str, proof: &str) -> (String, String) {
        (id.to_owned(), proof.to_owned())
    }

    #[test]
    fn a_secret_comes_in_the_header_or_in_the_body_and_not_in_both() {
        assert_eq!(read("client_id=a", None), Ok(is("a", "nothing")));
        assert_eq!(read("client_id=a&client_secret=", None), Ok(is("a", "nothing")));
        assert_eq!(read("client_id=a&client_secret=b", None), Ok(is("a", "post b")));
        assert_eq!(read("", Some(&header("a:b"))), Ok(is("a", "basic b")));
        assert_eq!(read("client_id=A", Some(&header("a:"))), Ok(is("a", "basic ")));
        assert_eq!(read("", Some(&header("a%3Ab:c%2Bd:+e"))), Ok(is("a:b", "basic c+d: e")));
        let both = read("client_secret=b", Some(&header("a:b")));
        assert_eq!(both, Err(RequestError::TwoProofs));
        let another = read("client_id=b", Some(&header("a:b"))).unwrap_err();
        assert!(matches!(another, RequestError::Unsupported { name: "client_id", .. }));
    }

    #[test]
    fn another_scheme_says_nothing_and_a_broken_header_is_refused() {
        for other in ["Bearer abc", "Basic", "", "Digest a"] {
            assert_eq!(read("client_id=a", Some(other)), Ok(is("a", "nothing")), "{other}");
        }
        for broken in ["Basic a", "basic ????", &header("a"), &header(":b"), &header("a:%zz")] {
            let outcome = read("client_id=a", Some(broken));
            assert_eq!(outcome, Err(RequestError::Authorization), "{broken}");
        }
        assert_eq!(read("", Some(header("a:b").trim_end_matches('='))), Ok(is("a", "basic b")));
    }
}

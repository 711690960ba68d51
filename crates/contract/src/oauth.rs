//! OAuth on the wire: request parameters, response bodies and error codes of wire §1.2 to §1.12.

mod credentials;
mod form;

use cardata_domain::device_grant::PollRefusal;
use cardata_domain::token::{Scopes, UnknownScope};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

pub use self::credentials::{Credentials, Proof};
use self::form::Form;

/// The `grant_type` that exchanges a device code (RFC 8628 §3.4).
pub const GRANT_DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The `grant_type` that exchanges a refresh token (RFC 6749 §6).
pub const GRANT_REFRESH_TOKEN: &str = "refresh_token";
/// The `grant_type` with which a client gets a token for itself (RFC 6749 §4.4).
pub const GRANT_CLIENT_CREDENTIALS: &str = "client_credentials";

/// The answer to a client that starts a login (wire §1.3). Clients need both numbers to be JSON numbers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceCodeResponse {
    /// What the person types.
    pub user_code: String,
    /// What the client polls with; opaque.
    pub device_code: String,
    /// Where the person goes.
    pub verification_uri: String,
    /// The same with the code filled in. The real service leaves it out at times, and scripts break over that.
    pub verification_uri_complete: String,
    /// Seconds between two polls.
    pub interval: u32,
    /// Seconds until the codes die.
    pub expires_in: u32,
}

/// The tokens of a login or a refresh (wire §1.6). Each field is in every answer: some clients replace all they
/// know by it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenResponse {
    /// Whose data the tokens open.
    pub gcid: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the access token and the id token expire.
    pub expires_in: i64,
    /// For the REST API.
    pub access_token: String,
    /// For the next refresh.
    pub refresh_token: String,
    /// What was granted, separated by spaces.
    pub scope: String,
    /// The password for the stream.
    pub id_token: String,
}

/// The token of a client that acts for itself (wire §1.10). There is no customer in it, and nothing to refresh it with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientTokenResponse {
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until it expires.
    pub expires_in: i64,
    /// The token.
    pub access_token: String,
    /// What was granted, separated by spaces.
    pub scope: String,
}

/// What a resource server is told of a token (RFC 7662 §2.2; wire §1.12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introspection {
    /// Whether the token is good now. Of one that is not, nothing else is told, nor why.
    pub active: bool,
    /// The rest.
    #[serde(flatten)]
    pub token: Option<ActiveToken>,
}

impl Introspection {
    /// The answer about a token that is not good, or not known.
    pub const INACTIVE: Self = Self { active: false, token: None };
}

impl From<ActiveToken> for Introspection {
    fn from(token: ActiveToken) -> Self {
        Self { active: true, token: Some(token) }
    }
}

/// A token that is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveToken {
    /// What it permits, separated by spaces.
    pub scope: String,
    /// The client that it was issued to.
    pub client_id: String,
    /// `Bearer`, or `id_token`.
    pub token_type: String,
    /// The first second at which it is no longer good.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// The customer, or the client when it acts for itself.
    pub sub: String,
    /// For whom it is: this service, or the client in the case of an id token.
    pub aud: String,
    /// Who issued it.
    pub iss: String,
}

/// The body of every error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OAuthError)]
pub struct ErrorBody {
    /// For people: what was wrong and what to do.
    #[serde(default)]
    pub error_description: String,
    /// For programs: [`TokenError::code`].
    pub error: String,
}

/// What programs are told when they get no tokens (wire §1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// A parameter is missing, wrong or stands twice.
    InvalidRequest,
    /// No such client.
    InvalidClient,
    /// The device code or refresh token is unknown, used, revoked, or somebody else's.
    InvalidGrant,
    /// A `grant_type` that is not offered.
    UnsupportedGrantType,
    /// The client may not do that, whoever it is.
    UnauthorizedClient,
    /// Nothing of what was asked for can be granted.
    InvalidScope,
    /// A token of a kind that can't be revoked by itself (RFC 7009 §2.2.1).
    UnsupportedTokenType,
    /// Too many requests came from one address; nothing was looked at.
    TooManyRequests,
    /// Nobody has decided yet; poll again.
    AuthorizationPending,
    /// Poll less often.
    SlowDown,
    /// The customer said no.
    AccessDenied,
    /// The device code's time is over.
    ExpiredToken,
    /// The fault is on this side.
    ServerError,
}

impl TokenError {
    /// The word in the body.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::InvalidScope => "invalid_scope",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::AuthorizationPending => "authorization_pending",
            // One word for both, since it means the same to a program; the status tells them apart.
            Self::SlowDown | Self::TooManyRequests => "slow_down",
            Self::AccessDenied => "access_denied",
            Self::ExpiredToken => "expired_token",
            Self::ServerError => "server_error",
        }
    }

    /// The HTTP status. 403 for a pending authorization is the real service's, against RFC 8628's 400: clients
    /// switch on it.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest
            | Self::InvalidGrant
            | Self::UnsupportedGrantType
            | Self::UnauthorizedClient
            | Self::InvalidScope
            | Self::UnsupportedTokenType
            | Self::SlowDown => 400,
            Self::InvalidClient | Self::ExpiredToken => 401,
            Self::AuthorizationPending | Self::AccessDenied => 403,
            Self::TooManyRequests => 429,
            Self::ServerError => 500,
        }
    }
}

impl From<PollRefusal> for TokenError {
    fn from(refusal: PollRefusal) -> Self {
        match refusal {
            PollRefusal::InvalidGrant => Self::InvalidGrant,
            PollRefusal::Expired => Self::ExpiredToken,
            PollRefusal::SlowDown => Self::SlowDown,
            PollRefusal::Pending => Self::AuthorizationPending,
            PollRefusal::Denied => Self::AccessDenied,
        }
    }
}

/// Why a request can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The body is no form.
    #[error("the body is not application/x-www-form-urlencoded in UTF-8")]
    Malformed,
    /// A parameter stands twice, so it is unclear which one is meant.
    #[error("the parameter `{0}` stands more than once; send it once")]
    Repeated(String),
    /// A parameter is not there, or empty, which is the same (RFC 6749 §3.1).
    #[error("the parameter `{0}` is missing")]
    Missing(&'static str),
    /// A parameter has a value that is not offered.
    #[error("the parameter `{name}` must be {expected}")]
    Unsupported {
        /// Which.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// `grant_type` names a grant that is not offered.
    #[error(
        "the parameter `grant_type` must be {GRANT_DEVICE_CODE}, {GRANT_REFRESH_TOKEN} or {GRANT_CLIENT_CREDENTIALS}"
    )]
    GrantType,
    /// The header `Authorization` says Basic and is not that.
    #[error(
        "the header `Authorization` must be Basic with the client id and the secret, each form-encoded, in base64"
    )]
    Authorization,
    /// The client authenticates in two ways at a time (RFC 6749 §2.3).
    #[error("the client's secret stands in the header and in the body; send it in one of them")]
    TwoProofs,
    /// A scope that does not exist.
    #[error("the parameter `scope`: {0}")]
    Scope(#[from] UnknownScope),
    /// A client asks for a scope for itself that does not exist.
    #[error("the parameter `scope`: {0}")]
    OwnScope(UnknownScope),
}

impl From<&RequestError> for TokenError {
    fn from(error: &RequestError) -> Self {
        match error {
            RequestError::GrantType => Self::UnsupportedGrantType,
            RequestError::Authorization => Self::InvalidClient,
            RequestError::OwnScope(_) => Self::InvalidScope,
            _ => Self::InvalidRequest,
        }
    }
}

/// A client that starts a login (wire §1.2).
pub struct DeviceCodeRequest {
    /// Who asks.
    pub credentials: Credentials,
    /// What is asked for.
    pub scopes: Scopes,
    /// The PKCE challenge, S256.
    pub code_challenge: String,
}

impl DeviceCodeRequest {
    /// Reads the form of a device code request. `response_type` may be left out; unknown parameters are ignored.
    ///
    /// # Errors
    /// [`RequestError`] names the parameter.
    pub fn parse(body: &[u8], authorization: Option<&str>) -> Result<Self, RequestError> {
        let mut form = Form::parse(body)?;
        let credentials = Credentials::take(&mut form, authorization)?;
        if form.get("response_type").is_some_and(|value| value != "device_code") {
            let name = "response_type";
            return Err(RequestError::Unsupported { name, expected: "device_code" });
        }
        let scopes = form.take("scope")?.parse()?;
        let code_challenge = form.take("code_challenge")?;
        if form.take("code_challenge_method")? != "S256" {
            let name = "code_challenge_method";
            return Err(RequestError::Unsupported { name, expected: "S256" });
        }
        if !is_challenge(&code_challenge) {
            let expected =
                "the SHA-256 of the verifier in base64url without padding, 43 characters";
            return Err(RequestError::Unsupported { name: "code_challenge", expected });
        }
        Ok(Self { credentials, scopes, code_challenge })
    }
}

fn is_challenge(text: &str) -> bool {
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() == 43 && text.bytes().all(base64url)
}

/// A client that wants tokens (wire §1.4, §1.7).
pub struct TokenRequest {
    /// Who asks.
    pub credentials: Credentials,
    /// What it offers for them.
    pub grant: Grant,
}

/// What a client offers for tokens.
pub enum Grant {
    /// A device code that a customer approved.
    DeviceCode {
        /// The code.
        device_code: String,
        /// The PKCE verifier.
        code_verifier: String,
    },
    /// A refresh token. A `scope` beside it is ignored: the scopes were fixed by the consent.
    Refresh {
        /// The token.
        refresh_token: String,
    },
    /// Its own secret, for a token of its own.
    ClientCredentials {
        /// What it asks for; `None` for all that it can get.
        scopes: Option<Scopes>,
    },
}

impl TokenRequest {
    /// Reads the form of a token request. Unknown parameters are ignored.
    ///
    /// # Errors
    /// [`RequestError`] names the parameter.
    pub fn parse(body: &[u8], authorization: Option<&str>) -> Result<Self, RequestError> {
        let mut form = Form::parse(body)?;
        let credentials = Credentials::take(&mut form, authorization)?;
        let grant = match form.take("grant_type")?.as_str() {
            GRANT_DEVICE_CODE => Grant::DeviceCode {
                device_code: form.take("device_code")?,
                code_verifier: form.take("code_verifier")?,
            },
            GRANT_REFRESH_TOKEN => Grant::Refresh { refresh_token: form.take("refresh_token")? },
            GRANT_CLIENT_CREDENTIALS => Grant::ClientCredentials {
                scopes: form
                    .get("scope")
                    .map(str::parse)
                    .transpose()
                    .map_err(RequestError::OwnScope)?,
            },
            _ => return Err(RequestError::GrantType),
        };
        Ok(Self { credentials, grant })
    }
}

/// A question about a token, or the wish to end it: RFC 7009 and RFC 7662 have the same form. `token_type_hint` is not
/// needed to find one, and ignored.
pub struct AboutToken {
    /// Who asks.
    pub credentials: Credentials,
    /// The token.
    pub token: String,
}

impl AboutToken {
    /// Reads the form. Unknown parameters are ignored.
    ///
    /// # Errors
    /// [`RequestError`] names the parameter.
    pub fn parse(body: &[u8], authorization: Option<&str>) -> Result<Self, RequestError> {
        let mut form = Form::parse(body)?;
        let credentials = Credentials::take(&mut form, authorization)?;
        Ok(Self { credentials, token: form.take("token")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "client_id=31c357a0-7a1d-4590-aa99-33b97244d048&response_type=device_code\
        &scope=authenticate_user+openid%20cardata%3Aapi%3Aread\
        &code_challenge=6xSQkAzH8oEmFMieIfFjAlAsYMS23uhOCXg70Gf13p8&code_challenge_method=S256";

    fn start_refused(body: &str) -> RequestError {
        DeviceCodeRequest::parse(body.as_bytes(), None).err().expect("refused")
    }

    fn token_refused(body: &str) -> RequestError {
        TokenRequest::parse(body.as_bytes(), None).err().expect("refused")
    }

    #[test]
    fn a_start_is_read_with_or_without_response_type_and_with_unknown_parameters() {
        for body in [
            START.to_owned(),
            START.replace("&response_type=device_code", ""),
            format!("{START}&nonce=1&="),
        ] {
            let request = DeviceCodeRequest::parse(body.as_bytes(), None).unwrap();
            assert_eq!(request.credentials.client_id, "31c357a0-7a1d-4590-aa99-33b97244d048");
            assert_eq!(request.scopes.to_string(), "authenticate_user openid cardata:api:read");
            assert_eq!(request.code_challenge, "6xSQkAzH8oEmFMieIfFjAlAsYMS23uhOCXg70Gf13p8");
        }
    }

    #[test]
    fn a_start_without_a_needed_parameter_is_refused_by_its_name() {
        for name in ["client_id", "scope", "code_challenge", "code_challenge_method"] {
            let renamed = START.replace(&format!("{name}="), "other=");
            assert_eq!(start_refused(&renamed), RequestError::Missing(name), "{renamed}");
            let empty = START.replace(&format!("{name}="), &format!("{name}=&other="));
            assert_eq!(start_refused(&empty), RequestError::Missing(name), "{empty}");
        }
    }

    #[test]
    fn a_start_with_a_wrong_or_repeated_parameter_is_refused_by_its_name() {
        let unsupported = |body: &str| match start_refused(body) {
            RequestError::Unsupported { name, .. } => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(unsupported(&START.replace("=S256", "=plain")), "code_challenge_method");
        assert_eq!(unsupported(&START.replace("=device_code", "=code")), "response_type");
        assert_eq!(unsupported(&START.replace("6xSQ", "6xS=")), "code_challenge");
        assert_eq!(
            start_refused(&format!("{START}&scope=openid")),
            RequestError::Repeated("scope".into())
        );
        assert_eq!(
            start_refused(&START.replace("openid", "cardata:streaming:vehicle.mileage")),
            RequestError::Scope(UnknownScope("cardata:streaming:vehicle.mileage".into()))
        );
    }

    #[test]
    fn what_is_no_form_is_refused_without_a_panic() {
        for body in ["client_id=%", "client_id=%4", "client_id=%zz", "client_id=%ff", "%=1"] {
            assert_eq!(start_refused(body), RequestError::Malformed, "{body}");
        }
        assert_eq!(start_refused(""), RequestError::Missing("client_id"));
        assert_eq!(start_refused("{\"client_id\":1}"), RequestError::Missing("client_id"));
    }

    #[test]
    fn a_token_request_names_its_grant_and_what_belongs_to_it() {
        let poll =
            format!("client_id=a&grant_type={GRANT_DEVICE_CODE}&device_code=b&code_verifier=c");
        assert!(TokenRequest::parse(format!("{poll}&scope=openid").as_bytes(), None).is_ok());
        for name in ["client_id", "grant_type", "device_code", "code_verifier"] {
            let renamed = poll.replace(&format!("{name}="), "other=");
            assert_eq!(token_refused(&renamed), RequestError::Missing(name));
        }
        let refresh = "client_id=a&grant_type=refresh_token";
        assert_eq!(token_refused(refresh), RequestError::Missing("refresh_token"));
        assert!(TokenRequest::parse(format!("{refresh}&refresh_token=b").as_bytes(), None).is_ok());
        let error = token_refused("client_id=a&grant_type=password");
        assert_eq!(TokenError::from(&error), TokenError::UnsupportedGrantType);
    }

    #[test]
    fn a_client_asks_for_itself_with_or_without_scopes_that_exist() {
        let form = "client_id=a&client_secret=b&grant_type=client_credentials";
        let asked = |scope: &str| {
            let request = TokenRequest::parse(format!("{form}{scope}").as_bytes(), None);
            request.map(|request| match request.grant {
                Grant::ClientCredentials { scopes } => scopes.map(|scopes| scopes.to_string()),
                _ => panic!("another grant"),
            })
        };
        assert_eq!(asked(""), Ok(None));
        assert_eq!(asked("&scope="), Ok(None));
        assert_eq!(asked("&scope=cardata:api:read"), Ok(Some("cardata:api:read".to_owned())));
        let error = asked("&scope=admin").unwrap_err();
        assert_eq!(TokenError::from(&error).code(), "invalid_scope");
    }

    #[test]
    fn a_question_about_a_token_needs_a_client_and_the_token() {
        let parse = |body: &str| AboutToken::parse(body.as_bytes(), None).map(|about| about.token);
        assert_eq!(parse("client_id=a&token=b&token_type_hint=c"), Ok("b".to_owned()));
        assert_eq!(parse("client_id=a&token="), Err(RequestError::Missing("token")));
        assert_eq!(parse("token=b"), Err(RequestError::Missing("client_id")));
        let twice = parse("client_id=a&token=b&token=b");
        assert_eq!(twice, Err(RequestError::Repeated("token".into())));
    }

    #[test]
    fn of_a_token_that_is_not_good_nothing_is_told() {
        let told = serde_json::to_string(&Introspection::INACTIVE).unwrap();
        assert_eq!(told, r#"{"active":false}"#);
    }

    #[test]
    fn each_refusal_of_a_poll_has_the_status_that_clients_switch_on() {
        let answer = |refusal: PollRefusal| {
            let error = TokenError::from(refusal);
            (error.status(), error.code())
        };
        assert_eq!(answer(PollRefusal::Pending), (403, "authorization_pending"));
        assert_eq!(answer(PollRefusal::Denied), (403, "access_denied"));
        assert_eq!(answer(PollRefusal::SlowDown), (400, "slow_down"));
        assert_eq!(answer(PollRefusal::Expired), (401, "expired_token"));
        assert_eq!(answer(PollRefusal::InvalidGrant), (400, "invalid_grant"));
    }

    #[test]
    fn the_published_samples_read_and_print_back_the_same() {
        for sample in include_str!("../samples/oauth.jsonl").lines() {
            let printed = if sample.contains("user_code") {
                serde_json::to_string(&serde_json::from_str::<DeviceCodeResponse>(sample).unwrap())
            } else if sample.contains("access_token") {
                serde_json::to_string(&serde_json::from_str::<TokenResponse>(sample).unwrap())
            } else {
                serde_json::to_string(&serde_json::from_str::<ErrorBody>(sample).unwrap())
            };
            assert_eq!(printed.unwrap(), sample);
        }
    }
}

//! The grant `client_credentials` (RFC 6749 §4.4): a token with which a third party's client acts for itself.

use cardata_contract::oauth::{ClientTokenResponse, TokenError};
use cardata_domain::client::{Client, OwnScopesError};
use cardata_domain::token::Scopes;
use cardata_store::directory::ClientToken;

use super::Failure;
use crate::platform::Platform;
use crate::secret;

impl From<OwnScopesError> for Failure {
    fn from(error: OwnScopesError) -> Self {
        let code = match error {
            OwnScopesError::NotForThisClient => TokenError::UnauthorizedClient,
            OwnScopesError::NoScope => TokenError::InvalidScope,
        };
        Self::new(code, &error)
    }
}

/// A token for `client`, which has shown its secret.
pub(super) async fn issue(
    platform: &Platform,
    client: &Client,
    requested: Option<Scopes>,
) -> Result<ClientTokenResponse, Failure> {
    let scopes = client.own_scopes(requested)?;
    let now = platform.clock.now();
    let access_token = secret::token();
    let token = ClientToken {
        hash: secret::hash(&access_token),
        client_id: client.id,
        scopes,
        issued_at: now,
        expires_at: now + platform.access_lifetime,
    };
    platform.directory.add_client_token(&token, now).await?;
    tracing::info!(client.id = %client.id, "client {} got a token for itself", client.id);
    Ok(ClientTokenResponse {
        token_type: "Bearer".to_owned(),
        expires_in: platform.access_lifetime.as_secs(),
        access_token,
        scope: scopes.to_string(),
    })
}

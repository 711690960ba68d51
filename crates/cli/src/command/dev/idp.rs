//! An identity provider outside, whose tokens the sandbox takes beside its own.

use anyhow::{Context as _, ensure};
use cardata_server::gcdm::outside::{Jwks, OutsideProvider};
use jiff::Timestamp;

/// Which identity provider.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_field_names, reason = "the names of fields are those of flags")]
pub(super) struct IdpArgs {
    /// Also take tokens (JWT) of this identity provider, as it stands in their `iss`; needs the next two. Customers
    /// still let clients in here
    #[arg(long, value_name = "ISSUER", requires_all = ["idp_jwks", "idp_audience"], env = "CARDATA_IDP_ISSUER")]
    idp_issuer: Option<String>,
    /// Its public keys: a file, or an https URL, with a JWKS
    #[arg(long, value_name = "FILE|URL", requires = "idp_issuer", env = "CARDATA_IDP_JWKS")]
    idp_jwks: Option<String>,
    /// What must stand in the `aud` of its tokens: the name that this service has there
    #[arg(long, value_name = "NAME", requires = "idp_issuer", env = "CARDATA_IDP_AUDIENCE")]
    idp_audience: Option<String>,
}

impl IdpArgs {
    /// The provider with its keys, if one was named. `own_issuer` is what stands in our own tokens.
    pub(super) async fn provider(
        &self,
        own_issuer: &str,
        now: Timestamp,
    ) -> anyhow::Result<Option<OutsideProvider>> {
        let (Some(issuer), Some(place), Some(audience)) =
            (&self.idp_issuer, &self.idp_jwks, &self.idp_audience)
        else {
            return Ok(None);
        };
        ensure!(
            !issuer.is_empty() && !audience.is_empty() && issuer != own_issuer,
            "--idp-issuer and --idp-audience must not be empty, and the issuer must not be this server ({own_issuer})"
        );
        let jwks = Jwks::open(place, now).await;
        let jwks = jwks.with_context(|| format!("there are no keys at --idp-jwks {place}"))?;
        Ok(Some(OutsideProvider { issuer: issuer.clone(), audience: audience.clone(), jwks }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        idp: IdpArgs,
    }

    #[test]
    fn a_provider_is_named_whole_or_not_at_all() {
        let all = ["--idp-issuer=i", "--idp-jwks=j", "--idp-audience=a"];
        let parse = |flags: &[&str]| {
            Command::try_parse_from([&["cardata"], flags].concat()).map(|command| command.idp)
        };
        assert!(parse(&[]).is_ok_and(|idp| idp.idp_issuer.is_none()));
        assert!(parse(&all).is_ok_and(|idp| idp.idp_jwks.as_deref() == Some("j")));
        for left_out in 0..3 {
            let mut some = all.to_vec();
            some.remove(left_out);
            assert!(parse(&some).is_err(), "{some:?}");
        }
    }

    #[tokio::test]
    async fn this_server_is_no_provider_outside_and_keys_must_be_there() {
        let named = |issuer: &str| IdpArgs {
            idp_issuer: Some(issuer.to_owned()),
            idp_jwks: Some("/nowhere/jwks.json".to_owned()),
            idp_audience: Some("cars".to_owned()),
        };
        for issuer in ["https://localhost:8443", "", "https://id.example.com"] {
            let named = named(issuer);
            let outcome = named.provider("https://localhost:8443", Timestamp::UNIX_EPOCH).await;
            assert!(outcome.is_err(), "{issuer}");
        }
    }
}

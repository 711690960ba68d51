//! The keys that sign id tokens.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cardata_store::Directory;
use cardata_store::directory::{DirectoryError, SigningKey};
use jiff::Timestamp;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use thiserror::Error;

use super::id_token::{self, IdToken};

/// The keys by their names: the newest signs, every one verifies.
pub struct Keys {
    newest_first: Vec<Key>,
}

struct Key {
    kid: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    public: Jwk,
}

/// Why there are no keys to sign with.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The directory did not give or take them.
    #[error("the signing keys can't be kept")]
    Directory(#[from] DirectoryError),
    /// A stored key can't be used.
    #[error("the signing key `{kid}` in the directory is no RSA key")]
    Unusable {
        /// Which.
        kid: String,
        /// What is wrong with it.
        #[source]
        source: jsonwebtoken::errors::Error,
    },
}

impl Keys {
    /// The keys in `directory`; when there is none, a first one is made and stored there.
    ///
    /// # Errors
    /// [`KeysError`]: the server can't start without a key. A key that can't be used must be removed from the directory.
    pub async fn open(directory: &dyn Directory, now: Timestamp) -> Result<Self, KeysError> {
        let mut stored = directory.signing_keys().await?;
        if stored.is_empty() {
            let first = generate(now).await;
            directory.add_signing_key(&first).await?;
            stored.push(first);
        }
        let newest_first = stored.iter().map(Key::read).collect::<Result<_, _>>()?;
        Ok(Self { newest_first })
    }

    /// The public keys, as `/.well-known/jwks.json` shows them (RFC 7517).
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.newest_first.iter().map(|key| key.public.clone()).collect() }
    }

    pub(super) fn sign(&self, token: &IdToken) -> String {
        let key = self.newest_first.first().expect("`open` leaves no set of keys empty");
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(key.kid.clone());
        jsonwebtoken::encode(&header, token, &key.signing).expect("an RSA key signs any JSON")
    }

    /// The claims of `jwt` when one of the keys signed it for `issuer`; expired ones, too.
    pub(super) fn open_id_token(&self, jwt: &str, issuer: &str) -> Option<IdToken> {
        id_token::open(jwt, issuer, |kid| {
            self.newest_first.iter().find(|key| key.kid == kid).map(|key| &key.verifying)
        })
    }
}

impl Key {
    fn read(stored: &SigningKey) -> Result<Self, KeysError> {
        Self::from_pem(&stored.kid, &stored.private_pem)
            .map_err(|source| KeysError::Unusable { kid: stored.kid.clone(), source })
    }

    fn from_pem(kid: &str, pem: &str) -> Result<Self, jsonwebtoken::errors::Error> {
        let signing = EncodingKey::from_rsa_pem(pem.as_bytes())?;
        let mut public = Jwk::from_encoding_key(&signing, Algorithm::RS256)?;
        public.common.key_id = Some(kid.to_owned());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let verifying = DecodingKey::from_jwk(&public)?;
        Ok(Self { kid: kid.to_owned(), signing, verifying, public })
    }
}

/// A new key, named by its thumbprint (RFC 7638).
pub(crate) async fn generate(now: Timestamp) -> SigningKey {
    // Searching primes takes up to a second.
    let private_pem = tokio::task::spawn_blocking(|| {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("the system gives random bytes");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("a fresh key has a PKCS #8 form");
        pem(der.as_ref())
    })
    .await
    .expect("making a key does not panic");
    let key = Key::from_pem("", &private_pem).expect("a fresh key is an RSA key");
    let kid = key.public.thumbprint(ThumbprintHash::SHA256).expect("an RSA key has a thumbprint");
    SigningKey { kid, private_pem, created_at: now }
}

/// DER as PEM, in lines of 64 characters (RFC 7468).
fn pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    let body = lines.join("\n");
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

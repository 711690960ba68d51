//! The keys that sign id tokens, and how they change while the server runs: a new one signs at once, the one before
//! verifies until the operator retires it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cardata_domain::token::ACCESS_LIFETIME;
use cardata_store::Directory;
use cardata_store::directory::{DirectoryError, SigningKey};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use thiserror::Error;
use tokio::sync::Mutex;

use super::id_token::{self, IdToken};
use crate::secret;

/// The keys by their names: the newest signs, every one verifies.
pub struct Keys {
    ring: ArcSwap<Ring>,
    /// Held over a change, so that memory and directory get the same keys in the same order.
    changing: Mutex<()>,
}

/// The keys at one time, the newest first, and the tokens that they were found to have signed.
struct Ring {
    newest_first: Vec<Arc<Key>>,
    verified: Verified,
}

/// What stands in tokens whose signatures were checked, by the tokens' digests: clients come back with the same one, and a
/// check takes longer than all else that is asked about them. Whether a token has ended is asked each time.
#[derive(Default)]
struct Verified(std::sync::Mutex<HashMap<[u8; 32], Arc<IdToken>>>);

/// Tokens that are known, of about a kilobyte each; with more, it begins anew.
const VERIFIED_MAX: usize = 4096;

struct Key {
    kid: String,
    created_at: Timestamp,
    signing: EncodingKey,
    verifying: DecodingKey,
    public: Jwk,
}

/// A key, as far as the operator needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name in token headers and in the JWKS.
    pub kid: String,
    /// When it was made, and signed from then on.
    pub created_at: Timestamp,
    /// Whether it signs now; the others only verify.
    pub signs: bool,
}

/// Why a key was not retired; it goes on as before.
#[derive(Debug, Error)]
pub enum RetireError {
    /// There is no key of this name.
    #[error("there is no signing key `{0}`")]
    Unknown(String),
    /// It is the newest one. Rotate first.
    #[error("the signing key `{0}` signs; rotate first, then wait until its tokens have expired")]
    Signs(String),
    /// Tokens that it signed may still be good.
    #[error("tokens of the signing key `{kid}` may be good until {until}; retire it then")]
    InUse {
        /// Which.
        kid: String,
        /// The first instant at which it can go.
        until: Timestamp,
    },
    /// The store failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
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
        let keys = stored.iter().map(|key| Key::read(key).map(Arc::new));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { ring: ArcSwap::from_pointee(Ring::new(keys)), changing: Mutex::default() })
    }

    /// Makes a key that signs from now on; the others go on verifying. Its name.
    ///
    /// # Errors
    /// [`KeysError`]: the key before goes on signing.
    pub async fn rotate(
        &self,
        directory: &dyn Directory,
        now: Timestamp,
    ) -> Result<String, KeysError> {
        let _alone = self.changing.lock().await;
        let mut keys = self.ring.load().newest_first.clone();
        // The newest by its time signs, also after a restart: a clock that was set back must not bring an old one back.
        let after = |key: &Arc<Key>| key.created_at.checked_add(SignedDuration::from_micros(1));
        let earliest = keys.first().and_then(|key| after(key).ok()).unwrap_or(now);
        let fresh = generate(now.max(earliest)).await;
        let key = Key::read(&fresh)?;
        // Before it signs: its tokens must be good after a restart, too.
        directory.add_signing_key(&fresh).await?;
        keys.insert(0, Arc::new(key));
        self.ring.store(Arc::new(Ring::new(keys)));
        tracing::info!(kid = fresh.kid, "the key {} signs id tokens from now on", fresh.kid);
        Ok(fresh.kid)
    }

    /// Every key, the newest first.
    pub fn list(&self) -> Vec<KeyInfo> {
        let ring = self.ring.load();
        let info = |(place, key): (usize, &Arc<Key>)| KeyInfo {
            kid: key.kid.clone(),
            created_at: key.created_at,
            signs: place == 0,
        };
        ring.newest_first.iter().enumerate().map(info).collect()
    }

    /// Removes a key that signs no more and whose tokens have all expired.
    ///
    /// # Errors
    /// [`RetireError`]; the key verifies as before then.
    pub async fn retire(
        &self,
        directory: &dyn Directory,
        kid: &str,
        now: Timestamp,
    ) -> Result<(), RetireError> {
        let _alone = self.changing.lock().await;
        let mut keys = self.ring.load().newest_first.clone();
        let place = keys.iter().position(|key| key.kid == kid);
        let place = place.ok_or_else(|| RetireError::Unknown(kid.to_owned()))?;
        let Some(successor) = place.checked_sub(1).map(|place| &keys[place]) else {
            return Err(RetireError::Signs(kid.to_owned()));
        };
        // No token lives longer than this, whatever this server was told.
        let until = successor.created_at.checked_add(ACCESS_LIFETIME).unwrap_or(Timestamp::MAX);
        if now < until {
            return Err(RetireError::InUse { kid: kid.to_owned(), until });
        }
        directory.remove_signing_key(kid).await?;
        keys.remove(place);
        self.ring.store(Arc::new(Ring::new(keys)));
        tracing::info!(kid, "the key {kid} was retired");
        Ok(())
    }

    /// The public keys, as `/.well-known/jwks.json` shows them (RFC 7517).
    pub fn jwks(&self) -> JwkSet {
        let ring = self.ring.load();
        JwkSet { keys: ring.newest_first.iter().map(|key| key.public.clone()).collect() }
    }

    pub(super) fn sign(&self, token: &IdToken) -> String {
        let ring = self.ring.load();
        let key = ring.newest_first.first().expect("no set of keys is left empty");
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(key.kid.clone());
        jsonwebtoken::encode(&header, token, &key.signing).expect("an RSA key signs any JSON")
    }

    /// The claims of `jwt` when one of the keys signed it for `issuer`; expired ones, too.
    pub(super) fn open_id_token(&self, jwt: &str, issuer: &str) -> Option<Arc<IdToken>> {
        let ring = self.ring.load();
        let digest = secret::sha256(jwt.as_bytes());
        if let Some(known) = ring.verified.get(&digest) {
            return (known.iss == issuer).then_some(known);
        }
        let verifying = |kid: &str| {
            ring.newest_first.iter().find(|key| key.kid == kid).map(|key| &key.verifying)
        };
        let token = Arc::new(id_token::open(jwt, issuer, verifying)?);
        ring.verified.put(digest, &token);
        Some(token)
    }
}

impl Ring {
    /// No token was checked yet.
    fn new(newest_first: Vec<Arc<Key>>) -> Self {
        Self { newest_first, verified: Verified::default() }
    }
}

impl Verified {
    fn get(&self, digest: &[u8; 32]) -> Option<Arc<IdToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn put(&self, digest: [u8; 32], token: &Arc<IdToken>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= VERIFIED_MAX {
            known.clear();
        }
        known.insert(digest, token.clone());
    }
}

impl Key {
    fn read(stored: &SigningKey) -> Result<Self, KeysError> {
        Self::from_pem(&stored.kid, &stored.private_pem, stored.created_at)
            .map_err(|source| KeysError::Unusable { kid: stored.kid.clone(), source })
    }

    fn from_pem(
        kid: &str,
        pem: &str,
        created_at: Timestamp,
    ) -> Result<Self, jsonwebtoken::errors::Error> {
        let signing = EncodingKey::from_rsa_pem(pem.as_bytes())?;
        let mut public = Jwk::from_encoding_key(&signing, Algorithm::RS256)?;
        public.common.key_id = Some(kid.to_owned());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let verifying = DecodingKey::from_jwk(&public)?;
        Ok(Self { kid: kid.to_owned(), created_at, signing, verifying, public })
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
    let key = Key::from_pem("", &private_pem, now).expect("a fresh key is an RSA key");
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

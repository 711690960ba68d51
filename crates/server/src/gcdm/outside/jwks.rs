//! The public keys of the outside provider, from a file or over HTTPS, and when they are looked at again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::{Client, Url, redirect};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::Deserialize;
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;

/// After this, an unknown name of a key is worth another look.
const LOOK_INTERVAL: SignedDuration = SignedDuration::from_secs(60);
/// After this, so is a known one: the provider may have withdrawn it.
const RENEWAL_INTERVAL: SignedDuration = SignedDuration::from_secs(3600);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that a set of keys may have.
const LENGTH_MAX: usize = 1024 * 1024;

/// The provider's keys.
pub struct Jwks {
    source: Source,
    keys: ArcSwap<Vec<Arc<Key>>>,
    /// When they were looked at last; held during a look.
    looked_at: Mutex<Timestamp>,
}

enum Source {
    File(PathBuf),
    Url { url: Url, http: Client },
}

/// A key, and the one algorithm that it is for.
pub(super) struct Key {
    kid: String,
    pub(super) algorithm: Algorithm,
    pub(super) verifying: DecodingKey,
}

/// Why there are no keys.
#[derive(Debug, Error)]
pub enum JwksError {
    /// It is neither a file nor an address that can be trusted.
    #[error("`{0}` is no https URL; keys that come unprotected could be anybody's")]
    NotSecure(String),
    /// The system's certificates can't be used.
    #[error("no TLS connection can be made")]
    Tls(#[from] rustls::Error),
    /// The file can't be read.
    #[error("the file with the keys can't be read")]
    File(#[from] std::io::Error),
    /// The server did not answer.
    #[error("the keys can't be fetched")]
    Fetch(#[from] reqwest::Error),
    /// It answered with something else.
    #[error("the keys can't be fetched: the status is {0}")]
    Status(u16),
    /// There is too much of it.
    #[error("the set of keys has more than {LENGTH_MAX} bytes")]
    TooLong,
    /// It is no JWKS.
    #[error("the set of keys is no JSON with a list `keys`")]
    Malformed(#[from] serde_json::Error),
    /// It has no key that we can use.
    #[error("the set has no key with a `kid` for RS256, ES256 or EdDSA")]
    NoKey,
}

impl Jwks {
    /// The keys at `place`, a file or an https URL.
    ///
    /// # Errors
    /// [`JwksError`] when there are none now.
    pub async fn open(place: &str, now: Timestamp) -> Result<Self, JwksError> {
        if !place.contains("://") {
            return Self::from_source(Source::File(place.into()), now).await;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        Self::fetched(place, tls, now).await
    }

    /// The same over HTTPS, from a server that `tls` trusts.
    pub(super) async fn fetched(
        place: &str,
        tls: ClientConfig,
        now: Timestamp,
    ) -> Result<Self, JwksError> {
        let url = Url::parse(place).ok().filter(|url| url.scheme() == "https");
        let url = url.ok_or_else(|| JwksError::NotSecure(place.to_owned()))?;
        let http = Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(PATIENCE)
            .https_only(true)
            // The keys are those of this very address.
            .redirect(redirect::Policy::none())
            .build()?;
        Self::from_source(Source::Url { url, http }, now).await
    }

    async fn from_source(source: Source, now: Timestamp) -> Result<Self, JwksError> {
        let keys = source.read().await?;
        if keys.is_empty() {
            return Err(JwksError::NoKey);
        }
        Ok(Self { source, keys: ArcSwap::from_pointee(keys), looked_at: Mutex::new(now) })
    }

    /// The key called `kid`. Looks again when there is none, at most once a minute, and sometimes when there is one.
    pub(super) async fn key(&self, kid: &str, now: Timestamp) -> Option<Arc<Key>> {
        let Some(known) = self.find(kid) else {
            // Whoever comes during a look waits for it: the key may be in it.
            let mut looked_at = self.looked_at.lock().await;
            if self.find(kid).is_none() && is_due(*looked_at, LOOK_INTERVAL, now) {
                *looked_at = now;
                self.look().await;
            }
            return self.find(kid);
        };
        if let Ok(mut looked_at) = self.looked_at.try_lock()
            && is_due(*looked_at, RENEWAL_INTERVAL, now)
        {
            *looked_at = now;
            self.look().await;
            return self.find(kid);
        }
        Some(known)
    }

    fn find(&self, kid: &str) -> Option<Arc<Key>> {
        self.keys.load().iter().find(|key| key.kid == kid).cloned()
    }

    /// Takes the keys that are there now; when it can't be known which, the ones before stay.
    async fn look(&self) {
        let read = self.source.read().await;
        let outcome = if read.is_ok() { "ok" } else { "failed" };
        metrics::counter!("cardata_outside_keys_looks_total", "outcome" => outcome).increment(1);
        match read {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "the outside provider has {} keys", keys.len());
                self.keys.store(Arc::new(keys));
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "the outside provider's keys were not read; the ones before stay"
                );
            }
        }
    }
}

/// A clock that was set back must not put a look off for long.
fn is_due(looked_at: Timestamp, interval: SignedDuration, now: Timestamp) -> bool {
    now < looked_at || now.duration_since(looked_at) >= interval
}

impl Source {
    async fn read(&self) -> Result<Vec<Arc<Key>>, JwksError> {
        let bytes = match self {
            Self::File(path) => {
                let file = tokio::fs::File::open(path).await?;
                let mut bytes = Vec::new();
                file.take(LENGTH_MAX as u64 + 1).read_to_end(&mut bytes).await?;
                if bytes.len() > LENGTH_MAX {
                    return Err(JwksError::TooLong);
                }
                bytes
            }
            Self::Url { url, http } => fetch(http, url).await?,
        };
        keys(&bytes)
    }
}

async fn fetch(http: &Client, url: &Url) -> Result<Vec<u8>, JwksError> {
    let mut response = http.get(url.clone()).send().await?;
    if !response.status().is_success() {
        return Err(JwksError::Status(response.status().as_u16()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > LENGTH_MAX {
            return Err(JwksError::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The keys of a set that we can use. Others are none of our business (RFC 7517 §5), and of two with one name neither can
/// be meant.
fn keys(set: &[u8]) -> Result<Vec<Arc<Key>>, JwksError> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }

    let set: Set = serde_json::from_slice(set)?;
    let read = |value| serde_json::from_value::<Jwk>(value).ok().as_ref().and_then(key);
    let all: Vec<_> = set.keys.into_iter().filter_map(read).collect();
    let is_unique = |key: &&Key| all.iter().filter(|other| other.kid == key.kid).count() == 1;
    let (unique, twice): (Vec<_>, Vec<_>) = all.iter().partition(is_unique);
    if !twice.is_empty() {
        tracing::warn!(
            keys = twice.len(),
            "keys of the outside provider that share a name are left out"
        );
    }
    Ok(unique
        .into_iter()
        .map(|key| {
            let Key { kid, algorithm, verifying } = key;
            Arc::new(Key { kid: kid.clone(), algorithm: *algorithm, verifying: verifying.clone() })
        })
        .collect())
}

fn key(jwk: &Jwk) -> Option<Key> {
    let common = &jwk.common;
    if matches!(&common.public_key_use, Some(other) if *other != PublicKeyUse::Signature) {
        return None;
    }
    // What the key is decides; a set that also says it must say the same. Symmetric keys, with which whoever can check
    // could sign, are not among them.
    let (algorithm, said) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    if common.key_algorithm.is_some_and(|other| other != said) {
        return None;
    }
    let kid = common.key_id.clone()?;
    Some(Key { kid, algorithm, verifying: DecodingKey::from_jwk(jwk).ok()? })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{RootCertStore, ServerConfig};
    use serde_json::{Value, json};
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// A key in the form in which sets have it; only that it is one matters.
    fn ed(kid: &str) -> Value {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid})
    }

    fn with(mut key: Value, name: &str, value: &str) -> Value {
        key[name] = json!(value);
        key
    }

    fn names(set: &Value) -> Vec<String> {
        let keys = keys(set.to_string().as_bytes()).unwrap();
        keys.iter().map(|key| key.kid.clone()).collect()
    }

    #[test]
    fn of_a_set_the_keys_are_taken_that_we_can_use() {
        let secret = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric", "alg": "HS256"});
        let unnamed = json!({"kty": "OKP", "crv": "Ed25519", "x": ed("")["x"]});
        let set = json!({"keys": [
            ed("good"),
            with(ed("said"), "alg", "EdDSA"),
            with(ed("for signatures"), "use", "sig"),
            with(ed("for another algorithm"), "alg", "RS256"),
            with(ed("for encryption"), "use", "enc"),
            with(ed("of another curve"), "crv", "X25519"),
            ed("twice"),
            ed("twice"),
            secret,
            unnamed,
            {"kty": "new", "kid": "of a kind to come"},
            "no key at all",
        ]});
        assert_eq!(names(&set), ["good", "said", "for signatures"]);
        assert_eq!(names(&json!({"keys": []})), Vec::<String>::new());
        for broken in ["", "[]", "{}", "{\"keys\":{}}"] {
            assert!(matches!(keys(broken.as_bytes()), Err(JwksError::Malformed(_))), "{broken}");
        }
    }

    #[tokio::test]
    async fn a_place_that_gives_no_keys_is_refused_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jwks.json");
        let open = async |place: &str| Jwks::open(place, NOW).await.err().unwrap();
        let path = file.to_str().unwrap();
        assert!(matches!(open(path).await, JwksError::File(_)));
        std::fs::write(&file, "{\"keys\":[]}").unwrap();
        assert!(matches!(open(path).await, JwksError::NoKey));
        std::fs::write(&file, " ".repeat(LENGTH_MAX + 1)).unwrap();
        assert!(matches!(open(path).await, JwksError::TooLong));
        for place in ["http://localhost/jwks", "ftp://localhost/jwks", "https://"] {
            assert!(matches!(open(place).await, JwksError::NotSecure(_)), "{place}");
        }
    }

    /// Answers each request on a TLS connection with the next of `answers`; its address, and what trusts it.
    async fn server(answers: Vec<String>) -> (String, ClientConfig, JoinSet<()>) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            for answer in answers {
                let Ok(mut stream) = acceptor.accept(listener.accept().await.unwrap().0).await
                else {
                    continue;
                };
                let _ = stream.read(&mut [0; 4096]).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let trusting = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (format!("https://localhost:{port}/jwks"), trusting, serving)
    }

    fn answer(status: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    }

    #[tokio::test]
    async fn keys_come_over_https_from_a_server_that_is_trusted() {
        let set = |kid: &str| answer("200 OK", &json!({"keys": [ed(kid)]}).to_string());
        let moved = "302 Found\r\nLocation: https://localhost/elsewhere";
        let answers = vec![set("one"), answer("500 Oh", ""), answer(moved, ""), set("two")];
        let (url, trusting, _serving) = server(answers).await;
        let jwks = Jwks::fetched(&url, trusting, NOW).await.unwrap();
        let at = |seconds| NOW + SignedDuration::from_secs(seconds);
        assert!(jwks.key("one", at(0)).await.is_some());
        for second in [60, 120] {
            assert!(jwks.key("two", at(second)).await.is_none(), "failed, or led elsewhere");
            assert!(jwks.key("one", at(second)).await.is_some());
        }
        assert!(jwks.key("two", at(180)).await.is_some());
        assert!(jwks.key("one", at(180)).await.is_none());

        let (url, _, _serving) = server(vec![set("one")]).await;
        let untrusting = Jwks::open(&url, NOW).await.err().unwrap();
        assert!(matches!(untrusting, JwksError::Fetch(_)), "{untrusting}");
    }
}

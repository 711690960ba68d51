//! Which client calls (RFC 6749 §2.3), and how often it may.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cardata_contract::oauth::{Credentials, Proof, TokenError};
use cardata_domain::ClientId;
use cardata_domain::client::Client;
use jiff::Timestamp;

use super::{Failure, whom};
use crate::attempts::{Attempts, Peer};
use crate::faults::Kind;
use crate::platform::Platform;
use crate::secret;

/// Requests of one address in a minute: a household with many programs stays far below, and beyond it no row is read.
const REQUESTS_MAX: u32 = 600;
/// The same for a client that has shown its secret from there: it may be a service that refreshes for many customers.
const KNOWN_REQUESTS_MAX: u32 = 60_000;
/// Wrong secrets from one address in a minute.
const GUESSES_BY_PEER_MAX: u32 = 20;
/// Wrong secrets of one client in a minute, from all addresses at which it has never shown the right one. Where it has, a
/// stranger who guesses elsewhere can't keep it out.
const GUESSES_AT_CLIENT_MAX: u32 = 100;
/// Pairs of clients and addresses that are remembered.
const KNOWN_MAX: usize = 10_000;

/// Who called, and how often.
pub(super) struct Callers(Mutex<Counts>);

struct Counts {
    requests: Attempts,
    known_requests: Attempts<(Peer, ClientId)>,
    guesses_by_peer: Attempts,
    guesses_at_client: Attempts<ClientId>,
    /// Where which client has shown its secret.
    known: HashSet<(Peer, ClientId)>,
}

impl Default for Callers {
    fn default() -> Self {
        Self(Mutex::new(Counts {
            requests: Attempts::new(REQUESTS_MAX),
            known_requests: Attempts::new(KNOWN_REQUESTS_MAX),
            guesses_by_peer: Attempts::new(GUESSES_BY_PEER_MAX),
            guesses_at_client: Attempts::new(GUESSES_AT_CLIENT_MAX),
            known: HashSet::new(),
        }))
    }
}

impl Callers {
    /// The client with these credentials, if it is one, and if its address has not asked too often.
    pub(super) async fn authenticate(
        &self,
        platform: &Platform,
        peer: Peer,
        credentials: &Credentials,
    ) -> Result<Client, Failure> {
        let unknown = || Failure::new(TokenError::InvalidClient, "the client id is unknown");
        let now = platform.clock.now();
        let id: Option<ClientId> = credentials.client_id.parse().ok();
        self.lock().hear(peer, id, now)?;
        let client = platform.directory.client(id.ok_or_else(unknown)?).await?;
        let client = client.filter(Client::is_active).ok_or_else(unknown)?;
        if platform.is_struck(whom(&client), &Kind::ClientVanished) {
            return Err(unknown());
        }
        self.judge(peer, &client, &credentials.proof, now)?;
        Ok(client)
    }

    /// Whether `proof` is what `client` needs: its secret, or nothing when it has none.
    pub(super) fn judge(
        &self,
        peer: Peer,
        client: &Client,
        proof: &Proof,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let refused = |why: &str| Failure::new(TokenError::InvalidClient, why);
        let (secret_hash, shown) = match (&client.secret_hash, proof) {
            // OAuth libraries that don't know the service try this first, and then what the sentence says.
            (None, Proof::Basic(_)) => {
                return Err(refused("the client has no secret; send `client_id` in the body"));
            }
            // As any other parameter that means nothing here.
            (None, Proof::Post(_) | Proof::Nothing) => return Ok(()),
            (Some(_), Proof::Nothing) => {
                return Err(refused("the client has a secret; send it with the request"));
            }
            (Some(hash), Proof::Post(shown) | Proof::Basic(shown)) => (hash, shown),
        };
        let fits = secret::equal(&secret::hash(shown).0, secret_hash);
        self.lock().note_guess(peer, client.id, fits, now)?;
        if fits { Ok(()) } else { Err(refused("the client's secret is wrong")) }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn hear(&mut self, peer: Peer, id: Option<ClientId>, now: Timestamp) -> Result<(), Failure> {
        let known = id.map(|id| (peer, id)).filter(|pair| self.known.contains(pair));
        let hears = match known {
            Some(pair) => self.known_requests.take(pair, now),
            None => self.requests.take(peer, now),
        };
        if hears { Ok(()) } else { Err(too_many("requests")) }
    }

    /// Counts a guess, unless it was right; refused when there were too many, also when it was right, else guessing
    /// would only have to go on.
    fn note_guess(
        &mut self,
        peer: Peer,
        id: ClientId,
        fits: bool,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let is_known = self.known.contains(&(peer, id));
        let may = self.guesses_by_peer.take(peer, now)
            && (is_known || self.guesses_at_client.take(id, now));
        if !may {
            return Err(too_many("guesses"));
        }
        if fits {
            self.guesses_by_peer.give_back(peer);
            if !is_known {
                self.guesses_at_client.give_back(id);
                self.remember((peer, id));
            }
        }
        Ok(())
    }

    fn remember(&mut self, pair: (Peer, ClientId)) {
        if self.known.len() >= KNOWN_MAX
            && let Some(any) = self.known.iter().next().copied()
        {
            self.known.remove(&any);
        }
        self.known.insert(pair);
    }
}

fn too_many(what: &'static str) -> Failure {
    metrics::counter!("cardata_oauth_rate_limited_total", "what" => what).increment(1);
    let why = "too much came from this address within a minute; try again in a minute";
    Failure::new(TokenError::TooManyRequests, why)
}

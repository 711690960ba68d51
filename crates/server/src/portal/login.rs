//! Who is logged in in a browser: passwords, sessions, their cookie, and the proof that a form came from our page.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use argon2::password_hash::Error as PasswordError;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use axum::http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use axum::response::Response;
use cardata_domain::Gcid;
use cardata_domain::customer::Customer;
use cardata_store::directory::TokenHash;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use crate::attempts::{Attempts, Peer};
use crate::secret;

/// How long a person stays logged in without asking for a page.
const IDLE_MAX: SignedDuration = SignedDuration::from_mins(30);
/// How long a person stays logged in at all.
const SESSION_LIFETIME: SignedDuration = SignedDuration::from_hours(12);
/// Sessions that are remembered; with more, the one that would end first is forgotten.
const SESSIONS_MAX: usize = 10_000;
/// Wrong passwords, and wrong codes, that a peer may try in a minute.
const GUESSES_MAX: u32 = 10;
/// Wrong passwords that all peers together may try for one e-mail address in a minute.
const GUESSES_EACH_MAX: u32 = 30;
/// Characters that a password may have; hashing more would be work for nothing.
pub(crate) const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 12..=200;
/// Passwords that are checked at a time; each needs 19 MiB and a processor.
const PASSWORD_CHECKS_MAX: usize = 4;

/// The prefix makes browsers refuse the cookie unless it is for this very host, and over TLS.
const COOKIE_NAME: &str = "__Host-cardata";

/// Checked in place of the password of a customer who does not exist, so that the time tells nothing.
static NOBODY: LazyLock<String> = LazyLock::new(|| password_hash("nobody"));

/// The argon2id hash of a new password, in PHC form, with the cost that the `argon2` crate recommends.
///
/// # Panics
/// When the system has no randomness or memory to give.
pub fn password_hash(password: &str) -> String {
    let salt = secret::random::<16>();
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.expect("the default cost and a salt of 16 bytes are allowed").to_string()
}

/// Who is logged in in which browser, and how often each peer has guessed.
pub struct Visitors {
    sessions: Mutex<HashMap<TokenHash, Session>>,
    passwords: Mutex<Attempts>,
    /// By the hash of the e-mail address, whether there is such a customer or not.
    passwords_by_email: Mutex<Attempts<[u8; 32]>>,
    codes: Mutex<Attempts>,
    password_checks: Semaphore,
}

/// A customer who is logged in.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) gcid: Gcid,
    pub(super) email: String,
    began_at: Timestamp,
    seen_at: Timestamp,
}

impl Session {
    fn ends_at(&self) -> Timestamp {
        (self.seen_at + IDLE_MAX).min(self.began_at + SESSION_LIFETIME)
    }
}

/// The browser that sends a request.
pub(crate) struct Visitor {
    cookie: String,
    /// Whether the browser has the cookie still to be given.
    is_new: bool,
    /// Who is logged in there.
    pub(super) session: Option<Session>,
}

impl Default for Visitors {
    fn default() -> Self {
        Self {
            sessions: Mutex::default(),
            passwords: Mutex::new(Attempts::new(GUESSES_MAX)),
            passwords_by_email: Mutex::new(Attempts::new(GUESSES_EACH_MAX)),
            codes: Mutex::new(Attempts::new(GUESSES_MAX)),
            password_checks: Semaphore::new(PASSWORD_CHECKS_MAX),
        }
    }
}

impl Visitors {
    /// The browser that sent `headers`.
    pub(super) fn visitor(&self, headers: &HeaderMap, now: Timestamp) -> Visitor {
        let Some(cookie) = cookie(headers, COOKIE_NAME) else {
            return Visitor { cookie: secret::token(), is_new: true, session: None };
        };
        let mut sessions = lock(&self.sessions);
        let session =
            sessions.get_mut(&secret::hash(&cookie)).filter(|session| now < session.ends_at());
        let session = session.map(|session| {
            session.seen_at = now;
            session.clone()
        });
        Visitor { session, cookie, is_new: false }
    }

    /// Logs `customer` in. The browser gets a new cookie: one that somebody planted there before is worth nothing.
    pub(super) fn log_in(&self, customer: &Customer, now: Timestamp) -> Visitor {
        let cookie = secret::token();
        let session = Session {
            gcid: customer.gcid,
            email: customer.email.clone(),
            began_at: now,
            seen_at: now,
        };
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= SESSIONS_MAX {
            sessions.retain(|_, session| now < session.ends_at());
        }
        if sessions.len() >= SESSIONS_MAX {
            let first = sessions.iter().min_by_key(|(_, session)| session.ends_at());
            if let Some(first) = first.map(|(hash, _)| hash.clone()) {
                sessions.remove(&first);
            }
        }
        sessions.insert(secret::hash(&cookie), session.clone());
        Visitor { cookie, is_new: true, session: Some(session) }
    }

    /// Logs the customer out; what is left is a browser without a name.
    pub(super) fn log_out(&self, visitor: &Visitor) -> Visitor {
        lock(&self.sessions).remove(&secret::hash(&visitor.cookie));
        Visitor { cookie: secret::token(), is_new: true, session: None }
    }

    /// Logs a customer out in every browser but that of `except`.
    pub(crate) fn log_out_everywhere(&self, gcid: Gcid, except: Option<&Visitor>) {
        let kept = except.map(|visitor| secret::hash(&visitor.cookie));
        lock(&self.sessions)
            .retain(|hash, session| session.gcid != gcid || kept.as_ref() == Some(hash));
    }

    /// Whether `password` is that of `customer`. Takes as long when there is no such customer.
    pub(super) async fn password_fits(
        &self,
        customer: Option<&Customer>,
        password: String,
    ) -> bool {
        let known_hash = customer.map(|customer| customer.password_hash.clone());
        let is_known = known_hash.is_some();
        let _permit = self.password_checks.acquire().await;
        let checked = tokio::task::spawn_blocking(move || {
            let nobody = NOBODY.as_str();
            let hash = known_hash.as_deref().unwrap_or(nobody);
            Argon2::default().verify_password(password.as_bytes(), hash)
        });
        match checked.await {
            Ok(Ok(())) => is_known,
            Ok(Err(PasswordError::PasswordInvalid)) => false,
            Ok(Err(error)) => {
                tracing::error!(%error, "a customer's password hash in the directory can't be used");
                false
            }
            Err(error) => {
                tracing::error!(%error, "checking a password did not finish");
                false
            }
        }
    }

    /// Counts a guess of the password of `email`; false when the peer has no more for now, or all peers together have
    /// none for this address.
    pub(super) fn may_guess_password(&self, peer: Peer, email: &str, now: Timestamp) -> bool {
        lock(&self.passwords).take(peer, now)
            && lock(&self.passwords_by_email).take(email_hash(email), now)
    }

    /// The guess was right.
    pub(super) fn password_was_right(&self, peer: Peer, email: &str) {
        lock(&self.passwords).give_back(peer);
        lock(&self.passwords_by_email).give_back(email_hash(email));
    }

    /// Counts a guess of a user code; false when the peer has no more for now.
    pub(super) fn may_guess_code(&self, peer: Peer, now: Timestamp) -> bool {
        lock(&self.codes).take(peer, now)
    }

    /// The guess was right.
    pub(super) fn code_was_right(&self, peer: Peer) {
        lock(&self.codes).give_back(peer);
    }
}

impl Visitor {
    /// What our forms carry and those of another site can't know, since it follows from the cookie.
    pub(super) fn form_proof(&self) -> String {
        secret::hash(&format!("form {}", self.cookie)).0
    }

    /// Whether a form came from a page that this browser got from here.
    pub(super) fn sent(&self, form_proof: &str) -> bool {
        !self.is_new && secret::equal(form_proof, &self.form_proof())
    }

    /// Gives the browser its cookie, if it does not have it.
    pub(super) fn mark(&self, mut response: Response) -> Response {
        if self.is_new {
            let seconds = SESSION_LIFETIME.as_secs();
            // Lax: a link to this page from elsewhere finds the person logged in; a form from elsewhere does not.
            let cookie = format!(
                "{COOKIE_NAME}={}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax",
                self.cookie
            );
            let cookie = HeaderValue::try_from(cookie).expect("base64url is allowed in headers");
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }
}

fn email_hash(email: &str) -> [u8; 32] {
    secret::sha256(email.trim().to_lowercase().as_bytes())
}

/// The value of the cookie `name`.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(known, _)| known.trim() == name)?;
    Some(value.trim().to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer() -> Customer {
        Customer {
            gcid: "aa111192-d570-4d3d-8835-656ee00edcd7".parse().unwrap(),
            email: "anna@example.com".into(),
            password_hash: password_hash("correct"),
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn browser(visitor: &Visitor) -> HeaderMap {
        let line = format!("theme=dark; {COOKIE_NAME}={}", visitor.cookie);
        HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(line).unwrap())])
    }

    #[tokio::test]
    async fn only_the_password_of_a_customer_who_exists_fits() {
        let (visitors, customer) = (Visitors::default(), customer());
        assert!(customer.password_hash.starts_with("$argon2id$"));
        assert!(visitors.password_fits(Some(&customer), "correct".into()).await);
        assert!(!visitors.password_fits(Some(&customer), "wrong".into()).await);
        assert!(!visitors.password_fits(None, "nobody".into()).await);
        let damaged = Customer { password_hash: "plain".into(), ..customer };
        assert!(!visitors.password_fits(Some(&damaged), "plain".into()).await);
    }

    #[test]
    fn a_session_lasts_for_half_an_hour_of_silence_and_half_a_day_at_most_or_until_log_out() {
        let visitors = Visitors::default();
        let now = Timestamp::UNIX_EPOCH;
        let logged_in = visitors.log_in(&customer(), now);
        let seen = |at| visitors.visitor(&browser(&logged_in), at).session.is_some();
        assert!(!seen(now + SignedDuration::from_mins(30)));
        let half_hours = (1..=25).map(|number| now + SignedDuration::from_mins(29 * number));
        let lasted = half_hours.filter(|at| seen(*at)).count();
        assert_eq!(lasted, 24, "12 hours have 24 times 29 minutes, and some more");
        let again = visitors.log_in(&customer(), now);
        visitors.log_out(&again);
        assert!(visitors.visitor(&browser(&again), now).session.is_none());
    }

    #[test]
    fn a_customer_is_logged_out_in_every_browser_but_one() {
        let visitors = Visitors::default();
        let now = Timestamp::UNIX_EPOCH;
        let [one, other] = [(), ()].map(|()| visitors.log_in(&customer(), now));
        let here = visitors.visitor(&browser(&one), now);
        visitors.log_out_everywhere(customer().gcid, Some(&here));
        assert!(visitors.visitor(&browser(&one), now).session.is_some());
        assert!(visitors.visitor(&browser(&other), now).session.is_none());
        visitors.log_out_everywhere(customer().gcid, None);
        assert!(visitors.visitor(&browser(&one), now).session.is_none());
    }

    #[test]
    fn guesses_for_one_address_are_limited_over_all_peers() {
        let visitors = Visitors::default();
        let now = Timestamp::UNIX_EPOCH;
        let peer = |number: u8| Peer::new([192, 0, 2, number].into());
        for number in 0..30 {
            assert!(visitors.may_guess_password(peer(number), "anna@example.com", now));
        }
        assert!(!visitors.may_guess_password(peer(99), " ANNA@example.com", now));
        assert!(visitors.may_guess_password(peer(99), "ben@example.com", now));
    }

    #[test]
    fn a_form_counts_only_from_the_browser_that_got_the_page() {
        let visitors = Visitors::default();
        let now = Timestamp::UNIX_EPOCH;
        let first = visitors.visitor(&HeaderMap::new(), now);
        let proof = first.form_proof();
        assert!(visitors.visitor(&browser(&first), now).sent(&proof));
        assert!(!visitors.visitor(&browser(&first), now).sent(""));
        assert!(!visitors.visitor(&HeaderMap::new(), now).sent(&proof));
        let other = visitors.visitor(&HeaderMap::new(), now);
        assert!(!visitors.visitor(&browser(&other), now).sent(&proof));
    }

    #[test]
    fn no_more_sessions_are_remembered_than_there_is_room_for() {
        let (visitors, customer) = (Visitors::default(), customer());
        for _ in 0..SESSIONS_MAX + 3 {
            visitors.log_in(&customer, Timestamp::UNIX_EPOCH);
        }
        assert_eq!(lock(&visitors.sessions).len(), SESSIONS_MAX);
    }
}

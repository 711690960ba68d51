//! Tokens: nothing but a genuine one opens the door, whatever was done to it on the way.

use std::sync::LazyLock;

use jsonwebtoken::DecodingKey;
use serde::Deserialize;

#[path = "../../crates/server/src/gcdm/id_token.rs"]
#[expect(dead_code, reason = "whether a token opens is looked at here, not what it says")]
mod id_token;

/// Tokens that were signed once with keys that were thrown away then: two genuine ones, and what a forger would try.
static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../fixtures/tokens.json")).expect("the tokens' file is JSON")
});

#[derive(Deserialize)]
struct Tokens {
    issuer: String,
    keys: Vec<Key>,
    genuine: Vec<String>,
    /// By what is wrong with them.
    forged: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Key {
    kid: String,
    n: String,
    e: String,
}

struct Known {
    kid: String,
    key: DecodingKey,
}

static KEYS: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let known = |key: &Key| Known {
        kid: key.kid.clone(),
        key: DecodingKey::from_rsa_components(&key.n, &key.e).expect("an RSA key"),
    };
    TOKENS.keys.iter().map(known).collect()
});

/// Takes the first byte of `input` as the number of a token, 0 for none, and the rest as what is done to it.
///
/// # Panics
/// Where a token opens that is not genuine, or a genuine one does not.
pub fn check(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let known: Vec<_> = TOKENS.genuine.iter().chain(TOKENS.forged.values()).collect();
    let password = match usize::from(*first) % (known.len() + 1) {
        0 => rest.to_vec(),
        number => change(known[number - 1].as_bytes().to_vec(), rest, &known),
    };
    // The server refuses a password that is no UTF-8 before it looks at it.
    let Ok(password) = String::from_utf8(password) else { return };
    let find = |kid: &str| KEYS.iter().find(|known| known.kid == kid).map(|known| &known.key);
    let opens = id_token::open(&password, &TOKENS.issuer, find).is_some();
    let is_genuine = TOKENS.genuine.contains(&password);
    assert_eq!(opens, is_genuine, "whether this opens: {password}");
}

/// Carries out `changes`, four bytes each: what to do, where, and with which byte.
fn change(mut token: Vec<u8>, changes: &[u8], known: &[&String]) -> Vec<u8> {
    for change in changes.chunks_exact(4) {
        let [what, high, low, with] = change else { continue };
        let at = usize::from(u16::from_be_bytes([*high, *low])) % (token.len() + 1);
        match what % 7 {
            0 => {
                if let Some(byte) = token.get_mut(at) {
                    *byte = *with;
                }
            }
            1 => token.insert(at, *with),
            2 => {
                token.drain(at..(at + usize::from(*with)).min(token.len()));
            }
            3 => token.truncate(at),
            4 => token.push(*with),
            5 => {
                if let Some(byte) = token.get_mut(at) {
                    *byte ^= 0x20;
                }
            }
            // One of the three parts is another token's.
            _ => {
                let other = known[usize::from(*with) % known.len()].as_bytes();
                let others: Vec<_> = other.split(|byte| *byte == b'.').collect();
                let mut parts: Vec<_> = token.split(|byte| *byte == b'.').collect();
                let part = at % 3;
                if let (Some(own), Some(foreign)) = (parts.get_mut(part), others.get(part)) {
                    *own = foreign;
                }
                token = parts.join(&b'.');
            }
        }
    }
    token
}

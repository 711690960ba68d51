//! Random secrets, their hashes, and comparing them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cardata_store::directory::TokenHash;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// `N` bytes from the system's cryptographic generator.
///
/// # Panics
/// When the system has no randomness to give; nothing safe can be done then.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A random UUID (version 4).
pub fn uuid() -> Uuid {
    uuid::Builder::from_random_bytes(random()).into_uuid()
}

/// A new secret of 39 random bytes: 52 characters of base64url, the length that clients know access tokens by.
pub fn token() -> String {
    URL_SAFE_NO_PAD.encode(random::<39>())
}

/// What is kept of a secret.
pub fn hash(secret: &str) -> TokenHash {
    TokenHash(hex(&sha256(secret.as_bytes())))
}

/// SHA-256.
///
/// # Panics
/// Never: the digest has 32 bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Whether a PKCE verifier fits an S256 challenge (RFC 7636 §4.6), in constant time.
pub fn verifier_fits(verifier: &str, challenge: &str) -> bool {
    let computed = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
    equal(&computed, challenge)
}

/// Whether two secrets are equal, in a time that does not depend on where they differ.
pub fn equal(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// `bytes` in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_pair_fits() {
        let verifier = "Lc-kVofs3uj2Aj5Yrpd8X8Sa0N6tGmp4VIjflKSbFSQ";
        let challenge = "6xSQkAzH8oEmFMieIfFjAlAsYMS23uhOCXg70Gf13p8";
        assert!(verifier_fits(verifier, challenge));
        assert!(!verifier_fits("another", challenge));
    }

    #[test]
    fn a_hash_is_sha_256_in_hexadecimal() {
        assert_eq!(
            hash("abc").0,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_ne!(token(), token());
    }
}

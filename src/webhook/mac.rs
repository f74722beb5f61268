//! HMAC over the parts of a message, without copying them together.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};

use super::Algorithm;

/// Whether one of `signatures` is the code of `parts`. Compared on raw bytes, in constant time.
pub(super) fn matches(algorithm: Algorithm, key: &[u8], parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
    match algorithm {
        Algorithm::Sha256 => matches_with::<Hmac<Sha256>>(key, parts, signatures),
        Algorithm::Sha512 => matches_with::<Hmac<Sha512>>(key, parts, signatures),
    }
}

/// The code of `parts`.
pub(super) fn compute(algorithm: Algorithm, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    match algorithm {
        Algorithm::Sha256 => compute_with::<Hmac<Sha256>>(key, parts),
        Algorithm::Sha512 => compute_with::<Hmac<Sha512>>(key, parts),
    }
}

fn matches_with<M: Mac + KeyInit + Clone>(key: &[u8], parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
    let code = fed::<M>(key, parts);
    signatures.iter().any(|signature| code.clone().is_some_and(|code| code.verify_slice(signature).is_ok()))
}

fn compute_with<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    fed::<M>(key, parts).map(|code| code.finalize().into_bytes().to_vec()).unwrap_or_default()
}

/// An HMAC takes a key of any length (RFC 2104 2), so that `None` does not occur.
fn fed<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Option<M> {
    let mut code = <M as KeyInit>::new_from_slice(key).ok()?;
    for part in parts {
        code.update(part);
    }
    Some(code)
}

//! Authenticates a delivery: it comes from its source, before its body is read.
//!
//! One verifier, driven by a table, serves every sender that signs with an HMAC: see [`Signature`] for its parameters.
//! Others send a static token in a header: see [`Token`]. Partners of Amazon EventBridge sign nothing: see [`PartnerSource`].
//! [`Verified`] is the only way to a body, and nothing outside of this module makes one.

use std::fmt;

use http::{HeaderMap, HeaderName};
use secrecy::{SecretSlice, SecretString};
use time::OffsetDateTime;

use crate::secrets::{Secret, SecretError};

mod hmac;
mod jwk_set;
pub mod jwt;
pub mod key_sets;
mod mac;
mod partner;
mod secret_keys;
mod signature;
mod token;

pub use hmac::Hmac;
pub use jwk_set::JwkSet;
pub use jwt::{Jwt, JwtKeys as Keys, Signed};
pub use partner::PartnerSource;
pub(crate) use partner::{OtherAccount, PartnerEvent};
pub use secret_keys::SecretKeys;
pub use signature::{Algorithm, Encoding, KeyForm, Layout, Signature, Timestamp, Unit};
pub use token::Token;

/// How a sender proves that a delivery is its own.
#[derive(Clone, Debug)]
pub enum Scheme {
    /// By a signature with a shared key.
    Hmac(Hmac),
    /// By showing a secret.
    Token(Token),
    /// By a JSON Web Token.
    Jwt(Jwt),
}

/// A delivery that comes from its source.
#[derive(Clone)]
pub struct Verified {
    id: Option<String>,
    body: Vec<u8>,
    headers: HeaderMap,
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Verified {
    fn new(id: Option<String>, body: &[u8], headers: &HeaderMap) -> Self {
        Self { id, body: body.to_vec(), headers: headers.clone() }
    }

    /// The delivery's id, where the sender signs one: stable across its retries.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The body, byte for byte as it was signed.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// A header of the delivery, if it stands there once. No sender signs it.
    pub fn header(&self, name: &str) -> Option<&str> {
        single(&self.headers, &HeaderName::try_from(name).ok()?).ok()
    }
}

/// Why a delivery was refused. For the log: the sender gets one text for all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A header that the scheme needs is not there.
    #[error("header {0} is missing")]
    Missing(String),
    /// A header that must be unique appears twice.
    #[error("header {0} appears twice")]
    Doubled(String),
    /// A header cannot be read.
    #[error("header {0} cannot be read")]
    Malformed(String),
    /// The timestamp is further from now than the tolerance.
    #[error("the timestamp is outside the tolerance")]
    OutsideTolerance,
    /// No signature matches any of the keys.
    #[error("no signature matches")]
    Mismatch,
    /// Not a JSON Web Token, or one with an unknown algorithm.
    #[error("the token cannot be read")]
    NotAToken,
    /// The token's header asks for this, which the sender's kind does not allow.
    #[error("the token's {0} is not allowed")]
    NotAllowed(&'static str),
    /// The key set has no key for this token: it may have been rotated since it was read.
    #[error("the key set has no key for the token")]
    UnknownKey,
    /// A claim is missing, or is not of its type.
    #[error("the token's claim {0} is missing or cannot be read")]
    Claim(&'static str),
    /// The token was issued by somebody else.
    #[error("the token is from another issuer")]
    Issuer,
    /// The token is meant for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// The token was signed for another body.
    #[error("the token is for another body")]
    BodyHash,
}

/// A key that deliveries are checked with.
pub struct Key(SecretSlice<u8>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Scheme {
    /// Returns the keys in a source's secret: `signing_secret` and `signing_secrets`, or `token` and `tokens`; and what is
    /// wrong with those that are not used.
    pub fn secret_keys_of(&self, secret: &Secret) -> SecretKeys {
        SecretKeys::read(secret, self.secret_keys(), |text| self.key(text))
    }

    /// Returns the usable keys in a source's secret.
    ///
    /// # Errors
    /// If there is none: what is wrong with the first.
    pub fn keys(&self, secret: &Secret) -> Result<Keys, SecretError> {
        self.secret_keys_of(secret).into_keys()
    }

    /// Under which keys of a source's secret its keys stand: one, and a list of several.
    pub fn secret_keys(&self) -> (&'static str, &'static str) {
        match self {
            Self::Hmac(_) | Self::Jwt(_) => ("signing_secret", "signing_secrets"),
            Self::Token(_) => ("token", "tokens"),
        }
    }

    /// Returns whether a delivery has an id of its event beside its body, and signed.
    pub(crate) fn signs_ids(&self) -> bool {
        matches!(self, Self::Hmac(hmac) if hmac.families.iter().any(|family| family.id.is_some()))
    }

    /// Checks a delivery. `now` is the time of its arrival.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        keys: &Keys,
        now: OffsetDateTime,
    ) -> Result<Verified, Refusal> {
        let verified = |id, body: &[u8]| Verified::new(id, body, headers);
        match (self, keys) {
            (Self::Hmac(hmac), Keys::Shared(keys)) => Ok(verified(hmac.verify(headers, body, keys, now)?, body)),
            (Self::Token(token), Keys::Shared(keys)) => token.verify(headers, keys).map(|()| verified(None, body)),
            (Self::Jwt(jwt), keys) => {
                let token = jwt.verify(headers, body, keys, now)?;
                Ok(verified(token.id().map(str::to_owned), token.payload()))
            }
            (_, Keys::Set(_)) => Err(Refusal::Mismatch),
        }
    }

    /// Signs as the sender does: what is sent for a delivery with this id and body, at `now`.
    ///
    /// `None` if the secret is not of the form that the sender hands out.
    pub fn sign(&self, secret: &SecretString, id: &str, now: OffsetDateTime, body: &[u8]) -> Option<Signed> {
        let beside = |headers| Signed { headers, body: body.to_vec() };
        match self {
            Self::Hmac(hmac) => hmac.sign(secret, id, now, body).map(beside),
            Self::Token(token) => token.show(secret).map(beside),
            Self::Jwt(jwt) => jwt.sign(secret, id, now, body),
        }
    }

    /// The key set that a sender of signed tokens publishes, if this is its private key in PEM.
    pub fn key_set(&self, private_key: &SecretString) -> Option<serde_json::Value> {
        match self {
            Self::Jwt(jwt) => jwt.key_set(private_key),
            Self::Hmac(_) | Self::Token(_) => None,
        }
    }

    fn key(&self, text: &SecretString) -> Option<Key> {
        match self {
            Self::Hmac(hmac) => hmac.key(text),
            Self::Jwt(jwt) => jwt.key(text),
            Self::Token(_) => Token::key(text),
        }
    }
}

/// The one value of a header.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| Refusal::Missing(name.to_string()))?;
    if values.next().is_some() {
        return Err(Refusal::Doubled(name.to_string()));
    }
    match value.to_str().map(str::trim) {
        Ok("") => Err(Refusal::Missing(name.to_string())),
        Ok(text) => Ok(text),
        Err(_) => Err(Refusal::Malformed(name.to_string())),
    }
}

//! The door: proves that a delivery comes from its source, before anybody reads it.
//!
//! One verifier, driven by a table, serves every sender that signs with an HMAC: see [`Signature`] for its parameters.
//! [`Verified`] is the only way to a body, and only [`Scheme::verify`] makes one.

use std::fmt;

use http::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use time::OffsetDateTime;

use crate::secrets::{Secret, SecretFault};

mod jwk_set;
pub mod jwt;
pub mod key_sets;
mod mac;
mod signature;

pub use jwk_set::JwkSet;
pub use signature::{Algorithm, Encoding, KeyForm, Layout, Signature, Timestamp, Unit};
use signature::{Family, Part};

/// How one sender signs: [`Signature`], checked and ready for use.
#[derive(Clone, Debug)]
pub struct Scheme {
    families: Vec<Family>,
    algorithm: Algorithm,
    encoding: Encoding,
    layout: Layout,
    signed: Vec<Part>,
    timestamp: Option<Timestamp>,
    key_form: KeyForm,
}

/// A delivery whose signature is good.
#[derive(Clone, Debug)]
pub struct Verified {
    id: Option<String>,
    body: Vec<u8>,
}

impl Verified {
    /// The delivery's id, where the sender signs one: stable across its retries.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The body, byte for byte as it was signed.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Why a delivery was refused. For the log: the sender gets one text for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A header that the scheme needs is not there.
    Missing(String),
    /// A header that must be unique stands twice.
    Doubled(String),
    /// A header cannot be read.
    Malformed(String),
    /// The timestamp is further from now than the tolerance.
    OutsideTolerance,
    /// No signature matches any of the keys.
    Mismatch,
    /// What should be a JSON Web Token is none, or names an algorithm that nobody knows.
    NotAToken,
    /// The token's header asks for this, which the sender's row does not allow.
    NotAllowed(&'static str),
    /// The key set has no key for this token: it may have been rotated since it was read.
    UnknownKey,
    /// A claim is missing, or is not of its type.
    Claim(&'static str),
    /// The token was issued by somebody else.
    Issuer,
    /// The token is meant for somebody else.
    Audience,
    /// The token was signed for another body.
    BodyHash,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(header) => write!(f, "header {header} is missing"),
            Self::Doubled(header) => write!(f, "header {header} stands twice"),
            Self::Malformed(header) => write!(f, "header {header} cannot be read"),
            Self::OutsideTolerance => f.write_str("the timestamp is outside the tolerance"),
            Self::Mismatch => f.write_str("no signature matches"),
            Self::NotAToken => f.write_str("the token cannot be read"),
            Self::NotAllowed(what) => write!(f, "the token's {what} is not allowed"),
            Self::UnknownKey => f.write_str("the key set has no key for the token"),
            Self::Claim(name) => write!(f, "the token's claim {name} is missing or cannot be read"),
            Self::Issuer => f.write_str("the token is from another issuer"),
            Self::Audience => f.write_str("the token is for another audience"),
            Self::BodyHash => f.write_str("the token is for another body"),
        }
    }
}

impl std::error::Error for Refusal {}

/// A key that deliveries are checked with.
pub struct Key(SecretSlice<u8>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// What a signature header says.
struct Claim {
    id: Option<String>,
    timestamp: Option<String>,
    signatures: Vec<Vec<u8>>,
}

impl Scheme {
    /// The keys in a source's secret: `signing_secret`, `signing_secrets`, or both.
    ///
    /// # Errors
    /// If there is none, or one of them is empty or not of the form that the sender hands out.
    pub fn keys(&self, secret: &Secret) -> Result<Vec<Key>, SecretFault> {
        let texts = secret.texts("signing_secret", "signing_secrets")?;
        let unusable = || secret.unusable("signing_secret");
        texts.iter().map(|text| self.key(text).ok_or_else(unusable)).collect()
    }

    /// Checks a delivery.
    ///
    /// `now` is the time of its arrival. Every signature in the header is tried with every key; one match is enough.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        keys: &[Key],
        now: OffsetDateTime,
    ) -> Result<Verified, Refusal> {
        let claim = self.claim(headers)?;
        if let (Some(rule), Some(text)) = (&self.timestamp, &claim.timestamp) {
            rule.check(text, now)?;
        }
        let parts = self.parts(claim.id.as_deref(), claim.timestamp.as_deref(), body);
        let genuine = |key: &Key| mac::matches(self.algorithm, key.0.expose_secret(), &parts, &claim.signatures);
        if keys.iter().any(genuine) {
            Ok(Verified { id: claim.id.clone(), body: body.to_vec() })
        } else {
            Err(Refusal::Mismatch)
        }
    }

    /// Signs as the sender does: the headers of a delivery with this id and body, sent at `now`.
    ///
    /// `None` if the signing secret is not of the form that the sender hands out.
    pub fn sign(
        &self,
        secret: &SecretString,
        id: &str,
        now: OffsetDateTime,
        body: &[u8],
    ) -> Option<Vec<(String, String)>> {
        let key = self.key(secret)?;
        let family = self.families.first()?;
        let timestamp = self.timestamp.as_ref().map(|rule| rule.unit.count(now).to_string());
        let parts = self.parts(Some(id), timestamp.as_deref(), body);
        let signature = self.encoding.encode(&mac::compute(self.algorithm, key.0.expose_secret(), &parts));
        let stamp = timestamp.clone().unwrap_or_default();
        let mut headers = vec![(family.signature.to_string(), self.layout.write(&stamp, &signature))];
        headers.extend(family.id.as_ref().map(|name| (name.to_string(), id.to_owned())));
        headers.extend(family.timestamp.as_ref().zip(timestamp).map(|(name, stamp)| (name.to_string(), stamp)));
        Some(headers)
    }

    fn key(&self, text: &SecretString) -> Option<Key> {
        let bytes = self.key_form.bytes(text.expose_secret())?;
        (!bytes.is_empty()).then(|| Key(bytes.into()))
    }

    /// Reads the headers. All of them are taken from the same family, the first whose signature is there.
    fn claim(&self, headers: &HeaderMap) -> Result<Claim, Refusal> {
        let present = self.families.iter().find(|family| headers.contains_key(&family.signature));
        let Some(family) = present.or(self.families.first()) else {
            return Err(Refusal::Missing("signature".to_owned()));
        };
        let value = single(headers, &family.signature)?;
        let id = family.id.as_ref().map(|name| single(headers, name)).transpose()?;
        let stamp = family.timestamp.as_ref().map(|name| single(headers, name)).transpose()?;
        let malformed = || Refusal::Malformed(family.signature.to_string());
        let (inline, candidates) = self.layout.read(value).ok_or_else(malformed)?;
        let timestamp = stamp.or(inline).map(str::to_owned);
        if self.timestamp.is_some() && timestamp.is_none() {
            return Err(malformed());
        }
        // A candidate that cannot be decoded is skipped: the next one may be ours.
        let signatures = candidates.into_iter().filter_map(|text| self.encoding.decode(text)).collect();
        Ok(Claim { id: id.map(str::to_owned), timestamp, signatures })
    }

    fn parts<'a>(&'a self, id: Option<&'a str>, timestamp: Option<&'a str>, body: &'a [u8]) -> Vec<&'a [u8]> {
        let part = |part: &'a Part| match part {
            Part::Literal(text) => text.as_bytes(),
            Part::Id => id.unwrap_or_default().as_bytes(),
            Part::Timestamp => timestamp.unwrap_or_default().as_bytes(),
            Part::Body => body,
        };
        self.signed.iter().map(part).collect()
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

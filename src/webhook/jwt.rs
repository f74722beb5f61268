//! Senders that sign with a JSON Web Token (RFC 7519): in a header beside the body, or as the body itself (RFC 8935).
//!
//! The rules are those of RFC 8725: the algorithm is one that the sender's kind allows **and** that the kind of key can
//! serve, so that a public key is never taken for a shared secret; what the token says of itself is checked against what
//! is expected, and nothing in its header leads to a key.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, Header, Validation, decode, decode_header, errors::ErrorKind,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

use super::{
    JwkSet, Key, Refusal, SecretKeys,
    signature::{BASE64_LENIENT, Encoding, KeyForm},
    single,
};
use crate::secrets::{Secret, SecretError};

mod crypto;
mod sign;

pub use sign::Signed;

/// How far the sender's clock may be from ours, in seconds.
const LEEWAY: f64 = 60.0;
/// No token is longer, in bytes: those of the senders have one or two thousand.
const LONGEST_TOKEN: usize = 64 * 1024;

/// How a sender signs with a JSON Web Token, as it stands in the table of senders.
///
/// ```toml
/// header = "authorization"           # without it the body is the token
/// prefix = "Bearer "
/// typ = "secevent+jwt"               # the token's type; anything if it is not named
/// algorithms = ["RS256", "ES256"]
/// body_hash = { claim = "request_body_sha256", encoding = "hex" }
/// require = ["exp", "iat", "jti", "iss", "aud"]
/// secret = "raw"                     # the form of a shared secret; see `KeyForm`
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Table")]
pub struct Jwt {
    header: Option<HeaderName>,
    prefix: String,
    typ: Option<String>,
    algorithms: Vec<Algorithm>,
    body_hash: Option<BodyHash>,
    require: Vec<Registered>,
    key_form: KeyForm,
    issuer: Option<String>,
    audience: Option<String>,
}

/// [`Jwt`] as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    header: Option<String>,
    prefix: Option<String>,
    typ: Option<String>,
    algorithms: Vec<Algorithm>,
    body_hash: Option<BodyHash>,
    #[serde(default)]
    require: Vec<Registered>,
    #[serde(default)]
    secret: KeyForm,
}

/// The claim that binds the token to the body beside it: the body's SHA-256.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyHash {
    claim: String,
    encoding: Encoding,
}

/// A registered claim (RFC 7519 4.1) that must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Registered {
    Exp,
    Iat,
    Jti,
    Iss,
    Aud,
}

/// What a token is checked with.
#[derive(Debug)]
pub enum JwtKeys {
    /// Secrets that are shared with the sender, for `HS256`, `HS384` and `HS512` alone.
    Shared(Vec<Key>),
    /// The sender's public keys, for everything else.
    Set(Arc<JwkSet>),
}

impl JwtKeys {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Shared(keys) => keys.len(),
            Self::Set(set) => set.count(),
        }
    }
}

/// What a good token vouches for.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    payload: Vec<u8>,
    id: Option<String>,
}

impl VerifiedToken {
    /// The body; where the body is the token, its claims, byte for byte as they were signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The token's id (`jti`), where the sender signs one: stable across its retries.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

impl Jwt {
    /// The same for one source: tokens must be from this issuer and for this audience, letter for letter.
    ///
    /// # Errors
    /// Names the claim that the sender always sends and the configuration leaves out.
    pub fn expecting(self, issuer: Option<String>, audience: Option<String>) -> Result<Self, String> {
        let is_missing = |claim, value: &Option<String>| value.as_ref().map_or(self.requires(claim), String::is_empty);
        if is_missing(Registered::Iss, &issuer) {
            return Err("`issuer` must say whose tokens to take".to_owned());
        }
        if is_missing(Registered::Aud, &audience) {
            return Err("`audience` must say for whom they are".to_owned());
        }
        Ok(Self { issuer, audience, ..self })
    }

    /// Returns the usable keys in a source's secret: `signing_secret`, `signing_secrets`, or both.
    ///
    /// # Errors
    /// If there is none: what is wrong with the first.
    pub fn keys(&self, secret: &Secret) -> Result<JwtKeys, SecretError> {
        SecretKeys::read(secret, ("signing_secret", "signing_secrets"), |text| self.key(text)).into_keys()
    }

    /// A signing secret as a key; `None` if it is not of the form that the sender hands out.
    pub(super) fn key(&self, text: &SecretString) -> Option<Key> {
        let bytes = self.key_form.bytes(text.expose_secret()).filter(|bytes| !bytes.is_empty())?;
        Some(Key(bytes.into()))
    }

    /// Checks a delivery that arrived at `now`.
    ///
    /// # Errors
    /// Why it is refused. After [`Refusal::UnknownKey`] a key set that is read anew may have the key.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        keys: &JwtKeys,
        now: OffsetDateTime,
    ) -> Result<VerifiedToken, Refusal> {
        crypto::install();
        let token = self.token(headers, body)?;
        let header = decode_header(token).map_err(|_| Refusal::NotAToken)?;
        self.check_header(&header)?;
        let payload = signed_claims(token, &header, keys)?;
        let claims: Map<String, Value> = serde_json::from_str(payload.get()).map_err(|_| Refusal::NotAToken)?;
        self.check_parties(&claims)?;
        self.check_times(&claims, now)?;
        if let Some(hash) = &self.body_hash {
            hash.check(&claims, body)?;
        }
        let id = text(&claims, "jti")?.map(str::to_owned);
        if self.requires(Registered::Jti) && id.is_none() {
            return Err(Refusal::Claim("jti"));
        }
        let payload = if self.header.is_some() { body } else { payload.get().as_bytes() };
        Ok(VerifiedToken { payload: payload.to_vec(), id })
    }

    fn requires(&self, claim: Registered) -> bool {
        self.require.contains(&claim)
    }

    /// The token itself, bounded but not yet read.
    fn token<'a>(&self, headers: &'a HeaderMap, body: &'a [u8]) -> Result<&'a [u8], Refusal> {
        let token = match &self.header {
            Some(name) => {
                let malformed = || Refusal::Malformed(name.to_string());
                single(headers, name)?.strip_prefix(&self.prefix).ok_or_else(malformed)?.as_bytes()
            }
            None => body.trim_ascii_end(),
        };
        if token.len() > LONGEST_TOKEN { Err(Refusal::NotAToken) } else { Ok(token) }
    }

    fn check_header(&self, header: &Header) -> Result<(), Refusal> {
        if !self.algorithms.contains(&header.alg) {
            return Err(Refusal::NotAllowed("algorithm"));
        }
        // We understand no extension, and anybody who does not must refuse (RFC 7515 4.1.11).
        if header.crit.is_some() {
            return Err(Refusal::NotAllowed("critical extension"));
        }
        if header.enc.is_some() || header.zip.is_some() {
            return Err(Refusal::NotAllowed("encryption"));
        }
        let named = header.typ.as_deref().unwrap_or_default();
        if self.typ.as_ref().is_some_and(|typ| *typ != media_type(named)) {
            return Err(Refusal::NotAllowed("type"));
        }
        Ok(())
    }

    /// Who issued it, and for whom. A token that names an audience is for that audience alone, also where the configuration names
    /// none (RFC 7519 4.1.3).
    fn check_parties(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let issuer = text(claims, "iss")?;
        let expected = self.issuer.is_some() || self.requires(Registered::Iss);
        if expected && (issuer.is_none() || issuer != self.issuer.as_deref()) {
            return Err(Refusal::Issuer);
        }
        let ours = |audience: &Value| audience.as_str().is_some_and(|name| Some(name) == self.audience.as_deref());
        let meant = match claims.get("aud") {
            None => self.audience.is_none() && !self.requires(Registered::Aud),
            Some(Value::Array(audiences)) => audiences.iter().any(ours),
            Some(audience) => ours(audience),
        };
        if meant { Ok(()) } else { Err(Refusal::Audience) }
    }

    fn check_times(&self, claims: &Map<String, Value>, now: OffsetDateTime) -> Result<(), Refusal> {
        let now = now.unix_timestamp_nanos() as f64 / 1e9;
        let (expires, issued, begins) = (instant(claims, "exp")?, instant(claims, "iat")?, instant(claims, "nbf")?);
        for (claim, name, value) in [(Registered::Exp, "exp", expires), (Registered::Iat, "iat", issued)] {
            if self.requires(claim) && value.is_none() {
                return Err(Refusal::Claim(name));
            }
        }
        let over = expires.is_some_and(|end| now >= end + LEEWAY);
        let early = [issued, begins].into_iter().flatten().any(|start| now < start - LEEWAY);
        if over || early { Err(Refusal::OutsideTolerance) } else { Ok(()) }
    }
}

/// The claims, byte for byte, once one of the keys has proved them.
fn signed_claims(token: &[u8], header: &Header, keys: &JwtKeys) -> Result<Box<RawValue>, Refusal> {
    let shared: Vec<DecodingKey>;
    let candidates: Vec<&DecodingKey> = match (keys, header.alg.family()) {
        (JwtKeys::Shared(keys), AlgorithmFamily::Hmac) => {
            shared = keys.iter().map(|key| DecodingKey::from_secret(key.0.expose_secret())).collect();
            shared.iter().collect()
        }
        (JwtKeys::Set(set), AlgorithmFamily::Rsa | AlgorithmFamily::Ec | AlgorithmFamily::Ed) => {
            set.candidates(header.alg, header.kid.as_deref())
        }
        _ => return Err(Refusal::NotAllowed("algorithm")),
    };
    if candidates.is_empty() {
        return Err(Refusal::UnknownKey);
    }
    for key in candidates {
        match decode::<Box<RawValue>>(token, key, &signature_alone(header.alg)) {
            Ok(token) => return Ok(token.claims),
            Err(error) if matches!(error.kind(), ErrorKind::Json(_) | ErrorKind::Base64(_)) => {
                return Err(Refusal::NotAToken);
            }
            Err(_) => {}
        }
    }
    Err(Refusal::Mismatch)
}

/// The library reads the system's clock, and knows no claim that must be there but four; so the claims are checked here.
fn signature_alone(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    validation
}

impl BodyHash {
    fn check(&self, claims: &Map<String, Value>, body: &[u8]) -> Result<(), Refusal> {
        let text = claims.get(&self.claim).and_then(Value::as_str);
        let hash = text.and_then(|text| self.decode(text)).ok_or(Refusal::Claim("body hash"))?;
        if bool::from(hash.ct_eq(&Sha256::digest(body))) { Ok(()) } else { Err(Refusal::BodyHash) }
    }

    fn decode(&self, text: &str) -> Option<Vec<u8>> {
        use base64::Engine;
        match self.encoding {
            Encoding::Hex => hex::decode(text).ok(),
            Encoding::Base64 => BASE64_LENIENT.decode(text).ok(),
        }
    }
}

/// A claim that is a text, and not an empty one.
fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, Refusal> {
    let text = |value: &'a Value| value.as_str().filter(|text| !text.is_empty()).ok_or(Refusal::Claim(name));
    claims.get(name).map(text).transpose()
}

/// A claim in seconds since 1970, which may have a fraction (RFC 7519 2, `NumericDate`).
fn instant(claims: &Map<String, Value>, name: &'static str) -> Result<Option<f64>, Refusal> {
    claims.get(name).map(|value| value.as_f64().ok_or(Refusal::Claim(name))).transpose()
}

/// A type as it is compared: in small letters and without the `application/` that may be left out (RFC 7515 4.1.9).
fn media_type(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    text.strip_prefix("application/").map_or(text.clone(), str::to_owned)
}

impl TryFrom<Table> for Jwt {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let named = |text: &String| HeaderName::try_from(text).map_err(|_| format!("`{text}` is no header name"));
        let header = table.header.as_ref().map(named).transpose()?;
        let shared_alone = table.algorithms.iter().all(|algorithm| algorithm.family() == AlgorithmFamily::Hmac);
        let error = match () {
            () if table.algorithms.is_empty() => "`algorithms` names none",
            () if header.is_none() && table.prefix.is_some() => "`prefix` goes with a `header`",
            () if header.is_none() && table.body_hash.is_some() => "`body_hash` goes with a `header`",
            // Every other token of the same issuer, an access token say, would do as well.
            () if header.is_none() && table.typ.is_none() => "a body that is a token needs its `typ`",
            () if header.is_some() && table.body_hash.is_none() && !shared_alone => {
                "without a `body_hash` only a shared secret (HS256, HS384, HS512) will do"
            }
            () => "",
        };
        if !error.is_empty() {
            return Err(error.to_owned());
        }
        Ok(Self {
            header,
            prefix: table.prefix.unwrap_or_default(),
            typ: table.typ.as_deref().map(media_type),
            algorithms: table.algorithms,
            body_hash: table.body_hash,
            require: table.require,
            key_form: table.secret,
            issuer: None,
            audience: None,
        })
    }
}

//! The public keys that a sender publishes (RFC 7517), those of them that may check a signature.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{
        AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk, KeyAlgorithm,
        KeyOperations, OctetKeyPairParameters, PublicKeyUse, RSAKeyParameters,
    },
};
use serde::Deserialize;
use serde_json::Value;

/// Shorter RSA keys can be broken (RFC 7518 3.3).
const FEWEST_RSA_BITS: usize = 2048;
const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// The keys of a set that may check a signature. Others are left out when it is read: keys for encryption, symmetric
/// ones, RSA below 2048 bits, and whatever kind or curve is not known.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Wire")]
pub struct JwkSet(Vec<PublicKey>);

#[derive(Clone, Debug)]
struct PublicKey {
    id: Option<String>,
    /// Never an HMAC: a public key cannot be taken for a shared secret.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct Wire {
    keys: Vec<Value>,
}

impl From<Wire> for JwkSet {
    /// A key that cannot be read does not spoil the rest.
    fn from(wire: Wire) -> Self {
        let read = |value| serde_json::from_value(value).ok().and_then(PublicKey::new);
        Self(wire.keys.into_iter().filter_map(read).collect())
    }
}

impl JwkSet {
    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The keys that a token of this algorithm and key id may be signed with. One without a key id may be signed with
    /// the only key there is for the algorithm.
    pub(super) fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> Vec<&DecodingKey> {
        let fits = |key: &&PublicKey| key.algorithms.contains(&algorithm) && (id.is_none() || key.id.as_deref() == id);
        let keys: Vec<_> = self.0.iter().filter(fits).map(|key| &key.key).collect();
        if id.is_none() && keys.len() > 1 { Vec::new() } else { keys }
    }
}

impl PublicKey {
    fn new(jwk: Jwk) -> Option<Self> {
        let (mut algorithms, key) = match &jwk.algorithm {
            AlgorithmParameters::RSA(key) => (RSA.to_vec(), rsa(key)?),
            AlgorithmParameters::EllipticCurve(key) => ec(key)?,
            AlgorithmParameters::OctetKeyPair(key) => (vec![Algorithm::EdDSA], ed(key)?),
            _ => return None,
        };
        if let Some(only) = jwk.common.key_algorithm {
            algorithms.retain(|algorithm| KeyAlgorithm::from(*algorithm) == only);
        }
        (for_signatures(&jwk.common) && !algorithms.is_empty()).then_some(Self {
            id: jwk.common.key_id,
            algorithms,
            key,
        })
    }
}

/// Whether `use` and `key_ops`, where they stand, say so (RFC 7517 4.2, 4.3).
fn for_signatures(common: &CommonParameters) -> bool {
    let by_use = common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    by_use && common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify))
}

/// Some senders write a zero byte in front of the modulus, which RFC 7518 6.3.1.1 forbids.
fn rsa(key: &RSAKeyParameters) -> Option<DecodingKey> {
    let number = |text: &str| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(bytes[zeros..].to_vec())
    };
    let (modulus, exponent) = (number(&key.n)?, number(&key.e)?);
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    (bits >= FEWEST_RSA_BITS).then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn ec(key: &EllipticCurveKeyParameters) -> Option<(Vec<Algorithm>, DecodingKey)> {
    let (algorithm, size) = match key.curve {
        EllipticCurve::P256 => (Algorithm::ES256, 32),
        EllipticCurve::P384 => (Algorithm::ES384, 48),
        _ => return None,
    };
    let whole = has_size(&key.x, size) && has_size(&key.y, size);
    whole.then(|| DecodingKey::from_ec_components(&key.x, &key.y).ok()).flatten().map(|key| (vec![algorithm], key))
}

fn ed(key: &OctetKeyPairParameters) -> Option<DecodingKey> {
    let whole = key.curve == EllipticCurve::Ed25519 && has_size(&key.x, 32);
    whole.then(|| DecodingKey::from_ed_components(&key.x).ok()).flatten()
}

fn has_size(text: &str, size: usize) -> bool {
    BASE64_URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == size)
}

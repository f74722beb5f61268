//! The cryptography below `jsonwebtoken`, by ring, which TLS brings along: an adapter between the two, and nothing else.
//!
//! `RSA_*_2048_8192` refuse what is shorter than 2048 bits; `*_FIXED` is the form of ECDSA in a JWS (RFC 7518 3.4).

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    jwk::{EllipticCurve, ThumbprintHash},
    signature::{self, Signer, Verifier},
};
use ring::{
    digest, hmac,
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{self as by, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair, UnparsedPublicKey},
};

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(Adapter::new(*algorithm, key.family(), key.clone())?)),
    verifier_factory: |algorithm, key| Ok(Box::new(Adapter::new(*algorithm, key.family(), key.clone())?)),
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |der| {
            let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(rsa_pair(der)?.public());
            Ok((n, e))
        },
        // No public key comes in DER here: they all come out of key sets.
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::InvalidKeyFormat.into()),
        ec_pub_components_from_private_key: ec_point,
        ed_pub_components_from_private_key: |der, _| Ok(ed_pair(der)?.public_key().as_ref().to_vec()),
        compute_digest,
    },
};

/// Makes `jsonwebtoken` compute with ring. To be called before any use of it; calling it again changes nothing.
pub(super) fn install() {
    let _ = RING.install_default();
}

/// One algorithm with one key.
struct Adapter<K> {
    algorithm: Algorithm,
    method: Method,
    key: K,
}

/// What ring calls an algorithm.
#[derive(Clone, Copy)]
enum Method {
    Hmac(hmac::Algorithm),
    Rsa(&'static by::RsaParameters, &'static dyn by::RsaEncoding),
    Ec(&'static by::EcdsaVerificationAlgorithm, &'static by::EcdsaSigningAlgorithm),
    Ed,
}

impl<K> Adapter<K> {
    /// A key of one family never serves another's algorithm.
    fn new(algorithm: Algorithm, family: AlgorithmFamily, key: K) -> Result<Self> {
        if algorithm.family() != family {
            return Err(ErrorKind::InvalidKeyFormat.into());
        }
        Ok(Self { algorithm, method: method(algorithm)?, key })
    }
}

fn method(algorithm: Algorithm) -> Result<Method> {
    Ok(match algorithm {
        Algorithm::HS256 => Method::Hmac(hmac::HMAC_SHA256),
        Algorithm::HS384 => Method::Hmac(hmac::HMAC_SHA384),
        Algorithm::HS512 => Method::Hmac(hmac::HMAC_SHA512),
        Algorithm::RS256 => Method::Rsa(&by::RSA_PKCS1_2048_8192_SHA256, &by::RSA_PKCS1_SHA256),
        Algorithm::RS384 => Method::Rsa(&by::RSA_PKCS1_2048_8192_SHA384, &by::RSA_PKCS1_SHA384),
        Algorithm::RS512 => Method::Rsa(&by::RSA_PKCS1_2048_8192_SHA512, &by::RSA_PKCS1_SHA512),
        Algorithm::PS256 => Method::Rsa(&by::RSA_PSS_2048_8192_SHA256, &by::RSA_PSS_SHA256),
        Algorithm::PS384 => Method::Rsa(&by::RSA_PSS_2048_8192_SHA384, &by::RSA_PSS_SHA384),
        Algorithm::PS512 => Method::Rsa(&by::RSA_PSS_2048_8192_SHA512, &by::RSA_PSS_SHA512),
        Algorithm::ES256 => Method::Ec(&by::ECDSA_P256_SHA256_FIXED, &by::ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::ES384 => Method::Ec(&by::ECDSA_P384_SHA384_FIXED, &by::ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::EdDSA => Method::Ed,
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    })
}

impl JwtVerifier for Adapter<DecodingKey> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Adapter<DecodingKey> {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        use DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
        match (self.method, self.key.kind()) {
            (Method::Hmac(hash), SecretOrDer(secret)) => {
                hmac::verify(&hmac::Key::new(hash, secret), message, signature)
            }
            (Method::Rsa(scheme, _), RsaModulusExponent { n, e }) => {
                by::RsaPublicKeyComponents { n, e }.verify(scheme, message, signature)
            }
            (Method::Ec(curve, _), SecretOrDer(point)) => {
                UnparsedPublicKey::new(curve, point).verify(message, signature)
            }
            (Method::Ed, SecretOrDer(point)) => UnparsedPublicKey::new(&by::ED25519, point).verify(message, signature),
            _ => return Err(signature::Error::new()),
        }
        .map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Adapter<EncodingKey> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Signer<Vec<u8>> for Adapter<EncodingKey> {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        self.sign(message).map_err(signature::Error::from_source)
    }
}

impl Adapter<EncodingKey> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let (der, random) = (self.key.as_bytes(), SystemRandom::new());
        let failed = |_| ErrorKind::Signing("the key cannot sign".to_owned());
        Ok(match self.method {
            Method::Hmac(hash) => hmac::sign(&hmac::Key::new(hash, der), message).as_ref().to_vec(),
            Method::Rsa(_, scheme) => {
                let pair = rsa_pair(der)?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(scheme, &random, message, &mut signature).map_err(failed)?;
                signature
            }
            Method::Ec(_, curve) => ec_pair(curve, der)?.sign(&random, message).map_err(failed)?.as_ref().to_vec(),
            Method::Ed => ed_pair(der)?.sign(message).as_ref().to_vec(),
        })
    }
}

/// PKCS#8, or PKCS#1 as OpenSSL used to write it.
fn rsa_pair(der: &[u8]) -> Result<RsaKeyPair> {
    let unusable = |_| ErrorKind::InvalidRsaKey("not a private key".to_owned()).into();
    RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)).map_err(unusable)
}

fn ec_pair(curve: &'static by::EcdsaSigningAlgorithm, der: &[u8]) -> Result<EcdsaKeyPair> {
    EcdsaKeyPair::from_pkcs8(curve, der, &SystemRandom::new()).map_err(|_| ErrorKind::InvalidEcdsaKey.into())
}

/// OpenSSL leaves the public half out; then there is nothing to check it against.
fn ed_pair(der: &[u8]) -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| ErrorKind::InvalidEddsaKey.into())
}

/// The public point of a private key: `04 ‖ x ‖ y` (SEC 1, 2.3.3).
fn ec_point(der: &[u8], algorithm: Algorithm) -> Result<(EllipticCurve, Vec<u8>, Vec<u8>)> {
    let (curve, name, size) = match algorithm {
        Algorithm::ES256 => (&by::ECDSA_P256_SHA256_FIXED_SIGNING, EllipticCurve::P256, 32),
        Algorithm::ES384 => (&by::ECDSA_P384_SHA384_FIXED_SIGNING, EllipticCurve::P384, 48),
        _ => return Err(ErrorKind::InvalidEcdsaKey.into()),
    };
    let pair = ec_pair(curve, der)?;
    match pair.public_key().as_ref() {
        [4, point @ ..] if point.len() == 2 * size => Ok((name, point[..size].to_vec(), point[size..].to_vec())),
        _ => Err(ErrorKind::InvalidEcdsaKey.into()),
    }
}

fn compute_digest(data: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &digest::SHA256,
        ThumbprintHash::SHA384 => &digest::SHA384,
        ThumbprintHash::SHA512 => &digest::SHA512,
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    Ok(digest::digest(algorithm, data).as_ref().to_vec())
}

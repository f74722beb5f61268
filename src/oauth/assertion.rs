//! Signed assertions as authorization grants (RFC 7523 2.1): a JWT by RS256, whose key the authorization server knows.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::outcome::{Failure, FailureKind};

pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// How long an assertion lasts, in seconds. The strictest known server (Salesforce) takes no more than five minutes.
const LIFETIME: u64 = 180;

/// What a client signs to get a token.
#[derive(Debug)]
pub(crate) struct Assertion {
    key: Box<RsaKeyPair>,
    /// All but `iat` and `exp`.
    claims: BTreeMap<String, String>,
}

impl Assertion {
    /// `None` if `pem` is not a private RSA key of at least 2048 bits in PEM (PKCS#8 or PKCS#1).
    pub(crate) fn new(pem: &SecretString, claims: BTreeMap<String, String>) -> Option<Self> {
        let key = match PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes()).ok()? {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return None,
        };
        Some(Self { key: Box::new(key.ok()?), claims })
    }

    /// The assertion as of now.
    ///
    /// # Errors
    /// `unusable_credential` if the key cannot sign.
    pub(super) fn sign(&self) -> Result<SecretString, Failure> {
        let unusable = |_| Failure::new(FailureKind::Unauthorized, "unusable_credential");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut claims: Map<_, _> = self.claims.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        claims.extend([("iat".to_owned(), json!(now)), ("exp".to_owned(), json!(now + LIFETIME))]);
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(json!({ "alg": "RS256", "typ": "JWT" })), part(Value::Object(claims)));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).map_err(unusable)?;
        Ok(SecretString::from(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))))
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

    use super::*;

    const KEY: &str = include_str!("../../tests/data/keys/rsa.pem");

    #[test]
    fn assertion_is_signed_by_the_key_and_lasts_three_minutes() {
        let claims = BTreeMap::from([("iss".to_owned(), "client".to_owned()), ("sub".to_owned(), "admin".to_owned())]);
        let assertion = Assertion::new(&KEY.into(), claims).unwrap();
        let token = assertion.sign().unwrap();
        let (signed, signature) = token.expose_secret().rsplit_once('.').unwrap();
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(assertion.key.public());
        public.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decode(signature)).unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        assert_eq!(decode(header), br#"{"alg":"RS256","typ":"JWT"}"#);
        let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("client"), &json!("admin")));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), LIFETIME);
    }

    #[test]
    fn key_that_cannot_sign_by_rs256_is_refused() {
        for pem in ["", "private key", include_str!("../../tests/data/keys/p256.pem")] {
            assert!(Assertion::new(&pem.into(), BTreeMap::new()).is_none(), "{pem}");
        }
    }
}

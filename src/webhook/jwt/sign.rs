//! Signing as a sender does, for deliveries of our own.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, EncodingKey, Header, encode,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use super::{Jwt, Registered, crypto};

/// How long a token lasts that says when it ends.
const LIFETIME: Duration = Duration::minutes(5);

/// A signed delivery.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The headers that the signature adds.
    pub headers: Vec<(String, String)>,
    /// The body to send: the one that was signed, or the token.
    pub body: Vec<u8>,
}

impl Jwt {
    /// Signs as the sender does, at `now`: `body` with a token in a header, or the token whose claims `body` begins.
    ///
    /// `secret` is the shared secret, or a private key in PEM (PKCS#8; RSA also PKCS#1), which chooses the algorithm.
    /// `None` if it is neither, if the sender does not use what it can do, or if a claim is lacking that the sender sends.
    pub fn sign(&self, secret: &SecretString, id: &str, now: OffsetDateTime, body: &[u8]) -> Option<Signed> {
        let (key, algorithm, kid) = self.signing_key(secret)?;
        let typ = self.typ.clone().unwrap_or_else(|| "JWT".to_owned());
        let content_type = format!("application/{typ}");
        let header = Header { typ: Some(typ), kid, ..Header::new(algorithm) };
        let token = encode(&header, &self.claims(id, now, body)?, &key).ok()?;
        Some(match &self.header {
            Some(name) => {
                let headers = vec![(name.to_string(), format!("{}{token}", self.prefix))];
                Signed { headers, body: body.to_vec() }
            }
            None => Signed { headers: vec![("content-type".to_owned(), content_type)], body: token.into_bytes() },
        })
    }

    /// The key set that a sender with this private key publishes; its key's id is the thumbprint (RFC 7638).
    ///
    /// `None` if it is no private key in PEM that the sender could use.
    pub fn key_set(&self, private_key: &SecretString) -> Option<Value> {
        let (_, _, jwk) = self.key_pair(private_key)?;
        Some(json!({ "keys": [jwk] }))
    }

    fn signing_key(&self, secret: &SecretString) -> Option<(EncodingKey, Algorithm, Option<String>)> {
        if secret.expose_secret().trim_start().starts_with("-----BEGIN ") {
            let (key, algorithm, jwk) = self.key_pair(secret)?;
            return Some((key, algorithm, jwk.common.key_id));
        }
        crypto::install();
        let algorithm = self.algorithms.iter().find(|algorithm| algorithm.family() == AlgorithmFamily::Hmac)?;
        let bytes = self.key_form.bytes(secret.expose_secret()).filter(|bytes| !bytes.is_empty())?;
        Some((EncodingKey::from_secret(&bytes), *algorithm, None))
    }

    /// The private key, the first of the sender's algorithms that it can do, and its public half.
    fn key_pair(&self, pem: &SecretString) -> Option<(EncodingKey, Algorithm, Jwk)> {
        crypto::install();
        let der = PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes()).ok()?;
        self.algorithms.iter().find_map(|algorithm| {
            let key = match algorithm.family() {
                AlgorithmFamily::Rsa => EncodingKey::from_rsa_der(der.secret_der()),
                AlgorithmFamily::Ec => EncodingKey::from_ec_der(der.secret_der()),
                AlgorithmFamily::Ed => EncodingKey::from_ed_der(der.secret_der()),
                AlgorithmFamily::Hmac => return None,
            };
            let mut jwk = Jwk::from_encoding_key(&key, *algorithm).ok()?;
            jwk.common.key_id = Some(jwk.thumbprint(ThumbprintHash::SHA256).ok()?);
            jwk.common.public_key_use = Some(PublicKeyUse::Signature);
            Some((key, *algorithm, jwk))
        })
    }

    /// What the sender says in a token.
    fn claims(&self, id: &str, now: OffsetDateTime, body: &[u8]) -> Option<Map<String, Value>> {
        let mut claims = if self.header.is_some() { Map::new() } else { serde_json::from_slice(body).ok()? };
        for claim in &self.require {
            let (name, value) = match claim {
                Registered::Exp => ("exp", json!((now + LIFETIME).unix_timestamp())),
                Registered::Iat => ("iat", json!(now.unix_timestamp())),
                Registered::Jti => ("jti", json!(id)),
                Registered::Iss => ("iss", json!(self.issuer.as_ref()?)),
                Registered::Aud => ("aud", json!(self.audience.as_ref()?)),
            };
            claims.insert(name.to_owned(), value);
        }
        if let Some(hash) = &self.body_hash {
            claims.insert(hash.claim.clone(), json!(hash.encoding.encode(&Sha256::digest(body))));
        }
        Some(claims)
    }
}

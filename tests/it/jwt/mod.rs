//! The door for JSON Web Tokens: tokens made by other libraries, and every way to be refused.

use std::{collections::BTreeMap, sync::Arc};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use offboard::{
    secrets::Secret,
    webhook::{
        JwkSet, Refusal,
        jwt::{Jwt, JwtKeys, VerifiedToken},
    },
};
use ring::{hmac, rand::SystemRandom, signature};
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer, pem::PemObject};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, macros::datetime};

mod claims;
mod form;
mod keys;
mod recorded;
mod sender;

const NOW: OffsetDateTime = datetime!(2026-01-31 18:42:00 UTC);
const BODY: &[u8] = br#"{"uid":"0c4b5f3e","type":"admin.USER-DELETE"}"#;
const ISSUER: &str = "https://sso.example.com/realms/acme";
const AUDIENCE: &str = "https://offboard.example.com";
const SHARED: &str = "a secret that is shared with the sender";

const EVERY_ALGORITHM: &str = r#"algorithms = ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]"#;
const FUSIONAUTH: &str = r#"
    header = "x-fusionauth-signature-jwt"
    body_hash = { claim = "request_body_sha256", encoding = "base64" }
"#;
const KEYCLOAK: &str = r#"
    header = "authorization"
    prefix = "Bearer "
    body_hash = { claim = "request_body_sha256", encoding = "hex" }
    require = ["exp", "iat", "jti", "iss", "aud"]
"#;
const SHARED_SIGNALS: &str = r#"
    typ = "secevent+jwt"
    require = ["iat", "jti", "iss", "aud"]
"#;

fn table(text: &str) -> Jwt {
    toml::from_str(&format!("{EVERY_ALGORITHM}\n{text}")).unwrap_or_else(|fault| panic!("{fault}"))
}

/// A row for deliveries from [`ISSUER`] to [`AUDIENCE`].
fn expecting(row: Jwt) -> Jwt {
    row.expecting(Some(ISSUER.to_owned()), Some(AUDIENCE.to_owned())).unwrap()
}

fn keycloak() -> Jwt {
    expecting(table(KEYCLOAK))
}

/// What was made with another library, and the keys for it.
fn recorded() -> Value {
    serde_json::from_str(include_str!("../../data/vectors/jwt_pyjwt.json")).unwrap()
}

fn private_key(name: &str) -> SecretString {
    SecretString::from(recorded()["keys"][name]["private_pem"].as_str().unwrap())
}

fn jwk(name: &str) -> Value {
    recorded()["keys"][name]["jwk"].clone()
}

fn set(keys: &[Value]) -> JwtKeys {
    JwtKeys::Set(Arc::new(serde_json::from_value::<JwkSet>(json!({ "keys": keys })).unwrap()))
}

fn shared(jwt: &Jwt, secret: &str) -> JwtKeys {
    jwt.keys(&Secret::parse("s", &json!({ "signing_secret": secret }).to_string()).unwrap()).unwrap()
}

fn headers<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let pair = |(name, value)| (HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
    HeaderMap::from_iter(pairs.into_iter().map(pair))
}

/// A token put together by hand: nothing keeps it from being wrong.
fn forged(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = BASE64_URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn hs256(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> + use<> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    move |message| hmac::sign(&key, message).as_ref().to_vec()
}

/// Signs by RS256 with the key that is recorded as `rsa`.
fn rsa() -> impl Fn(&[u8]) -> Vec<u8> {
    let recorded = recorded();
    let pem = recorded["keys"]["rsa"]["private_pem"].as_str().unwrap();
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let pair = signature::RsaKeyPair::from_pkcs8(der.secret_der()).unwrap();
    move |message| {
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }
}

/// The members of an object, some of them replaced, or left out where the replacement is null.
fn changed(mut object: Value, changes: Value) -> String {
    for (name, value) in changes.as_object().unwrap() {
        object[name] = value.clone();
    }
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    object.to_string()
}

/// The claims of Keycloak's sender.
fn claims(changes: Value) -> String {
    let (now, hash) = (NOW.unix_timestamp(), hex::encode(Sha256::digest(BODY)));
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 300, "jti": "evt-1", "request_body_sha256": hash,
    });
    changed(claims, changes)
}

fn header(changes: Value) -> String {
    changed(json!({ "alg": "RS256", "typ": "JWT", "kid": jwk("rsa")["kid"] }), changes)
}

fn bearer(token: &str) -> HeaderMap {
    headers([("authorization", format!("Bearer {token}").as_str())])
}

/// What Keycloak's row makes of a token for [`BODY`].
fn judge(token: &str, keys: &JwtKeys) -> Result<(), Refusal> {
    keycloak().verify(&bearer(token), BODY, keys, NOW).map(|_| ())
}

//! A source out of a configuration, and what it makes of a body that its sender signed.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::{Arc, LazyLock};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use offboard::{
    config::Config,
    departure::{DeliveryEvents, Verification, Word},
    person::Person,
    secrets::Secret,
    source::{KeySource, Source, Unreadable},
    webhook::{Keys, Scheme},
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use secrecy::SecretString;
use serde_json::json;
use time::{OffsetDateTime, macros::datetime};

/// When every delivery arrives.
pub const NOW: OffsetDateTime = datetime!(2026-01-31 18:42:00 UTC);
/// A key of every form: base64 behind `whsec_`, and long enough for a token.
pub const KEY: &str = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

/// A private key for senders that publish the other half.
static PRIVATE_KEY: LazyLock<SecretString> = LazyLock::new(|| {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let text = BASE64_STANDARD.encode(key);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n").into()
});

/// A configuration with this source.
fn config(table: &str) -> String {
    format!("[sources.s]\n{table}\n[providers.instaply]\nkind = \"instaply\"\n")
}

/// The source that these lines configure.
pub fn source(table: &str) -> Source {
    Config::parse(&config(table), None).unwrap_or_else(|faults| panic!("{table}: {faults}")).sources["s"].clone()
}

/// Why these lines configure no source.
pub fn fault(table: &str) -> String {
    Config::parse(&config(table), None).expect_err(table).to_string()
}

/// What a source makes of a body with these headers, signed as its sender signs.
pub fn read(source: &Source, headers: &[(String, String)], body: &[u8]) -> Result<DeliveryEvents, Unreadable> {
    read_with_id(source, "msg_1", headers, body)
}

/// The same, where the sender signs this id.
pub fn read_with_id(
    source: &Source,
    id: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<DeliveryEvents, Unreadable> {
    let published = matches!(source.keys, KeySource::Set(_));
    let secret = if published { PRIVATE_KEY.clone() } else { SecretString::from(KEY) };
    let signed = source.scheme.sign(&secret, id, NOW, body).unwrap();
    let mut all = HeaderMap::new();
    for (name, value) in headers.iter().cloned().chain(signed.headers) {
        all.insert(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    let keys = match &source.scheme {
        Scheme::Jwt(jwt) if published => {
            let set = jwt.key_set(&PRIVATE_KEY).unwrap();
            Keys::Set(Arc::new(serde_json::from_value(set).unwrap()))
        }
        scheme => {
            let secret = json!({ scheme.secret_keys().0: KEY }).to_string();
            scheme.keys(&Secret::parse("s", &secret).unwrap()).unwrap()
        }
    };
    let verified = source.scheme.verify(&all, &signed.body, &keys, NOW).unwrap();
    source.delivery(&verified)
}

/// A delivery in one line: who left, came back, is taught, what is ignored and why, and what could not be read.
pub fn told(delivery: &Result<DeliveryEvents, Unreadable>) -> String {
    let delivery = match delivery {
        Ok(delivery) => delivery,
        Err(unreadable) => return format!("400: {unreadable}"),
    };
    let departures = delivery.departures.iter().map(|departure| format!("left {}", traits(&departure.person)));
    let facts = delivery.facts.iter().map(|fact| {
        let active = if fact.word == Word::Active { "active, " } else { "" };
        let worth = match fact.verified {
            Verification::Verified | Verification::Complete => "proven",
            Verification::Claimed => "claimed",
            Verification::Confirms => "confirms",
        };
        format!("{active}{worth} {}", traits(&fact.person))
    });
    let ignored = delivery.ignored.iter().map(|ignored| format!("{}: {}", ignored.kind, ignored.reason));
    let unreadable = delivery.unreadable.iter().map(|fault| format!("fault: {fault}"));
    departures.chain(facts).chain(ignored).chain(unreadable).collect::<Vec<_>>().join("; ")
}

/// `#IDP_ID +EXTERNAL_ID ADDRESS …`, or `nobody`.
fn traits(person: &Person) -> String {
    let Person { idp_id, external_id, .. } = person;
    let ids = idp_id.iter().map(|id| format!("#{id}")).chain(external_id.iter().map(|id| format!("+{id}")));
    let all: Vec<_> = ids.chain(person.emails().map(|email| email.expose().to_owned())).collect();
    if all.is_empty() { "nobody".to_owned() } else { all.join(" ") }
}

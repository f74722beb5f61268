//! Every way to sign that there is: each kind of source, and the generic ones in each form, with keys of ours.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    iter,
    sync::{Arc, LazyLock},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use offboard::{
    config::Config,
    secrets::Secret,
    source::{KINDS, Source, SourceKind},
    webhook::{Keys, Refusal, Scheme, Verified},
};
use secrecy::SecretString;
use serde_json::json;
use time::{Duration, OffsetDateTime, macros::datetime};

pub mod edit;

pub const NOW: OffsetDateTime = datetime!(2026-01-31 18:42:00 UTC);
/// A secret of every form: base64 behind `whsec_`, and text that may stand in a header. Not that of the recorded signatures.
pub const KEY: &str = "whsec_bm9ib2R5IGVsc2UgaGFzIHRoaXMga2V5OiBvZmZib2FyZA==";
/// The private keys of senders that publish the other half.
const RSA: &str = include_str!("../../data/keys/rsa.pem");
const P256: &str = include_str!("../../data/keys/p256.pem");
const ED25519: &str = include_str!("../../data/keys/ed25519.pem");

const PUBLISHED: &str = "\njwks = \"https://id.example.com/keys\"";
const PARTIES: &str = "\nissuer = \"https://id.example.com\"\naudience = \"offboard\"";
/// How a source reads for whose kind no body is known.
pub const MAPPING: &str = r#"
event = { id = "/id", type = "/type", departures = ["user.deleted"], occurred_at = "/at", organization = "/org" }
person = { idp_id = "/user/id", external_id = "/user/number", email = "/user/email" }"#;

/// One way to sign, with the key on both sides.
#[derive(Debug)]
pub struct Door {
    /// Its kind and what tells it from others of that kind.
    pub name: String,
    pub source: Source,
    /// What the sender signs with.
    pub secret: SecretString,
    pub keys: Keys,
    /// From which to which millisecond after signing a delivery is taken, where the time is signed.
    pub window: Option<(i64, i64)>,
    /// Whether the proof is of the body. Tokens say only who sends.
    pub covers_body: bool,
}

/// A delivery as it is sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// All of them. Each kind is there, whoever adds one.
pub static DOORS: LazyLock<Vec<Door>> = LazyLock::new(|| KINDS.iter().flat_map(of_kind).collect());

fn of_kind(kind: &SourceKind) -> Vec<Door> {
    let name = kind.name;
    let door = |what: &str, more: &str, secret: &str| {
        let name = if what.is_empty() { name.to_owned() } else { format!("{name}, {what}") };
        Door::new(&name, &format!("kind = \"{}\"{more}", kind.name), secret)
    };
    let published = |parties: &str, keys: &[(&str, &str)]| -> Vec<Door> {
        keys.iter().map(|(what, key)| door(what, &format!("{PUBLISHED}{parties}"), key)).collect()
    };
    let of_any = [("RSA", RSA), ("P-256", P256), ("Ed25519", ED25519)];
    match name {
        "hmac" => generic_hmac().into_iter().map(|(what, more)| door(&what, &more, KEY)).collect(),
        "token" => [
            ("bare", "\ntoken = { header = \"x-token\" }"),
            ("bearer", "\ntoken = { header = \"authorization\", prefix = \"Bearer \" }"),
        ]
        .map(|(what, more)| door(what, &format!("{more}{MAPPING}"), KEY))
        .into(),
        "descope" | "jumpcloud" => vec![door("", MAPPING, KEY)],
        "onelogin" => vec![door("", "\nevent = { departures = [\"17\"] }", KEY)],
        "fusionauth" => iter::once(door("shared", "", KEY)).chain(published("", &of_any)).collect(),
        "keycloak" => iter::once(door("HMAC", "", KEY)).chain(published(PARTIES, &of_any[..2])).collect(),
        "shared_signals" => published(PARTIES, &of_any),
        // A kind that needs more than this says so, and every test here fails.
        _ => vec![door("", "", KEY)],
    }
}

/// Each format, encoding and algorithm, with and without an id and a time.
fn generic_hmac() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (format, prefix) in [("bare", "prefix = \"sha=\", "), ("bare", ""), ("pairs", ""), ("list", "")] {
        for (encoding, algorithm) in [("hex", "sha256"), ("base64", "sha256"), ("hex", "sha512"), ("base64", "sha512")]
        {
            for (id, stamped) in [(false, false), (true, false), (false, true), (true, true)] {
                let in_pairs = format == "pairs";
                if in_pairs && stamped {
                    continue;
                }
                let timed = stamped || in_pairs;
                // Units and forms of the key are spread over the rest.
                let (unit, secret) = if id { ("ms", "raw") } else { ("s", "whsec") };
                let signed = format!("{}{}{{body}}", if id { "{id}." } else { "" }, if timed { "{ts}." } else { "" });
                let headers = format!(
                    "{}{}",
                    if id { "id_header = \"x-id\", " } else { "" },
                    if stamped { "timestamp_header = \"x-time\", " } else { "" },
                );
                let name = format!("{format} {prefix}{encoding} {algorithm} {signed} {unit} {secret}");
                let table = format!(
                    "\nsignature = {{ header = \"x-signature\", {headers}format = \"{format}\", {prefix}encoding = \"{encoding}\", \
                     algorithm = \"{algorithm}\", signed = \"{signed}\", timestamp_unit = \"{unit}\", secret = \"{secret}\" }}{MAPPING}"
                );
                all.push((name, table));
            }
        }
    }
    all
}

impl Door {
    fn new(name: &str, table: &str, secret: &str) -> Self {
        let provider = "[providers.instaply]\nkind = \"instaply\"\n";
        let config = Config::parse(&format!("[sources.s]\n{table}\n{provider}"), None);
        let source =
            config.unwrap_or_else(|faults| panic!("{name} needs more in tests/it/doors: {faults}")).sources["s"]
                .clone();
        let covers_body = !matches!(source.scheme, Scheme::Token(_)) && source.kind.name != "frontegg";
        let secret = SecretString::from(secret);
        let keys = keys(&source.scheme, &secret);
        let mut door = Self { name: name.to_owned(), source, secret, keys, window: None, covers_body };
        door.window = door.window();
        door
    }

    /// As the senders document it.
    fn window(&self) -> Option<(i64, i64)> {
        let seconds = |tolerance: i64| Some((-1000 * tolerance, 1000 * tolerance + 999));
        match (self.source.kind.name, &self.source.scheme) {
            // The extension's tokens last five minutes and may be a minute off; a security event never ends.
            ("keycloak", Scheme::Jwt(_)) => Some((-60_000, 359_999)),
            ("shared_signals", _) => Some((-60_000, i64::MAX)),
            // No two signatures by an elliptic curve are alike, and neither of these has a time.
            ("fusionauth" | "frontegg", _) => None,
            _ if self.sign("1", NOW, b"{}").headers == self.sign("1", NOW + Duration::days(1), b"{}").headers => None,
            ("standard_webhooks" | "svix" | "clerk" | "stytch" | "scalekit" | "zitadel", _) => seconds(300),
            ("bamboohr", _) => seconds(3 * 60 * 60),
            ("workos", _) => Some((-180_000, 180_000)),
            ("hmac", _) if self.name.contains(" ms ") => Some((-300_000, 300_000)),
            ("hmac", _) => seconds(300),
            (other, _) => panic!("say here how old a delivery of {other} may be"),
        }
    }

    /// These bytes as a body that this sender could send: claims must be an object.
    pub fn body(&self, bytes: &[u8]) -> Vec<u8> {
        match self.body_is_token() {
            true => json!({ "data": hex::encode(bytes) }).to_string().into_bytes(),
            false => bytes.to_vec(),
        }
    }

    pub fn body_is_token(&self) -> bool {
        self.source.kind.name == "shared_signals"
    }

    /// Signs a body that [`Door::body`] made.
    pub fn sign(&self, id: &str, now: OffsetDateTime, body: &[u8]) -> Sent {
        self.sign_with(&self.secret, id, now, body)
    }

    pub fn sign_with(&self, secret: &SecretString, id: &str, now: OffsetDateTime, body: &[u8]) -> Sent {
        let signed = self.source.scheme.sign(secret, id, now, body).unwrap_or_else(|| panic!("{} signs", self.name));
        let pairs = signed.headers.iter();
        let pair = |(name, value): &(String, String)| {
            (
                HeaderName::try_from(name).expect("a header's name"),
                HeaderValue::from_str(value).expect("a header's value"),
            )
        };
        Sent { headers: pairs.map(pair).collect(), body: signed.body }
    }

    pub fn verify(&self, sent: &Sent, now: OffsetDateTime) -> Result<Verified, Refusal> {
        self.source.scheme.verify(&sent.headers, &sent.body, &self.keys, now)
    }

    /// A sender of the same kind with another key.
    pub fn stranger(&self) -> SecretString {
        let other = match &self.keys {
            Keys::Shared(_) => "whsec_c2VjcmV0IG9mIHNvbWVib2R5IGVsc2U=",
            Keys::Set(_) => include_str!("../../data/keys/stranger.pem"),
        };
        SecretString::from(other)
    }
}

/// What a source's deliveries are checked with.
pub fn keys(scheme: &Scheme, secret: &SecretString) -> Keys {
    use secrecy::ExposeSecret;
    match scheme {
        Scheme::Jwt(jwt) if secret.expose_secret().starts_with("-----BEGIN") => {
            let set = jwt.key_set(secret).expect("a key that the sender can use");
            Keys::Set(Arc::new(serde_json::from_value(set).expect("a key set")))
        }
        _ => {
            let value = json!({ scheme.secret_keys().0: secret.expose_secret() }).to_string();
            scheme.keys(&Secret::parse("s", &value).expect("a secret")).expect("keys")
        }
    }
}

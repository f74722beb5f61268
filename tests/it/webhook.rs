//! The door: signatures made and judged by the senders' own libraries, and every way to be refused.

use http::{HeaderMap, HeaderName, HeaderValue};
use offboard::{
    config::Config,
    secrets::Secret,
    source::Source,
    webhook::{Refusal, Verified},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-01-31 18:42:00 UTC);
const WHSEC: &str = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

/// A source out of a configuration, as the function reads it.
fn source(table: &str) -> Source {
    let provider = "[providers.instaply]\nkind = \"instaply\"\n";
    let config =
        Config::parse(&format!("[sources.s]\n{table}\n{provider}"), None).unwrap_or_else(|faults| panic!("{faults}"));
    config.sources["s"].clone()
}

/// A source of the generic kind, with the signature that a profile describes.
fn generic(profile: &Value) -> Source {
    let mut signature = vec![format!("header = {}", profile["sig_header"])];
    let (format, prefix) = match profile["header_format"].as_str().unwrap() {
        "kv" => ("pairs", None),
        "list" => ("list", None),
        other => ("bare", other.strip_prefix("prefix:")),
    };
    signature.push(format!("format = \"{format}\""));
    signature.extend(prefix.map(|prefix| format!("prefix = \"{prefix}\"")));
    for (ours, theirs) in [
        ("algorithm", "alg"),
        ("encoding", "enc"),
        ("version", "version"),
        ("signed", "template"),
        ("timestamp_unit", "ts_unit"),
        ("secret", "secret"),
        ("id_header", "id_header"),
        ("timestamp_header", "ts_header"),
    ] {
        signature.extend(profile.get(theirs).map(|value| format!("{ours} = {value}")));
    }
    signature.extend(profile["tolerance"].as_u64().map(|seconds| format!("tolerance = \"{seconds}s\"")));
    source(&format!(
        "kind = \"hmac\"\nsignature = {{ {} }}\nevent = {{ type = \"/type\", departures = [\"x\"] }}\nperson = {{ email = \"/email\" }}",
        signature.join(", ")
    ))
}

fn headers<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let name = |name: &str| HeaderName::try_from(name).unwrap();
    pairs.into_iter().map(|(key, value)| (name(key), HeaderValue::from_str(value).unwrap())).collect()
}

fn verify(
    source: &Source,
    secret: &Value,
    headers: &HeaderMap,
    body: &[u8],
    now: OffsetDateTime,
) -> Result<Verified, Refusal> {
    let secret = Secret::parse("s", &secret.to_string()).unwrap();
    let keys = source.scheme.keys(&secret).unwrap();
    source.scheme.verify(headers, body, &keys, now)
}

fn verdict(source: &Source, vector: &Value) -> &'static str {
    let pairs = vector["headers"].as_object().unwrap().iter();
    let headers = headers(pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
    let milliseconds = vector.get("now_ms").and_then(Value::as_i64).or(vector["now"].as_i64().map(|now| now * 1000));
    let now = milliseconds.map_or(NOW, |ms| OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(ms));
    let secret = json!({ "signing_secret": vector["secret"] });
    if vector["secret"].as_str().unwrap().len() < 16 {
        let refused = source.scheme.keys(&Secret::parse("s", &secret.to_string()).unwrap()).unwrap_err();
        assert!(refused.to_string().contains("is under 16 bytes"), "{refused}");
        return "guessable";
    }
    match verify(source, &secret, &headers, vector["body"].as_str().unwrap().as_bytes(), now) {
        Ok(verified) => {
            assert_eq!(verified.body(), vector["body"].as_str().unwrap().as_bytes());
            "accept"
        }
        Err(_) => "reject",
    }
}

#[test]
fn every_recorded_signature_gets_its_recorded_verdict() {
    let profiles: Value = serde_json::from_str(include_str!("../data/vectors/profiles.json")).unwrap();
    let files = [
        include_str!("../data/vectors/formula.json"),
        include_str!("../data/vectors/github_octokit.json"),
        include_str!("../data/vectors/published.json"),
        include_str!("../data/vectors/standardwebhooks_py.json"),
        include_str!("../data/vectors/workos_node.json"),
        include_str!("../data/vectors/zitadel_go.json"),
    ];
    let mut judged = std::collections::BTreeMap::<String, usize>::new();
    for vector in files.iter().flat_map(|file| serde_json::from_str::<Vec<Value>>(file).unwrap()) {
        let scheme = vector["scheme"].as_str().unwrap();
        let Some(profile) = profiles.get(scheme) else { continue };
        // A key under 16 bytes is not used, whatever it signed.
        let is_guessable = vector["secret"].as_str().unwrap().len() < 16;
        let recorded = vector.get("our_expect").unwrap_or(&vector["expect"]);
        let expected = if is_guessable { &json!("guessable") } else { recorded };
        assert_eq!(verdict(&generic(profile), &vector), expected, "{}", vector["id"]);
        *judged.entry(scheme.to_owned()).or_default() += 1;
    }
    let counts: Vec<_> = judged.iter().map(|(scheme, count)| format!("{scheme} {count}")).collect();
    let expected = [
        "bamboohr 3",
        "descope 2",
        "github 8",
        "hibob 2",
        "logto 2",
        "standard-webhooks-v1 26",
        "workos 6",
        "zitadel 9",
    ];
    assert_eq!(counts, expected);
}

/// A signed delivery of a Standard Webhooks source, to be spoiled.
fn delivery() -> (Source, Value, HeaderMap, Vec<u8>) {
    let source = source("kind = \"standard_webhooks\"");
    let body = source.sample("departure", "ann@example.com", "evt_1", NOW).unwrap().1;
    let signed = source.scheme.sign(&SecretString::from(WHSEC), "evt_1", NOW, &body).unwrap();
    let headers = headers(signed.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    (source, json!({ "signing_secret": WHSEC }), headers, body)
}

#[test]
fn a_good_delivery_is_taken_and_keeps_its_id() {
    let (source, secret, headers, body) = delivery();
    let verified = verify(&source, &secret, &headers, &body, NOW).unwrap();
    assert_eq!((verified.id(), verified.body()), (Some("evt_1"), body.as_slice()));
}

#[test]
fn a_key_that_is_not_ours_is_refused_and_any_of_several_is_taken() {
    let (source, secret, headers, body) = delivery();
    let other = "whsec_c2VjcmV0IG9mIHNvbWVib2R5IGVsc2U=";
    let judge = |secret: &Value| verify(&source, secret, &headers, &body, NOW).map(|_| ());
    assert_eq!(judge(&json!({ "signing_secret": other })), Err(Refusal::Mismatch));
    assert_eq!(judge(&json!({ "signing_secrets": [other, WHSEC] })), Ok(()));
    assert_eq!(judge(&json!({ "signing_secret": other, "signing_secrets": [secret["signing_secret"]] })), Ok(()));
}

#[test]
fn unusable_key_spoils_no_other_and_white_space_around_one_is_ignored() {
    let (source, _, headers, body) = delivery();
    let secret = json!({ "signing_secret": "AQID", "signing_secrets": [7, "", format!(" {WHSEC}\n")] });
    assert_eq!(verify(&source, &secret, &headers, &body, NOW).map(|_| ()), Ok(()));
    let keys = source.scheme.secret_keys_of(&Secret::parse("s", &secret.to_string()).unwrap());
    assert_eq!((keys.count(), keys.errors().len()), (1, 3));
}

#[test]
fn a_change_of_any_byte_is_refused() {
    let (source, secret, headers, body) = delivery();
    for index in 0..body.len() {
        let mut tampered = body.clone();
        tampered[index] ^= 1;
        assert_eq!(verify(&source, &secret, &headers, &tampered, NOW).unwrap_err(), Refusal::Mismatch, "byte {index}");
    }
    for name in ["webhook-id", "webhook-timestamp"] {
        let mut tampered = headers.clone();
        let value = format!("{}1", tampered[name].to_str().unwrap());
        tampered.insert(name, HeaderValue::from_str(&value).unwrap());
        let refusal = verify(&source, &secret, &tampered, &body, NOW).unwrap_err();
        assert!(matches!(refusal, Refusal::Mismatch | Refusal::OutsideTolerance), "{name}: {refusal}");
    }
}

#[test]
fn the_tolerance_goes_both_ways_and_includes_its_ends() {
    let (source, secret, headers, body) = delivery();
    for (seconds, expected) in [(-301, false), (-300, true), (0, true), (300, true), (301, false)] {
        let judged = verify(&source, &secret, &headers, &body, NOW + Duration::seconds(seconds)).map(|_| ());
        assert_eq!(judged, if expected { Ok(()) } else { Err(Refusal::OutsideTolerance) }, "{seconds}");
    }
}

#[test]
fn a_header_that_is_missing_or_doubled_or_unreadable_is_refused() {
    let (source, secret, headers, body) = delivery();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let judge = |headers: &HeaderMap| verify(&source, &secret, headers, &body, NOW).unwrap_err();
        let mut spoiled = headers.clone();
        spoiled.remove(name);
        assert_eq!(judge(&spoiled), Refusal::Missing(name.to_owned()));
        spoiled.insert(name, HeaderValue::from_static(" "));
        assert_eq!(judge(&spoiled), Refusal::Missing(name.to_owned()));
        spoiled.insert(name, HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(judge(&spoiled), Refusal::Malformed(name.to_owned()));
        let mut doubled = headers.clone();
        doubled.append(name, headers[name].clone());
        assert_eq!(judge(&doubled), Refusal::Doubled(name.to_owned()));
    }
}

#[test]
fn a_signature_that_cannot_be_decoded_is_skipped_and_never_matches() {
    let (source, secret, mut headers, body) = delivery();
    let good = headers["webhook-signature"].to_str().unwrap().to_owned();
    for (value, expected) in [
        (format!("v1,&&& {good}"), Ok(())),
        (format!("v2,AAAA v1a,AAAA {good}"), Ok(())),
        ("v1,&&&".to_owned(), Err(Refusal::Mismatch)),
        ("v1,".to_owned(), Err(Refusal::Mismatch)),
        ("v1".to_owned(), Err(Refusal::Mismatch)),
        (good.replace("v1,", "v2,"), Err(Refusal::Mismatch)),
    ] {
        headers.insert("webhook-signature", HeaderValue::from_str(&value).unwrap());
        assert_eq!(verify(&source, &secret, &headers, &body, NOW).map(|_| ()), expected, "{value}");
    }
}

#[test]
fn a_timestamp_is_digits_and_nothing_else() {
    let source = source("kind = \"workos\"");
    let secret = json!({ "signing_secret": "s3cret-s3cret-s3cret" });
    for stamp in ["", "1e12", "+1769884920000", "-1", "1769884920000.0", " 1", "99999999999999999", "٣"] {
        let value = format!("t={stamp}, v1=00");
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("workos-signature"),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        )]);
        let refusal = verify(&source, &secret, &headers, b"{}", NOW).unwrap_err();
        assert!(matches!(refusal, Refusal::Malformed(_) | Refusal::OutsideTolerance), "{stamp}: {refusal}");
    }
    for value in ["t=1769884920000", "v1=00", "t=1769884920000,t=1769884920000,v1=00", "t=1769884920000,v1", "nonsense"]
    {
        let refusal = verify(&source, &secret, &headers([("workos-signature", value)]), b"{}", NOW).unwrap_err();
        assert!(matches!(refusal, Refusal::Malformed(_) | Refusal::Mismatch), "{value}: {refusal}");
    }
}

#[test]
fn a_signing_secret_that_is_no_key_is_a_fault_of_the_secret() {
    let source = source("kind = \"standard_webhooks\"");
    for (value, expected) in [
        (json!({}), "secret `s`: key `signing_secret` is missing"),
        (json!({ "signing_secret": "" }), "secret `s`: key `signing_secret` is empty"),
        (
            json!({ "signing_secret": "whsec_" }),
            "secret `s`: key `signing_secret` is not of the form that the sender hands out",
        ),
        (
            json!({ "signing_secret": "whsec_&&" }),
            "secret `s`: key `signing_secret` is not of the form that the sender hands out",
        ),
        (json!({ "signing_secrets": [7] }), "secret `s`: key `signing_secrets` is not a text"),
        // 16 characters, 12 bytes.
        (
            json!({ "signing_secret": "whsec_AQIDBAUGBwgJCgsM" }),
            "secret `s`: key `signing_secret` is under 16 bytes (guessable), so it is not used: put at least 32 random \
             bytes there",
        ),
    ] {
        let secret = Secret::parse("s", &value.to_string()).unwrap();
        assert_eq!(source.scheme.keys(&secret).unwrap_err().to_string(), expected);
    }
}

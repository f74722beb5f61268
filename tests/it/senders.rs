//! The senders known by name, one by one: the subject and never the actor, what is no departure, and what an event teaches.
//!
//! In every body whoever acted is called an actor, and never comes out.

use http::{HeaderMap, HeaderName, HeaderValue};
use offboard::{
    secrets::Secret,
    source::{KINDS, KeySource, Reply, Source},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::signing::{KEY, NOW, read, source};

/// What has to be configured beside the kind, where its sender does not say enough of itself.
fn table(kind: &str) -> String {
    let rest = match kind {
        "hmac" => "signature = { header = \"x-signature\" }",
        "token" => "token = { header = \"x-token\" }",
        "shared_signals" => {
            "jwks = \"https://idp.example.com/jwks.json\"\nissuer = \"https://idp.example.com\"\naudience = \"us\""
        }
        "onelogin" => "event = { departures = [\"17\"] }",
        _ => "",
    };
    let mapping = match kind {
        "hmac" | "token" | "descope" | "jumpcloud" => {
            "event = { id = \"/id\", type = \"/type\", departures = [\"gone\"], returns = [\"came\"] }\n\
             person = { idp_id = \"/user/id\", email = \"/user/email\" }"
        }
        _ => "",
    };
    format!("kind = \"{kind}\"\n{rest}\n{mapping}")
}

fn sample(source: &Source, what: &str) -> offboard::departure::DeliveryEvents {
    let (headers, body) = source.sample(what, "ann@example.com", "evt_9", NOW).unwrap();
    read(source, &headers, &body).unwrap_or_else(|why| panic!("{} {what}: {why}", source.kind.name))
}

/// Senders that teach nobody's address: no event says whose it is, or none but a departure.
const TEACH_NOTHING: [&str; 5] = ["auth0_logs", "github", "hibob", "onelogin", "shared_signals"];

#[test]
fn every_sample_is_read_as_what_it_claims() {
    for kind in KINDS {
        let source = source(&table(kind.name));
        let departed = sample(&source, "departure");
        assert_eq!((departed.departures.len(), &*departed.unreadable), (1, &[][..]), "{}", kind.name);
        let departure = &departed.departures[0];
        let is_ann = |email: &offboard::person::Email| email.is("ann@example.com");
        match &departure.person.email {
            Some(email) => assert!(is_ann(email), "{}", kind.name),
            None => assert!(departure.person.idp_id.is_some(), "{}", kind.name),
        }
        assert!(
            departure.event.occurred_at.is_none_or(|at| (at.resolve(NOW) - NOW).abs().whole_seconds() < 1),
            "{}",
            kind.name
        );
        assert_eq!(source.samples().contains(&"created"), !TEACH_NOTHING.contains(&kind.name), "{}", kind.name);
        if source.samples().contains(&"created") {
            let created = sample(&source, "created");
            let [fact] = &created.facts[..] else { panic!("{}: {created:?}", kind.name) };
            assert!(fact.person.email.as_ref().is_some_and(is_ann), "{}", kind.name);
            assert_eq!(created.departures, [], "{}", kind.name);
            // Both are of one person, so that a directory can be tried.
            assert!(fact.person.idp_id.is_some(), "{}", kind.name);
            assert_eq!(fact.person.idp_id, departure.person.idp_id, "{}", kind.name);
        }
    }
}

#[test]
fn a_claim_and_its_confirmation_are_of_one_person() {
    let zitadel = source("kind = \"zitadel\"");
    let ids = ["departure", "created", "verified"].map(|what| {
        let delivery = sample(&zitadel, what);
        delivery.facts.first().map_or_else(|| delivery.departures[0].person.clone(), |fact| fact.person.clone()).idp_id
    });
    assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(zitadel.sample("moved", "ann@example.com", "evt_9", NOW), None);
}

#[test]
fn a_sample_follows_the_configuration() {
    let moved = source(
        "kind = \"auth0\"\nevent = { type = \"/what\", departures = [\"gone\"] }\nperson = { email = \"/who\" }",
    );
    let departed = sample(&moved, "departure");
    assert_eq!(departed.departures[0].event.kind, "gone");
    assert!(departed.departures[0].person.email.as_ref().is_some_and(|email| email.is("ann@example.com")));
    let emails = source(
        "kind = \"token\"\ntoken = { header = \"x-token\" }\nevent = { type = \"/t\", departures = [\"gone\"] }\nperson = { emails = \"/emails\", verified = \"/proven\" }",
    );
    assert!(sample(&emails, "departure").departures[0].person.email.is_some());
    assert_eq!(emails.samples(), ["departure"]);
}

#[test]
fn every_kind_says_what_its_administrator_has_to_know() {
    for kind in KINDS {
        let row = kind.spec().unwrap();
        let said = [&row.sender, &row.page, &row.authentication, &row.limitations];
        assert!(said.into_iter().all(|text| !text.trim().is_empty()), "{}", kind.name);
        assert!(row.page.starts_with("https://"), "{}", kind.name);
        let setup = row.setup.join("\n");
        assert!(setup.contains("{url}"), "{}: where to send", kind.name);
        let source = source(&table(kind.name));
        let told = match source.keys {
            KeySource::Set(_) => "jwks".to_owned(),
            KeySource::Partner(_) => panic!("no kind delivers by EventBridge unless configured"),
            KeySource::Secret(_) => format!("{{\"{}\": \"", source.scheme.secret_keys().0),
        };
        assert!(setup.contains(&told), "{}: what to put into the secret", kind.name);
    }
}

/// Where a sender's proof stands, how long it waits in seconds, and what it wants to be told.
const SENDERS: [(&str, &str, u64, Reply); 23] = [
    ("auth0", "authorization: Bearer KEY", 10, Reply::Report),
    ("auth0_logs", "authorization: KEY", 10, Reply::Report),
    ("authentik", "authorization: Bearer KEY", 10, Reply::Report),
    ("bamboohr", "x-bamboohr-timestamp: 1769884920, x-bamboohr-signature", 10, Reply::Report),
    ("clerk", "svix-id: msg_1, svix-timestamp: 1769884920, svix-signature", 15, Reply::Report),
    ("descope", "x-descope-webhook-s256", 10, Reply::Report),
    ("frontegg", "x-webhook-secret", 10, Reply::Report),
    ("fusionauth", "x-fusionauth-signature-jwt", 2, Reply::Report),
    ("github", "x-hub-signature-256", 10, Reply::Report),
    ("google_workspace", "x-goog-channel-token: KEY", 10, Reply::Report),
    ("hibob", "bob-signature", 10, Reply::Report),
    ("jumpcloud", "authorization: KEY", 10, Reply::Report),
    ("keycloak", "x-keycloak-signature", 10, Reply::Report),
    ("logto", "logto-signature-sha-256", 10, Reply::Report),
    ("okta", "authorization: KEY", 3, Reply::Empty),
    ("onelogin", "authorization: KEY", 10, Reply::Report),
    ("pingone", "authorization: KEY", 10, Reply::Report),
    ("scalekit", "webhook-id: msg_1, webhook-timestamp: 1769884920, webhook-signature", 10, Reply::Report),
    ("standard_webhooks", "webhook-id: msg_1, webhook-timestamp: 1769884920, webhook-signature", 15, Reply::Report),
    ("stytch", "svix-id: msg_1, svix-timestamp: 1769884920, svix-signature", 15, Reply::Report),
    ("svix", "svix-id: msg_1, svix-timestamp: 1769884920, svix-signature", 15, Reply::Report),
    ("workos", "workos-signature", 10, Reply::Report),
    ("zitadel", "zitadel-signature", 10, Reply::Report),
];

#[test]
fn every_sender_shows_its_proof_where_its_page_says_and_is_answered_in_time() {
    for (kind, proof, response_timeout, reply) in SENDERS {
        let source = source(&table(kind));
        let signed = source.scheme.sign(&SecretString::from(KEY), "msg_1", NOW, b"{}").unwrap();
        let shown: Vec<_> = signed.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let expected: Vec<_> = proof.split(", ").map(|header| header.replace("KEY", KEY)).collect();
        let all = expected.iter().all(|header| shown.iter().any(|shown| shown.starts_with(header)));
        assert!(all && shown.len() == expected.len(), "{kind}: {shown:?}");
        assert_eq!((source.response_timeout.as_secs(), source.reply), (response_timeout, reply), "{kind}");
        assert_eq!(source.challenge.is_some(), kind == "okta", "{kind}");
    }
    let signals = source(&table("shared_signals"));
    assert_eq!((signals.response_timeout.as_secs(), signals.reply), (10, Reply::Accepted));
    assert_eq!(SENDERS.len() + ["hmac", "token", "shared_signals", "scim"].len(), KINDS.len());
}

/// What the kind's own file makes of a signature that the sender's own library made, or its page shows.
fn verdict(kind: &str, vector: &Value) -> &'static str {
    let source = source(&table(kind));
    let given = vector["headers"].as_object().unwrap();
    let header = |(name, value): (&String, &Value)| {
        let value = value.as_str().unwrap();
        (HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap())
    };
    let headers: HeaderMap = given.iter().map(header).collect();
    let milliseconds = vector.get("now_ms").and_then(Value::as_i64).or(vector["now"].as_i64().map(|now| now * 1000));
    let now = milliseconds.map_or(NOW, |count| OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(count));
    let secret = Secret::parse("s", &json!({ "signing_secret": vector["secret"] }).to_string()).unwrap();
    let Ok(keys) = source.scheme.keys(&secret) else { return "guessable" };
    let body = vector["body"].as_str().unwrap().as_bytes();
    if source.scheme.verify(&headers, body, &keys, now).is_ok() { "accept" } else { "reject" }
}

#[test]
fn every_recorded_signature_gets_its_verdict_by_the_senders_own_file() {
    let files = [
        include_str!("../data/vectors/formula.json"),
        include_str!("../data/vectors/github_octokit.json"),
        include_str!("../data/vectors/published.json"),
        include_str!("../data/vectors/standardwebhooks_py.json"),
        include_str!("../data/vectors/workos_node.json"),
        include_str!("../data/vectors/zitadel_go.json"),
    ];
    let mut judged = 0;
    for vector in files.iter().flat_map(|file| serde_json::from_str::<Vec<Value>>(file).unwrap()) {
        let kinds = match vector["scheme"].as_str().unwrap() {
            "standard-webhooks-v1" => vec!["standard_webhooks", "svix", "clerk", "stytch", "scalekit"],
            "standard-webhooks-v1a" => continue,
            one => vec![one],
        };
        // A key under 16 bytes is not used, whatever it signed.
        let is_guessable = vector["secret"].as_str().unwrap().len() < 16;
        let recorded = vector.get("our_expect").unwrap_or(&vector["expect"]);
        let expected = if is_guessable { &json!("guessable") } else { recorded };
        for kind in kinds {
            assert_eq!(verdict(kind, &vector), expected, "{} by {kind}", vector["id"]);
            judged += 1;
        }
    }
    assert_eq!(judged, 162);
}

//! What each sender is answered: nothing, a challenge given back, a bare 202, and a 200 where anything else would block it.

use std::time::{Duration, Instant};

use crate::support::{Double, Function, Reply, Vault, request, v2};
use serde_json::{Value, json};

const TOKEN: &str = "the text that was typed at the sender";

const CONFIG: &str = r#"
[sources.okta]
kind = "okta"
[sources.pingone]
kind = "pingone"
[sources.google]
kind = "google_workspace"
[sources.auth0]
kind = "auth0"
[providers.instaply]
kind = "instaply"
"#;

struct World {
    function: Function,
    provider: Double,
}

impl World {
    async fn new() -> Self {
        Self::with("").await
    }

    async fn with(sources: &str) -> Self {
        let (vault, secrets) = Vault::start().await;
        let (provider, address) = Double::start().await;
        for source in ["okta", "pingone", "google", "auth0"] {
            vault.put(&format!("offboard/sources/{source}"), &json!({ "token": TOKEN }).to_string());
        }
        vault.put("offboard/providers/instaply", r#"{"token": "instaply-token-1"}"#);
        let config = format!("{sources}{CONFIG}base_url = \"{address}\"\n");
        Self { function: Function::start(&config, &secrets, &[]).await, provider }
    }

    async fn challenge(&mut self, value: &str) -> Reply {
        self.function.request(request("GET", "okta", &[("x-okta-verification-challenge", value)], "")).await
    }
}

/// An event hook's delivery of one event.
fn okta(target: &Value) -> String {
    let event = json!({
        "uuid": "u-1", "eventType": "user.lifecycle.deactivate", "outcome": {"result": "SUCCESS"},
        "actor": {"id": "00uadmin", "type": "User", "alternateId": "admin@example.com"}, "target": target,
    });
    json!({ "data": { "events": [event] } }).to_string()
}

#[tokio::test]
async fn a_challenge_is_given_back_escaped_and_within_bounds() {
    let mut world = World::new().await;
    let longest = "x".repeat(512);
    for value in ["abc-123", r#"\"}{"verification":"#, "<script>alert(1)</script>", &longest] {
        let reply = world.challenge(value).await;
        assert_eq!((reply.status, reply.json()), (200, json!({ "verification": value })));
        assert_eq!(reply.headers["content-type"], "application/json");
    }
    let too_long = "x".repeat(513);
    for value in ["", " ", &too_long, "é"] {
        let reply = world.challenge(value).await;
        assert_eq!(
            (reply.status, &reply.json()["type"]),
            (400, &json!("urn:offboard:problem:no-challenge")),
            "{value}"
        );
    }
    let reply = world.function.request(request("GET", "okta", &[], "")).await;
    assert_eq!(reply.status, 400);
    assert_eq!(world.provider.calls().len(), 0);
}

#[tokio::test]
async fn only_a_sender_that_asks_a_challenge_may_get() {
    let mut world = World::new().await;
    let challenge = [("x-okta-verification-challenge", "abc")];
    for (method, source, allowed) in
        [("GET", "auth0", "POST"), ("PUT", "auth0", "POST"), ("DELETE", "okta", "GET, POST")]
    {
        let reply = world.function.request(request(method, source, &challenge, "")).await;
        assert_eq!((reply.status, reply.headers["allow"].as_str()), (405, allowed), "{method} {source}");
    }
    let reply = world.function.request(request("GET", "nobody", &challenge, "")).await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn okta_is_answered_with_nothing_and_anybody_else_with_a_refusal() {
    let mut world = World::new().await;
    world.provider.then(404, json!({"error": "User not found in organization"}));
    let body = okta(&json!([{"id": "00u1", "type": "User", "alternateId": "lee@example.com"}]));
    let reply = world.function.request(v2("okta", &[("authorization", TOKEN)], &body)).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    assert_eq!(world.provider.calls()[0].json(), json!({"email": "lee@example.com"}));
    assert_eq!(world.provider.calls().len(), 1);
    let nearly = &TOKEN[..TOKEN.len() - 1];
    let bearer = format!("Bearer {TOKEN}");
    let longer = format!("{TOKEN}.");
    for shown in [nearly, &bearer, &longer, "", &TOKEN.to_uppercase()] {
        // Within a minute of another, a token that matches none is answered 503.
        let mut world = World::new().await;
        let reply = world.function.request(v2("okta", &[("authorization", shown)], &body)).await;
        assert_eq!((reply.status, &reply.json()["type"]), (401, &json!("urn:offboard:problem:unverified")), "{shown}");
        assert_eq!(world.provider.calls().len(), 0, "no provider API was called for a delivery that was refused");
    }
}

#[tokio::test]
async fn a_delivery_that_cannot_be_read_is_refused_unless_its_sender_would_repeat_it_for_days() {
    let mut world = World::new().await;
    for body in ["", "no JSON", "{}", r#"[{"id": "1"}, {"id": "2"}]"#] {
        let reply = world.function.request(v2("pingone", &[("authorization", TOKEN)], body)).await;
        assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("ignored")), "{body}");
        let reply = world.function.request(v2("okta", &[("authorization", TOKEN)], body)).await;
        assert_eq!((reply.status, &reply.json()["type"]), (400, &json!("urn:offboard:problem:unreadable")), "{body}");
    }
    let log = world.function.end().await;
    let told = log.lines().filter(|line| line.contains("ERROR") && line.contains("an event could not be read"));
    assert_eq!(told.count(), 5, "one for each event that could not be read: {log}");
}

#[tokio::test]
async fn the_first_message_of_a_channel_has_no_body() {
    let mut world = World::new().await;
    let headers = [
        ("x-goog-channel-token", TOKEN),
        ("x-goog-channel-id", "c"),
        ("x-goog-message-number", "1"),
        ("x-goog-resource-state", "sync"),
    ];
    let reply = world.function.request(v2("google", &headers, "")).await;
    assert_eq!((reply.status, &reply.json()["ignored"][0]["type"]), (200, &json!("sync")));
}

/// A key set's address where nobody ever answers.
async fn silent() -> String {
    let (double, address) = Double::start().await;
    double.delay(Duration::from_secs(60));
    address
}

#[tokio::test]
async fn without_the_senders_keys_it_is_asked_to_come_back() {
    let source = |name: &str, url: &str| {
        format!(
            "[sources.{name}]\nkind = \"shared_signals\"\njwks = \"{url}/keys\"\nissuer = \"https://idp.example.com/\"\naudience = \"https://offboard.example.com/ssf\"\n"
        )
    };
    let (empty, broken) = Double::start().await;
    empty.then(200, json!({ "nothing": [] }));
    let sources =
        source("hanging", &silent().await) + &source("broken", &broken) + &source("absent", "http://127.0.0.1:9");
    let mut world = World::with(&sources).await;
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../data/vectors/ssf_set_jose.json")).unwrap();
    let body = vectors[0]["body"].as_str().unwrap();
    for name in ["hanging", "broken", "absent"] {
        let begun = Instant::now();
        let reply = world.function.request(v2(name, &[], body)).await;
        assert_eq!((reply.status, &reply.json()["type"]), (503, &json!("urn:offboard:problem:key-set")), "{name}");
        assert!(reply.headers.contains_key("retry-after"));
        assert!(begun.elapsed() < Duration::from_secs(8), "{name}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_security_event_is_acknowledged_with_202_and_nothing_else() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../data/vectors/ssf_set_jose.json")).unwrap();
    let (key_set, address) = Double::start().await;
    key_set.then(200, vectors[0]["jwks"].clone());
    let source = format!(
        "[policy]\nmax_event_age = \"99years\"\n[ledger]\nretention = \"36525d\"\n[sources.ssf]\nkind = \"shared_signals\"\njwks = \"{address}/keys\"\nissuer = \"https://idp.example.com/\"\naudience = \"https://offboard.example.com/ssf\"\n"
    );
    let mut world = World::with(&source).await;
    world.provider.then(404, json!({"error": "User not found in organization"}));
    for vector in &vectors {
        let reply = world.function.request(v2("ssf", &[], vector["body"].as_str().unwrap())).await;
        let expected = if vector["expect"] == "accept" { 202 } else { 401 };
        assert_eq!(reply.status, expected, "{}", vector["id"]);
        assert!(expected == 401 || reply.text.is_empty(), "{}", reply.text);
    }
    assert_eq!(world.provider.calls().len(), 1, "only the purged account's person has left");
    assert_eq!(key_set.calls().len(), 1, "the keys are kept");
}

#[tokio::test]
async fn no_answer_and_no_line_of_the_log_has_an_address_or_a_secret() {
    let mut world = World::new().await;
    let target = json!([{"id": "00u1", "type": "User", "alternateId": "lee@example.com"}]);
    let unproven = json!({
        "type": "user.deleted", "id": "evt_1", "a0tenant": "t",
        "data": {"object": {"user_id": "auth0|1", "email": "lee@example.com", "email_verified": false}},
    });
    let mut answers = String::new();
    for (source, shown, body) in [
        ("okta", TOKEN.to_owned(), okta(&target)),
        ("okta", "Basic bGVl".to_owned(), okta(&target)),
        ("okta", TOKEN.to_owned(), okta(&json!("lee@example.com"))),
        ("auth0", format!("Bearer {TOKEN}"), unproven.to_string()),
        ("auth0", format!("Bearer {TOKEN}"), r#"{"type": {"lee@example.com": 1}}"#.to_owned()),
        (
            "pingone",
            TOKEN.to_owned(),
            r#"[{"id": "lee@example.com", "action": {"type": ["lee@example.com"]}}]"#.to_owned(),
        ),
    ] {
        answers += &world.function.request(v2(source, &[("authorization", &shown)], &body)).await.text;
    }
    let shown = answers + &world.function.end().await;
    for hidden in ["lee@example.com", "admin@example.com", TOKEN, "bGVl", "instaply-token-1"] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
    assert!(shown.contains("email_verified does not say that the e-mail address is verified"), "{shown}");
}

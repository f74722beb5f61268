//! The compiled function with a ledger and a queue: recorded before anybody is removed, never done twice, never forgotten.

mod support;

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use support::{Double, Function, Reply, Vault};

const KEY: &str = "hr-signing-key-1";
const EMAIL: &str = "lee@example.com";

const CONFIG: &str = r#"
[sources.hr]
kind = "hmac"
signature = { header = "x-hr-signature" }
event = { id = "/id", type = "/event", departures = ["left"], returns = ["hired"], occurred_at = "/at" }
person = { idp_id = "/no", email = "/email" }
[providers.instaply]
kind = "instaply"
"#;

struct World {
    function: Function,
    provider: Double,
    queue: Double,
}

impl World {
    async fn new() -> Self {
        Self::with("", &[]).await
    }

    /// A function with the embedded ledger and a queue.
    async fn with(policy: &str, environment: &[(&str, &str)]) -> Self {
        let (vault, secrets) = Vault::start().await;
        let (provider, address) = Double::start().await;
        let (queue, sqs) = Double::start().await;
        vault.put("offboard/sources/hr", &json!({"signing_secret": KEY}).to_string());
        vault.put("offboard/providers/instaply", r#"{"token": "instaply-token-1"}"#);
        let url = format!("{sqs}/123456789012/offboard");
        let mut all =
            vec![("OFFBOARD_LEDGER_TABLE", ":memory:"), ("OFFBOARD_QUEUE_URL", &url), ("AWS_ENDPOINT_URL_SQS", &sqs)];
        all.extend(environment);
        let config = format!("{policy}{CONFIG}base_url = \"{address}\"\nattempts = 1\n");
        Self { function: Function::start(&config, &secrets, &all).await, provider, queue }
    }

    fn queue_takes_it(&self) -> &Self {
        self.queue.then(200, json!({"MessageId": "1", "MD5OfMessageBody": "x"}));
        self
    }

    fn is_there(&self) -> &Self {
        self.provider
            .then(200, json!({"status": "success", "deletedUserId": "1388838", "email": EMAIL}))
            .then(404, json!({"error": "User not found in organization"}));
        self
    }

    async fn deliver(&mut self, body: &Value) -> Reply {
        let text = body.to_string();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/webhooks/hr", "rawQueryString": "",
            "headers": {"x-hr-signature": signature},
            "requestContext": {"http": {"method": "POST", "path": "/webhooks/hr", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "hr"}},
            "body": text, "isBase64Encoded": false
        });
        self.function.request(event).await
    }

    /// The queue delivers its reminder for the n-th time.
    async fn remind(&mut self, departure: &str, tries: u32) -> Value {
        let message = json!({
            "messageId": "m-1", "receiptHandle": "r-1", "body": json!({"departure": departure}).to_string(),
            "attributes": {"ApproximateReceiveCount": tries.to_string()}, "messageAttributes": {}, "eventSource": "aws:sqs"
        });
        self.function.invoke(json!({"Records": [message]}), Duration::from_secs(15)).await.unwrap()
    }
}

fn left(id: &str) -> Value {
    json!({"id": id, "event": "left", "no": "8931", "email": EMAIL})
}

/// The parts of a reply that say what became of its only departure.
fn became(reply: &Reply) -> (u64, String, bool, String, String) {
    let report = reply.json();
    let departure = &report["departures"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entry = &departure["providers"][0];
    assert_eq!(departure["providers"].as_array().map(Vec::len), Some(1), "{}", reply.text);
    (
        reply.status,
        text(&departure["status"]),
        departure["duplicate"] == true,
        text(&entry["outcome"]),
        text(&entry["reason"]),
    )
}

fn expected(
    status: u64,
    state: &str,
    duplicate: bool,
    outcome: &str,
    reason: &str,
) -> (u64, String, bool, String, String) {
    (status, state.to_owned(), duplicate, outcome.to_owned(), reason.to_owned())
}

#[tokio::test]
async fn a_duplicate_is_answered_from_the_ledger() {
    let mut world = World::new().await;
    world.queue_takes_it().is_there();
    assert_eq!(became(&world.deliver(&left("1")).await), expected(200, "done", false, "deleted", ""));
    for _ in 0..3 {
        let reply = world.deliver(&left("1")).await;
        assert_eq!(became(&reply), expected(200, "done", true, "deleted", ""));
        assert_eq!(reply.json()["departures"][0]["person"]["email"], "l…@example.com");
    }
    assert_eq!((world.provider.calls().len(), world.queue.calls().len()), (2, 1));
    let reminder = world.queue.calls()[0].json();
    assert_eq!(reminder["MessageBody"], json!({"departure": "hr/1"}).to_string());
    assert!(reminder["DelaySeconds"].as_u64().is_some_and(|delay| (90..=900).contains(&delay)), "{reminder}");
}

#[tokio::test]
async fn what_is_left_is_pending_until_the_queue_has_reminded_of_it() {
    let mut world = World::new().await;
    world.queue_takes_it();
    world.provider.then(503, json!({}));
    assert_eq!(became(&world.deliver(&left("1")).await), expected(200, "pending", false, "unavailable", "http_503"));
    assert_eq!(became(&world.deliver(&left("1")).await).1, "pending");
    // Still out of order: the message is hidden for a while, and comes again.
    world.provider.then(503, json!({}));
    world.queue.then(200, json!({}));
    assert_eq!(world.remind("hr/1", 1).await, json!({"batchItemFailures": [{"itemIdentifier": "m-1"}]}));
    let hidden = world.queue.calls().last().unwrap().json();
    assert!(hidden["ReceiptHandle"] == "r-1" && hidden["VisibilityTimeout"].as_u64() >= Some(30), "{hidden}");
    world.is_there();
    assert_eq!(world.remind("hr/1", 2).await, json!({"batchItemFailures": []}));
    assert_eq!(became(&world.deliver(&left("1")).await), expected(200, "done", true, "deleted", ""));
    let calls = world.provider.calls().len();
    assert_eq!(world.remind("hr/1", 3).await, json!({"batchItemFailures": []}));
    assert_eq!(world.provider.calls().len(), calls, "a settled provider was called again");
}

#[tokio::test]
async fn after_the_last_try_a_person_has_to_act() {
    let mut world = World::new().await;
    world.queue_takes_it();
    world.provider.then(503, json!({})).then(503, json!({}));
    world.deliver(&left("1")).await;
    world.queue.then(200, json!({}));
    assert_eq!(world.remind("hr/1", 14).await, json!({"batchItemFailures": [{"itemIdentifier": "m-1"}]}));
    assert_eq!(
        became(&world.deliver(&left("1")).await),
        expected(200, "needs_attention", true, "unavailable", "http_503")
    );
    assert_eq!(world.queue.calls().last().unwrap().json()["VisibilityTimeout"], 0);
    let log = world.function.end().await;
    assert!(log.contains(r#""status":"needs_attention","duplicate":false"#), "a person is told: {log}");
}

#[tokio::test]
async fn nobody_is_removed_without_a_reminder() {
    let mut world = World::new().await;
    world.queue.then(500, json!({})).then(500, json!({}));
    let reply = world.deliver(&left("1")).await;
    assert_eq!(
        (reply.status, &reply.json()["type"]),
        (503, &json!("urn:offboard:problem:not-recorded")),
        "{}",
        reply.text
    );
    assert!(reply.headers.contains_key("retry-after") && world.provider.calls().is_empty());
    // The sender comes again, and the queue works.
    world.queue_takes_it().is_there();
    assert_eq!(became(&world.deliver(&left("1")).await), expected(200, "done", true, "deleted", ""));
}

#[tokio::test]
async fn nobody_is_removed_without_a_record() {
    let nowhere = [("OFFBOARD_LEDGER_TABLE", "offboard"), ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")];
    let mut world = World::with("", &nowhere).await;
    let reply = world.deliver(&left("1")).await;
    assert_eq!(
        (reply.status, &reply.json()["type"]),
        (503, &json!("urn:offboard:problem:not-recorded")),
        "{}",
        reply.text
    );
    assert!(world.provider.calls().is_empty() && world.queue.calls().is_empty());
}

#[tokio::test]
async fn more_departures_than_allowed_are_held() {
    let mut world = World::with("[policy]\nmax_departures = { count = 2, per = \"1h\" }\n", &[]).await;
    for id in ["1", "2"] {
        world.queue_takes_it().is_there();
        assert_eq!(became(&world.deliver(&left(id)).await).1, "done");
    }
    let (provider, queue) = (world.provider.calls().len(), world.queue.calls().len());
    for (id, duplicate) in [("3", false), ("4", false), ("3", true)] {
        let held = expected(200, "held", duplicate, "not_attempted", "too_many_departures");
        assert_eq!(became(&world.deliver(&left(id)).await), held);
    }
    // Those that were let through are not counted again.
    assert_eq!(became(&world.deliver(&left("1")).await).1, "done");
    assert_eq!((world.provider.calls().len(), world.queue.calls().len()), (provider, queue), "somebody was called");
    assert_eq!(world.remind("hr/3", 1).await, json!({"batchItemFailures": []}));
    assert_eq!(world.provider.calls().len(), provider);
}

#[tokio::test]
async fn a_person_who_came_back_is_not_removed() {
    let mut world = World::with("[ledger]\nretention = \"10000d\"\n[policy]\nmax_event_age = \"9999d\"\n", &[]).await;
    let at = |seconds: u64| format!("2026-01-31T18:42:{seconds:02}Z");
    let hired = json!({"id": "h", "event": "hired", "no": "8931", "email": EMAIL, "at": at(30)});
    assert_eq!(world.deliver(&hired).await.json()["status"], "ignored");
    let with =
        |id: &str, seconds: u64| json!({"id": id, "event": "left", "no": "8931", "email": EMAIL, "at": at(seconds)});
    let held = expected(200, "held", false, "not_attempted", "person_returned");
    assert_eq!(became(&world.deliver(&with("late", 20)).await), held);
    world.queue_takes_it().is_there();
    assert_eq!(became(&world.deliver(&with("later", 40)).await).1, "done");
}

#[tokio::test]
async fn a_person_who_came_back_meanwhile_is_not_removed() {
    // The source tells no times: a departure happened when it was received, not when the queue reminds of it.
    let mut world = World::new().await;
    world.queue_takes_it();
    world.provider.then(503, json!({}));
    assert_eq!(became(&world.deliver(&left("1")).await).1, "pending");
    let hired = json!({"id": "h", "event": "hired", "no": "8931", "email": EMAIL});
    assert_eq!(world.deliver(&hired).await.json()["status"], "ignored");
    let calls = world.provider.calls().len();
    assert_eq!(world.remind("hr/1", 1).await, json!({"batchItemFailures": []}));
    assert_eq!(world.provider.calls().len(), calls, "somebody was called");
    let (_, state, _, _, reason) = became(&world.deliver(&left("1")).await);
    assert_eq!((state.as_str(), reason.as_str()), ("held", "person_returned"));
}

#[tokio::test]
async fn what_is_too_old_is_recorded_and_held() {
    let mut world = World::new().await;
    let old = json!({"id": "1", "event": "left", "email": EMAIL, "at": "2020-01-31T18:42:00Z"});
    for duplicate in [false, true] {
        assert_eq!(
            became(&world.deliver(&old).await),
            expected(200, "held", duplicate, "not_attempted", "event_too_old")
        );
    }
    assert!(world.provider.calls().is_empty() && world.queue.calls().is_empty());
}

#[tokio::test]
async fn a_dry_run_records_nothing() {
    let mut world = World::with("", &[("OFFBOARD_MODE", "dry_run")]).await;
    for _ in 0..2 {
        assert_eq!(became(&world.deliver(&left("1")).await), expected(200, "planned", false, "planned", "no_look_up"));
    }
    assert_eq!(world.remind("hr/1", 1).await, json!({"batchItemFailures": []}));
    assert!(world.provider.calls().is_empty());
}

#[tokio::test]
async fn a_message_that_is_no_reminder_goes_to_the_dead_letters() {
    let mut world = World::new().await;
    let message = json!({"messageId": "m-9", "receiptHandle": "r", "body": "hello", "attributes": {"ApproximateReceiveCount": "1"}});
    let answer = world.function.invoke(json!({"Records": [message]}), Duration::from_secs(5)).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "m-9"}]}));
}

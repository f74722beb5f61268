//! Events that partners of Amazon EventBridge deliver: one queue, one account, one source each, and nothing else.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    function::{
        logs::lines,
        world::{EMAIL, KEY, World, body, sign},
    },
    support::{request, v2},
};

/// The account of the function that the runtime API names.
const ACCOUNT: &str = "123456789012";
const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:offboard-events";
const OKTA: &str = "aws.partner/okta.com/acme/offboard";
const AUTH0: &str = "aws.partner/auth0.com/acme-5b1f/auth0.events";
const AUTH0_LOGS: &str = "aws.partner/auth0.com/acme-5b1f/auth0.logs";
const SOURCES: &str = r#"
[sources.okta]
kind = "okta"
via = "eventbridge"
event_source = "aws.partner/okta.com/acme/offboard"
settle = "0s"
[sources.auth0]
kind = "auth0"
via = "eventbridge"
event_source = "aws.partner/auth0.com/acme-5b1f/auth0.events"
settle = "0s"
[sources.auth0-logs]
kind = "auth0_logs"
via = "eventbridge"
event_source = "aws.partner/auth0.com/acme-5b1f/auth0.logs"
settle = "0s"
[sources.okta-hook]
kind = "okta"
"#;

async fn world() -> World {
    World::with(SOURCES, "", &[("OFFBOARD_EVENT_QUEUE_ARN", QUEUE)]).await
}

fn now() -> String {
    time::OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339).unwrap()
}

/// A System Log event that says that a user was deactivated.
fn deactivated(id: &str) -> Value {
    json!({
        "uuid": id, "published": now(), "eventType": "user.lifecycle.deactivate", "version": "0", "severity": "INFO",
        "outcome": {"result": "SUCCESS", "reason": null},
        "actor": {"id": "00uadmin", "type": "User", "alternateId": "admin@example.com"},
        "target": [{"id": "00u1", "type": "User", "alternateId": EMAIL, "displayName": "Lee"}]
    })
}

/// An event as EventBridge hands it over.
fn event(source: &str, detail_type: &str, detail: &Value) -> Value {
    json!({
        "version": "0", "id": "6b4bc671-0217-46ca-8ee0-e663c94abd91", "detail-type": detail_type, "source": source,
        "account": ACCOUNT, "time": "2026-01-31T18:42:00Z", "region": "eu-central-1", "resources": [], "detail": detail
    })
}

fn okta(detail: &Value) -> Value {
    event(OKTA, "SystemLog", detail)
}

/// A batch of a queue, with these bodies.
fn batch(queue: &str, bodies: &[String]) -> Value {
    let message = |(n, body): (usize, &String)| {
        json!({
            "messageId": format!("m-{n}"), "receiptHandle": "r-1", "body": body, "eventSource": "aws:sqs",
            "eventSourceARN": queue, "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {}
        })
    };
    json!({"Records": bodies.iter().enumerate().map(message).collect::<Vec<_>>()})
}

/// The messages that are to come again.
async fn left(world: &mut World, queue: &str, bodies: &[String]) -> Vec<String> {
    let answer = world.function.invoke(batch(queue, bodies), Duration::from_secs(15)).await.unwrap();
    let failures = answer["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn event_of_each_partner_is_a_departure_and_is_acknowledged() {
    let deleted = json!({
        "specversion": "1.0", "type": "user.deleted", "source": "urn:auth0:acme.auth0app.com", "id": "evt_1", "time": now(),
        "data": {"object": {"user_id": "auth0|1", "email": EMAIL, "email_verified": true, "identities": []}},
        "a0tenant": "acme", "a0stream": "est_1"
    });
    let logged = json!({
        "log_id": "900",
        "data": {"date": now(), "type": "sdu", "user_id": "auth0|2", "user_name": EMAIL, "log_id": "900"}
    });
    for (event, id) in [
        (okta(&deactivated("u-1")), "okta/u-1"),
        (event(AUTH0, "user.deleted", &deleted), "auth0/evt_1"),
        (event(AUTH0_LOGS, "Auth0 log", &logged), "auth0-logs/900"),
    ] {
        let mut world = world().await;
        world.is_there();
        assert_eq!(left(&mut world, QUEUE, &[event.to_string()]).await, [""; 0], "{id}");
        let called: Vec<_> = world.provider.calls().iter().map(|call| call.json()["email"].clone()).collect();
        assert_eq!(called, [EMAIL, EMAIL], "{id}");
        // The same event twice is one departure.
        assert_eq!(left(&mut world, QUEUE, &[event.to_string()]).await, [""; 0], "{id}");
        assert_eq!(world.provider.calls().len(), 2, "{id}");
        let log = lines(&world.function.end().await);
        let reports: Vec<_> = log.iter().filter(|line| line["message"] == "departure").collect();
        let told: Vec<_> =
            reports.iter().map(|line| (&line["departure_id"], &line["status"], &line["duplicate"])).collect();
        let done = json!("done");
        assert_eq!(told, [(&json!(id), &done, &json!(false)), (&json!(id), &done, &json!(true))]);
    }
}

#[tokio::test]
async fn event_that_must_not_be_taken_stays_in_the_queue_and_nobody_is_called() {
    let good = okta(&deactivated("u-1"));
    let with = |key: &str, value: Value| {
        let mut event = good.clone();
        event[key] = value;
        event.to_string()
    };
    let twice = good.to_string().replacen('{', &format!("{{\"source\": \"{OKTA}\", "), 1);
    let refused = [
        ("another account", with("account", json!("999999999999"))),
        ("an account that is a number", with("account", json!(123_456_789_012_u64))),
        ("no account", with("account", Value::Null)),
        ("another organization's source", with("source", json!("aws.partner/okta.com/other/offboard"))),
        ("a longer name", with("source", json!(format!("{OKTA}2")))),
        ("another case", with("source", json!(OKTA.to_uppercase()))),
        ("a source of one's own account", with("source", json!("okta"))),
        ("a service of AWS", with("source", json!("aws.scheduler"))),
        ("no source", with("source", Value::Null)),
        ("a field twice", twice),
        ("no detail", json!({"source": OKTA, "account": ACCOUNT}).to_string()),
        ("a work message", json!({"departure": "okta/u-1"}).to_string()),
        ("a tick", json!({"tick": true}).to_string()),
        ("the webhook's body", json!({"data": {"events": [deactivated("u-1")]}}).to_string()),
        ("a batch in a batch", batch(QUEUE, &[good.to_string()]).to_string()),
        ("a list of an event's values", json!([OKTA, ACCOUNT, deactivated("u-1")]).to_string()),
        ("no JSON", "hello".to_owned()),
    ];
    let unreadable = [
        ("the webhook's body in an event", okta(&json!({"data": {"events": [deactivated("u-1")]}})).to_string()),
        ("a list", okta(&json!([deactivated("u-1")])).to_string()),
        (
            "no id",
            okta(&json!({"eventType": "user.lifecycle.deactivate", "outcome": {"result": "SUCCESS"}})).to_string(),
        ),
        ("an event of Auth0 from Okta", okta(&json!({"type": "user.deleted", "id": "evt_1"})).to_string()),
        ("a text", okta(&json!(deactivated("u-1").to_string())).to_string()),
        ("a key twice", okta(&json!("…")).to_string().replace("\"…\"", "{\"eventType\": \"a\", \"eventType\": \"b\"}")),
    ];
    let mut world = world().await;
    for (what, message) in refused.iter().chain(&unreadable) {
        assert_eq!(left(&mut world, QUEUE, std::slice::from_ref(message)).await, ["m-0"], "{what}");
    }
    assert!(world.provider.calls().is_empty());
    let log = world.function.end().await;
    assert_eq!(log.matches("\"Refused\":1").count(), refused.len(), "{log}");
    assert_eq!(log.matches("\"Unreadable\":1").count(), unreadable.len(), "{log}");
    for kind in [
        "the event is of another AWS account",
        "no source has the `event_source` aws.partner/okta.com/other/offboard",
        "the message is not an event of a partner",
        "field /eventType is missing",
    ] {
        assert!(log.contains(kind), "{kind}: {log}");
    }
    assert!(!log.contains(EMAIL) && !log.contains("\"message\":\"departure\""), "{log}");
}

#[tokio::test]
async fn one_event_that_cannot_be_taken_costs_no_other() {
    let mut world = world().await;
    world.is_there();
    let mut login = deactivated("u-2");
    login["eventType"] = json!("user.session.start");
    let bodies = ["hello".to_owned(), okta(&deactivated("u-1")).to_string(), okta(&login).to_string()];
    assert_eq!(left(&mut world, QUEUE, &bodies).await, ["m-0"]);
    assert_eq!(world.provider.calls().len(), 2);
}

/// A departure ten minutes ago, and the return of the same person five minutes ago.
fn left_and_returned() -> [String; 2] {
    let at = |minutes| {
        let at = time::OffsetDateTime::now_utc() - time::Duration::minutes(minutes);
        json!(at.format(&time::format_description::well_known::Rfc3339).unwrap())
    };
    let (mut left, mut returned) = (deactivated("u-1"), deactivated("u-2"));
    left["published"] = at(10);
    (returned["published"], returned["eventType"]) = (at(5), json!("user.lifecycle.reactivate"));
    [left, returned].map(|detail| okta(&detail).to_string())
}

#[tokio::test]
async fn person_who_returned_in_the_same_batch_keeps_the_accounts_in_any_order() {
    for is_reversed in [false, true] {
        let mut world = world().await;
        world.is_there();
        let mut events = left_and_returned();
        if is_reversed {
            events.reverse();
        }
        // A departure that is held in memory alone has to come again.
        assert_eq!(left(&mut world, QUEUE, &events).await, ["m-0", "m-1"]);
        assert!(world.provider.calls().is_empty(), "{is_reversed}");
        let log = lines(&world.function.end().await);
        let reports: Vec<_> = log.iter().filter(|line| line["message"] == "departure").collect();
        assert_eq!(reports.len(), 1, "{log:?}");
        assert_eq!(reports[0]["status"], "held");
    }
}

#[tokio::test]
async fn departure_waits_for_what_its_queue_still_holds() {
    let sources = SOURCES.replace("settle = \"0s\"\n", "");
    let mut world = World::with(&sources, "", &[("OFFBOARD_EVENT_QUEUE_ARN", QUEUE)]).await;
    world.is_there();
    let [departure, _] = left_and_returned();
    assert_eq!(left(&mut world, QUEUE, &[departure]).await, ["m-0"]);
    assert!(world.provider.calls().is_empty());
    let log = lines(&world.function.end().await);
    let report = log.iter().find(|line| line["message"] == "departure").unwrap();
    assert_eq!(report["status"], "incomplete");
}

#[tokio::test]
async fn two_people_under_one_id_are_not_one_departure() {
    let mut world = world().await;
    world.is_there();
    let mut other = deactivated("u-1");
    other["target"][0]["alternateId"] = json!("kim@example.com");
    let same = okta(&deactivated("u-1")).to_string();
    assert_eq!(left(&mut world, QUEUE, &[same.clone(), okta(&other).to_string(), same]).await, ["m-1"]);
    let called: Vec<_> = world.provider.calls().iter().map(|call| call.json()["email"].clone()).collect();
    assert_eq!(called, [EMAIL, EMAIL]);
    let log = world.function.end().await;
    assert!(log.contains("another event of its batch has its id") && !log.contains("kim@"), "{log}");
}

#[tokio::test]
async fn event_in_any_other_queue_is_not_an_event() {
    let event = okta(&deactivated("u-1")).to_string();
    for (ours, queue) in [
        (QUEUE, "arn:aws:sqs:eu-central-1:123456789012:offboard"),
        (QUEUE, "arn:aws:sqs:eu-central-1:999999999999:offboard-events"),
        (QUEUE, ""),
        // Where no queue has events, none is one, also if the message does not name its queue.
        ("", QUEUE),
        ("", ""),
    ] {
        let mut world = World::with(SOURCES, "", &[("OFFBOARD_EVENT_QUEUE_ARN", ours)]).await;
        assert_eq!(left(&mut world, queue, std::slice::from_ref(&event)).await, [""; 0], "{ours} {queue}");
        assert!(world.provider.calls().is_empty(), "{ours} {queue}");
        let log = world.function.end().await;
        assert!(log.contains("a message is not about a departure"), "{log}");
    }
}

#[tokio::test]
async fn event_without_its_queue_is_an_error() {
    let mut world = world().await;
    let mut scheduled = event("aws.scheduler", "Scheduled Event", &json!({"tick": true}));
    for event in [okta(&deactivated("u-1")), scheduled.clone()] {
        let error = world.function.invoke(event.clone(), Duration::from_secs(5)).await.expect_err("an error");
        assert!(error["errorMessage"].is_string(), "{event}: {error}");
    }
    // With the tick's own field, it is a tick and nothing else.
    scheduled["tick"] = json!(true);
    scheduled["detail"] = deactivated("u-1");
    assert_eq!(world.function.invoke(scheduled, Duration::from_secs(5)).await, Ok(Value::Null));
    assert!(world.provider.calls().is_empty());
}

#[tokio::test]
async fn request_is_never_an_event() {
    let mut world = world().await;
    let event = okta(&deactivated("u-1")).to_string();
    let queued = batch(QUEUE, std::slice::from_ref(&event)).to_string();
    let token = ("authorization", KEY);
    let challenge = [("x-okta-verification-challenge", "abc")];
    world.vault.put("offboard/sources/okta", &json!({"token": KEY}).to_string());
    world.vault.put("offboard/sources/okta-hook", &json!({"token": KEY}).to_string());
    for (what, envelope, status) in [
        ("an event, unsigned", v2("hr", &[], &event), 401),
        ("a batch, unsigned", v2("hr", &[], &queued), 401),
        ("an event, signed", v2("hr", &[("x-hr-signature", &sign(KEY, &event))], &event), 400),
        ("a batch, signed", v2("hr", &[("x-hr-signature", &sign(KEY, &queued))], &queued), 400),
        ("an event to a webhook of the kind", v2("okta-hook", &[token], &event), 400),
        ("an event to the source", v2("okta", &[token], &event), 404),
        (
            "a delivery to the source",
            v2("okta", &[token], &json!({"data": {"events": [deactivated("u-1")]}}).to_string()),
            404,
        ),
        ("a challenge to the source", request("GET", "okta", &challenge, ""), 404),
        ("SCIM to the source", at_path(v2("okta", &[token], &body()), "/scim/v2/okta/Users"), 404),
    ] {
        let reply = world.function.request(envelope).await;
        assert_eq!(reply.status, status, "{what}: {}", reply.text);
    }
    assert!(world.provider.calls().is_empty());
}

fn at_path(mut envelope: Value, path: &str) -> Value {
    envelope["rawPath"] = json!(path);
    envelope
}

#[tokio::test]
async fn event_comes_again_while_nothing_can_be_recorded() {
    let nowhere = "http://127.0.0.1:9";
    let environment = [
        ("OFFBOARD_EVENT_QUEUE_ARN", QUEUE),
        ("OFFBOARD_LEDGER_TABLE", "offboard"),
        ("OFFBOARD_QUEUE_URL", "http://127.0.0.1:9/123456789012/offboard"),
        ("AWS_ENDPOINT_URL_DYNAMODB", nowhere),
        ("AWS_ENDPOINT_URL_SQS", nowhere),
    ];
    let mut world = World::with(SOURCES, "", &environment).await;
    assert_eq!(left(&mut world, QUEUE, &[okta(&deactivated("u-1")).to_string()]).await, ["m-0"]);
    assert!(world.provider.calls().is_empty());
    let log = world.function.end().await;
    assert!(log.contains(r#""NotRecorded":1"#) && log.contains("a delivery could not be recorded"), "{log}");
    assert!(!log.contains(EMAIL), "{log}");
}

#[tokio::test]
async fn late_event_is_judged_by_when_it_happened() {
    for (hours, status) in [(24, "done"), (24 * 8, "held")] {
        let mut world = world().await;
        world.is_there();
        let at = time::OffsetDateTime::now_utc() - time::Duration::hours(hours);
        let mut detail = deactivated("u-1");
        detail["published"] = json!(at.format(&time::format_description::well_known::Rfc3339).unwrap());
        let left = left(&mut world, QUEUE, &[okta(&detail).to_string()]).await;
        // A departure that is held in memory alone has to come again.
        assert_eq!(left.len(), usize::from(status == "held"));
        let log = lines(&world.function.end().await);
        let report = log.iter().find(|line| line["message"] == "departure").unwrap();
        assert_eq!(report["status"], status, "{report}");
    }
}

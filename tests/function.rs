//! The compiled function behind a runtime API on loopback: every front door, every refusal, every state of the secrets.

mod support;

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use support::{Double, Function, Reply, Vault, v2};

const EMAIL: &str = "lee@example.com";
const KEY: &str = "hr-signing-key-1";
const TOKEN: &str = "instaply-token-1";

/// A function with one source without a timestamp, one with, and one provider; and what they talk to.
struct World {
    function: Function,
    vault: Vault,
    provider: Double,
}

const CONFIG: &str = r#"
[policy]
protected = ["root@example.com"]
[sources.hr]
kind = "hmac"
signature = { header = "x-hr-signature", prefix = "sha256=" }
event = { id = "/id", type = "/event", departures = ["employee.terminated"], occurred_at = "/at" }
person = { email = "/data/email" }
[sources.workos]
kind = "workos"
[providers.instaply]
kind = "instaply"
"#;

impl World {
    async fn new() -> Self {
        Self::with("", "", &[]).await
    }

    /// `head` goes before the configuration, `tail` after its last provider's `base_url`.
    async fn with(head: &str, tail: &str, environment: &[(&str, &str)]) -> Self {
        let (vault, secrets) = Vault::start().await;
        let (provider, address) = Double::start().await;
        vault.put("offboard/sources/hr", &json!({"signing_secret": KEY}).to_string());
        vault.put("offboard/sources/workos", r#"{"signing_secret": "workos-signing-key-1"}"#);
        vault.put("offboard/providers/instaply", &json!({"token": TOKEN}).to_string());
        let config = format!("{head}{CONFIG}base_url = \"{address}\"\n{tail}");
        Self { function: Function::start(&config, &secrets, environment).await, vault, provider }
    }

    /// What the provider says of somebody who is there: deleted, and then gone.
    fn is_there(&self) -> &Self {
        self.provider
            .then(200, json!({"status": "success", "deletedUserId": "1388838", "email": EMAIL}))
            .then(404, json!({"error": "User not found in organization"}));
        self
    }

    fn is_absent(&self) -> &Self {
        self.provider.then(404, json!({"error": "User not found in organization"}));
        self
    }

    async fn deliver(&mut self, body: &str) -> Reply {
        self.function.request(v2("hr", &[("x-hr-signature", &sign(KEY, body))], body)).await
    }
}

fn body() -> String {
    json!({"id": "evt-1", "event": "employee.terminated", "data": {"email": EMAIL}}).to_string()
}

fn sign(key: &str, body: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// An API Gateway REST API's envelope (payload 1.0).
fn v1(headers: &[(&str, &[&str])], body: &str) -> Value {
    let single: serde_json::Map<_, _> =
        headers.iter().map(|(name, values)| ((*name).to_owned(), json!(values.last()))).collect();
    let multiple: serde_json::Map<_, _> =
        headers.iter().map(|(name, values)| ((*name).to_owned(), json!(values))).collect();
    json!({
        "resource": "/webhooks/{source}", "path": "/webhooks/hr", "httpMethod": "POST",
        "headers": single, "multiValueHeaders": multiple, "queryStringParameters": null,
        "multiValueQueryStringParameters": null, "pathParameters": {"source": "hr"}, "stageVariables": null,
        "requestContext": {
            "accountId": "123456789012", "apiId": "api", "domainName": "api.execute-api.eu-west-1.amazonaws.com",
            "httpMethod": "POST", "path": "/prod/webhooks/hr", "stage": "prod", "requestId": "id", "resourceId": "r",
            "resourcePath": "/webhooks/{source}", "identity": {"sourceIp": "192.0.2.1"}
        },
        "body": body, "isBase64Encoded": false
    })
}

/// An Application Load Balancer's envelope.
fn alb(headers: &[(&str, &str)], body: &str) -> Value {
    let headers: serde_json::Map<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/offboard/6d0ecf831eec9f09"}},
        "httpMethod": "POST", "path": "/webhooks/hr", "queryStringParameters": {}, "headers": headers,
        "body": body, "isBase64Encoded": false
    })
}

#[tokio::test]
async fn every_front_door_leads_to_the_same_report() {
    let mut world = World::new().await;
    let (body, signature) = (body(), sign(KEY, &body()));
    let headers = [("x-hr-signature", signature.as_str()), ("host", "api.example.com"), ("x-forwarded-proto", "https")];
    let single: Vec<_> = headers.iter().map(|(name, value)| (*name, std::slice::from_ref(value))).collect();
    let mut staged = v2("hr", &headers, &body);
    staged["rawPath"] = json!("/prod/webhooks/hr");
    let mut encoded = v2("hr", &headers, &BASE64_STANDARD.encode(&body));
    encoded["isBase64Encoded"] = json!(true);
    let mut function_url = v2("hr", &headers, &body);
    function_url["routeKey"] = json!("$default");
    function_url["requestContext"]["domainName"] = json!("abc.lambda-url.eu-west-1.on.aws");
    for (door, event) in [
        ("HTTP API", v2("hr", &headers, &body)),
        ("HTTP API with a stage", staged),
        ("HTTP API, base64", encoded),
        ("REST API", v1(&single, &body)),
        ("load balancer", alb(&headers, &body)),
        ("function URL", function_url),
    ] {
        world.is_there();
        let reply = world.function.request(event).await;
        assert_eq!(
            (reply.status, reply.headers["content-type"].as_str()),
            (200, "application/json"),
            "{door}: {}",
            reply.text
        );
        let mut report = reply.json();
        for volatile in ["/request_id", "/departures/0/providers/0/elapsed_ms"] {
            *report.pointer_mut(volatile).unwrap() = json!("…");
        }
        insta::allow_duplicates! { insta::assert_snapshot!("report", format!("{report:#}")) };
    }
    for call in world.provider.calls() {
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/api/user/delete-by-email"));
        assert_eq!((call.json(), call.headers["token"].to_str().unwrap()), (json!({"email": EMAIL}), TOKEN));
    }
}

#[tokio::test]
async fn nobody_is_called_for_a_delivery_that_is_refused() {
    let mut world = World::new().await;
    let (body, good) = (body(), sign(KEY, &body()));
    let good = good.as_str();
    let with = |change: fn(&mut Value)| {
        let mut event = v2("hr", &[("x-hr-signature", good)], &body);
        change(&mut event);
        event
    };
    let mut stale = v2("workos", &[("workos-signature", "t=1769884920123, v1=00")], &body);
    stale["rawPath"] = json!("/webhooks/workos");
    let large = "x".repeat(1024 * 1024 + 1);
    for (what, event, status, kind) in [
        ("wrong key", v2("hr", &[("x-hr-signature", &sign("another-key", &body))], &body), 401, "unverified"),
        ("tampered", v2("hr", &[("x-hr-signature", good)], &body.replace("lee", "ann")), 401, "unverified"),
        ("unsigned", v2("hr", &[], &body), 401, "unverified"),
        ("another source's header", v2("workos", &[("x-hr-signature", good)], &body), 401, "unverified"),
        ("stale", stale, 401, "unverified"),
        (
            "doubled header, joined",
            v2("hr", &[("x-hr-signature", &format!("{good},{good}"))], &body),
            401,
            "unverified",
        ),
        ("doubled header, listed", v1(&[("x-hr-signature", &[good, good])], &body), 401, "unverified"),
        ("broken base64", with(|event| event["isBase64Encoded"] = json!(true)), 401, "unverified"),
        ("no body", with(|event| event["body"] = json!(null)), 401, "unverified"),
        ("not JSON", v2("hr", &[("x-hr-signature", &sign(KEY, "hello"))], "hello"), 400, "unreadable"),
        ("no event type", v2("hr", &[("x-hr-signature", &sign(KEY, "{}"))], "{}"), 400, "unreadable"),
        ("unknown source", v2("nobody", &[("x-hr-signature", good)], &body), 404, "not-found"),
        ("unknown path", with(|event| event["rawPath"] = json!("/webhooks/hr/more/and/more")), 404, "not-found"),
        ("root", with(|event| event["rawPath"] = json!("/")), 404, "not-found"),
        ("GET", with(|event| event["requestContext"]["http"]["method"] = json!("GET")), 405, "method-not-allowed"),
        ("too large", v2("hr", &[("x-hr-signature", &sign(KEY, &large))], &large), 413, "too-large"),
        ("a host that is no host", with(|event| event["headers"]["host"] = json!("a b:c d")), 200, ""),
        ("a path that is no path", with(|event| event["rawPath"] = json!(":80x\u{0}é")), 404, "not-found"),
        ("a query that is no query", with(|event| event["rawQueryString"] = json!("a b^|é\u{7f}")), 200, ""),
        ("a path without end", with(|event| event["rawPath"] = json!("/x".repeat(50_000))), 404, "not-found"),
    ] {
        // Within a minute of another, a signature that matches no key is answered 503.
        if status == 401 {
            world = World::new().await;
        }
        let ignored = status == 200;
        if ignored {
            world.is_absent();
        }
        let before = world.provider.calls().len();
        let reply = world.function.request(event).await;
        assert_eq!(reply.status, status, "{what}: {}", reply.text);
        if ignored {
            continue;
        }
        assert_eq!(world.provider.calls().len(), before, "{what}: a provider was called");
        let problem = reply.json();
        assert_eq!(reply.headers["content-type"], "application/problem+json", "{what}");
        assert_eq!(
            (&problem["type"], &problem["status"]),
            (&json!(format!("urn:offboard:problem:{kind}")), &json!(status)),
            "{what}"
        );
        for member in ["title", "detail", "request_id"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{what}: {problem}");
        }
        assert_eq!(reply.headers.get("allow").map(String::as_str), (status == 405).then_some("POST"), "{what}");
    }
}

#[tokio::test]
async fn the_three_reasons_for_a_refusal_look_alike_and_the_log_tells_them_apart() {
    let mut world = World::new().await;
    let body = body();
    let mut answers = Vec::new();
    for headers in [vec![], vec![("workos-signature", "t=1, v1=00")], vec![("workos-signature", "nonsense")]] {
        let mut problem = world.function.request(v2("workos", &headers, &body)).await.json();
        problem["request_id"] = json!("…");
        answers.push(problem);
    }
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    let log = world.function.end().await;
    for reason in
        ["header workos-signature is missing", "outside the tolerance", "header workos-signature cannot be read"]
    {
        assert!(log.contains(reason), "{reason}: {log}");
    }
}

#[tokio::test]
async fn what_is_no_http_event_is_an_error_and_the_next_one_is_served() {
    let mut world = World::new().await;
    for event in [json!({}), json!([]), json!("x"), json!({"version": "2.0"})] {
        let error = world.function.invoke(event.clone(), Duration::from_secs(5)).await.expect_err("an error");
        assert!(error["errorMessage"].is_string(), "{event}: {error}");
    }
    world.is_absent();
    assert_eq!(world.deliver(&body()).await.status, 200);
}

#[tokio::test]
async fn an_event_that_is_no_departure_is_taken_and_nothing_is_done() {
    let mut world = World::new().await;
    let reply = world.deliver(&body().replace("terminated", "promoted")).await;
    let ignored = json!([{"id": "evt-1", "type": "employee.promoted", "reason": "not a departure"}]);
    assert_eq!((reply.status, &reply.json()["status"], &reply.json()["ignored"]), (200, &json!("ignored"), &ignored));
    assert!(world.provider.calls().is_empty());
}

#[tokio::test]
async fn a_faulty_configuration_ends_the_function_and_tells_every_fault() {
    let config = "[policy]\nmode = \"sometimes\"\nprotect = []\n[sources.hr]\nkind = \"pigeon\"\n";
    let function = Function::start(config, "http://127.0.0.1:9", &[]).await;
    let (success, log) = function.ended().await;
    assert!(!success);
    for fault in [
        "line 2: `policy`: unknown mode `sometimes`",
        "line 3: unknown key `protect`",
        "line 5: `sources.hr`: unknown kind `pigeon`",
    ] {
        assert!(log.contains(fault), "{fault}: {log}");
    }
}

#[tokio::test]
async fn all_secrets_come_in_one_call() {
    let mut world = World::new().await;
    for _ in 0..3 {
        world.is_absent();
        assert_eq!(world.deliver(&body()).await.status, 200);
    }
    assert_eq!(world.vault.reads(), ["batch 3"]);
}

#[tokio::test]
async fn more_than_twenty_secrets_come_in_two_calls() {
    let sources: String = (0..20).map(|n| format!("[sources.s{n}]\nkind = \"workos\"\n")).collect();
    let mut world = World::with(&sources, "", &[]).await;
    world.is_absent();
    assert_eq!(world.deliver(&body()).await.status, 200);
    assert_eq!(world.vault.reads(), ["batch 20", "batch 3"]);
}

#[tokio::test]
async fn without_the_secret_store_the_sender_is_asked_to_come_back() {
    let mut world = World::new().await;
    for broken in [false, true] {
        // What was read while the store was up is believed for a while.
        world.is_absent();
        assert_eq!(world.deliver(&body()).await.status, 200, "broken: {broken}");
        world.vault.break_down();
    }
    let (vault, secrets) = Vault::start().await;
    vault.break_down();
    let mut function = Function::start(&format!("{CONFIG}base_url = \"http://127.0.0.1:9\"\n"), &secrets, &[]).await;
    let reply = function.request(v2("hr", &[("x-hr-signature", &sign(KEY, &body()))], &body())).await;
    assert_eq!((reply.status, &reply.json()["type"]), (503, &json!("urn:offboard:problem:secret-store")));
    assert_eq!(reply.headers["retry-after"], "60");
}

#[tokio::test]
async fn a_sources_missing_secret_is_our_fault_and_not_the_senders() {
    let mut world = World::with("[sources.other]\nkind = \"workos\"\n", "", &[]).await;
    let reply = world.function.request(v2("other", &[("workos-signature", "t=1, v1=00")], "{}")).await;
    assert_eq!(reply.status, 503, "{}", reply.text);
    let log = world.function.end().await;
    assert!(log.contains("secret `offboard/sources/other` does not exist or may not be read"), "{log}");
}

#[tokio::test]
async fn a_providers_bad_secret_costs_that_provider_and_no_other() {
    for (value, reason, detail) in [
        (None, "secret_not_found", "secret `offboard/providers/other` does not exist or may not be read"),
        (Some("hunter2!"), "secret_malformed", "secret `offboard/providers/other` is not a JSON object"),
        (
            Some(r#"{"tokn": "hunter2!"}"#),
            "secret_incomplete",
            "secret `offboard/providers/other`: key `token` is missing",
        ),
    ] {
        let mut world =
            World::with("", "[providers.other]\nkind = \"instaply\"\nbase_url = \"http://127.0.0.1:9\"\n", &[]).await;
        if let Some(value) = value {
            world.vault.put("offboard/providers/other", value);
        }
        world.is_there();
        let reply = world.deliver(&body()).await;
        let report = reply.json();
        assert_eq!((reply.status, &report["status"]), (200, &json!("needs_attention")));
        let [good, bad] = [0, 1].map(|index| report["departures"][0]["providers"][index].clone());
        assert_eq!((&good["provider"], &good["outcome"]), (&json!("instaply"), &json!("deleted")));
        assert_eq!(
            (&bad["outcome"], &bad["reason"], &bad["detail"]),
            (&json!("unauthorized"), &json!(reason), &json!(detail))
        );
        assert!(!world.function.end().await.contains("hunter2!"));
    }
}

#[tokio::test]
async fn a_rotated_signing_secret_verifies_in_both_versions() {
    let mut world = World::new().await;
    world.vault.put("offboard/sources/hr", r#"{"signing_secret": "hr-signing-key-2"}"#);
    // The function still holds the first version or already the second: both must do, whichever it read.
    for key in [KEY, "hr-signing-key-2"] {
        world.is_absent();
        let reply = world.function.request(v2("hr", &[("x-hr-signature", &sign(key, &body()))], &body())).await;
        assert_eq!(reply.status, 200, "{key}: {}", reply.text);
    }
}

#[tokio::test]
async fn bad_signatures_cost_one_extra_read_a_minute() {
    let mut world = World::new().await;
    for count in 0..20 {
        let reply = world.function.request(v2("hr", &[("x-hr-signature", &sign("forged", &body()))], &body())).await;
        // The first is wrong for good. The others may be signed with a key that is newer than the look for the first.
        let expected = if count == 0 { (401, "unverified") } else { (503, "key-may-be-newer") };
        let problem = json!(format!("urn:offboard:problem:{}", expected.1));
        assert_eq!((reply.status, &reply.json()["type"]), (expected.0, &problem), "{count}");
        assert_eq!(reply.headers.get("retry-after").map(String::as_str), (count > 0).then_some("60"), "{count}");
    }
    // What is wrong with the headers stays wrong with another key: no read at all.
    for _ in 0..5 {
        assert_eq!(world.function.request(v2("workos", &[], &body())).await.status, 401);
    }
    // One look is two calls at once, for the two versions there are.
    let mut reads = world.vault.reads();
    reads.sort();
    assert_eq!(reads, ["batch 3", "offboard/sources/hr AWSCURRENT", "offboard/sources/hr AWSPREVIOUS"]);
}

#[tokio::test]
async fn signing_secret_under_16_bytes_is_not_used_and_spoils_no_other() {
    let short = "hr-signing-key-"; // 15 bytes
    let (good, bad) = (sign(KEY, &body()), sign(short, &body()));
    for (keys, expected) in [(json!([short, KEY]), [200, 401]), (json!([short]), [503, 503])] {
        let (vault, secrets) = Vault::start().await;
        let (provider, address) = Double::start().await;
        vault.put("offboard/sources/hr", &json!({ "signing_secrets": keys }).to_string());
        vault.put("offboard/providers/instaply", &json!({ "token": TOKEN }).to_string());
        provider.then(404, json!({"error": "User not found in organization"}));
        provider.then(404, json!({"error": "User not found in organization"}));
        let mut function = Function::start(&format!("{CONFIG}base_url = \"{address}\"\n"), &secrets, &[]).await;
        for (signature, status) in [&good, &bad].into_iter().zip(expected) {
            let reply = function.request(v2("hr", &[("x-hr-signature", signature)], &body())).await;
            assert_eq!(reply.status, status, "{keys}: {}", reply.text);
        }
        let log = function.end().await;
        let fault = "secret `offboard/sources/hr`: key `signing_secrets` is under 16 bytes";
        let is_error = |line: &&str| line.contains(fault) && line.contains("\"ERROR\"");
        assert!(log.lines().any(|line| is_error(&line)), "{log}");
        assert!(!log.contains(short), "{log}");
    }
}

#[tokio::test]
async fn bad_signatures_cost_no_more_while_the_store_is_out_of_order() {
    let mut world = World::new().await;
    world.is_absent();
    assert_eq!(world.deliver(&body()).await.status, 200);
    world.vault.break_down();
    for _ in 0..5 {
        let reply = world.function.request(v2("hr", &[("x-hr-signature", &sign("forged", &body()))], &body())).await;
        assert_eq!(reply.status, 503, "{}", reply.text);
    }
    // One look, which the SDK attempts twice.
    assert_eq!(world.vault.reads(), ["batch 3", "refused", "refused", "refused", "refused"]);
    world.is_absent();
    assert_eq!(world.deliver(&body()).await.status, 200);
}

#[tokio::test]
async fn a_credential_that_can_no_longer_be_read_does_not_replace_the_good_one() {
    let mut world = World::new().await;
    world.is_absent();
    assert_eq!(world.deliver(&body()).await.status, 200);
    world.vault.take("offboard/providers/instaply");
    world.provider.then(401, json!({"error": "token"}));
    let entry = world.deliver(&body()).await.json()["departures"][0]["providers"][0].clone();
    assert_eq!((&entry["outcome"], &entry["reason"]), (&json!("unauthorized"), &json!("secret_not_found")));
    world.is_absent();
    let entry = world.deliver(&body()).await.json()["departures"][0]["providers"][0].clone();
    assert_eq!(entry["outcome"], "already_absent");
}

#[tokio::test]
async fn a_rotated_credential_is_read_afresh_before_it_is_called_refused() {
    let mut world = World::new().await;
    world.is_absent();
    world.deliver(&body()).await;
    world.vault.put("offboard/providers/instaply", r#"{"token": "instaply-token-2"}"#);
    world.provider.then(401, json!({"error": "token"}));
    world.is_there();
    let reply = world.deliver(&body()).await;
    assert_eq!(reply.json()["departures"][0]["providers"][0]["outcome"], "deleted", "{}", reply.text);
    let tokens: Vec<_> =
        world.provider.calls().iter().map(|call| call.headers["token"].to_str().unwrap().to_owned()).collect();
    assert_eq!(tokens, [TOKEN, TOKEN, "instaply-token-2", "instaply-token-2"]);
}

#[tokio::test]
async fn a_credential_that_is_refused_and_unchanged_is_not_tried_again() {
    let mut world = World::new().await;
    world.provider.then(401, json!({"error": "token"}));
    let reply = world.deliver(&body()).await;
    assert_eq!(
        (reply.status, &reply.json()["departures"][0]["providers"][0]["outcome"]),
        (200, &json!("unauthorized"))
    );
    assert_eq!(world.vault.reads(), ["batch 3", "offboard/providers/instaply AWSCURRENT"]);
    assert_eq!(world.provider.calls().len(), 1);
}

#[tokio::test]
async fn the_policy_decides_before_anybody_is_called() {
    let old = body().replace("\"id\"", "\"at\": \"2020-01-31T18:42:00Z\", \"id\"");
    let future = body().replace("\"id\"", "\"at\": \"2120-01-31T18:42:00Z\", \"id\"");
    let protected = body().replace(EMAIL, "ROOT@example.com");
    let nobody = body().replace(EMAIL, "");
    for (mode, body, status, state, outcome, reason) in [
        ("live", &old, 200, "held", "not_attempted", "event_too_old"),
        ("live", &future, 200, "held", "not_attempted", "event_in_future"),
        ("dry_run", &old, 200, "held", "not_attempted", "event_too_old"),
        ("live", &protected, 200, "needs_attention", "protected", "protected"),
        ("dry_run", &protected, 200, "needs_attention", "protected", "protected"),
        ("dry_run", &body(), 200, "planned", "planned", "no_look_up"),
        ("live", &nobody, 200, "needs_attention", "unidentified", "no_identity"),
    ] {
        let mut world = World::with("", "", &[("OFFBOARD_MODE", mode)]).await;
        let reply = world.deliver(body).await;
        let (report, what) = (reply.json(), format!("{mode} {body}"));
        let entry = &report["departures"][0]["providers"][0];
        assert_eq!((reply.status, &report["status"]), (status, &json!(state)), "{what}");
        assert_eq!(
            (&entry["outcome"], &entry["reason"], &entry["attempts"]),
            (&json!(outcome), &json!(reason), &json!(0)),
            "{what}"
        );
        assert!(world.provider.calls().is_empty(), "{what}");
        let log = world.function.end().await;
        let told = state == "held" || outcome == "unidentified";
        assert_eq!(log.contains("\"level\":\"ERROR\""), told, "{what}: {log}");
    }
}

#[tokio::test]
async fn the_answer_comes_before_the_deadline_whatever_a_provider_does() {
    let mut world = World::new().await;
    world.is_absent();
    world.provider.delay(Duration::from_secs(30));
    let started = std::time::Instant::now();
    let event = v2("hr", &[("x-hr-signature", &sign(KEY, &body()))], &body());
    let reply = world.function.request_within(event.clone(), Duration::from_millis(1500)).await;
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    let entry = &reply.json()["departures"][0]["providers"][0];
    assert_eq!((reply.status, &entry["outcome"]), (503, &json!("unavailable")), "{}", reply.text);
    assert!(reply.headers.contains_key("retry-after"));
    let reply = world.function.request_within(event, Duration::from_millis(100)).await;
    let entry = &reply.json()["departures"][0]["providers"][0];
    assert_eq!((reply.status, &entry["outcome"], &entry["attempts"]), (503, &json!("not_attempted"), &json!(0)));
}

#[tokio::test]
async fn a_limit_on_the_body_can_be_configured() {
    let mut world = World::with("[http]\nmax_body = 64\n", "", &[]).await;
    let reply = world.deliver(&body()).await;
    assert_eq!((reply.status, &reply.json()["detail"]), (413, &json!("A delivery may have 64 bytes.")));
}

#[tokio::test]
async fn a_source_can_be_answered_with_nothing() {
    let quiet = "[sources.quiet]\nkind = \"hmac\"\nreply = \"empty\"\nsignature = { header = \"x-sig\" }\n\
                 event = { type = \"/event\", departures = [\"employee.terminated\"] }\nperson = { email = \"/data/email\" }\n";
    let mut world = World::with(quiet, "", &[]).await;
    world.vault.put("offboard/sources/quiet", &json!({"signing_secret": KEY}).to_string());
    world.is_absent();
    let signature = sign(KEY, &body());
    let reply =
        world.function.request(v2("quiet", &[("x-sig", signature.trim_start_matches("sha256="))], &body())).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    assert_eq!(world.provider.calls().len(), 1);
}

#[tokio::test]
async fn logs_and_answers_tell_the_ids_and_keep_the_rest() {
    let mut world = World::with("", "", &[("AWS_LAMBDA_LOG_LEVEL", "TRACE")]).await;
    // A vendor that quotes what it was sent.
    world.provider.then(400, json!({"error": format!("user {EMAIL} with token {TOKEN} is the last one\n")}));
    let reply = world.deliver(&body()).await;
    let entry = &reply.json()["departures"][0]["providers"][0];
    assert_eq!(
        (&entry["outcome"], &entry["detail"]),
        (&json!("blocked"), &json!("user l…@example.com with token [secret] is the last one"))
    );
    world.deliver("not json").await;
    let log = world.function.end().await;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("one JSON object a line: {line}")))
        .collect();
    let provider = lines.iter().find(|line| line["message"] == "provider").expect("a line for the provider");
    assert!(
        provider["request_id"].is_string()
            && provider["departure_id"] == "hr/evt-1"
            && provider["outcome"] == "blocked",
        "{provider}"
    );
    for kept in [EMAIL, TOKEN, KEY, "workos-key-1", "127.0.0.1"] {
        assert!(!log.contains(kept) && !reply.text.contains(kept), "{kept}: {log}");
    }
}

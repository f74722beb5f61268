//! The compiled function behind a runtime API on loopback: every front door, every refusal, every state of the secrets.

mod events;
mod logs;
mod messages;
mod scim;
mod secrets;
mod world;

use std::time::Duration;

use crate::support::{Function, v2};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use world::{EMAIL, KEY, TOKEN, World, alb, body, event, sign, v1};

#[tokio::test]
async fn every_front_door_leads_to_the_same_report() {
    let mut world = World::new().await;
    for door in ["HTTP API", "HTTP API with a stage", "HTTP API, base64", "REST API", "load balancer", "function URL"] {
        let body = event(door);
        let signature = sign(KEY, &body);
        let headers =
            [("x-hr-signature", signature.as_str()), ("host", "api.example.com"), ("x-forwarded-proto", "https")];
        let single: Vec<_> = headers.iter().map(|(name, value)| (*name, std::slice::from_ref(value))).collect();
        let mut envelope = match door {
            "REST API" => v1(&single, &body),
            "load balancer" => alb(&headers, &body),
            _ => v2("hr", &headers, &body),
        };
        match door {
            "HTTP API with a stage" => envelope["rawPath"] = json!("/prod/webhooks/hr"),
            "HTTP API, base64" => {
                envelope["body"] = json!(BASE64_STANDARD.encode(&body));
                envelope["isBase64Encoded"] = json!(true);
            }
            "function URL" => {
                envelope["requestContext"]["domainName"] = json!("abc.lambda-url.eu-west-1.on.aws");
            }
            _ => {}
        }
        world.is_there();
        let reply = world.function.request(envelope).await;
        let content_type = reply.headers["content-type"].as_str();
        assert_eq!((reply.status, content_type), (200, "application/json"), "{door}: {}", reply.text);
        let mut report = reply.json();
        for volatile in
            ["/request_id", "/departures/0/id", "/departures/0/event/id", "/departures/0/providers/0/elapsed_ms"]
        {
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
async fn unknown_event_is_an_error_and_the_next_one_is_served() {
    let mut world = World::new().await;
    for event in [json!({}), json!([]), json!("x"), json!({"version": "2.0"}), json!({"tick": false})] {
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
        "line 2: `policy.mode`: unknown mode `sometimes`",
        "line 3: unknown key `protect`",
        "line 5: `sources.hr`: unknown kind `pigeon`",
    ] {
        assert!(log.contains(fault), "{fault}: {log}");
    }
}

#[tokio::test]
async fn departure_that_is_held_or_planned_calls_no_product_and_says_every_reason() {
    let old = body().replace("\"id\"", "\"at\": \"2020-01-31T18:42:00Z\", \"id\"");
    let future = body().replace("\"id\"", "\"at\": \"2120-01-31T18:42:00Z\", \"id\"");
    let protected = body().replace(EMAIL, "ROOT@example.com");
    let nobody = body().replace(EMAIL, "");
    for (mode, body, status, state, reasons, outcome, reason) in [
        ("live", &old, 503, "held", json!(["event_too_old"]), "not_attempted", "event_too_old"),
        ("live", &future, 503, "incomplete", json!(["event_in_future"]), "not_attempted", "event_in_future"),
        ("dry_run", &old, 503, "held", json!(["dry_run", "event_too_old"]), "planned", "no_look_up"),
        ("live", &protected, 200, "needs_attention", json!(["protected"]), "protected", "protected"),
        ("dry_run", &protected, 200, "needs_attention", json!(["dry_run", "protected"]), "protected", "protected"),
        ("dry_run", &body(), 200, "planned", json!(["dry_run"]), "planned", "no_look_up"),
        ("live", &nobody, 200, "needs_attention", json!([]), "unidentified", "no_identity"),
    ] {
        let mut world = World::with("", "", &[("OFFBOARD_MODE", mode)]).await;
        let reply = world.deliver(body).await;
        let (report, what) = (reply.json(), format!("{mode} {body}"));
        let departure = &report["departures"][0];
        let entry = &departure["providers"][0];
        assert_eq!((reply.status, &report["status"]), (status, &json!(state)), "{what}");
        assert_eq!(departure["reasons"], reasons, "{what}");
        assert_eq!((&entry["outcome"], &entry["reason"]), (&json!(outcome), &json!(reason)), "{what}");
        assert_eq!(entry["attempts"], 0, "{what}");
        assert!(world.provider.calls().is_empty(), "{what}");
        let log = world.function.end().await;
        let is_alarming = state == "held" || outcome == "unidentified";
        assert_eq!(log.contains("\"level\":\"ERROR\""), is_alarming, "{what}: {log}");
    }
}

#[tokio::test]
async fn the_answer_comes_before_the_deadline_whatever_a_provider_does() {
    let mut world = World::new().await;
    world.is_absent();
    world.provider.delay(Duration::from_secs(30));
    let started = std::time::Instant::now();
    let envelope = v2("hr", &[("x-hr-signature", &sign(KEY, &body()))], &body());
    let reply = world.function.request_within(envelope, Duration::from_millis(1500)).await;
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    let entry = &reply.json()["departures"][0]["providers"][0];
    assert_eq!((reply.status, &entry["outcome"]), (503, &json!("unavailable")), "{}", reply.text);
    assert!(reply.headers.contains_key("retry-after"));
    let late = event("evt-2");
    let envelope = v2("hr", &[("x-hr-signature", &sign(KEY, &late))], &late);
    let reply = world.function.request_within(envelope, Duration::from_millis(100)).await;
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

//! Secrets: how often they are read, rotation, outages, and bad values.

use serde_json::json;

use crate::{
    function::world::{CONFIG, KEY, TOKEN, World, body, event, sign},
    support::{Double, Function, Vault, v2},
};

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
    let entry = world.deliver(&event("evt-2")).await.json()["departures"][0]["providers"][0].clone();
    assert_eq!((&entry["outcome"], &entry["reason"]), (&json!("unauthorized"), &json!("secret_not_found")));
    world.is_absent();
    let entry = world.deliver(&event("evt-3")).await.json()["departures"][0]["providers"][0].clone();
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
    let reply = world.deliver(&event("evt-2")).await;
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

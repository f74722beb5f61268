//! The log: the masked report of each departure, and nothing that is secret or personal.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    function::messages::messages,
    function::world::{EMAIL, KEY, TOKEN, World, body, event},
    support::Double,
};

/// A log, one JSON object a line.
pub fn lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON object: {line}"))).collect()
}

/// The reports in a log, with the lines that they stand in.
fn logged_reports(log: &str) -> Vec<(Value, Value)> {
    let departures = lines(log).into_iter().filter(|line| line["message"] == "departure");
    let report = |line: &Value| serde_json::from_str(line["report"].as_str().expect("the report")).expect("JSON");
    departures.map(|line| (report(&line), line)).collect()
}

#[tokio::test]
async fn log_has_the_masked_report_of_each_departure_also_of_a_dry_run() {
    let other = "[providers.access]\nkind = \"cloudflare_access\"\naccount_id = \"1\"\n";
    for (mode, status) in [("live", "done"), ("dry_run", "planned")] {
        let (access, at) = Double::start().await;
        let found = json!({"success": true, "errors": [], "result": [{"id": "u-1", "email": EMAIL}]});
        let nobody = json!({"success": true, "errors": [], "result": []});
        access.then(200, found).then(200, nobody.clone());
        access.then(200, json!({"success": true, "errors": [], "result": {}})).then(200, nobody);
        let tail = format!("{other}base_url = \"{at}\"\n");
        let mut world = World::with("", &tail, &[("OFFBOARD_MODE", mode)]).await;
        world.vault.put("offboard/providers/access", r#"{"api_token": "cf-token-1"}"#);
        world.is_there();
        let reply = world.deliver(&body()).await;
        let log = world.function.end().await;
        let [(report, line)] = &logged_reports(&log)[..] else { panic!("one line per departure: {log}") };
        assert_eq!(*report, reply.json()["departures"][0], "the sender gets what is logged");
        assert_eq!((&line["departure_id"], &line["status"]), (&json!("hr/evt-1"), &json!(status)));
        assert!(line["request_id"].is_string() && line["since_receipt_ms"].is_i64(), "{line}");
        assert_eq!((&line["source"], &line["mode"], &line["duplicate"]), (&json!("hr"), &json!(mode), &json!(false)));
        let trace_id = line["span"]["trace_id"].as_str();
        assert!(trace_id.is_some_and(|id| id.starts_with("1-") && !id.contains(';')), "{line}");
        let called = lines(&log).into_iter().filter(|line| line["message"] == "provider");
        let called: Vec<_> = called.map(|line| (line["provider"].clone(), line["outcome"].clone())).collect();
        assert_eq!(called[0].0, json!("access"), "{called:?}");
        assert_eq!((&report["person"]["email"], &report["status"]), (&json!("l…@example.com"), &json!(status)));
        let outcome = if mode == "live" { "deleted" } else { "planned" };
        let account = &report["providers"][0];
        assert_eq!((&account["account_id"], &account["outcome"]), (&json!("u-1"), &json!(outcome)), "{report}");
        assert!(!log.contains(EMAIL), "{log}");
    }
}

#[tokio::test]
async fn logs_and_answers_hold_no_secret_and_no_address() {
    let mut world = World::with("", "", &[("AWS_LAMBDA_LOG_LEVEL", "TRACE")]).await;
    // A vendor that quotes what it was sent.
    world.provider.then(400, json!({"error": format!("user {EMAIL} with token {TOKEN} is the last one\n")}));
    let reply = world.deliver(&body()).await;
    let entry = &reply.json()["departures"][0]["providers"][0];
    let detail = json!("user l…@example.com with token [secret] is the last one");
    assert_eq!((&entry["outcome"], &entry["detail"]), (&json!("blocked"), &detail));
    // Ids that are addresses, and a removal that fails, by the queue and by the sender.
    world.provider.then(503, json!({"error": EMAIL})).then(503, json!({"error": EMAIL})).then(503, json!({}));
    let more = world.deliver(&event(&format!("left-{EMAIL}"))).await;
    let message = json!({"departure": format!("hr/left-{EMAIL}")}).to_string();
    world.function.invoke(messages(&[&message, EMAIL]), Duration::from_secs(15)).await.unwrap();
    world.deliver("not json").await;
    // Ids that are addresses with a combining mark or a typographic apostrophe, and a vendor that quotes them.
    let mut texts = Vec::new();
    for id in ["jose\u{301}@example.com", "o\u{2019}neil@example.com"] {
        world.provider.then(400, json!({"error": format!("no user {id}")}));
        texts.push(world.deliver(&event(&format!("left-{id}"))).await.text);
    }
    let log = world.function.end().await;
    assert_eq!(logged_reports(&log).len(), 5, "{log}");
    for kept in [EMAIL, TOKEN, KEY, "workos-signing-key-1", "127.0.0.1"] {
        for text in [&log, &reply.text, &more.text] {
            assert!(!text.contains(kept), "{kept}: {text}");
        }
    }
    for kept in ["jos", "neil"] {
        assert!(!log.contains(kept) && texts.iter().all(|text| !text.contains(kept)), "{kept}: {log}");
    }
}

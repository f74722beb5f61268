//! `offboard sandbox` as a new user runs it: it ends as expected, says so, and shows no secret.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::process::{Command, Output};

use serde_json::Value;

fn sandbox(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
    command.arg("sandbox").args(arguments);
    // A proxy cannot reach the mock services on loopback, so none may be used.
    command.envs(["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].map(|name| (name, "http://127.0.0.1:1")));
    command.output().expect("the sandbox starts")
}

/// The output, once it is known that all ended well.
fn stdout(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    assert_eq!(errors, "");
    text
}

#[test]
fn story_ends_as_expected() {
    let text = stdout(&sandbox(&[]));
    let last = text.lines().last().unwrap_or_default();
    assert!(last.contains("all as expected"), "{last}");
    assert!(!text.contains('✗') && !text.contains('\x1b'), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert_no_secret(&text);
    let evidence = text.lines().map(str::trim).find(|line| line.ends_with(".html") && !line.starts_with('$'));
    std::fs::remove_file(evidence.expect("the path of the evidence page")).expect("it can be removed");
}

#[test]
fn story_as_json_is_one_document() {
    let text = stdout(&sandbox(&["--json"]));
    assert_no_secret(&text);
    let ending: Value = serde_json::from_str(&text).expect("one JSON document");
    assert_eq!(ending["as_expected"], true);
    assert_eq!(ending["mismatches"], serde_json::json!([]));
    let acts: Vec<&Value> = array(&ending["scenes"]).iter().flat_map(|scene| array(&scene["acts"])).collect();
    let deliveries: Vec<&Value> = acts.iter().map(|act| &act["delivery"]).filter(|one| one.is_object()).collect();
    let statuses: Vec<u64> = deliveries.iter().filter_map(|delivery| delivery["http_status"].as_u64()).collect();
    let expected = [[200; 12].as_slice(), &[401, 200, 200]].concat();
    assert_eq!(statuses, expected);
    let commands: Vec<&str> = acts.iter().filter_map(|act| act["command"]["command"].as_str()).collect();
    for command in ["replay directory/msg_dana", "dismiss --all", "release directory/msg_pat"] {
        assert!(commands.iter().any(|given| given.contains(command)), "{command}: {commands:?}");
    }
    for delivery in deliveries {
        let answer = delivery["answer"].to_string();
        assert!(!answer.contains("lee@") && !answer.contains("ann@"), "an answer shows an address: {answer}");
    }
    for left in array(&ending["left"]) {
        let members = array(&left["members"]);
        assert!(members.contains(&"joann@example.com".into()), "a neighbor is gone: {left}");
        assert!(!members.contains(&"ann@example.com".into()), "a leaver is still there: {left}");
    }
    let evidence = ending["evidence"].as_str().expect("a path");
    let page = std::fs::read_to_string(evidence).expect("the evidence page");
    assert!(page.contains("workos/event_sam") && !page.contains("sam@"), "{page}");
    std::fs::remove_file(evidence).expect("it can be removed");
}

#[test]
fn wrong_usage_exits_with_2() {
    for wrong in [&["--port", "1"][..], &["--serve", "--host", "nowhere"], &["--loud"]] {
        assert_eq!(sandbox(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn assert_no_secret(text: &str) {
    for secret in [
        "whsec_",
        "signing-secret",
        "app-key",
        "instaply-token",
        "cloudflare-token",
        "stytch-secret",
        "client-secret",
        "sandbox-access-token",
    ] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
}

//! The whole main job as a stranger runs it: `offboard sandbox` ends well, says so, and shows no secret.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::process::{Command, Output};

use serde_json::Value;

fn sandbox(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
    command.arg("sandbox").args(arguments);
    // A proxy of the machine's cannot know what stands on loopback, and nobody here may ask it.
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
fn the_story_ends_as_expected() {
    let text = stdout(&sandbox(&[]));
    let last = text.lines().last().unwrap_or_default();
    assert!(last.contains("all as expected"), "{last}");
    assert!(!text.contains('✗') && !text.contains('\x1b'), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert_no_secret(&text);
}

#[test]
fn as_json_it_is_one_document() {
    let text = stdout(&sandbox(&["--json"]));
    assert_no_secret(&text);
    let ending: Value = serde_json::from_str(&text).expect("one JSON document");
    assert_eq!(ending["as_expected"], true);
    assert_eq!(ending["findings"], serde_json::json!([]));
    let statuses: Vec<u64> = array(&ending["steps"]).iter().filter_map(|step| step["http_status"].as_u64()).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 503, 200, 401, 200]);
    for step in array(&ending["steps"]) {
        let answer = step["answer"].to_string();
        assert!(!answer.contains("lee@") && !answer.contains("ann@"), "an answer shows an address: {answer}");
    }
    for left in array(&ending["left"]) {
        let members = array(&left["members"]);
        assert!(members.contains(&"joann@example.com".into()), "a neighbour is gone: {left}");
        assert!(!members.contains(&"ann@example.com".into()), "a leaver is still there: {left}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
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

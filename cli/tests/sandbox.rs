//! `offboard sandbox` as a new user runs it: it ends as expected, says so, and shows no secret.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use offboard_sandbox::delivery::Delivery;
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
    for wrong in [&["--port", "1"][..], &["--config", "x"], &["--serve", "--host", "nowhere"], &["--loud"]] {
        assert_eq!(sandbox(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

/// A configuration as a user may have it: of its own names, with a policy, a canary and several kinds of signatures.
const OWN: &str = r#"
[policy]
mode = "live"
protected = ["kim@example.com"]
[sources.people]
kind = "hmac"
signature = { header = "x-people", encoding = "base64", algorithm = "sha512", signed = "{body}" }
event = { id = "/id", type = "/type", departures = ["left"], occurred_at = "/at" }
person = { email = "/email" }
[sources.svix]
kind = "svix"
[sources.sent]
kind = "token"
token = { header = "x-token" }
event = { id = "/id", type = "/type", departures = ["left"] }
person = { email = "/email" }
[providers.network]
kind = "cloudflare_access"
account_id = "00000000000000000000000000000001"
canary = "ops@example.com"
[providers.chat]
kind = "flashduty"
secret = "elsewhere/chat"
[providers.login]
kind = "stytch_b2b"
organization_ids = ["organization-test-1"]
"#;

#[test]
fn own_configuration_is_served_and_every_other_command_works_against_it() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("own.toml");
    std::fs::write(&file, OWN).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
    command.args(["sandbox", "--serve", "--json", "--config"]).arg(&file).stdout(Stdio::piped());
    let mut sandbox = command.spawn().expect("the sandbox starts");
    let mut line = String::new();
    BufReader::new(sandbox.stdout.take().expect("it was piped")).read_line(&mut line).expect("one line");
    let given: Value = serde_json::from_str(&line).expect("one line of JSON");
    assert_eq!(given["notes"], serde_json::json!([]), "{given}");
    let offboard = |arguments: &[&str], code: i32| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
        command.args(arguments).env_clear();
        for (name, value) in given["environment"].as_object().expect("an environment") {
            command.env(name, value.as_str().expect("text"));
        }
        let output = command.output().expect("offboard runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}\n{errors}");
        text
    };
    for (source, email) in [("people", "lee@example.com"), ("svix", "max@example.com"), ("sent", "sam@example.com")] {
        let webhook = given["webhooks"][source].as_str().expect("a webhook");
        let sent = offboard(&["send", source, email, "--json", "--to", webhook], 0);
        let report: Value = serde_json::from_str(&sent).expect("a report");
        let outcomes: Vec<&Value> =
            array(&report["departures"][0]["providers"]).iter().map(|entry| &entry["outcome"]).collect();
        assert_eq!(outcomes, ["deleted"; 3], "{source}: {report}");
    }
    // The policy is the user's.
    let webhook = given["webhooks"]["people"].as_str().expect("a webhook");
    offboard(&["send", "people", "kim@example.com", "--id", "kim", "--to", webhook], 0);
    assert!(offboard(&["departures", "list"], 0).contains("protected"));
    assert!(offboard(&["check", "--live"], 0).contains("network"));
    offboard(&["pause"], 0);
    offboard(&["departures", "dismiss", "people/kim"], 0);
    sandbox.kill().expect("it runs until now");
    sandbox.wait().expect("it ends");
    let config = Path::new(given["config"].as_str().expect("a path"));
    std::fs::remove_dir_all(config.parent().expect("a folder")).expect("it can be removed");
}

#[test]
fn event_of_a_partner_is_printed_and_lambda_hands_it_to_the_function() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("partner.toml");
    let text = "[policy]\nmode = \"live\"\n[sources.staff]\nkind = \"okta\"\nvia = \"eventbridge\"\nevent_source = \
                \"aws.partner/okta.com/acme/offboard\"\nsettle = \"0s\"\n[sources.svix]\nkind = \"svix\"\n[providers.chat]\nkind = \"instaply\"\n";
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
    command.args(["sandbox", "--serve", "--json", "--config"]).arg(&file).stdout(Stdio::piped());
    let mut sandbox = command.spawn().expect("the sandbox starts");
    let mut line = String::new();
    BufReader::new(sandbox.stdout.take().expect("it was piped")).read_line(&mut line).expect("one line");
    let given: Value = serde_json::from_str(&line).expect("one line of JSON");
    assert!(
        given["notes"][0].as_str().is_some_and(|note| note.starts_with("sources.staff: nobody delivers")),
        "{given}"
    );
    let offboard = |arguments: &[&str], code: i32| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
        command.args(arguments).env_clear();
        for (name, value) in given["environment"].as_object().expect("an environment") {
            command.env(name, value.as_str().expect("text"));
        }
        let output = command.output().expect("offboard runs");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    offboard(&["send", "staff", "lee@example.com", "--to", "http://127.0.0.1:9"], 2);
    let printed = offboard(&["send", "staff", "lee@example.com", "--id", "u-1", "--print-event"], 0);
    let lambda = given["environment"]["AWS_ENDPOINT_URL_LAMBDA"].as_str().expect("a URL");
    let invocation = Delivery { headers: Vec::new(), body: printed.into_bytes() };
    let url = format!("{lambda}/2015-03-31/functions/offboard/invocations");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let said = runtime.block_on(invocation.send(&url)).expect("an answer");
    assert_eq!((said.status, said.text.as_str()), (200, r#"{"batchItemFailures":[]}"#));
    let shown: Value =
        serde_json::from_str(&offboard(&["departures", "show", "staff/u-1", "--json"], 0)).expect("JSON");
    assert_eq!((&shown["state"], &shown["providers"][0]["outcome"]), (&"done".into(), &"deleted".into()), "{shown}");
    assert!(offboard(&["check"], 0).contains("needs no secret: EventBridge says whose its events are"));
    sandbox.kill().expect("it runs until now");
    sandbox.wait().expect("it ends");
    let config = Path::new(given["config"].as_str().expect("a path"));
    std::fs::remove_dir_all(config.parent().expect("a folder")).expect("it can be removed");
}

#[test]
fn product_without_a_mock_service_is_left_to_a_person_and_its_departure_is_listed() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unserved.toml");
    let text = "[sources.hr]\nkind = \"okta\"\nproviders = [\"chat\"]\n[providers.chat]\nkind = \"slack\"\ncanary = \"a@example.com\"\n";
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
    command.args(["sandbox", "--serve", "--json", "--config"]).arg(&file).stdout(Stdio::piped());
    let mut sandbox = command.spawn().expect("the sandbox starts");
    let mut line = String::new();
    BufReader::new(sandbox.stdout.take().expect("it was piped")).read_line(&mut line).expect("one line");
    let given: Value = serde_json::from_str(&line).expect("one line of JSON");
    let note = "providers.chat: the sandbox has no mock service of the kind slack, so it is `manual` here";
    assert_eq!(given["notes"], serde_json::json!([note]));
    let offboard = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
        command.args(arguments).env_clear();
        for (name, value) in given["environment"].as_object().expect("an environment") {
            command.env(name, value.as_str().expect("text"));
        }
        let output = command.output().expect("offboard runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let webhook = given["webhooks"]["hr"].as_str().expect("a webhook");
    // Okta wants no report.
    let sent = offboard(&["send", "hr", "lee@example.com", "--to", webhook]);
    assert!(sent.contains("the answer is empty: `offboard departures list` shows what was recorded"), "{sent}");
    let listed: Value = serde_json::from_str(&offboard(&["departures", "list", "--json"])).expect("JSON");
    assert_eq!((array(&listed).len(), &listed[0]["reasons"]), (1, &serde_json::json!(["dry_run"])), "{listed}");
    let provider = &listed[0]["providers"][0];
    assert_eq!((&provider["provider"], &provider["outcome"]), (&"chat".into(), &"planned".into()), "{listed}");
    let shown = offboard(&["departures", "show", listed[0]["id"].as_str().expect("an id")]);
    assert!(shown.contains("once the mode is live, `offboard departures release"), "{shown}");
    sandbox.kill().expect("it runs until now");
    sandbox.wait().expect("it ends");
    let config = Path::new(given["config"].as_str().expect("a path"));
    std::fs::remove_dir_all(config.parent().expect("a folder")).expect("it can be removed");
}

#[test]
fn own_configuration_that_is_wrong_is_an_error_that_names_it() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wrong.toml");
    std::fs::write(&file, "[providers.x]\nkind = \"flashdutty\"\n").unwrap();
    let output = sandbox(&["--serve", "--config", file.to_str().expect("text")]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("wrong.toml") && errors.contains("flashduty"), "{errors}");
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

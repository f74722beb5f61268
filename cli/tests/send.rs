//! `offboard send` against `offboard sandbox --serve`: what one signs, the other takes.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
};

use offboard::{config::Config, source::KINDS};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const BINARY: &str = env!("CARGO_BIN_EXE_offboard");

/// A sandbox that is up, and what it said about itself.
struct Served {
    sandbox: Child,
    given: Value,
}

impl Served {
    fn start() -> Self {
        let mut command = Command::new(BINARY);
        command.args(["sandbox", "--serve", "--json"]).stdout(Stdio::piped());
        let mut sandbox = command.spawn().expect("the sandbox starts");
        let mut line = String::new();
        let stdout = sandbox.stdout.take().expect("it was piped");
        BufReader::new(stdout).read_line(&mut line).expect("one line");
        let given = serde_json::from_str(&line).expect("one line of JSON");
        Self { sandbox, given }
    }

    fn text(&self, pointer: &str) -> &str {
        self.given.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}"))
    }

    /// Runs `offboard send` in the environment that the sandbox asks for, behind a proxy that does not answer.
    fn send(&self, arguments: &[&str]) -> Output {
        self.run(&[&["send"], arguments].concat())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(arguments);
        command.env("HTTP_PROXY", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1");
        for (name, value) in self.given["environment"].as_object().expect("an environment") {
            command.env(name, value.as_str().expect("text"));
        }
        command.output().expect("send runs")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Killed without warning: the function must notice and end as well, or the test would hang on its output.
        self.sandbox.kill().ok();
        self.sandbox.wait().ok();
        std::fs::remove_file(self.text("/config")).ok();
    }
}

fn stdout(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The outcomes in a report.
fn outcomes(report: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(report).expect("a report");
    let providers = report["departures"][0]["providers"].as_array().expect("providers");
    providers.iter().map(|entry| entry["outcome"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_source_is_signed_as_it_signs() {
    let served = Served::start();
    for (source, email) in [("directory", "lee@example.com"), ("workos", "max@example.com"), ("hr", "kim@example.com")]
    {
        let webhook = served.text(&format!("/webhooks/{source}")).to_owned();
        let at = OffsetDateTime::now_utc().format(&Rfc3339).expect("a time");
        let arguments = [source, email, "--id", "sample-1", "--at", &at, "--json", "--to", &webhook];
        assert_eq!(outcomes(&stdout(&served.send(&arguments), 0)), ["deleted"; 5], "{source}");
        let again = stdout(&served.send(&arguments), 0);
        let report: Value = serde_json::from_str(&again).expect("a report");
        assert_eq!(outcomes(&again), ["deleted"; 5], "{source} again");
        assert_eq!(report["departures"][0]["duplicate"], true, "{source} again");
    }
}

#[test]
fn user_of_a_scim_source_is_created_updated_disabled_and_deleted() {
    let served = Served::start();
    let base = served.text("/webhooks/entra").strip_suffix("/scim/v2/entra").expect("a SCIM endpoint").to_owned();
    let send = |sample: &str, code| {
        let to = ["entra", "eve@example.com", "--json", "--to", &base, "--sample", sample];
        let text = stdout(&served.send(&to), code);
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };
    assert_eq!(send("updated", 1), Value::Null, "there is no such user yet");
    let created = send("created", 0);
    assert_eq!((&created["userName"], &created["active"]), (&"eve@example.com".into(), &true.into()));
    assert_eq!(send("created", 1)["scimType"], "uniqueness");
    let shown = stdout(&served.run(&["identities", "show", "entra", "eve@example.com", "--json"]), 0);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["emails"][0]["value"], shown["active_at"].is_string()), (&"e…@example.com".into(), true));
    assert_eq!(send("updated", 0)["displayName"], "A sample user");
    let disabled = send("departure", 0);
    assert_eq!((&disabled["id"], &disabled["active"]), (&created["id"], &false.into()));
    send("deleted", 0);
    // Nobody is there: somebody is created first.
    let other = send("departure", 0);
    assert!(other["active"] == false && other["id"] != created["id"], "{other}");
    let id = created["id"].as_str().expect("an id");
    let arguments = ["entra", "eve@example.com", "--print-curl", "--to", &base];
    let unnamed = served.send(&arguments);
    assert!(String::from_utf8_lossy(&unnamed.stderr).contains("--person-id"));
    stdout(&unnamed, 2);
    let curl = stdout(&served.send(&[&arguments[..], &["--person-id", id]].concat()), 0);
    assert!(curl.contains("-X PATCH") && curl.contains(&format!("'{base}/scim/v2/entra/Users/{id}'")), "{curl}");
    let unknown = served.send(&["entra", "eve@example.com", "--to", &base, "--sample", "departed"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("is not a sample of a SCIM source"));
    stdout(&unknown, 2);
}

#[test]
fn event_id_that_was_used_at_another_time_is_held() {
    let served = Served::start();
    let webhook = served.text("/webhooks/workos").to_owned();
    let send = |at| served.send(&["workos", "lee@example.com", "--id", "1", "--at", at, "--json", "--to", &webhook]);
    stdout(&send("1h"), 0);
    let report: Value = serde_json::from_str(&stdout(&send("2h"), 0)).expect("a report");
    assert_eq!(report["departures"][0]["reasons"], serde_json::json!(["event_id_reused"]), "{report}");
}

#[test]
fn sending_beyond_this_machine_without_a_terminal_needs_a_yes() {
    let served = Served::start();
    let unasked = served.send(&["workos", "lee@example.com", "--to", "https://api.example.com"]);
    assert!(String::from_utf8_lossy(&unasked.stderr).contains("sending to api.example.com needs --yes"));
    stdout(&unasked, 2);
}

#[test]
fn what_it_prints_can_be_used_elsewhere() {
    let served = Served::start();
    let webhook = served.text("/webhooks/hr");
    let base = webhook.strip_suffix("/webhooks/hr").expect("a webhook's address");
    let curl = stdout(&served.send(&["hr", "sam@example.com", "--to", base, "--print-curl"]), 0);
    assert!(curl.starts_with("curl ") && curl.contains(&format!("'{webhook}'")), "{curl}");
    let event = stdout(&served.send(&["workos", "sam@example.com", "--print-event"]), 0);
    let event: Value = serde_json::from_str(&event).expect("an event");
    assert_eq!((&event["version"], &event["rawPath"]), (&"2.0".into(), &"/webhooks/workos".into()));
    assert!(event["headers"]["workos-signature"].is_string(), "{event}");
    // Nothing was sent so far: the person is still everywhere.
    let report = stdout(&served.send(&["hr", "sam@example.com", "--to", base]), 0);
    assert!(report.starts_with("HTTP 200") && !report.contains("already_absent "), "{report}");
}

#[test]
fn what_cannot_be_sent_is_told() {
    let served = Served::start();
    let webhook = served.text("/webhooks/workos").to_owned();
    let errors = |arguments: &[&str], code| {
        let output = served.send(arguments);
        stdout(&output, code);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let unknown = errors(&["nosuch", "lee@example.com", "--to", &webhook], 2);
    assert!(unknown.contains("directory, entra, hr, payroll, workos"), "{unknown}");
    let misspelt = errors(&["wrokos", "lee@example.com", "--to", &webhook], 2);
    assert!(misspelt.contains("did you mean `workos`?"), "{misspelt}");
    let unasked = errors(&["workos", "lee@example.com", "--to", "https://api.example.com"], 2);
    assert!(unasked.contains("sending to api.example.com needs --yes"), "{unasked}");
    let down = errors(&["workos", "lee@example.com", "--to", "http://127.0.0.1:1"], 1);
    assert!(down.contains("127.0.0.1:1 does not answer"), "{down}");
    let nowhere = errors(&["workos", "lee@example.com", "--to", &webhook, "--config", "nowhere.toml"], 1);
    assert!(nowhere.contains("nowhere.toml") && nowhere.contains("OFFBOARD_CONFIG"), "{nowhere}");
    assert!(errors(&["workos", "lee@example.com"], 2).contains("--to"));
    // Okta's token, say, would be read on the way.
    let plain = errors(&["workos", "lee@example.com", "--to", "http://api.example.com"], 2);
    assert!(plain.contains("must be https"), "{plain}");
    // Another source's address: the signature is not what is expected there.
    let refused = served.send(&["workos", "lee@example.com", "--to", served.text("/webhooks/hr")]);
    assert!(stdout(&refused, 1).starts_with("HTTP 401"));
}

/// A configuration that has none of the kinds.
const OTHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/offboard.toml");

fn offboard(arguments: &[&str], secret: &str) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).env("OFFBOARD_SIGNING_SECRET", secret).env_remove("OFFBOARD_CONFIG");
    command.output().expect("it runs")
}

#[test]
fn every_kind_is_listed_and_signs_for_itself_unless_it_must_be_configured() {
    let listed: Value = serde_json::from_slice(&offboard(&["sources", "--json"], "").stdout).expect("JSON");
    let mut needs_more = Vec::new();
    for kind in listed.as_array().expect("a list") {
        let name = kind["kind"].as_str().expect("a name");
        let text = stdout(&offboard(&["sources", name, "--url", "https://api.example.com/"], ""), 0);
        let is_scim = name == "scim";
        let path = if is_scim { "/scim/v2/scim".to_owned() } else { format!("/webhooks/{name}") };
        assert!(text.contains(&format!("https://api.example.com{path}")), "{text}");
        // Which user is disabled, a SCIM client has to find out first.
        let sample = if is_scim { "created" } else { "departure" };
        let sent = offboard(
            &["send", name, "lee@example.com", "--print-event", "--config", OTHER, "--sample", sample],
            "whsec_c2VjcmV0LXNlY3JldA==",
        );
        if !sent.status.success() {
            let why = String::from_utf8_lossy(&sent.stderr).into_owned();
            assert_eq!(sent.status.code(), Some(2), "as a kind that is unknown: {why}");
            needs_more
                .push(why.lines().find_map(|line| line.strip_prefix("offboard: ")).unwrap_or_default().to_owned());
            continue;
        }
        let event: Value = serde_json::from_slice(&sent.stdout).expect("an event");
        assert_eq!(event["rawPath"], if is_scim { path + "/Users" } else { path });
        let headers = event["headers"].as_object().expect("headers");
        let proof = ["signature", "authorization", "webhook", "token", "s256"];
        assert!(headers.keys().any(|header| proof.iter().any(|part| header.contains(part))), "{name}: {headers:?}");
    }
    insta::assert_snapshot!(needs_more.join("\n"));
}

#[test]
fn key_set_of_a_private_key_is_printed() {
    let recorded: Value = serde_json::from_str(include_str!("../../tests/data/vectors/jwt_pyjwt.json")).expect("JSON");
    let pem = recorded["keys"]["p256"]["private_pem"].as_str().expect("a key");
    let printed = offboard(&["send", "fusionauth", "lee@example.com", "--print-key-set", "--config", OTHER], pem);
    let key_set: Value = serde_json::from_str(&stdout(&printed, 0)).expect("JSON");
    assert_eq!((&key_set["keys"][0]["kty"], &key_set["keys"][0]["d"]), (&Value::from("EC"), &Value::Null));
    let refused = offboard(&["send", "github", "lee@example.com", "--print-key-set", "--config", OTHER], pem);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no private key in PEM"));
    stdout(&refused, 1);
}

#[test]
fn secret_of_another_form_is_an_error_that_names_the_form() {
    for (kind, secret, expected) in
        [("clerk", "not base64!", "base64, as a rule behind `whsec_`"), ("okta", "tok\u{e9}n", "printable ASCII")]
    {
        let sent = offboard(&["send", kind, "lee@example.com", "--print-event", "--config", OTHER], secret);
        let errors = String::from_utf8_lossy(&sent.stderr).into_owned();
        assert!(errors.contains(expected) && !errors.contains(secret), "{errors}");
        stdout(&sent, 1);
    }
}

#[test]
fn invalid_email_address_is_wrong_usage() {
    let sent = offboard(&["send", "okta", "lee\"@example.com", "--print-event"], "x");
    assert_eq!(sent.status.code(), Some(2), "{}", String::from_utf8_lossy(&sent.stderr));
}

#[test]
fn section_that_is_shown_of_a_kind_is_valid() {
    for kind in KINDS {
        let text = stdout(&offboard(&["sources", kind.name], ""), 0);
        let (_, rest) = text.split_once("\nIn offboard.toml\n").expect("a section");
        let (section, rest) = rest.split_once("\n\n").expect("more of them");
        let section: Vec<_> = section.lines().map(|line| line.trim().replace("# also", "also")).collect();
        let whole = format!("{}\n[providers.instaply]\nkind = \"instaply\"\n", section.join("\n"));
        let config = Config::parse(&whole, None).unwrap_or_else(|errors| panic!("{errors}\n{whole}"));
        let source = &config.sources[kind.name];
        let secret = match source.secret() {
            Some(name) => format!("{name}: {{\"{}\": \"…\"}}", source.scheme.secret_keys().0),
            None => "nothing: its keys are published".to_owned(),
        };
        assert!(rest.starts_with(&format!("In AWS Secrets Manager\n  {secret}\n")), "{text}");
    }
}

#[test]
fn conditional_departure_is_shown_with_its_condition() {
    let lines = |kind| stdout(&offboard(&["sources", kind], ""), 0);
    let workos = lines("workos");
    assert!(workos.contains("\n  dsync.user.updated, if /data/state is \"inactive\"\n"), "{workos}");
    let auth0 = lines("auth0");
    assert!(auth0.contains("\n  #   user.updated, if /data/object/blocked is true\n"), "{auth0}");
}

#[test]
fn sample_has_the_person_id_that_is_given() {
    for (kind, id, place) in [
        ("clerk", "user_29wB", "/data/id"),
        ("auth0", "auth0|507f", "/data/object/user_id"),
        ("github", "583231", "/membership/user/id"),
        ("github", "ada", "/membership/user/id"),
    ] {
        let arguments = ["send", kind, "lee@example.com", "--person-id", id, "--print-event", "--config", OTHER];
        let printed = stdout(&offboard(&arguments, "whsec_c2VjcmV0LXNlY3JldA=="), 0);
        let event: Value = serde_json::from_str(&printed).expect("an event");
        let body: Value = serde_json::from_str(event["body"].as_str().expect("a body")).expect("JSON");
        let found = body.pointer(place).expect("an id");
        assert_eq!(found.as_str().map_or_else(|| found.to_string(), str::to_owned), id, "{kind}");
    }
}

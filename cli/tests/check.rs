//! `offboard check`: what it finds, how it says so, and its exit code.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use offboard_sandbox::{aws::secrets_manager::SecretsManager, mock::MockServer};
use serde_json::{Value, json};

const GOOD: &str =
    "[policy]\nmode = \"live\"\n[sources.hr]\nkind = \"workos\"\n[providers.instaply]\nkind = \"instaply\"\n";

/// A configuration in a folder of its own.
fn configuration(test: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("check-{test}"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("offboard.toml"), text).unwrap();
    folder.join("offboard.toml")
}

/// Runs it where no secret store answers.
fn check(config: &Path, arguments: &[&str]) -> Output {
    check_with("http://127.0.0.1:1", config, arguments)
}

fn check_with(secrets: &str, config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
    command.arg("check").arg("--config").arg(config).args(arguments).env_clear();
    command.envs([
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets),
    ]);
    command.output().expect("check runs")
}

/// The one line of JSON on standard output.
fn results(output: &Output) -> Vec<[String; 3]> {
    let results: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    results.iter().map(|result| ["what", "level", "note"].map(|name| text(&result[name]))).collect()
}

/// Asserts that there is one result, and returns its level and note.
fn only(output: &Output, what: &str) -> (String, String) {
    match &results(output)[..] {
        [[checked, level, note]] if checked == what => (level.clone(), note.clone()),
        others => panic!("{others:?}"),
    }
}

#[test]
fn configuration_without_errors_is_exit_code_0() {
    let config = configuration("good", GOOD);
    let output = check(&config, &["--offline", "--json"]);
    let (level, note) = only(&output, "configuration");
    let note = (output.status.code(), level.as_str(), note.as_str());
    assert_eq!(note, (Some(0), "ok", "1 source, 1 provider, mode = \"live\""));
    let plain = check(&config, &["--offline"]);
    let text = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert!(text.ends_with("✓ no error in the configuration; nothing else was checked\n"), "{text}");
}

#[test]
fn warning_is_exit_code_0_and_counted() {
    let text = format!("{GOOD}[providers.flashduty]\nkind = \"flashduty\"\n");
    let output = check(&configuration("warning", &text), &["--offline"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.contains("has no `canary`") && shown.ends_with("checked; 1 warning\n"), "{shown}");
}

#[test]
fn configuration_with_errors_is_exit_code_1_and_json_if_asked_for() {
    let config = configuration("faulty", &GOOD.replace("kind = \"workos\"", "kind = \"pigeon\"\nsecrets = \"x\""));
    let plain = check(&config, &["--offline"]);
    let errors = String::from_utf8_lossy(&plain.stderr).into_owned();
    assert_eq!(plain.status.code(), Some(1));
    assert!(errors.contains("line 5: unknown key `secrets` in `sources.hr`"), "{errors}");
    assert!(errors.contains(&format!("the configuration is {}", config.display())), "{errors}");
    let output = check(&config, &["--offline", "--json"]);
    let (level, note) = only(&output, "configuration");
    assert_eq!((output.status.code(), level.as_str()), (Some(1), "error"));
    assert!(note.contains("line 5: unknown key `secrets`"), "{note}");
}

#[test]
fn secret_store_that_does_not_answer_is_an_error() {
    let output = check(&configuration("store", GOOD), &["--json"]);
    let [_, [what, level, note]] = &results(&output)[..] else { panic!("an error: {output:?}") };
    assert_eq!((output.status.code(), what.as_str(), level.as_str()), (Some(1), "secret store", "error"));
    assert!(note.starts_with("the secret store cannot be read: no connection"), "{note}");
}

#[test]
fn ledger_that_does_not_answer_is_an_error() {
    let config = configuration("ledger", GOOD);
    let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
    command.args(["check", "--json", "--config"]).arg(&config).env_clear().envs([
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("OFFBOARD_LEDGER_TABLE", "ledger"),
    ]);
    let output = command.output().expect("check runs");
    let [_, [what, level, note], _] = &results(&output)[..] else { panic!("an error: {output:?}") };
    assert_eq!((output.status.code(), what.as_str(), level.as_str()), (Some(1), "ledger", "error"));
    assert!(note.starts_with("the ledger cannot be used: no connection (nothing answered"), "{note}");
}

/// Runs a command with these variables alone, where neither the AWS files and command line nor the metadata of a machine are.
fn with_environment(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = configuration("environment", GOOD).parent().map(Path::to_owned).expect("a folder");
    let profiles = "[profile sso]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = ops\n\
                    [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://example.com/start\n";
    std::fs::write(folder.join("aws"), profiles).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
    command.args(arguments).current_dir(&folder).env_clear().envs(variables.iter().copied());
    command.envs([
        ("OFFBOARD_CONFIG", "offboard.toml"),
        ("AWS_CONFIG_FILE", "aws"),
        // The AWS command line is not there.
        ("PATH", "nowhere"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]);
    let output = command.output().expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn aws_failure_names_its_cause_and_the_next_step_once_in_every_command() {
    let keys = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
    let refused = [("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    for (variables, cause, step) in [
        (vec![], "no AWS credentials", "name a profile in AWS_PROFILE"),
        (keys.to_vec(), "no AWS region", "set AWS_REGION"),
        (vec![("AWS_PROFILE", "nobody")], "no credentials in the AWS profile `nobody`", "aws configure list-profiles"),
        (
            vec![("AWS_PROFILE", "sso")],
            "the AWS profile `sso` needs the AWS command line",
            "aws sso login --profile sso",
        ),
        (
            [keys, refused].concat(),
            "no connection",
            "check the network, AWS_REGION and, if it is set, AWS_ENDPOINT_URL",
        ),
    ] {
        for command in [
            &["check"][..],
            &["plan", "lee@example.com"],
            &["send", "hr", "lee@example.com", "--print-event"],
            &["departures", "list", "--stack", "offboard"],
            &["pause", "--stack", "offboard"],
        ] {
            let (code, errors) = with_environment(command, &variables);
            assert_eq!((code, errors.matches(cause).count()), (Some(1), 1), "{command:?}: {errors}");
            assert!(errors.contains(step), "{command:?}: {errors}");
        }
    }
}

#[test]
fn extra_authority_without_a_certificate_is_an_error_and_no_panic() {
    let config = configuration("authority", &format!("[http]\nextra_ca = \"ca.pem\"\n{GOOD}"));
    let ca = config.with_file_name("ca.pem");
    for text in ["nothing", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&ca, text).unwrap();
        let output = check(&config, &[]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("the extra authority"), "{errors}");
    }
}

/// Runs check with this secret of the source `hr`. Returns the exit code and the source's result.
async fn with_secret(test: &str, secret: Value) -> (Option<i32>, Value) {
    let mut store = SecretsManager::default();
    store.put("offboard/sources/hr", secret);
    store.put("offboard/providers/instaply", json!({"token": "instaply-token-1"}));
    let store = MockServer::start("secrets", [127, 0, 0, 1].into(), store).await.unwrap();
    let secrets = store.url("");
    let config = configuration(test, GOOD);
    let run = tokio::task::spawn_blocking(move || check_with(&secrets, &config, &["--json"]));
    let output = run.await.expect("it ran");
    let results: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let source = results.into_iter().find(|result| result["what"] == "source hr").expect("it was checked");
    (output.status.code(), source)
}

#[tokio::test]
async fn signing_secret_under_16_bytes_is_an_error() {
    let (code, source) = with_secret("weak", json!({"signing_secrets": ["0123456789abcde", "0123456789abcdef"]})).await;
    let note = "1 usable signing secret(s); secret `offboard/sources/hr`: key `signing_secrets` is under 16 bytes \
                (guessable), so it is not used: put at least 32 random bytes there";
    assert_eq!((code, &source["level"], &source["note"]), (Some(1), &json!("error"), &json!(note)));
}

#[tokio::test]
async fn white_space_around_a_signing_secret_is_a_warning() {
    let warning = "; white space around `signing_secret` is ignored; store it without";
    let ends = |source: &Value| source["note"].as_str().is_some_and(|note| note.ends_with(warning));
    let (code, source) = with_secret("space", json!({"signing_secret": "0123456789abcdef\n"})).await;
    assert_eq!((code, &source["level"], ends(&source)), (Some(0), &json!("warning"), true), "{source}");
    let (code, source) = with_secret("space", json!({"signing_secret": " 0123456789abcde "})).await;
    assert_eq!((code, &source["level"], ends(&source)), (Some(1), &json!("error"), true), "{source}");
}

#[tokio::test]
async fn provider_without_an_api_needs_no_secret_and_has_nothing_to_prove() {
    // A strict store: it refuses to read what is not there.
    let mut store = SecretsManager::default();
    store.put("offboard/sources/hr", json!({"signing_secret": "0123456789abcdef"}));
    let store = MockServer::start("secrets", [127, 0, 0, 1].into(), store).await.unwrap();
    let secrets = store.url("");
    let wiki = "[providers.wiki]\nkind = \"manual\"\ninstructions = \"Delete the user\"\n";
    let config = configuration("wiki", &GOOD.replace("[providers.instaply]\nkind = \"instaply\"\n", wiki));
    let run = tokio::task::spawn_blocking(move || check_with(&secrets, &config, &["--live", "--json"]));
    let output = run.await.expect("it ran");
    let results = results(&output);
    let of = |name: &str| results.iter().find(|[what, ..]| what == name).map(|[_, level, note]| (&**level, &**note));
    assert_eq!(of("provider wiki"), Some(("ok", "needs no secret: a person removes the account")));
    assert_eq!(of("wiki, live"), Some(("ok", "nothing to prove: a person removes the account")));
    assert_eq!(output.status.code(), Some(0), "{results:?}");
}

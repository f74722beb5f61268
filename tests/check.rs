//! `offboard check`: what it finds, how it says so, and its exit code.

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use support::Vault;

const GOOD: &str = "[sources.hr]\nkind = \"workos\"\n[providers.instaply]\nkind = \"instaply\"\n";

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
fn looked(output: &Output) -> Vec<(String, bool, String)> {
    let looked: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    looked.iter().map(|one| (text(&one["what"]), one["good"] == true, text(&one["note"]))).collect()
}

#[test]
fn a_good_configuration_is_exit_code_0() {
    let config = configuration("good", GOOD);
    let output = check(&config, &["--offline", "--json"]);
    let expected = ("configuration".to_owned(), true, "1 sources, 1 providers".to_owned());
    assert_eq!((output.status.code(), looked(&output)), (Some(0), vec![expected]));
    let plain = check(&config, &["--offline"]);
    let text = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert!(text.ends_with("✓ no fault in the file; no secret was read\n"), "{text}");
}

#[test]
fn a_faulty_configuration_is_exit_code_1_and_json_if_asked_for() {
    let config = configuration("faulty", &GOOD.replace("kind = \"workos\"", "kind = \"pigeon\"\nsecrets = \"x\""));
    let plain = check(&config, &["--offline"]);
    let errors = String::from_utf8_lossy(&plain.stderr).into_owned();
    assert_eq!(plain.status.code(), Some(1));
    assert!(errors.contains("line 3: unknown key `secrets` in `sources.hr`"), "{errors}");
    assert!(errors.contains(&format!("the configuration is {}", config.display())), "{errors}");
    let output = check(&config, &["--offline", "--json"]);
    let [(what, false, note)] = &looked(&output)[..] else { panic!("one finding: {output:?}") };
    assert_eq!((output.status.code(), what.as_str()), (Some(1), "configuration"));
    assert!(note.contains("line 3: unknown key `secrets`"), "{note}");
}

#[test]
fn a_secret_store_that_is_not_there_is_a_finding() {
    let output = check(&configuration("store", GOOD), &["--json"]);
    let [_, (what, false, note)] = &looked(&output)[..] else { panic!("a finding: {output:?}") };
    assert_eq!((output.status.code(), what.as_str()), (Some(1), "secret store"));
    assert!(note.starts_with("the secret store cannot be read: no connection"), "{note}");
}

#[test]
fn an_extra_authority_that_is_none_is_a_finding_and_no_panic() {
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

/// What check finds where the source `hr` has this secret: its exit code, and the source's entry.
async fn with_secret(test: &str, secret: &str) -> (Option<i32>, Value) {
    let (vault, secrets) = Vault::start().await;
    vault.put("offboard/sources/hr", secret);
    vault.put("offboard/providers/instaply", r#"{"token": "instaply-token-1"}"#);
    let config = configuration(test, GOOD);
    let run = tokio::task::spawn_blocking(move || check_with(&secrets, &config, &["--json"]));
    let output = run.await.expect("it ran");
    let looked: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let source = looked.into_iter().find(|one| one["what"] == "source hr").expect("it was looked at");
    (output.status.code(), source)
}

#[tokio::test]
async fn signing_secret_under_16_bytes_is_an_error() {
    let (code, source) = with_secret("weak", r#"{"signing_secrets": ["0123456789abcde", "0123456789abcdef"]}"#).await;
    let note = "1 usable signing secret(s); secret `offboard/sources/hr`: key `signing_secrets` is under 16 bytes \
                (guessable), so it is not used: put at least 32 random bytes there";
    assert_eq!((code, &source["good"], &source["note"]), (Some(1), &json!(false), &json!(note)));
}

#[tokio::test]
async fn white_space_around_a_signing_secret_is_a_warning() {
    let (code, source) = with_secret("space", r#"{"signing_secret": "0123456789abcdef\n"}"#).await;
    let warning = "secret `offboard/sources/hr`: white space around `signing_secret` is ignored; store it without";
    assert_eq!((code, &source["good"], &source["warning"]), (Some(0), &json!(true), &json!(warning)));
    let (code, source) = with_secret("space", r#"{"signing_secret": " 0123456789abcde "}"#).await;
    assert_eq!((code, &source["good"], &source["warning"]), (Some(1), &json!(false), &json!(warning)));
}

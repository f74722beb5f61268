//! `offboard providers`: what is shown of a kind can be configured.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::process::{Command, Output};

use offboard::{config::Config, providers::ProviderKind};
use serde_json::Value;

fn providers(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_offboard")).arg("providers").args(arguments).output().expect("it runs")
}

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_kind_is_listed_with_the_keys_of_its_secret() {
    let text = stdout(&providers(&[]));
    assert_eq!(text, stdout(&providers(&["list"])));
    let documents: Vec<Value> = serde_json::from_str(&stdout(&providers(&["--json"]))).expect("JSON");
    assert_eq!(documents.len(), ProviderKind::all().len());
    for (kind, document) in ProviderKind::all().into_iter().zip(documents) {
        assert!(text.contains(kind.name) && kind.page.starts_with("https://"), "{text}");
        assert_eq!((&document["kind"], &document["secret_keys"]), (&kind.name.into(), &kind.secret_keys.into()));
    }
}

#[test]
fn section_that_is_shown_of_a_kind_is_valid_also_with_what_may_be_left_out() {
    for kind in ProviderKind::all() {
        let text = stdout(&providers(&["show", kind.name]));
        let (_, rest) = text.split_once("\nIn offboard.toml\n").expect("a section");
        let (section, rest) = rest.split_once("\n\n").expect("more of them");
        let secret = format!("offboard/providers/{}, a JSON object with {}", kind.name, kind.secret_keys);
        assert_ne!(rest.contains(&secret), kind.is_manual(), "{rest}");
        let optional = section.lines().map(|line| line.trim().trim_start_matches("# ")).collect::<Vec<_>>().join("\n");
        let needs_canary = kind.needs.contains(&"canary");
        for (section, has_canary) in [(section, needs_canary), (&optional, kind.looks_up)] {
            let whole = format!("[sources.workos]\nkind = \"workos\"\n{section}");
            let config = Config::parse(&whole, None).unwrap_or_else(|errors| panic!("{errors}\n{whole}"));
            let provider = &config.providers[0];
            assert_eq!((provider.kind.name, provider.canary.is_some()), (kind.name, has_canary));
        }
    }
}

#[test]
fn unknown_kind_is_wrong_usage_and_the_nearest_is_named() {
    let output = providers(&["show", "flashdutty"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("'flashduty'"), "{errors}");
}

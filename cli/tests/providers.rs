//! `offboard providers`: what is shown of a kind can be configured.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use offboard::{config::Config, providers::ProviderKind};
use serde_json::Value;

/// The file of a kind in which nothing is wrong.
const ACME: &str = include_str!("data/acme.toml");

fn providers(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_offboard")).arg("providers").args(arguments).output().expect("it runs")
}

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn documents(arguments: &[&str]) -> Vec<Value> {
    serde_json::from_str(&stdout(&providers(arguments))).expect("JSON")
}

/// A configuration with the files of kinds beside it, in a folder of its own.
fn with_kinds(name: &str, kinds: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("providers")).expect("a folder");
    for (name, text) in kinds {
        fs::write(folder.join("providers").join(name), text).expect("a file");
    }
    let config = folder.join("offboard.toml");
    let text = "[sources.workos]\nkind = \"workos\"\n[providers.acme]\nkind = \"acme\"\ntenant = \"eu\"\n";
    fs::write(&config, text).expect("a file");
    config
}

#[test]
fn every_kind_is_listed_within_80_columns() {
    let text = stdout(&providers(&[]));
    assert_eq!(text, stdout(&providers(&["list"])));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for kind in ProviderKind::all() {
        assert_eq!(text.lines().filter(|line| line.trim().split(' ').next() == Some(kind.name)).count(), 1, "{text}");
    }
}

#[test]
fn document_of_a_kind_has_all_that_is_known_of_it() {
    let documents = documents(&["--json"]);
    assert_eq!(documents.len(), ProviderKind::all().len());
    for (kind, document) in ProviderKind::all().into_iter().zip(documents) {
        assert!(kind.page.starts_with("https://"), "{document:#}");
        assert_eq!((&document["kind"], &document["secret_keys"]), (&kind.name.into(), &kind.secret_keys().into()));
        for field in ["title", "effect", "permission", "status", "status_in_words", "configuration"] {
            assert!(document[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {document:#}");
        }
        for (field, count) in [("settings", kind.settings.len()), ("actions", kind.actions.len())] {
            assert_eq!(document[field].as_array().map(Vec::len), Some(count), "{field}: {document:#}");
        }
        assert_eq!(document["built_in"], true);
    }
}

#[test]
fn section_that_is_shown_of_a_kind_is_valid_also_with_what_may_be_left_out() {
    for kind in ProviderKind::all() {
        let text = stdout(&providers(&["show", kind.name]));
        let (_, rest) = text.split_once("\nIn offboard.toml\n").expect("a section");
        let (section, rest) = rest.split_once("\n\n").unwrap_or((rest, ""));
        let secret = format!("offboard/providers/{}, a JSON object with {}", kind.name, kind.secret_keys());
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
fn kind_that_is_partly_inferred_says_that_a_canary_is_required() {
    for kind in ProviderKind::all() {
        let text = stdout(&providers(&["show", kind.name])).split_whitespace().collect::<Vec<_>>().join(" ");
        let says_so = text.contains("a `canary` is required");
        assert_eq!(says_so, kind.needs.contains(&"canary"), "{text}");
    }
}

#[test]
fn kind_of_the_users_own_is_listed_and_shown() {
    let config = with_kinds("own", &[("acme.toml", ACME)]);
    let config = config.to_str().expect("UTF-8");
    let list = stdout(&providers(&["list", "--config", config]));
    assert!(list.contains("Your own, in ") && list.contains("    acme "), "{list}");
    let shown = stdout(&providers(&["show", "acme", "--config", config]));
    assert!(shown.contains("tenant = \"eu\"   # the tenant") && shown.contains("key: API key"), "{shown}");
    let documents = documents(&["show", "acme", "--json", "--config", config]);
    assert_eq!((&documents[0]["kind"], &documents[0]["built_in"]), (&"acme".into(), &false.into()));
}

#[test]
fn every_file_of_the_users_own_that_cannot_work_is_named_with_its_line() {
    let kinds = [
        ("acme.toml", ACME),
        ("slack.toml", ACME),
        ("Other.toml", ACME),
        ("broken.toml", &ACME.replace("{id}", "{user}")),
        ("notes.txt", "not a kind"),
    ];
    let config = with_kinds("broken", &kinds);
    let output = providers(&["list", "--config", config.to_str().expect("UTF-8")]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for expected in [
        "providers/slack.toml: a built-in kind has this name",
        "providers/Other.toml: the name of a kind has the characters",
        "providers/broken.toml:",
        "unknown variable `{user}`",
    ] {
        assert!(errors.contains(expected), "{errors}");
    }
    assert!(!errors.contains("acme") && !errors.contains("notes"), "{errors}");
}

#[test]
fn check_reads_files_that_no_provider_uses_yet() {
    let checked = |name: &str, kinds: &[(&str, &str)]| {
        let config = with_kinds(name, kinds);
        let command = &mut Command::new(env!("CARGO_BIN_EXE_offboard"));
        let output = command.args(["check", "--offline", "--json", "--config"]).arg(config).output().expect("it runs");
        let results: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
        let own = results.into_iter().find(|result| result["what"] == "your own kinds").expect("it is checked");
        (output.status.code(), own["level"].clone(), own["note"].as_str().unwrap_or_default().to_owned())
    };
    let (code, level, note) = checked("used", &[("acme.toml", ACME), ("later.toml", ACME)]);
    assert_eq!((code, level, note.as_str()), (Some(0), "ok".into(), "acme, later"));
    let broken = ACME.replace("{id}", "{user}");
    let (code, level, note) = checked("unused", &[("acme.toml", ACME), ("later.toml", &broken)]);
    assert_eq!((code, level), (Some(1), "error".into()), "{note}");
    assert!(note.contains("providers/later.toml:") && note.contains("`{user}`"), "{note}");
}

#[test]
fn unknown_kind_is_wrong_usage_and_the_nearest_is_named() {
    let output = providers(&["show", "flashdutty"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("`flashduty`"), "{errors}");
}

//! `offboard init`: what it writes can be read, and what is missing is said by `check` and by nothing else.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use offboard::{config::Config, providers::ProviderKind, source::KINDS};
use serde_json::Value;

/// An empty folder.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("init-{test}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Runs a command in a folder, without a terminal and without AWS.
fn offboard(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null()).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs `init` and returns its document.
fn init(folder: &Path, arguments: &[&str]) -> Value {
    let output = offboard(folder, &[&["init", "--json"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

/// The configuration in a folder, with what is required filled in as its examples say.
fn filled_in(folder: &Path) -> String {
    let path = folder.join("config/offboard.toml");
    let mut is_required = false;
    let line = |line: &str| {
        is_required = match line {
            "# Required: fill in, and remove the comment sign." => true,
            _ => is_required && !line.starts_with("# Optional") && !line.is_empty(),
        };
        let key = line.strip_prefix("# ").filter(|key| is_required && key.contains(" = "));
        format!("{}\n", key.unwrap_or(line))
    };
    fs::read_to_string(path).expect("a configuration").lines().map(line).collect()
}

/// Asserts that `check --offline` finds nothing but the absence of keys that stand in the file as required, and nothing if
/// they are filled in.
fn check(folder: &Path, name: &str, document: &Value) {
    let output = offboard(folder, &["check", "--offline"]);
    let errors = text(&output.stderr);
    let said: Vec<_> = errors.lines().filter(|line| !line.starts_with("the configuration is ")).collect();
    let said: Vec<_> = said.iter().map(|line| line.trim_start_matches("offboard: ")).collect();
    let left: Vec<_> = document["left"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(said, left, "{name}");
    assert_eq!(output.status.code(), Some(i32::from(!left.is_empty())), "{name}: {errors}");
    let written = fs::read_to_string(folder.join("config/offboard.toml")).expect("a configuration");
    for line in left {
        // `account_id` is missing; `event` must name …; `issuer` must say …
        let keys = line.split('`').skip(1).step_by(2).skip(1);
        let keys = keys.chain(line.split_whitespace());
        let is_there = |key: &str| key.len() > 3 && written.contains(&format!("\n# {key} = "));
        assert!(keys.into_iter().any(is_there), "{name}: {line}\n{written}");
    }
    let filled = filled_in(folder);
    Config::parse(&filled, None).unwrap_or_else(|errors| panic!("{name}: {errors}\n{filled}"));
}

#[test]
fn configuration_of_every_kind_of_source_is_right_but_for_what_is_required() {
    for kind in KINDS {
        let folder = folder(&format!("source-{}", kind.name));
        let document = init(&folder, &["--source", kind.name, "--provider", "instaply"]);
        check(&folder, kind.name, &document);
        let spec = kind.spec().expect("a specification");
        let secrets = document["secrets"].as_array().expect("a list");
        let key = secrets.iter().find(|secret| secret["name"] == format!("offboard/sources/{}", kind.name));
        let expected = kind.secret_key(&spec).map(|key| format!("{{\"{key}\": \"…\"}}"));
        assert_eq!(key.map(|secret| secret["values"][0].clone()), expected.map(Value::from), "{}", kind.name);
        let steps = document["senders"][0]["steps"].to_string();
        let url = format!("https://YOUR-API{}", spec.protocol.path(kind.name));
        assert_eq!(steps.contains(&url), spec.setup.iter().any(|step| step.contains("{url}")), "{steps}");
    }
}

#[test]
fn configuration_of_every_kind_of_provider_is_right_but_for_what_is_required() {
    for kind in ProviderKind::all() {
        let folder = folder(&format!("provider-{}", kind.name));
        let document = init(&folder, &["--source", "workos", "--provider", &format!("one={}", kind.name)]);
        check(&folder, kind.name, &document);
        let config = Config::parse(&filled_in(&folder), None).expect("a configuration");
        let secrets = document["secrets"].as_array().expect("a list");
        let secret = secrets.iter().find(|secret| secret["name"] == "offboard/providers/one");
        assert_eq!(secret.is_some(), config.providers[0].secret.is_some(), "{}", kind.name);
        let Some(secret) = secret else { continue };
        assert_eq!(secret["values"].as_array().map(Vec::len), Some(kind.secret.len()), "{}", kind.name);
        let command = "aws secretsmanager create-secret --name offboard/providers/one \
                       --secret-string file://providers-one.json";
        assert_eq!(secret["command"], command);
    }
}

#[test]
fn all_kinds_together_have_sections_of_their_own() {
    let folder = folder("all");
    let kinds = ProviderKind::all();
    let sources = KINDS.iter().flat_map(|kind| ["--source", kind.name]);
    let arguments: Vec<_> = sources.chain(kinds.iter().flat_map(|kind| ["--provider", kind.name])).collect();
    let document = init(&folder, &arguments);
    check(&folder, "all", &document);
    let config = Config::parse(&filled_in(&folder), None).expect("a configuration");
    assert_eq!((config.sources.len(), config.providers.len()), (KINDS.len(), kinds.len()));
    let files: Vec<_> = document["secrets"].as_array().expect("a list").iter().map(|one| &one["file"]).collect();
    assert_eq!(files.iter().map(|file| file.to_string()).collect::<BTreeSet<_>>().len(), files.len());
}

#[test]
fn configuration_that_exists_is_replaced_by_force_alone() {
    let folder = folder("force");
    let path = folder.join("config/offboard.toml");
    let arguments = ["init", "--source", "okta", "--provider", "instaply"];
    assert_eq!(offboard(&folder, &arguments).status.code(), Some(0));
    fs::write(&path, "# mine\n").expect("a file");
    let output = offboard(&folder, &arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("config/offboard.toml exists: --force replaces it"), "{said}");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "# mine\n");
    assert_eq!(offboard(&folder, &[&arguments[..], &["--force"]].concat()).status.code(), Some(0));
    assert!(fs::read_to_string(&path).expect("a file").contains("[sources.okta]"));
}

#[test]
fn wrong_usage_exits_with_2_and_writes_nothing() {
    let folder = folder("usage");
    for (arguments, expected) in [
        (&["--source", "okta"][..], "name each provider with --provider"),
        (&["--provider", "instaply"], "name each source with --source"),
        (&["--source", "otka", "--provider", "instaply"], "unknown kind of source `otka`: did you mean `okta`?"),
        (&["--source", "okta", "--provider", "x=slak"], "unknown kind of provider `slak`: did you mean `slack`?"),
        (&["--source", "A=okta", "--provider", "slack"], "`A`: a name has 1 to 64 characters"),
        (&["--source", "okta", "--source", "okta", "--provider", "slack"], "there is a source okta already"),
    ] {
        let output = offboard(&folder, &[&["init"], arguments].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(!folder.join("config").exists(), "{arguments:?}");
    }
}

#[test]
fn kind_of_ones_own_beside_the_configuration_can_be_chosen() {
    let folder = folder("own");
    fs::create_dir_all(folder.join("config/providers")).expect("a folder");
    fs::write(folder.join("config/providers/acme.toml"), include_str!("data/acme.toml")).expect("a file");
    let document = init(&folder, &["--source", "okta", "--provider", "acme"]);
    assert!(document["left"].to_string().contains("`tenant` is missing"), "{document:#}");
    assert!(document["secrets"].to_string().contains("offboard/providers/acme"), "{document:#}");
}

#[test]
fn text_says_what_to_fill_in_to_store_and_to_enter() {
    let folder = folder("text");
    let arguments = ["init", "--source", "entra=scim", "--provider", "cloudflare=cloudflare_access"];
    let output = offboard(&folder, &arguments);
    let said = text(&output.stdout);
    for part in [
        "Wrote config/offboard.toml, in dry-run mode",
        "`providers.cloudflare`: `account_id` is missing",
        "# sources-entra.json: {\"token\": \"…\"}",
        "# providers-cloudflare.json: {\"api_token\": \"…\"}, or {\"email\": \"…\", \"api_key\": \"…\"}",
        "--name offboard/providers/cloudflare --secret-string file://providers-cloudflare.json",
        "https://YOUR-API/scim/v2/entra",
        "/docs/sources/entra.md",
        "offboard sandbox --serve --config config/offboard.toml",
    ] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
    assert!(!said.contains("/docs/sources/ping.md"), "{said}");
}

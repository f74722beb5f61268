//! Files that are made of what the code knows: the schema of the configuration, and a page for each kind of provider.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use offboard::{config, providers::ProviderKind};
use serde_json::Value;

/// How the files are written anew.
const RENEW: &str = "RENEW=1 cargo test -p offboard-cli --test generated";

/// What the command line prints, in the root of the repository.
fn printed(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let command = &mut Command::new(env!("CARGO_BIN_EXE_offboard"));
    let output = command.current_dir(root).args(arguments).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Compares a file with what it has to be, or writes it.
fn check_file(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("RENEW").is_some() {
        fs::write(&file, expected).expect("a file");
    }
    let text = fs::read_to_string(&file).unwrap_or_default();
    assert!(text == expected, "{path} is not what the code makes of it: {RENEW}");
}

#[test]
fn schema_of_the_configuration_is_that_of_the_code() {
    check_file("config/offboard.schema.json", &printed(&["schema"]));
}

#[test]
fn schema_has_the_keys_that_the_configuration_reads() {
    let schema: Value = serde_json::from_str(&printed(&["schema"])).expect("JSON");
    let tables = config::keys();
    assert!(tables.len() >= 10, "{tables:?}");
    for (path, keys) in tables {
        // `sources.*.event` is the definition `event`, `sources.*` is `source`.
        let name = match path.rsplit_once('.') {
            Some((outer, "*")) => outer.trim_end_matches('s'),
            Some((_, name)) => name,
            None => path,
        };
        let properties = schema["definitions"][name]["properties"].as_object().expect(path);
        let described: BTreeSet<_> = properties.keys().map(String::as_str).filter(|key| *key != "kind").collect();
        assert_eq!(described, keys.iter().copied().collect(), "{path}");
    }
}

#[test]
fn page_of_every_kind_of_provider_is_that_of_the_code() {
    check_file("docs/providers/README.md", &printed(&["providers", "--markdown"]));
    let names = ProviderKind::names();
    for name in &names {
        check_file(&format!("docs/providers/{name}.md"), &printed(&["providers", "show", name, "--markdown"]));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/providers");
    for file in fs::read_dir(folder).expect("a folder") {
        let file = file.expect("a file").file_name().into_string().expect("UTF-8");
        let known = file == "README.md" || file.strip_suffix(".md").is_some_and(|name| names.contains(&name));
        assert!(known, "docs/providers/{file} is of no kind: remove it");
    }
}

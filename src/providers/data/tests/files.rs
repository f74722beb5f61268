//! Which files are read.

use std::{fs, path::Path};

use super::GOOD;
use crate::{
    providers::data::{BUILT_IN, Spec, built_in, check, known, like},
    settings::fields::assert_strict,
};

/// The files of the built-in kinds, by the name of their kind.
pub(super) fn files() -> Vec<(&'static str, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/providers/kinds");
    let read =
        |(name, _): &(&'static str, _)| (*name, fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap());
    BUILT_IN.iter().map(read).collect()
}

#[test]
fn built_in_file_is_in_order_and_means_the_same_as_json() {
    for ((name, file), (_, json)) in files().into_iter().zip(BUILT_IN) {
        let checked = check::parse(&file, like).unwrap_or_else(|errors| panic!("{name}.toml: {errors}"));
        assert_eq!(format!("{:#?}", built_in(json).unwrap()), format!("{checked:#?}"), "{name}");
    }
    assert!(BUILT_IN.is_sorted());
}

#[test]
fn no_table_of_a_file_accepts_an_unknown_key() {
    assert_strict::<Spec>();
}

#[test]
fn file_name_leads_nowhere_else() {
    for name in ["../kinds/datadog_user", "a/b", "", ".", "a.b", "A"] {
        assert!(matches!(known(name, Some(Path::new("src"))), Ok(None)), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn file_that_is_not_regular_or_too_large_is_not_read() {
    let folder = std::env::temp_dir().join(format!("offboard-data-files-{}", std::process::id()));
    fs::create_dir_all(folder.join("providers/folder.toml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.join("providers/endless.toml")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(folder.join("providers/fifo.toml")).status().unwrap();
    assert!(fifo.success());
    fs::write(folder.join("providers/large.toml"), " ".repeat(1024 * 1024 + 1)).unwrap();
    fs::write(folder.join("providers/largest.toml"), GOOD.to_owned() + &" ".repeat(1024 * 1024 - GOOD.len())).unwrap();
    let said = |name: &str| known(name, Some(&folder)).err().map(|errors| errors.to_string());
    for name in ["folder", "endless", "fifo", "large"] {
        let expected = format!("cannot read providers/{name}.toml: it must be a regular file of at most 1 MiB");
        assert_eq!(said(name), Some(expected));
    }
    assert_eq!(said("largest"), None);
    fs::remove_dir_all(folder).unwrap();
}

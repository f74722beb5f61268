//! Which files are read.

use super::GOOD;
use crate::providers::data::{known, names};

#[test]
fn every_built_in_file_is_in_order() {
    for name in names() {
        assert!(matches!(known(name, None), Ok(Some(_))), "{name}: {:?}", known(name, None).err());
    }
    let sorted: Vec<_> = names().collect();
    assert!(sorted.is_sorted(), "{sorted:?}");
}

#[test]
fn file_name_leads_nowhere_else() {
    for name in ["../kinds/datadog_user", "a/b", "", ".", "a.b", "A"] {
        assert!(matches!(known(name, Some(std::path::Path::new("src"))), Ok(None)), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn file_that_is_not_regular_or_too_large_is_not_read() {
    let folder = std::env::temp_dir().join(format!("offboard-data-files-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("providers/folder.toml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.join("providers/endless.toml")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(folder.join("providers/fifo.toml")).status().unwrap();
    assert!(fifo.success());
    std::fs::write(folder.join("providers/large.toml"), " ".repeat(1024 * 1024 + 1)).unwrap();
    std::fs::write(folder.join("providers/largest.toml"), GOOD.to_owned() + &" ".repeat(1024 * 1024 - GOOD.len()))
        .unwrap();
    let said = |name: &str| known(name, Some(&folder)).err().map(|errors| errors.to_string());
    for name in ["folder", "endless", "fifo", "large"] {
        let expected = format!("cannot read providers/{name}.toml: it must be a regular file of at most 1 MiB");
        assert_eq!(said(name), Some(expected));
    }
    assert_eq!(said("largest"), None);
    std::fs::remove_dir_all(folder).unwrap();
}

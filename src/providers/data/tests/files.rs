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

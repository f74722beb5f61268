#![expect(dead_code, reason = "the types are only asked for their keys")]

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer {
    plain: String,
    inner: Option<Inner>,
    list: Vec<Inner>,
    map: BTreeMap<Form, Vec<Inner>>,
    form: Form,
    #[serde(default, deserialize_with = "either")]
    either: Option<Inner>,
    written: Option<Parsed>,
    strict: Option<Strict>,
    flat: Option<Flat>,
    itself: Option<Box<Outer>>,
}

#[derive(Deserialize)]
struct Inner {
    depth: u8,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Unit,
    Named { depth: u8 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    any: serde_json::Value,
    names: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Flat {
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

#[derive(Deserialize)]
#[serde(try_from = "Inner")]
struct Parsed(u8);

impl TryFrom<Inner> for Parsed {
    type Error = String;

    fn try_from(inner: Inner) -> Result<Self, String> {
        Ok(Self(inner.depth))
    }
}

/// Reads a text or a table, as `max_departures` is read.
fn either<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Inner>, D::Error> {
    struct Either;

    impl<'de> Visitor<'de> for Either {
        type Value = Inner;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a text or a table")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, table: A) -> Result<Inner, A::Error> {
            Inner::deserialize(value::MapAccessDeserializer::new(table))
        }
    }

    deserializer.deserialize_any(Either).map(Some)
}

#[test]
fn fields_are_found_at_any_depth() {
    assert_eq!(known_keys::<Outer>(&[])[..3], ["plain", "inner", "list"]);
    for path in [&["inner"][..], &["list", ANY], &["map", "unit", ANY], &["form", "named"]] {
        assert_eq!(known_keys::<Outer>(path), ["depth"], "{path:?}");
    }
    for path in [&["plain"][..], &["other"], &["inner", "depth"], &["list"], &["form"], &["form", "unit"]] {
        assert_eq!(known_keys::<Outer>(path), [""; 0], "{path:?}");
    }
}

#[test]
fn lenient_tables_are_found_wherever_they_stand() {
    let found = lenient_tables::<Outer>();
    let outermost: Vec<_> = found.iter().filter(|path| !path.starts_with("itself")).collect();
    assert_eq!(outermost, ["either", "flat", "form.named", "inner", "list.*", "map.*.*", "written"]);
    assert!(found.iter().any(|path| path == "itself.inner"), "{found:?}");
    assert_eq!(lenient_tables::<Strict>(), [""; 0]);
}

#[test]
#[should_panic(expected = "Inner needs #[serde(deny_unknown_fields)], and no `flatten`, at [\"\"]")]
fn lenient_type_is_named() {
    assert_strict::<Inner>();
}

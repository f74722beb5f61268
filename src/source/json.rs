//! JSON that can be read in one way only.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::Unreadable;

/// A text as one JSON document.
///
/// An object that names a key twice is refused (RFC 7493 2.3): one reader takes the first value and another the last, so
/// what a sender put there twice, perhaps out of somebody's own profile, has no certain class.
pub(crate) fn document(text: &[u8]) -> Result<Value, Unreadable> {
    // serde_json itself distinguishes a text that is not JSON from one that we refuse: only our own errors are about data.
    let error = |error: serde_json::Error| if error.is_data() { Unreadable::KeyTwice } else { Unreadable::NotJson };
    serde_json::from_slice(text).map(|Certain(value)| value).map_err(error)
}

/// Reads a text as JSON documents: one, or one a line, at most `most`. A line that is not JSON costs no other.
pub(super) fn documents(text: &[u8], most: usize) -> Result<Vec<Result<Value, Unreadable>>, Unreadable> {
    if let Ok(one) = document(text) {
        return Ok(vec![Ok(one)]);
    }
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    if lines.clone().count() > most {
        return Err(Unreadable::TooManyEvents);
    }
    let documents: Vec<_> = lines.map(document).collect();
    if documents.is_empty() { Err(Unreadable::NotJson) } else { Ok(documents) }
}

/// A value in which every key of an object stands once.
struct Certain(Value);

impl<'de> Deserialize<'de> for Certain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CertainVisitor).map(Self)
    }
}

struct CertainVisitor;

impl<'de> Visitor<'de> for CertainVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON in which every key of an object stands once")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Certain(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((key, Certain(value))) = object.next_entry::<String, _>()? {
            if fields.insert(key, value).is_some() {
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_read_as_serde_json_reads_it() {
        let text = r#"{"a": [null, true, -1, 18446744073709551615, 1.5, "é\u0000", {"b": {}}], "c": {"a": 1}}"#;
        assert_eq!(document(text.as_bytes()), Ok(serde_json::from_str(text).unwrap()));
        for text in ["", "{", "[1,]", "{\"a\": 1} x", "\u{feff}{}", "NaN", "1e999", "'a'"] {
            assert_eq!(document(text.as_bytes()), Err(Unreadable::NotJson), "{text}");
        }
        assert_eq!(document(b"\"\xff\""), Err(Unreadable::NotJson));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_wherever_it_stands() {
        for text in [r#"{"a": 1, "a": 1}"#, r#"[{"b": {"a": 1, "c": 2, "\u0061": 3}}]"#] {
            assert_eq!(document(text.as_bytes()), Err(Unreadable::KeyTwice), "{text}");
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused_before_it_costs_the_stack() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(document(nested(100).as_bytes()).is_ok());
        assert_eq!(document(nested(100_000).as_bytes()), Err(Unreadable::NotJson));
    }

    #[test]
    fn lines_are_read_one_by_one() {
        let lines = documents(b"{\"a\":1}\r\n\n{\"a\":\n  [2]\n", 3).unwrap();
        assert_eq!(lines, [Ok(json!({ "a": 1 })), Err(Unreadable::NotJson), Ok(json!([2]))]);
        assert_eq!(documents(b"[\n1,\n2]", 1), Ok(vec![Ok(json!([1, 2]))]));
        assert_eq!(documents(b" \n", 1), Err(Unreadable::NotJson));
        assert_eq!(documents(b"1\n\n2\n3", 2), Err(Unreadable::TooManyEvents));
    }
}

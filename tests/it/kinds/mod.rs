//! The senders known by name, by how they prove to be themselves.

use serde_json::Value;

use crate::signing::{read, source, told};

mod hmac;
mod jwt;
mod token;

/// What the source that `table` configures makes of a delivery.
fn tells(table: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let told = told(&read(&source(table), &headers, body.as_bytes()));
    assert!(!told.contains("actor"), "{told}");
    told
}

/// Each body, and what is told of it.
fn check<const N: usize>(table: &str, cases: [(Value, &str); N]) {
    for (body, expected) in cases {
        assert_eq!(tells(table, &[], &body.to_string()), expected, "{body}");
    }
}

/// The same with this value at this place.
fn with(body: &Value, pointer: &str, value: Value) -> Value {
    let mut body = body.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match body.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
        object => object[key] = value,
    }
    body
}

fn without(body: &Value, pointer: &str) -> Value {
    let mut body = body.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).and_then(Value::as_object_mut).unwrap().remove(key).unwrap();
    body
}

//! Zitadel gives its events a number in a sequence instead of an id, and what they carry as JSON in base64:
//! <https://zitadel.com/docs/guides/integrate/actions/usage>.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::{
    source::{Unreadable, json::document},
    webhook::Verified,
};

/// The event, with `id` (`aggregate/sequence`) and `payload` beside it.
pub(super) fn normalize(verified: &Verified) -> Result<Vec<Value>, Unreadable> {
    let mut event = document(verified.body())?;
    let missing = |field: &str| Unreadable::Missing(format!("/{field}"));
    let aggregate = event["aggregateID"].as_str().ok_or_else(|| missing("aggregateID"))?;
    let sequence = event["sequence"].as_u64().ok_or_else(|| missing("sequence"))?;
    let id = format!("{aggregate}/{sequence}");
    let payload = payload(&event["event_payload"]).ok_or(Unreadable::Malformed("/event_payload".to_owned()))?;
    if let Value::Object(fields) = &mut event {
        fields.insert("id".to_owned(), id.into());
        fields.insert("payload".to_owned(), payload);
    }
    Ok(vec![event])
}

/// Some versions write the payload as it is.
fn payload(written: &Value) -> Option<Value> {
    match written {
        Value::String(text) if text.is_empty() => Some(Value::Null),
        Value::String(text) => document(&BASE64_STANDARD.decode(text).ok()?).ok(),
        other => Some(other.clone()),
    }
}

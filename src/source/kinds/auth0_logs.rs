//! Auth0's log streams write one log entry a line, or a list of them, each bare or under `data`:
//! <https://auth0.com/docs/customize/log-streams/custom-log-streams>.

use serde_json::Value;

use crate::{
    source::reading::{Unreadable, documents},
    webhook::Verified,
};

/// The bare log entries.
pub(super) fn unfold(verified: &Verified) -> Result<Vec<Value>, Unreadable> {
    let flat = documents(verified.body())?.into_iter().flat_map(|document| match document {
        Value::Array(entries) => entries,
        entry => vec![entry],
    });
    let bare = |entry: Value| match entry {
        Value::Object(mut fields) if fields.get("data").is_some_and(Value::is_object) => {
            let (id, mut data) = (fields.remove("log_id"), fields.remove("data").unwrap_or_default());
            if let (Some(id), Value::Object(data)) = (id, &mut data) {
                data.entry("log_id").or_insert(id);
            }
            data
        }
        entry => entry,
    };
    Ok(flat.map(bare).collect())
}

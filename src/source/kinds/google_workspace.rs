//! Google names the change in headers, and sends a first message without a body:
//! <https://developers.google.com/workspace/admin/directory/v1/guides/push>.

use serde_json::{Value, json};

use crate::{
    source::{Unreadable, json::document},
    webhook::Verified,
};

/// The change, its number in the channel, and the user that it is about.
pub(super) fn normalize(verified: &Verified) -> Result<Vec<Value>, Unreadable> {
    let header = |name: &str| verified.header(name).ok_or_else(|| Unreadable::Missing(name.to_owned()));
    let state = header("x-goog-resource-state")?;
    let id = format!("{}/{}", header("x-goog-channel-id")?, header("x-goog-message-number")?);
    let user = if verified.body().is_empty() { Value::Null } else { document(verified.body())? };
    Ok(vec![json!({ "id": id, "state": state, "user": user })])
}

//! Keycloak's extension writes whom an event is about in several places, and the user as JSON in a text:
//! <https://github.com/p2-inc/keycloak-events>.

use serde_json::Value;

use crate::{
    source::reading::{Unreadable, document},
    webhook::Verified,
};

/// The event, with `about = "user"` and `subject` (the user's id) beside it if it is about a user, and `representation` as
/// JSON.
pub(super) fn unfold(verified: &Verified) -> Result<Vec<Value>, Unreadable> {
    let mut event = document(verified.body())?;
    let subject = subject(&event).map(str::to_owned);
    if let Value::Object(fields) = &mut event {
        if let Some(subject) = subject {
            fields.insert("about".to_owned(), "user".into());
            fields.insert("subject".to_owned(), subject.into());
        }
        if let Some(text) = fields.get("representation").and_then(Value::as_str) {
            let user = serde_json::from_str(text).map_err(|_| Unreadable::Malformed("/representation".to_owned()))?;
            fields.insert("representation".to_owned(), user);
        }
    }
    Ok(vec![event])
}

/// The user whom an event is about. `None` for what a user merely has: to remove a social login is a `USER-DELETE` of
/// `users/ID/federated-identity/PROVIDER`, see `removeFederatedIdentity` in Keycloak's `UserResource.java`.
fn subject(event: &Value) -> Option<&str> {
    let kind = event["type"].as_str()?;
    if !event["error"].is_null() {
        return None;
    }
    // A user's own event names the user where an administrator's event names the administrator.
    if kind.starts_with("access.") {
        return event["authDetails"]["userId"].as_str();
    }
    let named = event["resourcePath"].as_str()?.strip_prefix("users/").filter(|id| !id.contains('/'))?;
    let agrees = event["details"]["userId"].as_str().is_none_or(|id| id == named);
    agrees.then_some(named)
}

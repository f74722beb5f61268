//! Keycloak's extension writes whom an event is about in several places, and the user as JSON in a text:
//! <https://github.com/p2-inc/keycloak-events>.

use serde_json::Value;

use crate::{
    source::{Unreadable, json::document},
    webhook::Verified,
};

/// The event; if it is about a user, with `about = "user"`, their id as `subject`, and what is known of them as JSON.
pub(super) fn normalize(verified: &Verified) -> Result<Vec<Value>, Unreadable> {
    let mut event = document(verified.body())?;
    let subject = subject(&event)?.map(str::to_owned);
    let about = subject.is_some().then_some("user");
    if let Value::Object(fields) = &mut event {
        let text = fields.get("representation").and_then(Value::as_str);
        if let Some(text) = text.filter(|_| about.is_some()) {
            let user = document(text.as_bytes()).map_err(|_| malformed("/representation"))?;
            fields.insert("representation".to_owned(), user);
        }
        fields.insert("about".to_owned(), about.into());
        fields.insert("subject".to_owned(), subject.into());
    }
    Ok(vec![event])
}

/// The user whom an event is about. `None` for what a user merely has: to remove a social login is a `USER-DELETE` of
/// `users/ID/federated-identity/PROVIDER`, see `removeFederatedIdentity` in Keycloak's `UserResource.java`.
fn subject(event: &Value) -> Result<Option<&str>, Unreadable> {
    let kind = event["type"].as_str().unwrap_or_default();
    if !event["error"].is_null() {
        return Ok(None);
    }
    // A user's own event names the user where an administrator's event names the administrator.
    if kind.starts_with("access.") {
        return Ok(Some(event["authDetails"]["userId"].as_str().unwrap_or_default()));
    }
    let path = event["resourcePath"].as_str().unwrap_or_default();
    let Some(named) = path.strip_prefix("users/").filter(|id| !id.contains('/')) else { return Ok(None) };
    match event["details"]["userId"].as_str() {
        Some(other) if other != named => Err(malformed("/details/userId")),
        _ => Ok(Some(named)),
    }
}

fn malformed(pointer: &str) -> Unreadable {
    Unreadable::Malformed(pointer.to_owned())
}

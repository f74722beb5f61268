//! A Security Event Token names its event by a key, and its subject in one of several formats: RFC 8417, RFC 9493.

use serde_json::{Value, json};

use crate::{
    source::{Unreadable, json::document},
    webhook::Verified,
};

/// Each event of the token: its `id`, `type` and time, and the subject's `idp_id` or `email`.
pub(super) fn normalize(verified: &Verified) -> Result<Vec<Value>, Unreadable> {
    let claims = document(verified.body())?;
    let missing = |field: &str| Unreadable::Missing(format!("/{field}"));
    let events = claims["events"].as_object().ok_or_else(|| missing("events"))?;
    let id = claims["jti"].as_str().ok_or_else(|| missing("jti"))?;
    let plain = |(index, (kind, event)): (usize, (&String, &Value))| {
        // Older transmitters name the subject in the event.
        let subject = [&claims["sub_id"], &event["subject"]].into_iter().find(|subject| subject.is_object());
        let subject = subject.map_or(&Value::Null, simple);
        let idp_id = [&subject["sub"], &subject["id"]].into_iter().find(|id| id.is_string());
        json!({
            // A token holds one event as a rule, and then its id is the event's.
            "id": if index == 0 { id.to_owned() } else { format!("{id}/{index}") },
            "type": kind,
            "event": event,
            "iat": claims["iat"],
            "idp_id": idp_id,
            "email": subject["email"],
        })
    };
    Ok(events.iter().enumerate().map(plain).collect())
}

/// The user of a complex subject.
fn simple(subject: &Value) -> &Value {
    if subject["user"].is_object() { &subject["user"] } else { subject }
}

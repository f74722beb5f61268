//! GitHub names the event's type and the delivery in headers:
//! <https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers>.

use serde_json::Value;

use crate::{
    source::{Unreadable, json::document},
    webhook::Verified,
};

/// The body, with `event` (`organization.member_removed`) and `delivery` beside it.
pub(super) fn normalize(verified: &Verified) -> Result<Vec<Value>, Unreadable> {
    let mut body = document(verified.body())?;
    let event = verified.header("x-github-event").ok_or_else(|| Unreadable::Missing("x-github-event".to_owned()))?;
    let name = match body["action"].as_str() {
        Some(action) => format!("{event}.{action}"),
        None => event.to_owned(),
    };
    let delivery = verified.header("x-github-delivery");
    if let Value::Object(fields) = &mut body {
        fields.insert("event".to_owned(), name.into());
        fields.insert("delivery".to_owned(), delivery.into());
    }
    Ok(vec![body])
}

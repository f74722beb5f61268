//! Clerk lists a user's e-mail addresses, verified and unverified ones, and names the primary one by its id:
//! <https://clerk.com/docs/webhooks/overview>.

use serde_json::Value;

use crate::{
    source::{Unreadable, json::document},
    webhook::Verified,
};

/// The event, with the verified `addresses` beside it, the primary one first.
pub(super) fn normalize(verified: &Verified) -> Result<Vec<Value>, Unreadable> {
    let mut event = document(verified.body())?;
    let listed = event["data"]["email_addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut verified: Vec<_> = listed.iter().filter(|one| one["verification"]["status"] == "verified").collect();
    let primary = &event["data"]["primary_email_address_id"];
    verified.sort_by_key(|one| one["id"] != *primary);
    let addresses: Vec<_> = verified.into_iter().map(|one| one["email_address"].clone()).collect();
    if let Value::Object(fields) = &mut event {
        fields.insert("addresses".to_owned(), addresses.into());
    }
    Ok(vec![event])
}

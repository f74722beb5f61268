//! Items as DynamoDB has them.

use std::{collections::HashMap, str::FromStr};

use aws_sdk_dynamodb::types::AttributeValue;

use super::super::{
    LedgerError,
    store::{Due, Index, Item},
};

/// The attributes that are no set and no field of an item.
const OWN: [&str; 10] =
    ["id", "version", "document", "expires_at", "state", "due_at", "month", "received_at", "dry_run", "source"];

pub(super) type Attributes = HashMap<String, AttributeValue>;

/// The key of an item.
pub(super) fn key(id: &str) -> Attributes {
    HashMap::from([("id".to_owned(), AttributeValue::S(id.to_owned()))])
}

pub(super) fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Reads an item.
pub(super) fn item(attributes: &Attributes) -> Result<Item, LedgerError> {
    let mut item = Item {
        id: text(attributes, "id")?,
        version: optional(attributes, "version").unwrap_or(0),
        document: text(attributes, "document").unwrap_or_default(),
        expires_at: optional(attributes, "expires_at"),
        source: text(attributes, "source").ok(),
        ..Item::default()
    };
    if attributes.contains_key("state") {
        item.index = Some(Index {
            state: text(attributes, "state")?,
            due_at: optional(attributes, "due_at"),
            month: text(attributes, "month")?,
            received_at: count(attributes, "received_at")?,
            dry_run: is_dry_run(attributes),
        });
    }
    for (name, value) in attributes.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        match value {
            AttributeValue::Ss(members) => _ = item.sets.insert(name.clone(), members.iter().cloned().collect()),
            AttributeValue::S(text) => _ = item.fields.insert(name.clone(), text.clone()),
            _ => {}
        }
    }
    Ok(item)
}

/// Reads an item of the index by state.
pub(super) fn due(attributes: &Attributes) -> Result<Due, LedgerError> {
    let (id, due_at) = (text(attributes, "id")?, count(attributes, "due_at")?);
    Ok(Due { id, due_at, dry_run: is_dry_run(attributes) })
}

fn is_dry_run(attributes: &Attributes) -> bool {
    attributes.get("dry_run").and_then(|value| value.as_bool().ok()).copied().unwrap_or_default()
}

pub(super) fn text(attributes: &Attributes, name: &str) -> Result<String, LedgerError> {
    let value = attributes.get(name).and_then(|value| value.as_s().ok());
    value.cloned().ok_or(LedgerError::Unreadable("attribute"))
}

pub(super) fn count<T: FromStr>(attributes: &Attributes, name: &str) -> Result<T, LedgerError> {
    optional(attributes, name).ok_or(LedgerError::Unreadable("attribute"))
}

fn optional<T: FromStr>(attributes: &Attributes, name: &str) -> Option<T> {
    attributes.get(name)?.as_n().ok()?.parse().ok()
}

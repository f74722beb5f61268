//! Items as DynamoDB's JSON has them, of the types that offboard writes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// An item: attributes by name.
pub type Item = BTreeMap<String, Attribute>;

/// A value: `{"S": "…"}`. One of another type is not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Attribute {
    /// A text.
    S(String),
    /// A number, as text.
    N(String),
    /// Yes or no.
    #[serde(rename = "BOOL")]
    Bool(bool),
    /// A set of texts.
    #[serde(rename = "SS")]
    Set(BTreeSet<String>),
}

impl Attribute {
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::S(text) = self { Some(text) } else { None }
    }

    /// A number, as far as offboard writes them: whole ones.
    pub(super) fn number(&self) -> Option<i64> {
        if let Self::N(text) = self { text.parse().ok() } else { None }
    }

    pub(super) fn set(&self) -> Option<&BTreeSet<String>> {
        if let Self::Set(members) = self { Some(members) } else { None }
    }

    fn size(&self) -> usize {
        match self {
            Self::S(text) | Self::N(text) => text.len(),
            Self::Bool(_) => 1,
            Self::Set(members) => members.iter().map(String::len).sum(),
        }
    }
}

/// The bytes of names and values, about as DynamoDB counts them.
pub(super) fn size<'a>(attributes: impl IntoIterator<Item = (&'a String, &'a Attribute)>) -> usize {
    attributes.into_iter().map(|(name, value)| name.len() + value.size()).sum()
}

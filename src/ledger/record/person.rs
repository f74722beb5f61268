//! A person, in a record: in full while there is work to do, masked once there is none.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::key::{IdentityKey, TraitKey};
use crate::person::{Email, Person, mask_addresses};

/// A person, in a record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPerson {
    /// The source's id, or the strongest that stands for it; `None` if the event identifies no person.
    pub key: Option<IdentityKey>,
    /// Everything that the event names, hashed.
    pub traits: Vec<TraitKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idp_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    /// The addresses that the event names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    emails: Vec<String>,
    /// The addresses that the identity map adds, masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_emails: Vec<String>,
    /// Whether the texts are masked, so that no person can be found by them.
    #[serde(default)]
    masked: bool,
}

impl StoredPerson {
    pub(super) fn new(source: &str, person: &Person) -> Self {
        Self {
            key: IdentityKey::of(source, person),
            traits: TraitKey::all_of(source, person),
            idp_id: person.idp_id.clone(),
            external_id: person.external_id.clone(),
            emails: person.emails().map(|email| email.expose().to_owned()).collect(),
            known_emails: Vec::new(),
            masked: false,
        }
    }

    /// Returns the person as the event named them; masked once the departure is done.
    pub fn person(&self) -> Person {
        let mut emails = self.emails.iter().filter_map(|text| Email::parse(text));
        Person {
            idp_id: self.idp_id.clone(),
            external_id: self.external_id.clone(),
            email: emails.next(),
            other_emails: emails.collect(),
        }
    }

    /// Returns the addresses that the event names, as they were written.
    pub fn emails(&self) -> &[String] {
        &self.emails
    }

    /// Whether two events name the same person: by the strongest id that both give.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
    }

    pub(super) fn mask(&mut self) {
        let one = [&mut self.idp_id, &mut self.external_id].into_iter().flatten();
        for text in one.chain(&mut self.emails) {
            *text = mask_addresses(text);
        }
        self.masked = true;
    }

    /// Returns whether the texts are masked, so that no person can be found by them.
    pub fn is_masked(&self) -> bool {
        self.masked
    }
}

impl fmt::Debug for StoredPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredPerson({:?})", self.key)
    }
}

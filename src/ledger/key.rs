//! Keys: which ids of which sources the ledger knows, and the ids of its items.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::person::Person;

/// The item of the kill switch.
pub(super) const PAUSE: &str = "#pause";
/// The item of what the providers asked for.
pub(super) const PROVIDERS: &str = "#providers";

/// A source's id of a person, hashed: `SOURCE/KIND-HASH`.
///
/// A source that gives no id of its own is known by the external id, else by the e-mail address: such a key is *weak*,
/// because the same person may have a stronger one from another event of the same source.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdentityKey(String);

/// What a person is found by: an e-mail address, or one source's external id. Holds the id of the trait's item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraitKey(String);

/// A reference to a departure: its id, and its rank among its source's words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DepartureRef {
    /// [`super::Record::rank`], in milliseconds since 1970.
    pub rank: i64,
    /// The departure's id.
    pub id: String,
}

/// A hash for what is personal, or too long for an id: 32 hexadecimal digits.
pub(crate) fn short(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..16])
}

impl IdentityKey {
    /// Returns the strongest key that a source's event gives of a person: by the source's id, the external id, or the main
    /// e-mail address.
    pub fn of(source: &str, person: &Person) -> Option<Self> {
        let key = |kind: char, text: &str| Self(format!("{source}/{kind}-{}", short(text)));
        let by_id = person.idp_id.as_deref().map(|id| key('i', id));
        let by_external_id = || person.external_id.as_deref().map(|id| key('x', id));
        let by_email = || person.emails().next().map(|email| key('e', &email.canonical()));
        by_id.or_else(by_external_id).or_else(by_email)
    }

    /// Returns the hash of the source's own id; `None` for a weak key.
    pub(crate) fn id_hash(&self) -> Option<&str> {
        self.0.split_once('/')?.1.strip_prefix("i-")
    }

    /// Returns the source's name.
    pub fn source(&self) -> &str {
        self.0.split_once('/').map_or("", |(source, _)| source)
    }

    /// Returns whether the key is nothing but this trait: the same source may know the same person by a stronger key.
    pub(crate) fn is_weak_at(&self, key: &TraitKey) -> bool {
        let Some((kind, hash)) = self.0.split_once('/').and_then(|(_, rest)| rest.split_once('-')) else {
            return false;
        };
        let is_of_kind = kind == if key.is_external_id() { "x" } else { "e" };
        is_of_kind && key.item().rsplit('/').next() == Some(hash)
    }

    /// Returns the id of this identity's item.
    pub(super) fn item(&self) -> String {
        format!("#identity/{}", self.0)
    }

    /// Returns the key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for IdentityKey {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Beginning of the keys of e-mail addresses.
const ADDRESS: &str = "#address/";

impl TraitKey {
    /// The key of an e-mail address in canonical form, the same for all sources.
    pub fn email(canonical: &str) -> Self {
        Self(format!("{ADDRESS}{}", short(canonical)))
    }

    /// Returns the hash of an e-mail address in canonical form; `None` of an external id.
    pub(super) fn address_hash(&self) -> Option<&str> {
        self.0.strip_prefix(ADDRESS)
    }

    /// The key of one source's external id.
    pub fn external_id(source: &str, id: &str) -> Self {
        Self(format!("#external/{source}/{}", short(id)))
    }

    /// Returns the keys of everything that an event says of a person.
    pub fn all_of(source: &str, person: &Person) -> Vec<Self> {
        let external = person.external_id.as_deref().map(|id| Self::external_id(source, id));
        let mut keys: Vec<Self> =
            person.emails().map(|email| Self::email(&email.canonical())).chain(external).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// Returns whether it is an external id.
    pub fn is_external_id(&self) -> bool {
        self.0.starts_with("#external/")
    }

    /// Returns the id of this trait's item.
    pub fn item(&self) -> &str {
        &self.0
    }
}

impl DepartureRef {
    /// Reads a member of a set of references.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (rank, id) = text.split_once('|')?;
        Some(Self { rank: rank.parse().ok()?, id: id.to_owned() })
    }
}

impl fmt::Display for DepartureRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.rank, self.id)
    }
}

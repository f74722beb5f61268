//! Users in the ledger's table: an item per user, and what finds it by user name and external id. No scan.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::User;
use crate::{
    ledger::{
        Holders, IdentityKey, Ledger, LedgerError, TraitKey, short,
        store::{Change, Item},
    },
    person::Email,
};

/// Users that one external id finds; the ones that had it last.
const MAX_CLAIMS: usize = 20;

/// A stored user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoredUser {
    /// Our id: random, never used again.
    pub(super) id: String,
    /// Version of the item; 0 if it is not stored yet.
    #[serde(skip)]
    pub(super) version: u64,
    pub(super) user: User,
    /// Whether the last write that said anything of it said that the user is active.
    pub(super) is_active: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) created: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) modified: OffsetDateTime,
    /// When a POST created the user, or made them active again.
    #[serde(with = "time::serde::rfc3339")]
    pub(super) posted: OffsetDateTime,
    /// Number of departures that were recorded of the user.
    pub(super) departures: u32,
    /// Whether a POST made the user active again, or an inactive one got another external id: perhaps for another person, whose object at the identity provider is not the one that
    /// the user had before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) was_restored: bool,
}

/// An item that says which users have a user name or an external id. One whose user has it no longer is void.
pub(super) struct Claim {
    item: String,
    version: u64,
    ids: Vec<String>,
}

/// The users who have or had a user name or an external id, and the items that say so.
pub(super) struct Claimed {
    name: Claim,
    external_id: Option<Claim>,
    users: Vec<StoredUser>,
}

/// The users of one source.
#[derive(Clone, Copy)]
pub(super) struct Storage<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) source: &'a str,
}

impl StoredUser {
    /// Reads an item; `None` for that of a deleted user.
    fn read(item: &Item) -> Result<Option<Self>, LedgerError> {
        if item.source.is_none() {
            return Ok(None);
        }
        let mut user: Self = serde_json::from_str(&item.document).map_err(|_| LedgerError::Unreadable("user"))?;
        user.user.active.get_or_insert(user.is_active);
        Ok(Some(Self { version: item.version, ..user }))
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        self.user.user_name.to_lowercase() == name.to_lowercase()
    }

    pub(super) fn has_external_id(&self, id: &str) -> bool {
        self.user.external_id.as_deref() == Some(id)
    }
}

impl Claimed {
    /// Returns the active user who has this name. Inactive ones may have it as well.
    pub(super) fn active(&self, name: &str) -> Option<&StoredUser> {
        self.users.iter().find(|user| user.is_active && user.has_name(name))
    }

    /// Returns the inactive user whom a POST of `user` means: the one of this external id, whatever the name (Okta renames so); or the
    /// one of this name, unless both have an external id and these differ: a new person may have inherited the name.
    pub(super) fn inactive(&self, user: &User) -> Option<&StoredUser> {
        let inactive = || self.users.iter().filter(|known| !known.is_active);
        let has_id = |known: &&StoredUser| user.external_id.as_deref().is_some_and(|id| known.has_external_id(id));
        let is_one_unknown = |known: &&StoredUser| user.external_id.is_none() || known.user.external_id.is_none();
        let named = || inactive().filter(|known| known.has_name(&user.user_name));
        named().find(has_id).or_else(|| inactive().find(has_id)).or_else(|| named().find(is_one_unknown))
    }
}

impl<'a> Storage<'a> {
    pub(super) fn new(ledger: &'a Ledger, source: &'a str) -> Self {
        Self { ledger, source }
    }

    fn item(&self, kind: &str, text: &str) -> String {
        format!("#{kind}/{}/{}", self.source, short(text))
    }

    fn user_item(&self, id: &str) -> String {
        self.item("scim", id)
    }

    fn name_item(&self, name: &str) -> String {
        self.item("scim-name", &name.to_lowercase())
    }

    fn external_item(&self, id: &str) -> String {
        self.item("scim-ext", id)
    }

    /// Returns the user of this id.
    pub(super) async fn get(&self, id: &str) -> Result<Option<StoredUser>, LedgerError> {
        let found = self.of_items(BTreeSet::from([self.user_item(id)])).await?;
        Ok(found.into_iter().find(|user| user.id == id))
    }

    /// Returns the users whose items these are, in order; those that were deleted are left out.
    pub(super) async fn of_items(&self, items: BTreeSet<String>) -> Result<Vec<StoredUser>, LedgerError> {
        let items = if items.is_empty() { BTreeMap::new() } else { self.ledger.store().read(&items).await? };
        items.values().filter_map(|item| StoredUser::read(item).transpose()).collect()
    }

    /// Returns the items of all users, in order.
    pub(super) async fn all(&self) -> Result<Vec<String>, LedgerError> {
        self.ledger.store().by_source(self.source).await
    }

    /// Returns the users who have or had this name.
    pub(super) async fn by_name(&self, name: &str) -> Result<Vec<StoredUser>, LedgerError> {
        self.of_claim(self.name_item(name)).await
    }

    /// Returns the users who have or had this external id.
    pub(super) async fn by_external_id(&self, id: &str) -> Result<Vec<StoredUser>, LedgerError> {
        self.of_claim(self.external_item(id)).await
    }

    async fn of_claim(&self, item: String) -> Result<Vec<StoredUser>, LedgerError> {
        let items = self.ledger.store().read(&BTreeSet::from([item.clone()])).await?;
        let claim = Claim::read(item, &items)?;
        self.of_ids(claim.ids.iter()).await
    }

    /// Returns the users of these ids: the active ones first, and as the ids are ordered.
    async fn of_ids(&self, ids: impl Iterator<Item = &String> + Clone) -> Result<Vec<StoredUser>, LedgerError> {
        let mut users = self.of_items(ids.clone().map(|id| self.user_item(id)).collect()).await?;
        users.sort_by_key(|user| (!user.is_active, ids.clone().position(|id| *id == user.id)));
        Ok(users)
    }

    /// Returns the users whom the identity map knows by this address; `None` if it holds too many ids to be sure.
    pub(super) async fn by_address(&self, email: &Email) -> Result<Option<Vec<StoredUser>>, LedgerError> {
        let key = TraitKey::email(&email.canonical());
        let items = self.ledger.store().read(&BTreeSet::from([key.item().to_owned()])).await?;
        let Some(item) = items.get(key.item()) else { return Ok(Some(Vec::new())) };
        let holders = Holders::read(item)?;
        if holders.crowded {
            return Ok(None);
        }
        let own = holders.ids.keys().filter(|id| id.source() == self.source);
        let items = own.filter_map(IdentityKey::id_hash).map(|hash| format!("#scim/{}/{hash}", self.source));
        self.of_items(items.collect()).await.map(Some)
    }

    /// Returns who has the name and the external id of `user`.
    pub(super) async fn claimed(&self, user: &User) -> Result<Claimed, LedgerError> {
        let name = self.name_item(&user.user_name);
        let external_id = user.external_id.as_deref().map(|id| self.external_item(id));
        let wanted = external_id.iter().chain([&name]).cloned().collect();
        let items = self.ledger.store().read(&wanted).await?;
        let name = Claim::read(name, &items)?;
        let external_id = external_id.map(|item| Claim::read(item, &items)).transpose()?;
        let ids = name.ids.iter().chain(external_id.iter().flat_map(|claim| &claim.ids));
        let users = self.of_ids(ids).await?;
        Ok(Claimed { name, external_id, users })
    }

    /// Returns the changes that write a user, and the claims if they changed.
    pub(super) fn writes(&self, user: &StoredUser, claimed: Option<&Claimed>) -> Result<Vec<Change>, LedgerError> {
        let document = serde_json::to_string(user).map_err(|_| LedgerError::Unreadable("user"))?;
        let item = Item {
            id: self.user_item(&user.id),
            version: user.version + 1,
            document,
            source: Some(self.source.to_owned()),
            ..Item::default()
        };
        let mut changes = vec![Change::Swap { item, expected: user.version }];
        if let Some(claimed) = claimed {
            // An inactive user never takes a name away from an active one.
            let before = claimed.active(&user.user.user_name).filter(|_| !user.is_active);
            let named: Vec<_> = before.into_iter().map(|before| before.id.as_str()).chain([user.id.as_str()]).collect();
            changes.push(claimed.name.write(&named)?);
            if let Some(claim) = &claimed.external_id {
                changes.push(claim.write(&[&user.id])?);
            }
        }
        Ok(changes)
    }

    /// Returns the change that leaves a tombstone of a user, for `retention`.
    pub(super) fn deletes(&self, user: &StoredUser, retention: Duration, now: OffsetDateTime) -> Change {
        let item = Item {
            id: self.user_item(&user.id),
            version: user.version + 1,
            document: "{}".to_owned(),
            expires_at: Some((now + retention).unix_timestamp()),
            ..Item::default()
        };
        Change::Swap { item, expected: user.version }
    }
}

impl Claim {
    fn read(item: String, items: &BTreeMap<String, Item>) -> Result<Self, LedgerError> {
        let Some(stored) = items.get(&item) else { return Ok(Self { item, version: 0, ids: Vec::new() }) };
        let ids = serde_json::from_str(&stored.document).map_err(|_| LedgerError::Unreadable("claim"))?;
        Ok(Self { item, version: stored.version, ids })
    }

    /// Returns the change by which users claim it, before those who had it.
    fn write(&self, first: &[&str]) -> Result<Change, LedgerError> {
        let others = self.ids.iter().map(String::as_str).filter(|other| !first.contains(other));
        let ids: Vec<_> = first.iter().copied().chain(others).take(MAX_CLAIMS).collect();
        let document = serde_json::to_string(&ids).map_err(|_| LedgerError::Unreadable("claim"))?;
        let item = Item { id: self.item.clone(), version: self.version + 1, document, ..Item::default() };
        Ok(Change::Swap { item, expected: self.version })
    }
}

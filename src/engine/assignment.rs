//! What the engine is to do about one person.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ledger::ProtectedAddresses,
    person::{Email, Identity, KnownBy},
};

/// What the engine is to do at each provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The traits by which the person is looked up.
    pub targets: Vec<Target>,
    /// The departure's source: external ids are its own.
    pub source: String,
    /// What to do about the accounts that are found.
    pub action: Action,
    /// Ids of accounts under former addresses that a release showed, by provider.
    pub released: BTreeMap<String, BTreeSet<String>>,
    /// Addresses that operators protect, by the facts on which the person is removed: no account of theirs is.
    pub protected: ProtectedAddresses,
    /// Providers at which an earlier run noted its intent to remove and whose outcome is not known.
    pub begun: BTreeSet<String>,
}

/// One trait by which the person is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The trait.
    pub identity: OwnedIdentity,
    /// Whether it is used to remove the person's account.
    pub status: AddressStatus,
}

/// An e-mail address or an external id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedIdentity {
    /// The e-mail address.
    Email(Email),
    /// The organization's own id of the person.
    ExternalId(String),
}

/// Whether an address, or an external id, is used to remove the person's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressStatus {
    /// It is the person's.
    Current,
    /// Its source first said it right before the departure, as mail is led to a colleague: an account under it is removed only if
    /// a release showed that account.
    New,
    /// Its source first said it when the person had left: the same, and it is not tried where nothing is looked up.
    Later,
    /// Its source replaced it: an account under it is removed only if a release showed that account.
    Former,
    /// Its source replaced it, and another active person has it now: an account under it is never removed.
    FormerInUse,
}

impl AddressStatus {
    /// Returns why an account under the address is left alone, until it is released or for good.
    pub(crate) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Current => None,
            Self::New | Self::Later => Some("new_address"),
            Self::Former => Some("former_address"),
            Self::FormerInUse => Some("former_address_in_use"),
        }
    }

    /// Returns whether a release permits the removal of an account that was left alone for this reason.
    pub(crate) fn is_released(reason: &str) -> bool {
        [Self::New, Self::Former].iter().any(|status| status.reason() == Some(reason))
    }
}

/// What to do about the accounts that are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Remove them, and prove it.
    Remove,
    /// Report them as `planned`.
    LookUp,
    /// Only find out, at the providers in [`Assignment::begun`], whether a removal that was begun took place: an account that is
    /// still there is `not_attempted`, with the reason `held`.
    Resolve,
}

impl Target {
    /// Returns the e-mail address, if this is one.
    pub fn email(&self) -> Option<&Email> {
        match &self.identity {
            OwnedIdentity::Email(email) => Some(email),
            OwnedIdentity::ExternalId(_) => None,
        }
    }
}

impl OwnedIdentity {
    /// Returns the trait as a look-up takes it.
    pub fn borrowed(&self) -> Identity<'_> {
        match self {
            Self::Email(email) => Identity::Email(email),
            Self::ExternalId(id) => Identity::ExternalId(id),
        }
    }
}

impl Assignment {
    /// Returns the targets of the kind that a provider asks for, each identity once with its best status. None is a masked
    /// address.
    pub(super) fn targets(&self, known_by: KnownBy) -> Vec<&Target> {
        let mut targets: Vec<&Target> = Vec::new();
        let is_usable = |target: &&Target| match target.email() {
            Some(email) => known_by == KnownBy::Email && !email.is_masked(),
            None => known_by == KnownBy::ExternalId,
        };
        for target in self.targets.iter().filter(is_usable) {
            match targets.iter_mut().find(|known| known.identity == target.identity) {
                Some(known) if target.status < known.status => *known = target,
                Some(_) => {}
                None => targets.push(target),
            }
        }
        targets
    }

    /// Returns the status of an e-mail address, if it is one of the person's.
    pub(super) fn status_of(&self, address: &str) -> Option<AddressStatus> {
        let is = |target: &&Target| target.email().is_some_and(|email| email.is(address));
        self.targets.iter().filter(is).map(|target| target.status).min()
    }

    /// Returns whether a release showed this account under a former address.
    pub(super) fn is_released(&self, provider: &str, account_id: &str) -> bool {
        self.released.get(provider).is_some_and(|ids| ids.contains(account_id))
    }
}

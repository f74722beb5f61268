//! What a source changes about a person right around their departure.

use std::collections::BTreeSet;

use crate::{
    engine::AddressStatus,
    ledger::{Facts, Held, Holding, IdentityKey, Record},
};

/// The time around a departure in which what a source changes about the person is part of the leaving: mail that is led to a
/// colleague, a name that is freed. An address that is new in it is not the person's, and one that is replaced in it still is.
/// In milliseconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct Leaving {
    from: i64,
    at: i64,
    until: i64,
    /// The first fact about the person.
    first: i64,
}

impl Leaving {
    /// `settle` is the source's, in milliseconds. Of a person who came back afterwards, what was changed then is no part of it.
    pub(super) fn of(record: &Record, facts: &Facts, ids: &BTreeSet<IdentityKey>, settle: i64) -> Self {
        let at = record.time();
        let own = || ids.iter().filter_map(|id| facts.identities.get(id)).map(|stored| &stored.identity);
        let has_returned = own().any(|identity| identity.active.is_some_and(|active| active > at));
        let settle = if has_returned { 0 } else { settle };
        let first = own().filter_map(|identity| identity.first).min().unwrap_or(i64::MAX);
        Self { from: at.saturating_sub(settle), at, until: at.saturating_add(settle), first }
    }

    /// Returns the status of an address, or external id, that a person who was known before got in that time.
    pub(super) fn unverified(self, held: &Held) -> Option<AddressStatus> {
        let since = held.regained.unwrap_or(held.from);
        let is_in_it = self.first <= self.from && since > self.from && since <= self.until;
        is_in_it.then_some(if since <= self.at { AddressStatus::New } else { AddressStatus::Later })
    }

    /// Returns whether the address was replaced, and not by the leaving.
    pub(super) fn is_former(self, held: &Held) -> bool {
        held.until.is_some_and(|until| until <= self.from || until > self.until)
    }

    /// Returns whether another id got the address around the departure, or later: whoever it is, the address is not free.
    pub(super) fn is_next(self, other: &Holding) -> bool {
        other.regained.unwrap_or(other.from) > self.from
    }
}

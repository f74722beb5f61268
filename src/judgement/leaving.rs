//! What a source changes about a person right around their departure.

use std::collections::BTreeSet;

use time::OffsetDateTime;

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
    /// The end; `None` of a person who came back: what was replaced then is no part of it.
    until: Option<i64>,
    /// As of when what the person had is theirs: the beginning, or the departure of somebody who was not known before.
    known_at: i64,
    /// Of a person who came back and left again: as of when they left again, and with what.
    again_at: Option<i64>,
}

impl Leaving {
    /// `settle` is the source's, in milliseconds.
    pub(super) fn of(
        record: &Record,
        facts: &Facts,
        ids: &BTreeSet<IdentityKey>,
        settle: i64,
        now: OffsetDateTime,
    ) -> Self {
        let at = record.time();
        let own = || ids.iter().filter_map(|id| facts.identities.get(id)).map(|stored| &stored.identity);
        let has_returned = own().any(|identity| identity.active.is_some_and(|active| active > at));
        let from = at.saturating_sub(settle);
        let is_known = own().filter_map(|identity| identity.first).any(|first| first <= from);
        let until = (!has_returned).then(|| at.saturating_add(settle));
        let departures = ids.iter().filter_map(|id| facts.identities.get(id)).flat_map(|stored| &stored.departures);
        let again = departures.filter(|one| one.id != record.id && facts.stands(&one.id, now));
        let again = again.filter(|one| facts.is_unopposed(&one.id)).map(|one| one.rank).filter(|rank| *rank > at).max();
        let again_at = again.map(|rank| rank.saturating_sub(settle));
        Self { from, at, until, known_at: if is_known { from } else { at }, again_at }
    }

    /// Returns what an address, or external id, was to the person when they left, whatever was said of it afterwards. One that
    /// the departure's event names (`is_named`) is theirs, also if the map learns it only afterwards.
    pub(super) fn status(self, held: &Held, is_named: bool) -> AddressStatus {
        let spans = || held.spans.iter();
        let had = |at: i64| spans().any(|span| span.from <= at && span.until.is_none_or(|until| until > at));
        let is_kept = held.until().is_none_or(|until| self.until.is_some_and(|end| self.from < until && until <= end));
        match () {
            () if had(self.known_at) && is_kept => AddressStatus::Current,
            () if spans().any(|span| self.known_at < span.from && span.from <= self.at) => AddressStatus::New,
            () if spans().any(|span| span.from <= self.at) => AddressStatus::Former,
            () if is_named || self.again_at.is_some_and(had) => AddressStatus::Current,
            () => AddressStatus::Later,
        }
    }

    /// Returns from when until when the person had an address of this status.
    pub(super) fn time(self, held: &Held, status: AddressStatus) -> (i64, Option<i64>) {
        let before = || held.spans.iter().rfind(|span| span.from <= self.at)?.until;
        let until = if status == AddressStatus::Former { held.until().or_else(before) } else { held.until() };
        (held.from(), until)
    }

    /// Returns whether an address was named within the time, or before it.
    pub(super) fn covers(self, held: &Held) -> bool {
        self.until.is_some_and(|until| held.from() <= until)
    }

    /// Returns whether another id got the address around the departure, or later: the address is not free, active or not.
    pub(super) fn is_next(self, other: &Holding) -> bool {
        other.regained.unwrap_or(other.from) > self.from
    }
}

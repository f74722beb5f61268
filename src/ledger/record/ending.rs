//! How a run of a departure ends: done, or due again.

use std::{collections::BTreeSet, time::Duration};

use time::OffsetDateTime;

use super::{NEVER, Record, State, StoredResult, seconds};
use crate::{
    outcome::{ProviderResult, Status},
    verdict::{Next, Verdict},
};

/// The first and the longest pause between two attempts of what is left.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(6 * 60 * 60));
/// How long after the first attempt to remove what is left is given to a person.
const GIVE_UP: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// Failures, over eight hours apart, before a departure that cannot be judged is given to a person.
const MIN_NOT_JUDGED: u32 = 10;

impl Record {
    /// Ends a run: the lease goes, and the state follows from the last judgement and from the providers that its source reaches.
    /// Without work left the person is masked.
    pub fn close(&mut self, verdict: &Verdict, reached: &BTreeSet<&str>, retention: Duration, now: OffsetDateTime) {
        self.lease = None;
        let (now, worst) = (now.unix_timestamp(), self.worst(reached));
        let is_over = matches!(worst, Status::Done | Status::NeedsAttention);
        (self.state, self.due_at) = match verdict.next {
            Next::Hold { due_at } => (State::Held, Some(self.resolved_at(reached, now).unwrap_or(due_at).min(due_at))),
            Next::Wait { due_at } => (State::Pending, Some(due_at)),
            // Nobody would look again whether a removal that was begun took place.
            Next::Attend => match self.resolved_at(reached, now) {
                Some(at) => (State::Pending, Some(at)),
                None => (State::NeedsAttention, Some(NEVER)),
            },
            Next::LookUp => (State::Held, Some(self.looked_up_at(reached, now).unwrap_or(NEVER))),
            // A person may take days: accounts under a late address are looked up before that.
            Next::Remove if is_over && !self.late.is_empty() => (State::Pending, Some(now)),
            Next::Remove => self.after_removals(worst, reached, now),
        };
        if self.state == State::Done {
            self.end(retention, now);
        }
    }

    /// Returns what needs most of the providers that its source reaches. One that it reached once, and that is not known to be
    /// done, is for a person: no provider API is called any more.
    pub fn worst(&self, reached: &BTreeSet<&str>) -> Status {
        let status = |name: &str| match self.providers.get(name) {
            Some(result) if !result.again => result.found.worst.outcome.status(),
            _ => Status::Incomplete,
        };
        let tried = self.providers.keys().chain(&self.intent).map(String::as_str);
        let is_left_behind = |name: &&str| !reached.contains(name) && status(name) != Status::Done;
        let left_behind = tried.filter(is_left_behind).map(|_| Status::NeedsAttention);
        reached.iter().map(|name| status(name)).chain(left_behind).max().unwrap_or(Status::Done)
    }

    /// Returns when it is looked up next whether removals that were begun took place, if a provider has not answered that.
    fn resolved_at(&mut self, reached: &BTreeSet<&str>, now: i64) -> Option<i64> {
        let begun = self.begun();
        self.looked_up_at(&reached.iter().copied().filter(|name| begun.contains(*name)).collect(), now)
    }

    /// Returns when those of these providers are called again, only to look up, that did not answer; `None` if each did, or that
    /// went on for three days.
    fn looked_up_at(&mut self, providers: &BTreeSet<&str>, now: i64) -> Option<i64> {
        let is_silent = |name: &&str| self.providers.get(*name).is_some_and(|result| result.found.is_silent());
        let silent: BTreeSet<_> = providers.iter().copied().filter(is_silent).collect();
        if silent.is_empty() { None } else { self.tried_again_at(&silent, now) }
    }

    fn after_removals(&mut self, worst: Status, reached: &BTreeSet<&str>, now: i64) -> (State, Option<i64>) {
        match worst {
            Status::Done => (State::Done, None),
            Status::NeedsAttention | Status::Planned => (State::NeedsAttention, Some(NEVER)),
            _ => match self.tried_again_at(reached, now) {
                Some(at) => (State::Pending, Some(at)),
                None => (State::NeedsAttention, Some(NEVER)),
            },
        }
    }

    /// Counts an attempt that left work at these providers, and returns when the first of them is called again, in seconds since
    /// 1970; `None` if that went on for three days.
    fn tried_again_at(&mut self, providers: &BTreeSet<&str>, now: i64) -> Option<i64> {
        let open: Vec<_> = self.open(providers).collect();
        // A run that changed facts ended says nothing of the providers.
        let is_outdated = open.iter().any(|result| result.found.is_outdated());
        let is_refused = !is_outdated && (open.is_empty() || open.iter().any(|result| !result.found.is_waiting()));
        self.failed_attempts = self.failed_attempts.saturating_add(u32::from(is_refused));
        let first = *self.first_attempt_at.get_or_insert(now);
        (now - first <= seconds(GIVE_UP)).then(|| self.next_attempt(providers, now))
    }

    /// Ends a run in which it could not be judged. It is tried again after a growing pause, and given to a person if that goes on
    /// for three days after its reception.
    pub(crate) fn not_judged(&mut self, now: OffsetDateTime) {
        self.lease = None;
        self.failed_attempts = self.failed_attempts.saturating_add(1);
        // One that was held for long is not given up because of one outage.
        let is_given_up = now - self.received_at > GIVE_UP && self.failed_attempts >= MIN_NOT_JUDGED;
        (self.state, self.due_at) = match is_given_up {
            true => (State::NeedsAttention, Some(NEVER)),
            false => (self.state, Some(now.unix_timestamp() + seconds(self.pause()))),
        };
    }

    /// How long to wait before what is left is tried again.
    fn pause(&self) -> Duration {
        let doubled = BACKOFF.0.saturating_mul(1 << self.failed_attempts.saturating_sub(1).min(20));
        doubled.min(BACKOFF.1)
    }

    /// Returns when the first of the providers with work left is called again, in seconds since 1970. None waits for another.
    fn next_attempt(&self, providers: &BTreeSet<&str>, now: i64) -> i64 {
        let again = now + seconds(self.pause());
        let at = |result: &StoredResult| {
            let asked = result.not_before.map_or(now, |at| at.div_euclid(1000) + i64::from(at.rem_euclid(1000) > 0));
            let is_put_off = result.found.is_waiting() || result.found.is_outdated();
            asked.max(if is_put_off { now } else { again })
        };
        self.open(providers).map(at).min().unwrap_or(again)
    }

    /// The results of those providers that have work left. One that is not reached any more may never be called again.
    fn open(&self, providers: &BTreeSet<&str>) -> impl Iterator<Item = &StoredResult> {
        let results = providers.iter().filter_map(|name| self.providers.get(*name));
        results.filter(|result| result.again || !is_final(&result.found))
    }

    /// Settles it: from now on it may be forgotten, and its person is no longer known.
    pub fn end(&mut self, retention: Duration, now: i64) {
        self.due_at = None;
        self.expires_at = Some(now.saturating_add(seconds(retention)));
        self.person.mask();
    }
}

/// Whether nothing more is to be found out at a provider.
pub(super) fn is_final(found: &ProviderResult) -> bool {
    !matches!(found.worst.outcome.status(), Status::Incomplete | Status::Planned)
}

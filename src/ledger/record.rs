//! One departure's record, and how it changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

mod by_hand;
mod document;
mod ending;
mod person;
mod state;

use ending::is_final;
pub use person::StoredPerson;
pub use state::State;

use super::{
    DepartureRef, MAX_RETRY_AFTER,
    key::{IdentityKey, TraitKey, short},
};
use crate::{
    departure::{Departure, Event},
    notification::{Notification, Occasion},
    outcome::{Outcome, ProviderResult, Status},
    verdict::{MAX_AHEAD, RaisedVeto, Release, Verdict, Veto},
};

/// How far the clocks of two workers may be apart. A lease is respected for so much longer than it says.
pub const SKEW: Duration = Duration::from_secs(120);
/// When a record is due that waits for a person: 9999-01-01, in seconds since 1970.
pub const NEVER: i64 = 253_370_764_800;
/// Actions of people that are kept.
const MAX_HISTORY: usize = 50;

/// What is known of one departure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// `source/event id`.
    pub id: String,
    /// Number of changes.
    #[serde(skip)]
    pub version: u64,
    /// The source's name.
    pub source: String,
    /// The event that said so.
    pub event: Event,
    /// When its first delivery arrived.
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    /// Its rank among its source's facts, in milliseconds since 1970: when it happened, or was reported if that is earlier.
    pub rank: i64,
    /// Who left. In full while there is work to do; masked once there is none.
    pub person: StoredPerson,
    /// Where it stands.
    pub state: State,
    /// When something is to be done about it, in seconds since 1970; `None` once it is done or dismissed.
    pub due_at: Option<i64>,
    /// When its record may be deleted, in seconds since 1970; only once it is done or dismissed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The vetoes that stood at the last judgement; `None` before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vetoes: Option<Vec<RaisedVeto>>,
    /// Whether its event id was known with another person or another time.
    #[serde(default)]
    pub event_id_reused: bool,
    /// Whether it follows the person's creation by a SCIM client within an hour, or deletes a user whom the client had created again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub right_after_creation: bool,
    /// Whether it waits for the identity facts of its delivery to be stored.
    #[serde(default)]
    pub awaits_facts: bool,
    /// Whether a dry run planned it: then it is carried out after a release alone.
    #[serde(default)]
    pub planned: bool,
    /// Addresses of the person that became known while it was open, and by which no account was looked up yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub late: BTreeSet<TraitKey>,
    /// Whether the safeguard has counted it.
    #[serde(default)]
    pub counted: bool,
    /// When that was, in seconds since 1970, if it could not be when the departure was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_late: Option<i64>,
    /// Whether the safeguard has let it through.
    #[serde(default)]
    pub let_through: bool,
    /// The first judgement at which nothing stood but `active_elsewhere`, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_since: Option<i64>,
    /// What a person released.
    #[serde(default, skip_serializing_if = "Release::is_empty")]
    pub release: Release,
    /// Where a removal may have begun whose end is not known.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub intent: BTreeSet<String>,
    /// The first attempt to remove since it was received, released or replayed, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_attempt_at: Option<i64>,
    /// Attempts since it was received.
    #[serde(default)]
    pub attempts: u32,
    /// Attempts that ended with work left, since it was received, released or replayed.
    #[serde(default)]
    pub failed_attempts: u32,
    /// The addresses and external ids by which accounts were looked up.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub looked_up: BTreeSet<TraitKey>,
    /// What is true at each provider that was tried.
    #[serde(default)]
    pub providers: BTreeMap<String, StoredResult>,
    /// Who works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// What people did about it.
    #[serde(default)]
    pub history: Vec<OperatorAction>,
    /// Number of notifications about it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub notifications: u32,
    /// What people were to know of it when a run or a decision ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noted: Option<Occasion>,
}

/// What is true at one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredResult {
    /// What was found and done.
    #[serde(flatten)]
    pub found: ProviderResult,
    /// When this was found.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Before when the provider is not called for this departure, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// Number of runs in which this provider was tried.
    pub runs: u32,
    /// Whether it is to be tried again, as a person asked. Until then it stands as it was.
    #[serde(default)]
    pub again: bool,
}

/// Who works on a departure, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The invocation.
    pub by: String,
    /// By the holder's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
}

/// What a person did about a departure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorAction {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The caller's AWS identity.
    pub who: String,
    /// `release`, `dismiss`, `replay`, `confirm`.
    pub what: String,
    /// What a release overrode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Veto>,
    /// The provider at which a person confirmed a removal by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// What they said about it. E-mail addresses are masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Returns milliseconds since 1970.
pub fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(NEVER)
}

impl Record {
    /// A record of a departure that was received at `now`, due at once. `rank` orders it among its source's facts.
    pub fn new(departure: &Departure, now: OffsetDateTime, rank: i64) -> Self {
        let Departure { id, source, event, person } = departure;
        Self {
            id: id.clone(),
            version: 0,
            source: source.clone(),
            event: event.clone(),
            received_at: now,
            rank,
            person: StoredPerson::new(source, person),
            state: State::Pending,
            due_at: Some(now.unix_timestamp()),
            expires_at: None,
            vetoes: None,
            event_id_reused: false,
            right_after_creation: false,
            awaits_facts: false,
            planned: false,
            late: BTreeSet::new(),
            counted: false,
            counted_late: None,
            let_through: false,
            overlap_since: None,
            release: Release::default(),
            intent: BTreeSet::new(),
            first_attempt_at: None,
            attempts: 0,
            failed_attempts: 0,
            looked_up: BTreeSet::new(),
            providers: BTreeMap::new(),
            lease: None,
            history: Vec::new(),
            notifications: 0,
            noted: None,
        }
    }

    /// Returns whether this is the record of the same event: the same person at the same time.
    pub fn is_of(&self, departure: &Departure) -> bool {
        let other = StoredPerson::new(&departure.source, &departure.person);
        self.event.occurred_at == departure.event.occurred_at && self.person.is_same(&other)
    }

    /// Returns the id under which an event is recorded whose id stands for another person or time already.
    pub fn reused_id(departure: &Departure) -> String {
        let person = StoredPerson::new(&departure.source, &departure.person);
        let key = person.key.as_ref().map(IdentityKey::as_str).unwrap_or_default();
        let time = serde_json::to_string(&departure.event.occurred_at).unwrap_or_default();
        let traits: Vec<_> = person.traits.iter().map(TraitKey::item).collect();
        format!("{}~{}", departure.id, &short(&format!("{key}|{time}|{}", traits.join("|")))[..12])
    }

    /// Returns when it happens, in milliseconds since 1970: ahead of the clock for a scheduled departure.
    pub fn time(&self) -> i64 {
        self.event.occurred_at.map_or(self.rank, |at| millis(at.resolve(self.received_at)).max(self.rank))
    }

    /// Returns whether it counts as said: not dismissed, not planned in a dry run, its time not ahead, and held for nothing but
    /// what the leaving of others or time resolves. One that was not judged yet does not stand.
    pub fn stands(&self, now: OffsetDateTime) -> bool {
        let resolves =
            |veto: Veto| matches!(veto, Veto::ActiveElsewhere | Veto::PersonReturned | Veto::Paused | Veto::Settling);
        match (self.state, &self.vetoes) {
            (State::Dismissed, _) => false,
            (State::Done, _) => true,
            (_, None) => false,
            (_, Some(vetoes)) => {
                self.time() <= millis(now).saturating_add(MAX_AHEAD)
                    && vetoes.iter().all(|raised| resolves(raised.veto))
            }
        }
    }

    /// Returns how other items refer to it.
    pub fn reference(&self) -> DepartureRef {
        DepartureRef { rank: self.rank, id: self.id.clone() }
    }

    /// Returns whether a worker holds it at `now`, by any clock.
    pub fn is_leased(&self, now: OffsetDateTime) -> bool {
        self.lease.as_ref().is_some_and(|lease| now < lease.until + SKEW)
    }

    /// Takes the lease, and puts the departure behind others in case its worker dies.
    pub fn take(&mut self, lease: Lease) {
        self.attempts = self.attempts.saturating_add(1);
        self.due_at = Some((lease.until + SKEW).unix_timestamp());
        self.lease = Some(lease);
        self.awaits_facts = false;
    }

    /// Returns whether a result of this provider is left to find.
    pub fn is_open_at(&self, provider: &str) -> bool {
        let result = self.providers.get(provider);
        result.is_none_or(|result| result.again || !is_final(&result.found))
    }

    /// Returns before when a provider is not called for this departure, in milliseconds since 1970.
    pub fn not_before(&self, provider: &str) -> Option<i64> {
        self.providers.get(provider)?.not_before
    }

    /// Returns whether the departure's turn at a provider came, and the departure was not carried out there since.
    pub(crate) fn has_turn(&self, provider: &str, now: OffsetDateTime) -> bool {
        let Some(result) = self.providers.get(provider).filter(|result| result.found.is_waiting()) else {
            return false;
        };
        result.not_before.is_some_and(|turn| turn <= millis(now))
    }

    /// Returns the providers at which a removal may have begun whose end is not known.
    pub fn begun(&self) -> BTreeSet<String> {
        self.intent.iter().filter(|provider| self.is_open_at(provider)).cloned().collect()
    }

    /// Records by what accounts are looked up from now on. Where no account was found, or none could be looked up, a new trait is looked
    /// up as well.
    pub fn looks_up_by(&mut self, traits: BTreeSet<TraitKey>) {
        if !self.looked_up.is_empty() && !traits.is_subset(&self.looked_up) {
            self.try_again(|outcome| outcome.status() == Status::Done || outcome == Outcome::Unidentified);
        }
        self.late.retain(|key| !traits.contains(key));
        self.looked_up.extend(traits);
    }

    /// Records what is now true at a provider. `asked` says whether its removal was begun in this run.
    pub fn note_result(&mut self, mut found: ProviderResult, asked: bool, now: OffsetDateTime) {
        let provider = found.provider.clone();
        let not_before = found.retry_after().map(|wait| millis(now + wait.min(MAX_RETRY_AFTER)));
        let before = self.providers.get(&provider);
        let runs = before.map_or(0, |result| result.runs) + 1;
        if let Some(before) = before {
            found.keep_removed(&before.found);
            // What was removed, and how that is known, stays: a later look-up finds no account.
            if found.worst.outcome == Outcome::AlreadyAbsent && before.found.worst.is_removal() {
                found = before.found.clone();
            }
        }
        let unknown = leaves_removal_unknown(found.worst.outcome);
        if !(unknown && (asked || self.intent.contains(&provider))) {
            self.intent.remove(&provider);
        }
        self.providers.insert(provider, StoredResult { found, at: now, not_before, runs, again: false });
    }

    /// Records a judgement. What it says of the state is applied by [`Record::close`].
    pub fn judged(&mut self, verdict: &Verdict) {
        self.vetoes = Some(verdict.standing.clone());
        self.let_through |= verdict.lets_through;
        self.planned |= self.has_veto(Veto::DryRun);
        self.overlap_since = verdict.overlap_since;
        self.person.known_emails = verdict.known_emails(self.person.emails());
    }

    /// Makes work of it again; `again` says which results are to be found anew.
    pub fn reopen(&mut self, now: OffsetDateTime, again: impl Fn(Outcome) -> bool) {
        self.state = State::Pending;
        self.due_at = Some(now.unix_timestamp());
        self.expires_at = None;
        self.failed_attempts = 0;
        self.first_attempt_at = None;
        self.try_again(again);
    }

    fn try_again(&mut self, again: impl Fn(Outcome) -> bool) {
        for result in self.providers.values_mut() {
            if again(result.found.worst.outcome) {
                (result.again, result.not_before) = (true, None);
            }
        }
    }

    /// Adds what a person did.
    pub fn note(&mut self, action: OperatorAction) {
        self.history.push(action);
        if self.history.len() > MAX_HISTORY {
            self.history.remove(0);
        }
    }

    /// Returns the notification about what became of it since a run or a decision ended last, if that is one of those wanted.
    pub(crate) fn notify(&mut self, wanted: &BTreeSet<Occasion>, now: OffsetDateTime) -> Option<Notification> {
        let occasion = self.occasion();
        let is_new = std::mem::replace(&mut self.noted, occasion) != occasion;
        let about = occasion.filter(|about| is_new && wanted.contains(about))?;
        self.notifications = self.notifications.saturating_add(1);
        Some(Notification::of(self, about, self.notifications, now))
    }

    /// Returns whether a veto stood at the last judgement.
    pub fn has_veto(&self, veto: Veto) -> bool {
        self.vetoes.iter().flatten().any(|standing| standing.veto == veto)
    }

    /// Returns the vetoes that stood at the last judgement and were not released since.
    pub fn reasons(&self) -> Vec<Veto> {
        let standing = self.vetoes.iter().flatten();
        standing.filter(|standing| !self.release.overrides(standing)).map(|standing| standing.veto).collect()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Whether a removal that was begun may have worked all the same.
fn leaves_removal_unknown(outcome: Outcome) -> bool {
    outcome.status() == Status::Incomplete || outcome == Outcome::Rejected
}

//! Decides whether a departed person is removed: the only place that does.
//!
//! [`judge`] is a pure function. It evaluates every veto, always; none hides another. It runs on reception, on every
//! resumption, and before every removal on facts that are at most 5 seconds old.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    config::{Mode, Policy},
    engine::{OwnedIdentity, Target},
    ledger::{Facts, NEVER, Record, millis},
    person::Email,
};

mod activity;
mod related;
#[cfg(test)]
mod tests;

pub use activity::stands;
use related::Related;

/// How far ahead of our clock an event may be without being taken for a scheduled one, in milliseconds.
pub const MAX_AHEAD: i64 = 5 * 60 * 1000;
/// How often a departure is judged again that waits for another source's departure, in seconds.
const OVERLAP_EVERY: i64 = 5 * 60;
/// How often a held departure is judged again whose vetoes can lapse by themselves, in seconds.
const HELD_EVERY: i64 = 60 * 60;

/// A reason against removing a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Veto {
    /// An operator said `offboard pause`.
    Paused,
    /// `mode = "dry_run"`.
    DryRun,
    /// An address of the person is on the protected list.
    Protected,
    /// It was older than `max_event_age` when it was received.
    EventTooOld,
    /// It is more than 5 minutes ahead.
    EventInFuture,
    /// More departures were received in a window than `max_departures`.
    TooManyDepartures,
    /// A source's last word about the person is "active", later than the departure.
    PersonReturned,
    /// Another id has a trait of the person, is active, and is not leaving.
    ActiveElsewhere,
    /// The event id is known with another person or another time.
    EventIdReused,
    /// The source's `settle` has not passed.
    Settling,
}

impl Veto {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 10] = [
        Self::Paused,
        Self::DryRun,
        Self::Protected,
        Self::EventTooOld,
        Self::EventInFuture,
        Self::TooManyDepartures,
        Self::PersonReturned,
        Self::ActiveElsewhere,
        Self::EventIdReused,
        Self::Settling,
    ];

    /// Returns the name in reports and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::DryRun => "dry_run",
            Self::Protected => "protected",
            Self::EventTooOld => "event_too_old",
            Self::EventInFuture => "event_in_future",
            Self::TooManyDepartures => "too_many_departures",
            Self::PersonReturned => "person_returned",
            Self::ActiveElsewhere => "active_elsewhere",
            Self::EventIdReused => "event_id_reused",
            Self::Settling => "settling",
        }
    }

    /// Returns the veto of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|veto| veto.as_str() == name)
    }

    /// Returns whether a release can override it at all.
    pub fn is_releasable(self) -> bool {
        !matches!(self, Self::Paused | Self::DryRun | Self::Protected)
    }

    /// Returns whether time alone ends it, so that a release overrides it only by name.
    pub fn is_a_matter_of_time(self) -> bool {
        matches!(self, Self::EventInFuture | Self::Settling)
    }

    /// Returns whether it can lapse without a person.
    fn can_lapse(self) -> bool {
        matches!(self, Self::Paused | Self::PersonReturned | Self::ActiveElsewhere)
    }
}

impl fmt::Display for Veto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A veto that stands, and the facts that raise it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedVeto {
    /// Which.
    pub veto: Veto,
    /// What raises it, where it is something that a source said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<VetoFact>,
}

/// Something that a source said, as a reason against a removal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VetoFact {
    /// Which id's, hashed: `SOURCE/KIND-HASH`.
    pub id: String,
    /// When it was said, in milliseconds since 1970.
    pub at: i64,
}

/// What a person released: the vetoes that they saw, with the facts that were shown, and the accounts under former addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The facts shown, by veto.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vetoes: BTreeMap<Veto, BTreeSet<VetoFact>>,
    /// Account ids under former addresses, by provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub former: BTreeMap<String, BTreeSet<String>>,
}

impl RaisedVeto {
    /// Returns whether a release can override it: also what a dry run planned that is over.
    pub fn is_releasable(&self) -> bool {
        self.veto.is_releasable() || (self.veto == Veto::DryRun && !self.facts.is_empty())
    }
}

impl Release {
    /// Returns whether nothing was released.
    pub fn is_empty(&self) -> bool {
        self.vetoes.is_empty() && self.former.is_empty()
    }

    /// Returns whether it overrides a veto: a newer fact, or another id's, was not shown.
    pub(crate) fn overrides(&self, standing: &RaisedVeto) -> bool {
        let Some(shown) = self.vetoes.get(&standing.veto).filter(|_| standing.veto.is_releasable()) else {
            return false;
        };
        let was_shown = |fact: &VetoFact| shown.iter().any(|other| other.id == fact.id && other.at >= fact.at);
        standing.facts.iter().all(was_shown)
    }
}

/// What the configuration says about a departure.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// `[policy]`.
    pub policy: &'a Policy,
    /// The source's `settle`; `None` if the source is not configured any more.
    pub settle: Option<Duration>,
}

/// The result of a judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Every veto that stands and is not overridden, in the order of [`Veto::ALL`].
    pub standing: Vec<RaisedVeto>,
    /// What follows.
    pub next: Next,
    /// By what the person is looked up.
    pub targets: Vec<Target>,
    /// Whether the safeguard lets it through from now on.
    pub lets_through: bool,
    /// Since when nothing stands but `active_elsewhere`, in seconds since 1970.
    pub overlap_since: Option<i64>,
}

/// What follows from a judgement. Times are in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Accounts are removed.
    Remove,
    /// Accounts are looked up, for the plan of a dry run.
    LookUp,
    /// Held; judged again then.
    Hold {
        /// When.
        due_at: i64,
    },
    /// Pending; judged again then.
    Wait {
        /// When.
        due_at: i64,
    },
    /// Left to a person: protected, or of a source that is not configured any more.
    Attend,
}

impl Verdict {
    /// Returns the addresses that the identity map adds to those of the event, masked.
    pub(crate) fn known_emails(&self, said: &[String]) -> Vec<String> {
        let said: Vec<_> = said.iter().filter_map(|text| Email::parse(text)).map(|email| email.canonical()).collect();
        let emails = self.targets.iter().filter_map(|target| match &target.identity {
            OwnedIdentity::Email(email) => Some(email),
            OwnedIdentity::ExternalId(_) => None,
        });
        emails.filter(|email| !said.contains(&email.canonical())).map(Email::masked).collect()
    }
}

/// Decides about a departure on these facts, at `now`. Total, and without side effects.
pub fn judge(record: &Record, facts: &Facts, rules: Rules<'_>, now: OffsetDateTime) -> Verdict {
    let related = Related::of(record, facts, now);
    let raised = raised(record, facts, rules, now, &related);
    let settling = raised.iter().any(|standing| standing.veto == Veto::Settling);
    let too_many = raised.iter().any(|standing| standing.veto == Veto::TooManyDepartures);
    let lets_through = !settling && !too_many;
    let standing: Vec<_> = raised.into_iter().filter(|standing| !record.release.overrides(standing)).collect();
    let only_elsewhere = !standing.is_empty() && standing.iter().all(|one| one.veto == Veto::ActiveElsewhere);
    let overlap_since = record.overlap_since.or_else(|| only_elsewhere.then(|| now.unix_timestamp()));
    let next = next(record, &standing, rules, now, overlap_since);
    Verdict { standing, next, targets: related.targets, lets_through, overlap_since }
}

/// Every veto that the facts raise, whatever was released.
fn raised(record: &Record, facts: &Facts, rules: Rules<'_>, now: OffsetDateTime, related: &Related) -> Vec<RaisedVeto> {
    let (policy, at) = (rules.policy, millis(now));
    let received = millis(record.received_at);
    let length = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let is_protected = related.every_email.iter().any(|email| policy.protects(email));
    let (returned, elsewhere) = related.active.iter().cloned().partition::<Vec<_>, _>(|active| active.is_later);
    let facts_of = |active: Vec<related::Active>| active.into_iter().map(|active| active.fact).collect::<Vec<_>>();
    let (returned, elsewhere) = (facts_of(returned), facts_of(elsewhere));
    let is_raised = |veto: Veto| match veto {
        Veto::Paused => facts.pause.is_some(),
        // What a dry run planned is carried out after a release alone.
        Veto::DryRun => policy.mode == Mode::DryRun || record.planned,
        Veto::Protected => is_protected,
        Veto::EventTooOld => received.saturating_sub(record.time()) > length(policy.max_event_age),
        Veto::EventInFuture => record.time() > at.saturating_add(MAX_AHEAD),
        Veto::TooManyDepartures => !record.let_through && facts.is_over(policy.max_departures.as_ref()),
        Veto::PersonReturned => !returned.is_empty(),
        Veto::ActiveElsewhere => !elsewhere.is_empty(),
        Veto::EventIdReused => record.event_id_reused,
        Veto::Settling => at < received.saturating_add(length(rules.settle.unwrap_or_default())),
    };
    let standing = |veto: Veto| {
        let facts = match veto {
            Veto::PersonReturned => returned.clone(),
            Veto::ActiveElsewhere => elsewhere.clone(),
            // Of a dry run that is over: this can be released.
            Veto::DryRun if policy.mode != Mode::DryRun => vec![VetoFact { id: "planned".to_owned(), at: 0 }],
            _ => Vec::new(),
        };
        RaisedVeto { veto, facts }
    };
    Veto::ALL.into_iter().filter(|veto| is_raised(*veto)).map(standing).collect()
}

/// What follows from the vetoes that stand: protected goes before held, held before pending.
fn next(
    record: &Record,
    standing: &[RaisedVeto],
    rules: Rules<'_>,
    now: OffsetDateTime,
    overlap_since: Option<i64>,
) -> Next {
    let vetoes: Vec<Veto> = standing.iter().map(|standing| standing.veto).collect();
    let (stands, now) = (|veto: Veto| vetoes.contains(&veto), now.unix_timestamp());
    let overlap = i64::try_from(rules.policy.overlap.as_secs()).unwrap_or(NEVER);
    let overlap_ends = overlap_since.map_or(now, |since| since.saturating_add(overlap).min(NEVER));
    let waits = |veto: Veto| match veto {
        Veto::Settling => Some(seconds_up(millis(record.received_at)) + seconds(rules.settle.unwrap_or_default())),
        // "No end" is written as the year 9999 by many: nothing is due later than [`NEVER`], or no list would show it.
        Veto::EventInFuture => Some(seconds_up(record.time()).min(NEVER)),
        Veto::ActiveElsewhere if overlap_since.is_none() => Some(now + OVERLAP_EVERY),
        Veto::ActiveElsewhere if now < overlap_ends => Some(overlap_ends.min(now + OVERLAP_EVERY)),
        _ => None,
    };
    let is_dry_run = rules.policy.mode == Mode::DryRun;
    // A dry run's departure is looked up once the pause is over.
    let lapses = |veto: Veto| veto.can_lapse() || waits(veto).is_some() || (veto == Veto::DryRun && is_dry_run);
    let due_at = vetoes.iter().filter_map(|veto| waits(*veto)).max();
    match due_at {
        // Which providers the source reaches is not known any more.
        _ if stands(Veto::Protected) || rules.settle.is_none() => Next::Attend,
        _ if vetoes.is_empty() => Next::Remove,
        _ if is_dry_run && !stands(Veto::Paused) => Next::LookUp,
        Some(due_at) if vetoes.iter().all(|veto| waits(*veto).is_some()) => Next::Wait { due_at },
        _ if vetoes == [Veto::Paused] => Next::Hold { due_at: now },
        _ if vetoes.iter().all(|veto| lapses(*veto)) => Next::Hold { due_at: now + HELD_EVERY },
        _ => Next::Hold { due_at: NEVER },
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).unwrap_or(NEVER)
}

fn seconds_up(milliseconds: i64) -> i64 {
    milliseconds.div_euclid(1000) + i64::from(milliseconds.rem_euclid(1000) > 0)
}

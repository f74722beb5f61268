//! Decides whether a departed person is removed: the only place that does.
//!
//! [`judge`] is a pure function. It evaluates every veto, always; none hides another. It runs on reception, on every
//! resumption, and before every removal on facts that are at most 5 seconds old.

use std::time::Duration;

use time::OffsetDateTime;

use crate::{
    config::{Mode, Policy},
    ledger::{Facts, NEVER, ProtectedAddresses, Record, millis},
    verdict::MAX_AHEAD,
};

mod activity;
mod leaving;
mod related;
#[cfg(test)]
mod tests;

pub use crate::verdict::{Next, RaisedVeto, Release, Verdict, Veto, VetoFact};
use related::Related;

/// How often a departure is judged again that waits for another source's departure, in seconds.
const OVERLAP_EVERY: i64 = 5 * 60;
/// How long a departure waits that was not counted when it was received: others may not have been, either.
const LATE_COUNT: Duration = Duration::from_secs(15 * 60);
/// How often a held departure is judged again whose vetoes can lapse by themselves, in seconds.
const HELD_EVERY: i64 = 60 * 60;

/// What the configuration says about a departure.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// `[policy]`.
    pub policy: &'a Policy,
    /// The source's `settle`; `None` if the source is not configured any more.
    pub settle: Option<Duration>,
}

/// Decides about a departure on these facts, at `now`. Total, and without side effects.
pub fn judge(record: &Record, facts: &Facts, rules: Rules<'_>, now: OffsetDateTime) -> Verdict {
    let settle = milliseconds(rules.settle.unwrap_or_default());
    let related = Related::of(record, facts, settle, now);
    let raised = raised(record, facts, rules, now, &related);
    let settling = raised.iter().any(|standing| standing.veto == Veto::Settling);
    let too_many = raised.iter().any(|standing| standing.veto == Veto::TooManyDepartures);
    let lets_through = !settling && !too_many;
    let standing: Vec<_> = raised.into_iter().filter(|standing| !record.release.overrides(standing)).collect();
    let only_elsewhere = !standing.is_empty() && standing.iter().all(|one| one.veto == Veto::ActiveElsewhere);
    let overlap_since = record.overlap_since.or_else(|| only_elsewhere.then(|| now.unix_timestamp()));
    let next = next(record, &standing, rules, now, overlap_since);
    let protected = facts.protected.at(now);
    Verdict { standing, next, targets: related.targets, protected, lets_through, overlap_since }
}

/// Every veto that the facts raise, whatever was released.
fn raised(record: &Record, facts: &Facts, rules: Rules<'_>, now: OffsetDateTime, related: &Related) -> Vec<RaisedVeto> {
    let (policy, at) = (rules.policy, millis(now));
    let received = millis(record.received_at);
    let by_lists = protecting(record, related, policy, &facts.protected.at(now));
    let (returned, elsewhere) = related.active.iter().cloned().partition::<Vec<_>, _>(|active| active.is_later);
    let facts_of = |active: Vec<related::Active>| active.into_iter().map(|active| active.fact).collect::<Vec<_>>();
    let (returned, elsewhere) = (facts_of(returned), facts_of(elsewhere));
    let is_raised = |veto: Veto| match veto {
        Veto::Paused => facts.pause.is_some(),
        // What a dry run planned is carried out after a release alone.
        Veto::DryRun => policy.mode == Mode::DryRun || record.planned,
        Veto::Protected => !by_lists.is_empty(),
        Veto::EventTooOld => received.saturating_sub(record.time()) > milliseconds(policy.max_event_age),
        Veto::EventInFuture => record.time() > at.saturating_add(MAX_AHEAD),
        Veto::TooManyDepartures => !record.let_through && facts.is_over(policy.max_departures.as_ref()),
        Veto::PersonReturned => !returned.is_empty(),
        Veto::ActiveElsewhere => !elsewhere.is_empty(),
        Veto::EventIdReused => record.event_id_reused,
        Veto::RemovedRightAfterCreation => record.right_after_creation,
        Veto::Settling => at < settles_at(record, rules),
    };
    let standing = |veto: Veto| {
        let facts = match veto {
            Veto::PersonReturned => returned.clone(),
            Veto::ActiveElsewhere => elsewhere.clone(),
            Veto::Protected => by_lists.clone(),
            // Of a dry run that is over: this can be released.
            Veto::DryRun if policy.mode != Mode::DryRun => vec![VetoFact { id: "planned".to_owned(), at: 0 }],
            _ => Vec::new(),
        };
        RaisedVeto { veto, facts }
    };
    Veto::ALL.into_iter().filter(|veto| is_raised(*veto)).map(standing).collect()
}

/// The protected lists that have an address of the person: the configured one, and that of `offboard protect`.
fn protecting(record: &Record, related: &Related, policy: &Policy, protected: &ProtectedAddresses) -> Vec<VetoFact> {
    let (emails, keys) = (&related.every_email, &record.person.traits);
    let configured =
        emails.iter().any(|email| policy.protects(email)) || keys.iter().any(|key| policy.protects_key(key));
    let since = emails.iter().filter_map(|email| protected.since(email));
    let since = since.chain(keys.iter().filter_map(|key| protected.since_of(key))).min();
    let fact = |id: &str, at: i64| VetoFact { id: id.to_owned(), at };
    let configured = configured.then(|| fact(VetoFact::CONFIGURED, 0));
    configured.into_iter().chain(since.map(|at| fact(VetoFact::AT_RUN_TIME, at))).collect()
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
        Veto::Settling => Some(seconds_up(settles_at(record, rules))),
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

/// When the safeguard knows who else leaves, in milliseconds since 1970: once the source's `settle` has passed, and the others
/// are counted whose count failed as this one's did.
fn settles_at(record: &Record, rules: Rules<'_>) -> i64 {
    let received = millis(record.received_at).saturating_add(milliseconds(rules.settle.unwrap_or_default()));
    let counted = record.counted_late.map(|at| at.saturating_mul(1000).saturating_add(milliseconds(LATE_COUNT)));
    counted.map_or(received, |counted| received.max(counted))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn seconds_up(milliseconds: i64) -> i64 {
    milliseconds.div_euclid(1000) + i64::from(milliseconds.rem_euclid(1000) > 0)
}

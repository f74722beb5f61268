//! What must hold of every record that is written: "gone" is said only of what is gone, and the safeguard counts people, not
//! deliveries.

use std::collections::{BTreeMap, BTreeSet};

use offboard::{
    judgement::Veto,
    ledger::{Record, State as RecordState, millis, store::Change},
    outcome::{AccountResult, Outcome, Proof},
};

use crate::{
    bus,
    environment::WIKI,
    steps::PER,
    truth::{BETA, GAMMA, Millis, PROVIDERS},
    world::{OPERATOR, State, World},
};

/// Sees changes that were made.
pub fn written(world: &World, place: usize, changes: &[Change]) {
    for change in changes {
        let Change::Swap { item, .. } = change else { continue };
        if item.id == "#providers" {
            limits_written(world, &item.document);
        }
        if item.id.starts_with('#') {
            continue;
        }
        let record: Record = serde_json::from_str(&item.document).unwrap();
        let mut state = world.state();
        let before = state.records.insert(record.id.clone(), record.clone());
        let now = state.now(world);
        state.note(|| format!("  [{place}] {}: {} {}", record.id, record.state, shown(&record)));
        check_gone(&mut state, before.as_ref(), &record, place);
        check_by_hand(&mut state, before.as_ref(), &record, place);
        check_safeguard(&mut state, &record, now);
        bus::check_written(&mut state, &record, changes);
    }
}

/// Remembers before when providers are not to be called.
fn limits_written(world: &World, document: &str) {
    let limits: BTreeMap<String, serde_json::Value> = serde_json::from_str(document).unwrap();
    let mut state = world.state();
    let now = state.now(world);
    state.note(|| format!("  limits {document}"));
    for (name, limit) in limits {
        let at = limit["not_before"].as_i64().unwrap();
        if state.not_before.get(&name).is_none_or(|(known, _)| *known < at) {
            state.not_before.insert(name, (at, now));
        }
    }
}

/// No invocation that began after a limit was stored calls the provider before then, by its own clock.
pub fn check_limit(state: &mut State, place: usize, provider: usize, now: Millis) {
    let name = PROVIDERS[provider];
    let Some((not_before, written)) = state.not_before.get(name).copied() else { return };
    let called = &state.places[place];
    if called.began > written && now + called.skew < not_before {
        state.violate(format!("{name} was called before the time that it named"));
    }
}

fn shown(record: &Record) -> String {
    let vetoes: Vec<_> = record.vetoes.iter().flatten().map(|standing| standing.veto.as_str()).collect();
    let results: Vec<_> = record
        .providers
        .iter()
        .map(|(name, result)| {
            let finding = &result.found.worst;
            format!(
                "{name}={}{}",
                finding.outcome,
                finding.reason.as_deref().map(|text| format!("({text})")).unwrap_or_default()
            )
        })
        .collect();
    format!(
        "{vetoes:?} {results:?} due {:?} lease {:?}",
        record.due_at.map(|at| at % 10_000_000),
        record.lease.as_ref().map(|lease| &lease.by)
    )
}

/// "Deleted" and "already absent" are said only if no account of the departed person stands under the address, or the number,
/// that the event names.
fn check_gone(state: &mut State, before: Option<&Record>, record: &Record, place: usize) {
    for (n, name) in PROVIDERS.into_iter().enumerate() {
        let result = |record: &Record| record.providers.get(name).map(|result| result.found.clone());
        let (was, now) = (before.and_then(result), result(record));
        let Some(entry) = now.filter(|now| was.as_ref() != Some(now)) else { continue };
        for finding in entry.all().filter(|finding| finding.outcome == Outcome::Deleted) {
            let gone = finding.account_id.clone().filter(|_| n != BETA);
            state.reported.extend(gone.map(|id| (record.id.clone(), id)));
        }
        let is_gone = |outcome: Outcome| matches!(outcome, Outcome::Deleted | Outcome::AlreadyAbsent);
        if entry.all().all(|finding| is_gone(finding.outcome))
            && let Some(account) = still_there(state, record, n, state.places[place].began)
        {
            state.violate(format!("{} says that nobody is left at {name}, but {account} is there", record.id));
        }
    }
}

/// Returns whether a person has to remove the account by hand.
pub fn is_manual(record: &Record) -> bool {
    record.providers.get(WIKI).is_some_and(|result| result.found.worst.outcome == Outcome::Manual)
}

/// Only an operator makes `by_hand` of `manual`, and nothing is done before they did. A machine may only ask for it again.
fn check_by_hand(state: &mut State, before: Option<&Record>, record: &Record, place: usize) {
    let wiki = |record: &Record| record.providers.get(WIKI).map(|result| result.found.worst.clone());
    let Some(now) = wiki(record) else { return };
    let was = before.and_then(wiki);
    let is_by_hand = |result: &AccountResult| (result.outcome, result.proof) == (Outcome::Deleted, Some(Proof::ByHand));
    let (was_by_hand, was_manual) =
        (was.as_ref().is_some_and(is_by_hand), was.as_ref().is_some_and(|was| was.outcome == Outcome::Manual));
    let id = &record.id;
    if is_by_hand(&now) && !was_by_hand && !(was_manual && place == OPERATOR) {
        state.violate(format!("{id} says by_hand at {WIKI}, and no operator confirmed it"));
    }
    if was_by_hand && !is_by_hand(&now) && now.outcome != Outcome::Manual {
        state.violate(format!("{id} says {} at {WIKI} after it was confirmed", now.outcome));
    }
    if record.state == RecordState::Done && !is_by_hand(&now) {
        state.violate(format!("{id} is done, and {WIKI} is {}", now.outcome));
    }
    if record.intent.contains(WIKI) {
        state.violate(format!("{id} announces a removal at {WIKI}"));
    }
}

fn still_there(state: &State, record: &Record, provider: usize, since: Millis) -> Option<String> {
    let left = state.said.left_of(record)?;
    // An address that may have been replaced is reported in another way.
    let address = left.address.filter(|address| {
        !state.said.words_of(&left.key).any(|word| word.address.is_some_and(|other| other != *address))
    });
    let is_it = |account: &&crate::truth::Account| match provider {
        GAMMA => account.number.is_some() && account.number == left.number,
        _ => Some(account.address) == address,
    };
    let accounts =
        state.truth.accounts.iter().filter(|account| account.provider == provider && account.removed.is_none());
    let mut accounts = accounts.filter(|account| account.owner == left.person && account.since < since).filter(is_it);
    accounts.next().map(|account| account.id.clone())
}

/// No departure is held by the safeguard unless so many people's departures were received around it.
fn check_safeguard(state: &mut State, record: &Record, _: Millis) {
    if !record.has_veto(Veto::TooManyDepartures) {
        return;
    }
    let people = people_around(state, record);
    if people <= state.setup.limit as usize {
        state.violate(format!("{} is held as one of too many, but there are {people}", record.id));
    }
}

/// How many people's departures were received within a window's length of this one.
pub fn people_around(state: &State, record: &Record) -> usize {
    let reach = i64::try_from(PER.as_millis() * 7 / 6).unwrap();
    let near = |other: &&Record| (millis(other.received_at) - millis(record.received_at)).abs() <= reach;
    let near = state.records.values().filter(near);
    let mut ids: BTreeMap<_, BTreeMap<_, BTreeSet<_>>> = BTreeMap::new();
    for record in near {
        let id = record.person.key.as_ref().map_or(record.id.as_str(), |key| key.as_str());
        let address = record.person.traits.iter().find(|of| !of.is_external_id()).map_or(id, |of| of.item());
        let kind = id.rsplit_once('-').map_or(id, |(kind, _)| kind);
        ids.entry(address).or_default().entry(kind).or_default().insert(id);
    }
    // Those of one source who share an address are people each.
    ids.values().filter_map(|kinds| kinds.values().map(BTreeSet::len).max()).sum()
}

//! What must hold when a removal is called: no veto stands against it, and nobody is removed who can be known to be active.
//!
//! *Known to be active* is meant as narrowly as the sources allow. Somebody who is active in truth may be removed only if
//!
//! - the last word of every id that is the departed person's, or has what the departed person has, is a departure, because
//!   a source was wrong, or its later word, or the new holder's first, was lost or is still on its way; or
//! - an operator released the departure having been shown each word that says otherwise.

use std::collections::BTreeSet;

use offboard::{
    judgement::Veto,
    ledger::{Record, State as RecordState},
};

use crate::{
    said::{Left, SEEN, SKEW, Said, Span},
    truth::{BETA, GAMMA, HR, IDP, Millis, PROVIDERS, Says, utc},
    world::State,
};

/// How far ahead a departure may be without being taken for a scheduled one, less what the clocks differ.
const SURELY_AHEAD: Millis = 5 * 60_000 + 62_000;

/// A departure whose time is a date takes effect within it.
const DAY: Millis = 86_400_000;

/// Checks the call of a removal. `account` is the one that is there.
pub fn check(state: &mut State, place: usize, provider: usize, id: &str, account: Option<usize>, now: Millis) {
    let works_on = state.places[place].works_on.clone();
    let name = PROVIDERS[provider];
    let records: Vec<Record> = works_on.iter().filter_map(|id| state.records.get(id)).cloned().collect();
    let meant: Vec<&Record> = records.iter().filter(|record| record.intent.contains(name)).collect();
    let ids: Vec<_> = meant.iter().map(|record| record.id.clone()).collect();
    let who = account.map(|n| state.truth.accounts[n].owner);
    state.note(|| format!("  [{place}] removes {id} (person {who:?}) for {ids:?}"));
    if meant.is_empty() {
        return state.violate(format!("{id} was removed without an intent that was noted"));
    }
    // A delivery of several departures does not say for which of them an account is removed.
    let objections: Vec<_> =
        meant.iter().map(|record| objection(state, record, place, provider, id, account, now)).collect();
    if let Some(objections) = objections.into_iter().collect::<Option<Vec<String>>>() {
        state.violate(objections.join("; "));
    }
    if let [record] = &meta(&meant)[..] {
        state.places[place].removes = Some(record.clone());
    }
}

fn meta(meant: &[&Record]) -> Vec<String> {
    meant.iter().map(|record| record.id.clone()).collect()
}

fn objection(
    state: &State,
    record: &Record,
    place: usize,
    provider: usize,
    id: &str,
    account: Option<usize>,
    now: Millis,
) -> Option<String> {
    let departure = &record.id;
    let left = state.said.left_of(record)?;
    let said = format!("{id} was removed for {departure}");
    if let Some(veto) = standing_veto(state, left, place, account, now) {
        return Some(format!("{said} although {veto}"));
    }
    let lease = record.lease.as_ref();
    if lease.is_none_or(|lease| lease.by != format!("worker-{place}")) {
        return Some(format!("{said} by {place}, whose lease it is not: {lease:?}"));
    }
    if matches!(record.state, RecordState::Done | RecordState::Dismissed) {
        return Some(format!("{said}, which is {}", record.state));
    }
    let others = state.places.iter().enumerate().filter(|(other, _)| *other != place);
    if others.into_iter().any(|(_, other)| other.removes.as_ref() == Some(departure)) {
        return Some(format!("{said} by two workers at once"));
    }
    if provider != BETA && state.reported.contains(&(departure.clone(), id.to_owned())) {
        return Some(format!("{said} a second time, after it was reported as gone"));
    }
    let reason = known_to_be_active(state, record, left, provider, account?, now)?;
    Some(format!("{said}: {reason}"))
}

/// A veto that no release overrides and that stood long enough to be seen.
fn standing_veto(state: &State, left: &Left, place: usize, account: Option<usize>, now: Millis) -> Option<String> {
    let policy = &state.places[place].policy;
    if state.paused.is_some_and(|since| now - since > SEEN) {
        return Some("removals are paused".to_owned());
    }
    if !policy.is_live {
        return Some("it is a dry run".to_owned());
    }
    let known = state.said.words_of(&left.key).filter(|word| word.certain_at.is_some_and(|at| at <= now - SEEN));
    let known = known.filter(|word| !word.span.is_ours && word.span.from <= now).filter_map(|word| word.address);
    let own = account.map(|n| state.truth.accounts[n].address);
    let addresses: BTreeSet<usize> = known.chain(own).chain(left.address).collect();
    let held =
        |address: &&usize| state.holds.get(address).is_some_and(|(since, until)| now - since > SEEN && now < *until);
    let protected = addresses.iter().find(|address| policy.protected.contains(address) || held(address))?;
    Some(format!("address {protected} is protected"))
}

/// Why the account's holder can be known to be active.
fn known_to_be_active(
    state: &State,
    record: &Record,
    left: &Left,
    provider: usize,
    account: usize,
    now: Millis,
) -> Option<String> {
    let account = &state.truth.accounts[account];
    let owner = account.owner;
    if !state.truth.is_active(owner) {
        return None;
    }
    let released = |veto: Veto| record.release.vetoes.contains_key(&veto);
    if left.effective.is_some_and(|at| now + SURELY_AHEAD < at) && !released(Veto::EventInFuture) {
        return Some(format!("person {owner} works until {:?}", left.effective.map(utc)));
    }
    let (said, until) = (&state.said, now - SEEN);
    let is_former = provider != GAMMA
        && said.is_former(&left.key, account.address, until)
        && !may_be_replaced_by_leaving(state, left, account.address);
    if is_former {
        let is_released = record.release.former.get(PROVIDERS[provider]).is_some_and(|ids| ids.contains(&account.id));
        let was_shown = state.shown.get(&record.id).is_some_and(|ids| ids.contains(&account.id));
        if !is_released || !was_shown {
            return Some(format!("person {owner} is active, and address {} was replaced", account.address));
        }
    }
    said.keys().into_iter().find_map(|key| {
        let word = said.words_of(key).find(|word| word.person == owner)?;
        // The id whose number the account has.
        let is_numbered = provider == GAMMA && word.source == HR && word.is_strong && word.address.is_some();
        let is_meant = key == left.key || is_numbered || shares(said, left, key, account.address, provider, until);
        let active = active_since(state, record, key, until, now)?;
        let is_ended = (Said::may_end(left, word) || is_taken_for(state, left, key, until))
            && !said.last_active(key, until).is_some_and(|last| is_after(last.span, left.span));
        if !is_meant || is_ended || was_shown(record, key, active) {
            return None;
        }
        Some(format!("person {owner} is active: {key} since {}", utc(active.from)))
    })
}

/// Whether an address may have been replaced so near to the departure that it is still the leaver's.
fn may_be_replaced_by_leaving(state: &State, left: &Left, address: usize) -> bool {
    let settle = if left.source == IDP { i64::try_from(state.setup.settle.as_millis()).unwrap() } else { 0 };
    let margin = if settle > 0 { settle + SKEW } else { return false };
    let (from, to) = left.effective.map_or((left.span.from, left.span.to), |at| (at, at + DAY));
    let mut others = state.said.words_of(&left.key).filter(|word| word.address.is_some_and(|other| other != address));
    others.any(|word| word.span.to >= from - margin && word.span.from <= to.saturating_add(margin))
}

fn is_after(active: Span, left: Span) -> bool {
    active.is_surely_after(left)
}

/// Whether an id has what the departed person has: the address of the account, or one that both had at the same time.
fn shares(said: &Said, left: &Left, key: &str, address: usize, provider: usize, until: Millis) -> bool {
    let current = said.current(key, until);
    let by_address = provider != GAMMA && current.contains(&address);
    let own = said.current(&left.key, until);
    let event = left.address.filter(|address| !said.words_of(&left.key).any(|word| word.address != Some(*address)));
    let is_same = current.iter().any(|address| own.contains(address) || event == Some(*address));
    let overlaps = |address: usize| {
        let (Some(a), Some(b)) = (said.held(key, address, until), said.held(&left.key, address, until)) else {
            return false;
        };
        a.0.max(b.0) < a.1.min(b.1)
    };
    by_address || is_same || said.current(key, until).iter().chain(&own).any(|address| overlaps(*address))
}

/// When an id was last said to be active, if neither a departure of it that stands nor a word that it is inactive may have ended that.
fn active_since(state: &State, record: &Record, key: &str, until: Millis, now: Millis) -> Option<Span> {
    let said = &state.said;
    let certain = || said.words_of(key).filter(|word| word.certain_at.is_some_and(|at| at <= until));
    let first = certain().min_by_key(|word| word.span.from)?;
    let last = said.last_active(key, until);
    let may_end = |other: &Left| Said::may_end(other, first) || is_taken_for(state, other, key, until);
    let ends = |other: &&Left| !other.is_in(record) && may_end(other) && stands(state, other, now);
    let is_ended =
        said.lefts.iter().filter(ends).any(|other| !last.is_some_and(|word| is_after(word.span, other.span)));
    let mut inactive = said.words_of(key).filter(|word| word.says == Says::Inactive);
    let is_denied = inactive.any(|word| !last.is_some_and(|last| is_after(last.span, word.span)));
    (!is_ended && !is_denied).then(|| last.unwrap_or(first).span)
}

/// Whether a departure that names an address alone cannot but be taken for an id's: before it, its source said that the id left;
/// or that the id has another address, which was lost or is still on its way.
fn is_taken_for(state: &State, left: &Left, key: &str, until: Millis) -> bool {
    let events = &state.truth.events;
    let at = events[left.event].at;
    let words = || state.said.words_of(key).filter(|word| word.source == left.source && word.span.from <= at);
    let named = words().filter(|word| word.address == left.address);
    let Some(named_at) = named.map(|word| word.span.from).max() else { return false };
    let is_since = |said: Millis| (named_at + 1..=at).contains(&said);
    let is_other = |address: Option<usize>| address.is_some() && address != left.address;
    let mut certain = words().filter(|word| word.certain_at.is_some_and(|at| at <= until));
    let has_moved = certain.any(|word| is_since(word.span.from) && is_other(word.address));
    let mut meanwhile = events.iter().filter(|event| event.key().as_str() == key && is_since(event.at));
    !left.is_strong && !has_moved && meanwhile.any(|event| event.says == Says::Left || is_other(event.address))
}

/// Whether a departure counts as said: this is rule 3, read anew.
pub fn stands(state: &State, left: &Left, now: Millis) -> bool {
    state.records.values().filter(|record| left.is_in(record)).any(|record| {
        let lapses = |veto: Veto| {
            let lasting = [
                Veto::DryRun,
                Veto::Protected,
                Veto::EventTooOld,
                Veto::EventInFuture,
                Veto::TooManyDepartures,
                Veto::EventIdReused,
            ];
            !lasting.contains(&veto)
        };
        let is_ahead = left.effective.is_some_and(|at| now + SURELY_AHEAD < at);
        match record.state {
            RecordState::Done => true,
            RecordState::Dismissed => false,
            _ => !is_ahead && record.vetoes.iter().flatten().all(|standing| lapses(standing.veto)),
        }
    })
}

/// Whether a release names this word.
fn was_shown(record: &Record, key: &str, word: Span) -> bool {
    let at = if word.is_ours { word.from - SKEW } else { word.from };
    let facts = record.release.vetoes.values().flatten();
    facts.into_iter().any(|fact| fact.id == key && fact.at >= at)
}

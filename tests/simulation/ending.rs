//! The end of a history: faults stop, ticks go on for some days. Then every departure that was answered as recorded is done,
//! dismissed, held or left to a person, and whatever nothing stands against is done.

use std::{collections::BTreeSet, time::Duration};

use offboard::{
    judgement::Veto,
    ledger::{Record, State as RecordState, millis},
    outcome::Outcome,
};

use crate::{
    bus,
    driver::Driver,
    environment::MAX_EVENT_AGE,
    invocations::is_recorded,
    observed::people_around,
    removals::stands,
    said::{Left, SKEW, Said},
    steps::Action,
    truth::{Account, GAMMA, Millis, PROVIDERS, Says},
    world::State,
};

/// Pauses between the last ticks: past `overlap`, a held departure's hour, every schedule and the longest backoff.
const PAUSES: [u64; 11] = [60, 700, 3_700, 3_700, 26_000, 90_000, 100_000, 280_000, 3_700, 3_700, 3_700];
const MESSAGES_OF_ONE: usize = 12;
const GIVE_UP: Millis = 3 * 86_400_000;

/// What a history came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub departures: usize,
    /// Departures of which it was required that they be done.
    pub required: usize,
    pub done: usize,
    pub held: usize,
    pub removals: usize,
}

impl Driver {
    pub async fn close(&mut self, thaws: bool, arrives: bool) {
        for _ in 0..3 {
            if thaws { self.thaw().await } else { self.kill().await }
        }
        {
            let mut state = self.world.state();
            state.note(|| "the end begins".to_owned());
            state.is_quiet = true;
            state.outage = [false; 3];
            state.limited = [0; 3];
            state.lists_lag = false;
            state.policy.is_live = true;
        }
        self.operate(Action::Resume, None).await;
        if arrives {
            let waiting: Vec<_> = {
                let state = self.world.state();
                let events = state.truth.events.iter().enumerate();
                events.filter(|(_, event)| !event.is_lost && !event.is_answered).map(|(n, _)| n).collect()
            };
            for n in waiting {
                self.pass(Duration::from_secs(2));
                self.deliver(vec![n], 0, None).await;
            }
        }
        for pause in PAUSES {
            self.pass(Duration::from_secs(pause));
            self.confirm_all().await;
            for _ in 0..MESSAGES_OF_ONE {
                if self.world.state().violation.is_some() || !self.pump(0, None).await {
                    break;
                }
            }
            self.publish(0, None).await;
        }
        self.check_end();
    }

    fn check_end(&self) {
        let mut state = self.world.state();
        let now = state.now(&self.world);
        let answered = state.truth.events.iter().filter(|event| event.says == Says::Left && event.is_answered);
        let lost: Vec<_> =
            answered.filter(|event| !is_recorded(&state.records, event)).map(|event| event.event_id.clone()).collect();
        if let Some(id) = lost.first() {
            state.violate(format!("the record of event {id} is lost"));
        }
        let records: Vec<_> = state.records.values().cloned().collect();
        for record in records {
            if record.state == RecordState::Pending {
                state.violate(format!("{} is pending in the end", record.id));
            }
            bus::check_published(&mut state, &record);
            let Some(left) = state.said.left_of(&record).cloned() else { continue };
            if is_required(&state, &record, &left, now) && !is_excused(&state, &record, &left, now) {
                check_required(&mut state, &record, &left);
            }
        }
    }

    pub fn tally(&self) -> Tally {
        let state = self.world.state();
        let now = state.now(&self.world);
        let is_required = |record: &&Record| {
            let left = state.said.left_of(record);
            left.is_some_and(|left| is_required(&state, record, left, now) && !is_excused(&state, record, left, now))
        };
        let in_state = |wanted: RecordState| state.records.values().filter(|record| record.state == wanted).count();
        Tally {
            departures: state.records.len(),
            required: state.records.values().filter(is_required).count(),
            done: in_state(RecordState::Done),
            held: in_state(RecordState::Held),
            removals: state.truth.accounts.iter().filter(|account| account.removed.is_some()).count(),
        }
    }
}

fn check_required(state: &mut State, record: &Record, left: &Left) {
    if record.state != RecordState::Done {
        let vetoes: Vec<_> = record.vetoes.iter().flatten().map(|standing| standing.veto.as_str()).collect();
        return state.violate(format!(
            "{} is {} in the end {vetoes:?}, and nothing stands against it",
            record.id, record.state
        ));
    }
    if state.truth.is_active(left.person) {
        return;
    }
    // An account that was made afterwards is another departure's.
    let until = left.effective.unwrap_or(state.truth.events[left.event].at);
    // An event that names an address which its source never said has replaced what it said.
    let named = |address: &usize| state.said.words_of(&left.key).any(|word| word.address == Some(*address));
    let addresses = match left.address.filter(|address| !named(address)) {
        // The order of a scheduled departure and a rename is not known.
        Some(_) if left.effective.is_some() => BTreeSet::new(),
        Some(address) => BTreeSet::from([address]),
        None => state.said.current(&left.key, Millis::MAX),
    };
    let is_its = |account: &&Account| {
        account.owner == left.person && account.removed.is_none() && account.provider != GAMMA && account.since <= until
    };
    let accounts = state.truth.accounts.iter().filter(is_its);
    let mut here = accounts.filter(|account| addresses.contains(&account.address));
    if let Some(id) = here.next().map(|account| account.id.clone()) {
        state.violate(format!("{} is done, and account {id} is there", record.id));
    }
}

/// Whether nothing can stand against a departure: judged by everything that may have been said.
fn is_required(state: &State, record: &Record, left: &Left, now: Millis) -> bool {
    let fixed = record.state == RecordState::Dismissed
        || record.event_id_reused
        || record.has_veto(Veto::DryRun)
        || record.has_veto(Veto::Protected)
        || left.effective.is_some_and(|at| at > now);
    let is_old = millis(record.received_at) - left.span.from.min(record.rank) + SKEW
        > i64::try_from(MAX_EVENT_AGE.as_millis()).unwrap();
    let is_one_of_many = people_around(state, record) > state.setup.limit as usize;
    let addresses: Vec<usize> =
        state.said.words_of(&left.key).filter_map(|word| word.address).chain(left.address).collect();
    let protected = state.policy.protected.union(&state.ever_held);
    let is_protected = protected.into_iter().any(|address| addresses.contains(address));
    let is_contested = state.said.words.iter().any(|word| {
        let is_near = word.key == left.key
            || word.person == left.person
            || word.address.is_some_and(|address| addresses.contains(&address));
        is_near && !is_ended(state, record, left, &word.key, now)
    });
    !(fixed || is_old || is_one_of_many || is_protected || is_contested)
}

/// Whether an id surely left, and did not come back.
fn is_ended(state: &State, record: &Record, left: &Left, key: &str, now: Millis) -> bool {
    let said = &state.said;
    let ends = |other: &&Left| {
        other.key == key
            && (other.is_in(record) || stands(state, other, now))
            && said
                .words_of(key)
                .filter(|word| word.says == Says::Active)
                .all(|word| word.span.is_surely_at_or_before(other.span))
    };
    // A departure that names an address alone may speak of several ids.
    let is_clear = said.words_of(key).all(|word| !Said::may_end(left, word) || word.key == left.key);
    is_clear && said.lefts.iter().any(|other| ends(&other))
}

/// Whether it is left to a person for what is found at a provider.
fn is_excused(state: &State, record: &Record, left: &Left, now: Millis) -> bool {
    if record.state != RecordState::NeedsAttention {
        return false;
    }
    let known = || state.said.words_of(&left.key).filter_map(|word| word.address).chain(left.address);
    let has_several = known().any(|address| Some(address) != known().next());
    // The address is another's by now, and an account of theirs stands beside, or one that is still listed.
    let is_others =
        |account: &Account| account.owner != left.person && known().any(|address| address == account.address);
    let is_shared = state.truth.accounts.iter().any(is_others);
    let is_unknown = known().next().is_none() || left.number.is_none();
    let outcome = |name: &str| record.providers.get(name).map(|result| result.found.worst.outcome);
    let given_up = record.first_attempt_at.is_some_and(|first| now - first * 1000 > GIVE_UP);
    PROVIDERS.iter().any(|name| match outcome(name) {
        Some(Outcome::Protected) => !state.policy.protected.is_empty() || !state.ever_held.is_empty(),
        Some(Outcome::Ambiguous) => has_several || is_shared || state.setup.lists_lag || *name == PROVIDERS[GAMMA],
        Some(Outcome::Unidentified) => is_unknown || has_several,
        Some(Outcome::Unconfirmed | Outcome::RateLimited | Outcome::Unavailable | Outcome::NotAttempted) => given_up,
        _ => false,
    })
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.departures += other.departures;
        self.required += other.required;
        self.done += other.done;
        self.held += other.held;
        self.removals += other.removals;
    }
}

//! Makes the steps of a history happen.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use offboard::{
    flow::{self, Flow},
    judgement::RaisedVeto,
    ledger::{
        NEVER, State as RecordState,
        store::{Due, Store},
    },
};

use crate::{
    environment,
    invocations::Running,
    steps::{Action, Fault, History, Step},
    truth::Truth,
    world::{ENVIRONMENTS, Policy, World},
};

/// What the index showed after a step.
#[derive(Default)]
struct Shown {
    pending: Vec<Due>,
    held: Vec<Due>,
}

pub struct Driver {
    pub world: Arc<World>,
    pub flows: Vec<Option<(Policy, Arc<Flow>)>>,
    pub running: Vec<Option<Running>>,
    messages: Vec<String>,
    indexes: Vec<Shown>,
    pub reviews: BTreeMap<String, Vec<RaisedVeto>>,
}

impl Driver {
    pub fn new(history: &History, is_traced: bool) -> Self {
        let world = World::new(&history.setup, history.seed, is_traced);
        Self {
            world,
            flows: (0..ENVIRONMENTS).map(|_| None).collect(),
            running: (0..ENVIRONMENTS).map(|_| None).collect(),
            messages: Vec::new(),
            indexes: Vec::new(),
            reviews: BTreeMap::new(),
        }
    }

    /// Hires those who work here at the beginning, a week before the first step.
    pub async fn open(&mut self, history: &History) {
        for (person, (sources, is_heard)) in history.setup.staff.iter().enumerate() {
            self.pass(Duration::from_millis(1_700));
            self.truth(|truth, now| truth.hire(person, person, *sources, false, 7, now));
            let new: Vec<_> = self.world.state().truth.events.iter().enumerate().map(|(n, _)| n).collect();
            for n in new {
                let event = self.world.state().truth.events[n].clone();
                if event.is_answered || event.is_lost {
                    continue;
                }
                self.world.state().truth.events[n].is_lost = !*is_heard;
                if *is_heard {
                    self.deliver(vec![n], 0, None).await;
                }
            }
        }
        self.pass(Duration::from_secs(7 * 86_400));
    }

    pub async fn step(&mut self, step: &Step) {
        self.pass(Duration::from_millis(1_300));
        self.world.state().note(|| format!("{step:?}"));
        let Step { action, place, fault } = *step;
        match action {
            Action::Wait { seconds } => self.pass(Duration::from_secs(seconds.into())),
            Action::Deliver { pick, count } => self.deliver_some(pick, count, place, fault).await,
            Action::Redeliver { pick } => {
                let heard = self.events(|event| event.deliveries > 0 && !event.is_lost);
                if let Some(n) = picked(&heard, pick) {
                    self.deliver(vec![n], place, fault).await;
                }
            }
            Action::Tick { lag } => {
                self.tick(lag.into()).await;
                self.publish(place, fault).await;
            }
            Action::Message { pick, stays } => {
                if let Some(id) = picked(&self.messages, pick) {
                    self.messages.retain(|other| stays || *other != id);
                    self.advance(&id, place, fault).await;
                }
            }
            Action::Race { pick } => self.race(pick, place, fault).await,
            Action::Pump => _ = self.pump(place, fault).await,
            Action::Thaw => self.thaw().await,
            Action::Kill => self.kill().await,
            _ => {
                self.change(action);
                self.operate(action, fault).await;
            }
        }
        self.remember().await;
    }

    /// Changes what is true, and what is configured.
    fn change(&self, action: Action) {
        self.truth(|truth, now| match action {
            Action::Hire { person, address, sources, has_new_ids, accounts } => {
                truth.hire(person, address, sources, has_new_ids, accounts, now);
            }
            Action::Rename { person, address, follow, lost } => truth.rename(person, address, follow, lost, now),
            Action::Leave { person, sources, when, names } => truth.leave(person, sources, when, names, now),
            Action::Err { person, source, when, names } => truth.err(person, source, when, names, now),
            Action::Affirm { person, source, names } => truth.affirm(person, source, names, now),
            Action::Deny { person, source } => truth.deny(person, source, now),
            Action::Merge { person } => truth.merge(person, now),
            Action::Restart { source } => truth.restart(source),
            Action::Lose { pick } => {
                let waiting: Vec<_> = (0..truth.events.len()).filter(|n| truth.events[*n].deliveries == 0).collect();
                if let Some(n) = picked(&waiting, pick) {
                    truth.events[n].is_lost = true;
                }
            }
            _ => {}
        });
        let mut state = self.world.state();
        match action {
            Action::Mode { is_live } => state.policy.is_live = is_live,
            Action::Protect { address, is_on: true } => _ = state.policy.protected.insert(address),
            Action::Protect { address, is_on: false } => _ = state.policy.protected.remove(&address),
            Action::Outage { provider, is_on } => state.outage[provider] = is_on,
            Action::Limit { provider, seconds } => {
                state.limited[provider] = state.now(&self.world) + i64::from(seconds) * 1000;
            }
            _ => {}
        }
    }

    pub fn truth(&self, change: impl FnOnce(&mut Truth, i64)) {
        let mut state = self.world.state();
        let now = state.now(&self.world);
        change(&mut state.truth, now);
    }

    pub fn pass(&self, duration: Duration) {
        self.world.jump(duration);
    }

    fn events(&self, is_meant: impl Fn(&crate::truth::Event) -> bool) -> Vec<usize> {
        let state = self.world.state();
        let events = &state.truth.events;
        (0..events.len()).filter(|n| is_meant(&events[*n])).collect()
    }

    async fn deliver_some(&mut self, pick: Option<u8>, count: u8, place: usize, fault: Option<Fault>) {
        let waiting = self.events(|event| !event.is_answered && !event.is_lost);
        let first = match pick {
            Some(pick) => picked(&waiting, pick),
            None => waiting.first().copied(),
        };
        let Some(first) = first else { return };
        let source = self.world.state().truth.events[first].source;
        let together =
            waiting.into_iter().filter(|n| *n >= first && self.world.state().truth.events[*n].source == source);
        let together = together.take(count.into()).collect();
        self.deliver(together, place, fault).await;
    }

    async fn remember(&mut self) {
        let of =
            async |state: RecordState| self.world.memory.by_state(state.as_str(), NEVER, 100).await.unwrap_or_default();
        let shown = Shown { pending: of(RecordState::Pending).await, held: of(RecordState::Held).await };
        self.indexes.push(shown);
    }

    /// Sends messages for what is due, as the index showed it `lag` steps ago.
    pub async fn tick(&mut self, lag: usize) {
        if lag == 0 {
            self.remember().await;
        }
        let now = self.world.now().div_euclid(1000);
        let is_paused =
            environment::ledger(&self.world, crate::world::OPERATOR).pause().await.is_ok_and(|pause| pause.is_some());
        let Some(shown) = self.indexes.len().checked_sub(1 + lag).and_then(|n| self.indexes.get(n)) else { return };
        let due = flow::due(&shown.pending, &shown.held, is_paused, now);
        self.messages.extend(due.into_iter().map(|due| due.id.clone()));
    }

    /// Returns whether anything was due.
    pub async fn pump(&mut self, place: usize, mut fault: Option<Fault>) -> bool {
        self.tick(0).await;
        let messages = std::mem::take(&mut self.messages);
        for id in messages.iter().take(20) {
            self.advance(id, place, fault.take()).await;
        }
        !messages.is_empty()
    }

    pub async fn thaw(&mut self) {
        let frozen = (0..ENVIRONMENTS).find(|place| self.world.state().places[*place].is_frozen);
        let Some(place) = frozen else { return };
        {
            let mut state = self.world.state();
            state.places[place].is_frozen = false;
            state.note(|| format!("  [{place}] thaws"));
        }
        self.world.thawed.notify_waiters();
        self.drive(place).await;
    }

    pub async fn kill(&mut self) {
        let frozen = (0..ENVIRONMENTS).find(|place| self.world.state().places[*place].is_frozen);
        let Some(place) = frozen else { return };
        self.end(place).await;
        self.world.state().places[place].is_frozen = false;
    }
}

/// Picks among what is there.
pub fn picked<T: Clone>(from: &[T], pick: u8) -> Option<T> {
    (!from.is_empty()).then(|| from[usize::from(pick) % from.len()].clone())
}

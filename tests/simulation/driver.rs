//! Makes the steps of a history happen.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use offboard::{
    departure::{Delivery, Departure, Event as Reported, IdentityFact, Verification, Word},
    flow::{self, Flow, Worker},
    judgement::Standing,
    ledger::{
        NEVER, Record, State as RecordState,
        store::{Due, Store},
    },
};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    environment,
    steps::{Action, Fault, History, Step},
    truth::{SOURCES, Says, Truth},
    world::{ENVIRONMENTS, Policy, World},
};

/// How long an invocation may take.
const TIMEOUT: Duration = Duration::from_secs(25);

/// An invocation that has not ended.
struct Running {
    task: JoinHandle<bool>,
    words: Vec<usize>,
    lefts: Vec<usize>,
    /// The events of a delivery.
    events: Vec<usize>,
}

/// What the index showed after a step.
#[derive(Default)]
struct Shown {
    pending: Vec<Due>,
    held: Vec<Due>,
}

pub struct Driver {
    pub world: Arc<World>,
    flows: Vec<Option<(Policy, Arc<Flow>)>>,
    running: Vec<Option<Running>>,
    messages: Vec<String>,
    indexes: Vec<Shown>,
    pub reviews: BTreeMap<String, Vec<Standing>>,
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
            Action::Tick { lag } => self.tick(lag.into()).await,
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
            Action::Rename { person, address, follow, names } => truth.rename(person, address, follow, names, now),
            Action::Leave { person, sources, when, names } => truth.leave(person, sources, when, names, now),
            Action::Err { person, source, when, names } => truth.err(person, source, when, names, now),
            Action::Affirm { person, source, names } => truth.affirm(person, source, names, now),
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

    /// Delivers events of one source together.
    pub async fn deliver(&mut self, events: Vec<usize>, place: usize, fault: Option<Fault>) {
        let Some(place) = self.free(place) else { return };
        let delivery = self.delivery(&events);
        let records: Vec<_> =
            delivery.departures.iter().map(|departure| [departure.id.clone(), Record::reused_id(departure)]).collect();
        let (mut words, mut lefts, mut source) = (Vec::new(), Vec::new(), 0);
        {
            let mut state = self.world.state();
            let now = state.now(&self.world);
            state.begin(place, records.iter().flatten().cloned().collect(), fault, now);
            let mut records = records.into_iter();
            for n in &events {
                state.truth.events[*n].deliveries += 1;
                let event = state.truth.events[*n].clone();
                source = event.source;
                state.note(|| format!("  [{place}] is sent {event:?}"));
                if event.says == Says::Left {
                    lefts.push(*n);
                    state.said.begin_left(*n, &event, records.next().unwrap(), now);
                } else {
                    words.push(state.said.begin_word(&event, now));
                }
            }
        }
        let (flow, world) = (self.flow(place), self.world.clone());
        let task = tokio::spawn(async move {
            let clock = || world.clock(place);
            let name = format!("worker-{place}");
            let worker = Worker { name: &name, clock: &clock, deadline: Instant::now() + TIMEOUT };
            flow.receive(environment::source(source), &delivery, worker).await.is_ok()
        });
        self.running[place] = Some(Running { task, words, lefts, events });
        self.drive(place).await;
    }

    fn delivery(&self, events: &[usize]) -> Delivery {
        let state = self.world.state();
        let mut delivery = Delivery::default();
        for event in events.iter().map(|n| &state.truth.events[*n]) {
            let word = match event.says {
                Says::Left => {
                    let source = SOURCES[event.source].to_owned();
                    let id = format!("{source}/{}", event.event_id);
                    let reported = Reported {
                        id: event.event_id.clone(),
                        kind: "left".to_owned(),
                        occurred_at: event.claimed,
                        organization: None,
                    };
                    delivery.departures.push(Departure { id, source, event: reported, person: event.named() });
                    continue;
                }
                Says::Active => Word::Active,
                Says::Known => Word::Known,
            };
            let verified = Verification::Proven;
            delivery.facts.push(IdentityFact { person: event.named(), word, verified, at: event.claimed });
        }
        delivery
    }

    /// Works on a departure.
    pub async fn advance(&mut self, id: &str, place: usize, fault: Option<Fault>) {
        if let Some(place) = self.begin_advance(id, place, fault) {
            self.drive(place).await;
        }
    }

    fn begin_advance(&mut self, id: &str, place: usize, fault: Option<Fault>) -> Option<usize> {
        let place = self.free(place)?;
        {
            let mut state = self.world.state();
            let now = state.now(&self.world);
            state.begin(place, vec![id.to_owned()], fault, now);
            state.note(|| format!("  [{place}] advances {id}"));
        }
        let (flow, world, id) = (self.flow(place), self.world.clone(), id.to_owned());
        let task = tokio::spawn(async move {
            let clock = || world.clock(place);
            let name = format!("worker-{place}");
            let worker = Worker { name: &name, clock: &clock, deadline: Instant::now() + TIMEOUT };
            flow.advance(&id, worker).await.is_ok()
        });
        self.running[place] = Some(Running { task, words: Vec::new(), lefts: Vec::new(), events: Vec::new() });
        Some(place)
    }

    async fn race(&mut self, pick: u8, place: usize, fault: Option<Fault>) {
        let ids: Vec<_> = self.world.state().records.keys().cloned().collect();
        let Some(id) = picked(&ids, pick) else { return };
        let first = self.begin_advance(&id, place, fault);
        let second = self.begin_advance(&id, place + 1, None);
        for place in [first, second].into_iter().flatten() {
            self.drive(place).await;
        }
    }

    /// Lets an invocation go on until it ends, freezes or dies.
    async fn drive(&mut self, place: usize) {
        let world = self.world.clone();
        loop {
            let stopped = world.stopped.notified();
            let (is_frozen, is_dead) = {
                let state = world.state();
                (state.places[place].is_frozen, state.places[place].is_dead)
            };
            if is_dead {
                return self.end(place).await;
            }
            if is_frozen {
                return;
            }
            let Some(running) = &mut self.running[place] else { return };
            tokio::select! {
                biased;
                ended = &mut running.task => {
                    let panicked = ended.as_ref().is_err_and(|error| error.is_panic());
                    if panicked {
                        world.state().violate("an invocation panicked");
                    }
                    return self.ended(place, ended.unwrap_or(false));
                }
                () = stopped => {}
            }
        }
    }

    /// Ends an invocation that died.
    async fn end(&mut self, place: usize) {
        if let Some(running) = &mut self.running[place] {
            running.task.abort();
            let _ = (&mut running.task).await;
            self.world.state().note(|| format!("  [{place}] died"));
        }
        self.ended(place, false);
    }

    fn ended(&mut self, place: usize, is_answered: bool) {
        let Some(running) = self.running[place].take() else { return };
        let mut state = self.world.state();
        let now = state.now(&self.world);
        state.places[place].is_busy = false;
        state.places[place].removes = None;
        state.places[place].works_on.clear();
        state.note(|| format!("  [{place}] ended, answered: {is_answered}"));
        for word in running.words {
            state.said.end_word(word, is_answered, now);
        }
        for n in running.lefts {
            let is_recorded = is_recorded(&state.records, &state.truth.events[n]);
            state.said.end_left(n, is_recorded, now);
            if is_answered && !is_recorded {
                state.violate("a departure was answered as recorded, and is not");
            }
        }
        for n in running.events {
            state.truth.events[n].is_answered |= is_answered;
        }
    }

    fn free(&self, place: usize) -> Option<usize> {
        (0..ENVIRONMENTS).map(|n| (place + n) % ENVIRONMENTS).find(|place| self.running[*place].is_none())
    }

    fn flow(&mut self, place: usize) -> Arc<Flow> {
        let (policy, setup) = {
            let state = self.world.state();
            (state.policy.clone(), state.setup.clone())
        };
        if let Some((configured, flow)) = &self.flows[place]
            && *configured == policy
        {
            return flow.clone();
        }
        let flow = Arc::new(environment::flow(&self.world, place, &setup, &policy));
        self.flows[place] = Some((policy, flow.clone()));
        flow
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

/// Whether there is a record of this very event.
pub fn is_recorded(records: &BTreeMap<String, Record>, event: &crate::truth::Event) -> bool {
    let (key, prefix) = (event.key(), format!("{}/{}", SOURCES[event.source], event.event_id));
    let is_it = |record: &&Record| {
        let is_id = record.id == prefix || record.id.starts_with(&format!("{prefix}~"));
        is_id && record.person.key.as_ref() == Some(&key) && record.event.occurred_at == event.claimed
    };
    records.values().any(|record| is_it(&record))
}

/// Picks among what is there.
pub fn picked<T: Clone>(from: &[T], pick: u8) -> Option<T> {
    (!from.is_empty()).then(|| from[usize::from(pick) % from.len()].clone())
}

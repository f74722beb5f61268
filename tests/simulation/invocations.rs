//! Invocations of the function: deliveries and messages, each in an environment, until it ends, freezes or dies.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use offboard::{
    departure::{DeliveryEvents, Departure, Event as Reported, IdentityFact, Verification, Word},
    flow::{Flow, Worker},
    ledger::Record,
};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    driver::{Driver, picked},
    environment,
    steps::Fault,
    truth::{SOURCES, Says},
    world::ENVIRONMENTS,
};

/// How long an invocation may take.
const TIMEOUT: Duration = Duration::from_secs(25);

/// An invocation that has not ended.
pub struct Running {
    task: JoinHandle<bool>,
    words: Vec<usize>,
    lefts: Vec<usize>,
    /// The events of a delivery.
    events: Vec<usize>,
}

impl Driver {
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

    fn delivery(&self, events: &[usize]) -> DeliveryEvents {
        let state = self.world.state();
        let mut delivery = DeliveryEvents::default();
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
                Says::Inactive => Word::Inactive,
            };
            let verified = Verification::Verified;
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

    /// Publishes what waits in the outbox.
    pub async fn publish(&mut self, place: usize, fault: Option<Fault>) {
        let Some(place) = self.free(place) else { return };
        {
            let mut state = self.world.state();
            let now = state.now(&self.world);
            state.begin(place, Vec::new(), fault, now);
            state.note(|| format!("  [{place}] publishes"));
        }
        let (flow, world) = (self.flow(place), self.world.clone());
        let task = tokio::spawn(async move {
            let clock = || world.clock(place);
            let worker = Worker { name: "publisher", clock: &clock, deadline: Instant::now() + TIMEOUT };
            flow.publish(worker).await;
            true
        });
        self.running[place] = Some(Running { task, words: Vec::new(), lefts: Vec::new(), events: Vec::new() });
        self.drive(place).await;
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

    pub async fn race(&mut self, pick: u8, place: usize, fault: Option<Fault>) {
        let ids: Vec<_> = self.world.state().records.keys().cloned().collect();
        let Some(id) = picked(&ids, pick) else { return };
        let first = self.begin_advance(&id, place, fault);
        let second = self.begin_advance(&id, place + 1, None);
        for place in [first, second].into_iter().flatten() {
            self.drive(place).await;
        }
    }

    /// Lets an invocation go on until it ends, freezes or dies.
    pub async fn drive(&mut self, place: usize) {
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
    pub async fn end(&mut self, place: usize) {
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

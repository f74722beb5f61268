//! The world that the workers share: its clock, its truth, its store, and the faults that are planned.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use offboard::ledger::{Record, memory::Memory};
use time::{OffsetDateTime, macros::datetime};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::{
    bus::Told,
    said::Said,
    steps::{Fault, FaultKind, Setup},
    truth::{Millis, Truth, utc},
};

/// Environments of the function; the operator's terminal comes after them.
pub const ENVIRONMENTS: usize = 3;
pub const OPERATOR: usize = ENVIRONMENTS;
const START: OffsetDateTime = datetime!(2026-01-15 08:00 UTC);

/// What one environment, or the operator's terminal, is doing.
#[derive(Debug, Default)]
pub struct Place {
    pub skew: Millis,
    /// What goes wrong in this invocation.
    pub fault: Option<Fault>,
    calls: u32,
    pub is_frozen: bool,
    pub is_dead: bool,
    pub is_busy: bool,
    /// The departures that this invocation may work on.
    pub works_on: Vec<String>,
    pub began: Millis,
    /// The departure for which a removal is being called.
    pub removes: Option<String>,
    /// The protected addresses and the mode of its configuration.
    pub policy: Policy,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub is_live: bool,
    pub protected: BTreeSet<usize>,
}

/// Everything that changes.
#[derive(Debug)]
pub struct State {
    pub setup: Setup,
    pub truth: Truth,
    pub said: Said,
    pub places: Vec<Place>,
    pub policy: Policy,
    /// Since when the kill switch is surely on.
    pub paused: Option<Millis>,
    /// Addresses that an operator surely protects, since when and until when.
    pub holds: BTreeMap<usize, (Millis, Millis)>,
    /// Addresses that an operator ever protected: what was left for it may still be.
    pub ever_held: BTreeSet<usize>,
    /// Which accounts under former addresses an operator was shown, by departure.
    pub shown: BTreeMap<String, BTreeSet<String>>,
    /// The records as they are stored.
    pub records: BTreeMap<String, Record>,
    /// Notifications.
    pub told: Told,
    /// Accounts that a departure reported as gone.
    pub reported: BTreeSet<(String, String)>,
    pub outage: [bool; 3],
    /// Until when a provider refuses calls.
    pub limited: [Millis; 3],
    /// Before when no provider is called, by name, as it is stored, and when that was written.
    pub not_before: BTreeMap<String, (Millis, Millis)>,
    /// Whether removed accounts may be listed for a while.
    pub lists_lag: bool,
    pub violation: Option<String>,
    pub trace: Option<Vec<String>>,
    pub random: fastrand::Rng,
    /// Since when nothing goes wrong any more.
    pub is_quiet: bool,
    jumped: Duration,
}

/// The world.
pub struct World {
    state: Mutex<State>,
    pub memory: Memory,
    started: Instant,
    /// Rung when an environment freezes or dies.
    pub stopped: Notify,
    pub thawed: Notify,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl World {
    pub fn new(setup: &Setup, seed: u64, is_traced: bool) -> Arc<Self> {
        let places =
            (0..=ENVIRONMENTS).map(|n| Place { skew: setup.skews.get(n).copied().unwrap_or(0), ..Place::default() });
        let state = State {
            truth: Truth::new(setup.gives_times),
            said: Said::default(),
            places: places.collect(),
            policy: Policy { is_live: setup.is_live, protected: BTreeSet::new() },
            paused: None,
            holds: BTreeMap::new(),
            ever_held: BTreeSet::new(),
            shown: BTreeMap::new(),
            records: BTreeMap::new(),
            told: Told::default(),
            reported: BTreeSet::new(),
            outage: [false; 3],
            limited: [0; 3],
            not_before: BTreeMap::new(),
            lists_lag: setup.lists_lag,
            violation: None,
            trace: is_traced.then(Vec::new),
            random: fastrand::Rng::with_seed(seed),
            is_quiet: false,
            jumped: Duration::ZERO,
            setup: setup.clone(),
        };
        let (stopped, thawed) = (Notify::new(), Notify::new());
        Arc::new(Self { state: Mutex::new(state), memory: Memory::default(), started: Instant::now(), stopped, thawed })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The true time.
    pub fn now(&self) -> Millis {
        self.state().now(self)
    }

    /// The time on an environment's clock.
    pub fn clock(&self, place: usize) -> OffsetDateTime {
        let state = self.state();
        utc(state.now(self) + state.places[place].skew)
    }

    /// Lets time pass by the clock on the wall alone: monotonic clocks stand still, as in a frozen environment.
    pub fn jump(&self, duration: Duration) {
        let mut state = self.state();
        state.jumped += duration;
        let now = state.now(self);
        state.truth.at(now);
    }

    /// Passes the beginning of a call. Returns the fault that is still to come.
    pub async fn begin_call(&self, place: usize) -> Option<FaultKind> {
        let (pause, fault) = {
            let mut state = self.state();
            let pause = if state.random.u8(..4) == 0 { state.random.u64(1..40) } else { 0 };
            let place = &mut state.places[place];
            place.calls += 1;
            let due = place.fault.take_if(|fault| fault.at <= place.calls).map(|fault| fault.kind);
            (pause, due)
        };
        if pause > 0 {
            sleep(Duration::from_millis(pause)).await;
        }
        self.stay_frozen(place).await;
        match fault {
            Some(FaultKind::CrashBefore) => self.die(place).await,
            Some(FaultKind::FreezeBefore) => self.freeze(place).await,
            Some(FaultKind::Slow(seconds)) => sleep(Duration::from_secs(seconds.into())).await,
            after => return after,
        }
        None
    }

    /// Passes the end of a call that had its effect.
    pub async fn end_call(&self, place: usize, fault: Option<FaultKind>) {
        match fault {
            Some(FaultKind::CrashAfter) => self.die(place).await,
            Some(FaultKind::FreezeAfter) => self.freeze(place).await,
            _ => self.stay_frozen(place).await,
        }
    }

    async fn die(&self, place: usize) {
        self.state().places[place].is_dead = true;
        self.stopped.notify_one();
        std::future::pending::<()>().await;
    }

    async fn freeze(&self, place: usize) {
        {
            let mut state = self.state();
            state.places[place].is_frozen = true;
            state.places[place].removes = None;
        }
        self.stopped.notify_one();
        self.stay_frozen(place).await;
    }

    async fn stay_frozen(&self, place: usize) {
        loop {
            let thawed = self.thawed.notified();
            if !self.state().places[place].is_frozen {
                return;
            }
            thawed.await;
        }
    }
}

impl State {
    pub fn now(&self, world: &World) -> Millis {
        let passed = self.jumped + world.started.elapsed();
        let start = i64::try_from(START.unix_timestamp_nanos() / 1_000_000).unwrap();
        start + i64::try_from(passed.as_millis()).unwrap()
    }

    pub fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(text());
        }
    }

    /// Notes the first violation of an invariant.
    pub fn violate(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.note(|| format!("VIOLATION {text}"));
        self.violation.get_or_insert(text);
    }

    pub fn begin(&mut self, place: usize, works_on: Vec<String>, fault: Option<Fault>, now: Millis) {
        let policy = self.policy.clone();
        let place = &mut self.places[place];
        *place = Place { skew: place.skew, fault, works_on, began: now, is_busy: true, policy, ..Place::default() };
    }
}

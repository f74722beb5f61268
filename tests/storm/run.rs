//! One storm: the queue, the event source's workers, the tick.

use std::{cell::RefCell, cmp::Reverse, collections::BinaryHeap, rc::Rc, sync::Arc, time::Duration};

use offboard::{
    departure::{Departure, Event},
    flow::{self, Worker},
    ledger::{Ledger, NEVER, State},
    person::{Email, Person},
};
use time::{OffsetDateTime, macros::datetime};
use tokio::{
    task::LocalSet,
    time::{Instant, sleep},
};

use crate::{
    cost::Units,
    function::{self, LIMIT, SOURCE},
    product::{Vendor, vendors},
    store::{Metered, Shared},
};

const START: OffsetDateTime = datetime!(2026-01-15 08:00 UTC);
/// What a cold start adds to an environment's first invocation, and Lambda to every one.
const COLD: Duration = Duration::from_millis(150);
const OVERHEAD: Duration = Duration::from_millis(10);
/// The function's time-out, less what it keeps to answer in.
const DEADLINE: Duration = Duration::from_millis(28_500);
const TICK: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What environments know of each other's refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Nothing.
    None,
    /// Before when a provider is not called.
    NotBefore,
    /// That, and turns from then on.
    Turns,
}

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Knobs {
    /// Invocations of the queue at the same time.
    pub concurrency: usize,
    /// Messages in the queue beyond which a tick adds none.
    pub queued: usize,
    pub sharing: Sharing,
}

/// The queue: when a message is visible, in milliseconds, and the departure.
#[derive(Default)]
struct Queue(BinaryHeap<Reverse<(u128, usize, String)>>, usize);

struct Storm {
    started: Instant,
    store: Shared,
    queue: RefCell<Queue>,
    vendors: Vec<Arc<Vendor>>,
    knobs: Knobs,
}

/// What a storm came to.
pub struct Ended {
    pub knobs: Knobs,
    pub count: usize,
    pub taken: Duration,
    pub lost: usize,
    pub twice: usize,
    pub units: Units,
    vendors: Vec<Arc<Vendor>>,
}

/// Runs a storm of so many departures.
pub fn run(knobs: Knobs, count: usize) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let store = Arc::new(Metered { forgets_limits: knobs.sharing == Sharing::None, ..Metered::default() });
        record(&store, count).await;
        // The storm begins with the release: what was recorded before takes no time of it.
        let vendors = vendors((0..count).map(address));
        let storm = Rc::new(Storm { started: Instant::now(), store, queue: RefCell::default(), vendors, knobs });
        for _ in 0..knobs.concurrency {
            tokio::task::spawn_local(work(storm.clone()));
        }
        while storm.tick().await && storm.started.elapsed() < LONGEST {
            sleep(TICK).await;
        }
        storm.ended(count).await
    })
}

fn address(n: usize) -> String {
    format!("p{n}@example.com")
}

/// Records the departures as they are after a release of all: counted by the safeguard, let through, due.
async fn record(store: &Shared, count: usize) {
    let ledger = Ledger::new(store.clone());
    for n in 0..count {
        let event = Event { id: n.to_string(), kind: "left".into(), occurred_at: None, organization: None };
        let person = Person { email: Email::parse(&address(n)), idp_id: Some(format!("u{n}")), ..Person::default() };
        let departure = Departure { id: format!("{SOURCE}/{n}"), source: SOURCE.into(), event, person };
        let prepare = |record: &mut offboard::ledger::Record| (record.counted, record.let_through) = (true, true);
        let recorded = ledger.record(&departure, START, prepare).await.unwrap();
        let offboard::ledger::Recorded::New(record) = recorded else { panic!("{n} is known") };
        ledger.count(&[&record], &LIMIT).await.unwrap();
    }
    *store.units.lock().unwrap() = Units::default();
}

impl Storm {
    fn now(&self) -> OffsetDateTime {
        START + self.started.elapsed()
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(self.store.clone())
    }

    /// Sends messages for what is due, as the function's tick does. Returns whether work is left.
    async fn tick(&self) -> bool {
        let (ledger, now) = (self.ledger(), self.now().unix_timestamp());
        let pending = ledger.due(State::Pending, NEVER, flow::MAX_COUNTED).await.unwrap();
        let sent = {
            let mut queue = self.queue.borrow_mut();
            let at = self.started.elapsed().as_millis();
            let depth = queue.0.iter().filter(|Reverse((visible, ..))| *visible <= at).count();
            let due = flow::due(&pending, &[], false, now + flow::AHEAD);
            let messages = flow::messages(&due, self.knobs.queued, depth, now);
            for message in &messages {
                queue.1 += 1;
                let number = queue.1;
                queue.0.push(Reverse((at + message.delay.as_millis(), number, message.departure.clone())));
            }
            messages.len()
        };
        self.store.units.lock().unwrap().messages += sent.div_ceil(10) + 2;
        !pending.is_empty()
    }

    fn next(&self) -> Option<String> {
        let mut queue = self.queue.borrow_mut();
        let at = self.started.elapsed().as_millis();
        queue.0.peek().filter(|Reverse((visible, ..))| *visible <= at)?;
        queue.0.pop().map(|Reverse((.., id))| id)
    }

    async fn ended(&self, count: usize) -> Ended {
        let of = |state| self.store.memory.by_state(state, NEVER, count);
        use offboard::ledger::store::Store;
        let open = [State::Pending, State::Held, State::NeedsAttention];
        let mut lost = 0;
        for state in open {
            lost += of(state.as_str()).await.unwrap().len();
        }
        let accounts = |vendor: &Arc<Vendor>, is: fn(u32) -> bool| {
            vendor.state.lock().unwrap().accounts.values().filter(|left| is(**left)).count()
        };
        let twice = self.vendors.iter().map(|vendor| accounts(vendor, |left| left > 1)).sum();
        lost += self.vendors.iter().map(|vendor| accounts(vendor, |left| left == 1)).sum::<usize>();
        let last = |vendor: &Arc<Vendor>| vendor.state.lock().unwrap().removals.last().copied().unwrap_or_default();
        let taken = self.vendors.iter().map(last).max().unwrap_or_default();
        let units = *self.store.units.lock().unwrap();
        Ended { knobs: self.knobs, count, taken, lost, twice, units, vendors: self.vendors.clone() }
    }
}

/// One environment: takes messages, one at a time.
async fn work(storm: Rc<Storm>) {
    let flow = function::flow(&storm.store, &storm.vendors, storm.knobs.sharing);
    let mut is_cold = true;
    loop {
        let Some(id) = storm.next() else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let began = Instant::now();
        sleep(OVERHEAD + if std::mem::take(&mut is_cold) { COLD } else { Duration::ZERO }).await;
        let started = storm.started;
        let clock = || START + started.elapsed();
        let worker = Worker { name: &id, clock: &clock, deadline: Instant::now() + DEADLINE };
        flow.advance(&id, worker).await.unwrap();
        let mut units = storm.store.units.lock().unwrap();
        units.invocations += 1;
        // Lambda receives and deletes each message.
        units.messages += 2;
        units.milliseconds += usize::try_from(began.elapsed().as_millis()).unwrap();
    }
}

pub fn heading() -> String {
    let columns = "| concurrency | tick | sharing | time, min | least, min | share | wasted | runs each | $ table, queue, function |";
    format!("{columns}\n|{}", " --- |".repeat(9))
}

impl Ended {
    /// Returns the share of calls that were refused.
    pub fn wasted(&self) -> f64 {
        let sum = |of: fn(&crate::product::State) -> usize| {
            self.vendors.iter().map(|vendor| of(&vendor.state.lock().unwrap())).sum::<usize>() as f64
        };
        sum(|state| state.refused) / sum(|state| state.calls)
    }

    fn least(&self) -> Duration {
        self.vendors.iter().map(|vendor| vendor.least(self.count)).max().unwrap_or_default()
    }

    /// Returns how much of the rate that the slowest limit allows was reached.
    pub fn share(&self) -> f64 {
        self.least().as_secs_f64() / self.taken.as_secs_f64()
    }

    pub fn row(&self) -> String {
        let minutes = |time: Duration| time.as_secs_f64() / 60.0;
        let [table, queue, function] = self.units.dollars();
        let Knobs { concurrency, queued, sharing } = self.knobs;
        format!(
            "| {concurrency} | {queued} | {sharing:?} | {:.1} | {:.1} | {:.1} % | {:.2} % | {:.2} | {table:.2} + {queue:.2} + {function:.2} |",
            minutes(self.taken),
            minutes(self.least()),
            100.0 * self.share(),
            100.0 * self.wasted(),
            self.units.invocations as f64 / self.count as f64,
        )
    }

    /// Returns rows for the products: when the last account was removed, and how many calls were refused.
    pub fn products(&self) -> String {
        let row = |vendor: &Arc<Vendor>| {
            let least = vendor.least(self.count).as_secs_f64() / 60.0;
            let state = vendor.state.lock().unwrap();
            let last = state.removals.last().copied().unwrap_or_default().as_secs_f64() / 60.0;
            let (calls, refused) = (state.calls, state.refused);
            format!("| {} | {last:.1} | {least:.1} | {calls} | {refused} |\n", vendor.kind)
        };
        self.vendors.iter().map(row).collect()
    }

    /// Returns a line of JSON: how many were removed by each minute, by vendor.
    pub fn line(&self) -> String {
        let minutes = usize::try_from(self.taken.as_secs() / 60).unwrap() + 1;
        let vendors: serde_json::Map<_, _> = self.vendors.iter().map(|vendor| {
            let least = vendor.least(self.count).as_secs_f64() / 60.0;
            let state = vendor.state.lock().unwrap();
            let by = |minute: usize| state.removals.partition_point(|at| at.as_secs() < 60 * (minute as u64 + 1));
            let removed: Vec<_> = (0..minutes).map(by).collect();
            let of = serde_json::json!({"removed": removed, "least": least, "calls": state.calls, "refused": state.refused});
            (vendor.kind.to_owned(), of)
        }).collect();
        let Knobs { concurrency, queued, sharing } = self.knobs;
        let sharing = format!("{sharing:?}");
        serde_json::json!({"concurrency": concurrency, "queued": queued, "sharing": sharing, "count": self.count, "vendors": vendors}).to_string()
    }
}

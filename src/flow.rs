//! The one flow of a departure: record → advance, for a delivery, a message from the queue, a tick and a released departure
//! alike.
//!
//! advance: facts → judge → look up → (facts, if older than 5 s) → note the intent → remove → prove → note → close

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};

use crate::{
    archive::{Archive, ArchiveError},
    config::{Config, Mode, Policy},
    departure::{DeliveryEvents, Departure},
    engine::Engine,
    event_bus::EventBus,
    judgement::Rules,
    ledger::{Lease, Ledger, LedgerError, Record, Recorded, State},
    metrics,
    queue::{Message, Queue},
    report::DepartureReport,
    secrets::Secrets,
    source::Source,
};

mod exporting;
mod provisioning;
mod publishing;
mod removal;
mod reporting;
mod tick;

pub use exporting::MAX_PART;
use removal::Removal;
pub use tick::{AHEAD, MAX_COUNTED, MAX_QUEUED, TickError, due, messages};

/// Departures of a delivery that are worked on before it is answered; the rest is left to the queue.
const MAX_INLINE: usize = 50;
/// Departures of a delivery up to which none is read before it is recorded: most are new.
const MAX_UNREAD: usize = 10;
/// Departures that are recorded, or worked on, side by side.
const CONCURRENT: usize = 16;
/// How long a record waits for its delivery's repetition if not all identity facts could be stored.
const FACTS_WAIT: Duration = Duration::from_secs(15 * 60);
/// How much longer than its work a lease lasts: within it a call that was begun ends.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// How long after the worker's deadline a run may still write what came of it.
const CLOSING: Duration = Duration::from_millis(300);

/// A departure, or an identity fact, that could not be recorded: the sender has to deliver again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRecorded {
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The sender's time ran out.
    #[error("the sender's time ran out before everything was recorded")]
    Deadline,
}

/// Everything that departures are worked on with. Outlives invocations; several may use it at once.
#[derive(Debug)]
pub struct Flow {
    /// The records.
    pub ledger: Ledger,
    /// What makes it faster; `None` where the ledger is in memory.
    pub queue: Option<Queue>,
    /// Where notifications are published; without one, none is written.
    bus: Option<Arc<dyn EventBus>>,
    /// Where the evidence of each month is kept.
    archive: Option<Result<Archive, ArchiveError>>,
    engine: Engine,
    secrets: Arc<Secrets>,
    policy: Policy,
    sources: BTreeMap<String, Source>,
    retention: Duration,
}

/// One worker's view of one invocation.
#[derive(Clone, Copy)]
pub struct Worker<'a> {
    /// Who works: the invocation's id.
    pub name: &'a str,
    /// The wall clock: the monotonic one may stand still while an environment is frozen.
    pub clock: &'a (dyn Fn() -> OffsetDateTime + Send + Sync),
    /// When the work must have ended.
    pub deadline: Instant,
}

impl fmt::Debug for Worker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({})", self.name)
    }
}

impl Worker<'_> {
    /// Returns the time.
    pub fn now(&self) -> OffsetDateTime {
        (self.clock)()
    }

    /// The same worker, for half of the time that is left.
    fn for_half_of_its_time(self) -> Self {
        let now = Instant::now();
        Self { deadline: now + self.deadline.saturating_duration_since(now) / 2, ..self }
    }

    fn lease(&self) -> Lease {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Lease { by: self.name.to_owned(), until: self.now() + left + LEASE_MARGIN }
    }
}

/// A recorded departure of a delivery.
#[derive(Clone)]
struct Received {
    record: Record,
    is_duplicate: bool,
}

impl Flow {
    /// Puts the flow together from the configuration.
    pub fn new(
        config: &Config,
        engine: Engine,
        secrets: Arc<Secrets>,
        ledger: Ledger,
        queue: Option<Queue>,
        bus: Option<Arc<dyn EventBus>>,
    ) -> Self {
        let about = if bus.is_some() { config.notify.about.clone() } else { BTreeSet::new() };
        Self {
            ledger: ledger.notifying(about),
            queue,
            bus,
            archive: None,
            engine,
            secrets,
            policy: config.policy.clone(),
            sources: config.sources.clone(),
            retention: config.ledger.retention,
        }
    }

    /// Returns the engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Records what a delivery says, works on it until the worker's deadline, and reports.
    ///
    /// # Errors
    /// If not everything could be recorded. The sender's repetition goes on where this stopped.
    pub async fn receive(
        &self,
        source: &Source,
        delivery: &DeliveryEvents,
        worker: Worker<'_>,
    ) -> Result<Vec<DepartureReport>, NotRecorded> {
        let recorded = timeout_at(worker.deadline, self.record_all(source, delivery, worker)).await;
        let received = recorded.map_err(|_| NotRecorded::Deadline)??;
        let has_facts = !delivery.facts.is_empty();
        let mut work = Vec::new();
        for (position, received) in received.into_iter().enumerate() {
            // On the heap: it is large, and is moved on its way.
            work.push(Box::pin(self.in_time(position, received, has_facts, worker)));
        }
        let received: Vec<Received> = stream::iter(work).buffered(CONCURRENT).collect().await;
        // What is not sent by then the tick finds.
        let _ = timeout_at(worker.deadline + 2 * CLOSING, self.send_left(&received, worker)).await;
        Ok(received.iter().map(|received| self.report(&received.record, received.is_duplicate)).collect())
    }

    /// Records the departures, counts them, and stores the identity facts: in this order.
    async fn record_all(
        &self,
        source: &Source,
        delivery: &DeliveryEvents,
        worker: Worker<'_>,
    ) -> Result<Vec<Received>, NotRecorded> {
        let now = worker.now();
        let has_facts = !delivery.facts.is_empty();
        // The repetition of a large delivery must get further than the one before.
        let mut known = BTreeMap::new();
        if delivery.departures.len() > MAX_UNREAD {
            let ids = delivery.departures.iter().map(|departure| departure.id.clone()).collect();
            known = self.ledger.get_many(ids).await?;
        }
        let mut records = Vec::new();
        for (position, departure) in delivery.departures.iter().enumerate() {
            let is_inline = position < MAX_INLINE && !has_facts;
            let known = known.remove(&departure.id).filter(|record| record.is_of(departure));
            records.push(self.record(departure, known, now, has_facts, is_inline.then(|| worker.lease())));
        }
        let recorded: Vec<_> = stream::iter(records).buffered(CONCURRENT).collect().await;
        let recorded: Result<Vec<_>, _> = recorded.into_iter().collect();
        let counted = match recorded {
            Ok(mut received) => self.count_all(&mut received).await.map(|()| received),
            Err(error) => Err(error),
        };
        // Whatever fails before: an earlier delivery's departure may go on before this one comes again, and has to know.
        self.ledger.store_facts(&source.name, &delivery.facts, now).await?;
        Ok(counted?)
    }

    async fn record(
        &self,
        departure: &Departure,
        known: Option<Record>,
        now: OffsetDateTime,
        awaits_facts: bool,
        lease: Option<Lease>,
    ) -> Result<Received, LedgerError> {
        if let Some(record) = known {
            return Ok(Received { record, is_duplicate: true });
        }
        let planned = self.policy.mode == Mode::DryRun;
        let prepare = move |record: &mut Record| {
            record.planned = planned;
            match &lease {
                Some(lease) => record.take(lease.clone()),
                None => {
                    record.awaits_facts = awaits_facts;
                    let wait = if awaits_facts { FACTS_WAIT } else { Duration::ZERO };
                    record.due_at = Some((now + wait).unix_timestamp());
                }
            }
        };
        Ok(match self.ledger.record(departure, now, prepare).await? {
            Recorded::New(record) => Received { record, is_duplicate: false },
            Recorded::Known(record) => Received { record, is_duplicate: true },
        })
    }

    async fn count_all(&self, received: &mut [Received]) -> Result<(), LedgerError> {
        let Some(limit) = &self.policy.max_departures else { return Ok(()) };
        let new: Vec<&Record> =
            received.iter().filter(|one| !one.is_duplicate).map(|received| &received.record).collect();
        self.ledger.count(&new, limit).await?;
        received.iter_mut().filter(|one| !one.is_duplicate).for_each(|received| received.record.counted = true);
        Ok(())
    }

    /// Works on a departure of a delivery until the worker's deadline. What the ledger keeps waiting beyond it is dropped: the
    /// lease ends, and the tick goes on.
    async fn in_time(&self, position: usize, received: Received, has_facts: bool, worker: Worker<'_>) -> Received {
        let work = self.inline(position, received.clone(), has_facts, worker);
        timeout_at(worker.deadline + CLOSING, work).await.unwrap_or(received)
    }

    /// Works on a departure of a delivery, if it is its turn and there is time. Without a queue every turn is here.
    async fn inline(&self, position: usize, received: Received, has_facts: bool, worker: Worker<'_>) -> Received {
        let Received { record, is_duplicate } = received;
        let is_late = Instant::now() >= worker.deadline;
        let is_left = is_late || (position >= MAX_INLINE && self.queue.is_some());
        if is_left || record.state.is_settled() {
            let record = if has_facts { self.left(record, worker).await } else { record };
            return Received { record, is_duplicate };
        }
        let is_ours = record.lease.as_ref().is_some_and(|lease| lease.by == worker.name) && !is_duplicate;
        if is_ours {
            return Received { record: self.work(record, worker).await, is_duplicate };
        }
        let is_due = record.due_at.is_some_and(|due| due <= worker.now().unix_timestamp());
        if !(record.awaits_facts || is_due || self.queue.is_none()) {
            return Received { record, is_duplicate };
        }
        let record = match self.take(&record.id, worker, has_facts).await {
            Ok(Some(Taken::Ours(record))) => self.work(record, worker).await,
            Ok(Some(Taken::NotNow(record))) => record,
            Ok(None) | Err(_) => record,
        };
        Received { record, is_duplicate }
    }

    /// Leaves a departure to the queue. The facts of its delivery are stored, so it need not wait for them any longer.
    async fn left(&self, mut record: Record, worker: Worker<'_>) -> Record {
        if record.awaits_facts && record.state == State::Pending {
            let waiting = record.clone();
            record.awaits_facts = false;
            record.due_at = Some(worker.now().unix_timestamp());
            if !self.ledger.save(&mut record).await.is_ok_and(|saved| saved) {
                return waiting;
            }
        }
        record
    }

    /// Works on a recorded departure, as a message of the queue says. Returns its record; `None` if there is none.
    ///
    /// # Errors
    /// If the ledger cannot be used. Nothing is lost: the tick finds what is due.
    pub async fn advance(&self, id: &str, worker: Worker<'_>) -> Result<Option<Record>, LedgerError> {
        Ok(match self.take(id, worker, false).await? {
            Some(Taken::Ours(record)) => {
                let record = self.work(record, worker).await;
                self.report(&record, false).log(worker.name, worker.now());
                Some(record)
            }
            Some(Taken::NotNow(record)) => Some(record),
            None => None,
        })
    }

    /// Takes the lease of a departure on which work is left and which no worker has. One that waits for its delivery's facts is taken
    /// early only by a delivery that has facts: they are stored by now.
    async fn take(&self, id: &str, worker: Worker<'_>, has_facts: bool) -> Result<Option<Taken>, LedgerError> {
        loop {
            let Some(mut record) = self.ledger.get(id).await? else { return Ok(None) };
            let now = worker.now();
            let waits =
                record.awaits_facts && !has_facts && record.due_at.is_some_and(|due| due > now.unix_timestamp());
            if !matches!(record.state, State::Pending | State::Held) || record.is_leased(now) || waits {
                return Ok(Some(Taken::NotNow(record)));
            }
            record.take(worker.lease());
            if self.ledger.save(&mut record).await? {
                return Ok(Some(Taken::Ours(record)));
            }
        }
    }

    /// Works on a departure whose lease we hold. Whatever fails, the record says when somebody goes on.
    async fn work(&self, record: Record, worker: Worker<'_>) -> Record {
        let before = record.occasion();
        let mut removal = Removal::new(self, record, worker);
        if let Err(error) = removal.run().await {
            let departure_id = crate::person::mask_departure_id(&removal.record.id);
            tracing::error!(request_id = worker.name, departure_id, reason = %error, "a departure could not be judged");
            metrics::count("NotRecorded");
            removal.record.not_judged(worker.now());
            // If this is not written either, the tick finds it once the lease has ended.
            let _ = self.ledger.close(&mut removal.record, worker.now()).await;
        }
        metrics::entered(before, &removal.record);
        removal.record
    }

    /// Sends a message for each departure with work left that is due before the queue forgets how long to wait.
    async fn send_left(&self, received: &[Received], worker: Worker<'_>) {
        let Some(queue) = &self.queue else { return };
        let now = worker.now();
        let left = received.iter().map(|received| &received.record);
        let left = left.filter(|record| record.state == State::Pending && !record.is_leased(now));
        let messages = left.filter_map(|record| {
            let delay = u64::try_from(record.due_at? - now.unix_timestamp()).unwrap_or_default();
            let delay = Some(Duration::from_secs(delay)).filter(|delay| *delay <= Queue::MAX_DELAY)?;
            Some(Message { departure: record.id.clone(), delay })
        });
        let messages: Vec<_> = messages.collect();
        if let Err(error) = queue.send(&messages).await {
            // Then the tick finds them.
            tracing::warn!(request_id = worker.name, reason = %error, "what is left could not be queued");
        }
    }

    /// What the configuration says about a departure.
    fn rules(&self, record: &Record) -> Rules<'_> {
        let settle = self.sources.get(&record.source).map(|source| source.settle);
        Rules { policy: &self.policy, settle }
    }

    /// Whether a departure's source reaches a provider.
    fn covers(&self, record: &Record, provider: &str) -> bool {
        self.sources.get(&record.source).is_some_and(|source| source.covers(provider))
    }

    /// The providers that a departure's source reaches.
    fn reached(&self, record: &Record) -> BTreeSet<&str> {
        self.engine.names().filter(|name| self.covers(record, name)).collect()
    }
}

/// What became of an attempt to take a lease.
enum Taken {
    /// It is ours.
    Ours(Record),
    /// Nothing is to be done now: it is done, needs a person, or another worker has it.
    NotNow(Record),
}

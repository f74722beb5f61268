//! Nothing lost: a departure is recorded before anybody is removed, and what is left of it is remembered by the queue.
//!
//! Record, remind, look up, remove, note each outcome, close. Whoever is killed on the way leaves a record with a lease that
//! ends and a reminder that comes: the next worker calls only the providers that are not settled.

use std::{sync::Arc, time::Duration};

use time::OffsetDateTime;
use tokio::time::Instant;

use crate::{
    config::Policy,
    departure::{Departure, Lesson, Return},
    engine::{Assignment, Barrier, Engine, Run},
    ledger::{Begun, Lease, Ledger, LedgerDown, Record, Standing, State},
    outcome::{Outcome, Status},
    person::mask_addresses,
    plan::{Intent, Plan, Reason},
    queue::{Queue, pause},
    report::{DepartureReport, Entry, Finding},
    secrets::Secrets,
};

/// How long after its lease's end a reminder of a departure comes.
const REMINDER_MARGIN: Duration = Duration::from_secs(95);
/// When to look again at a departure that somebody works on.
const BUSY: Duration = Duration::from_secs(60);
/// In how many deliveries of its reminder a departure may be tried, before a person has to act.
pub const MOST_TRIES: u32 = 14;

/// The ledger or the queue could not be used before anything was done, or what was done could not be noted.
#[derive(Debug)]
pub struct NotDurable(pub String);

/// What works on departures that are recorded.
#[derive(Debug)]
pub struct Durable {
    /// Where they are recorded.
    pub ledger: Ledger,
    /// What reminds of them, if there is a queue.
    pub queue: Option<Queue>,
    /// How long a record is kept.
    pub retention: Duration,
    /// How long the directory remembers an id of which nothing new is told.
    pub directory_retention: Duration,
}

/// One worker's view of one invocation.
#[derive(Clone, Copy, Debug)]
pub struct Worker<'a> {
    /// The providers.
    pub engine: &'a Engine,
    /// Their credentials.
    pub secrets: &'a Arc<Secrets>,
    /// What may be done.
    pub policy: &'a Policy,
    /// Who works: the invocation's id.
    pub name: &'a str,
    /// When the invocation began, by the clock and by the stop-watch.
    pub now: (OffsetDateTime, Instant),
    /// When the work must have ended.
    pub deadline: Instant,
}

/// What shall become of a reminder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing is left: it may go.
    Forget,
    /// It shall come again, after this time.
    Again(Duration),
}

impl Worker<'_> {
    fn now(&self) -> OffsetDateTime {
        self.now.0 + self.now.1.elapsed()
    }

    fn lease(&self) -> Lease {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Lease { by: self.name.to_owned(), until: self.now() + left }
    }
}

impl Durable {
    /// Works on a departure that a sender just reported, and says what became of it.
    ///
    /// # Errors
    /// If it cannot be recorded, or nothing would remind of what is left.
    pub async fn receive(&self, departure: Departure, worker: Worker<'_>) -> Result<DepartureReport, NotDurable> {
        let plan = self.plan(departure.clone(), Standing::New, worker.now.0, worker).await?;
        let lease = (plan.intent == Intent::Remove).then(|| worker.lease());
        let mut record = Record::new(&departure, worker.now.0, self.retention, lease);
        record.complete(&plan.departure.person);
        if let Intent::Leave(outcome, reason) = plan.intent {
            leave(&mut record, worker, outcome, reason);
        }
        if plan.intent == Intent::Remove {
            record.standing = Standing::Admitted;
        }
        match self.ledger.begin(record, worker.lease(), worker.now()).await.map_err(not_recorded)? {
            Begun::Known(record) => {
                // Its first worker may have been killed before it asked to be reminded.
                if record.state == State::Open && !record.reminded {
                    self.remind(&record.id, worker).await?;
                }
                Ok(report(&record, worker, true))
            }
            Begun::New(record) if plan.intent != Intent::Remove => Ok(report(&record, worker, false)),
            Begun::New(record) => self.work(record, worker, false).await,
            Begun::Resumed(mut record) => {
                // Judged again as of when it first came.
                let plan = self.plan(record.told(), record.standing, record.received_at, worker).await?;
                record.complete(&plan.departure.person);
                let Intent::Leave(outcome, reason) = plan.intent else { return self.work(record, worker, true).await };
                leave(&mut record, worker, outcome, reason);
                let saved = self.ledger.save(&mut record).await.map_err(not_recorded)?;
                if saved {
                    Ok(report(&record, worker, true))
                } else {
                    Err(NotDurable("somebody was quicker".to_owned()))
                }
            }
        }
    }

    /// Learns whom the ids of a source stand for.
    ///
    /// # Errors
    /// If it cannot be noted.
    pub async fn learn(&self, source: &str, lessons: &[Lesson], now: OffsetDateTime) -> Result<(), NotDurable> {
        for lesson in lessons {
            self.ledger.learn(source, lesson, now, self.directory_retention).await.map_err(not_recorded)?;
        }
        Ok(())
    }

    /// Notes who left, before any of them is looked up: two ids of one person may leave together.
    ///
    /// # Errors
    /// If it cannot be noted.
    pub async fn depart(&self, departures: &[Departure], now: OffsetDateTime) -> Result<(), NotDurable> {
        for departure in departures {
            self.ledger.depart(departure, now).await.map_err(not_recorded)?;
        }
        Ok(())
    }

    /// What would be done about a departure: for a dry run, which records nothing.
    ///
    /// # Errors
    /// If the directory cannot be asked.
    pub async fn preview(&self, departure: Departure, worker: Worker<'_>) -> Result<Plan, NotDurable> {
        let (departure, taken_over) = self.complete(departure).await?;
        let mut plan = Plan::new(worker.policy, departure, worker.now.0);
        if plan.intent == Intent::LookOnly && taken_over {
            plan.intent = Intent::Leave(Outcome::NotAttempted, Reason::AddressOfAnother);
        }
        Ok(plan)
    }

    /// Notes that a person is there: a departure that happened before is held.
    ///
    /// # Errors
    /// If it cannot be noted.
    pub async fn came_back(&self, source: &str, returned: &Return, now: OffsetDateTime) -> Result<(), NotDurable> {
        let at = returned.at.unwrap_or(now);
        self.ledger.note_return(source, &returned.person, at, self.retention).await.map_err(not_recorded)
    }

    /// Works on what is left of a departure of which the queue reminds. `tries` counts the reminder's deliveries.
    ///
    /// # Errors
    /// If the ledger cannot be used: the reminder comes again.
    pub async fn resume(&self, id: &str, tries: u32, worker: Worker<'_>) -> Result<Next, NotDurable> {
        let taken = self.ledger.take(id, worker.lease(), worker.now()).await.map_err(not_recorded)?;
        let mut record = match taken {
            Some(Begun::Resumed(record) | Begun::New(record)) => record,
            Some(Begun::Known(record)) if record.state == State::Open => return Ok(Next::Again(BUSY)),
            Some(Begun::Known(_)) => return Ok(Next::Forget),
            None => {
                tracing::warn!(request_id = worker.name, "a reminder of a departure that is not recorded is dropped");
                return Ok(Next::Forget);
            }
        };
        let plan = self.plan(record.told(), record.standing, record.received_at, worker).await?;
        record.complete(&plan.departure.person);
        if let Intent::Leave(outcome, reason) = plan.intent {
            leave(&mut record, worker, outcome, reason);
            report(&record, worker, false).log(worker.name);
            return Ok(if self.save(&mut record, worker).await { Next::Forget } else { Next::Again(BUSY) });
        }
        record.standing = record.standing.max(Standing::Admitted);
        record.reminded = true;
        let run = begin(&plan, &record, worker)?;
        let noted = self.note(&mut record, run, worker).await;
        let finished = noted && record.state != State::Open;
        // A departure that is done, but could not be noted, is not given up: its person is masked already.
        let given_up = record.state == State::Open && tries >= MOST_TRIES;
        if given_up {
            record.state = State::NeedsAttention;
            record.reason = Some("gave_up".to_owned());
            self.save(&mut record, worker).await;
        }
        report(&record, worker, false).log(worker.name);
        Ok(match () {
            () if finished => Next::Forget,
            // The queue hands the reminder to its dead letters instead of delivering it again.
            () if given_up => Next::Again(Duration::ZERO),
            () => Next::Again(pause(tries, record.retry_after())),
        })
    }

    /// What shall be done, after what the ledger knows.
    async fn plan(
        &self,
        departure: Departure,
        standing: Standing,
        received_at: OffsetDateTime,
        worker: Worker<'_>,
    ) -> Result<Plan, NotDurable> {
        let (departure, taken_over) = self.complete(departure).await?;
        let mut plan = Plan::new(worker.policy, departure, worker.now.0);
        match plan.intent {
            // Its age was judged when it came.
            Intent::Leave(_, Reason::EventTooOld | Reason::EventInFuture) if standing > Standing::New => {
                plan.intent = Intent::Remove;
            }
            // A dry run's function was handed live work: it must not do it.
            Intent::LookOnly => plan.intent = Intent::Leave(Outcome::NotAttempted, Reason::ModeDryRun),
            _ => {}
        }
        // What a person has released is not held back again.
        if plan.intent == Intent::Remove && standing < Standing::Released {
            let reason = match taken_over {
                true => Some(Reason::AddressOfAnother),
                false => self.held_back(&plan.departure, standing, received_at, worker).await.map_err(not_recorded)?,
            };
            if let Some(reason) = reason {
                plan.intent = Intent::Leave(Outcome::NotAttempted, reason);
            }
        }
        Ok(plan)
    }

    /// Adds what the directory knows. Says whether the person's address is somebody else's by now.
    async fn complete(&self, departure: Departure) -> Result<(Departure, bool), NotDurable> {
        let completed = self.ledger.complete(&departure.source, &departure.person).await.map_err(not_recorded)?;
        Ok((Departure { person: completed.person, ..departure }, completed.taken_over))
    }

    /// Why the ledger holds a departure back.
    async fn held_back(
        &self,
        departure: &Departure,
        standing: Standing,
        received_at: OffsetDateTime,
        worker: Worker<'_>,
    ) -> Result<Option<Reason>, LedgerDown> {
        let returned = self.ledger.returned(&departure.source, &departure.person).await?;
        // A source that tells no time: they had left by when it first said so, however much later work goes on.
        let left_at = departure.event.occurred_at.unwrap_or(received_at);
        if returned.is_some_and(|at| at > left_at) {
            return Ok(Some(Reason::PersonReturned));
        }
        match &worker.policy.max_departures {
            Some(limit) if standing == Standing::New => {
                let admitted = self.ledger.admit(&departure.id, limit, worker.now.0).await?;
                Ok((!admitted).then_some(Reason::TooManyDepartures))
            }
            _ => Ok(None),
        }
    }

    /// Does what is left of a departure whose lease we hold. Removals wait until the queue has taken the reminder.
    async fn work(
        &self,
        mut record: Record,
        worker: Worker<'_>,
        duplicate: bool,
    ) -> Result<DepartureReport, NotDurable> {
        let plan = Plan { departure: record.departure(), intent: Intent::Remove };
        if !record.reminded {
            if let Err(not_durable) = self.remind(&record.id, worker).await {
                // The sender is told to come again; whoever comes finds the lease free.
                record.lease = None;
                let _ = self.ledger.save(&mut record).await;
                return Err(not_durable);
            }
            record.reminded = self.queue.is_some();
        }
        let run = begin(&plan, &record, worker)?;
        let noted = self.note(&mut record, run, worker).await;
        let mut report = report(&record, worker, duplicate);
        // What is left is safe if the queue reminds of it. What was done and not noted is found by looking again.
        if report.status == Status::Pending && !record.reminded || !noted && self.queue.is_none() {
            report.status = Status::Incomplete;
        }
        Ok(report)
    }

    /// Notes each outcome as it comes, and closes the record. Says whether the ledger has it all.
    async fn note(&self, record: &mut Record, mut run: Run, worker: Worker<'_>) -> bool {
        let mut noted = true;
        while let Some(entry) = run.next().await {
            record.settle(entry, worker.now());
            // Whatever has ended meanwhile goes into the same write.
            while let Some(entry) = run.try_next() {
                record.settle(entry, worker.now());
            }
            // A ledger that is out of order is asked once more at the end: each silence costs seconds.
            if !run.is_empty() && noted {
                noted = self.save(record, worker).await;
            }
        }
        record.close();
        self.save(record, worker).await
    }

    /// Saves, and says in the log if it could not.
    async fn save(&self, record: &mut Record, worker: Worker<'_>) -> bool {
        let (request_id, departure_id) = (worker.name, mask_addresses(&record.id));
        match self.ledger.save(record).await {
            Ok(true) => true,
            Ok(false) => {
                tracing::error!(request_id, departure_id, "somebody else changed the record of this departure");
                false
            }
            Err(down) => {
                tracing::error!(request_id, departure_id, reason = %down, "an outcome could not be noted");
                false
            }
        }
    }

    async fn remind(&self, id: &str, worker: Worker<'_>) -> Result<(), NotDurable> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let delay = worker.deadline.saturating_duration_since(Instant::now()) + REMINDER_MARGIN;
        queue.remind(id, delay).await.map_err(|down| NotDurable(down.to_string()))
    }
}

/// Leaves a departure alone: held, or for a person to read.
fn leave(record: &mut Record, worker: Worker<'_>, outcome: Outcome, reason: Reason) {
    for provider in worker.engine.names() {
        let finding = Finding::of(outcome).reason(reason.to_string());
        let entry = Entry { provider: provider.to_owned(), finding, accounts: Vec::new(), attempts: 0, elapsed_ms: 0 };
        if !record.settled().contains_key(provider) {
            record.settle(entry, worker.now());
        }
    }
    record.lease = None;
    record.state = if reason == Reason::Protected { State::NeedsAttention } else { State::Held };
    record.reason = Some(reason.to_string());
}

/// Begins a plan at the providers at which something is left to do.
fn begin(plan: &Plan, record: &Record, worker: Worker<'_>) -> Result<Run, NotDurable> {
    let assignment: Assignment = plan.assignment().ok_or_else(|| NotDurable("nothing is to be called".to_owned()))?;
    Ok(worker.engine.begin(worker.secrets, assignment, worker.deadline, &Barrier::open(), wanted(record)))
}

/// The providers at which something is left to do.
fn wanted(record: &Record) -> impl Fn(&str) -> bool {
    let settled = record.settled();
    move |name| !settled.contains_key(name)
}

/// The report on what is recorded: exactly one entry for every configured provider.
fn report(record: &Record, worker: Worker<'_>, duplicate: bool) -> DepartureReport {
    let entry = |name: &str| match record.providers.get(name) {
        Some(settled) => settled.entry.clone(),
        None => {
            let finding = Finding::of(Outcome::NotAttempted).reason("pending");
            Entry { provider: name.to_owned(), finding, accounts: Vec::new(), attempts: 0, elapsed_ms: 0 }
        }
    };
    let entries = worker.engine.names().map(entry).collect();
    DepartureReport::of(&record.departure(), record.status(), duplicate, entries)
}

fn not_recorded(down: LedgerDown) -> NotDurable {
    NotDurable(down.to_string())
}

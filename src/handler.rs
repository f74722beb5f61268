//! One invocation: verify → read → plan → execute → report → answer.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use http::{Method, Request, Response};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::{
    answer::{self, Problem},
    config::{Config, Mode, Policy},
    departure::{Delivery, Departure},
    durable::{Durable, Next, NotDurable, Worker},
    engine::Engine,
    plan::Plan,
    report::{DepartureReport, Report},
    secrets::Secrets,
    source::{Challenge, Source, Unreadable},
    webhook::key_sets::KeySets,
};

mod door;

use door::Door;

/// What is kept of a sender's patience for the way there and back.
const ANSWERING: Duration = Duration::from_millis(500);
/// The longest challenge that is given back, in bytes.
const LONGEST_CHALLENGE: usize = 512;

/// Everything that outlives an invocation. Several may run at once.
#[derive(Debug)]
pub struct App {
    sources: std::collections::BTreeMap<String, Source>,
    policy: Policy,
    max_body: usize,
    door: Door,
    secrets: Arc<Secrets>,
    engine: Engine,
    durable: Option<Durable>,
}

/// What one invocation brings along.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Its id.
    pub request_id: String,
    /// When it began.
    pub started: Instant,
    /// When the answer must be ready.
    pub deadline: Instant,
    /// When the delivery arrived.
    pub now: OffsetDateTime,
}

impl App {
    /// Puts the parts together.
    pub fn new(config: Config, secrets: Arc<Secrets>, engine: Engine, durable: Option<Durable>) -> Self {
        Self {
            sources: config.sources,
            policy: config.policy,
            max_body: config.http.max_body,
            door: Door::new(secrets.clone(), KeySets::new(engine.client())),
            secrets,
            engine,
            durable,
        }
    }

    /// Answers one request.
    pub async fn handle(&self, request: &Request<Vec<u8>>, invocation: &Invocation) -> Response<String> {
        let answered = match self.source(request) {
            Ok(source) if request.method() == Method::GET => challenge(source, request),
            Ok(source) => self.deliver(source, request, invocation).await,
            Err(problem) => Err(problem),
        };
        answered.unwrap_or_else(|problem| problem.answer(&invocation.request_id))
    }

    async fn deliver(
        &self,
        source: &Source,
        request: &Request<Vec<u8>>,
        invocation: &Invocation,
    ) -> Result<Response<String>, Problem> {
        if request.body().len() > self.max_body {
            return Err(Problem::TooLarge(self.max_body));
        }
        let log = |refusal: &dyn std::fmt::Display, what: &str| {
            tracing::warn!(request_id = invocation.request_id, source = source.name, reason = %refusal, "{what}");
        };
        let verified = self.door.verify(source, request, invocation, &log).await?;
        // Some senders never repeat what was refused: whoever left is then known from this line alone.
        let cannot_read = |fault: &Unreadable, what: &str| {
            tracing::error!(request_id = invocation.request_id, source = source.name, reason = %fault, "{what}");
        };
        let delivery = source.delivery(&verified).map_err(|fault| {
            cannot_read(&fault, "a signed delivery could not be read");
            Problem::Unreadable(fault.to_string())
        })?;
        delivery.faults.iter().for_each(|fault| cannot_read(fault, "an event could not be read"));
        let report = self.act(source, delivery, invocation).await.map_err(|NotDurable(why)| {
            log(&why, "a delivery could not be recorded");
            Problem::NotRecorded
        })?;
        report.log();
        Ok(answer::report(&report, source.reply))
    }

    /// Acts on what a source's delivery says: first learns whom its ids stand for and who left, in every mode, then sees to
    /// those.
    ///
    /// # Errors
    /// If there is a ledger, and it or the queue cannot be used.
    pub async fn act(
        &self,
        source: &Source,
        delivery: Delivery,
        invocation: &Invocation,
    ) -> Result<Report, NotDurable> {
        if let Some(durable) = &self.durable {
            durable.learn(&source.name, &delivery.lessons, invocation.now).await?;
            durable.depart(&delivery.departures, invocation.now).await?;
        }
        let departures = match &self.durable {
            Some(durable) if self.policy.mode != Mode::DryRun => {
                self.durably(durable, source, &delivery, invocation).await?
            }
            _ => {
                let depart = |departure: &Departure| self.depart(departure.clone(), invocation);
                join_all(delivery.departures.iter().map(depart)).await.into_iter().collect::<Result<_, _>>()?
            }
        };
        Ok(Report::new(invocation.request_id.clone(), departures, delivery.ignored))
    }

    /// Works on a delivery with a ledger: notes who came back, and records who left before anything is done.
    async fn durably(
        &self,
        durable: &Durable,
        source: &Source,
        delivery: &Delivery,
        invocation: &Invocation,
    ) -> Result<Vec<DepartureReport>, NotDurable> {
        for person in &delivery.returns {
            durable.came_back(&source.name, person, invocation.now).await?;
        }
        // Without a queue nobody goes on afterwards: then the sender's patience is no reason to stop.
        let patience = source.patience.saturating_sub(ANSWERING);
        let patience = durable.queue.is_some().then(|| invocation.started + patience);
        let deadline = patience.map_or(invocation.deadline, |patience| patience.min(invocation.deadline));
        let worker = self.worker(invocation, deadline);
        let receive = |departure: &Departure| durable.receive(departure.clone(), worker);
        join_all(delivery.departures.iter().map(receive)).await.into_iter().collect()
    }

    /// Works on what is left of a departure of which the queue reminds.
    ///
    /// # Errors
    /// If there is no ledger, or it cannot be used.
    pub async fn resume(&self, departure: &str, tries: u32, invocation: &Invocation) -> Result<Next, NotDurable> {
        match &self.durable {
            Some(durable) => durable.resume(departure, tries, self.worker(invocation, invocation.deadline)).await,
            None => Err(NotDurable("there is no ledger".to_owned())),
        }
    }

    /// Hides a reminder until it shall come again.
    pub async fn postpone(&self, receipt: &str, pause: Duration) {
        if let Some(queue) = self.durable.as_ref().and_then(|durable| durable.queue.as_ref())
            && let Err(down) = queue.postpone(receipt, pause).await
        {
            // Then it comes after the queue's own time.
            tracing::warn!(reason = %down, "a reminder could not be postponed");
        }
    }

    fn worker<'a>(&'a self, invocation: &'a Invocation, deadline: Instant) -> Worker<'a> {
        Worker {
            engine: &self.engine,
            secrets: &self.secrets,
            policy: &self.policy,
            name: &invocation.request_id,
            now: (invocation.now, invocation.started),
            deadline,
        }
    }

    /// The source that a request is for: `/webhooks/{source}`, behind a stage's name or not.
    fn source(&self, request: &Request<Vec<u8>>) -> Result<&Source, Problem> {
        let path: Vec<_> = request.uri().path().trim_matches('/').split('/').collect();
        let name = match path[..] {
            ["webhooks", name] | [_, "webhooks", name] => name,
            _ => return Err(Problem::NotFound),
        };
        let source = self.sources.get(name).ok_or(Problem::NotFound)?;
        match (request.method(), &source.challenge) {
            (&Method::POST, _) | (&Method::GET, Some(_)) => Ok(source),
            (_, Some(_)) => Err(Problem::MethodNotAllowed("GET, POST")),
            (_, None) => Err(Problem::MethodNotAllowed("POST")),
        }
    }

    /// Works on a departure that is not recorded.
    async fn depart(&self, departure: Departure, invocation: &Invocation) -> Result<DepartureReport, NotDurable> {
        let plan = match &self.durable {
            Some(durable) => durable.preview(departure, self.worker(invocation, invocation.deadline)).await?,
            None => Plan::new(&self.policy, departure, invocation.now),
        };
        let entries = plan.execute(&self.engine, &self.secrets, invocation.deadline).await;
        Ok(DepartureReport::new(&plan, entries))
    }
}

/// Gives back what a sender asks to see that the address is ours. Whoever asks may be anybody: nothing else is told.
fn challenge(source: &Source, request: &Request<Vec<u8>>) -> Result<Response<String>, Problem> {
    let Some(Challenge { header, field }) = &source.challenge else { return Err(Problem::MethodNotAllowed("POST")) };
    let asked = request.headers().get(header).and_then(|value| value.to_str().ok()).map(str::trim);
    match asked.filter(|asked| !asked.is_empty() && asked.len() <= LONGEST_CHALLENGE) {
        Some(asked) => Ok(answer::challenge(field, asked)),
        None => Err(Problem::NoChallenge(header.to_string())),
    }
}

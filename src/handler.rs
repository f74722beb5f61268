//! One request: authenticate → read → record → advance → report → answer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::{Method, Request, Response};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::{
    answer::{self, Problem},
    archive::{Archive, ArchiveError},
    config::Config,
    departure::DeliveryEvents,
    engine::Engine,
    event_bus::EventBus,
    flow::{Flow, NotRecorded, TickError, Worker},
    ledger::{Ledger, LedgerError, Record},
    metrics,
    queue::Queue,
    report::Report,
    scim::{self, ScimError},
    secrets::Secrets,
    source::{Challenge, Protocol, Source, Unreadable},
    webhook::{Verified, key_sets::KeySets},
};

mod authenticator;
mod events;

use authenticator::Authenticator;

/// What is kept of a sender's response timeout for the way there and back.
const ANSWERING: Duration = Duration::from_millis(500);
/// The longest challenge that is given back, in bytes.
const LONGEST_CHALLENGE: usize = 512;

/// Everything that outlives an invocation. Several may run at once.
#[derive(Debug)]
pub(crate) struct App {
    sources: BTreeMap<String, Source>,
    max_body: usize,
    authenticator: Authenticator,
    flow: Flow,
    event_queue: Option<String>,
}

/// What one invocation brings along.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// Its id.
    pub(crate) request_id: String,
    /// The function's AWS account. Empty if Lambda does not say: no event is of such an account.
    pub(crate) account: String,
    /// When it began.
    pub(crate) started: Instant,
    /// When the answer must be ready.
    pub(crate) deadline: Instant,
    /// When the delivery arrived.
    pub(crate) now: OffsetDateTime,
    /// The wall clock.
    pub(crate) clock: fn() -> OffsetDateTime,
}

impl Invocation {
    /// A part of this invocation, whose worker must not be taken for that of another part.
    pub(crate) fn part(&self, name: &str) -> Self {
        Self { request_id: format!("{}/{name}", self.request_id), ..self.clone() }
    }

    /// A worker of this invocation that ends at `deadline` at the latest.
    fn worker(&self, deadline: Instant) -> Worker<'_> {
        Worker { name: &self.request_id, clock: &self.clock, deadline: deadline.min(self.deadline) }
    }
}

impl App {
    /// Puts the parts together.
    pub(crate) fn new(
        config: Config,
        secrets: Arc<Secrets>,
        engine: Engine,
        ledger: Ledger,
        queue: Option<Queue>,
        bus: Option<Arc<dyn EventBus>>,
    ) -> Self {
        let authenticator = Authenticator::new(secrets.clone(), KeySets::new(engine.client()));
        let flow = Flow::new(&config, engine, secrets, ledger, queue, bus);
        Self { sources: config.sources, max_body: config.http.max_body, authenticator, flow, event_queue: None }
    }

    /// The same, which takes the events of partners that are messages of the queue of this ARN.
    pub(crate) fn taking_events(self, event_queue: Option<String>) -> Self {
        Self { event_queue, ..self }
    }

    /// The same, which writes the evidence of each month there.
    pub(crate) fn exporting(self, archive: Option<Result<Archive, ArchiveError>>) -> Self {
        Self { flow: self.flow.exporting(archive), ..self }
    }

    /// Answers one request.
    pub(crate) async fn handle(&self, request: &Request<Vec<u8>>, invocation: &Invocation) -> Response<String> {
        if let Some(route) = scim::route(request.uri().path()) {
            return self.provision(&route, request, invocation).await;
        }
        let answered = match self.source(request) {
            Ok(source) if request.method() == Method::GET => challenge(source, request),
            Ok(source) => self.deliver(source, request, invocation).await,
            Err(problem) => Err(problem),
        };
        answered.unwrap_or_else(|problem| {
            metrics::refused(&problem);
            problem.answer(&invocation.request_id)
        })
    }

    /// Answers a SCIM request.
    async fn provision(
        &self,
        route: &scim::Route,
        request: &Request<Vec<u8>>,
        invocation: &Invocation,
    ) -> Response<String> {
        let source = self.sources.get(&route.source).filter(|source| source.protocol == Protocol::Scim);
        let verified = match source {
            None => Err(Problem::NotFound),
            Some(source) => self.verified(source, request, invocation).await.map(|verified| (source, verified)),
        };
        let verified = verified.map_err(|problem| {
            metrics::refused(&problem);
            ScimError::from(&problem)
        });
        let worker = invocation.worker(invocation.deadline);
        scim::answer(route, request, verified, &self.flow, worker).await
    }

    /// Authenticates a request.
    async fn verified(
        &self,
        source: &Source,
        request: &Request<Vec<u8>>,
        invocation: &Invocation,
    ) -> Result<Verified, Problem> {
        if request.body().len() > self.max_body {
            return Err(Problem::TooLarge(self.max_body));
        }
        let log = |refusal: &dyn std::fmt::Display, what: &str| {
            tracing::warn!(request_id = invocation.request_id, source = source.name, reason = %refusal, "{what}");
        };
        self.authenticator.verify(source, request, invocation, &log).await
    }

    async fn deliver(
        &self,
        source: &Source,
        request: &Request<Vec<u8>>,
        invocation: &Invocation,
    ) -> Result<Response<String>, Problem> {
        let verified = self.verified(source, request, invocation).await?;
        let delivery = read(source, &verified, invocation).map_err(|error| Problem::Unreadable(error.to_string()))?;
        let report = self.act(source, delivery, invocation).await.map_err(|_| Problem::NotRecorded)?;
        Ok(answer::report(&report, source.reply, self.flow.queue.is_some()))
    }

    /// Acts on what a source's delivery says, and logs the report or why there is none.
    ///
    /// # Errors
    /// If not everything could be recorded.
    async fn act(
        &self,
        source: &Source,
        delivery: DeliveryEvents,
        invocation: &Invocation,
    ) -> Result<Report, NotRecorded> {
        // Without a queue nothing goes on afterwards: then the sender's time is no reason to stop.
        let timeout = source.response_timeout.saturating_sub(ANSWERING);
        let deadline = if self.flow.queue.is_some() { invocation.started + timeout } else { invocation.deadline };
        let received = self.flow.receive(source, &delivery, invocation.worker(deadline)).await;
        let departures = received.inspect_err(|why| {
            let (request_id, source) = (&invocation.request_id, &source.name);
            tracing::warn!(request_id, source, reason = %why, "a delivery could not be recorded");
        })?;
        let report = Report::new(invocation.request_id.clone(), departures, delivery.ignored);
        report.log((invocation.clock)());
        Ok(report)
    }

    /// Works on a recorded departure, as a message of the queue says.
    ///
    /// # Errors
    /// If the ledger cannot be used. Nothing is lost: the tick finds what is due.
    pub(crate) async fn advance(&self, id: &str, invocation: &Invocation) -> Result<Option<Record>, LedgerError> {
        self.flow.advance(id, invocation.worker(invocation.deadline)).await
    }

    /// Sends messages for what is due, and publishes gauges.
    ///
    /// # Errors
    /// If the ledger or the queue cannot be used.
    pub(crate) async fn tick(&self, invocation: &Invocation) -> Result<(), TickError> {
        self.flow.tick(invocation.worker(invocation.deadline)).await
    }

    /// The source that a request is for: `/webhooks/{source}`, behind a stage's name or not.
    fn source(&self, request: &Request<Vec<u8>>) -> Result<&Source, Problem> {
        let path: Vec<_> = request.uri().path().trim_matches('/').split('/').collect();
        let name = match path[..] {
            ["webhooks", name] | [_, "webhooks", name] => name,
            _ => return Err(Problem::NotFound),
        };
        let source = self.sources.get(name).filter(|source| source.has_webhook());
        let source = source.ok_or(Problem::NotFound)?;
        match (request.method(), &source.challenge) {
            (&Method::POST, _) | (&Method::GET, Some(_)) => Ok(source),
            (_, Some(_)) => Err(Problem::MethodNotAllowed("GET, POST")),
            (_, None) => Err(Problem::MethodNotAllowed("POST")),
        }
    }
}

/// Reads a delivery. Some senders never repeat what was refused: who left is then known from the log alone.
///
/// # Errors
/// If nothing in it can be read.
fn read(source: &Source, verified: &Verified, invocation: &Invocation) -> Result<DeliveryEvents, Unreadable> {
    let cannot_read = |error: &Unreadable, what: &str| {
        metrics::count("Unreadable");
        tracing::error!(request_id = invocation.request_id, source = source.name, reason = %error, "{what}");
    };
    let delivery = source.delivery(verified);
    let delivery = delivery.inspect_err(|error| cannot_read(error, "an authenticated delivery could not be read"))?;
    delivery.unreadable.iter().for_each(|error| cannot_read(error, "an event could not be read"));
    Ok(delivery)
}

/// Echoes the challenge with which a sender checks that the URL is ours. The caller is not authenticated: nothing else is shown.
fn challenge(source: &Source, request: &Request<Vec<u8>>) -> Result<Response<String>, Problem> {
    let Some(Challenge { header, field }) = &source.challenge else { return Err(Problem::MethodNotAllowed("POST")) };
    let asked = request.headers().get(header).and_then(|value| value.to_str().ok()).map(str::trim);
    match asked.filter(|asked| !asked.is_empty() && asked.len() <= LONGEST_CHALLENGE) {
        Some(asked) => Ok(answer::challenge(field, asked)),
        None => Err(Problem::NoChallenge(header.to_string())),
    }
}

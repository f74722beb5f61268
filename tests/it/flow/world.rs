//! A small world: the real flow over a store in memory that fails on demand, two products on loopback, a queue, and a clock.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use offboard::{
    config::Config,
    departure::{DeliveryEvents, Departure, Event, EventTime, IdentityFact, Verification, Word},
    engine::Engine,
    flow::{Flow, NotRecorded, TickError, Worker},
    judgement::{Rules, Veto},
    ledger::{
        Ledger, Pause, Record, State,
        store::{Change, Changed, Item, Store},
    },
    operator::{Decision, Refused, Shown},
    outbound::Client,
    outcome::Outcome,
    person::{Email, Person},
    report::DepartureReport,
    scim,
    secrets::{Secret, Secrets},
    source::Source,
};
use serde_json::Value;
use time::{OffsetDateTime, macros::datetime};
use tokio::time::Instant;

use crate::{
    flow::doubles::{Bucket, Bus, HangingBus, Sqs, Vendors},
    flow::store::Faulty,
    support::Vault,
};

pub const NOW: OffsetDateTime = datetime!(2026-01-31 12:00 UTC);
pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(86_400);
/// Token of the SCIM sources.
const TOKEN: &str = "a token of a SCIM client";
pub const WHO: &str = "arn:aws:iam::123456789012:user/op";

/// The sources and products of every test. `idp` and `hr` know the same people; `mail` knows them by e-mail address alone.
const CONFIG: &str = r#"
[sources.idp]
kind = "workos"
[sources.hr]
kind = "workos"
settle = "SETTLE"
[sources.mail]
kind = "workos"
[sources.scim]
kind = "scim"
[sources.scim2]
kind = "scim"
settle = "0s"
person = { external_id = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/employeeNumber" }
[providers.access]
kind = "cloudflare_access"
account_id = "023e105f4ecef8ad9ca31a8372d0c353"
base_url = "VENDORS"
attempts = 1
[providers.instaply]
kind = "instaply"
base_url = "VENDORS"
attempts = 1
"#;

/// A product without an API: of every test whose policy says `# with wiki`.
const WIKI: &str = "[providers.wiki]\nkind = \"manual\"\ninstructions = \"Delete the user\"\n";

/// Everything that notifications may be about: of every test whose policy says `# notifies of all`.
const ALL: &str = "[notify]\nabout = [\"held\", \"needs_attention\", \"done\", \"digest\"]\n";

/// The wall clock, in milliseconds after [`NOW`].
#[derive(Clone, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    pub fn now(&self) -> OffsetDateTime {
        NOW + time::Duration::milliseconds(self.0.load(Ordering::SeqCst))
    }

    pub fn set(&self, now: OffsetDateTime) {
        self.0.store(i64::try_from((now - NOW).whole_milliseconds()).unwrap(), Ordering::SeqCst);
    }

    pub fn go(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

pub struct World {
    pub flow: Flow,
    pub ledger: Ledger,
    pub store: Arc<Faulty>,
    pub vendors: Vendors,
    pub sqs: Sqs,
    pub bus: Bus,
    pub bucket: Bucket,
    pub clock: Clock,
    config: Config,
    endpoints: Endpoints,
    runs: AtomicU32,
}

struct Endpoints {
    vendors: String,
    vault: String,
    sqs: String,
    bus: String,
    bucket: String,
}

impl World {
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// A world whose `[policy]` is this; live unless it says otherwise.
    pub async fn with(policy: &str) -> Self {
        let (vault, secrets) = Vault::start().await;
        vault.put("offboard/providers/access", r#"{"api_token": "cf-token-1"}"#);
        vault.put("offboard/providers/instaply", r#"{"token": "instaply-token-1"}"#);
        let (vendors, products) = Vendors::start().await;
        let (sqs, queue) = Sqs::start().await;
        let (bus, events) = Bus::start().await;
        let (bucket, s3) = Bucket::start().await;
        let endpoints = Endpoints { vendors: products, vault: secrets, sqs: queue, bus: events, bucket: s3 };
        let store = Arc::new(Faulty::default());
        let ledger = Ledger::new(store.clone());
        let (config, flow) = build(policy, &endpoints, &ledger);
        let (clock, runs) = (Clock::default(), AtomicU32::new(0));
        Self { flow, ledger, store, vendors, sqs, bus, bucket, clock, config, endpoints, runs }
    }

    /// Deploys another `[policy]`.
    pub fn deploy(&mut self, policy: &str) {
        (self.config, self.flow) = build(policy, &self.endpoints, &self.ledger);
    }

    /// Goes on without a queue: what is not done is left to the sender's repetition.
    pub async fn without_queue() -> Self {
        let mut world = Self::new().await;
        world.flow.queue = None;
        world
    }

    pub fn go(&self, time: Duration) {
        self.clock.go(time);
    }

    pub async fn deliver(&self, source: &str, delivery: &DeliveryEvents) -> Result<Vec<DepartureReport>, NotRecorded> {
        let (name, clock) = (self.worker(), || self.clock.now());
        let worker = Worker { name: &name, clock: &clock, deadline: Instant::now() + Duration::from_secs(10) };
        self.deliver_as(source, delivery, worker).await
    }

    pub async fn deliver_as(
        &self,
        source: &str,
        delivery: &DeliveryEvents,
        worker: Worker<'_>,
    ) -> Result<Vec<DepartureReport>, NotRecorded> {
        self.flow.receive(&self.config.sources[source], delivery, worker).await
    }

    /// A source says something about its people.
    pub async fn say(&self, source: &str, facts: impl IntoIterator<Item = IdentityFact>) {
        let delivery = DeliveryEvents { facts: facts.into_iter().collect(), ..DeliveryEvents::default() };
        let reports = self.deliver(source, &delivery).await.unwrap();
        assert!(reports.is_empty());
    }

    /// A source reports a departure that happened a second ago.
    pub async fn leave(&self, source: &str, event: &str, person: Person) -> DepartureReport {
        let at = self.clock.now() - time::Duration::SECOND;
        self.leave_at(source, event, person, Some(at.into())).await
    }

    pub async fn leave_at(&self, source: &str, event: &str, person: Person, at: Option<EventTime>) -> DepartureReport {
        let departures = vec![departure(source, event, person, at)];
        let delivery = DeliveryEvents { departures, ..DeliveryEvents::default() };
        self.deliver(source, &delivery).await.unwrap().remove(0)
    }

    /// A message says that a departure is to be advanced.
    pub async fn advance(&self, id: &str) -> Record {
        let (name, clock) = (self.worker(), || self.clock.now());
        let worker = Worker { name: &name, clock: &clock, deadline: Instant::now() + Duration::from_secs(10) };
        self.flow.advance(id, worker).await.unwrap().expect("the departure is recorded")
    }

    /// The schedule ticks. Returns the departures for which it sent messages.
    pub async fn tick(&self) -> Vec<String> {
        let (sent, ticked) = self.try_tick().await;
        ticked.unwrap();
        sent
    }

    /// The schedule ticks. Returns the departures for which it sent messages, and how it ended.
    pub async fn try_tick(&self) -> (Vec<String>, Result<(), TickError>) {
        self.tick_within(10 * SECOND).await
    }

    /// The same, with this much time.
    pub async fn tick_within(&self, time: Duration) -> (Vec<String>, Result<(), TickError>) {
        self.sqs.take();
        let (name, clock) = (self.worker(), || self.clock.now());
        let worker = Worker { name: &name, clock: &clock, deadline: Instant::now() + time };
        let ticked = self.flow.tick(worker).await;
        (self.sqs.take().into_iter().map(|(departure, _)| departure).collect(), ticked)
    }

    /// Ticks, and follows the messages that it sent.
    pub async fn tick_and_follow(&self) -> Vec<String> {
        let sent = self.tick().await;
        for id in &sent {
            self.advance(id).await;
        }
        sent
    }

    pub async fn record(&self, id: &str) -> Record {
        self.ledger.get(id).await.unwrap().expect("the departure is recorded")
    }

    /// The departure's record as it is stored.
    pub async fn document(&self, id: &str) -> String {
        let ids = [id.to_owned()].into();
        self.store.read(&ids).await.unwrap().remove(id).expect("the departure is recorded").document
    }

    /// A departure's record expires: it is in no list any more.
    pub async fn expire(&self, id: &str) {
        let item =
            self.store.read(&[id.to_owned()].into()).await.unwrap().remove(id).expect("the departure is recorded");
        let (expected, version) = (item.version, item.version + 1);
        let change = Change::Swap { item: Item { index: None, version, ..item }, expected };
        assert_eq!(self.store.change(&[change]).await.unwrap(), Changed::All);
    }

    /// What a person sees of a departure now.
    pub async fn show(&self, id: &str) -> Shown {
        let record = self.record(id).await;
        let source: &Source = &self.config.sources[&record.source];
        let rules = Rules { policy: &self.config.policy, settle: Some(source.settle) };
        let (_, verdict) = self.ledger.review(id, rules, self.clock.now()).await.unwrap();
        Shown { standing: verdict.standing, only: None }
    }

    pub async fn decide(&self, id: &str, decision: Decision) -> Result<Record, Refused> {
        self.ledger.decide(id, &decision, WHO, self.config.ledger.retention, self.clock.now()).await
    }

    /// A person releases everything that is shown now, and a worker goes on.
    pub async fn release(&self, id: &str) -> Record {
        let shown = self.show(id).await;
        self.decide(id, Decision::Release(shown)).await.unwrap();
        self.advance(id).await
    }

    pub async fn pause(&self, is_on: bool) {
        let pause = Pause { at: self.clock.now(), who: WHO.to_owned(), reason: None };
        self.ledger.set_pause(is_on.then_some(&pause)).await.unwrap();
    }

    /// Sends an authenticated request to a SCIM source: `GET /Users?count=2`.
    pub async fn scim(&self, source: &str, request: &str, body: &Value) -> Response<String> {
        let (name, clock) = (self.worker(), || self.clock.now());
        let worker = Worker { name: &name, clock: &clock, deadline: Instant::now() + Duration::from_secs(10) };
        let (method, target) = request.split_once(' ').expect("a method and a path");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (path, body) = (format!("/scim/v2/{source}{path}"), body.to_string().into_bytes());
        let route = scim::route(&path).expect("a path of SCIM");
        let source = &self.config.sources[source];
        let secret = Secret::parse("s", &format!("{{\"token\": \"{TOKEN}\"}}")).unwrap();
        let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {TOKEN}").parse().unwrap())]);
        let verified = source.scheme.verify(&headers, &body, &source.scheme.keys(&secret).unwrap(), self.clock.now());
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let envelope = scim::Envelope { query, host: Some("api.example.com".to_owned()), stage: String::new() };
        let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
        request.extensions_mut().insert(envelope);
        scim::answer(&route, &request, Ok((source, verified.unwrap())), &self.flow, worker).await
    }

    fn worker(&self) -> String {
        format!("worker-{}", self.runs.fetch_add(1, Ordering::SeqCst))
    }
}

/// The configuration with this policy, and a flow that starts with it.
fn build(policy: &str, endpoints: &Endpoints, ledger: &Ledger) -> (Config, Flow) {
    let settle = policy.lines().find_map(|line| line.strip_prefix("settle = ")).unwrap_or("\"0s\"");
    let attempts = policy.lines().find(|line| line.starts_with("attempts = ")).unwrap_or("attempts = 1");
    let is_policy = |line: &&str| !line.starts_with("settle") && !line.starts_with("attempts");
    let policy: Vec<_> = policy.lines().filter(is_policy).collect();
    let (policy, is_live) = (policy.join("\n"), !policy.iter().any(|line| line.contains("mode")));
    let text =
        CONFIG.replace("\"SETTLE\"", settle).replace("VENDORS", &endpoints.vendors).replace("attempts = 1", attempts);
    let text = match policy.contains("# without instaply") {
        true => text.split("[providers.instaply]").next().unwrap_or_default().to_owned(),
        false => text,
    };
    let text = if policy.contains("# with wiki") { format!("{text}{WIKI}") } else { text };
    let text = if policy.contains("# notifies of all") { format!("{text}{ALL}") } else { text };
    let text = format!("[policy]\n{policy}\n{text}");
    let mode = is_live.then_some("live");
    let mut config = Config::parse(&text, mode).unwrap_or_else(|faults| panic!("{faults}"));
    let aws = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(aws_sdk_secretsmanager::config::BehaviorVersion::latest())
        .region(aws_sdk_secretsmanager::config::Region::new("eu-west-1"))
        .credentials_provider(aws_sdk_secretsmanager::config::Credentials::new("test", "test", None, None, "test"))
        .http_client(offboard::aws::http_client(None).unwrap())
        .endpoint_url(&endpoints.vault)
        .build();
    let secrets = Secrets::new(aws_sdk_secretsmanager::Client::from_conf(aws), config.secret_names());
    let engine = Engine::new(&mut config, Client::new(None, false).unwrap());
    let queue = Sqs::client(&endpoints.sqs);
    let bus = if text.contains("# the bus hangs") { Arc::new(HangingBus) } else { Bus::client(&endpoints.bus) };
    let flow = Flow::new(&config, engine, Arc::new(secrets), ledger.clone(), Some(queue), Some(bus));
    let prefix = if text.contains("# exports evidence elsewhere") { "elsewhere/" } else { "offboard/" };
    let archive = text.contains("# exports evidence").then(|| Ok(Bucket::client(&endpoints.bucket, prefix)));
    (config, flow.exporting(archive))
}

// ---- Who ----

pub fn email(address: &str) -> Email {
    Email::parse(address).unwrap()
}

/// A person of whom an event names the id alone.
pub fn id(id: &str) -> Person {
    Person { idp_id: Some(id.to_owned()), ..Person::default() }
}

pub fn named(id: &str, address: &str) -> Person {
    Person { email: Some(email(address)), ..self::id(id) }
}

pub fn by_email(address: &str) -> Person {
    Person { email: Some(email(address)), ..Person::default() }
}

/// A person whom the source knows by a number.
pub fn numbered(number: &str, person: Person) -> Person {
    Person { external_id: Some(number.to_owned()), ..person }
}

// ---- What is said, and when ----

/// So many minutes after [`NOW`].
pub fn at(minutes: i64) -> Option<EventTime> {
    Some((NOW + time::Duration::minutes(minutes)).into())
}

pub fn active(person: Person, minutes: i64) -> IdentityFact {
    IdentityFact { word: Word::Active, ..known(person, minutes) }
}

pub fn known(person: Person, minutes: i64) -> IdentityFact {
    IdentityFact { person, word: Word::Known, verified: Verification::Verified, at: at(minutes) }
}

pub fn claim(person: Person, minutes: i64) -> IdentityFact {
    IdentityFact { verified: Verification::Claimed, ..known(person, minutes) }
}

pub fn confirmation(id: &str, minutes: i64) -> IdentityFact {
    IdentityFact { verified: Verification::Confirms, ..known(self::id(id), minutes) }
}

pub fn departure(source: &str, event: &str, person: Person, at: Option<EventTime>) -> Departure {
    let event = Event { id: event.to_owned(), kind: "left".to_owned(), occurred_at: at, organization: None };
    Departure { id: format!("{source}/{}", event.id), source: source.to_owned(), event, person }
}

// ---- What came of it ----

/// The outcome and reason at `access` and at `instaply`.
pub fn outcomes(report: &DepartureReport) -> Vec<(Outcome, Option<&str>)> {
    report.providers.iter().map(|entry| (entry.worst.outcome, entry.worst.reason.as_deref())).collect()
}

/// The recorded outcome and reason at each provider that was tried.
pub fn recorded(record: &Record) -> BTreeMap<&str, (Outcome, Option<&str>)> {
    let results = record.providers.iter();
    results
        .map(|(name, result)| (name.as_str(), (result.found.worst.outcome, result.found.worst.reason.as_deref())))
        .collect()
}

/// The vetoes that stood at the last judgement.
pub fn vetoes(record: &Record) -> Vec<Veto> {
    record.vetoes.iter().flatten().map(|standing| standing.veto).collect()
}

/// The state, the vetoes, and how long until the departure is due.
pub fn stands(world: &World, record: &Record) -> (State, Vec<Veto>, Option<i64>) {
    let now = world.clock.now().unix_timestamp();
    (record.state, vetoes(record), record.due_at.map(|due| due - now))
}

//! A function with a ledger in memory, two sources, and two products: one with a look-up and one without.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use axum::response::Response;
use offboard::{
    answer,
    config::Config,
    departure::{Delivery, Departure, Event, IdentityFact as Lesson, Verification, Word},
    durable::{Durable, Next},
    engine::Engine,
    handler::{App, Invocation},
    http::Client,
    ledger::{Item, Ledger, LedgerDown, State, Store, memory::Memory, operator::Decision},
    outcome::{Outcome, Status},
    person::{Email, Person},
    report::{Entry, Report},
    secrets::Secrets,
    source::{Reply, Source},
};
use serde_json::json;
use time::{OffsetDateTime, macros::datetime};
use tokio::time::Instant;

use crate::support::{self, Call, Vault, serve};

pub const NOW: OffsetDateTime = datetime!(2026-01-31 12:00 UTC);
pub const DAY: Duration = Duration::from_secs(86_400);
pub const RETENTION: Duration = Duration::from_secs(3 * 31_557_600);
const WHO: &str = "arn:aws:iam::123456789012:user/op";

/// Who has an account where (`access` or `instaply`), and for whom it was asked.
#[derive(Clone, Default)]
pub struct Products(Arc<Mutex<Shop>>);

#[derive(Default)]
struct Shop {
    accounts: Vec<(&'static str, String)>,
    asked: Vec<String>,
    out_of_order: Option<&'static str>,
}

impl Products {
    pub fn have(&self, addresses: &[&str]) {
        let all = addresses.iter().flat_map(|address| ["access", "instaply"].map(|at| (at, (*address).to_owned())));
        self.0.lock().unwrap().accounts.extend(all);
    }

    /// The addresses that are known at both, or at one of them.
    pub fn left(&self) -> Vec<String> {
        let mut left: Vec<_> =
            self.0.lock().unwrap().accounts.iter().map(|(at, address)| format!("{at} {address}")).collect();
        left.sort();
        left
    }

    pub fn asked(&self) -> Vec<String> {
        let mut asked = self.0.lock().unwrap().asked.clone();
        asked.sort();
        asked.dedup();
        asked
    }

    /// From now on nobody is looked up or removed by this address.
    pub fn fail_for(&self, address: Option<&'static str>) {
        self.0.lock().unwrap().out_of_order = address;
    }

    fn answer(&self, call: &Call) -> Response {
        let mut shop = self.0.lock().unwrap();
        let failing = |shop: &Shop, address: &str| shop.out_of_order == Some(address);
        if call.path == "/api/user/delete-by-email" {
            let address = call.json()["email"].as_str().unwrap().to_owned();
            shop.asked.push(address.clone());
            if failing(&shop, &address) {
                return support::answer(503, &json!({}));
            }
            let Some(at) = shop.accounts.iter().position(|one| *one == ("instaply", address.clone())) else {
                return support::answer(404, &json!({"error": "User not found in organization"}));
            };
            shop.accounts.remove(at);
            return support::answer(
                200,
                &json!({"status": "success", "deletedUserId": format!("i-{address}").replace('@', "-"), "email": address}),
            );
        }
        let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
        if call.method == "GET" {
            let address = query.split('&').find_map(|pair| pair.strip_prefix("email=")).unwrap().replace("%40", "@");
            shop.asked.push(address.clone());
            if failing(&shop, &address) {
                return support::answer(503, &json!({}));
            }
            // As loose as a vendor's search may be.
            let found = shop.accounts.iter().filter(|(at, known)| *at == "access" && known.contains(&address));
            let found: Vec<_> =
                found.map(|(_, known)| json!({"id": known.replace('@', "-"), "email": known})).collect();
            let info = json!({"total_count": found.len()});
            let body = json!({"success": true, "errors": [], "messages": [], "result": found, "result_info": info});
            return support::answer(200, &body);
        }
        let id = path.rsplit('/').next().unwrap().to_owned();
        shop.accounts.retain(|(at, known)| *at != "access" || known.replace('@', "-") != id);
        support::answer(200, &json!({"success": true, "errors": [], "messages": [], "result": {}}))
    }
}

/// A store that counts, and can be out of order.
#[derive(Debug, Default)]
pub struct Counted {
    memory: Memory,
    /// Reads and writes.
    calls: Mutex<(usize, usize)>,
    pub down: Mutex<bool>,
    /// Records in this state cannot be written.
    pub refused: Mutex<Option<State>>,
}

impl Counted {
    pub fn calls(&self) -> (usize, usize) {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    pub async fn items(&self) -> Vec<Item> {
        self.memory.list(None).await.unwrap().0
    }
}

#[async_trait]
impl Store for Counted {
    async fn load(&self, id: &str) -> Result<Option<Item>, LedgerDown> {
        self.calls.lock().unwrap().0 += 1;
        // A table that does not answer, as a record that cannot be read is told.
        let broken = Item { id: "#x".into(), version: 1, expires_at: 0, state: String::new(), document: "?".into() };
        if *self.down.lock().unwrap() { Ok(Some(broken)) } else { self.memory.load(id).await }
    }

    async fn store(&self, item: &Item, expected: Option<u64>) -> Result<bool, LedgerDown> {
        self.calls.lock().unwrap().1 += 1;
        if self.refused.lock().unwrap().is_some_and(|state| state.to_string() == item.state) {
            return Ok(false);
        }
        self.memory.store(item, expected).await
    }

    async fn list(&self, after: Option<String>) -> Result<(Vec<Item>, Option<String>), LedgerDown> {
        self.memory.list(after).await
    }
}

pub struct World {
    pub app: App,
    pub source: Source,
    pub other: Source,
    pub ledger: Ledger,
    pub store: Arc<Counted>,
    pub products: Products,
}

impl World {
    pub async fn new() -> Self {
        Self::with("").await
    }

    pub async fn with(policy: &str) -> Self {
        let products = Products::default();
        let this = products.clone();
        let address = serve(move |call| {
            let this = this.clone();
            async move { this.answer(&call) }
        })
        .await;
        let text = format!(
            "[policy]\n{policy}\n[sources.idp]\nkind = \"workos\"\n[sources.other]\nkind = \"workos\"\n\
             [providers.access]\nkind = \"cloudflare_access\"\naccount_id = \"023e105f4ecef8ad9ca31a8372d0c353\"\n\
             base_url = \"{address}\"\nattempts = 1\n\
             [providers.instaply]\nkind = \"instaply\"\nbase_url = \"{address}\"\nattempts = 1\n"
        );
        let mode = (!policy.contains("mode")).then_some("live");
        let mut config = Config::parse(&text, mode).unwrap_or_else(|faults| panic!("{faults}"));
        let (vault, at) = Vault::start().await;
        vault.put("offboard/providers/access", r#"{"api_token": "cf-token-1"}"#);
        vault.put("offboard/providers/instaply", r#"{"token": "instaply-token-1"}"#);
        let aws = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(at)
            .build();
        let secrets = Secrets::new(aws_sdk_secretsmanager::Client::from_conf(aws), config.secret_names());
        let engine = Engine::new(&mut config, Client::new(None, false).unwrap());
        let store = Arc::new(Counted::default());
        let ledger = Ledger::new(store.clone());
        let durable = Durable {
            ledger: ledger.clone(),
            queue: None,
            retention: 90 * DAY,
            directory_retention: Duration::from_secs(3 * 31_557_600),
        };
        let (source, other) = (config.sources["idp"].clone(), config.sources["other"].clone());
        Self { app: App::new(config, Arc::new(secrets), engine, Some(durable)), source, other, ledger, store, products }
    }

    pub async fn learn(&self, lessons: impl IntoIterator<Item = Lesson>) {
        let delivery = Delivery { facts: lessons.into_iter().collect(), ..Delivery::default() };
        let report = self.app.act(&self.source, delivery, &invocation()).await.unwrap();
        assert_eq!(report.status, Status::Ignored);
    }

    /// A departure; its answer is 200, whatever became of it.
    pub async fn leave(&self, event: &str, person: Person) -> Report {
        let delivery = Delivery { departures: vec![departure("idp", event, person)], ..Delivery::default() };
        let report = self.app.act(&self.source, delivery, &invocation()).await.unwrap();
        assert_eq!(answer::report(&report, Reply::Report).status(), 200);
        report
    }

    pub async fn resume(&self, id: &str) -> Next {
        self.app.resume(id, 1, &invocation()).await.unwrap()
    }

    pub async fn decide(&self, id: &str, decision: Decision) {
        self.ledger.decide(id, decision, WHO, NOW).await.unwrap();
    }
}

pub fn invocation() -> Invocation {
    let started = Instant::now();
    Invocation { request_id: "r-1".into(), started, deadline: started + Duration::from_secs(10), now: NOW }
}

pub fn departure(source: &str, event: &str, person: Person) -> Departure {
    let id = format!("{source}/{event}");
    let event = Event {
        id: event.to_owned(),
        kind: "user.deleted".to_owned(),
        occurred_at: Some(NOW.into()),
        organization: None,
    };
    Departure { id, source: source.to_owned(), event, person }
}

pub fn email(address: &str) -> Email {
    Email::parse(address).unwrap()
}

/// Somebody of whom an event tells the id alone.
pub fn id(id: &str) -> Person {
    Person { idp_id: Some(id.to_owned()), ..Person::default() }
}

pub fn lesson(person: &str, address: &str, hours: u64) -> Lesson {
    let person = Person { email: Some(email(address)), ..id(person) };
    Lesson { person, word: Word::Known, verified: Verification::Proven, at: Some(at(hours).into()) }
}

pub fn claim(person: &str, address: &str, hours: u64) -> Lesson {
    Lesson { verified: Verification::Claimed, ..lesson(person, address, hours) }
}

pub fn confirmation(person: &str, hours: u64) -> Lesson {
    Lesson { person: id(person), word: Word::Known, verified: Verification::Confirms, at: Some(at(hours).into()) }
}

/// So many hours after the day before.
pub fn at(hours: u64) -> OffsetDateTime {
    NOW - DAY + Duration::from_secs(3600 * hours)
}

pub fn entries(report: &Report) -> &[Entry] {
    &report.departures[0].providers
}

pub fn outcomes(report: &Report) -> Vec<(Outcome, Option<&str>)> {
    entries(report).iter().map(|entry| (entry.finding.outcome, entry.finding.reason.as_deref())).collect()
}

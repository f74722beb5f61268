//! Two products, one with a look-up and one without, and Amazon SQS.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_types::SdkConfig;
use aws_types::region::Region;
use axum::response::Response;
use offboard::{
    archive::{Archive, Place},
    event_bus::{BusError, EventBridge, EventBus},
    notification::Notification,
    outbound::Client,
    queue::Queue,
};
use offboard_sandbox::{
    aws::{event_bridge, s3, sqs},
    mock::{MockServer, Watched},
};
use serde_json::{Value, json};

use crate::support::{self, Call, serve};

/// Who has an account where (`access` or `instaply`), and for whom it was asked.
#[derive(Clone, Default)]
pub struct Vendors(Arc<Mutex<Shop>>);

#[derive(Default)]
struct Shop {
    accounts: Vec<(&'static str, String)>,
    asked: Vec<String>,
    /// Who cannot be looked up or removed, and when to come again.
    out_of_order: Option<(String, Option<u64>)>,
    loses_answers: bool,
    at_look_up: Option<Happening>,
    at_removal: Option<Happening>,
    calls: usize,
    /// Calls that remove somebody.
    removals: usize,
}

/// Something that happens while a product or the store is called.
pub type Happening = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Vendors {
    pub async fn start() -> (Self, String) {
        let vendors = Self::default();
        let this = vendors.clone();
        let address = serve(move |call| {
            let this = this.clone();
            async move {
                let happening = this.shop().happening(call.method == "GET");
                if let Some(happening) = happening {
                    happening.await;
                }
                this.answer(&call)
            }
        })
        .await;
        (vendors, address)
    }

    fn shop(&self) -> std::sync::MutexGuard<'_, Shop> {
        self.0.lock().unwrap()
    }

    /// These have an account at both.
    pub fn have(&self, addresses: &[&str]) {
        let all = addresses.iter().flat_map(|address| ["access", "instaply"].map(|at| (at, (*address).to_owned())));
        self.shop().accounts.extend(all);
    }

    /// Returns who has an account, as `access ADDRESS`.
    pub fn left(&self) -> Vec<String> {
        let mut left: Vec<_> = self.shop().accounts.iter().map(|(at, address)| format!("{at} {address}")).collect();
        left.sort();
        left
    }

    /// Returns for whom it was asked since the last time.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut self.shop().asked);
        asked.sort();
        asked.dedup();
        asked
    }

    /// From now on this address is answered with 503, and `Retry-After`.
    pub fn fail_for(&self, address: &str, retry_after: Option<u64>) {
        self.shop().out_of_order = Some((address.to_owned(), retry_after));
    }

    pub fn work_again(&self) {
        self.shop().out_of_order = None;
    }

    /// From now on a removal is carried out, and its answer is lost.
    pub fn lose_answers(&self, loses: bool) {
        self.shop().loses_answers = loses;
    }

    /// At the next look-up this happens.
    pub fn at_look_up(&self, happening: impl Future<Output = ()> + Send + 'static) {
        self.shop().at_look_up = Some(Box::pin(happening));
    }

    /// At the next call that removes somebody this happens.
    pub fn at_removal(&self, happening: impl Future<Output = ()> + Send + 'static) {
        self.shop().at_removal = Some(Box::pin(happening));
    }

    /// Returns the number of calls since the last time.
    pub fn calls(&self) -> usize {
        std::mem::take(&mut self.shop().calls)
    }

    /// Returns the number of calls that remove somebody since the last time.
    pub fn removals(&self) -> usize {
        std::mem::take(&mut self.shop().removals)
    }

    fn answer(&self, call: &Call) -> Response {
        let mut shop = self.shop();
        if call.path == "/api/user/delete-by-email" {
            return shop.remove_at_instaply(call.json()["email"].as_str().unwrap());
        }
        let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
        match call.method.as_str() {
            "GET" => shop.look_up_at_access(query),
            _ => shop.remove_at_access(path.rsplit('/').next().unwrap()),
        }
    }
}

impl Shop {
    fn happening(&mut self, is_look_up: bool) -> Option<Happening> {
        self.calls += 1;
        self.removals += usize::from(!is_look_up);
        if is_look_up { self.at_look_up.take() } else { self.at_removal.take() }
    }

    fn failure(&self, address: &str) -> Option<Response> {
        let (_, retry_after) = self.out_of_order.as_ref().filter(|(failing, _)| failing == address)?;
        let mut answer = support::answer(503, &json!({}));
        if let Some(seconds) = retry_after {
            answer.headers_mut().insert("retry-after", seconds.to_string().parse().unwrap());
        }
        Some(answer)
    }

    fn remove_at_instaply(&mut self, address: &str) -> Response {
        self.asked.push(address.to_owned());
        if let Some(failure) = self.failure(address) {
            return failure;
        }
        let Some(at) = self.accounts.iter().position(|(at, known)| *at == "instaply" && known == address) else {
            return support::answer(404, &json!({"error": "User not found in organization"}));
        };
        self.accounts.remove(at);
        if self.loses_answers {
            return support::answer(503, &json!({}));
        }
        let id = format!("i-{}", address.replace('@', "-"));
        support::answer(200, &json!({"status": "success", "deletedUserId": id, "email": address}))
    }

    fn look_up_at_access(&mut self, query: &str) -> Response {
        let value = |name: &str| {
            let pairs = form_urlencoded::parse(query.as_bytes());
            pairs.into_iter().find(|(known, _)| known == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let address = value("email");
        self.asked.push(address.clone());
        if let Some(failure) = self.failure(&address) {
            return failure;
        }
        // As loose as a vendor's search may be.
        let found = self.accounts.iter().filter(|(at, known)| *at == "access" && known.contains(&address));
        let found: Vec<_> = found.map(|(_, known)| json!({"id": known.replace('@', "-"), "email": known})).collect();
        let info = json!({"page": 1, "per_page": 100, "count": found.len(), "total_count": found.len()});
        let found = if value("page") == "1" { found } else { Vec::new() };
        support::answer(200, &enveloped(json!(found), info))
    }

    fn remove_at_access(&mut self, id: &str) -> Response {
        self.accounts.retain(|(at, known)| *at != "access" || known.replace('@', "-") != id);
        match self.loses_answers {
            true => support::answer(503, &json!({})),
            false => support::answer(200, &enveloped(json!({}), Value::Null)),
        }
    }
}

fn enveloped(result: Value, info: Value) -> Value {
    json!({"success": true, "errors": [], "messages": [], "result": result, "result_info": info})
}

/// A queue that keeps what is sent.
pub struct Sqs(MockServer<sqs::Sqs>);

impl Sqs {
    pub async fn start() -> (Self, String) {
        let server = MockServer::start("sqs", [127, 0, 0, 1].into(), sqs::Sqs::default()).await.unwrap();
        let url = server.url("");
        (Self(server), url)
    }

    /// The queue as the function has it.
    pub fn client(url: &str) -> Queue {
        let queue = sqs::Sqs::url(url, sqs::Sqs::QUEUE);
        Queue::new(&aws(url), &Client::new(None, false).unwrap(), queue, None).unwrap()
    }

    /// Returns the departures of the messages that were sent since the last time, and their delays in seconds.
    pub fn take(&self) -> Vec<(String, u64)> {
        let departure = |message: sqs::Message| {
            let body: Value = serde_json::from_str(&message.body).unwrap();
            (body["departure"].as_str().unwrap().to_owned(), message.delay_seconds)
        };
        self.0.with(sqs::Sqs::take).into_iter().map(departure).collect()
    }

    /// So many messages wait already.
    pub fn set_depth(&self, depth: usize) {
        self.0.with(|queue| queue.backlog = depth);
    }

    pub fn set_down(&self, is_down: bool) {
        self.0.with(|queue| queue.is_down = is_down);
    }

    /// From now on a batch with a message about this departure is refused.
    pub fn refuse(&self, departure: &str) {
        self.0.with(|queue| queue.refused = Some(departure.to_owned()));
    }
}

fn aws(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    let aws = SdkConfig::builder().region(Region::new("eu-west-1")).endpoint_url(endpoint);
    aws.credentials_provider(SharedCredentialsProvider::new(credentials)).build()
}

/// An event bus that keeps what is published.
pub struct Bus(MockServer<event_bridge::EventBridge>);

impl Bus {
    pub async fn start() -> (Self, String) {
        let bus = event_bridge::EventBridge::default();
        let server = MockServer::start("events", [127, 0, 0, 1].into(), bus).await.unwrap();
        let url = server.url("");
        (Self(server), url)
    }

    /// The bus as the function has it.
    pub fn client(url: &str) -> Arc<dyn EventBus> {
        let client = Client::new(None, false).unwrap();
        let name = event_bridge::EventBridge::BUS.to_owned();
        Arc::new(EventBridge::new(&aws(url), &client, name).unwrap())
    }

    /// Returns the events that were published since the last time.
    pub fn take(&self) -> Vec<event_bridge::Event> {
        self.0.with(event_bridge::EventBridge::take)
    }

    pub fn set_down(&self, is_down: bool) {
        self.0.with(|bus| bus.is_down = is_down);
    }

    /// From now on an event with this text is refused.
    pub fn refuse(&self, text: &str) {
        self.0.with(|bus| bus.refused = Some(text.to_owned()));
    }

    /// From now on a call with an event that has this text is refused as a whole, with this code.
    pub fn refuse_calls(&self, refused: Option<(&str, &'static str)>) {
        self.0.with(|bus| bus.refused_calls = refused.map(|(text, code)| (text.to_owned(), code)));
    }
}

/// An event bus that never answers.
#[derive(Debug)]
pub struct HangingBus;

#[async_trait]
impl EventBus for HangingBus {
    async fn publish(&self, _: &[Notification]) -> Result<Vec<bool>, BusError> {
        std::future::pending().await
    }
}

/// A bucket that keeps what is written.
pub struct Bucket(MockServer<s3::S3>);

impl Bucket {
    pub async fn start() -> (Self, String) {
        let server = MockServer::start("s3", [127, 0, 0, 1].into(), s3::S3::default()).await.unwrap();
        let url = server.url("");
        (Self(server), url)
    }

    /// The bucket as the function has it.
    pub fn client(url: &str, prefix: &str) -> Archive {
        let place = Place { bucket: s3::S3::BUCKET.to_owned(), prefix: prefix.to_owned(), table: "ledger".to_owned() };
        Archive::new(&aws(url), &Client::new(None, false).unwrap(), place).unwrap()
    }

    /// Changes or looks at what is in the bucket.
    pub fn with<T>(&self, look: impl FnOnce(&mut s3::S3) -> T) -> T {
        self.0.with(look)
    }

    /// Returns an object's content.
    pub fn content(&self, key: &str) -> String {
        self.with(|bucket| bucket.objects().get(key).unwrap_or_else(|| panic!("no {key}")).content.clone())
    }

    /// Returns the keys of the objects, and that no call was unknown.
    pub fn keys(&self) -> Vec<String> {
        assert_eq!(self.0.unknown(), [""; 0]);
        self.with(|bucket| bucket.objects().keys().cloned().collect())
    }
}

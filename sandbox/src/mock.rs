//! Mock services: servers with state that answer on loopback as a vendor's API does.
//!
//! A mock service never guesses. A call that it does not know in every part is answered with 501 and
//! remembered, so that a wrong path can never pass for "this person is gone".

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpListener;

/// One vendor's API, with its state.
pub trait Service: Send + 'static {
    /// Answers one call, or says what about it is not known.
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown>;

    /// Who still has an account here.
    fn members(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What a mock service does not know about a call.
#[derive(Debug)]
pub struct Unknown(pub String);

impl Unknown {
    /// For a `match` on method and path that has come to its end.
    pub fn call() -> Self {
        Self("no such call".into())
    }
}

/// A running service.
pub struct MockServer<S> {
    name: &'static str,
    address: SocketAddr,
    state: Arc<Mutex<Running<S>>>,
}

struct Running<S> {
    service: S,
    /// Answers to give before any other, in this order: an outage on demand.
    outage: VecDeque<Answer>,
    calls: u64,
    unknown: Vec<String>,
    /// How long a call takes.
    takes: Duration,
}

impl<S> Clone for MockServer<S> {
    fn clone(&self) -> Self {
        Self { name: self.name, address: self.address, state: self.state.clone() }
    }
}

impl<S: Service> MockServer<S> {
    /// Starts a service on a free port of `host`.
    pub async fn start(name: &'static str, host: IpAddr, service: S) -> io::Result<Self> {
        let listener = TcpListener::bind((host, 0)).await?;
        let address = listener.local_addr()?;
        let running =
            Running { service, outage: VecDeque::new(), calls: 0, unknown: Vec::new(), takes: Duration::ZERO };
        let state = Arc::new(Mutex::new(running));
        let router = Router::new().fallback(serve::<S>).layer(DefaultBodyLimit::disable()).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { name, address, state })
    }

    /// The base URL, with a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", reachable(self.address))
    }

    /// Looks at or changes the service's state between calls.
    pub fn with<T>(&self, look: impl FnOnce(&mut S) -> T) -> T {
        look(&mut lock(&self.state).service)
    }

    /// From now on each call takes so long.
    pub fn set_time(&self, takes: Duration) {
        lock(&self.state).takes = takes;
    }

    /// Answers the next calls with these, whatever they ask.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.state).outage.extend(answers);
    }

    /// Ends an outage early.
    pub fn recover(&self) {
        lock(&self.state).outage.clear();
    }
}

/// What the sandbox watches at every mock service, whatever it stands for.
pub trait Watched {
    /// Its name in the configuration.
    fn name(&self) -> &'static str;
    /// How many calls it has answered.
    fn calls(&self) -> u64;
    /// The calls that it did not know.
    fn unknown(&self) -> Vec<String>;
    /// Who still has an account here.
    fn members(&self) -> Vec<String>;
}

impl<S: Service> Watched for MockServer<S> {
    fn name(&self) -> &'static str {
        self.name
    }
    fn calls(&self) -> u64 {
        lock(&self.state).calls
    }
    fn unknown(&self) -> Vec<String> {
        let unknown = lock(&self.state).unknown.clone();
        unknown.into_iter().map(|what| format!("{}: {what}", self.name)).collect()
    }
    fn members(&self) -> Vec<String> {
        self.with(|service| service.members())
    }
}

/// An address that listens everywhere is reached on loopback.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::from([127, 0, 0, 1]));
    }
    address
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve<S: Service>(
    State(state): State<Arc<Mutex<Running<S>>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (answer, takes) = {
        let mut running = lock(&state);
        (running.answer(method, uri, headers, body), running.takes)
    };
    if !takes.is_zero() {
        tokio::time::sleep(takes).await;
    }
    answer.into_response()
}

impl<S: Service> Running<S> {
    fn answer(&mut self, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Answer {
        self.calls += 1;
        if let Some(answer) = self.outage.pop_front() {
            return answer;
        }
        let call = Call { number: self.calls, method, uri, headers, body };
        self.service.answer(&call).unwrap_or_else(|Unknown(what)| {
            // Only the path: a query may carry a key.
            let what = format!("{} {}: {what}", call.method, call.uri.path());
            self.unknown.push(what.clone());
            Answer::json(501, serde_json::json!({ "unknown": what }))
        })
    }
}

/// One call to a mock service.
pub struct Call {
    number: u64,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    /// The `number`-th call to a service, as another server than [`MockServer`] received it.
    pub fn new(number: u64, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Self {
        Self { number, method, uri, headers, body }
    }

    /// Method and decoded path segments, to match on.
    pub fn route(&self) -> (&str, Vec<String>) {
        let segments = self.uri.path().split('/').skip(1);
        let decoded = segments.map(|raw| percent_decode_str(raw).decode_utf8_lossy().into_owned());
        (self.method.as_str(), decoded.collect())
    }

    /// A request id that is the same in every run.
    pub fn request_id(&self) -> String {
        format!("{:032x}", 0x5a4d_b0c5_0000_0000_u64 + self.number)
    }

    /// A header that must be there.
    pub fn header(&self, name: &str) -> Result<&str, Unknown> {
        let value = self.optional_header(name)?;
        value.ok_or_else(|| Unknown(format!("header {name} is missing")))
    }

    /// A header that may be there, once.
    pub fn optional_header(&self, name: &str) -> Result<Option<&str>, Unknown> {
        let mut values = self.headers.get_all(name).iter();
        let Some(first) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Unknown(format!("header {name} comes twice")));
        }
        let text = first.to_str().map_err(|_| Unknown(format!("header {name} is not text")))?;
        Ok(Some(text))
    }

    /// User and password of HTTP Basic authentication.
    pub fn basic(&self) -> Result<(String, String), Unknown> {
        let header = self.header("authorization")?;
        let decoded = header.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok());
        let pair = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = pair.as_deref().and_then(|text| text.split_once(':'));
        pair.map(|(user, password)| (user.into(), password.into()))
            .ok_or_else(|| Unknown("authorization is not HTTP Basic".into()))
    }

    /// The query's parameters, each once and all of them known.
    pub fn query(&self, known: &[&str]) -> Result<BTreeMap<String, String>, Unknown> {
        let mut found = BTreeMap::new();
        let query = self.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&name.as_ref()) {
                return Err(Unknown(format!("query parameter {name}")));
            }
            if found.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(Unknown(format!("query parameter {name} comes twice")));
            }
        }
        Ok(found)
    }

    /// A JSON body of exactly this shape and media type.
    pub fn json<T: DeserializeOwned>(&self, media_type: &str) -> Result<T, Unknown> {
        let sent = self.header(header::CONTENT_TYPE.as_str())?;
        let sent = sent.split(';').next().unwrap_or_default().trim();
        if !sent.eq_ignore_ascii_case(media_type) {
            return Err(Unknown(format!("content type {sent}, not {media_type}")));
        }
        serde_json::from_slice(&self.body).map_err(|error| Unknown(format!("body: {error}")))
    }

    /// The body as it came.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// A form's fields, each once.
    pub fn form(&self) -> Result<BTreeMap<String, String>, Unknown> {
        let sent = self.header(header::CONTENT_TYPE.as_str())?;
        if sent != "application/x-www-form-urlencoded" {
            return Err(Unknown(format!("content type {sent}, not a form's")));
        }
        let (pairs, mut fields) = (form_urlencoded::parse(&self.body), BTreeMap::new());
        for (name, value) in pairs.into_owned() {
            if fields.insert(name.clone(), value).is_some() {
                return Err(Unknown(format!("field {name} comes twice")));
            }
        }
        Ok(fields)
    }

    /// No body; `{}` counts as none, some clients send it with a DELETE.
    pub fn no_body(&self) -> Result<(), Unknown> {
        match self.body.as_ref() {
            b"" | b"{}" => Ok(()),
            _ => Err(Unknown("a body where there should be none".into())),
        }
    }
}

/// One answer of a mock service.
#[derive(Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    /// An answer with a JSON body.
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, headers: vec![("content-type", "application/json".into())], body: body.to_string() }
    }

    /// An answer with an XML body.
    pub fn xml(status: u16, body: String) -> Self {
        Self { status, headers: vec![("content-type", "text/xml".into())], body }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    #[cfg(test)]
    pub(crate) fn document(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Status, headers and body, for another server than [`MockServer`].
    pub fn parts(&self) -> (u16, &[(&'static str, String)], &str) {
        (self.status, &self.headers, &self.body)
    }

    /// Sets one header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.body).into_response();
        response.headers_mut().remove(header::CONTENT_TYPE);
        for (name, value) in self.headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

#[cfg(test)]
#[path = "mock_tests.rs"]
mod tests;
#[cfg(test)]
pub(crate) use tests::call;

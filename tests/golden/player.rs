//! A strict server: it plays the next exchange to exactly its request, and complains of any other.
//!
//! What it does not know it answers with 501, never with 404: here a 404 can mean success.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::case::{Answer, Exchange, PRIVATE_KEY, Request};

/// The headers that every request has, with what must be in them.
const ALWAYS: [(&str, &str); 3] = [
    ("accept", "application/json"),
    ("accept-encoding", "identity"),
    ("user-agent", concat!("offboard/", env!("CARGO_PKG_VERSION"))),
];

/// A server on loopback. It ends when it is dropped.
pub struct Player {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Script {
    /// What is still to come.
    next: Vec<Exchange>,
    /// What is played as often as it is asked for.
    again: Option<Exchange>,
    /// How many exchanges of each lane were played since more were taken on.
    lanes: BTreeMap<String, usize>,
    played: Vec<Request>,
    complaints: Vec<String>,
}

impl Player {
    /// Starts with nothing to play.
    pub async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let (known, waits) = (script.clone(), script.clone());
        let play = move |request| known.lock().unwrap().play(request);
        let server = Server::held_while(play, move || waits.lock().unwrap().waits_for_a_lane()).await;
        Self { address: server.address, script, _tasks: server.tasks }
    }

    /// Takes on more exchanges.
    pub fn load(&self, exchanges: &[Exchange]) {
        let host = format!("http://{}", self.address);
        let exchanges = exchanges.iter().cloned().map(|exchange| at(exchange, &host));
        let mut script = self.script.lock().unwrap();
        script.next.extend(exchanges);
        script.lanes = script.next.iter().map(|exchange| (exchange.lane.clone(), 0)).collect();
    }

    /// Plays this exchange, whenever it is asked for after its time.
    pub fn repeat(&self, exchange: &Exchange) {
        self.script.lock().unwrap().again = Some(at(exchange.clone(), &format!("http://{}", self.address)));
    }

    /// The requests so far.
    pub fn played(&self) -> Vec<Request> {
        self.script.lock().unwrap().played.clone()
    }

    /// What was asked that should not have been.
    pub fn complaints(&self) -> Vec<String> {
        self.script.lock().unwrap().complaints.clone()
    }

    /// What was not asked that should have been.
    pub fn left(&self) -> Vec<String> {
        self.script.lock().unwrap().next.iter().map(|exchange| format!("never asked: {}", line(exchange))).collect()
    }
}

fn at(exchange: Exchange, host: &str) -> Exchange {
    let answer = match exchange.answer {
        Answer::Http { status, headers, body } => {
            let headers = headers.into_iter().map(|(name, value)| (name, value.replace("$host", host))).collect();
            Answer::Http { status, headers, body }
        }
        other => other,
    };
    Exchange { answer, ..exchange }
}

fn line(exchange: &Exchange) -> String {
    format!("{} {}", exchange.request.method, exchange.request.target)
}

impl Script {
    /// Whether a lane has not begun: until all have, none gets its first answer, so that none is ahead by more than one.
    fn waits_for_a_lane(&self) -> bool {
        self.lanes.len() > 1 && self.lanes.iter().any(|(lane, played)| !lane.is_empty() && *played == 0)
    }

    fn play(&mut self, mut request: Request) -> Answer {
        for (name, expected) in ALWAYS {
            let value = request.headers.remove(name);
            match value {
                Some(value) if value == expected => {}
                // Where a vendor asks for a media type of its own, the script has it.
                Some(value) if name == "accept" => {
                    request.headers.insert(name.to_owned(), value);
                }
                value => self.complaints.push(format!("header {name}: {value:?}")),
            }
        }
        self.played.push(request.clone());
        let first_of_its_lane = |at: usize| !self.next[..at].iter().any(|earlier| earlier.lane == self.next[at].lane);
        let due = (0..self.next.len()).filter(|&at| first_of_its_lane(at) && self.next[at].request == request);
        // Two lanes may ask the same. The one that is behind asked sooner.
        let due = due.min_by_key(|&at| self.lanes.get(&self.next[at].lane));
        if let Some(at) = due {
            let exchange = self.next.remove(at);
            *self.lanes.entry(exchange.lane).or_default() += 1;
            return exchange.answer;
        }
        if let Some(again) = self.again.as_ref().filter(|again| again.request == request) {
            return again.answer.clone();
        }
        let expected = self.next.first().map_or("nothing".to_owned(), |next| format!("{:#?}", next.request));
        self.complaints.push(format!("expected {expected}\ngot {request:#?}"));
        Answer::Http { status: 501, headers: Vec::new(), body: "not in the script".to_owned() }
    }
}

/// An HTTP/1.1 server that answers one request per connection.
pub struct Server {
    pub address: SocketAddr,
    pub tasks: JoinSet<()>,
}

impl Server {
    pub async fn start(answer: impl Fn(Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::held_while(answer, || false).await
    }

    /// Answers with `answer`, but not while it `waits`, or after a tenth of a second.
    async fn held_while(
        answer: impl Fn(Request) -> Answer + Send + Sync + 'static,
        waits: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, waits) = (Arc::new(answer), Arc::new(waits));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, waits) = (answer.clone(), waits.clone());
                connections.spawn(async move { serve(stream, answer.as_ref(), waits.as_ref()).await });
            }
        });
        Self { address, tasks }
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: &(impl Fn(Request) -> Answer + Send + Sync),
    waits: &(impl Fn() -> bool + Send + Sync),
) {
    let Some(request) = receive(&mut stream).await else {
        return;
    };
    let answer = answer(request);
    let until = Instant::now() + Duration::from_millis(100);
    while waits() && Instant::now() < until {
        sleep(Duration::from_millis(1)).await;
    }
    match answer {
        Answer::Http { status, headers, body } => {
            let mut head = format!("HTTP/1.1 {status} -\r\nconnection: close\r\n");
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            if status != 204 {
                head.push_str(&format!("content-length: {}\r\n", body.len()));
            }
            // Who closes early does not want the rest.
            let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Answer::Stalled { body } => {
            let head = format!("HTTP/1.1 200 -\r\ncontent-length: {}\r\n\r\n", body.len() + 1);
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            std::future::pending::<()>().await;
        }
        Answer::Reset => {
            let _ = stream.set_zero_linger();
        }
    }
}

/// A field of a form. A script has an assertion's claims, if the test key signed it and it lasts a few minutes from now.
fn field(name: &str, value: &str) -> (String, Value) {
    let value = if name == "assertion" { claims(value).unwrap_or(Value::Null) } else { Value::from(value) };
    (name.to_owned(), value)
}

/// The claims of an assertion but `iat` and `exp`; `None` if its signature or its times are wrong.
fn claims(assertion: &str) -> Option<Value> {
    let PrivateKeyDer::Pkcs8(der) = PrivateKeyDer::from_pem_slice(PRIVATE_KEY.as_bytes()).ok()? else { return None };
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()?;
    let (signed, signature) = assertion.rsplit_once('.')?;
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
    public.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decode(signature)?).ok()?;
    let mut claims: Value = serde_json::from_slice(&decode(signed.split_once('.')?.1)?).ok()?;
    let fields = claims.as_object_mut()?;
    let (from, until) = (fields.remove("iat")?.as_u64()?, fields.remove("exp")?.as_u64()?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    ((now - 60..=now).contains(&from) && (1..=300).contains(&(until - from))).then_some(claims)
}

/// One request; `None` if the connection ends before it does.
async fn receive(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let (first, headers) = head.split_once("\r\n").unwrap_or((&head, ""));
    let mut first = first.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let mut headers: BTreeMap<_, _> = headers.lines().filter_map(header).collect();
    headers.remove("host");
    let length: usize = headers.remove("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let is_form = headers.get("content-type").is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let body = (!body.is_empty()).then(|| match is_form {
        // A script has a form's fields as an object.
        true => form_urlencoded::parse(&body).map(|(name, value)| field(&name, &value)).collect(),
        false => serde_json::from_slice(&body).expect("a request's body is JSON"),
    });
    Some(Request { method, target, headers, body })
}

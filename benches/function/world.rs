//! What the function talks to: the runtime API, Secrets Manager and the providers, which take the time.

use std::{
    collections::HashMap,
    future::IntoFuture,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify};

use super::{DELAY, KEY, PROVIDERS, TIMEOUT};

/// What the function was seen to do, and when.
pub enum Seen {
    Secrets(Instant),
    Next(Instant),
    Answer(Instant, String),
}

/// One provider within one delivery: whether its account is gone, and how long its answers took in all.
#[derive(Clone, Copy, Default)]
pub struct State {
    pub gone: bool,
    pub busy: Duration,
}

pub struct World {
    pub report: mpsc::Sender<Seen>,
    pub providers: Mutex<HashMap<&'static str, State>>,
    pub event: Mutex<Option<String>>,
    pub event_is_there: Notify,
    pub delivered: Mutex<Option<mpsc::Sender<Instant>>>,
}

pub struct Ports {
    pub runtime: u16,
    pub secrets: u16,
    pub providers: HashMap<&'static str, u16>,
}

/// Serves all of it, from threads that stay until the benchmark ends.
pub fn serve(world: &Arc<World>) -> Ports {
    let providers = PROVIDERS.map(|name| (name, provider(world, name))).into();
    let (ports, answer) = mpsc::channel();
    let world = Arc::clone(world);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let here = Arc::clone(&world);
            let secrets = listen(move |request| secrets(Arc::clone(&here), request)).await;
            let runtime = listen(move |request| runtime_api(Arc::clone(&world), request)).await;
            ports.send((secrets, runtime)).expect("somebody waits for the ports");
            std::future::pending::<()>().await;
        });
    });
    let (secrets, runtime) = answer.recv().expect("the servers start");
    Ports { runtime, secrets, providers }
}

async fn listen<F, A>(handler: F) -> u16
where
    F: Fn(Request) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port();
    tokio::spawn(axum::serve(listener, Router::new().fallback(handler)).into_future());
    port
}

impl World {
    pub fn new() -> Self {
        Self {
            report: mpsc::channel().0,
            providers: Mutex::new(PROVIDERS.map(|name| (name, State::default())).into()),
            event: Mutex::new(None),
            event_is_there: Notify::new(),
            delivered: Mutex::new(None),
        }
    }

    /// Hands an event to the function that waits for it. Answers when it was handed over.
    pub fn deliver(&self, event: String) -> Instant {
        let (delivered, at) = mpsc::channel();
        *self.delivered.lock().unwrap() = Some(delivered);
        *self.event.lock().unwrap() = Some(event);
        self.event_is_there.notify_one();
        at.recv_timeout(TIMEOUT).expect("the function waits for an event")
    }
}

async fn read(request: Request) -> String {
    let body = to_bytes(request.into_body(), usize::MAX).await.unwrap_or_default();
    String::from_utf8_lossy(&body).into_owned()
}

/// The Lambda runtime API: next, response and the two errors.
async fn runtime_api(world: Arc<World>, request: Request) -> Response {
    let now = Instant::now();
    if !request.uri().path().ends_with("/invocation/next") {
        let text = read(request).await;
        let _ = world.report.send(Seen::Answer(now, text));
        return (axum::http::StatusCode::ACCEPTED, "{}").into_response();
    }
    let _ = world.report.send(Seen::Next(now));
    let event = loop {
        if let Some(event) = world.event.lock().unwrap().take() {
            break event;
        }
        world.event_is_there.notified().await;
    };
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + Duration::from_secs(29);
    let response = Response::builder()
        .header("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
        .header("lambda-runtime-deadline-ms", deadline.as_millis().to_string())
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:123456789012:function:offboard")
        .header("lambda-runtime-trace-id", "Root=1-6968d740-0123456789abcdef01234567;Sampled=0")
        .body(Body::from(event))
        .expect("a response of fixed headers");
    if let Some(delivered) = world.delivered.lock().unwrap().take() {
        let _ = delivered.send(Instant::now());
    }
    response
}

/// Secrets Manager, as far as one batch goes.
async fn secrets(world: Arc<World>, request: Request) -> Response {
    let _ = world.report.send(Seen::Secrets(Instant::now()));
    let asked: Value = serde_json::from_str(&read(request).await).unwrap_or_default();
    let values: Vec<_> =
        asked["SecretIdList"].as_array().into_iter().flatten().filter_map(Value::as_str).map(secret).collect();
    json!({"SecretValues": values, "Errors": []}).to_string().into_response()
}

fn secret(name: &str) -> Value {
    let value = match name {
        "offboard/sources/hr" => json!({"signing_secret": KEY}),
        "offboard/providers/aerospike" => json!({"client_id": "id", "client_secret": "secret"}),
        "offboard/providers/cloudflare" => json!({"api_token": "token"}),
        "offboard/providers/flashduty" => json!({"app_key": "key"}),
        "offboard/providers/instaply" => json!({"token": "token"}),
        _ => json!({"project_id": "project-live-1", "secret": "secret"}),
    };
    json!({
        "ARN": format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf"),
        "Name": name,
        "VersionId": "a1b2c3d4-5678-90ab-cdef-111111111111",
        "VersionStages": ["AWSCURRENT"],
        "CreatedDate": 1_768_478_400.0,
        "SecretString": value.to_string(),
    })
}

/// One provider, on a port and with threads of its own, as it has a host of its own: five that share a thread would wait
/// for each other, and the function would be charged for that.
fn provider(world: &Arc<World>, name: &'static str) -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port();
    let world = Arc::clone(world);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let world = Arc::clone(&world);
            std::thread::spawn(move || converse(&world, name, &stream));
        }
    });
    port
}

/// Answers one connection's calls until it ends. Takes its time for each, and notes how long that was in truth.
fn converse(world: &World, name: &str, mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let start = Instant::now();
        let mut words = line.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(()) };
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        std::thread::sleep(DELAY);
        let path = target.split('?').next().unwrap_or_default();
        let mut providers = world.providers.lock().unwrap();
        let state = providers.get_mut(name).expect("one of the five");
        let (status, body) = exchange(name, method, path, &mut state.gone);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
        state.busy += start.elapsed();
        drop(providers);
        stream.write_all((head + &body).as_bytes())?;
    }
}

fn exchange(name: &str, method: &str, path: &str, gone: &mut bool) -> (u16, Value) {
    let email = "ann@example.com";
    let removal = method == "DELETE" || path.ends_with("/delete") || path.ends_with("/delete-by-email");
    let was_gone = *gone;
    *gone |= removal;
    let listed = |item: Value| if was_gone { json!([]) } else { json!([item]) };
    match (name, method, path) {
        ("aerospike", "POST", "/oauth/token") => {
            (200, json!({"access_token": "token", "token_type": "Bearer", "expires_in": 28800}))
        }
        ("aerospike", "GET", "/organization/members") => {
            let mut members = listed(json!({"id": "7c3b4f0e-5a6d-4a4e-9f6c-0d8f5a1b2c3d", "email": email}));
            members.as_array_mut().unwrap().push(json!({"id": "1", "email": "owner@example.com"}));
            let count = members.as_array().map_or(0, Vec::len);
            (200, json!({"count": count, "meta": {"total": count, "limit": 100, "offset": 0}, "members": members}))
        }
        ("aerospike", "DELETE", _) => (204, Value::Null),
        ("cloudflare", "GET", _) => {
            let users = listed(json!({"id": "f174e90a-fafe-4643-bbbc-4a0ed4fc8415", "email": email}));
            let info = json!({"total_count": users.as_array().map_or(0, Vec::len)});
            (200, json!({"success": true, "errors": [], "messages": [], "result": users, "result_info": info}))
        }
        ("cloudflare", "DELETE", _) => (200, json!({"success": true, "errors": [], "messages": [], "result": {}})),
        ("flashduty", "POST", "/member/list") => {
            let items = listed(json!({"member_id": 1, "member_name": "Ann", "email": email, "status": "enabled"}));
            let total = items.as_array().map_or(0, Vec::len);
            (200, json!({"request_id": "1", "data": {"p": 1, "limit": 100, "total": total, "items": items}}))
        }
        ("flashduty", "POST", "/member/delete") => (200, json!({"request_id": "2", "data": {}})),
        ("instaply", "POST", _) if was_gone => (404, json!({"error": "User not found in organization"})),
        ("instaply", "POST", _) => (200, json!({"status": "success", "deletedUserId": "1388838", "email": email})),
        ("stytch", "GET", _) if was_gone => {
            let text = "The member could not be found.";
            (
                404,
                json!({"status_code": 404, "request_id": "3", "error_type": "member_not_found", "error_message": text}),
            )
        }
        ("stytch", "GET", _) => {
            let member = json!({"member_id": "member-live-1", "email_address": email, "status": "active", "is_breakglass": false});
            (200, json!({"status_code": 200, "request_id": "4", "member": member}))
        }
        ("stytch", "DELETE", _) => (200, json!({"status_code": 200, "request_id": "5", "member_id": "member-live-1"})),
        _ => (501, json!({"error": format!("{name}: {method} {path} is not known here")})),
    }
}

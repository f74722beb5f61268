//! How fast the compiled function starts and answers, and how small it is: `cargo bench`.
//!
//! The function runs as Lambda runs it, as a process of its own behind a runtime API, with Secrets Manager and the five
//! providers on loopback. A provider answers each call after [`DELAY`]; what the function is held to is the time that it
//! adds to the longest chain of such calls. Plain HTTP throughout: the network and TLS handshakes are not in these figures.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::{
    collections::HashMap,
    env, fs,
    future::IntoFuture,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    response::{IntoResponse, Response},
};
use hmac::{Hmac, KeyInit, Mac};
use offboard_sandbox::envelope;
use serde_json::{Value, json};
use sha2::Sha256;
use time::OffsetDateTime;
use tokio::{net::TcpListener, sync::Notify};

/// Processes that are started, and deliveries to each of them after its first.
const STARTS: usize = 15;
const WARM: usize = 10;
/// How long a provider takes for one answer.
const DELAY: Duration = Duration::from_millis(20);
/// A start, or an answer, that takes longer than this has failed.
const TIMEOUT: Duration = Duration::from_secs(20);
const PROVIDERS: [&str; 5] = ["aerospike", "cloudflare", "flashduty", "instaply", "stytch"];
const KEY: &str = "a signing secret for the benchmark";
const FUNCTION: &str = env!("CARGO_BIN_EXE_offboard-lambda");

fn main() -> ExitCode {
    if !env::args().any(|argument| argument == "--bench") {
        println!("run it with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let mut figures = Figures::default();
    for run in 0..STARTS {
        if let Err(error) = one_process(run, &mut figures) {
            eprintln!("run {run}: {error}");
            return ExitCode::FAILURE;
        }
    }
    println!("{STARTS} processes, {WARM} warm deliveries to each; milliseconds and MiB\n");
    println!("{:<58} {:>7} {:>7} {:>7}  {:>7}", "", "median", "min", "max", "target");
    Figures::row("start to the call for secrets (their client is built)", &mut figures.secrets_asked, None);
    Figures::row("start to the first next (all clients built, secrets read)", &mut figures.init, Some(10.0));
    Figures::row("first delivery, over the calls that depend on each other", &mut figures.first, None);
    Figures::row("warm delivery, over the calls that depend on each other", &mut figures.warm, Some(3.0));
    Figures::row("warm delivery, in all", &mut figures.warm_total, None);
    Figures::row("peak memory", &mut figures.memory, Some(16.0));
    let size = fs::metadata(FUNCTION).map_or(f64::NAN, |file| mebibytes(file.len()));
    Figures::row("binary", &mut [size], Some(8.0));
    ExitCode::SUCCESS
}

/// Starts the function once, delivers to it, and notes what it took.
fn one_process(run: usize, figures: &mut Figures) -> Result<(), String> {
    let (report, reports) = mpsc::channel();
    let world = Arc::new(World { report, ..World::new() });
    let ports = serve(&world);
    let config = Scratch::new(run, &configuration(&ports))?;
    let start = Instant::now();
    let function = Function::start(&ports, &config.0)?;
    let wait = |what: &str| reports.recv_timeout(TIMEOUT).map_err(|_| format!("no {what}"));

    loop {
        match wait("first next")? {
            Seen::Secrets(at) => figures.secrets_asked.push(milliseconds(at - start)),
            Seen::Next(at) => {
                figures.init.push(milliseconds(at - start));
                break;
            }
            Seen::Answer(_, text) => return Err(format!("the function gave up at its start: {text}")),
        }
    }
    for delivery in 0..=WARM {
        for state in world.providers.lock().unwrap().values_mut() {
            *state = State::default();
        }
        let start = world.deliver(event(&format!("{run}-{delivery}")));
        let (end, text) = loop {
            match wait("answer")? {
                Seen::Answer(at, text) => break (at, text),
                Seen::Next(_) | Seen::Secrets(_) => {}
            }
        };
        all_deleted(&text)?;
        let chain = world.providers.lock().unwrap().values().map(|state| state.busy).max().unwrap_or_default();
        if delivery == 0 {
            figures.first.push(milliseconds(end - start) - milliseconds(chain));
        } else {
            figures.warm.push(milliseconds(end - start) - milliseconds(chain));
            figures.warm_total.push(milliseconds(end - start));
        }
    }
    figures.memory.push(function.peak_memory()?);
    Ok(())
}

#[derive(Default)]
struct Figures {
    secrets_asked: Vec<f64>,
    init: Vec<f64>,
    first: Vec<f64>,
    warm: Vec<f64>,
    warm_total: Vec<f64>,
    memory: Vec<f64>,
}

impl Figures {
    fn row(name: &str, values: &mut [f64], target: Option<f64>) {
        values.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (values.first(), values.last()) else {
            return println!("{name:<58} {:>7}", "none");
        };
        let median = values[values.len() / 2];
        print!("{name:<58} {median:>7.2} {min:>7.2} {max:>7.2}");
        match target {
            Some(target) => {
                println!("  {:>7} {}", format!("≤ {target}"), if median <= target { "met" } else { "MISSED" })
            }
            None => println!(),
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "sizes of a few megabytes")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// A fast wrong answer is no answer.
fn all_deleted(text: &str) -> Result<(), String> {
    let answer: Value = serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))?;
    let body: Value = answer["body"].as_str().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let outcomes = body["departures"][0]["providers"].as_array().cloned().unwrap_or_default();
    let deleted = outcomes.iter().filter(|outcome| outcome["outcome"] == "deleted").count();
    if answer["statusCode"] == 200 && deleted == PROVIDERS.len() { Ok(()) } else { Err(text.to_owned()) }
}

// ---- The function's process ---------------------------------------------------------------------------------------

struct Function(Child);

impl Function {
    fn start(ports: &Ports, config: &Path) -> Result<Self, String> {
        Command::new(FUNCTION)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{}", ports.runtime))
            .env("AWS_LAMBDA_FUNCTION_NAME", "offboard")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .env("AWS_LAMBDA_LOG_LEVEL", "INFO")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", format!("http://127.0.0.1:{}", ports.secrets))
            .env("OFFBOARD_CONFIG", config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map(Self)
            .map_err(|error| format!("{FUNCTION}: {error}"))
    }

    fn peak_memory(&self) -> Result<f64, String> {
        let path = format!("/proc/{}/status", self.0.id());
        let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        let kibibytes: u64 = peak.and_then(|number| number.trim().parse().ok()).ok_or("no VmHWM")?;
        Ok(mebibytes(kibibytes * 1024))
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file that goes when the run ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(run: usize, text: &str) -> Result<Self, String> {
        let path = env::temp_dir().join(format!("offboard-bench-{}-{run}.toml", std::process::id()));
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn configuration(ports: &Ports) -> String {
    let url = |name: &str| format!("http://127.0.0.1:{}", ports.providers[name]);
    format!(
        r#"
[policy]
mode = "live"

[sources.hr]
kind = "hmac"
signature = {{ header = "x-hr-signature", prefix = "sha256=", encoding = "hex", algorithm = "sha256", signed = "{{body}}" }}
event = {{ id = "/id", type = "/event", departures = ["employee.terminated"] }}
person = {{ email = "/email" }}

[providers.aerospike]
kind = "aerospike_cloud"
base_url = "{aerospike}"
token_url = "{aerospike}/oauth/token"

[providers.cloudflare]
kind = "cloudflare_access"
account_id = "023e105f4ecef8ad9ca31a8372d0c353"
base_url = "{cloudflare}"

[providers.flashduty]
kind = "flashduty"
base_url = "{flashduty}"

[providers.instaply]
kind = "instaply"
base_url = "{instaply}"

[providers.stytch]
kind = "stytch_b2b"
organization_ids = ["organization-live-1"]
base_url = "{stytch}"
"#,
        aerospike = url("aerospike"),
        cloudflare = url("cloudflare"),
        flashduty = url("flashduty"),
        instaply = url("instaply"),
        stytch = url("stytch"),
    )
}

/// An HTTP API's envelope around a signed departure.
fn event(id: &str) -> String {
    let body = json!({"id": id, "event": "employee.terminated", "email": "ann@example.com"}).to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).expect("any length is a key");
    mac.update(body.as_bytes());
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("host", "offboard.example.com".to_owned()),
        ("x-hr-signature", format!("sha256={}", hex::encode(mac.finalize().into_bytes()))),
    ];
    let request = envelope::Request {
        method: "POST".to_owned(),
        path: "/webhooks/hr".to_owned(),
        query: String::new(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        body: body.into_bytes(),
    };
    envelope::event(&request, id, OffsetDateTime::now_utc()).to_string()
}

// ---- The world around it ------------------------------------------------------------------------------------------

/// What the function was seen to do, and when.
enum Seen {
    Secrets(Instant),
    Next(Instant),
    Answer(Instant, String),
}

/// One provider within one delivery: whether its account is gone, and how long its answers took in all.
#[derive(Clone, Copy, Default)]
struct State {
    gone: bool,
    busy: Duration,
}

struct World {
    report: mpsc::Sender<Seen>,
    providers: Mutex<HashMap<&'static str, State>>,
    event: Mutex<Option<String>>,
    event_is_there: Notify,
    delivered: Mutex<Option<mpsc::Sender<Instant>>>,
}

struct Ports {
    runtime: u16,
    secrets: u16,
    providers: HashMap<&'static str, u16>,
}

/// Serves all of it, from threads that stay until the benchmark ends.
fn serve(world: &Arc<World>) -> Ports {
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
    fn new() -> Self {
        Self {
            report: mpsc::channel().0,
            providers: Mutex::new(PROVIDERS.map(|name| (name, State::default())).into()),
            event: Mutex::new(None),
            event_is_there: Notify::new(),
            delivered: Mutex::new(None),
        }
    }

    /// Hands an event to the function that waits for it. Answers when it was handed over.
    fn deliver(&self, event: String) -> Instant {
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

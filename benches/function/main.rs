//! How fast the compiled function starts and answers, and how small it is: `cargo bench`.
//!
//! The function runs as Lambda runs it, as a process of its own behind a runtime API, with Secrets Manager and the five
//! providers on loopback. A provider answers each call after [`DELAY`]; what the function is held to is the time that it
//! adds to the longest chain of such calls. Plain HTTP throughout: the network and TLS handshakes are not in these figures.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

mod world;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use offboard_sandbox::envelope;
use serde_json::{Value, json};
use sha2::Sha256;
use time::OffsetDateTime;
use world::{Ports, Seen, State, World, serve};

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

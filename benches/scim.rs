//! Whether the SCIM endpoint keeps up with an identity provider: `cargo bench --bench scim`.
//!
//! [`USERS`] users are stored; then [`RATE`] requests a second arrive for [`SECONDS`] seconds, whether those before are answered
//! or not, at [`ENVIRONMENTS`] processes of the function. Each call of DynamoDB, a mock on loopback, takes [`CALL`]. Before that,
//! requests come one by one, and their calls of DynamoDB are counted.
#![allow(unreachable_pub, missing_docs, reason = "a benchmark has no users")]

use std::{
    collections::BTreeMap,
    env, fs, io,
    net::IpAddr,
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use offboard_sandbox::{
    aws::{Aws, lambda_runtime::RuntimeApi},
    envelope::{self, Request},
    mock::Watched,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

const USERS: usize = 10_000;
const RATE: u32 = 25;
const SECONDS: u32 = 60;
const ENVIRONMENTS: usize = 3;
/// How long DynamoDB takes for a call.
const CALL: Duration = Duration::from_millis(5);
/// The slowest hundredth of the requests may take longer than this.
const BOUND: Duration = Duration::from_millis(200);

/// What an identity provider asks, in the order in which it is asked again and again. Lists are for an import: one of them comes
/// every [`LISTS`] requests instead.
const KINDS: [&str; 9] = [
    "GET userName eq",
    "GET id",
    "PATCH displayName",
    "GET externalId eq",
    "POST",
    "GET emails.value eq",
    "PATCH active False",
    "GET id",
    "PUT",
];
const LIST: &str = "GET list";
const LISTS: usize = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if !env::args().any(|argument| argument == "--bench") {
        println!("run it with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    match run().await {
        Ok(took) if took <= BOUND => ExitCode::SUCCESS,
        Ok(_) => {
            println!("over the bound of {BOUND:?}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the time within which 99 of 100 requests were answered.
async fn run() -> Result<Duration, String> {
    let idp = Arc::new(Idp::start().await?);
    let filled = Instant::now();
    let ids: Vec<String> = stream::iter(0..USERS).map(|n| idp.create(n)).buffered(ENVIRONMENTS).collect().await;
    println!("{USERS} users created in {:.0} s", filled.elapsed().as_secs_f64());
    idp.aws.dynamodb.set_time(CALL);
    println!("\ncalls of DynamoDB, and milliseconds alone, by request");
    for (n, kind) in KINDS.iter().chain([&LIST]).enumerate() {
        let before = idp.aws.dynamodb.calls();
        let took = idp.ask(kind, USERS + n, &ids[n]).await?;
        println!("  {kind:<20} {:>3} {:>6.1}", idp.aws.dynamodb.calls() - before, milliseconds(took));
    }
    let took = idp.load(&ids).await?;
    println!("\n{RATE} requests a second for {SECONDS} s at {ENVIRONMENTS} environments: milliseconds");
    for (kind, times) in &took {
        println!("  {kind:<20} {}", shown(times));
    }
    let mut all: Vec<_> = took.into_values().flatten().collect();
    all.sort();
    println!("  {:<20} {}", "all", shown(&all));
    let (unknown, failed) = (idp.aws.unknown(), idp.failed.load(Ordering::Relaxed));
    if !unknown.is_empty() || failed > 0 {
        return Err(format!("{failed} requests failed; unknown calls: {unknown:?}"));
    }
    Ok(at(&all, 0.99))
}

/// An identity provider, and the function that it provisions users to.
struct Idp {
    aws: Aws,
    api: RuntimeApi,
    requests: AtomicU64,
    failed: AtomicU64,
    _functions: Vec<Function>,
}

/// A process that ends when it is dropped.
struct Function(Child);

impl Drop for Function {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Idp {
    async fn start() -> Result<Self, String> {
        let aws = aws()?;
        aws.secrets.with(|secrets| secrets.put("offboard/sources/idp", json!({"token": "a token for the benchmark"})));
        aws.secrets.with(|secrets| secrets.put("offboard/providers/instaply", json!({"token": "token"})));
        let config = env::temp_dir().join(format!("offboard-bench-scim-{}.toml", std::process::id()));
        let text =
            "[policy]\nmode = \"live\"\n[sources.idp]\nkind = \"scim\"\n[providers.instaply]\nkind = \"instaply\"\n";
        fs::write(&config, text).map_err(|error| error.to_string())?;
        let api = RuntimeApi::start().await.map_err(|error| error.to_string())?;
        let spawn = |_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_offboard-lambda"));
            command.env_clear().envs(aws.environment()).env("OFFBOARD_CONFIG", &config);
            command.env("AWS_LAMBDA_RUNTIME_API", api.address().to_string());
            command.env("AWS_LAMBDA_FUNCTION_NAME", "offboard").env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256");
            command.env("AWS_LAMBDA_FUNCTION_VERSION", "1").stdout(Stdio::null());
            command.spawn().map(Function).map_err(|error| error.to_string())
        };
        let functions = (0..ENVIRONMENTS).map(spawn).collect::<Result<_, _>>()?;
        api.ready().await?;
        Ok(Self { aws, api, requests: AtomicU64::new(0), failed: AtomicU64::new(0), _functions: functions })
    }

    /// Asks at a steady rate, and waits for every answer. Times by kind, from when a request was to be sent.
    async fn load(self: &Arc<Self>, ids: &[String]) -> Result<BTreeMap<&'static str, Vec<Duration>>, String> {
        let start = tokio::time::Instant::now();
        let asked = (0..RATE * SECONDS).map(|n| {
            let (idp, number) = (self.clone(), n as usize);
            let kind = if number % LISTS == 0 { LIST } else { KINDS[number % KINDS.len()] };
            let id = ids[(number * 7 + 100) % USERS].clone();
            tokio::spawn(async move {
                let due = start + Duration::from_secs(1) / RATE * n;
                tokio::time::sleep_until(due).await;
                idp.ask(kind, 2 * USERS + number, &id).await.map(|_| (kind, due.elapsed()))
            })
        });
        let mut took: BTreeMap<_, Vec<Duration>> = BTreeMap::new();
        for asked in asked.collect::<Vec<_>>() {
            let (kind, time) = asked.await.map_err(|error| error.to_string())??;
            took.entry(kind).or_default().push(time);
        }
        took.values_mut().for_each(|times| times.sort());
        Ok(took)
    }

    /// Creates the `n`th user; returns the id.
    async fn create(&self, n: usize) -> String {
        let (_, user) = self.send("POST", "", "", user(n)).await.unwrap_or_default();
        user["id"].as_str().unwrap_or_default().to_owned()
    }

    /// Asks something about the user with this id, or about the `n`th; returns how long the answer took.
    async fn ask(&self, kind: &str, n: usize, id: &str) -> Result<Duration, String> {
        let by_id = format!("/{id}");
        let patch = |path: &str, value: &str| {
            json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{"op": "Replace", "path": path, "value": value}],
            })
        };
        let known = n % USERS;
        let (method, path, query, body) = match kind {
            "GET userName eq" => ("GET", "", format!("filter=userName+eq+%22p{known}@example.com%22"), Value::Null),
            "GET externalId eq" => ("GET", "", format!("filter=externalId+eq+%22x{known}%22"), Value::Null),
            "GET emails.value eq" => {
                ("GET", "", format!("filter=emails.value+eq+%22p{known}@example.com%22"), Value::Null)
            }
            LIST => ("GET", "", "startIndex=1&count=100".to_owned(), Value::Null),
            "GET id" => ("GET", by_id.as_str(), String::new(), Value::Null),
            "POST" => ("POST", "", String::new(), user(n)),
            "PATCH displayName" => ("PATCH", by_id.as_str(), String::new(), patch("displayName", &format!("P. {n}"))),
            "PATCH active False" => ("PATCH", by_id.as_str(), String::new(), patch("active", "False")),
            _ => {
                let mut user = user(known);
                user["userName"] = json!(format!("renamed{n}@example.com"));
                user["externalId"] = json!(format!("r{n}"));
                ("PUT", by_id.as_str(), String::new(), user)
            }
        };
        let start = Instant::now();
        let (status, answer) = self.send(method, path, &query, body).await?;
        if !matches!(status, 200 | 201) || answer.is_null() {
            self.failed.fetch_add(1, Ordering::Relaxed);
            eprintln!("{kind}: {status} {answer}");
        }
        Ok(start.elapsed())
    }

    async fn send(&self, method: &str, path: &str, query: &str, body: Value) -> Result<(u16, Value), String> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request = Request {
            method: method.to_owned(),
            path: format!("/scim/v2/idp/Users{path}"),
            query: query.to_owned(),
            headers: vec![
                header("authorization", "Bearer a token for the benchmark"),
                header("content-type", "application/scim+json"),
            ],
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        };
        let id = format!("00000000-0000-4000-8000-{number:012x}");
        let event = envelope::event(&request, &id, OffsetDateTime::now_utc());
        let said = self.api.invoke(id, event).await?;
        let answer = envelope::answer(&said).ok_or("not an answer")?;
        Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    }
}

/// Starts AWS in a thread of its own: DynamoDB does not wait for whoever asks it.
fn aws() -> Result<Aws, String> {
    let (give, aws) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            // Nobody waits for it any more only if the benchmark has ended.
            let _ = give.send(Aws::start(IpAddr::from([127, 0, 0, 1])).await);
            std::future::pending::<io::Result<()>>().await
        })
    });
    aws.recv().map_err(|_| "no runtime".to_owned())?.map_err(|error| error.to_string())
}

fn user(n: usize) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": format!("p{n}@example.com"),
        "externalId": format!("x{n}"),
        "active": true,
        "name": {"givenName": "P", "familyName": n.to_string()},
        "emails": [{"value": format!("p{n}@example.com"), "type": "work", "primary": true}],
    })
}

fn at(sorted: &[Duration], part: f64) -> Duration {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((last * part).round() as usize).copied().unwrap_or_default()
}

fn shown(sorted: &[Duration]) -> String {
    let figure = |part| milliseconds(at(sorted, part));
    format!("p50 {:>6.1}   p99 {:>6.1}   max {:>6.1}   of {}", figure(0.5), figure(0.99), figure(1.0), sorted.len())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

//! The compiled function as a child process, and what it talks to, on loopback.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    sync::{Notify, oneshot},
};

/// A request, read in full.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// Serves `answer` on a free port and gives its address.
pub async fn serve<F, R>(answer: F) -> String
where
    F: Fn(Call) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response> + Send,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(async move |request: Request| {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        answer(Call { method: parts.method.to_string(), path, headers: parts.headers, body }).await
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

pub fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

/// A server whose answers are set by the test and whose calls are kept. Not told what to answer, it says 501.
#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    answers: VecDeque<(u16, Value)>,
    delay: Duration,
}

impl Double {
    pub async fn start() -> (Self, String) {
        let double = Self::default();
        let this = double.clone();
        let address = serve(move |call| {
            let this = this.clone();
            async move {
                let (delay, next) = {
                    let mut state = this.0.lock().unwrap();
                    state.calls.push(call);
                    (state.delay, state.answers.pop_front())
                };
                tokio::time::sleep(delay).await;
                next.map_or_else(|| answer(501, &json!({})), |(status, body)| answer(status, &body))
            }
        })
        .await;
        (double, address)
    }

    pub fn then(&self, status: u16, body: Value) -> &Self {
        self.0.lock().unwrap().answers.push_back((status, body));
        self
    }

    pub fn delay(&self, delay: Duration) {
        self.0.lock().unwrap().delay = delay;
    }

    pub fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().calls.clone()
    }
}

/// AWS Secrets Manager, as far as it is used: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/>.
#[derive(Clone, Default)]
pub struct Vault(Arc<Mutex<Shelves>>);

#[derive(Default)]
struct Shelves {
    current: HashMap<String, String>,
    previous: HashMap<String, String>,
    reads: Vec<String>,
    broken: bool,
}

impl Vault {
    pub async fn start() -> (Self, String) {
        let vault = Self::default();
        let this = vault.clone();
        let address = serve(move |call| {
            let this = this.clone();
            async move { this.read(&call) }
        })
        .await;
        (vault, address)
    }

    /// Puts a new version in; the one before becomes `AWSPREVIOUS`.
    pub fn put(&self, name: &str, value: &str) -> &Self {
        let mut shelves = self.0.lock().unwrap();
        if let Some(old) = shelves.current.insert(name.to_owned(), value.to_owned()) {
            shelves.previous.insert(name.to_owned(), old);
        }
        drop(shelves);
        self
    }

    /// Takes the current version away.
    pub fn take(&self, name: &str) {
        self.0.lock().unwrap().current.remove(name);
    }

    pub fn break_down(&self) {
        self.0.lock().unwrap().broken = true;
    }

    /// What was read: `batch N`, or `NAME STAGE`.
    pub fn reads(&self) -> Vec<String> {
        self.0.lock().unwrap().reads.clone()
    }

    fn read(&self, call: &Call) -> Response {
        let mut shelves = self.0.lock().unwrap();
        let asked = call.json();
        if shelves.broken {
            shelves.reads.push("refused".to_owned());
            return answer(500, &json!({"__type": "InternalServiceError"}));
        }
        match call.headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
            Some("secretsmanager.BatchGetSecretValue") => {
                let ids: Vec<_> = asked["SecretIdList"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                shelves.reads.push(format!("batch {}", ids.len()));
                assert!(ids.len() <= 20);
                let found = ids
                    .iter()
                    .filter_map(|id| shelves.current.get(*id).map(|value| json!({"Name": id, "SecretString": value})));
                let missing = ids.iter().filter(|id| !shelves.current.contains_key(**id));
                let errors = missing.map(|id| json!({"SecretId": id, "ErrorCode": "ResourceNotFoundException"}));
                answer(200, &json!({"SecretValues": found.collect::<Vec<_>>(), "Errors": errors.collect::<Vec<_>>()}))
            }
            Some("secretsmanager.GetSecretValue") => {
                let (id, stage) = (asked["SecretId"].as_str().unwrap(), asked["VersionStage"].as_str().unwrap());
                shelves.reads.push(format!("{id} {stage}"));
                let shelf = if stage == "AWSPREVIOUS" { &shelves.previous } else { &shelves.current };
                match shelf.get(id) {
                    Some(value) => answer(200, &json!({"Name": id, "SecretString": value})),
                    None => answer(400, &json!({"__type": "ResourceNotFoundException"})),
                }
            }
            target => answer(501, &json!({"unknown": format!("{target:?}")})),
        }
    }
}

type Waiting = HashMap<String, oneshot::Sender<(bool, Value)>>;

/// The Lambda runtime API: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.
#[derive(Clone, Default)]
struct Runtime {
    queue: Arc<Mutex<VecDeque<(String, Value, u64)>>>,
    waiting: Arc<Mutex<Waiting>>,
    more: Arc<Notify>,
}

impl Runtime {
    async fn handle(&self, call: Call) -> Response {
        let path: Vec<_> = call.path.split('/').skip(1).collect();
        match (call.method.as_str(), &path[..]) {
            ("GET", ["2018-06-01", "runtime", "invocation", "next"]) => loop {
                let next = self.queue.lock().unwrap().pop_front();
                if let Some((id, event, deadline)) = next {
                    let mut next = answer(200, &event);
                    for (name, value) in [
                        ("lambda-runtime-aws-request-id", id),
                        ("lambda-runtime-deadline-ms", deadline.to_string()),
                        (
                            "lambda-runtime-invoked-function-arn",
                            "arn:aws:lambda:eu-west-1:123456789012:function:offboard".to_owned(),
                        ),
                        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned()),
                    ] {
                        next.headers_mut().insert(name, value.parse().unwrap());
                    }
                    return next;
                }
                self.more.notified().await;
            },
            ("POST", ["2018-06-01", "runtime", "invocation", id, end @ ("response" | "error")]) => {
                if let Some(waiting) = self.waiting.lock().unwrap().remove(*id) {
                    let _ = waiting.send((*end == "response", call.json()));
                }
                answer(202, &json!({"status": "OK"}))
            }
            _ => answer(501, &json!({})),
        }
    }
}

/// The compiled function, running.
pub struct Function {
    child: Child,
    runtime: Runtime,
    count: u32,
    config: PathBuf,
}

/// What the function answered over HTTP.
#[derive(Debug)]
pub struct Reply {
    pub status: u64,
    pub headers: HashMap<String, String>,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }
}

impl Function {
    /// Starts it with this configuration and Secrets Manager at this address.
    pub async fn start(config: &str, secrets: &str, environment: &[(&str, &str)]) -> Self {
        let runtime = Runtime::default();
        let this = runtime.clone();
        let address = serve(move |call| {
            let this = this.clone();
            async move { this.handle(call).await }
        })
        .await;
        let path = temporary(config);
        let child = Command::new(env!("CARGO_BIN_EXE_offboard-lambda"))
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", address.trim_start_matches("http://")),
                ("AWS_LAMBDA_FUNCTION_NAME", "offboard"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
                ("AWS_REGION", "eu-west-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets),
            ])
            .env("OFFBOARD_CONFIG", &path)
            .env("OFFBOARD_MODE", "live")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, runtime, count: 0, config: path }
    }

    /// Invokes it; `Err` is the error that it told the runtime.
    pub async fn invoke(&mut self, event: Value, time: Duration) -> Result<Value, Value> {
        self.count += 1;
        let id = format!("8476a536-e9f4-11e8-9739-{:012}", self.count);
        let (done, result) = oneshot::channel();
        self.runtime.waiting.lock().unwrap().insert(id.clone(), done);
        let deadline = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + time;
        let deadline = u64::try_from(deadline.as_millis()).unwrap();
        self.runtime.queue.lock().unwrap().push_back((id, event, deadline));
        self.runtime.more.notify_one();
        match tokio::time::timeout(Duration::from_secs(20), result).await.expect("the function answers").unwrap() {
            (true, answer) => Ok(answer),
            (false, error) => Err(error),
        }
    }

    /// Sends it an HTTP request's envelope.
    pub async fn request(&mut self, event: Value) -> Reply {
        self.request_within(event, Duration::from_secs(15)).await
    }

    pub async fn request_within(&mut self, event: Value, time: Duration) -> Reply {
        let answer = self.invoke(event, time).await.unwrap_or_else(|error| panic!("{error}"));
        let text = |value: &Value| {
            value.as_str().map(str::to_owned).or(value[0].as_str().map(str::to_owned)).unwrap_or_default()
        };
        let headers =
            [&answer["multiValueHeaders"], &answer["headers"]].into_iter().filter_map(Value::as_object).flatten();
        Reply {
            status: answer["statusCode"].as_u64().unwrap(),
            headers: headers.map(|(name, value)| (name.clone(), text(value))).collect(),
            text: text(&answer["body"]),
        }
    }

    /// Ends it and gives all that it wrote.
    pub async fn end(mut self) -> String {
        let _ = self.child.start_kill();
        self.output().await.1
    }

    /// Waits until it ends by itself: whether that was a success, and all that it wrote.
    pub async fn ended(mut self) -> (bool, String) {
        tokio::time::timeout(Duration::from_secs(10), self.output()).await.expect("the function ends")
    }

    async fn output(&mut self) -> (bool, String) {
        let (mut out, mut err) = (self.child.stdout.take().unwrap(), self.child.stderr.take().unwrap());
        let (mut text, mut more) = (String::new(), String::new());
        let (status, _, _) =
            tokio::join!(self.child.wait(), out.read_to_string(&mut text), err.read_to_string(&mut more));
        let _ = std::fs::remove_file(&self.config);
        (status.unwrap().success(), text + &more)
    }
}

/// An API Gateway HTTP API's envelope (payload 2.0) of a delivery.
pub fn v2(source: &str, headers: &[(&str, &str)], body: &str) -> Value {
    request("POST", source, headers, body)
}

/// The same, by any method.
pub fn request(method: &str, source: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let path = format!("/webhooks/{source}");
    let headers: serde_json::Map<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers,
        "requestContext": {
            "accountId": "123456789012", "apiId": "api", "domainName": "api.execute-api.eu-west-1.amazonaws.com",
            "domainPrefix": "api", "requestId": "id", "routeKey": "$default", "stage": "$default",
            "time": "31/Jan/2026:18:42:00 +0000", "timeEpoch": 1769884920000_u64,
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "sender"}
        },
        "body": body, "isBase64Encoded": false
    })
}

fn temporary(text: &str) -> PathBuf {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("offboard-{}-{count}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

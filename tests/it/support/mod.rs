//! The compiled function as a child process, and what it talks to, on loopback.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use offboard_sandbox::{
    aws::{lambda_runtime::RuntimeApi, secrets_manager::SecretsManager},
    envelope,
    mock::MockServer,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
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

/// A server whose answers are set by the test and whose calls are kept. Without a further answer it says 501.
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

/// AWS Secrets Manager.
pub struct Vault(MockServer<SecretsManager>);

impl Vault {
    pub async fn start() -> (Self, String) {
        let secrets = SecretsManager::default();
        let server = MockServer::start("secretsmanager", [127, 0, 0, 1].into(), secrets).await.unwrap();
        let url = server.url("");
        (Self(server), url)
    }

    /// Puts a new version in; the one before becomes `AWSPREVIOUS`.
    pub fn put(&self, name: &str, value: &str) -> &Self {
        self.0.with(|secrets| secrets.put(name, value));
        self
    }

    /// Takes the secret away.
    pub fn take(&self, name: &str) {
        self.0.with(|secrets| secrets.remove(name));
    }

    pub fn break_down(&self) {
        self.0.with(|secrets| secrets.is_down = true);
    }

    /// What was read: `batch N`, or `NAME STAGE`.
    pub fn reads(&self) -> Vec<String> {
        self.0.with(|secrets| secrets.reads.clone())
    }
}

/// The compiled function, running.
pub struct Function {
    child: Child,
    runtime: RuntimeApi,
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
        let runtime = RuntimeApi::start().await.unwrap();
        let path = temporary(config);
        let child = Command::new(env!("CARGO_BIN_EXE_offboard-lambda"))
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", runtime.address().to_string().as_str()),
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

    /// Invokes it; `Err` is the error that it reported to the runtime.
    pub async fn invoke(&mut self, event: Value, time: Duration) -> Result<Value, Value> {
        self.count += 1;
        let id = format!("8476a536-e9f4-11e8-9739-{:012}", self.count);
        let said = self.runtime.invoke_within(id, event, time);
        let said = tokio::time::timeout(Duration::from_secs(20), said).await.expect("the function answers");
        said.map_err(|error| serde_json::from_str(&error).unwrap_or_else(|_| panic!("{error}")))
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
    let json = ("content-type", "application/json");
    let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(json.0));
    let headers = headers.iter().chain((!has_type).then_some(&json));
    let request = envelope::Request {
        method: method.to_owned(),
        path: format!("/webhooks/{source}"),
        query: String::new(),
        headers: headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.as_bytes().to_vec(),
    };
    envelope::event(&request, "id", OffsetDateTime::now_utc())
}

fn temporary(text: &str) -> PathBuf {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("offboard-{}-{count}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

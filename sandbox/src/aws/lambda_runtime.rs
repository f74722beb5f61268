//! AWS Lambda's runtime API: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderValue, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::{
    net::TcpListener,
    sync::{Mutex as AsyncMutex, mpsc, oneshot, watch},
};

use crate::mock::lock;

/// How long one invocation may take, as in the template.
const TIMEOUT: Duration = Duration::from_secs(29);
const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:offboard-sandbox";

/// What a function says to an event: its answer, or Lambda's error document.
pub type Said = Result<Value, String>;

/// The runtime API that one function talks to.
#[derive(Clone)]
pub struct RuntimeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    queue: mpsc::UnboundedSender<Invocation>,
    next: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    waiting: Mutex<BTreeMap<String, oneshot::Sender<Said>>>,
    /// Empty until the function asks for its first event or fails.
    state: watch::Sender<Option<Result<(), String>>>,
    unknown: Mutex<Vec<String>>,
}

struct Invocation {
    request_id: String,
    event: Value,
    deadline: OffsetDateTime,
}

impl RuntimeApi {
    /// Starts it. It is only for the child process, so it is always on loopback.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (queue, next) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            queue,
            next: AsyncMutex::new(next),
            waiting: Mutex::default(),
            state: watch::Sender::new(None),
            unknown: Mutex::default(),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next_event))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .fallback(unknown)
            .method_not_allowed_fallback(unknown)
            .with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, shared })
    }

    /// Where it listens, as `AWS_LAMBDA_RUNTIME_API` wants it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the function asks for its first event, or says why it cannot.
    pub async fn ready(&self) -> Result<(), String> {
        let mut state = self.shared.state.subscribe();
        let known = state.wait_for(Option::is_some).await;
        known.ok().and_then(|state| state.clone()).unwrap_or_else(|| Err("the runtime API has stopped".into()))
    }

    /// Notes that the function has failed or ended, and fails all invocations that wait for it.
    pub fn fail(&self, why: &str) {
        self.shared.state.send_replace(Some(Err(why.into())));
        for (_, waiting) in std::mem::take(&mut *lock(&self.shared.waiting)) {
            // The invocation may have timed out.
            let _ = waiting.send(Err(why.into()));
        }
    }

    /// Hands one event to the function and waits for what it says.
    pub async fn invoke(&self, request_id: String, event: Value) -> Said {
        self.invoke_within(request_id, event, TIMEOUT).await
    }

    /// Hands one event to the function, with so much time, and waits for what it says.
    pub async fn invoke_within(&self, request_id: String, event: Value, time: Duration) -> Said {
        self.ready().await?;
        let (say, said) = oneshot::channel();
        lock(&self.shared.waiting).insert(request_id.clone(), say);
        let deadline = OffsetDateTime::now_utc() + time;
        let invocation = Invocation { request_id: request_id.clone(), event, deadline };
        self.shared.queue.send(invocation).map_err(|_| "the runtime API has stopped")?;
        let said = tokio::time::timeout(TIMEOUT, said).await;
        lock(&self.shared.waiting).remove(&request_id);
        match said {
            Ok(Ok(said)) => said,
            _ => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }

    /// The calls that it did not know.
    pub fn unknown(&self) -> Vec<String> {
        lock(&self.shared.unknown).clone()
    }
}

async fn next_event(State(shared): State<Arc<Shared>>) -> Response {
    shared.state.send_if_modified(|state| {
        let first = state.is_none();
        state.get_or_insert(Ok(()));
        first
    });
    let mut next = shared.next.lock().await;
    let Some(Invocation { request_id, event, deadline }) = next.recv().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let deadline = (deadline.unix_timestamp_nanos() / 1_000_000).to_string();
    let seconds = OffsetDateTime::now_utc().unix_timestamp();
    let trace = format!("Root=1-{seconds:08x}-5a4db0c55a4db0c55a4db0c5;Sampled=0");
    let headers = [
        ("lambda-runtime-aws-request-id", request_id),
        ("lambda-runtime-deadline-ms", deadline),
        ("lambda-runtime-invoked-function-arn", ARN.into()),
        ("lambda-runtime-trace-id", trace),
        ("content-type", "application/json".into()),
    ];
    let mut answer = event.to_string().into_response();
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

async fn response(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    let answer = serde_json::from_slice(&body);
    settle(&shared, &id, answer.map_err(|error| format!("the answer is not JSON: {error}")))
}

async fn error(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    settle(&shared, &id, Err(String::from_utf8_lossy(&body).into_owned()))
}

fn settle(shared: &Shared, id: &str, said: Said) -> Response {
    match lock(&shared.waiting).remove(id) {
        Some(waiting) => {
            // The invocation may have timed out; as on Lambda, the function does not learn of it.
            let _ = waiting.send(said);
            StatusCode::ACCEPTED.into_response()
        }
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn init_error(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    let text = String::from_utf8_lossy(&body).into_owned();
    shared.state.send_replace(Some(Err(text)));
    StatusCode::ACCEPTED
}

async fn unknown(State(shared): State<Arc<Shared>>, method: Method, uri: Uri) -> StatusCode {
    lock(&shared.unknown).push(format!("lambda: {method} {}: no such call", uri.path()));
    StatusCode::NOT_IMPLEMENTED
}

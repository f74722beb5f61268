//! The Lambda runtime API: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use http::Method;

use crate::server::{Behavior, Handler, Request, Response, Server, lock};

/// How long a function may take to start, and to answer.
const TIMEOUT: Duration = Duration::from_secs(90);
/// What an invocation is given.
const INVOCATION: Duration = Duration::from_secs(60);

/// What a process was seen to do, and when.
enum Seen {
    Next(Instant),
    Answer(Instant, String),
    Error(String),
}

/// The runtime API of one process after another.
pub(crate) struct RuntimeApi {
    server: Server,
    current: Arc<Current>,
}

#[derive(Default)]
struct Current(Mutex<Option<Arc<Ends>>>);

/// The server's ends of a session's channels.
struct Ends {
    events: Mutex<Receiver<String>>,
    handed_over: Sender<Instant>,
    seen: Sender<Seen>,
}

/// The runtime API as one process sees it.
pub(crate) struct Session {
    events: Sender<String>,
    handed_over: Receiver<Instant>,
    seen: Receiver<Seen>,
}

impl RuntimeApi {
    pub(crate) fn start() -> Result<Self> {
        let current = Arc::new(Current::default());
        let server = Server::start(current.clone(), Behavior::default()).context("cannot listen")?;
        Ok(Self { server, current })
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.port)
    }

    /// Begins a session for a process that is about to start; the one before ends.
    pub(crate) fn session(&self) -> Session {
        let ((events, events_end), (handed_end, handed_over), (seen_end, seen)) =
            (mpsc::channel(), mpsc::channel(), mpsc::channel());
        let ends = Ends { events: Mutex::new(events_end), handed_over: handed_end, seen: seen_end };
        *lock(&self.current.0) = Some(Arc::new(ends));
        Session { events, handed_over, seen }
    }
}

impl Session {
    /// Waits until the process asks for an event.
    pub(crate) fn next(&self) -> Result<Instant> {
        match self.seen.recv_timeout(TIMEOUT).context("the process asks for no event")? {
            Seen::Next(at) => Ok(at),
            Seen::Answer(_, text) => bail!("an answer that was not asked for: {text}"),
            Seen::Error(text) => bail!("an error of the function: {text}"),
        }
    }

    /// Gives an event to the process; returns when it was handed over.
    pub(crate) fn hand_over(&self, event: String) -> Result<Instant> {
        self.events.send(event).context("the session has ended")?;
        self.handed_over.recv_timeout(TIMEOUT).context("the process waits for no event")
    }

    /// Waits for the answer.
    pub(crate) fn answer(&self) -> Result<(Instant, String)> {
        match self.seen.recv_timeout(TIMEOUT).context("no answer")? {
            Seen::Answer(at, text) => Ok((at, text)),
            Seen::Next(_) => bail!("the process asks for an event before it has answered"),
            Seen::Error(text) => bail!("an error of the function: {text}"),
        }
    }
}

impl Handler for Current {
    fn answer(&self, request: Request) -> Response {
        let now = Instant::now();
        let Some(ends) = lock(&self.0).clone() else { return Response::json(410, "{}".to_owned()) };
        let path = request.uri.path().strip_prefix("/2018-06-01/runtime/").unwrap_or_default();
        match (&request.method, path) {
            (&Method::GET, "invocation/next") => ends.next(now),
            (&Method::POST, path) if path.ends_with("/response") => {
                let text = String::from_utf8_lossy(&request.body).into_owned();
                // The driver may have given up on this process.
                let _ = ends.seen.send(Seen::Answer(now, text));
                Response::json(202, "{\"status\":\"OK\"}".to_owned())
            }
            (&Method::POST, path) if path.ends_with("/error") => {
                let _ = ends.seen.send(Seen::Error(String::from_utf8_lossy(&request.body).into_owned()));
                Response::json(202, "{\"status\":\"OK\"}".to_owned())
            }
            _ => Response::json(501, "{}".to_owned()),
        }
    }
}

impl Ends {
    fn next(&self, now: Instant) -> Response {
        let _ = self.seen.send(Seen::Next(now));
        // Ends with the session, when the next process begins.
        let Ok(event) = lock(&self.events).recv() else { return Response::json(410, "{}".to_owned()) };
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + INVOCATION;
        let mut response = Response::json(200, event);
        response.headers.extend([
            ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
            ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
            (
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:eu-central-1:123456789012:function:offboard".to_owned(),
            ),
            ("lambda-runtime-trace-id", "Root=1-6968d740-0123456789abcdef01234567;Sampled=0".to_owned()),
        ]);
        let _ = self.handed_over.send(Instant::now());
        response
    }
}

//! The one HTTP layer: authorization, encoding, deadline, retry, rate limits, bounds.
//!
//! A provider builds a typed [`Request`] and reads a typed [`Response`]. It formats no URL, never sleeps and cannot follow a
//! redirect; no error that leaves this module holds a URL, because a URL may hold a key.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::{
    barrier::Pass,
    outcome::{Failure, FailureKind},
};

mod client;
mod early;
mod path;
mod response;
mod seen;
#[cfg(test)]
mod tests;

pub use client::Client;
use client::FIRST_CALL;
use early::with_early;
use path::below;
pub use response::Response;
use seen::Seen;

/// The largest response that is read, in bytes.
const LARGEST_RESPONSE: usize = 1024 * 1024;
/// The largest list that is read, in bytes. The members of a large organization fit; a runaway body does not.
const LARGEST_LIST: usize = 16 * 1024 * 1024;
/// The reason of a failure before anything was sent.
const NO_CONNECTION: &str = "no_connection";
/// A removal that waited longer than this for its place asks for permission again.
const PERMISSION: Duration = Duration::from_millis(50);
/// With less time than this a call is not begun: the request could be sent, but its response not be read.
const LEAST_TIME: Duration = Duration::from_millis(20);
/// The first and the longest wait between two attempts, before the jitter. A provider that asks for longer is left to a later run:
/// other environments get to know of it then, and do not call.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How one provider is called: where, how long, how often.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long one attempt may take, its response's body included.
    pub timeout: Duration,
    /// How often a call is attempted in all.
    pub attempts: u32,
}

/// What a provider calls with, for one departure.
#[derive(Debug)]
pub struct Http {
    client: Client,
    base: Url,
    limits: Limits,
    deadline: Instant,
    seen: Arc<Seen>,
    /// What is asked before each attempt, if this is for a removal.
    pass: Option<Pass>,
}

impl Http {
    /// Calls below `base`, until `deadline` at the latest.
    pub fn new(client: Client, base: Url, limits: Limits, deadline: Instant) -> Self {
        Self { client, base, limits, deadline, seen: Arc::default(), pass: None }
    }

    /// Returns the same for one removal: every attempt asks for permission immediately before it is sent, and all must end
    /// within one call's time-out from now.
    pub(crate) fn for_removal(&self, pass: Pass) -> Self {
        let Self { client, base, limits, deadline, seen, .. } = self;
        let (client, base, limits, seen) = (client.clone(), base.clone(), limits.clone(), seen.clone());
        let deadline = Instant::now().checked_add(limits.timeout).map_or(*deadline, |soon| soon.min(*deadline));
        Self { client, base, limits, deadline, seen, pass: Some(pass) }
    }

    /// How many attempts of calls below the base URL ended so that the provider may have done what was asked.
    pub(crate) fn lost_responses(&self) -> u32 {
        self.seen.lost_responses()
    }

    /// How often the call that needed most was attempted.
    pub fn attempts(&self) -> u32 {
        self.seen.attempts()
    }

    /// Returns for how long from now the provider asked to be left alone: none if that is over, `None` if it did not ask.
    pub fn asked_to_wait(&self) -> Option<Duration> {
        self.seen.asked_to_wait()
    }

    /// When everything must have ended.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// `text` without any credential that was sent.
    pub fn redact(&self, text: &str) -> String {
        self.seen.redact(text)
    }

    /// A `GET` below the base URL; see `Http::call`.
    pub fn get(&self, path: &[&str]) -> Request<'_> {
        self.call(Method::GET, path)
    }

    /// A `POST` below the base URL; see `Http::call`.
    pub fn post(&self, path: &[&str]) -> Request<'_> {
        self.call(Method::POST, path)
    }

    /// A `DELETE` below the base URL; see `Http::call`.
    pub fn delete(&self, path: &[&str]) -> Request<'_> {
        self.call(Method::DELETE, path)
    }

    /// A `POST` to another host, a token endpoint say.
    pub fn post_to(&self, url: &str) -> Request<'_> {
        self.call_to(Method::POST, url)
    }

    /// A `GET` of a document on another host, a key set say.
    pub fn get_from(&self, url: &str) -> Request<'_> {
        self.call_to(Method::GET, url)
    }

    /// A call of another host.
    pub(crate) fn call_to(&self, method: Method, url: &str) -> Request<'_> {
        let unusable = |_| Failure::new(FailureKind::Rejected, "unusable_url");
        Request { elsewhere: true, ..Request::new(self, method, Url::parse(url).map_err(unusable)) }
    }

    /// A call below the base URL. Every element of `path` becomes exactly one segment, percent-encoded; one that cannot
    /// (empty, a dot segment, over 256 bytes) makes the call fail as `unusable_id` before anything is sent.
    pub(crate) fn call(&self, method: Method, path: &[&str]) -> Request<'_> {
        Request::new(self, method, below(&self.base, path))
    }

    /// Returns how long to wait before another attempt; `None` after the last. Notes how long the provider asked for.
    pub fn pause(&self, failure: &Failure, attempt: u32) -> Option<Duration> {
        if let Some(asked) = failure.retry_after.filter(|_| failure.kind.is_transient()) {
            self.seen.note_wait(asked);
        }
        let wait = failure.retry_after.unwrap_or_else(|| backoff(attempt));
        let again = failure.kind.is_transient() && attempt < self.limits.attempts && wait <= BACKOFF.1;
        // A vendor may ask for longer than a clock can count.
        let needed = wait.checked_add(LEAST_TIME);
        let end = needed.and_then(|needed| Instant::now().checked_add(needed));
        let fits = end.is_some_and(|end| end < self.deadline);
        (again && fits).then_some(wait)
    }
}

/// Returns the wait after the `attempt`th attempt, counted from 1: exponential backoff with full jitter.
fn backoff(attempt: u32) -> Duration {
    let (first, longest) = BACKOFF;
    let doubled = first.saturating_mul(1 << attempt.saturating_sub(1).min(20));
    doubled.min(longest).mul_f64(fastrand::f64())
}

/// One call, not yet sent.
#[derive(Clone, Debug)]
#[must_use = "a call does nothing until its response is read"]
pub struct Request<'a> {
    http: &'a Http,
    method: Method,
    url: Result<Url, Failure>,
    headers: HeaderMap,
    body: Option<Bytes>,
    largest_response: usize,
    /// Whether it goes to another host than the base URL's.
    elsewhere: bool,
}

impl<'a> Request<'a> {
    fn new(http: &'a Http, method: Method, url: Result<Url, Failure>) -> Self {
        // With room for the credentials and the media type.
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(reqwest::header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(reqwest::header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Self { http, method, url, headers, body: None, largest_response: LARGEST_RESPONSE, elsewhere: false }
    }

    /// Ends the path with a slash.
    pub(crate) fn trailing_slash(mut self) -> Self {
        if let Ok(url) = &mut self.url
            && let Ok(mut segments) = url.path_segments_mut()
        {
            segments.push("");
        }
        self
    }

    /// Adds a query parameter, encoded.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        if let Ok(url) = &mut self.url {
            url.query_pairs_mut().append_pair(name, value);
        }
        self
    }

    /// Adds a query parameter that is a secret.
    pub fn secret_query(self, name: &str, value: &SecretString) -> Self {
        let encoded: String = form_urlencoded::byte_serialize(value.expose_secret().as_bytes()).collect();
        self.http.seen.note_sent(&encoded);
        self.query(name, value.expose_secret())
    }

    /// Authorizes with a bearer token (RFC 6750).
    pub fn bearer(self, token: &SecretString) -> Self {
        self.http.seen.note_sent(token.expose_secret());
        let value = SecretString::from(format!("Bearer {}", token.expose_secret()));
        self.secret_header("authorization", &value)
    }

    /// Authorizes with a user name and a password (RFC 7617).
    pub fn basic(self, user: &str, password: &SecretString) -> Self {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let pair = BASE64_STANDARD.encode(format!("{user}:{}", password.expose_secret()));
        self.http.seen.note_sent(&pair);
        self.secret_header("authorization", &SecretString::from(format!("Basic {pair}")))
    }

    /// Adds a header that is a secret.
    pub fn secret_header(mut self, name: &'static str, value: &SecretString) -> Self {
        match HeaderValue::from_str(value.expose_secret()) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(HeaderName::from_static(name), value);
            }
            Err(_) => self.url = Err(Failure::new(FailureKind::Unauthorized, "unusable_credential")),
        }
        self
    }

    /// Sends a JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => self.body = Some(body.into()),
            Err(_) => self.url = Err(Failure::new(FailureKind::Rejected, "unusable_body")),
        }
        self.headers.insert(reqwest::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    /// Sends a body of any media type, which a header names.
    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.body = Some(body);
        self
    }

    /// Says that the body has this secret.
    pub(crate) fn sending(self, secret: &SecretString) -> Self {
        self.http.seen.note_sent(secret.expose_secret());
        self
    }

    /// Sends a form.
    pub(crate) fn form<'f>(mut self, fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body = Some(body.into_bytes().into());
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.headers.insert(reqwest::header::CONTENT_TYPE, form);
        self
    }

    /// Reads a response of up to 16 MiB: a list of everybody.
    pub fn large_response(mut self) -> Self {
        self.largest_response = LARGEST_LIST;
        self
    }

    /// Reads no response larger than this, in bytes.
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.largest_response = bytes.min(LARGEST_RESPONSE);
        self
    }

    /// Sends the call and lets `read` make sense of the response, whatever its status. A transient failure, of the wire
    /// or of `read`, is attempted again as long as attempts and time last.
    ///
    /// # Errors
    /// The last attempt's failure.
    pub async fn read<T>(self, read: impl Fn(&Response) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut attempt = 1;
        let mut after_pause = self.http.client.is_after_pause();
        loop {
            let longest = if after_pause { FIRST_CALL } else { self.http.limits.timeout };
            let mut renewals = None;
            let failure = match self.attempt(attempt, longest, &mut renewals).await.and_then(|response| {
                read(&response).map_err(|failure| Failure {
                    retry_after: failure.retry_after.or_else(|| response.retry_after()),
                    ..failure.request_id(response.request_id())
                })
            }) {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let sent = failure.kind == FailureKind::Unavailable && failure.reason != NO_CONNECTION;
            if sent && !self.elsewhere {
                self.http.seen.note_lost_response();
            }
            // A connection that died meanwhile says nothing of the provider: that was no attempt.
            let died = ["timeout", "connection_lost"].contains(&failure.reason.as_str());
            if let (true, true, Some(renewals)) = (std::mem::take(&mut after_pause), died, renewals) {
                self.http.client.renew(renewals);
                continue;
            }
            match self.http.pause(&failure, attempt) {
                Some(wait) => sleep(wait).await,
                None => return Err(failure),
            }
            attempt += 1;
        }
    }

    /// Makes one attempt of `longest` at most. Sets `renewals` to those of the connections that it used.
    async fn attempt(&self, attempt: u32, longest: Duration, renewals: &mut Option<u64>) -> Result<Response, Failure> {
        let url = self.url.as_ref().map_err(Failure::clone)?;
        self.ask().await?;
        let (asked, deadline) = (Instant::now(), self.http.deadline);
        let late = || Failure::new(FailureKind::NotAttempted, "deadline");
        let place = timeout_at(deadline, self.http.client.place()).await.map_err(|_| late())?;
        if asked.elapsed() > PERMISSION {
            self.ask().await?;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left < LEAST_TIME {
            return Err(late());
        }
        *renewals = Some(place.renewals());
        self.http.seen.note_attempt(attempt);
        let mut request = reqwest::Request::new(self.method.clone(), url.clone());
        request.headers_mut().clone_from(&self.headers);
        *request.body_mut() = self.body.clone().map(reqwest::Body::from);
        let longest = longest.min(self.http.limits.timeout);
        let response =
            timeout(left.min(longest), with_early(url, receive(&place.http, request, self.largest_response))).await;
        let response = response.unwrap_or_else(|_| Err(Failure::new(FailureKind::Unavailable, "timeout")));
        if response.is_ok() {
            self.http.client.answered();
        }
        response
    }

    /// Asks for permission, if this is a removal.
    async fn ask(&self) -> Result<(), Failure> {
        match &self.http.pass {
            Some(pass) => pass.ask(|| ()).await,
            None => Ok(()),
        }
    }
}

/// Sends the request and reads its response, up to `largest` bytes.
async fn receive(http: &reqwest::Client, request: reqwest::Request, largest: usize) -> Result<Response, Failure> {
    let mut response = http.execute(request).await.map_err(unreachable_because)?;
    let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable_because)? {
        if body.len() + chunk.len() > largest {
            return Err(Failure::new(FailureKind::Rejected, "answer_too_large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response { status, headers, body })
}

/// The wire's failures in our words: the library's texts quote the URL.
fn unreachable_because(error: reqwest::Error) -> Failure {
    let reason = match () {
        () if error.is_builder() => return Failure::new(FailureKind::Rejected, "unusable_request"),
        () if error.is_timeout() => "timeout",
        () if error.is_connect() => NO_CONNECTION,
        () => "connection_lost",
    };
    Failure::new(FailureKind::Unavailable, reason)
}

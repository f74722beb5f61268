//! What a provider answered.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;

use crate::outcome::{Failure, FailureKind};

/// The headers in which providers name a request; the first that is there counts.
const REQUEST_ID_HEADERS: [&str; 3] = ["flashcat-request-id", "cf-ray", "x-request-id"];

/// A provider's response, read in full.
#[derive(Debug)]
pub struct Response {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Response {
    /// A response without a body.
    #[cfg(test)]
    pub(crate) fn empty(status: u16, headers: HeaderMap) -> Self {
        Self { status, headers, body: Vec::new() }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is 2xx. Most providers need more than that to have agreed.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON of this shape.
    ///
    /// # Errors
    /// `not_understood` if it has another shape, or is no JSON object.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let not_understood =
            |what: &str| Failure::not_understood(format!("HTTP {}: {what}", self.status)).request_id(self.request_id());
        // serde reads a list into a struct, by position; `[]` would be an object without anything optional.
        if self.body.trim_ascii_start().first() != Some(&b'{') {
            return Err(not_understood("not a JSON object"));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            // The other messages of serde_json quote the value.
            let text = error.to_string();
            let (what, _) = text.split_once(" at line ").unwrap_or((&text, ""));
            not_understood(if what.starts_with("missing field") { what } else { "not the documented shape" })
        })
    }

    /// The body as any JSON; an empty one is null. `None` if it is something else, a gateway's page say.
    pub(crate) fn value(&self) -> Option<serde_json::Value> {
        if self.body.is_empty() { Some(serde_json::Value::Null) } else { serde_json::from_slice(&self.body).ok() }
    }

    /// The body in the vendor's shape, whatever the status; where it has another (a gateway's page), the status speaks.
    ///
    /// # Errors
    /// `not_understood` for another shape with a 2xx, else [`Response::failure`].
    pub fn envelope<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.json().map_err(|not_understood| if self.is_success() { not_understood } else { self.failure() })
    }

    /// What the status alone says, for a response about which there is nothing better to say.
    pub fn failure(&self) -> Failure {
        let reason =
            if (300..400).contains(&self.status) { "redirect".to_owned() } else { format!("http_{}", self.status) };
        Failure::new(FailureKind::of_status(self.status), reason).request_id(self.request_id())
    }

    /// The provider's id of the request, where a header has it.
    pub fn request_id(&self) -> Option<String> {
        REQUEST_ID_HEADERS.iter().find_map(|name| self.header(name)).map(str::to_owned)
    }

    /// `Retry-After` in either form (RFC 9110 10.2.3).
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let value = self.header("retry-after")?.trim();
        match value.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => {
                let at = httpdate::parse_http_date(value).ok()?;
                Some(at.duration_since(SystemTime::now()).unwrap_or_default())
            }
        }
    }

    /// The body as it came.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Every line of a header; `None` if one cannot be read.
    pub(crate) fn header_lines(&self, name: &str) -> Option<Vec<&str>> {
        self.headers.get_all(name).iter().map(|line| line.to_str().ok()).collect()
    }
}

//! The event bus on which notifications are published: Amazon EventBridge.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use aws_types::SdkConfig;
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::{
    aws::signed::{self, Call, NotCallable, Service},
    notification::Notification,
    outbound::{Client, Response},
    outcome::{Failure, FailureKind},
};

/// Events that one call takes.
pub const MAX_EVENTS: usize = 10;
/// Bytes that one call takes, of all its events together.
pub(crate) const MAX_SIZE: usize = 256 * 1024;
/// The events' `source`.
const SOURCE: &str = "offboard";
const ACTION: &str = "AWSEvents.PutEvents";
const MEDIA_TYPE: &str = "application/x-amz-json-1.1";
/// How long a call and each of its attempts may take, as those of the SDK.
const TIMEOUT: (Duration, Duration) = (Duration::from_secs(7), Duration::from_secs(3));

/// Where notifications are published.
#[async_trait]
pub trait EventBus: fmt::Debug + Send + Sync {
    /// Publishes at most [`MAX_EVENTS`] notifications. Returns of each whether it was taken.
    ///
    /// # Errors
    /// If the bus cannot be reached; then they may be published or not.
    async fn publish(&self, notifications: &[Notification]) -> Result<Vec<bool>, BusError>;
}

/// An event bus that cannot be used: the error's code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event bus cannot be used: {0}")]
pub struct BusError(pub String);

impl From<NotCallable> for BusError {
    fn from(why: NotCallable) -> Self {
        Self(why.to_string())
    }
}

impl BusError {
    /// Returns whether what was sent was refused: a part of it, or other events, may be taken.
    pub(crate) fn is_of_content(&self) -> bool {
        matches!(self.0.as_str(), "ValidationException" | "http_413")
    }
}

/// An Amazon EventBridge event bus.
#[derive(Debug)]
pub struct EventBridge {
    service: Service,
    name: String,
}

/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents<'a> {
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    source: &'static str,
    detail_type: &'static str,
    detail: String,
    event_bus_name: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Published {
    entries: Vec<PublishedEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublishedEntry {
    event_id: Option<String>,
}

impl EventBridge {
    /// The bus of this name, in the region and with the credentials of `aws`. `endpoint` overrides where EventBridge is.
    ///
    /// # Errors
    /// If there is no region, there are no credentials, or the endpoint is not a URL.
    pub fn new(aws: &SdkConfig, client: &Client, name: String, endpoint: Option<String>) -> Result<Self, BusError> {
        Ok(Self { service: Service::new(aws, client, "events", endpoint, TIMEOUT)?, name })
    }
}

#[async_trait]
impl EventBus for EventBridge {
    async fn publish(&self, notifications: &[Notification]) -> Result<Vec<bool>, BusError> {
        let entry = |notification: &Notification| Entry {
            source: SOURCE,
            detail_type: notification.about.detail_type(),
            detail: notification.detail.to_string(),
            event_bus_name: &self.name,
        };
        let body = PutEvents { entries: notifications.iter().map(entry).collect() };
        let body = serde_json::to_vec(&body).map_err(|_| BusError("no JSON".to_owned()))?.into();
        let headers = &[("content-type", MEDIA_TYPE), ("x-amz-target", ACTION)];
        let http = self.service.http();
        let call = Call { method: Method::POST, path: "", headers, body };
        let published = self.service.signed(&http, call).await?.read(published).await;
        let published = published.map_err(|failure| BusError(failure.reason))?;
        let taken: Vec<_> = published.entries.iter().map(|entry| entry.event_id.is_some()).collect();
        match taken.len() == notifications.len() {
            true => Ok(taken),
            false => Err(BusError("an answer of another length".to_owned())),
        }
    }
}

/// Reads the answer. An error of AWS has its code in `__type`.
fn published(response: &Response) -> Result<Published, Failure> {
    if response.is_success() {
        return response.json();
    }
    let value = response.value().unwrap_or_default();
    let text = value["__type"].as_str().map(|text| text.rsplit('#').next().unwrap_or(text));
    Err(match text.and_then(signed::code) {
        Some("ThrottlingException") => Failure::new(FailureKind::RateLimited, "ThrottlingException"),
        Some(code) => Failure::new(FailureKind::of_status(response.status()), code),
        None => response.failure(),
    })
}

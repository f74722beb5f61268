//! The event bus on which notifications are published: Amazon EventBridge.

use std::fmt;

use async_trait::async_trait;
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

use crate::{
    aws::{
        explained,
        signed::{Api, CallError, Service, Timeouts},
    },
    notification::Notification,
    outbound::Client,
};

/// Events that one call takes.
pub const MAX_EVENTS: usize = 10;
/// Bytes that one call takes, of all its events together.
pub(crate) const MAX_SIZE: usize = 256 * 1024;
/// The events' `source`.
const SOURCE: &str = "offboard";
const API: Api = Api { name: "events", id: "EventBridge" };
const MEDIA_TYPE: &str = "application/x-amz-json-1.1";

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
#[error("the event bus cannot be used: {}", explained(.0))]
pub struct BusError(pub String);

impl From<CallError> for BusError {
    fn from(CallError(code): CallError) -> Self {
        Self(code)
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
    /// The bus of this name, in the region, at the endpoint and with the credentials of `aws`.
    ///
    /// # Errors
    /// If there is no region, there are no credentials, or the endpoint is not a URL.
    pub fn new(aws: &SdkConfig, client: &Client, name: String) -> Result<Self, BusError> {
        Ok(Self { service: Service::new(aws, client, API, Timeouts::USUAL)?, name })
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
        let published: Published = self.service.json(MEDIA_TYPE, "AWSEvents.PutEvents", &body).await?;
        let taken: Vec<_> = published.entries.iter().map(|entry| entry.event_id.is_some()).collect();
        match taken.len() == notifications.len() {
            true => Ok(taken),
            false => Err(BusError("an answer of another length".to_owned())),
        }
    }
}

//! The event bus on which notifications are published: Amazon EventBridge.
//!
//! One call of one API: the SDK's crate for it, with its rules and archives and pipes, would be 2 % of the function.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use reqwest::Url;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    notification::Notification,
    outbound::{Client, Http, Limits, Request, Response},
    outcome::{Failure, FailureKind},
};

/// Events that one call takes.
pub const MAX_EVENTS: usize = 10;
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

/// An Amazon EventBridge event bus.
#[derive(Debug)]
pub struct EventBridge {
    client: Client,
    endpoint: Url,
    region: String,
    credentials: SharedCredentialsProvider,
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
        let missing = |what: &str| BusError(format!("no {what}"));
        let region = aws.region().ok_or_else(|| missing("region"))?.to_string();
        let credentials = aws.credentials_provider().ok_or_else(|| missing("credentials"))?;
        let endpoint = endpoint.or_else(|| aws.endpoint_url().map(str::to_owned));
        let endpoint = endpoint.unwrap_or_else(|| format!("https://events.{region}.amazonaws.com"));
        let endpoint = Url::parse(&endpoint).map_err(|_| missing("usable endpoint"))?;
        Ok(Self { client: client.for_provider(), endpoint, region, credentials, name })
    }

    /// The signed call with this body. The date counts, so each call is signed anew.
    async fn signed<'h>(&self, http: &'h Http, body: &PutEvents<'_>) -> Result<Request<'h>, BusError> {
        let cannot = |what: &str| BusError(format!("the call cannot be signed: {what}"));
        let credentials = self.credentials.provide_credentials().await.map_err(|_| cannot("no credentials"))?;
        let identity = credentials.into();
        let params = SigningParams::builder().identity(&identity).region(&self.region).name("events");
        let params = params.time(SystemTime::now()).settings(SigningSettings::default()).build();
        let params = params.map_err(|_| cannot("a parameter is missing"))?.into();
        let text = serde_json::to_vec(body).map_err(|_| cannot("no JSON"))?;
        let headers = [("content-type", MEDIA_TYPE), ("x-amz-target", ACTION)];
        let signable =
            SignableRequest::new("POST", self.endpoint.as_str(), headers.into_iter(), SignableBody::Bytes(&text));
        let signed = signable.and_then(|signable| sign(signable, &params)).map_err(|_| cannot("refused"))?;
        let (added, _) = signed.into_parts().0.into_parts();
        let added = added.iter().map(|header| (header.name(), header.value()));
        // The same bytes again; the media type is another than that of JSON.
        let request = http.post_to(self.endpoint.as_str()).json(body);
        let all = headers.into_iter().chain(added);
        Ok(all.fold(request, |request, (name, value)| request.secret_header(name, &SecretString::from(value))))
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
        let limits = Limits { timeout: TIMEOUT.1, attempts: 2 };
        let deadline = Instant::now() + TIMEOUT.0;
        let http = Http::new(self.client.clone(), self.endpoint.clone(), limits, deadline);
        let published = self.signed(&http, &body).await?.read(published).await;
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
    let code = value["__type"].as_str().map(|code| code.rsplit('#').next().unwrap_or(code));
    let is_code = |code: &&str| code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric());
    Err(match code.filter(is_code) {
        Some("ThrottlingException") => Failure::new(FailureKind::RateLimited, "ThrottlingException"),
        Some(code) => Failure::new(FailureKind::of_status(response.status()), code),
        None => response.failure(),
    })
}

//! Signed calls of services for which no SDK is built in: with their rules, pipes and multipart uploads, the SDK's crates for them
//! would be a good part of the function, for one or two calls each.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4::SigningParams,
};
use aws_types::SdkConfig;
use bytes::Bytes;
use reqwest::{Method, Url};
use secrecy::SecretString;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::endpoint::endpoint;
use crate::{
    outbound::{Client, Http, Limits, Request, Response},
    outcome::{Failure, FailureKind},
};

/// The longest code of an error that is shown.
const LONGEST_CODE: usize = 64;
/// Credentials that expire sooner are asked for anew.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);
/// Codes of calls that come too often, beside those that say "throttled":
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>.
const TOO_OFTEN: [&str; 5] = [
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "SlowDown",
];

/// Why a call failed: the code of AWS's error, or what is missing or happened on the way. [`explained`](super::explained) says
/// what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallError(pub(crate) String);

impl CallError {
    fn of(code: &str) -> Self {
        Self(code.to_owned())
    }
}

impl From<Failure> for CallError {
    /// What happened on the way has the same names as with the SDK.
    fn from(failure: Failure) -> Self {
        Self::of(match failure.reason.as_str() {
            "timeout" | "deadline" => "time-out",
            "no_connection" | "connection_lost" => "no connection",
            "not_understood" => "an answer that was not understood",
            code => code,
        })
    }
}

/// What a service is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Api {
    /// In its endpoints, and in signatures.
    pub(crate) name: &'static str,
    /// In the variable, and in the profile, that name its endpoint.
    pub(crate) id: &'static str,
}

/// How long a call may take with all its attempts, and each of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) operation: Duration,
    pub(crate) attempt: Duration,
}

impl Timeouts {
    /// Those of the SDK's clients.
    pub(crate) const USUAL: Self = Self { operation: Duration::from_secs(7), attempt: Duration::from_secs(3) };
}

/// A service of AWS, in one region, with credentials.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    client: Client,
    endpoint: Url,
    region: String,
    provider: SharedCredentialsProvider,
    /// Those that the provider gave last: some ask another service each time.
    credentials: Mutex<Option<Credentials>>,
    timeouts: Timeouts,
}

/// One call of a service.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// The path below the endpoint, without its first slash: letters, digits, `-_./` alone.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'static str, &'a str)],
    pub(crate) body: Bytes,
}

impl Service {
    /// The service in the region, at the endpoint and with the credentials of `aws`.
    ///
    /// # Errors
    /// If there is no region, there are no credentials, or the endpoint is not a URL.
    pub(crate) fn new(aws: &SdkConfig, client: &Client, api: Api, timeouts: Timeouts) -> Result<Self, CallError> {
        let region = aws.region().ok_or_else(|| CallError::of("no region"))?.to_string();
        let provider = aws.credentials_provider().ok_or_else(|| CallError::of("no credentials"))?;
        let endpoint = Url::parse(&endpoint(aws, &api, &region)).map_err(|_| CallError::of("no usable endpoint"))?;
        let (client, credentials) = (client.for_aws(), Mutex::default());
        Ok(Self { name: api.name, client, endpoint, region, provider, credentials, timeouts })
    }

    /// Calls an operation in AWS JSON; `media_type` has its version:
    /// <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>.
    ///
    /// # Errors
    /// If the call cannot be made, or AWS refuses it; then it may have been carried out.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        media_type: &str,
        operation: &str,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        let body = serde_json::to_vec(body).map_err(|_| CallError::of("no JSON"))?.into();
        let headers = &[("content-type", media_type), ("x-amz-target", operation)];
        self.call(Call { method: Method::POST, path: "", headers, body }, json).await
    }

    /// Makes a call, of which `read` makes sense.
    ///
    /// # Errors
    /// If the call cannot be made, or the failure of the last attempt; then it may have been carried out.
    pub(crate) async fn call<T>(
        &self,
        call: Call<'_>,
        read: impl Fn(&Response) -> Result<T, Failure>,
    ) -> Result<T, CallError> {
        let Timeouts { operation, attempt } = self.timeouts;
        let (limits, deadline) = (Limits { timeout: attempt, attempts: 2 }, Instant::now() + operation);
        let http = Http::new(self.client.clone(), self.endpoint.clone(), limits, deadline);
        Ok(self.signed(&http, call).await?.read(read).await?)
    }

    async fn credentials(&self) -> Result<Credentials, CallError> {
        let lock = || self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        let lasts = |credentials: &Credentials| {
            credentials.expiry().is_none_or(|expiry| expiry > SystemTime::now() + EXPIRY_MARGIN)
        };
        if let Some(credentials) = lock().clone().filter(lasts) {
            return Ok(credentials);
        }
        let credentials = self.provider.provide_credentials().await.map_err(|_| CallError::of("no credentials"))?;
        *lock() = Some(credentials.clone());
        Ok(credentials)
    }

    /// Signs a call. The time counts, so each call is signed anew.
    ///
    /// # Errors
    /// If there are no credentials, or the call cannot be signed.
    async fn signed<'h>(&self, http: &'h Http, call: Call<'_>) -> Result<Request<'h>, CallError> {
        let Call { method, path, headers, body } = call;
        let url = self.endpoint.join(path).map_err(|_| CallError::of("no usable path"))?;
        let identity = self.credentials().await?.into();
        // As S3 has it. For a path of nothing but a slash it is the same as elsewhere.
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let params = SigningParams::builder().identity(&identity).region(&self.region).name(self.name);
        let params = params.time(SystemTime::now()).settings(settings).build();
        let params = params.map_err(|_| CallError::of("a parameter is missing"))?.into();
        let signable =
            SignableRequest::new(method.as_str(), url.as_str(), headers.iter().copied(), SignableBody::Bytes(&body));
        let signed = signable.and_then(|signable| sign(signable, &params)).map_err(|_| CallError::of("not signed"))?;
        let (added, _) = signed.into_parts().0.into_parts();
        let added = added.iter().map(|header| (header.name(), header.value()));
        let request = http.call_to(method, url.as_str()).body(body);
        let all = headers.iter().copied().chain(added);
        Ok(all.fold(request, |request, (name, value)| request.secret_header(name, &SecretString::from(value))))
    }
}

/// Reads an answer in AWS JSON. An error has its code in `__type`, between a namespace and a URL that may stand there as well.
fn json<T: DeserializeOwned>(response: &Response) -> Result<T, Failure> {
    if response.is_success() {
        return response.json();
    }
    let value = response.value().unwrap_or_default();
    let kind = value["__type"].as_str().and_then(|kind| kind.split(':').next());
    Err(refused(response, kind.and_then(|kind| kind.rsplit('#').next())))
}

/// Returns the failure of an answer that is an error, with the code that its body has.
pub(crate) fn refused(response: &Response, found: Option<&str>) -> Failure {
    let Some(code) = found.and_then(code) else { return response.failure() };
    let kind = match code {
        code if code.contains("Throttl") || TOO_OFTEN.contains(&code) => FailureKind::RateLimited,
        "RequestTimeout" | "RequestTimeoutException" => FailureKind::Unavailable,
        _ => FailureKind::of_status(response.status()),
    };
    Failure::new(kind, code)
}

/// Returns an error's code if it is one: what else stands there is not shown.
pub(crate) fn code(text: &str) -> Option<&str> {
    let is_code = text.len() <= LONGEST_CODE && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    Some(text).filter(|text| !text.is_empty() && is_code)
}

//! Signed calls of services for which no SDK is built in: with their rules, pipes and multipart uploads, the SDK's crates for them
//! would be a good part of the function, for one call each.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
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
use tokio::time::Instant;

use crate::outbound::{Client, Http, Limits, Request};

/// The longest code of an error that is shown.
const LONGEST_CODE: usize = 64;

/// Why a service cannot be called: what is missing, or cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call cannot be made: {0}")]
pub(crate) struct NotCallable(&'static str);

/// A service of AWS, in one region, with credentials.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    client: Client,
    endpoint: Url,
    region: String,
    credentials: SharedCredentialsProvider,
    limits: Limits,
    /// How long a call may take with all its attempts.
    longest: Duration,
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
    /// The service of this name, in the region and with the credentials of `aws`. `endpoint` overrides where it is.
    ///
    /// # Errors
    /// If there is no region, there are no credentials, or the endpoint is not a URL.
    pub(crate) fn new(
        aws: &SdkConfig,
        client: &Client,
        name: &'static str,
        endpoint: Option<String>,
        (longest, timeout): (Duration, Duration),
    ) -> Result<Self, NotCallable> {
        let region = aws.region().ok_or(NotCallable("no region"))?.to_string();
        let credentials = aws.credentials_provider().ok_or(NotCallable("no credentials"))?;
        let endpoint = endpoint.or_else(|| aws.endpoint_url().map(str::to_owned));
        let endpoint = endpoint.unwrap_or_else(|| format!("https://{name}.{region}.amazonaws.com"));
        let endpoint = Url::parse(&endpoint).map_err(|_| NotCallable("no usable endpoint"))?;
        let limits = Limits { timeout, attempts: 2 };
        Ok(Self { name, client: client.for_provider(), endpoint, region, credentials, limits, longest })
    }

    /// Returns what a call is made with. Its time begins now.
    pub(crate) fn http(&self) -> Http {
        Http::new(self.client.clone(), self.endpoint.clone(), self.limits.clone(), Instant::now() + self.longest)
    }

    /// Signs a call. The time counts, so each call is signed anew.
    ///
    /// # Errors
    /// If there are no credentials, or the call cannot be signed.
    pub(crate) async fn signed<'h>(&self, http: &'h Http, call: Call<'_>) -> Result<Request<'h>, NotCallable> {
        let Call { method, path, headers, body } = call;
        let url = self.endpoint.join(path).map_err(|_| NotCallable("no usable path"))?;
        let credentials = self.credentials.provide_credentials().await.map_err(|_| NotCallable("no credentials"))?;
        let identity = credentials.into();
        // As S3 has it. For a path of nothing but a slash it is the same as elsewhere.
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let params = SigningParams::builder().identity(&identity).region(&self.region).name(self.name);
        let params = params.time(SystemTime::now()).settings(settings).build();
        let params = params.map_err(|_| NotCallable("a parameter is missing"))?.into();
        let signable =
            SignableRequest::new(method.as_str(), url.as_str(), headers.iter().copied(), SignableBody::Bytes(&body));
        let signed = signable.and_then(|signable| sign(signable, &params)).map_err(|_| NotCallable("not signed"))?;
        let (added, _) = signed.into_parts().0.into_parts();
        let added = added.iter().map(|header| (header.name(), header.value()));
        let request = http.call_to(method, url.as_str()).body(body);
        let all = headers.iter().copied().chain(added);
        Ok(all.fold(request, |request, (name, value)| request.secret_header(name, &SecretString::from(value))))
    }
}

/// Returns an error's code if it is one: what else stands there is not shown.
pub(crate) fn code(text: &str) -> Option<&str> {
    let is_code = text.len() <= LONGEST_CODE && text.chars().all(|c| c.is_ascii_alphanumeric());
    Some(text).filter(|text| !text.is_empty() && is_code)
}

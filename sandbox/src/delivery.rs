//! One webhook delivery, signed as its source would sign it, and what came back.

use std::time::{Duration, Instant};

use offboard::{
    source::{Source, Subject},
    webhook::Scheme,
};
use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use secrecy::SecretString;
use serde_json::Value;
use time::OffsetDateTime;

/// How long an answer may take: longer than the function's time-out.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(35);

/// A delivery, ready to be sent.
pub struct Delivery {
    /// All headers, the media type included.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte as it was signed.
    pub body: Vec<u8>,
}

impl Delivery {
    /// Returns a sample of what this source sends about an event of `at`, signed now.
    pub fn sample<'a>(
        source: &Source,
        what: &str,
        secret: &SecretString,
        subject: impl Into<Subject<'a>>,
        id: &str,
        at: OffsetDateTime,
    ) -> Result<Self, String> {
        let known = || format!("{} has no sample `{what}`: it has {}", source.kind.name, source.samples().join(", "));
        let (headers, body) = source.sample(what, subject, id, at).ok_or_else(known)?;
        Self::sign(source, secret, id, headers, &body)
    }

    /// Signs a body as this source does.
    pub fn sign(
        source: &Source,
        secret: &SecretString,
        id: &str,
        mut headers: Vec<(String, String)>,
        body: &[u8],
    ) -> Result<Self, String> {
        let signed = source.scheme.sign(secret, id, OffsetDateTime::now_utc(), body);
        let signed = signed.ok_or_else(|| form(&source.scheme).to_owned())?;
        headers.extend(signed.headers);
        if !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".into(), "application/json".into()));
        }
        headers.push(("user-agent".into(), concat!("offboard/", env!("CARGO_PKG_VERSION")).into()));
        Ok(Self { headers, body: signed.body })
    }

    /// The same delivery as a command line that can be pasted into a shell.
    pub fn curl(&self, url: &str) -> String {
        self.curl_by(&Method::POST, url)
    }

    /// The same request by this method as a command line.
    pub fn curl_by(&self, method: &Method, url: &str) -> String {
        let headers = self.headers.iter().filter(|(name, _)| name != "user-agent");
        let headers = headers.map(|(name, value)| format!(" -H {}", quoted(&format!("{name}: {value}"))));
        let body = String::from_utf8_lossy(&self.body);
        // With a body, curl posts by itself.
        let method = if *method == Method::POST { String::new() } else { format!(" -X {method}") };
        let body = if body.is_empty() { String::new() } else { format!(" --data-binary {}", quoted(&body)) };
        format!("curl -sS{method}{}{body} {}", headers.collect::<String>(), quoted(url))
    }

    /// The same delivery as it goes over the wire; the body pretty-printed if it is JSON.
    pub fn lines(&self, url: &str) -> Vec<String> {
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}"));
        let body = match serde_json::from_slice::<Value>(&self.body) {
            Ok(body) => format!("{body:#}"),
            Err(_) => String::from_utf8_lossy(&self.body).into_owned(),
        };
        let lines = std::iter::once(format!("POST {url}")).chain(headers).chain([String::new()]);
        lines.chain(body.lines().map(str::to_owned)).collect()
    }

    /// Posts it and reads the whole answer.
    pub async fn send(&self, url: &str) -> Result<Reply, String> {
        self.send_by(Method::POST, url).await
    }

    /// Sends it by this method and reads the whole answer.
    pub async fn send_by(&self, method: Method, url: &str) -> Result<Reply, String> {
        let url = Url::parse(url).map_err(|error| format!("{url} is not a URL: {error}"))?;
        let client = client(&url)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
            headers.append(name, HeaderValue::try_from(value).map_err(|error| error.to_string())?);
        }
        let begun = Instant::now();
        let failed = |error: reqwest::Error| format!("{} does not answer: {}", at(&url), root(&error));
        let sent = client.request(method, url.clone()).headers(headers).body(self.body.clone()).send().await;
        let response = sent.map_err(failed)?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = String::from_utf8_lossy(&response.bytes().await.map_err(failed)?).into_owned();
        Ok(Reply { status, headers, text, elapsed: begun.elapsed() })
    }
}

/// Why a secret is none of this scheme's.
fn form(scheme: &Scheme) -> &'static str {
    match scheme {
        Scheme::Hmac(_) => "the signing secret is not what this sender hands out: base64, as a rule behind `whsec_`",
        Scheme::Token(_) => {
            "the token cannot stand in a header: it is empty, or has other characters than printable ASCII"
        }
        Scheme::Jwt(_) => {
            "the signing secret is neither a shared one nor a private key in PEM that this sender could sign with"
        }
    }
}

/// What came back.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
    /// From the first byte sent to the last one received.
    pub elapsed: Duration,
}

impl Reply {
    /// The body as JSON; null if it is something else.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

fn client(url: &Url) -> Result<reqwest::Client, String> {
    // An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().timeout(RESPONSE_TIMEOUT).redirect(reqwest::redirect::Policy::none());
    // A proxy cannot know what stands on our loopback.
    let loopback =
        url.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]");
    let builder = if loopback { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| format!("cannot make an HTTP client: {error}"))
}

fn at(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// The innermost cause says what happened; the outer ones say "error sending request".
fn root(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

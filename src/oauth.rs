//! OAuth 2.0 client credentials (RFC 6749 4.4): one token, fetched when it is first needed and kept until it expires.

use std::{collections::BTreeMap, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    outbound::{Http, Request, Response},
    outcome::{Failure, FailureKind},
};

/// The reason of a failure that a new token may mend (RFC 6750 3.1).
pub(crate) const INVALID_TOKEN: &str = "invalid_token";
/// A token this close to its end is not used any more: it must outlast the calls of a departure.
const MARGIN: Duration = Duration::from_secs(60);
/// No token is kept longer, whatever its issuer says.
const LONGEST_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a provider's tokens come from.
#[derive(Debug)]
pub(crate) enum Tokens {
    /// A token that somebody else fetched, used as it is.
    Fixed(SecretString),
    /// Tokens fetched with a client's credentials.
    Fetched(ClientCredentials),
}

/// A client of an authorization server, and the token it holds.
#[derive(Debug)]
pub(crate) struct ClientCredentials {
    url: String,
    id: SecretString,
    secret: SecretString,
    send: SendClient,
    /// More fields of the request.
    fields: BTreeMap<String, String>,
    /// Locked while a token is fetched: others that need one wait for it.
    kept: Mutex<Option<Kept>>,
}

/// How a client shows itself to its authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SendClient {
    /// In `Authorization`, and the rest in a form (RFC 6749 2.3.1).
    Basic,
    /// In a form.
    Form,
    /// In a JSON object.
    Json,
}

#[derive(Debug)]
struct Kept {
    token: SecretString,
    until: Instant,
}

impl ClientCredentials {
    /// A client that holds no token yet.
    pub(crate) fn new(url: &str, id: SecretString, secret: SecretString) -> Self {
        Self {
            url: url.to_owned(),
            id,
            secret,
            send: SendClient::Json,
            fields: BTreeMap::new(),
            kept: Mutex::new(None),
        }
    }

    /// Sends the client in another way, with more fields. A `grant_type` among them wins.
    pub(crate) fn sending(self, send: SendClient, fields: BTreeMap<String, String>) -> Self {
        Self { send, fields, ..self }
    }
}

impl Tokens {
    /// Sends `call` with a token. If `read` finds it refused as [`INVALID_TOKEN`], a token that was fetched is thrown
    /// away and the call sent once more with a new one.
    ///
    /// # Errors
    /// What `read` says, or why there is no token.
    pub(crate) async fn read<T>(
        &self,
        http: &Http,
        call: Request<'_>,
        read: impl Fn(&Response) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let client = match self {
            Self::Fixed(token) => return call.bearer(token).read(read).await,
            Self::Fetched(client) => client,
        };
        let token = client.token(http, None).await?;
        match call.clone().bearer(&token).read(&read).await {
            Err(failure) if failure.kind == FailureKind::Unauthorized && failure.reason == INVALID_TOKEN => {
                let token = client.token(http, Some(&token)).await?;
                call.bearer(&token).read(read).await
            }
            other => other,
        }
    }
}

impl ClientCredentials {
    /// The token that is kept, unless it is the `refused` one; else a new one.
    async fn token(&self, http: &Http, refused: Option<&SecretString>) -> Result<SecretString, Failure> {
        let refused = refused.map(ExposeSecret::expose_secret);
        let mut kept = self.kept.lock().await;
        if let Some(Kept { token, until }) = &*kept
            && *until > Instant::now()
            && refused != Some(token.expose_secret())
        {
            return Ok(token.clone());
        }
        *kept = None;
        let granted = self.fetch(http).await?;
        let lasts = Duration::from_secs(granted.expires_in).min(LONGEST_KEPT).saturating_sub(MARGIN);
        let token = SecretString::from(granted.access_token);
        *kept = Some(Kept { token: token.clone(), until: Instant::now() + lasts });
        Ok(token)
    }

    async fn fetch(&self, http: &Http) -> Result<Granted, Failure> {
        let (id, secret) = (self.id.expose_secret(), self.secret.expose_secret());
        let mut fields = BTreeMap::from([("grant_type", "client_credentials")]);
        fields.extend(self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if self.send != SendClient::Basic {
            fields.extend([("client_id", id), ("client_secret", secret)]);
        }
        let call = http.post_to(&self.url);
        let call = match self.send {
            SendClient::Basic => call.basic(id, &self.secret).form(fields),
            SendClient::Form => call.form(fields),
            SendClient::Json => call.json(&fields),
        };
        call.read(granted).await
    }
}

fn granted(response: &Response) -> Result<Granted, Failure> {
    if response.is_success() {
        let granted: Granted = response.json()?;
        let empty = granted.access_token.is_empty();
        return if empty { Err(Failure::not_understood("an empty token")) } else { Ok(granted) };
    }
    let refusal: Refusal = response.envelope()?;
    let kind = match refusal.error.as_str() {
        "invalid_client" | "unauthorized_client" | "access_denied" => FailureKind::Unauthorized,
        _ => FailureKind::of_status(response.status()),
    };
    Err(Failure::new(kind, refusal.error).detail_if(refusal.error_description))
}

/// RFC 6749 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// In seconds. Without it the token is used once.
    #[serde(default)]
    expires_in: u64,
}

/// RFC 6749 5.2.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

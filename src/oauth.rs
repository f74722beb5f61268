//! Access tokens (RFC 6749 4.4, RFC 7523): one is fetched when it is first needed, and kept until it expires.

use std::{collections::BTreeMap, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    outbound::{Http, Request, Response},
    outcome::{Failure, FailureKind},
};

mod assertion;

pub(crate) use assertion::Assertion;

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
    Fetched(Client),
}

/// A client of an authorization server, and the token it holds.
#[derive(Debug)]
pub(crate) struct Client {
    url: String,
    shows: Shows,
    /// More fields of the request.
    fields: BTreeMap<String, SecretString>,
    /// How long a token lasts whose issuer does not say it.
    lasts: Duration,
    /// Locked while a token is fetched: others that need one wait for it.
    kept: Mutex<Option<Kept>>,
}

/// How a client shows itself to its authorization server.
#[derive(Debug)]
pub(crate) enum Shows {
    /// By its secret, in an OAuth request.
    Secret {
        /// The client's id.
        id: SecretString,
        /// The client's secret.
        secret: SecretString,
        /// Where they stand.
        send: SendClient,
    },
    /// By what it signs (RFC 7523).
    Assertion(Assertion),
    /// By the fields alone, in a JSON object: the vendor's own exchange, which is not OAuth.
    Fields,
}

/// Where a client's id and secret stand in its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Client {
    /// A client that holds no token yet.
    pub(crate) fn new(url: &str, shows: Shows) -> Self {
        let (fields, lasts) = (BTreeMap::new(), Duration::ZERO);
        Self { url: url.to_owned(), shows, fields, lasts, kept: Mutex::new(None) }
    }

    /// Sends more fields. A `grant_type` among them wins.
    pub(crate) fn with(self, fields: BTreeMap<String, SecretString>) -> Self {
        Self { fields, ..self }
    }

    /// Keeps a token for this long, if its issuer does not say how long it lasts.
    pub(crate) fn lasting(self, lasts: Duration) -> Self {
        Self { lasts, ..self }
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

impl Client {
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
        let lasts = granted.expires_in.map_or(self.lasts, Duration::from_secs);
        let lasts = lasts.min(LONGEST_KEPT).saturating_sub(MARGIN);
        let token = SecretString::from(granted.access_token);
        *kept = Some(Kept { token: token.clone(), until: Instant::now() + lasts });
        Ok(token)
    }

    async fn fetch(&self, http: &Http) -> Result<Granted, Failure> {
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value.expose_secret()));
        let fields: BTreeMap<&str, &str> = fields.collect();
        let call = http.post_to(&self.url);
        let call = match &self.shows {
            Shows::Fields => call.json(&fields),
            Shows::Assertion(assertion) => {
                let signed = assertion.sign()?;
                let grant = [("grant_type", assertion::GRANT_TYPE), ("assertion", signed.expose_secret())];
                call.sending(&signed).form(fields.into_iter().chain(grant))
            }
            Shows::Secret { id, secret, send } => {
                let (id, text) = (id.expose_secret(), secret.expose_secret());
                let mut all = BTreeMap::from([("grant_type", "client_credentials")]);
                all.extend(fields);
                match send {
                    SendClient::Basic => call.basic(id, secret).form(all),
                    SendClient::Form => call.form(all.into_iter().chain([("client_id", id), ("client_secret", text)])),
                    SendClient::Json => {
                        all.extend([("client_id", id), ("client_secret", text)]);
                        call.json(&all)
                    }
                }
            }
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
        "invalid_client" | "invalid_grant" | "unauthorized_client" | "access_denied" => FailureKind::Unauthorized,
        _ => FailureKind::of_status(response.status()),
    };
    Err(Failure::new(kind, refusal.error).detail_if(refusal.error_description))
}

/// RFC 6749 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// In seconds.
    expires_in: Option<u64>,
}

/// RFC 6749 5.2.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

//! `[auth]`: how calls are authorized.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::providers::data::template::Template;

/// `[auth]`: how calls are authorized, if not by headers.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::providers::data) enum Auth {
    /// The secret's key whose value is a bearer token.
    Bearer(String),
    /// User name and password (RFC 7617).
    Basic { user: Template, password: String },
    /// OAuth client credentials.
    Oauth(OauthTable),
}

/// `[auth.oauth]`: an access token, and where it comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::providers::data) struct OauthTable {
    pub(in crate::providers::data) token_url: Template,
    pub(in crate::providers::data) send: Send,
    /// More fields of the token request; `grant_type` among them wins over `client_credentials`.
    #[serde(default)]
    pub(in crate::providers::data) fields: BTreeMap<String, Template>,
    /// With `send = "assertion"`: what is signed.
    pub(in crate::providers::data) assertion: Option<AssertionTable>,
    /// How long a token lasts whose answer does not say it, in seconds. Without either it is used once.
    #[serde(default)]
    pub(in crate::providers::data) lasts: u64,
}

/// What a token request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::providers::data) enum Send {
    /// `client_id` and `client_secret` of the secret, in `Authorization`; the rest in a form.
    Basic,
    /// The two in a form.
    Form,
    /// The two in a JSON object.
    Json,
    /// What `assertion` says, signed, in a form (RFC 7523).
    Assertion,
    /// `fields` alone, in a JSON object: an exchange of the vendor's own.
    Fields,
}

/// `[auth.oauth.assertion]`: a JWT by RS256. `iat` and `exp` are added.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::providers::data) struct AssertionTable {
    /// The secret's key whose value is the private key, in PEM.
    pub(in crate::providers::data) key: String,
    pub(in crate::providers::data) claims: BTreeMap<String, Template>,
}

impl OauthTable {
    /// Whether the secret has `client_id` and `client_secret`.
    pub(in crate::providers::data) fn has_client(&self) -> bool {
        matches!(self.send, Send::Basic | Send::Form | Send::Json)
    }

    /// All texts of a token request.
    pub(in crate::providers::data) fn templates(&self) -> impl Iterator<Item = &Template> {
        let claims = self.assertion.iter().flat_map(|assertion| assertion.claims.values());
        self.fields.values().chain(claims).chain([&self.token_url])
    }
}

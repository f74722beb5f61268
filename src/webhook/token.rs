//! A secret that the sender shows in a header, for senders that sign nothing.

use http::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Key, Refusal, single};

/// Where a sender shows its token.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Table")]
pub struct Token {
    header: HeaderName,
    prefix: String,
}

/// [`Token`] as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// The header that holds it.
    header: String,
    /// Text in front of it: `Bearer `.
    #[serde(default)]
    prefix: String,
}

impl TryFrom<Table> for Token {
    type Error = String;

    fn try_from(Table { header, prefix }: Table) -> Result<Self, String> {
        let name = HeaderName::try_from(header.as_str()).map_err(|_| format!("`{header}` is no header name"))?;
        Ok(Self { header: name, prefix })
    }
}

impl Token {
    /// Whether the token is one of ours. Compared by its hash, so that neither its length nor its beginning can be timed.
    pub(super) fn verify(&self, headers: &HeaderMap, keys: &[Key]) -> Result<(), Refusal> {
        let shown = single(headers, &self.header)?;
        // No other token would mend a wrong prefix.
        let malformed = || Refusal::Malformed(self.header.to_string());
        let token = shown.strip_prefix(&self.prefix).ok_or_else(malformed)?;
        let token = Sha256::digest(token.trim());
        let ours = |key: &Key| bool::from(Sha256::digest(key.0.expose_secret()).ct_eq(&token));
        if keys.iter().any(ours) { Ok(()) } else { Err(Refusal::Mismatch) }
    }

    /// A token as a key; `None` if it could never stand in a header.
    pub(super) fn key(text: &SecretString) -> Option<Key> {
        let token = text.expose_secret().trim();
        let shown = token.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        (!token.is_empty() && shown).then(|| Key(token.as_bytes().to_vec().into()))
    }

    /// The header with this token.
    pub(super) fn show(&self, token: &SecretString) -> Option<Vec<(String, String)>> {
        Self::key(token)?;
        Some(vec![(self.header.to_string(), format!("{}{}", self.prefix, token.expose_secret().trim()))])
    }
}

//! The senders known by name: for each a file that says how it proves a delivery to be its own, what its events mean,
//! and what its administrator has to enter. Where pointers into a body do not suffice, a few lines of code beside it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    Challenge, Reply,
    reading::Normalize,
    rules::{EventTable, PersonTable, Rule},
    scim::SCIM_SAMPLES,
};
use crate::webhook::{Jwt, Signature, Token};

mod bamboohr;
mod clerk;
mod github;
mod google_workspace;
mod keycloak;
mod shared_signals;
mod zitadel;

/// A kind of source.
#[derive(Clone, Copy, Debug)]
pub struct SourceKind {
    /// Its name in the configuration.
    pub name: &'static str,
    spec: &'static str,
    pub(super) normalize: Option<Normalize>,
}

macro_rules! kinds {
    (@normalize) => { None };
    (@normalize $normalize:expr) => { Some($normalize as Normalize) };
    ($($name:ident $($normalize:expr)?),* $(,)?) => {
        &[$(SourceKind {
            name: stringify!($name),
            spec: include_str!(concat!("kinds/", stringify!($name), ".toml")),
            normalize: kinds!(@normalize $($normalize)?),
        }),*]
    };
}

/// All kinds, by name.
pub const KINDS: &[SourceKind] = kinds![
    auth0,
    auth0_logs,
    authentik,
    bamboohr bamboohr::normalize,
    clerk clerk::normalize,
    descope,
    frontegg,
    fusionauth,
    github github::normalize,
    google_workspace google_workspace::normalize,
    hibob,
    hmac,
    jumpcloud,
    keycloak keycloak::normalize,
    logto,
    okta,
    onelogin,
    pingone,
    scalekit,
    scim,
    shared_signals shared_signals::normalize,
    standard_webhooks,
    stytch,
    svix,
    token,
    workos,
    zitadel zitadel::normalize,
];

/// What a kind of source speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// It delivers events.
    #[default]
    Webhook,
    /// It provisions users by SCIM 2.0.
    Scim,
}

impl Protocol {
    /// Returns the path at which a source of this name is reached.
    pub fn path(self, name: &str) -> String {
        match self {
            Self::Webhook => format!("/webhooks/{name}"),
            Self::Scim => format!("/scim/v2/{name}"),
        }
    }
}

/// What is known of a kind: the file of its name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindSpec {
    /// Who sends.
    pub sender: String,
    /// The sender's own page on it.
    pub page: String,
    /// How a delivery is known to be the sender's, in a few words.
    pub authentication: String,
    /// What its events and its authentication lack: what an administrator has to know before relying on them.
    pub limitations: String,
    /// Its guides: pages in `docs/sources`, without `.md`.
    #[serde(default)]
    pub guides: Vec<String>,
    /// What the sender speaks.
    #[serde(default)]
    pub protocol: Protocol,
    /// What to enter in the sender's settings, a step a line. `{url}` stands for the webhook's address, or that of the SCIM
    /// endpoint.
    pub setup: Vec<String>,
    /// What its section in the configuration needs beside its `kind`, to be adapted; a comment where it may be left out.
    #[serde(default)]
    pub configure: Vec<String>,
    /// How it delivers to an event bus of Amazon EventBridge, if it can.
    pub eventbridge: Option<EventBridgeSpec>,
    /// Another kind, like which it signs and reads where this file says nothing of it: each table as a whole.
    like: Option<String>,
    pub(super) signature: Option<Signature>,
    pub(super) token: Option<Token>,
    pub(super) jwt: Option<Jwt>,
    /// Whether its tokens can be checked with published keys alone.
    #[serde(default)]
    pub(super) published: bool,
    #[serde(default)]
    pub(super) reply: Reply,
    #[serde(default = "ten_seconds", with = "crate::settings::duration")]
    pub(super) response_timeout: std::time::Duration,
    /// How long a departure waits unless configured.
    #[serde(default, with = "crate::settings::duration")]
    pub settle: std::time::Duration,
    pub(super) challenge: Option<Challenge>,
    #[serde(default)]
    pub(super) accept_unreadable: bool,
    pub(super) event: Option<EventTable>,
    pub(super) person: Option<PersonTable>,
    /// Bodies as the sender shapes them, by the name of what they report. None where it must be configured what stands where.
    pub(super) samples: Option<Samples>,
}

/// How a sender delivers as a partner of Amazon EventBridge.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBridgeSpec {
    /// How the names of its partner event sources begin.
    pub prefix: String,
    /// The sender's own page on it.
    pub page: String,
    /// What to enter in the sender's settings, a step a line.
    pub setup: Vec<String>,
}

/// Samples by what they report: `departure`, `created`.
pub(super) type Samples = BTreeMap<String, Sample>;

/// A body as a sender shapes it. `{id}`, `{email}`, `{idp_id}`, `{number}` (a numeric id of the person), `{time}` and
/// `{milliseconds}` are filled in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sample {
    pub(super) body: String,
    /// Headers that belong to it.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
}

/// Few senders say how long they wait for an answer; those who do wait for 10 to 30 seconds.
pub(super) fn ten_seconds() -> std::time::Duration {
    std::time::Duration::from_secs(10)
}

impl KindSpec {
    /// The types of the events that are departures, some of them under conditions.
    pub fn departures(&self) -> Vec<&str> {
        self.types(|event| vec![&event.departures])
    }

    /// The departures, each with its condition: `user.updated, if /data/state is "inactive"`.
    pub fn departures_in_words(&self) -> Vec<String> {
        self.rules(|event| vec![&event.departures]).map(Rule::to_string).collect()
    }

    /// The types that a source may name under `also`.
    pub fn also(&self) -> Vec<&str> {
        self.types(|event| vec![&event.suspensions, &event.removals, &event.optional])
    }

    /// Of what `also` may name, that which counts under a condition alone, with the condition.
    pub fn also_under_conditions(&self) -> Vec<String> {
        let listed = self.rules(|event| vec![&event.suspensions, &event.removals, &event.optional]);
        listed.filter(|rule| rule.is_conditional()).map(Rule::to_string).collect()
    }

    /// The types of the events that record identity facts.
    pub fn identity_facts(&self) -> Vec<&str> {
        self.types(|event| vec![&event.returns, &event.people, &event.claims, &event.confirmations])
    }

    /// The names of its samples.
    pub fn samples(&self) -> Vec<&str> {
        if self.protocol == Protocol::Scim {
            return SCIM_SAMPLES.to_vec();
        }
        self.samples.iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// The types in these lists, each once.
    fn types<'a>(&'a self, lists: impl Fn(&'a EventTable) -> Vec<&'a Option<Vec<Rule>>>) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for rule in self.rules(lists) {
            if !names.contains(&rule.kind.as_str()) {
                names.push(&rule.kind);
            }
        }
        names
    }

    fn rules<'a>(
        &'a self,
        lists: impl Fn(&'a EventTable) -> Vec<&'a Option<Vec<Rule>>>,
    ) -> impl Iterator<Item = &'a Rule> {
        self.event.iter().flat_map(lists).flatten().flatten()
    }

    /// How long the sender waits for an answer, unless configured.
    pub fn response_timeout(&self) -> std::time::Duration {
        self.response_timeout
    }

    /// What the sender is answered, unless configured.
    pub fn reply(&self) -> Reply {
        self.reply
    }
}

impl SourceKind {
    /// The kind of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Under which key of a source's secret the key stands: `signing_secret` or `token`; `None` if it has no secret. `spec` is
    /// what is known of it.
    pub fn secret_key(&self, spec: &KindSpec) -> Option<&'static str> {
        match spec.token {
            _ if spec.published => None,
            None if self.name != "token" => Some("signing_secret"),
            _ => Some("token"),
        }
    }

    /// What is known of it.
    ///
    /// # Errors
    /// If its file has an error, which a test would have found.
    pub fn spec(&self) -> Result<KindSpec, String> {
        let unusable = |why: String| format!("the file of kind `{}` has an error: {why}", self.name);
        let mut spec: KindSpec = toml::from_str(self.spec).map_err(|error| unusable(error.to_string()))?;
        if let Some(other) = &spec.like {
            let other = Self::named(other).ok_or_else(|| unusable(format!("no kind {other}")))?.spec()?;
            spec.signature = spec.signature.or(other.signature);
            spec.event = spec.event.or(other.event);
            spec.person = spec.person.or(other.person);
            spec.samples = spec.samples.or(other.samples);
        }
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fields::assert_strict;

    #[test]
    fn no_table_of_a_kinds_file_accepts_an_unknown_key() {
        assert_strict::<KindSpec>();
    }
}

//! `[policy]` and `[ledger]`: limits on removals, and the retention of records.

use std::{fmt, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    ledger::TraitKey,
    person::Email,
    settings::{
        duration::{self, DAY, HOUR, MINUTE},
        nearest::suggestion,
    },
};

/// Whether accounts are removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Mode {
    /// Accounts are looked up and reported; none is removed. The default: a forgotten `mode` must not delete anybody.
    #[default]
    DryRun,
    /// Accounts are removed.
    Live,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dry_run" => Ok(Self::DryRun),
            "live" => Ok(Self::Live),
            "off" => Err(
                "there is no mode `off`: `offboard pause` stops every removal, without a deployment, and `offboard resume` \
                 goes on"
                    .to_owned(),
            ),
            _ => Err(format!("unknown mode `{text}`: {}", suggestion(text, &["dry_run", "live"]))),
        }
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DryRun => "dry_run",
            Self::Live => "live",
        })
    }
}

/// `[policy]`: limits on removals.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Whether accounts are removed.
    pub mode: Mode,
    /// E-mail addresses of people whose accounts are never removed.
    pub protected: Vec<Pattern>,
    /// The greatest age of a departure that is acted on without a person's release.
    #[serde(with = "duration")]
    pub max_event_age: Duration,
    /// The safeguard against mass departures; `None` if it is switched off (`"unlimited"`).
    #[serde(deserialize_with = "limit")]
    pub max_departures: Option<MaxDepartures>,
    /// Longest wait for another source that still has the person as active, at most 30 days.
    #[serde(deserialize_with = "overlap")]
    pub overlap: Duration,
    /// The organization's own e-mail domains.
    pub domains: Vec<Domain>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            protected: Vec::new(),
            max_event_age: 7 * DAY,
            max_departures: Some(MaxDepartures::default()),
            overlap: HOUR,
            domains: Vec::new(),
        }
    }
}

impl Policy {
    /// Returns whether this address is on the configured protected list.
    pub fn protects(&self, email: &str) -> bool {
        let covering = Pattern::covering(email);
        self.protected.iter().any(|pattern| covering.contains(&pattern.canonical()))
    }

    /// The same of an address that is known by its key alone. What protects its whole domain is not known by it.
    pub fn protects_key(&self, key: &TraitKey) -> bool {
        self.protected.iter().any(|pattern| TraitKey::email(&pattern.canonical()) == *key)
    }

    /// Returns whether this address is in one of the organization's own domains.
    pub fn is_own(&self, email: &Email) -> bool {
        self.domains.iter().any(|domain| domain.0.eq_ignore_ascii_case(email.domain()))
    }
}

/// `max_departures`: the safeguard holds departures while more than `count` were received within `per`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxDepartures {
    /// The limit, from 1 to [`MaxDepartures::MAX_COUNT`].
    #[serde(deserialize_with = "count")]
    pub count: u32,
    /// The window, from a minute to 30 days.
    #[serde(deserialize_with = "window")]
    pub per: Duration,
}

impl MaxDepartures {
    /// Twice this many persons, 16 bytes each, fit into one item of the table (400 KB).
    pub const MAX_COUNT: u32 = 10_000;
}

impl Default for MaxDepartures {
    fn default() -> Self {
        Self { count: 50, per: HOUR }
    }
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let count = i64::deserialize(deserializer)?;
    let valid = u32::try_from(count).ok().filter(|count| (1..=MaxDepartures::MAX_COUNT).contains(count));
    valid.ok_or_else(|| {
        let most = MaxDepartures::MAX_COUNT;
        D::Error::custom(format!(
            "`count` is {count}: it must be from 1 to {most}; max_departures = \"unlimited\" switches the safeguard off"
        ))
    })
}

fn window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration::within(deserializer, MINUTE, 30 * DAY)
}

fn overlap<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration::within(deserializer, Duration::ZERO, 30 * DAY)
}

/// Reads a limit, or `"unlimited"`.
fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MaxDepartures>, D::Error> {
    struct Limit;

    impl<'de> Visitor<'de> for Limit {
        type Value = Option<MaxDepartures>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("{ count = 50, per = \"1h\" }, or \"unlimited\"")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            let invalid = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
            if text == "unlimited" { Ok(None) } else { Err(invalid()) }
        }

        fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Self::Value, A::Error> {
            MaxDepartures::deserialize(MapAccessDeserializer::new(table)).map(Some)
        }
    }

    deserializer.deserialize_any(Limit)
}

/// An e-mail address, or `*@domain` for all of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Covered);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Covered {
    Address(Email),
    /// All of the domain of this address.
    DomainOf(Email),
}

impl Covered {
    fn email(&self) -> &Email {
        match self {
            Self::Address(email) | Self::DomainOf(email) => email,
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let covered = match text.trim().strip_prefix("*@") {
            Some(domain) => Email::parse(&format!("postmaster@{domain}")).map(Covered::DomainOf),
            None => Email::parse(&text).map(Covered::Address),
        };
        let usable = covered.filter(|covered| !covered.email().expose().contains('*'));
        usable.map(Self).ok_or_else(|| "an entry of `protected` is an e-mail address, or *@domain".to_owned())
    }
}

impl Pattern {
    /// Returns the form in which patterns are compared.
    pub fn canonical(&self) -> String {
        match &self.0 {
            Covered::Address(email) => email.canonical(),
            Covered::DomainOf(email) => email.canonical().replacen("postmaster", "*", 1),
        }
    }

    /// Returns the masked e-mail address. A pattern for a domain names nobody, and is shown in full.
    pub fn masked(&self) -> String {
        match &self.0 {
            Covered::Address(email) => email.masked(),
            Covered::DomainOf(_) => self.canonical(),
        }
    }

    /// Returns the patterns that cover an address, in canonical form: the address, and its domain.
    pub fn covering(address: &str) -> Vec<String> {
        let address = crate::person::canonical(address.trim().trim_end_matches('.'));
        let domain = address.rsplit_once('@').map(|(_, domain)| format!("*@{domain}"));
        [address].into_iter().chain(domain).collect()
    }
}

/// A domain of e-mail addresses: `example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Domain(String);

impl Domain {
    /// Returns the domain in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Domain {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_plain = |domain: &str| domain.contains('.') && !domain.contains('*');
        let address = Email::parse(&format!("postmaster@{text}")).filter(|email| is_plain(email.domain()));
        // The text itself is not shown: it may be somebody's address.
        let domain = address.ok_or_else(|| "an entry of `domains` is a domain, like example.com".to_owned())?;
        Ok(Self(domain.domain().to_lowercase()))
    }
}

/// `[ledger]`: how long the record of a departure is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerSettings {
    /// From the end of the departure, from 30 days to 100 years.
    #[serde(deserialize_with = "retention")]
    pub retention: Duration,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self { retention: 400 * DAY }
    }
}

fn retention<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration::within(deserializer, 30 * DAY, 36_525 * DAY)
}

//! The configuration: `offboard.toml`. Read once at start; every fault in it is told, not only the first.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde::Deserialize;
use toml::de::DeTable;

use crate::{
    person::{Email, canonical},
    source::{KeySource, Source},
};

pub(crate) mod base_url;
pub(crate) mod duration;
mod provider;
mod section;

pub use base_url::BaseUrl;
pub use provider::ProviderConfig;
pub use section::Faults;
pub(crate) use section::{Findings, Section};

/// Everything that `offboard.toml` says.
#[derive(Debug)]
pub struct Config {
    /// What may be done to whom.
    pub policy: Policy,
    /// The wire.
    pub http: HttpSettings,
    /// What is kept of a departure.
    pub ledger: LedgerSettings,
    /// What is kept of whom the sources' ids stand for.
    pub directory: DirectorySettings,
    /// Who may report departures, by name.
    pub sources: BTreeMap<String, Source>,
    /// Where people are removed, sorted by name. Providers that are switched off are not among them.
    pub providers: Vec<ProviderConfig>,
}

/// What is done about a departure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Accounts are deleted.
    #[default]
    Live,
    /// Accounts are looked up.
    DryRun,
    /// Nothing is called.
    Off,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "live" => Ok(Self::Live),
            "dry_run" => Ok(Self::DryRun),
            "off" => Ok(Self::Off),
            _ => Err(format!("unknown mode `{text}`: expected live, dry_run or off")),
        }
    }
}

/// `[policy]`: what may be done to whom.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Live, dry run or off.
    pub mode: Mode,
    /// Whom no machine may remove.
    pub protected: Vec<Pattern>,
    /// How old a departure may be.
    #[serde(with = "duration")]
    pub max_event_age: Duration,
    /// How many departures in which time are believed.
    pub max_departures: Option<MaxDepartures>,
}

impl Default for Policy {
    fn default() -> Self {
        let week = Duration::from_secs(7 * 24 * 60 * 60);
        Self { mode: Mode::Live, protected: Vec::new(), max_event_age: week, max_departures: None }
    }
}

impl Policy {
    /// Whether this address is on the protected list.
    pub fn protects(&self, email: &str) -> bool {
        self.protected.iter().any(|pattern| pattern.covers(email))
    }
}

/// `max_departures`: more than `count` in the time `per` are taken for a mistake upstream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MaxDepartures {
    /// How many.
    pub count: u32,
    /// In which time.
    #[serde(with = "duration")]
    pub per: Duration,
}

/// An address, or `*@domain` for all of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Email);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let usable = Email::parse(&text).filter(|email| !email.expose().trim_start_matches("*@").contains('*'));
        usable.map(Self).ok_or_else(|| "a protected entry is an address, or *@domain".to_owned())
    }
}

impl Pattern {
    fn covers(&self, address: &str) -> bool {
        let address = canonical(address.trim().trim_end_matches('.'));
        let pattern = self.0.canonical();
        match pattern.strip_prefix("*@") {
            Some(domain) => address.rsplit_once('@').is_some_and(|(_, other)| other == domain),
            None => pattern == address,
        }
    }
}

/// `[http]`: the wire.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct HttpSettings {
    /// One more certificate authority: a PEM file, relative to the configuration.
    pub extra_ca: Option<PathBuf>,
    /// The largest delivery that is read, in bytes.
    pub max_body: usize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { extra_ca: None, max_body: 1024 * 1024 }
    }
}

/// `[ledger]`: what is kept of a departure, where there is a ledger.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct LedgerSettings {
    /// For how long.
    #[serde(with = "duration")]
    pub retention: Duration,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self { retention: Duration::from_secs(90 * 24 * 60 * 60) }
    }
}

/// `[directory]`: what is kept of whom the sources' ids stand for, where there is a ledger.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct DirectorySettings {
    /// For how long after the last news. Nobody may change anything about a person for years before they leave.
    #[serde(with = "duration")]
    pub retention: Duration,
}

impl Default for DirectorySettings {
    fn default() -> Self {
        // What "3y" is read as: years of 365.25 days.
        Self { retention: Duration::from_secs(3 * 31_557_600) }
    }
}

impl Config {
    /// Reads the file at `path`. `mode` overrides `policy.mode`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path, mode: Option<&str>) -> Result<Self, Faults> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Faults::one(format!("cannot read the configuration {}: {error}", path.display())))?;
        let mut config = Self::parse(&text, mode)?;
        if let (Some(ca), Some(folder)) = (&mut config.http.extra_ca, path.parent()) {
            *ca = folder.join(&ca);
        }
        Ok(config)
    }

    /// Reads a configuration's text. `mode` overrides `policy.mode`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, mode: Option<&str>) -> Result<Self, Faults> {
        let table = DeTable::parse(text).map_err(|error| {
            let mut findings = Findings { text, faults: Faults::default() };
            findings.add(error.span(), error.message());
            findings.faults
        })?;
        let mut findings = Findings { text, faults: Faults::default() };
        let findings = &mut findings;
        let mut root = Section { name: String::new(), table };
        let policy = root.table_named("policy", findings).and_then(|section| section.read(findings));
        let http = root.table_named("http", findings).and_then(|section| section.read(findings));
        let ledger = root.table_named("ledger", findings).and_then(|section| section.read(findings));
        let directory = root.table_named("directory", findings).and_then(|section| section.read(findings));
        let (names, sources) = sources(&mut root, findings);
        let providers = provider::read_all(&mut root, &names, findings);
        root.refuse_the_rest(findings);
        let mut policy: Policy = policy.unwrap_or_default();
        match mode.map(Mode::from_str).transpose() {
            Ok(mode) => policy.mode = mode.unwrap_or(policy.mode),
            Err(message) => findings.add(None, format!("OFFBOARD_MODE: {message}")),
        }
        let (http, ledger) = (http.unwrap_or_default(), ledger.unwrap_or_default());
        let directory = directory.unwrap_or_default();
        let faults = std::mem::take(&mut findings.faults).sorted();
        if faults.is_empty() { Ok(Self { policy, http, ledger, directory, sources, providers }) } else { Err(faults) }
    }

    /// The extra certificate authority's text.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn extra_ca(&self) -> Result<Option<Vec<u8>>, Faults> {
        let read = |path: &PathBuf| {
            std::fs::read(path)
                .map_err(|error| Faults::one(format!("cannot read `http.extra_ca` {}: {error}", path.display())))
        };
        self.http.extra_ca.as_ref().map(read).transpose()
    }

    /// Whether any provider or key set is beyond this machine, where a proxy may stand between.
    pub fn calls_out(&self) -> bool {
        let key_sets = self.sources.values().filter_map(|source| match &source.keys {
            KeySource::Set(url) => Some(url),
            KeySource::Secret(_) => None,
        });
        let providers = self.providers.iter().map(|provider| provider.base_url.as_ref());
        !providers.chain(key_sets.map(Some)).all(|url| url.is_some_and(BaseUrl::is_loopback))
    }

    /// The names of all secrets that are needed.
    pub fn secret_names(&self) -> Vec<String> {
        let sources = self.sources.values().filter_map(|source| source.secret().map(str::to_owned));
        let mut names: Vec<_> = sources.chain(self.providers.iter().map(|provider| provider.secret.clone())).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Reads the sources. Returns all their names as well, of those with errors, too.
fn sources(root: &mut Section<'_>, findings: &mut Findings<'_>) -> (BTreeSet<String>, BTreeMap<String, Source>) {
    let (mut names, mut sources) = (BTreeSet::new(), BTreeMap::new());
    let section = root.table_named("sources", findings);
    for (name, section) in section.map(|section| section.tables(findings)).unwrap_or_default() {
        check_name(&name, &section, findings);
        names.insert(name.clone());
        if let Some(source) = Source::read(&name, section, findings) {
            sources.insert(name, source);
        }
    }
    if sources.is_empty() && findings.faults.is_empty() {
        findings.add(None, "no source is configured: add a [sources.NAME] table");
    }
    (names, sources)
}

/// Names stand in paths, ids and log lines.
fn check_name(name: &str, section: &Section<'_>, findings: &mut Findings<'_>) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        let message = format!("`{}`: a name has 1 to 64 characters of a-z, 0-9, - and _", section.name);
        findings.add(Some(section.table.span()), message);
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::DryRun => "dry_run",
            Self::Off => "off",
        })
    }
}

//! The configuration: `offboard.toml`. Read once at start; every error in it is reported, not only the first.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde::Deserialize;
use toml::de::DeTable;

use crate::{
    http::Limits,
    person::{Email, KnownBy},
    providers::{Configured, Kind},
    source::{KeySource, Source},
};

pub(crate) mod base_url;
pub(crate) mod duration;
mod fields;
pub(crate) mod nearest;
mod policy;
mod section;

pub use base_url::BaseUrl;
pub use policy::{Domain, LedgerSettings, MaxDepartures, Mode, Pattern, Policy};
pub use section::Diagnostics;
pub(crate) use section::{Reporter, Section};

/// Everything that `offboard.toml` says.
#[derive(Debug)]
pub struct Config {
    /// What may be done to whom.
    pub policy: Policy,
    /// The wire.
    pub http: HttpSettings,
    /// How long the record of a departure is kept.
    pub ledger: LedgerSettings,
    /// Who may report departures, by name.
    pub sources: BTreeMap<String, Source>,
    /// Where people are removed, sorted by name. Providers that are switched off are not among them.
    pub providers: Vec<ProviderConfig>,
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

/// `[providers.NAME]`: one product.
#[derive(Debug)]
pub struct ProviderConfig {
    /// The name in the configuration and in reports.
    pub name: String,
    /// What it is.
    pub kind: &'static Kind,
    /// The name of its secret.
    pub secret: String,
    /// Where it is, if not at the vendor's own address.
    pub base_url: Option<BaseUrl>,
    /// How it is called.
    pub limits: Limits,
    /// Whether a deletion is proven by a second look.
    pub confirm: bool,
    /// An account that is always there: unless a look-up shows it, nobody is called absent.
    pub canary: Option<Email>,
    /// The sources whose external ids the product knows, where it knows people by these.
    pub sources: BTreeSet<String>,
    /// The keys that only this kind has.
    pub settings: Box<dyn Configured>,
}

/// The keys that every provider takes.
#[derive(Deserialize)]
#[serde(default)]
struct Common {
    secret: Option<String>,
    base_url: Option<BaseUrl>,
    #[serde(with = "duration")]
    timeout: Duration,
    attempts: NonZeroU32,
    confirm: bool,
    enabled: bool,
    canary: Option<Canary>,
    sources: Option<Vec<String>>,
}

const COMMON: [&str; 8] = ["secret", "base_url", "timeout", "attempts", "confirm", "enabled", "canary", "sources"];

/// `canary`: an address.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Canary(Email);

impl TryFrom<String> for Canary {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Email::parse(&text).map(Self).ok_or("`canary` must be the e-mail address of an account that is always there")
    }
}

impl Default for Common {
    fn default() -> Self {
        let timeout = Duration::from_secs(10);
        Self {
            secret: None,
            base_url: None,
            timeout,
            attempts: NonZeroU32::MIN.saturating_add(2),
            confirm: true,
            enabled: true,
            canary: None,
            sources: None,
        }
    }
}

impl Config {
    /// Reads the file at `path`. `mode` overrides `policy.mode`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path, mode: Option<&str>) -> Result<Self, Diagnostics> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Diagnostics::one(format!("cannot read the configuration {}: {error}", path.display())))?;
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
    pub fn parse(text: &str, mode: Option<&str>) -> Result<Self, Diagnostics> {
        let table = DeTable::parse(text).map_err(|error| {
            let mut reporter = Reporter { text, diagnostics: Diagnostics::default() };
            reporter.add(error.span(), error.message());
            reporter.diagnostics
        })?;
        let mut reporter = Reporter { text, diagnostics: Diagnostics::default() };
        let reporter = &mut reporter;
        let mut root = Section::new(String::new(), table);
        let (mut policy, ledger) = policy_and_ledger(&mut root, reporter);
        let http = root.table_named("http", reporter).and_then(|section| section.read(reporter));
        let provider_names = root.names_in("providers");
        let (source_names, sources) = sources(&mut root, &provider_names, reporter);
        let providers = providers(&mut root, &source_names, reporter);
        check_coverage(&sources, &providers, reporter);
        root.refuse_the_rest(reporter);
        match mode.map(Mode::from_str).transpose() {
            Ok(mode) => policy.mode = mode.unwrap_or(policy.mode),
            Err(message) => reporter.add(None, format!("OFFBOARD_MODE: {message}")),
        }
        let http = http.unwrap_or_default();
        let diagnostics = std::mem::take(&mut reporter.diagnostics).sorted();
        if diagnostics.is_empty() { Ok(Self { policy, http, ledger, sources, providers }) } else { Err(diagnostics) }
    }

    /// The extra certificate authority's text.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn extra_ca(&self) -> Result<Option<Vec<u8>>, Diagnostics> {
        let read = |path: &PathBuf| {
            std::fs::read(path)
                .map_err(|error| Diagnostics::one(format!("cannot read `http.extra_ca` {}: {error}", path.display())))
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

/// Reads `[policy]` and `[ledger]`, and whether they go together: a departure that is still acted on must have its record.
fn policy_and_ledger(root: &mut Section<'_>, reporter: &mut Reporter<'_>) -> (Policy, LedgerSettings) {
    let (policy, ledger) = (root.table_named("policy", reporter), root.table_named("ledger", reporter));
    let age = policy.as_ref().and_then(|section| section.spans().remove("max_event_age"));
    let kept = ledger.as_ref().and_then(|section| section.spans().remove("retention"));
    let policy: Policy = policy.and_then(|section| section.read(reporter)).unwrap_or_default();
    let ledger: LedgerSettings = ledger.and_then(|section| section.read(reporter)).unwrap_or_default();
    if policy.max_event_age >= ledger.retention {
        let (age_text, kept_text) = (duration::days(policy.max_event_age), duration::days(ledger.retention));
        let message = format!(
            "`policy.max_event_age` ({age_text}) must be less than `ledger.retention` ({kept_text}): an old event could              otherwise be taken for a new one after its record expired"
        );
        reporter.add(age.or(kept), message);
    }
    (policy, ledger)
}

/// Refuses a source that covers no provider: its departures would be reported as done while nothing was looked at.
fn check_coverage(sources: &BTreeMap<String, Source>, providers: &[ProviderConfig], reporter: &mut Reporter<'_>) {
    // While something else is wrong, a provider may be missing for that alone.
    if !reporter.diagnostics.is_empty() {
        return;
    }
    for source in sources.values().filter(|source| !providers.iter().any(|provider| source.covers(&provider.name))) {
        reporter.add(None, format!("`sources.{}` covers no provider that is enabled", source.name));
    }
}

/// Reads the sources. Returns all their names as well, of those with errors, too.
fn sources(
    root: &mut Section<'_>,
    providers: &[String],
    reporter: &mut Reporter<'_>,
) -> (BTreeSet<String>, BTreeMap<String, Source>) {
    let (mut names, mut sources) = (BTreeSet::new(), BTreeMap::new());
    let section = root.table_named("sources", reporter);
    for (name, section) in section.map(|section| section.tables(reporter)).unwrap_or_default() {
        check_name(&name, &section, reporter);
        names.insert(name.clone());
        if let Some(source) = Source::read(&name, section, providers, reporter) {
            sources.insert(name, source);
        }
    }
    if sources.is_empty() && reporter.diagnostics.is_empty() {
        reporter.add(None, "no source is configured: add a [sources.NAME] table");
    }
    (names, sources)
}

fn providers(
    root: &mut Section<'_>,
    names: &BTreeSet<String>,
    reporter: &mut Reporter<'_>,
) -> Vec<ProviderConfig> {
    let mut providers = Vec::new();
    let section = root.table_named("providers", reporter);
    for (name, section) in section.map(|section| section.tables(reporter)).unwrap_or_default() {
        check_name(&name, &section, reporter);
        providers.extend(provider(name, section, names, reporter));
    }
    // Without a provider every departure would be reported as done while nothing was looked at.
    if providers.is_empty() && reporter.diagnostics.is_empty() {
        reporter.add(None, "no provider is configured and enabled: add a [providers.NAME] table");
    }
    providers.sort_by(|a, b| a.name.cmp(&b.name));
    providers
}

fn provider(
    name: String,
    mut own: Section<'_>,
    names: &BTreeSet<String>,
    reporter: &mut Reporter<'_>,
) -> Option<ProviderConfig> {
    let span = own.table.span();
    let [canary_at, match_at, sources_at] = ["canary", "match", "sources"].map(|key| own.key_span(key));
    let section = own.name.clone();
    let common: Option<Common> = own.split(&COMMON).read(reporter);
    let kind = own.kind(reporter)?;
    let Some(kind) = Kind::named(&kind) else {
        let known: Vec<_> = crate::providers::KINDS.iter().map(|kind| kind.name).collect();
        let suggestion = nearest::suggestion(&kind, &known);
        reporter.add(Some(span), format!("`{}`: unknown kind `{kind}`: {suggestion}", own.name));
        return None;
    };
    let settings = kind.configure(own, reporter);
    if canary_at.is_some() && !kind.looks_up {
        let message = format!("`{section}`: `canary` needs a look-up, and {} has none: take it out", kind.name);
        reporter.add(canary_at, message);
    }
    let (common, settings) = (common?, settings?);
    let known_by = settings.known_by();
    let sources = sources_of_ids(known_by, common.sources, names).unwrap_or_else(|message| {
        reporter.add(sources_at.or(match_at), format!("`{section}`: {message}"));
        BTreeSet::new()
    });
    let config = ProviderConfig {
        secret: common.secret.unwrap_or_else(|| format!("offboard/providers/{name}")),
        name,
        kind,
        base_url: common.base_url,
        limits: Limits { timeout: common.timeout, attempts: common.attempts.get() },
        confirm: common.confirm,
        canary: common.canary.map(|Canary(email)| email),
        sources,
        settings,
    };
    common.enabled.then_some(config)
}

/// Returns the sources whose external ids a provider knows. Two sources may number people independently.
fn sources_of_ids(
    known_by: KnownBy,
    given: Option<Vec<String>>,
    names: &BTreeSet<String>,
) -> Result<BTreeSet<String>, String> {
    let known = || names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    match given {
        Some(_) if known_by == KnownBy::Email => Err("`sources` goes with `match = \"external_id\"` only".to_owned()),
        Some(given) if given.is_empty() => Err("`sources` must name at least one source".to_owned()),
        Some(given) => match given.iter().find(|name| !names.contains(*name)) {
            Some(name) => Err(format!("`sources`: unknown source `{name}`: expected one of {}", known())),
            None => Ok(given.into_iter().collect()),
        },
        None if known_by == KnownBy::ExternalId && names.len() > 1 => {
            let message = "`match = \"external_id\"` needs `sources`, the sources whose ids the product knows, of";
            Err(format!("{message} {}", known()))
        }
        None if known_by == KnownBy::ExternalId => Ok(names.clone()),
        None => Ok(BTreeSet::new()),
    }
}

/// Names stand in paths, ids and log lines.
fn check_name(name: &str, section: &Section<'_>, reporter: &mut Reporter<'_>) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        let message = format!("`{}`: a name has 1 to 64 characters of a-z, 0-9, - and _", section.name);
        reporter.add(Some(section.table.span()), message);
    }
}

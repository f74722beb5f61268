//! The configuration: `offboard.toml`. Read once at start; every error in it is reported, not only the first.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::Deserialize;
use toml::de::DeTable;

use crate::{
    settings::{Reporter, Section, fields::known_keys},
    source::{KeySource, Source},
};

mod notify;
mod policy;
mod provider;

pub use crate::settings::{BaseUrl, Diagnostics, duration_in_words, suggestion};
pub use notify::NotifySettings;
pub use policy::{Domain, LedgerSettings, MaxDepartures, Mode, Pattern, Policy};
pub(crate) use provider::COMMON as PROVIDER_KEYS;
pub use provider::ProviderConfig;

/// Everything that `offboard.toml` says.
#[derive(Debug)]
pub struct Config {
    /// Limits on removals.
    pub policy: Policy,
    /// The wire.
    pub http: HttpSettings,
    /// Retention of records.
    pub ledger: LedgerSettings,
    /// Notifications.
    pub notify: NotifySettings,
    /// Sources of departures, by name.
    pub sources: BTreeMap<String, Source>,
    /// Providers that are enabled, sorted by name.
    pub providers: Vec<ProviderConfig>,
}

/// `[http]`: the wire.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
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

impl Config {
    /// Reads the file at `path`. `mode` overrides `policy.mode`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path, mode: Option<&str>) -> Result<Self, Diagnostics> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Diagnostics::one(format!("cannot read the configuration {}: {error}", path.display())))?;
        let mut config = Self::read(&text, mode, path.parent())?;
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
        Self::read(text, mode, None)
    }

    /// Reads a configuration's text. Kinds of providers may be files in the folder `providers` of `folder`.
    fn read(text: &str, mode: Option<&str>, folder: Option<&Path>) -> Result<Self, Diagnostics> {
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
        let notify = root.table_named("notify", reporter).and_then(|section| section.read(reporter));
        let provider_names = root.names_in("providers");
        let (source_names, sources) = sources(&mut root, &provider_names, reporter);
        let providers = provider::read_all(&mut root, &source_names, folder, reporter);
        check_coverage(&sources, &providers, reporter);
        root.refuse_the_rest(reporter);
        match mode.map(Mode::from_str).transpose() {
            Ok(mode) => policy.mode = mode.unwrap_or(policy.mode),
            Err(message) => reporter.add(None, format!("OFFBOARD_MODE: {message}")),
        }
        let (http, notify) = (http.unwrap_or_default(), notify.unwrap_or_default());
        let diagnostics = std::mem::take(&mut reporter.diagnostics).sorted();
        if diagnostics.is_empty() {
            Ok(Self { policy, http, ledger, notify, sources, providers })
        } else {
            Err(diagnostics)
        }
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

    /// Returns whether any provider or key set is beyond this machine, where a proxy may be needed.
    pub fn calls_out(&self) -> bool {
        let called = self.providers.iter().filter(|provider| !provider.kind.is_manual());
        let providers = called.map(|provider| provider.base_url.as_ref());
        !providers.chain(self.key_sets().map(Some)).all(|url| url.is_some_and(BaseUrl::is_loopback))
    }

    /// The URLs of the key sets of all sources.
    pub(crate) fn key_sets(&self) -> impl Iterator<Item = &BaseUrl> {
        self.sources.values().filter_map(|source| match &source.keys {
            KeySource::Set(url) => Some(url),
            KeySource::Secret(_) | KeySource::Partner(_) => None,
        })
    }

    /// The names of all secrets that are needed.
    pub fn secret_names(&self) -> Vec<String> {
        let sources = self.sources.values().filter_map(|source| source.secret().map(str::to_owned));
        let mut names: Vec<_> =
            sources.chain(self.providers.iter().filter_map(|provider| provider.secret.clone())).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Returns the keys of each table of fixed keys in `offboard.toml`, by the table's path; `*` stands for a name. A `kind` and
/// the settings of a provider's kind are not among them.
pub fn keys() -> BTreeMap<&'static str, &'static [&'static str]> {
    let mut keys = crate::source::keys();
    keys.extend([
        ("policy", known_keys::<Policy>(&[])),
        ("policy.max_departures", known_keys::<MaxDepartures>(&[])),
        ("http", known_keys::<HttpSettings>(&[])),
        ("ledger", known_keys::<LedgerSettings>(&[])),
        ("notify", known_keys::<NotifySettings>(&[])),
        ("providers.*", provider::keys()),
    ]);
    keys
}

/// Reads `[policy]` and `[ledger]`, and whether they go together: a departure that is still acted on must have its record.
fn policy_and_ledger(root: &mut Section<'_>, reporter: &mut Reporter<'_>) -> (Policy, LedgerSettings) {
    let (policy, ledger) = (root.table_named("policy", reporter), root.table_named("ledger", reporter));
    let age = policy.as_ref().and_then(|section| section.spans().remove("max_event_age"));
    let kept = ledger.as_ref().and_then(|section| section.spans().remove("retention"));
    let policy: Policy = policy.and_then(|section| section.read(reporter)).unwrap_or_default();
    let ledger: LedgerSettings = ledger.and_then(|section| section.read(reporter)).unwrap_or_default();
    if policy.max_event_age >= ledger.retention {
        let (age_text, kept_text) = (duration_in_words(policy.max_event_age), duration_in_words(ledger.retention));
        let message = format!(
            "`policy.max_event_age` ({age_text}) must be less than `ledger.retention` ({kept_text}): an old event could \
             otherwise be taken for a new one after its record expired"
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
            check_partner(&source, &sources, reporter);
            sources.insert(name, source);
        }
    }
    if sources.is_empty() && reporter.diagnostics.is_empty() {
        reporter.add(None, "no source is configured: add a [sources.NAME] table");
    }
    (names, sources)
}

/// Refuses a second source of one partner event source: whose an event is must be certain.
fn check_partner(source: &Source, before: &BTreeMap<String, Source>, reporter: &mut Reporter<'_>) {
    let same = |other: &&Source| source.partner().is_some() && other.partner() == source.partner();
    if let Some(other) = before.values().find(same) {
        let message = format!("`sources.{}` and `sources.{}` have the same `event_source`", other.name, source.name);
        reporter.add(None, message);
    }
}

/// Checks a name, which becomes part of paths, ids and log lines.
fn check_name(name: &str, section: &Section<'_>, reporter: &mut Reporter<'_>) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        let message = format!("`{}`: a name has 1 to 64 characters of a-z, 0-9, - and _", section.name);
        reporter.add(Some(section.table.span()), message);
    }
}

#[cfg(test)]
mod tests;

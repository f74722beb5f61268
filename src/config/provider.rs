//! `[providers.NAME]`: the keys that every provider takes.

use std::{collections::BTreeSet, num::NonZeroU32, path::Path, time::Duration};

use serde::Deserialize;

use super::{BaseUrl, Reporter, Section, check_name, duration, nearest};
use crate::{
    outbound::Limits,
    person::{Email, KnownBy},
    providers::{Configured, ProviderKind},
};

/// `[providers.NAME]`: one product.
#[derive(Debug)]
pub struct ProviderConfig {
    /// The name in the configuration and in reports.
    pub name: String,
    /// What it is.
    pub kind: &'static ProviderKind,
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

/// The keys that every provider takes.
pub(crate) const COMMON: [&str; 8] =
    ["secret", "base_url", "timeout", "attempts", "confirm", "enabled", "canary", "sources"];

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

/// Reads `[providers]`. `names` are those of all sources.
pub(super) fn read_all(
    root: &mut Section<'_>,
    names: &BTreeSet<String>,
    folder: Option<&Path>,
    reporter: &mut Reporter<'_>,
) -> Vec<ProviderConfig> {
    let mut providers = Vec::new();
    let section = root.table_named("providers", reporter);
    for (name, section) in section.map(|section| section.tables(reporter)).unwrap_or_default() {
        check_name(&name, &section, reporter);
        providers.extend(provider(name, section, names, folder, reporter));
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
    folder: Option<&Path>,
    reporter: &mut Reporter<'_>,
) -> Option<ProviderConfig> {
    let span = own.table.span();
    let [canary_at, match_at, sources_at] = ["canary", "match", "sources"].map(|key| own.key_span(key));
    let section = own.name.clone();
    let common: Option<Common> = own.split(&COMMON).read(reporter);
    let kind = own.kind(reporter)?;
    let kind = kind_named(&kind, folder, &own, reporter)?;
    let settings = kind.configure(own, reporter);
    if canary_at.is_some() && !kind.looks_up {
        let message = format!("`{section}`: `canary` needs a look-up, and {} has none: take it out", kind.name);
        reporter.add(canary_at, message);
    }
    let (common, settings) = (common?, settings?);
    for need in kind.needs {
        let given = if *need == "canary" { common.canary.is_some() } else { common.base_url.is_some() };
        if !given {
            let message = format!("`{section}`: `{need}` is missing: {} needs it", kind.name);
            reporter.add(Some(span.clone()), message);
        }
    }
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

/// The kind of this name; what is wrong with the name, or with the file of the kind, is reported.
fn kind_named(
    name: &str,
    folder: Option<&Path>,
    own: &Section<'_>,
    reporter: &mut Reporter<'_>,
) -> Option<&'static ProviderKind> {
    let span = own.table.span();
    match ProviderKind::known(name, folder) {
        Ok(Some(kind)) => return Some(kind),
        Ok(None) => {
            let suggestion = nearest::suggestion(name, &ProviderKind::names());
            reporter.add(Some(span), format!("`{}`: unknown kind `{name}`: {suggestion}", own.name));
        }
        Err(faults) => {
            for fault in faults.0 {
                reporter.add(Some(span.clone()), format!("`{}`: {}", own.name, fault.message));
            }
        }
    }
    None
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

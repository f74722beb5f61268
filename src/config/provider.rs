//! `[providers.NAME]`: the keys that every provider takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    ops::Range,
    path::Path,
    time::Duration,
};

use serde::Deserialize;

use super::check_name;
use crate::{
    outbound::Limits,
    person::{Email, KnownBy},
    providers::{Action, Product, ProviderKind},
    settings::{BaseUrl, Reporter, Section, duration, fields::known_keys, suggestion},
};

/// `[providers.NAME]`: one product.
#[derive(Debug)]
pub struct ProviderConfig {
    /// The name in the configuration and in reports.
    pub name: String,
    /// Kind of product.
    pub kind: &'static ProviderKind,
    /// The name of its secret; `None` if nothing is called.
    pub secret: Option<String>,
    /// Endpoint, if not the vendor's own.
    pub base_url: Option<BaseUrl>,
    /// Bounds of one call.
    pub limits: Limits,
    /// Whether a deletion is proven by a second look.
    pub confirm: bool,
    /// An account that is always there: unless a look-up shows it, no account is called absent.
    pub canary: Option<Email>,
    /// The sources whose external ids the product knows, where it knows people by these.
    pub sources: BTreeSet<String>,
    /// What is done to an account.
    pub action: Action,
    /// The keys that only this kind has.
    pub settings: Box<dyn Product>,
}

/// The keys that every provider takes.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
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
    action: Option<Action>,
}

/// Returns the keys that every provider takes, as they are read.
pub(super) fn keys() -> &'static [&'static str] {
    known_keys::<Common>(&[])
}

/// The keys that every provider takes.
pub(crate) const COMMON: [&str; 9] =
    ["secret", "base_url", "timeout", "attempts", "confirm", "enabled", "canary", "sources", "action"];

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
            action: None,
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
    let [canary_at, match_at, sources_at, action_at] =
        ["canary", "match", "sources", "action"].map(|key| own.key_span(key));
    let section = own.name.clone();
    let given = own.spans();
    let common: Option<Common> = own.split(&COMMON).read(reporter);
    let kind = own.kind(reporter)?;
    let kind = kind_named(&kind, folder, &own, reporter)?;
    let action = action(kind, common.as_ref().and_then(|common| common.action)).unwrap_or_else(|message| {
        reporter.add(action_at, format!("`{section}.action`: {message}"));
        None
    });
    refuse_without_effect(kind, &given, &section, reporter);
    let settings = kind.configure(action.unwrap_or(Action::Delete), own, reporter);
    if canary_at.is_some() && !kind.looks_up && !kind.is_manual() {
        let message = format!("`{section}`: `canary` needs a look-up, and {} has none: take it out", kind.name);
        reporter.add(canary_at, message);
    }
    let (common, settings, action) = (common?, settings?, action?);
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
    let secret = common.secret.or_else(|| Some(format!("offboard/providers/{name}")));
    let config = ProviderConfig {
        secret: secret.filter(|_| !kind.is_manual()),
        name,
        kind,
        base_url: common.base_url,
        limits: Limits { timeout: common.timeout, attempts: common.attempts.get() },
        confirm: common.confirm,
        canary: common.canary.map(|Canary(email)| email),
        sources,
        action,
        settings,
    };
    common.enabled.then_some(config)
}

/// Refuses the keys of a call where nothing is called.
fn refuse_without_effect(
    kind: &ProviderKind,
    given: &BTreeMap<String, Range<usize>>,
    section: &str,
    reporter: &mut Reporter<'_>,
) {
    let has_effect = |key: &str| !kind.is_manual() || ["enabled", "action"].contains(&key);
    for key in COMMON.into_iter().filter(|key| !has_effect(key)) {
        if let Some(span) = given.get(key) {
            let message =
                format!("`{section}`: `{key}` has no effect, because {} calls nothing: take it out", kind.name);
            reporter.add(Some(span.clone()), message);
        }
    }
}

/// Returns what is done to an account: what was given, or the first of the kind's actions.
///
/// # Errors
/// If the kind does not have the action.
fn action(kind: &ProviderKind, given: Option<Action>) -> Result<Option<Action>, String> {
    let names = || kind.actions.iter().map(|action| action.name()).collect::<Vec<_>>().join(", ");
    match given {
        Some(given) if !kind.actions.contains(&given) => {
            Err(format!("{} cannot {}: expected {}", kind.name, given.name(), names()))
        }
        given => Ok(given.or(kind.actions.first().copied())),
    }
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
            let suggestion = suggestion(name, &ProviderKind::names());
            reporter.add(Some(span), format!("`{}`: unknown kind `{name}`: {suggestion}", own.name));
        }
        Err(errors) => {
            for error in errors.0 {
                reporter.add(Some(span.clone()), format!("`{}`: {}", own.name, error.message));
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
            Some(name) => {
                let known: Vec<_> = names.iter().map(String::as_str).collect();
                Err(format!("`sources`: unknown source `{name}`: {}", suggestion(name, &known)))
            }
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

//! `offboard plan`: which accounts of a person would be removed, and where.

use std::{collections::BTreeMap, process::ExitCode};

use clap::Args;
use offboard::{
    config::ProviderConfig,
    ledger::ProtectedAddresses,
    outcome::{AccountResult, Outcome, ProviderResult, Status},
    person::{Email, Person},
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    configured::{address, look_up},
    protect,
    stack::Stack,
};
use offboard_sandbox::screen::{Screen, print, wrapped};

/// The options of `offboard plan`.
#[derive(Args)]
#[command(
    after_help = "Nothing is removed, whatever the configuration's mode. Only what is typed is looked up, not what the identity \
                  map adds. With a stack, the list of `offboard protect`\ncounts as well. Exit code 1: at a provider, a person \
                  would have to act."
)]
pub struct Plan {
    /// The person's e-mail address
    #[arg(value_parser = address)]
    email: Email,
    /// The person's id in the organization, for providers with match = "external_id"
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    #[command(flatten)]
    stack: Stack,
}

impl Plan {
    /// Looks the person up, and reports what would be done.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let mut config = self.stack.configured.load()?;
        let screen = Screen::new(self.stack.configured.json);
        screen.line(&format!("Looking for {} at {} providers …", self.email, config.providers.len()));
        let person =
            Person { external_id: self.external_id.clone(), email: Some(self.email.clone()), ..Person::default() };
        let removals: Removals = config.providers.iter().map(Removal::of).collect();
        let connected = if self.stack.is_named() { Some(self.stack.connect().await?) } else { None };
        let protected = match &connected {
            Some(connected) => connected.ledger.protected().await?.at(OffsetDateTime::now_utc()),
            None => ProtectedAddresses::default(),
        };
        let protecting = protect::protecting(&config.policy, connected.as_ref(), &self.email.canonical()).await?;
        let entries = look_up(&mut config, &person, protected).await?;
        let worst = entries.iter().map(|entry| entry.worst.outcome.status()).max().unwrap_or(Status::Incomplete);
        let worst = if protecting.is_empty() { worst } else { worst.max(Status::NeedsAttention) };
        // A product without a look-up plans with a reason: no account was found there.
        let found = |result: &AccountResult| result.outcome == Outcome::Planned && result.reason.is_none();
        let found = entries.iter().filter(|entry| found(&entry.worst)).count();
        let rows = entries.iter().map(|entry| document(&removals, entry)).collect::<Result<Vec<_>, _>>()?;
        screen.show(&screen.outcomes(&rows));
        explain(&screen, &removals, &entries, &protecting);
        let mismatches =
            if worst > Status::Planned { vec![format!("the departure would be {worst}")] } else { Vec::new() };
        screen.verdict(
            &mismatches,
            &format!("found at {found} of {} providers; nothing was removed", entries.len()),
            "not everywhere",
        );
        if self.stack.configured.json {
            print(&json!({"status": worst, "protected_by": protecting, "providers": rows}).to_string());
        }
        Ok(ExitCode::from(u8::from(!mismatches.is_empty())))
    }
}

/// Says why no account would be removed, or what removals would do.
fn explain(screen: &Screen, removals: &Removals, entries: &[ProviderResult], protecting: &[String]) {
    if !protecting.is_empty() {
        screen.section("Protected: no account would be removed", protecting.to_vec());
        return screen.line("");
    }
    let actions = entries.iter().filter_map(|entry| action(removals, entry));
    let actions: Vec<_> = actions.flat_map(|text| wrapped(&text, usize::from(screen.width) - 2)).collect();
    if !actions.is_empty() {
        screen.section("What a removal would do", actions);
        screen.line("");
    }
}

/// What a removal does, by the provider's name.
type Removals = BTreeMap<String, Removal>;

/// What a removal does at a provider.
struct Removal {
    action: &'static str,
    effect: &'static str,
}

impl Removal {
    fn of(provider: &ProviderConfig) -> (String, Self) {
        (provider.name.clone(), Self { action: provider.action.name(), effect: provider.kind.effect })
    }
}

/// Returns what a removal does at the provider of a result, if one would be tried.
fn planned<'a>(removals: &'a Removals, entry: &ProviderResult) -> Option<&'a Removal> {
    let is_planned = entry.all().any(|account| account.outcome == Outcome::Planned);
    removals.get(&entry.provider).filter(|_| is_planned)
}

/// Returns what would be done at a provider, and to which accounts.
fn action(removals: &Removals, entry: &ProviderResult) -> Option<String> {
    let Removal { action, effect } = planned(removals, entry)?;
    let accounts = if entry.accounts.is_empty() { std::slice::from_ref(&entry.worst) } else { &entry.accounts };
    let accounts = accounts.iter().filter(|account| account.outcome == Outcome::Planned).filter_map(name);
    let accounts = accounts.collect::<Vec<_>>().join(", ");
    let accounts = if accounts.is_empty() { String::new() } else { format!(" {accounts}") };
    Some(format!("{}: {action}{accounts}. {effect}", entry.provider))
}

/// Returns an account's id, unless that is an e-mail address.
fn name(account: &AccountResult) -> Option<String> {
    let id = account.account_id.as_ref().filter(|id| !id.contains('@'))?;
    Some(account.scope.as_ref().map_or_else(|| id.clone(), |scope| format!("{id} ({scope})")))
}

fn document(removals: &Removals, entry: &ProviderResult) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(entry)?;
    if let Some(Removal { action, effect }) = planned(removals, entry) {
        document["action"] = (*action).into();
        document["effect"] = (*effect).into();
    }
    Ok(document)
}

//! `offboard protect`, `unprotect` and `protected`: whom nobody removes, without a deployment.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use offboard::{
    config::{Config, Pattern, Policy},
    evidence::describe_protection,
    ledger::{Protection, ProtectionAction},
    operator::Note,
    person::Email,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    configured::address,
    stack::{Connected, Stack, wrong_usage},
    timestamps,
};
use offboard_sandbox::screen::{Screen, print};

/// The options of `offboard protect`.
#[derive(Args)]
#[command(
    after_help = "A departure of a protected person is recorded, and needs a person; no release overrides it. Every e-mail \
                  address that is known\nof a person counts, current or former, and an account's own. It is seen within 5 \
                  seconds; a removal that has begun is completed.\nGiven again, reason and end are replaced. Only a hash and \
                  the masked e-mail address are stored: say in the reason where\nthe case is kept. Exit code 1: the list is \
                  full."
)]
pub struct Protect {
    /// The person's e-mail address, or *@domain for everybody of a domain
    #[arg(value_name = "EMAIL|*@DOMAIN", value_parser = pattern)]
    who: Pattern,
    /// Why, and where that can be seen: a case number, for example. E-mail addresses in it are masked
    #[arg(long, value_name = "TEXT", value_parser = Note::parse)]
    reason: Note,
    /// End of the protection; a date's whole day is in it [default: `offboard unprotect`]
    #[arg(long, value_name = "DATE", value_parser = timestamps::end)]
    until: Option<OffsetDateTime>,
    #[command(flatten)]
    stack: Stack,
}

/// The options of `offboard unprotect`.
#[derive(Args)]
#[command(
    after_help = "What the protection left does not continue by itself: `offboard departures replay` has it judged again.\nExit \
                  code 1: it is not on the list."
)]
pub struct Unprotect {
    /// What was protected: an e-mail address, or *@domain
    #[arg(value_name = "EMAIL|*@DOMAIN", value_parser = pattern)]
    who: Pattern,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = Note::parse)]
    reason: Option<Note>,
    #[command(flatten)]
    stack: Stack,
}

/// The options of `offboard protected`.
#[derive(Args)]
#[command(after_help = "`evidence` has every decision of a period, also those that were taken back.")]
pub struct Protected {
    /// List only what protects this e-mail address
    #[arg(value_parser = address)]
    email: Option<Email>,
    #[command(flatten)]
    stack: Stack,
}

impl Protect {
    /// Puts an address on the list.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let now = OffsetDateTime::now_utc();
        if self.until.is_some_and(|until| until <= now) {
            wrong_usage("--until is not ahead: give the last day, like 2027-01-31");
        }
        let action = ProtectionAction::Protect { until: self.until };
        let decision = decide(&self.stack, &self.who, action, Some(&self.reason)).await?;
        if self.stack.configured.json {
            print(&document(&decision, true).to_string());
            return Ok(ExitCode::SUCCESS);
        }
        let meaning = "No account of theirs is removed; their departures are recorded and need a person.";
        Screen::new(false).line(&format!("{}\n{meaning}", describe_protection(&decision)));
        Ok(ExitCode::SUCCESS)
    }
}

impl Unprotect {
    /// Takes an address off the list.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let decision = decide(&self.stack, &self.who, ProtectionAction::Unprotect, self.reason.as_ref()).await?;
        let still = self.still().await?;
        if self.stack.configured.json {
            let mut shown = document(&decision, false);
            shown["still_protected_by"] = json!(still);
            print(&shown.to_string());
            return Ok(ExitCode::SUCCESS);
        }
        let next = match still.as_slice() {
            [] => {
                "What it left is judged again after `offboard departures replay --all --reason protected`.".to_owned()
            }
            others => format!("Still protected: {}", others.join("; ")),
        };
        Screen::new(false).line(&format!("{}\n{next}", describe_protection(&decision)));
        Ok(ExitCode::SUCCESS)
    }

    /// What else protects the address.
    async fn still(&self) -> anyhow::Result<Vec<String>> {
        let (config, connected) = (self.stack.configured.load()?, self.stack.connect().await?);
        protecting(&config.policy, Some(&connected), &self.who.canonical()).await
    }
}

impl Protected {
    /// Lists what is protected.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let (config, connected) = (self.stack.configured.load()?, self.stack.connect().await?);
        let (email, now) = (self.email.as_ref().map(Email::canonical), OffsetDateTime::now_utc());
        let listed = connected.ledger.protections(email.as_deref(), now).await?;
        let configured = configured(&config, email.as_deref());
        if self.stack.configured.json {
            let listed: Vec<_> = listed.iter().map(|(decision, in_force)| document(decision, *in_force)).collect();
            print(&json!({"protected": listed, "configured": configured}).to_string());
            return Ok(ExitCode::SUCCESS);
        }
        let screen = Screen::new(false);
        let mut table = screen.table(["PROTECTED", "SINCE (UTC)", "UNTIL (UTC)", "BY", "REASON"]);
        table.add_rows(configured.iter().map(|pattern| row([pattern, "", "", "policy.protected", ""])));
        table.add_rows(listed.iter().map(|(decision, in_force)| {
            let until = decision.ends().map_or_else(String::new, timestamps::table);
            let until = if *in_force { until } else { format!("{until} (ended)") };
            let reason = decision.reason.as_deref().unwrap_or_default();
            row([&decision.address, &timestamps::table(decision.at), &until, &decision.who, reason])
        }));
        if table.is_empty() {
            let whom = self.email.as_ref().map_or_else(|| "nobody".to_owned(), Email::masked);
            screen.line(&format!("{whom} is {}protected", if self.email.is_some() { "not " } else { "" }));
        } else {
            screen.show(&table);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Carries a decision out, in the caller's name.
async fn decide(
    stack: &Stack,
    pattern: &Pattern,
    action: ProtectionAction,
    reason: Option<&Note>,
) -> anyhow::Result<Protection> {
    let config = stack.configured.load()?;
    let connected = stack.connect().await?;
    let who = connected.who().await?;
    let reason = reason.map(|reason| reason.as_str().to_owned());
    let decision = Protection { action, address: pattern.masked(), at: OffsetDateTime::now_utc(), who, reason };
    let decided = connected.ledger.decide_protection(pattern, &decision, config.ledger.retention).await;
    let on_list = config.policy.protected.contains(pattern);
    decided.map_err(|why| {
        let also = if on_list { "; it is on the list policy.protected of the configuration" } else { "" };
        anyhow!("{}: {why}{also}", pattern.masked())
    })?;
    Ok(decision)
}

/// Describes what protects an address: the configured list, and the decisions of operators.
pub async fn protecting(policy: &Policy, connected: Option<&Connected>, address: &str) -> anyhow::Result<Vec<String>> {
    let configured = policy.protects(address).then(|| "on the list policy.protected of the configuration".to_owned());
    let listed = match connected {
        Some(connected) => connected.ledger.protections(Some(address), OffsetDateTime::now_utc()).await?,
        None => Vec::new(),
    };
    let in_force = listed.iter().filter(|(_, in_force)| *in_force).map(|(decision, _)| describe_protection(decision));
    Ok(configured.into_iter().chain(in_force).collect())
}

fn document(decision: &Protection, in_force: bool) -> Value {
    let mut document = json!(decision);
    document["in_force"] = in_force.into();
    document
}

/// The entries of the configured list, masked; those that cover an address, if one is given.
fn configured(config: &Config, address: Option<&str>) -> Vec<String> {
    let covering = address.map(Pattern::covering);
    let is_meant = |pattern: &&Pattern| covering.as_ref().is_none_or(|all| all.contains(&pattern.canonical()));
    config.policy.protected.iter().filter(is_meant).map(Pattern::masked).collect()
}

fn row(cells: [&str; 5]) -> [String; 5] {
    cells.map(str::to_owned)
}

fn pattern(text: &str) -> Result<Pattern, &'static str> {
    Pattern::try_from(text.to_owned()).map_err(|_| "neither an e-mail address nor *@domain")
}

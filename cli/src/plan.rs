//! `offboard plan`: which accounts of a person would be removed, and where.

use std::process::ExitCode;

use clap::Args;
use offboard::{
    outcome::{AccountResult, Outcome, Status},
    person::{Email, Person},
};
use serde_json::json;

use crate::configured::{Configured, address, look_up};
use offboard_sandbox::screen::{Screen, print};

/// The options of `offboard plan`.
#[derive(Args)]
#[command(
    after_help = "Nothing is removed, whatever the configuration's mode. Only what is typed is looked up, not what the identity \
                  map adds.\nExit code 1: at a provider, a person would have to act."
)]
pub struct Plan {
    /// The person's e-mail address
    #[arg(value_parser = address)]
    email: Email,
    /// The person's id in the organization, for providers with match = "external_id"
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    #[command(flatten)]
    configured: Configured,
}

impl Plan {
    /// Looks the person up, and reports what would be done.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let mut config = self.configured.load()?;
        let screen = Screen::new(self.configured.json);
        screen.line(&format!("Looking for {} at {} providers …", self.email, config.providers.len()));
        let person =
            Person { external_id: self.external_id.clone(), email: Some(self.email.clone()), ..Person::default() };
        let entries = look_up(&mut config, &person).await?;
        let worst = entries.iter().map(|entry| entry.worst.outcome.status()).max().unwrap_or(Status::Incomplete);
        // A product without a look-up plans with a reason: no account was found there.
        let found = |finding: &AccountResult| finding.outcome == Outcome::Planned && finding.reason.is_none();
        let found = entries.iter().filter(|entry| found(&entry.worst)).count();
        let rows = serde_json::to_value(&entries)?;
        screen.show(&screen.outcomes(rows.as_array().map(Vec::as_slice).unwrap_or_default()));
        let findings =
            if worst > Status::Planned { vec![format!("the departure would be {worst}")] } else { Vec::new() };
        screen.verdict(
            &findings,
            &format!("found at {found} of {} providers; nothing was removed", entries.len()),
            "not everywhere",
        );
        if self.configured.json {
            print(&json!({"status": worst, "providers": rows}).to_string());
        }
        Ok(ExitCode::from(u8::from(!findings.is_empty())))
    }
}

//! `offboard check`: whether the configuration, the secrets, the ledger and the credentials would work.

mod configuration;
mod ledger;
mod secrets;

use std::{fmt, process::ExitCode};

use clap::Args;
use offboard::config::Config;
use serde::Serialize;

use crate::stack::Stack;
use offboard_sandbox::screen::{Screen, plural, print};

/// The options of `offboard check`.
#[derive(Args)]
#[command(
    after_help = "Checks the configuration, then reads each secret and checks its shape; no value is shown. With a stack, also \
                  the ledger.\nExit code 1: something would fail. A warning is not a failure."
)]
pub struct Check {
    /// Check the configuration alone, without any network access
    #[arg(long, conflicts_with = "live")]
    offline: bool,
    /// Also prove every provider's credentials and canary by a look-up that finds no account
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    stack: Stack,
}

/// The result of one check.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct CheckResult {
    what: String,
    level: Level,
    note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    Warning,
    Error,
}

impl CheckResult {
    fn new(what: impl Into<String>, level: Level, note: impl Into<String>) -> Self {
        Self { what: what.into(), level, note: note.into() }
    }

    fn ok(what: impl Into<String>, note: impl Into<String>) -> Self {
        Self::new(what, Level::Ok, note)
    }

    fn warning(what: impl Into<String>, note: impl Into<String>) -> Self {
        Self::new(what, Level::Warning, note)
    }

    fn error(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::new(what, Level::Error, why.to_string())
    }
}

impl Check {
    /// Checks, and reports.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let mut results = Vec::new();
        match self.check(&mut results).await {
            // A machine that asked for JSON gets it, above all where something is wrong.
            Err(why) if self.stack.configured.json => {
                let what = if results.is_empty() { "configuration" } else { "secret store" };
                results.push(CheckResult::error(what, format!("{why:#}")));
            }
            ended => ended?,
        }
        self.show(&results)
    }

    async fn check(&self, results: &mut Vec<CheckResult>) -> anyhow::Result<()> {
        let mut config: Config = self.stack.configured.load()?;
        results.extend(configuration::check(&config));
        results.extend(self.own_kinds());
        if self.offline {
            return Ok(());
        }
        match self.stack.is_named() {
            true => results.extend(ledger::check(&self.stack, &config.policy).await),
            false => results.extend(configuration::without_ledger(&config)),
        }
        results.extend(secrets::check(&mut config, self.live).await?);
        Ok(())
    }

    /// Checks the files of kinds beside the configuration, also those that no provider uses yet.
    fn own_kinds(&self) -> Option<CheckResult> {
        match self.stack.configured.own_kinds() {
            Ok(kinds) if kinds.is_empty() => None,
            Ok(kinds) => {
                let names = kinds.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
                Some(CheckResult::ok("your own kinds", names))
            }
            Err(errors) => Some(CheckResult::error("your own kinds", errors)),
        }
    }

    /// Says how much was checked: no more is known to be right.
    fn success(&self) -> String {
        let ledger = if self.stack.is_named() { "" } else { " (--stack checks the ledger as well)" };
        match (self.offline, self.live) {
            (true, _) => "no error in the configuration; nothing else was checked".to_owned(),
            (false, false) => {
                format!("no error in the configuration and the secrets; --live proves the credentials{ledger}")
            }
            (false, true) => format!("no error found{ledger}"),
        }
    }

    fn show(&self, results: &[CheckResult]) -> anyhow::Result<ExitCode> {
        let is_json = self.stack.configured.json;
        let screen = Screen::new(is_json);
        let mut table = screen.table(["", "CHECKED", "FOUND"]);
        table.add_rows(results.iter().map(|result| [mark(result.level), &result.what, &result.note]));
        screen.show(&table);
        let count = |level: Level| results.iter().filter(|result| result.level == level).count();
        let (errors, warnings) = (count(Level::Error), count(Level::Warning));
        let failed = (errors > 0).then(|| format!("{errors} of {} checks", results.len()));
        let warned = if warnings > 0 { format!("; {}", plural(warnings, "warning")) } else { String::new() };
        screen.verdict(failed.as_slice(), &format!("{}{warned}", self.success()), "this would fail");
        if is_json {
            print(&serde_json::to_string(results)?);
        }
        Ok(ExitCode::from(u8::from(errors > 0)))
    }
}

fn mark(level: Level) -> &'static str {
    match level {
        Level::Ok => "✓",
        Level::Warning => "!",
        Level::Error => "✗",
    }
}

//! `offboard pause` and `offboard resume`: the kill switch, without a deployment.

use std::process::ExitCode;

use clap::Args;
use offboard::{ledger::Pause as Stored, person::mask_addresses};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    stack::{Connected, Stack},
    timestamps,
};
use offboard_sandbox::screen::{Screen, print};

/// The options of `offboard pause`.
#[derive(Args)]
#[command(
    after_help = "Departures are still recorded and answered 200; they are held as `paused`, and go on by themselves after \
                  `offboard resume`.\nA removal that has begun is completed; a pause is seen within 5 seconds."
)]
pub struct Pause {
    /// Why, for those who see it in `departures list`, `departures show` and `check`
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    stack: Stack,
}

/// The options of `offboard resume`.
#[derive(Args)]
pub struct Resume {
    #[command(flatten)]
    stack: Stack,
}

impl Pause {
    /// Stops every removal. A pause that is on keeps its time, its operator and its reason.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let connected = self.stack.connect().await?;
        let before = connected.ledger.pause().await?;
        let is_new = before.is_none();
        let pause = match before {
            Some(pause) => pause,
            None => {
                let who = connected.who().await?;
                let pause = Stored { at: OffsetDateTime::now_utc(), who, reason: self.reason.clone() };
                connected.ledger.set_pause(Some(&pause)).await?;
                pause
            }
        };
        if self.stack.configured.json {
            print(&json!({"paused": true, "changed": is_new, "pause": pause}).to_string());
            return Ok(ExitCode::SUCCESS);
        }
        let already = if is_new { "" } else { "it was on already: " };
        let meaning = "No account is removed until `offboard resume`; departures are recorded and held.";
        Screen::new(false).line(&format!("{already}{}\n{meaning}", describe(&pause)));
        Ok(ExitCode::SUCCESS)
    }
}

impl Resume {
    /// Lets removals go on.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let connected = self.stack.connect().await?;
        let before = connected.ledger.pause().await?;
        if before.is_some() {
            connected.ledger.set_pause(None).await?;
        }
        if self.stack.configured.json {
            print(&json!({"paused": false, "changed": before.is_some(), "pause": before}).to_string());
            return Ok(ExitCode::SUCCESS);
        }
        Screen::new(false).line(&match before {
            Some(pause) => {
                format!(
                    "no longer {}\nDepartures that were held for it alone go on within a minute or so.",
                    describe(&pause)
                )
            }
            None => "it was not paused".to_owned(),
        });
        Ok(ExitCode::SUCCESS)
    }
}

/// Says that the pause is on, if it is.
pub async fn announce(screen: &Screen, connected: &Connected) -> anyhow::Result<()> {
    if let Some(pause) = connected.ledger.pause().await? {
        screen.line(&format!("{}: no account is removed until `offboard resume`\n", describe(&pause)));
    }
    Ok(())
}

/// Describes a pause: its time, operator and reason.
pub fn describe(pause: &Stored) -> String {
    let reason = pause.reason.as_deref().map(|reason| format!(" ({})", mask_addresses(reason)));
    let since = timestamps::table(pause.at);
    format!("paused since {since} UTC by {}{}", pause.who, reason.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn pause_is_described_by_its_time_its_operator_and_its_reason() {
        let mut pause = Stored { at: datetime!(2026-01-31 18:42 UTC), who: "arn:ann".into(), reason: None };
        assert_eq!(describe(&pause), "paused since 2026-01-31 18:42:00 UTC by arn:ann");
        pause.reason = Some("ask lee@example.com".into());
        assert_eq!(describe(&pause), "paused since 2026-01-31 18:42:00 UTC by arn:ann (ask l…@example.com)");
    }
}

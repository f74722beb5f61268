//! `offboard identities`: the identity map: the people behind a source's ids.

mod file;
mod import;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// The options of `offboard identities`.
#[derive(Args)]
#[command(
    after_help = "The identity map grows with each event about a person. People who were there before offboard have had no \
                  event: import them."
)]
pub struct Identities {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Import the people of a source from a CSV file
    Import(import::Import),
    /// Show what is known of one id; e-mail addresses are masked
    Show(show::Show),
}

impl Identities {
    /// Runs the command.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::Import(import) => import.run().await,
            Command::Show(show) => show.run().await,
        }
    }
}

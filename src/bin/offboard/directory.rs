//! `offboard directory`: whom the ids of a source stand for.

mod file;
mod import;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// The options of `offboard directory`.
#[derive(Args)]
#[command(
    after_help = "The directory learns from the created and updated events that a source sends. Whoever was there before sends \
                  none: import them."
)]
pub struct Directory {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Learn the people of a source from a CSV file
    Import(import::Import),
    /// Show what is known of one id; addresses are masked
    Show(show::Show),
}

impl Directory {
    /// Does what is asked.
    pub async fn run(&self) -> Result<ExitCode, String> {
        match &self.command {
            Command::Import(import) => import.run().await,
            Command::Show(show) => show.run().await,
        }
    }
}

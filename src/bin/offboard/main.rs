//! The operator's command line. One file per command.
#![deny(missing_docs)]

mod check;
mod configured;
mod delivery;
mod departures;
mod directory;
mod envelope;
mod evidence;
mod moment;
mod plan;
mod replay;
mod sandbox;
mod screen;
mod send;
mod sources;
mod standins;
mod stored;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Removes a person who left from every SaaS product that single sign-on does not reach
#[derive(Parser)]
#[command(version, after_help = "Exit codes: 0 success, 1 a finding or a failure, 2 wrong usage.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play the whole story on stand-ins: no AWS account, no Docker
    Sandbox(sandbox::Sandbox),
    /// See whether it would work: the configuration, the secrets and, with --live, the credentials
    Check(check::Check),
    /// Say which of a person's accounts would be deleted, and where; delete nothing
    Plan(plan::Plan),
    /// Sign a sample departure as a source would, and send or print it
    Send(send::Send),
    /// List the senders that can report a departure, and what to enter in their settings
    Sources(sources::Sources),
    /// Look into the ledger; release, reject or replay what waits for a person
    Departures(departures::Departures),
    /// Learn from a file whom a source's ids stand for, or show what is known of one
    Directory(directory::Directory),
    /// Have the queue's dead letters tried again
    Replay(replay::Replay),
    /// Write down for an auditor who left, and when each account was gone
    Evidence(evidence::Evidence),
    /// The function itself, as `sandbox` starts it
    #[command(hide = true)]
    Function,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Sandbox(command) => command.run().await,
        Command::Check(command) => command.run().await,
        Command::Plan(command) => command.run().await,
        Command::Send(command) => command.run().await,
        Command::Sources(command) => command.run(),
        Command::Departures(command) => command.run().await,
        Command::Directory(command) => command.run().await,
        Command::Replay(command) => command.run().await,
        Command::Evidence(command) => command.run().await,
        Command::Function => function().await,
    };
    outcome.unwrap_or_else(|why| {
        eprintln!("offboard: {why}");
        ExitCode::FAILURE
    })
}

async fn function() -> Result<ExitCode, String> {
    let variable = |name: &str| std::env::var(name).ok();
    offboard::lambda::start(variable, time::OffsetDateTime::now_utc).await.map_err(|fault| fault.to_string())?;
    Ok(ExitCode::SUCCESS)
}

//! The operator's command line. One file per command.
#![allow(unreachable_pub, reason = "a program has no users of its items")]

mod aws;
mod check;
mod configured;
mod departures;
mod evidence;
mod identities;
mod init;
mod pause;
mod plan;
mod protect;
mod providers;
mod sandbox;
mod schema;
mod send;
mod sources;
mod stack;
mod timestamps;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Removes a person who left from every SaaS product that single sign-on does not reach
#[derive(Parser)]
#[command(
    name = "offboard",
    version,
    after_help = "Exit codes: 0 success, 1 a problem was found or something failed, 2 wrong usage."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play the main job on mock services: no AWS account, no Docker
    Sandbox(sandbox::Sandbox),
    /// Write a first configuration, and say what is left to do
    Init(init::Init),
    /// Check the configuration, the secrets, the ledger and, with --live, the credentials
    Check(check::Check),
    /// Show which of a person's accounts would be removed, and where; remove nothing
    Plan(plan::Plan),
    /// Sign a sample event as a source would, and send or print it
    Send(send::Send),
    /// List the kinds of senders that can report a departure, and what to enter in their settings
    Sources(sources::Sources),
    /// List the kinds of products from which a person can be removed, and what to configure for each
    Providers(providers::Providers),
    /// Print a JSON Schema of the configuration, for editors
    Schema(schema::Schema),
    /// List the departures in the ledger; release, dismiss, replay or confirm those that wait for a person
    Departures(departures::Departures),
    /// Stop every removal, without a deployment
    Pause(pause::Pause),
    /// Let removals go on after a pause
    Resume(pause::Resume),
    /// Protect a person from every removal, without a deployment: legal hold
    Protect(protect::Protect),
    /// Take a person's protection back
    Unprotect(protect::Unprotect),
    /// List who is protected, until when, by whom and why
    Protected(protect::Protected),
    /// Import a source's people into the identity map, or show what is known of one
    Identities(identities::Identities),
    /// Write a report for an auditor: who left, and when each account was gone
    Evidence(evidence::Evidence),
    /// The function itself, as `sandbox` starts it
    #[command(hide = true)]
    Function,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Sandbox(command) => command.run().await.map_err(anyhow::Error::msg),
        Command::Init(command) => command.run().await,
        Command::Check(command) => command.run().await,
        Command::Plan(command) => command.run().await,
        Command::Send(command) => command.run().await,
        Command::Sources(command) => command.run().await,
        Command::Providers(command) => command.run(),
        Command::Schema(command) => command.run(),
        Command::Departures(command) => command.run().await,
        Command::Pause(command) => command.run().await,
        Command::Resume(command) => command.run().await,
        Command::Protect(command) => command.run().await,
        Command::Unprotect(command) => command.run().await,
        Command::Protected(command) => command.run().await,
        Command::Identities(command) => command.run().await,
        Command::Evidence(command) => command.run().await,
        Command::Function => function().await,
    };
    outcome.unwrap_or_else(|why| {
        eprintln!("offboard: {why:#}");
        ExitCode::FAILURE
    })
}

async fn function() -> anyhow::Result<ExitCode> {
    let variable = |name: &str| std::env::var(name).ok();
    offboard::lambda::start(variable, time::OffsetDateTime::now_utc).await.map_err(anyhow::Error::msg)?;
    Ok(ExitCode::SUCCESS)
}

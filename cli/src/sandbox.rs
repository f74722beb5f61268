//! `offboard sandbox`: the real function among mock services, on loopback.

use std::{net::IpAddr, path::PathBuf, process::ExitCode};

use clap::Args;
use offboard_sandbox::story::Options;

/// The options of `offboard sandbox`.
#[derive(Args)]
pub struct Sandbox {
    /// Keep the function and the mock services up until Ctrl-C instead of playing the story
    #[arg(long)]
    serve: bool,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// The IP address on which the gateway and the mock services listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The gateway's port; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0, requires = "serve")]
    port: u16,
    /// Serve this configuration: with made-up secrets, and mock services of its providers' kinds
    #[arg(long, value_name = "FILE", requires = "serve")]
    config: Option<PathBuf>,
    /// Write the configuration for the mock services to this file and keep it
    #[arg(long, value_name = "PATH", requires = "serve")]
    config_out: Option<PathBuf>,
}

impl Sandbox {
    /// Plays the story, or serves until interrupted.
    pub async fn run(self) -> Result<ExitCode, String> {
        let Self { serve, json, host, port, config, config_out } = self;
        Options { serve, json, host, port, config, config_out }.run().await
    }
}

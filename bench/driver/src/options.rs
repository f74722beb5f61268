//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

/// Measures offboard beside a bare client, a Python and a Node function that do the same work.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench/run")]
pub(crate) struct Options {
    /// Rounds; each starts every contestant once
    #[arg(long, default_value_t = 12)]
    pub(crate) rounds: usize,
    /// Warm deliveries to each process
    #[arg(long, default_value_t = 20)]
    pub(crate) warm: usize,
    /// Two rounds of five warm deliveries: a smoke check
    #[arg(long)]
    pub(crate) quick: bool,
    /// Contestants, of offboard, floor, python, node
    #[arg(long, value_delimiter = ',', default_value = "offboard,floor,python,node")]
    pub(crate) only: Vec<String>,
    /// Another build of the function, as one more contestant: NAME=PATH
    #[arg(long, value_name = "NAME=PATH")]
    pub(crate) build: Vec<String>,

    /// TLS 1.3 to Secrets Manager and all providers
    #[arg(long)]
    pub(crate) tls: bool,
    /// Providers, of five kinds in turn
    #[arg(long, default_value_t = 5)]
    pub(crate) providers: usize,
    /// Departures in a delivery
    #[arg(long, default_value_t = 1)]
    pub(crate) batch: usize,
    /// Milliseconds of a provider's call
    #[arg(long, default_value_t = 20)]
    pub(crate) call_delay: u64,
    /// Milliseconds until a new connection to a provider is served
    #[arg(long, default_value_t = 0)]
    pub(crate) setup_delay: u64,
    /// Milliseconds of a call of Secrets Manager
    #[arg(long, default_value_t = 0)]
    pub(crate) secrets_delay: u64,
    /// Records departures in DynamoDB, with SQS beside it
    #[arg(long)]
    pub(crate) ledger: bool,
    /// Milliseconds of a call of DynamoDB and SQS
    #[arg(long, default_value_t = 5)]
    pub(crate) ledger_delay: u64,
    /// Freezes the process between deliveries and drops its connections meanwhile
    #[arg(long)]
    pub(crate) stale: Option<Stale>,
    /// Part of one core that a process may use, by a control group: 0.145 is what Lambda gives to 256 MB
    #[arg(long)]
    pub(crate) cpu: Option<f64>,
    /// File descriptors that a process may have
    #[arg(long)]
    pub(crate) descriptors: Option<u64>,

    /// What to start the function under, such as a profiler
    #[arg(long, value_name = "COMMAND")]
    pub(crate) under: Option<String>,
    /// Compares what is counted with the bounds in this file, and does nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) gates: Option<PathBuf>,
    /// Measures how time, calls and reads grow with providers, departures and records, and does nothing else
    #[arg(long)]
    pub(crate) growth: bool,
    /// The file for the samples, a JSON object on each line
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
    /// Where the contestants were built
    #[arg(long, default_value = "target")]
    pub(crate) target: PathBuf,
}

/// What becomes of idle connections while the process is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stale {
    /// The peer no longer answers, and nobody says so
    Silent,
    /// The peer sent RST
    Reset,
    /// The peer sent FIN
    Closed,
}

impl Options {
    /// Reads the command line; modes in which a delivery takes long get fewer of them.
    pub(crate) fn read() -> Self {
        let mut options = Self::parse();
        if options.quick {
            (options.rounds, options.warm) = (2, 5);
        }
        if options.stale.is_some() || options.batch > 1 {
            options.warm = options.warm.min(3);
        }
        if options.stale.is_some() {
            // It has neither a time-out nor a second try.
            options.only.retain(|name| name != "floor");
        }
        options
    }

    /// What is measured, in a word or two.
    pub(crate) fn mode(&self) -> String {
        let mut words = vec![if self.tls { "tls".to_owned() } else { "plain".to_owned() }];
        let mut word = |is_set: bool, text: String| {
            if is_set {
                words.push(text)
            }
        };
        word(self.providers != 5, format!("{} providers", self.providers));
        word(self.batch != 1, format!("{} departures", self.batch));
        word(self.call_delay != 20, format!("{} ms a call", self.call_delay));
        word(self.setup_delay != 0, format!("{} ms set-up", self.setup_delay));
        word(self.secrets_delay != 0, format!("{} ms secrets", self.secrets_delay));
        word(self.ledger, format!("ledger at {} ms", self.ledger_delay));
        word(self.stale.is_some(), format!("{:?} connections", self.stale.unwrap_or(Stale::Closed)).to_lowercase());
        word(self.cpu.is_some(), format!("{} of a core", self.cpu.unwrap_or_default()));
        word(self.descriptors.is_some(), format!("{} descriptors", self.descriptors.unwrap_or_default()));
        words.join(", ")
    }
}

/// Milliseconds of an option.
pub(crate) fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

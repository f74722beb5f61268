//! The deployed stack that a command works with: its ledger, its queue, and the caller's AWS identity.

mod outputs;

use std::{
    collections::BTreeSet,
    io::{IsTerminal, Write, stderr},
    sync::Arc,
};

use anyhow::{Error, anyhow, bail};
use aws_config::SdkConfig;
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use offboard::{
    aws::cause,
    ledger::{Ledger, NEVER, Record, State, dynamodb::DynamoDb, millis},
    outbound::Client,
    person::mask_departure_id,
    queue::Queue,
};
use time::{OffsetDateTime, macros::datetime};

pub use outputs::{Api, NO_API, Outputs};

use crate::{
    aws::{self, variable},
    configured::Configured,
    timestamps,
};

const NO_TABLE: &str = "which stack? Name it with --stack, or set OFFBOARD_LEDGER_TABLE and OFFBOARD_QUEUE_URL to its \
                        outputs LedgerTable and QueueUrl";
/// Stands for the middle of an e-mail address wherever one is masked.
const MASK: char = '…';
/// Departures that are read, or decided, side by side.
pub const CONCURRENT: usize = 16;
/// No departure was recorded before: offboard did not exist.
pub const BEGINNING: OffsetDateTime = datetime!(2025-01-01 0:00 UTC);

/// The stack of a command.
#[derive(Args)]
pub struct Stack {
    /// The stack's name in CloudFormation [default: $OFFBOARD_LEDGER_TABLE and $OFFBOARD_QUEUE_URL]
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    #[command(flatten)]
    pub configured: Configured,
}

/// The names of a stack's parts.
struct Names {
    table: String,
    queue: Option<String>,
}

/// A stack that can be asked.
pub struct Connected {
    /// The ledger.
    pub ledger: Ledger,
    /// The name of its table.
    pub table: String,
    /// The queue of work messages; `None` if its URL is not known.
    pub queue: Option<Queue>,
    aws: SdkConfig,
}

impl Stack {
    /// Returns whether a stack is named, by the option or by the variables.
    pub fn is_named(&self) -> bool {
        self.stack.is_some() || variable("OFFBOARD_LEDGER_TABLE").is_some()
    }

    /// Connects to the stack. Without a name the process ends, as wrong usage.
    pub async fn connect(&self) -> anyhow::Result<Connected> {
        if !self.is_named() {
            wrong_usage(NO_TABLE);
        }
        let extra_ca = self.configured.extra_ca()?;
        let aws = aws::config(extra_ca.as_deref()).await?;
        let Names { table, queue } = match &self.stack {
            Some(stack) => {
                let outputs = Outputs::read(&aws, stack).await?;
                Names {
                    table: outputs.get("LedgerTable")?.to_owned(),
                    queue: Some(outputs.get("QueueUrl")?.to_owned()),
                }
            }
            None => Names {
                table: variable("OFFBOARD_LEDGER_TABLE").unwrap_or_else(|| wrong_usage(NO_TABLE)),
                queue: variable("OFFBOARD_QUEUE_URL"),
            },
        };
        let store = DynamoDb::new(aws_sdk_dynamodb::Client::new(&aws), table.clone());
        let client = Client::new(extra_ca.as_deref(), false).map_err(Error::msg)?;
        let queue = queue.map(|url| Queue::new(&aws, &client, url, None)).transpose()?;
        Ok(Connected { ledger: Ledger::new(Arc::new(store)), table, queue, aws })
    }
}

impl Connected {
    /// Returns the caller's AWS identity.
    pub async fn who(&self) -> anyhow::Result<String> {
        let asked = aws_sdk_sts::Client::new(&self.aws).get_caller_identity().send().await;
        let identity = asked.map_err(|error| anyhow!("AWS does not say who you are: {}", cause(&error)))?;
        identity.arn.ok_or_else(|| anyhow!("AWS does not say who you are"))
    }

    /// Returns the wanted departures in these states, which must be open ones, the newest first.
    pub async fn in_states(
        &self,
        states: impl IntoIterator<Item = State>,
        wanted: impl Fn(&Record) -> bool,
    ) -> anyhow::Result<Vec<Record>> {
        let mut ids = BTreeSet::new();
        for state in states {
            let due = self.ledger.due(state, NEVER, usize::MAX).await?;
            ids.extend(due.into_iter().map(|due| due.id));
        }
        let progress = Progress::new();
        let mut records = Vec::new();
        let mut read = stream::iter(&ids).map(|id| self.ledger.get(id)).buffer_unordered(CONCURRENT);
        while let Some(record) = read.try_next().await? {
            // The index may lag behind the record.
            records.extend(record.filter(|record| wanted(record)));
            progress.show(&format!("{} departures found", records.len()));
        }
        Ok(newest_first(records))
    }

    /// Returns the wanted departures that were received in a period, the newest first.
    pub async fn received(
        &self,
        since: OffsetDateTime,
        until: OffsetDateTime,
        wanted: impl Fn(&Record) -> bool,
    ) -> anyhow::Result<Vec<Record>> {
        let (progress, period) = (Progress::new(), since..until);
        let milliseconds = millis(since)..=millis(until);
        let mut records = Vec::new();
        for month in timestamps::months(since.max(BEGINNING), until.min(OffsetDateTime::now_utc())) {
            let mut after = None;
            loop {
                let (page, next) = self.ledger.received(&month.to_string(), milliseconds.clone(), after).await?;
                let within = |record: &Record| period.contains(&record.received_at) && wanted(record);
                records.extend(page.into_iter().filter(within));
                progress.show(&format!("{month}: {} departures found", records.len()));
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(newest_first(records))
    }

    /// Returns the record of this id, which may be written as it is shown: masked.
    pub async fn record(&self, id: &str) -> anyhow::Result<Record> {
        if let Some(record) = self.ledger.get(id).await? {
            return Ok(record);
        }
        let is_shown_so = |record: &Record| mask_departure_id(&record.id) == id;
        let mut found = match id.contains(MASK) {
            true => self.received(BEGINNING, OffsetDateTime::now_utc(), is_shown_so).await?,
            false => Vec::new(),
        };
        let shown = mask_departure_id(id);
        let record = found.pop().ok_or_else(|| anyhow!("the ledger has no departure {shown}"))?;
        if found.is_empty() {
            Ok(record)
        } else {
            bail!("several departures are shown as {shown}; `departures list --unmask` shows their ids in full")
        }
    }
}

fn newest_first(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by(|a, b| (b.received_at, &b.id).cmp(&(a.received_at, &a.id)));
    records
}

/// Ends the process for wrong usage: says why, with exit code 2.
pub fn wrong_usage(why: &str) -> ! {
    eprintln!("offboard: {why}");
    std::process::exit(2)
}

/// Progress of a long command: one line on standard error, if that is a terminal.
pub struct Progress {
    is_shown: bool,
}

impl Progress {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        Self { is_shown: stderr().is_terminal() }
    }

    /// Replaces the line.
    pub fn show(&self, text: &str) {
        if self.is_shown {
            // Return to the line's start, and clear it. A terminal that has gone needs no progress.
            let _ = write!(stderr(), "\r\x1b[2K{text}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show("");
    }
}

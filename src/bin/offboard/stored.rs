//! What every command shares that works with the ledger.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::Arc,
};

use aws_config::SdkConfig;
use clap::{Args, CommandFactory, error::ErrorKind};
use offboard::{
    aws,
    ledger::{Ledger, Record, dynamodb::DynamoDb},
    person::mask_addresses,
    queue::Queue,
};

use crate::{Cli, configured::Configured};

const NO_TABLE: &str = "which table is the ledger? Name it with --table or OFFBOARD_LEDGER_TABLE: it is the output \
                        LedgerTable of the stack (aws cloudformation describe-stacks --stack-name STACK --query \
                        'Stacks[0].Outputs')";
const NO_QUEUE: &str = "which queue? Name it with --queue-url or OFFBOARD_QUEUE_URL: it is the output QueueUrl of the \
                        stack (aws cloudformation describe-stacks --stack-name STACK --query 'Stacks[0].Outputs')";
const NO_ACCESS: &str = "are AWS credentials and a region set?";
/// What stands for the end of an address's first part, wherever one is shown.
const MASK: char = '…';

/// Where the ledger is.
#[derive(Args)]
pub struct Stored {
    /// The ledger's table [default: $OFFBOARD_LEDGER_TABLE]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    #[command(flatten)]
    pub configured: Configured,
}

/// Where the queue is.
#[derive(Args)]
pub struct Queued {
    /// The queue of reminders [default: $OFFBOARD_QUEUE_URL]
    #[arg(long, value_name = "URL")]
    queue_url: Option<String>,
}

/// A ledger that can be asked.
pub struct Connected {
    /// The ledger.
    pub ledger: Ledger,
    /// Its table's name.
    pub table: String,
    aws: SdkConfig,
}

impl Stored {
    /// Connects to it.
    pub async fn connect(&self) -> Result<Connected, String> {
        let named = self.table.clone().or_else(|| variable("OFFBOARD_LEDGER_TABLE"));
        let table = named.unwrap_or_else(|| wrong_usage(NO_TABLE));
        let aws = aws::config(self.configured.extra_ca()?.as_deref()).await?;
        let store = DynamoDb::new(aws_sdk_dynamodb::Client::new(&aws), table.clone());
        Ok(Connected { ledger: Ledger::new(Arc::new(store)), table, aws })
    }
}

impl Connected {
    /// The queue, if there is one.
    pub fn queue(&self, queued: &Queued) -> Option<Queue> {
        let url = queued.queue_url.clone().or_else(|| variable("OFFBOARD_QUEUE_URL"))?;
        Some(Queue::new(aws_sdk_sqs::Client::new(&self.aws), url))
    }

    /// The queue, without which nothing can be done here.
    pub fn needed_queue(&self, queued: &Queued) -> Queue {
        self.queue(queued).unwrap_or_else(|| wrong_usage(NO_QUEUE))
    }

    /// Who asks: the caller's AWS identity.
    pub async fn who(&self) -> Result<String, String> {
        let asked = aws_sdk_sts::Client::new(&self.aws).get_caller_identity().send().await;
        let identity = asked.map_err(|_| format!("AWS does not say who you are: {NO_ACCESS}"))?;
        identity.arn.ok_or_else(|| "AWS does not say who you are".to_owned())
    }

    /// All records that are wanted, the oldest first.
    pub async fn records(&self, wanted: impl Fn(&Record) -> bool) -> Result<Vec<Record>, String> {
        let progress = Progress::new();
        let (mut read, mut records, mut after) = (0, Vec::new(), None);
        loop {
            let (page, next) = self.ledger.list(after).await.map_err(|down| format!("{down}\n{NO_ACCESS}"))?;
            read += page.len();
            records.extend(page.into_iter().filter(&wanted));
            progress.show(&format!("{read} departures read, {} found", records.len()));
            if next.is_none() {
                break;
            }
            after = next;
        }
        records.sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
        Ok(records)
    }

    /// The record of this id, which may be written as it is shown: masked.
    pub async fn record(&self, id: &str) -> Result<Record, String> {
        if let Some(record) = self.ledger.get(id).await.map_err(|down| format!("{down}\n{NO_ACCESS}"))? {
            return Ok(record);
        }
        let mut shown_so = match id.contains(MASK) {
            true => self.records(|record| mask_addresses(&record.id) == id).await?,
            false => Vec::new(),
        };
        let shown = mask_addresses(id);
        let record = shown_so.pop().ok_or_else(|| format!("the ledger has no departure {shown}"))?;
        if shown_so.is_empty() { Ok(record) } else { Err(format!("several departures are shown as {shown}")) }
    }
}

/// An environment variable; an empty one is none.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Says what was used wrongly, and ends with exit code 2.
pub fn wrong_usage(why: &str) -> ! {
    Cli::command().error(ErrorKind::MissingRequiredArgument, why).exit()
}

/// How far something long has got: one line on standard error, if that is a terminal.
pub struct Progress {
    shown: bool,
}

impl Progress {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        Self { shown: stderr().is_terminal() }
    }

    /// Shows this instead of what was shown before.
    pub fn show(&self, text: &str) {
        if self.shown {
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

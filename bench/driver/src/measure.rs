//! One process of one contestant: started, delivered to, and counted.

use std::{path::Path, thread, time::Duration, time::Instant};

use anyhow::{Context, Result, ensure};
use hmac::{Hmac, KeyInit, Mac};
use offboard_sandbox::envelope;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    options::Options,
    process::{Contestant, Limits, Process},
    runtime_api::RuntimeApi,
    server::Traffic,
    world::{KEY, Seen, World},
};

/// How long a process stays frozen.
const FROZEN: Duration = Duration::from_millis(1_200);

/// What one process took. Times are milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) mode: String,
    pub(crate) round: usize,
    pub(crate) contestant: String,
    /// From the start of the process to its first call for an event, secrets read.
    pub(crate) init: f64,
    /// From the start of the process, and from the first event, to the first answer.
    pub(crate) cold: f64,
    pub(crate) first: f64,
    /// `cold` without the longest chain of calls to one provider; none where departures share the chain.
    pub(crate) cold_over: Option<f64>,
    pub(crate) warm: Vec<f64>,
    pub(crate) warm_over: Vec<f64>,
    pub(crate) cpu_init: f64,
    pub(crate) cpu_cold: f64,
    /// Of one warm delivery, on average.
    pub(crate) cpu_warm: f64,
    pub(crate) memory_bytes: u64,
    pub(crate) zip_bytes: Option<u64>,
    pub(crate) cold_counts: Counts,
    /// Of one warm delivery: the last one.
    pub(crate) warm_counts: Counts,
    /// Accounts that should be gone and are not, after all deliveries.
    pub(crate) left: usize,
}

/// What was counted at the servers.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) connections: u32,
    pub(crate) handshakes: u32,
    pub(crate) resumptions: u32,
    pub(crate) calls: usize,
    pub(crate) secrets_calls: usize,
    pub(crate) ledger_calls: usize,
    pub(crate) ledger_sequence: usize,
}

impl From<&Seen> for Counts {
    fn from(seen: &Seen) -> Self {
        let sum = |number: fn(&Traffic) -> u32| seen.all().map(number).sum();
        Self {
            connections: sum(|traffic| traffic.connections),
            handshakes: sum(|traffic| traffic.handshakes),
            resumptions: sum(|traffic| traffic.resumptions),
            calls: seen.providers.iter().map(|traffic| traffic.busy.len()).sum(),
            secrets_calls: seen.secrets.busy.len(),
            ledger_calls: seen.dynamodb.busy.len() + seen.sqs.busy.len(),
            ledger_sequence: seen.ledger_sequence(),
        }
    }
}

/// What all measurements share.
pub(crate) struct Bench<'a> {
    pub(crate) options: &'a Options,
    pub(crate) world: &'a World,
    pub(crate) runtime_api: &'a RuntimeApi,
    pub(crate) folder: &'a Path,
}

/// What one delivery took, and what it caused.
struct Delivered {
    elapsed: f64,
    end: Instant,
    seen: Seen,
    left: usize,
}

impl Bench<'_> {
    /// Starts a contestant, delivers to it, and ends it.
    pub(crate) fn measure(&self, contestant: &Contestant, round: usize) -> Result<Sample> {
        let log = self.folder.join(format!("{}.log", contestant.name));
        let measured = self.one_process(contestant, round, &log);
        measured.with_context(|| format!("{} in round {round}; its log: {}", contestant.name, log.display()))
    }

    fn one_process(&self, contestant: &Contestant, round: usize, log: &Path) -> Result<Sample> {
        self.world.reset();
        let session = self.runtime_api.session();
        let mut variables = self.world.environment();
        variables.extend(lambda_variables(self.runtime_api.address()));
        let limits = Limits { cpu: self.options.cpu, descriptors: self.options.descriptors };
        let process = Process::start(contestant, &variables, limits, log)?;
        let init = session.next()?;
        let cpu_init = process.cpu()?;
        let mut deliveries = Vec::new();
        let mut cpu = Vec::new();
        for number in 0..=self.options.warm {
            let people = self.people(round, number);
            self.world.providers.iter().for_each(|provider| provider.add(&people));
            let start = match (self.options.stale, number) {
                (Some(_), 1..) => self.frozen(&process, || session.hand_over(event(&people, round, number)))?,
                _ => session.hand_over(event(&people, round, number))?,
            };
            let (end, text) = session.answer()?;
            // Until it asks again it may still be busy.
            session.next()?;
            cpu.push(process.cpu()?);
            let left = self.world.providers.iter().map(|provider| provider.left(&people)).sum();
            let seen = self.world.take();
            self.check(&text, &seen, number)?;
            deliveries.push(Delivered { elapsed: milliseconds(end - start), end, seen, left });
        }
        let (first, warm) = deliveries.split_first().context("no delivery")?;
        let over = |delivered: &Delivered| delivered.elapsed - milliseconds(delivered.seen.chain());
        let cold = milliseconds(first.end - process.started);
        let is_one = self.options.batch == 1;
        let last = warm.last().unwrap_or(first);
        Ok(Sample {
            mode: self.options.mode(),
            round,
            contestant: contestant.name.clone(),
            init: milliseconds(init - process.started),
            cold,
            first: first.elapsed,
            cold_over: is_one.then(|| cold - milliseconds(first.seen.chain())),
            warm: warm.iter().map(|delivered| delivered.elapsed).collect(),
            warm_over: warm.iter().filter(|_| is_one).map(over).collect(),
            cpu_init: milliseconds(cpu_init),
            cpu_cold: milliseconds(cpu[0]),
            cpu_warm: milliseconds(cpu[cpu.len() - 1] - cpu[0]) / count(warm.len().max(1)),
            memory_bytes: process.peak_memory()?,
            zip_bytes: contestant.zip.metadata().ok().map(|file| file.len()),
            cold_counts: Counts::from(&first.seen),
            warm_counts: Counts::from(&last.seen),
            left: deliveries.iter().map(|delivered| delivered.left).sum(),
        })
    }

    /// Freezes a process, drops its connections, hands it an event, and lets it go on. Returns when it went on.
    fn frozen(&self, process: &Process, hand_over: impl FnOnce() -> Result<Instant>) -> Result<Instant> {
        process.freeze()?;
        self.world.providers.iter().for_each(|provider| provider.server.drop_connections());
        thread::sleep(FROZEN);
        hand_over()?;
        let start = Instant::now();
        process.thaw()?;
        Ok(start)
    }

    /// Who leaves in one delivery.
    pub(crate) fn people(&self, round: usize, delivery: usize) -> Vec<String> {
        (0..self.options.batch).map(|number| format!("leaver-{round}-{delivery}-{number}@example.com")).collect()
    }

    /// A fast wrong answer is none. Where connections are dropped, or departures share a delivery, what is not done is a
    /// figure and not an error.
    fn check(&self, text: &str, seen: &Seen, delivery: usize) -> Result<()> {
        let unknown: Vec<_> = seen.all().flat_map(|traffic| &traffic.unknown).collect();
        ensure!(unknown.is_empty(), "requests that no server knows: {unknown:?}");
        if self.options.batch > 1 || self.options.stale.is_some() || self.options.descriptors.is_some() {
            return Ok(());
        }
        let answer: Value = serde_json::from_str(text).context("the answer is not JSON")?;
        let body: Value = answer["body"].as_str().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
        let outcomes = body["departures"][0]["providers"].as_array().cloned().unwrap_or_default();
        let deleted = outcomes.iter().filter(|outcome| outcome["outcome"] == "deleted").count();
        ensure!(answer["statusCode"] == 200 && deleted == self.world.providers.len(), "not all is deleted: {text}");
        for (provider, traffic) in self.world.providers.iter().zip(&seen.providers) {
            let token = if delivery == 0 { provider.kind.token_calls() } else { 0 };
            let (expected, calls) = (provider.kind.calls() + token, traffic.busy.len());
            let name = &provider.name;
            ensure!(calls == expected, "{name} was called {calls} times, not {expected}, by delivery {delivery}");
        }
        Ok(())
    }
}

pub(crate) fn lambda_variables(address: String) -> Vec<(&'static str, String)> {
    let fixed = [
        ("AWS_LAMBDA_FUNCTION_NAME", "offboard"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/offboard"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/15/[$LATEST]0"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
        ("LANG", "en_US.UTF-8"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ];
    let fixed = fixed.into_iter().map(|(name, value)| (name, value.to_owned()));
    fixed.chain([("AWS_LAMBDA_RUNTIME_API", address)]).collect()
}

/// An HTTP API's envelope around one signed delivery.
pub(crate) fn event(people: &[String], round: usize, delivery: usize) -> String {
    let now = OffsetDateTime::now_utc();
    let at = now.format(&Rfc3339).unwrap_or_default();
    let departure = |(number, email): (usize, &String)| json!({"id": format!("{round}-{delivery}-{number}"), "event": "employee.terminated", "email": email, "at": at});
    let events: Vec<_> = people.iter().enumerate().map(departure).collect();
    let body = json!({ "events": events }).to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).expect("any length is a key");
    mac.update(body.as_bytes());
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("host", "offboard.example.com".to_owned()),
        ("x-hr-signature", format!("sha256={}", hex::encode(mac.finalize().into_bytes()))),
    ];
    let request = envelope::Request {
        method: "POST".to_owned(),
        path: "/webhooks/hr".to_owned(),
        query: String::new(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        body: body.into_bytes(),
    };
    envelope::event(&request, "8476a536-e9f4-11e8-9739-2dfe598c3fcd", now).to_string()
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub(crate) fn count(number: usize) -> f64 {
    number as f64
}

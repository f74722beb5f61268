//! The function: from its environment to the runtime's loop.

use std::{path::PathBuf, sync::Arc, time::Duration};

use http::Request;
use lambda_http::{Adapter, Body, Context, LambdaEvent, request::LambdaRequest, service_fn, tower::Service};
use serde_json::{Value, value::RawValue};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

use crate::{
    aws,
    config::Config,
    durable::Durable,
    engine::Engine,
    handler::{App, Invocation},
    ledger::{Ledger, Store, dynamodb::DynamoDb, memory::Memory},
    queue::Queue,
};

mod envelope;
mod logging;
mod reminders;

/// Where the configuration layer puts its file.
const CONFIG: &str = "/opt/offboard.toml";
/// The name of the table that is none: the ledger is kept in memory, for a single process.
const EMBEDDED: &str = ":memory:";
/// What is kept of the invocation's time to answer in.
const MARGIN: Duration = Duration::from_millis(500);
/// Lambda's own limit; a stand-in for a clock that is wrong.
const LONGEST_INVOCATION: Duration = Duration::from_secs(15 * 60);
/// How long the start may wait for the secrets. Without them every delivery tries again.
const WARM_UP: Duration = Duration::from_secs(4);

/// An error that ends the function.
pub type Error = lambda_http::Error;

/// Runs the function until its environment is shut down. `variable` reads the environment, `clock` tells the time.
///
/// # Errors
/// If the configuration is faulty: all its faults are logged, and told.
pub async fn start(variable: impl Fn(&str) -> Option<String>, clock: fn() -> OffsetDateTime) -> Result<(), Error> {
    // What is set to nothing is not set: deployment tools write such variables.
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    logging::init(variable("AWS_LAMBDA_LOG_FORMAT").as_deref(), variable("AWS_LAMBDA_LOG_LEVEL").as_deref());
    let app = build(variable).await.inspect_err(|error| {
        for fault in error.to_string().lines() {
            tracing::error!(fault, "the configuration cannot be used");
        }
    })?;
    let app = Arc::new(app);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let app = app.clone();
        async move { invoke(&app, event, clock()).await }
    }))
    .await
}

/// One invocation: by the queue, or over HTTP.
async fn invoke(app: &Arc<App>, event: LambdaEvent<Box<RawValue>>, now: OffsetDateTime) -> Result<Value, Error> {
    let LambdaEvent { payload, context } = event;
    let invocation = invocation(&context, now);
    if let Ok(batch) = serde_json::from_str::<reminders::Batch>(payload.get()) {
        return Ok(serde_json::to_value(batch.handle(app, &invocation).await)?);
    }
    let mut request: LambdaRequest = serde_json::from_str(payload.get())?;
    if !envelope::mend(&mut request) {
        let request_id = invocation.request_id.as_str();
        tracing::warn!(request_id, "the envelope's body is not the base64 that it should be, and is dropped");
    }
    let app = app.clone();
    let mut http = Adapter::from(service_fn(move |request: lambda_http::Request| {
        let (app, invocation) = (app.clone(), invocation.clone());
        async move {
            let (parts, body) = request.into_parts();
            let request = Request::from_parts(parts, body.to_vec());
            Ok::<_, Error>(app.handle(&request, &invocation).await.map(Body::from))
        }
    }));
    Ok(serde_json::to_value(http.call(LambdaEvent::new(request, context)).await?)?)
}

/// Reads the configuration, makes the clients, reads the secrets.
async fn build(variable: impl Fn(&str) -> Option<String>) -> Result<App, Error> {
    let path = variable("OFFBOARD_CONFIG").map_or_else(|| PathBuf::from(CONFIG), PathBuf::from);
    let mut config = Config::load(&path, variable("OFFBOARD_MODE").as_deref())?;
    let (table, queue) = (variable("OFFBOARD_LEDGER_TABLE"), variable("OFFBOARD_QUEUE_URL"));
    let (engine, secrets) = Engine::connect(&mut config).await?;
    match timeout(WARM_UP, secrets.warm()).await {
        Ok(Ok(())) => {}
        Ok(Err(down)) => tracing::warn!(reason = %down, "the secrets could not be read at start"),
        Err(_) => tracing::warn!(reason = "time-out", "the secrets could not be read at start"),
    }
    let durable = durable(&config, table, queue).await?;
    if config.policy.max_departures.is_some() && durable.is_none() {
        tracing::warn!("`max_departures` is set, but needs a ledger: it is not enforced");
    }
    Ok(App::new(config, secrets, engine, durable))
}

/// The ledger and the queue that the environment names. An empty name is none.
async fn durable(config: &Config, table: Option<String>, queue: Option<String>) -> Result<Option<Durable>, Error> {
    let Some(table) = table.filter(|table| !table.is_empty()) else { return Ok(None) };
    let aws = aws::config(config.extra_ca()?.as_deref()).await?;
    let store: Arc<dyn Store> = match table.as_str() {
        EMBEDDED => Arc::new(Memory::default()),
        _ => Arc::new(DynamoDb::new(aws_sdk_dynamodb::Client::new(&aws), table)),
    };
    let queue = queue.filter(|url| !url.is_empty()).map(|url| Queue::new(aws_sdk_sqs::Client::new(&aws), url));
    Ok(Some(Durable {
        ledger: Ledger::new(store),
        queue,
        retention: config.ledger.retention,
        directory_retention: Duration::from_secs(3 * 31_557_600),
    }))
}

fn invocation(context: &Context, now: OffsetDateTime) -> Invocation {
    let left = i128::from(context.deadline) - now.unix_timestamp_nanos() / 1_000_000;
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(LONGEST_INVOCATION);
    let started = Instant::now();
    let deadline = started + left.saturating_sub(MARGIN);
    Invocation { request_id: context.request_id.clone(), started, deadline, now }
}

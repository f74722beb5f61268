//! The function: from its environment to the runtime's loop.

use std::{future, panic, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use aws_types::SdkConfig;
use http::{Request, Response};
use lambda_http::{
    Adapter, Body, Context, IntoResponse, LambdaEvent, request::LambdaRequest, service_fn, tower::Service,
};
use lambda_runtime::Diagnostic;
use serde_json::value::{RawValue, to_raw_value};
use time::OffsetDateTime;
use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};
use tracing::{Instrument, Span};

use crate::{
    archive::{Archive, ArchiveError, Place},
    aws::{self, Environment},
    config::Config,
    engine::Engine,
    event_bus::{EventBridge, EventBus},
    handler::{App, Invocation},
    ledger::{Ledger, dynamodb::DynamoDb, memory::Memory, store::Store},
    metrics,
    outbound::Client,
    queue::Queue,
    secrets::Secrets,
};

mod envelope;
mod logging;
mod messages;

/// Where the configuration layer puts its file.
const CONFIG: &str = "/opt/offboard.toml";
/// What is kept of the invocation's time to answer in.
const MARGIN: Duration = Duration::from_millis(500);
/// Lambda's own limit; bounds the time left where the clock is wrong.
const LONGEST_INVOCATION: Duration = Duration::from_secs(15 * 60);
/// A departure that is kept for so long is in the evidence of its month: 31 days, the days after it, and an outage.
const EXPORTABLE: Duration = Duration::from_secs(40 * 24 * 60 * 60);
/// How long the start may wait for the secrets. Without them every delivery tries again.
const WARM_UP: Duration = Duration::from_secs(4);

/// An error that ends the function.
pub type Error = lambda_http::Error;

/// Runs the function until its environment is shut down. `variable` reads the environment, `clock` returns the time.
///
/// # Errors
/// If the configuration has errors: each is logged.
pub async fn start(variable: fn(&str) -> Option<String>, clock: fn() -> OffsetDateTime) -> Result<(), Error> {
    // A task: when what `main` itself waits for is woken, the runtime asks the system for events each time.
    let function = tokio::spawn(run(Environment(variable), clock)).await;
    function.unwrap_or_else(|error| panic::resume_unwind(error.into_panic()))
}

async fn run(environment: Environment, clock: fn() -> OffsetDateTime) -> Result<(), Error> {
    logging::init(
        environment.get("AWS_LAMBDA_LOG_FORMAT").as_deref(),
        environment.get("AWS_LAMBDA_LOG_LEVEL").as_deref(),
    );
    metrics::init(environment.get("OFFBOARD_METRICS_FUNCTION").or_else(|| environment.get("AWS_LAMBDA_FUNCTION_NAME")));
    let app = build(environment).await.inspect_err(|error| {
        for error in error.to_string().lines() {
            tracing::error!(error, "the configuration cannot be used");
        }
    })?;
    let app = Arc::new(app);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let app = app.clone();
        // On the heap: what an invocation keeps is large, and the runtime moves it.
        let trace = trace(event.context.xray_trace_id.as_deref());
        Box::pin(async move { invoke(&app, event, clock).await.map_err(Diagnostic::from) }.instrument(trace))
    }))
    .await
}

/// The span that names the invocation's trace in every line of the log: the `Root` of the header's value.
fn trace(header: Option<&str>) -> Span {
    let root = header.and_then(|header| header.split(';').find_map(|part| part.trim().strip_prefix("Root=")));
    root.map_or_else(Span::none, |trace_id| tracing::info_span!("invocation", trace_id))
}

/// One invocation: by a queue, by the schedule, or over HTTP.
async fn invoke(
    app: &Arc<App>,
    event: LambdaEvent<Box<RawValue>>,
    clock: fn() -> OffsetDateTime,
) -> Result<Box<RawValue>, Error> {
    let LambdaEvent { payload, context } = event;
    let invocation = invocation(&context, clock);
    match serde_json::from_str(payload.get()) {
        Ok(messages::Event { records: Some(messages), .. }) => {
            return Ok(to_raw_value(&messages::handle(messages, app, &invocation).await)?);
        }
        Ok(messages::Event { tick: Some(true), .. }) => {
            app.tick(&invocation).await.inspect_err(|error| {
                tracing::error!(request_id = invocation.request_id, reason = %error, "what is due could not be queued");
            })?;
            return Ok(RawValue::NULL.to_owned());
        }
        _ => {}
    }
    let mut request: LambdaRequest = serde_json::from_str(payload.get())?;
    let beside = envelope::read(&request);
    if !envelope::mend(&mut request) {
        let request_id = invocation.request_id.as_str();
        tracing::warn!(request_id, "the envelope's body is not the base64 that it should be, and is dropped");
    }
    let app = app.clone();
    let mut http = Adapter::from(service_fn(move |request: lambda_http::Request| {
        let (app, invocation, beside) = (app.clone(), invocation.clone(), beside.clone());
        async move {
            let (mut parts, body) = request.into_parts();
            parts.extensions.insert(beside);
            let request = Request::from_parts(parts, body.to_vec());
            Ok::<_, Error>(Text(app.handle(&request, &invocation).await))
        }
    }));
    Ok(to_raw_value(&http.call(LambdaEvent::new(request, context)).await?)?)
}

/// A response of text. Of another the library would find out its character set, by tables that are a fortieth of the function.
struct Text(Response<String>);

impl IntoResponse for Text {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(future::ready(self.0.map(Body::from)))
    }
}

/// Reads the configuration, makes the clients, reads the secrets.
async fn build(environment: Environment) -> Result<App, Error> {
    let path = environment.get("OFFBOARD_CONFIG").map_or_else(|| PathBuf::from(CONFIG), PathBuf::from);
    let mut config = Config::load(&path, environment.get("OFFBOARD_MODE").as_deref())?;
    let extra_ca = config.extra_ca()?;
    let aws = aws::of_function(extra_ca.as_deref(), environment)?;
    let secrets = Arc::new(Secrets::new(aws_sdk_secretsmanager::Client::new(&aws), config.secret_names()));
    // What follows is made while they are on their way: each time it yields, the call gets a step further.
    let warm = tokio::spawn(warm(secrets.clone()));
    yield_now().await;
    let client = Client::new(extra_ca.as_deref(), config.calls_out())?;
    yield_now().await;
    let key_sets: Vec<_> = config.key_sets().map(|url| url.url().clone()).collect();
    let engine = Engine::new(&mut config, client);
    yield_now().await;
    engine.client().connect_early(engine.urls().chain(key_sets));
    let (ledger, queue) = ledger(&aws, &engine.client(), environment)?;
    // Without durable storage nothing ticks, and so nothing would publish.
    let bus = environment.get("OFFBOARD_EVENT_BUS").filter(|_| queue.is_some());
    let bus = bus.and_then(|name| event_bus(&aws, &engine.client(), name));
    let archive = if queue.is_some() { archive(&aws, &engine.client(), &config, environment) } else { None };
    let app = App::new(config, secrets, engine, ledger, queue, bus);
    warm.await?;
    Ok(app.taking_events(environment.get("OFFBOARD_EVENT_QUEUE_ARN")).exporting(archive))
}

/// Reads the secrets, unless that takes too long.
async fn warm(secrets: Arc<Secrets>) {
    match timeout(WARM_UP, secrets.warm()).await {
        Ok(Ok(())) => {}
        Ok(Err(down)) => tracing::warn!(reason = %down, "the secrets could not be read at start"),
        Err(_) => tracing::warn!(reason = "time-out", "the secrets could not be read at start"),
    }
}

/// The ledger and the queue that the environment names: both or neither. Without them the ledger is in memory.
fn ledger(aws: &SdkConfig, client: &Client, environment: Environment) -> Result<(Ledger, Option<Queue>), Error> {
    let names = ["OFFBOARD_LEDGER_TABLE", "OFFBOARD_QUEUE_URL"];
    let (table, url) = match names.map(|name| environment.get(name)) {
        [Some(table), Some(url)] => (table, url),
        [None, None] => {
            tracing::warn!("the ledger is in memory: what is not done is answered 503, for the sender to repeat");
            return Ok((Ledger::new(Arc::new(Memory::default())), None));
        }
        _ => return Err(format!("{} and {} go together: set both or neither", names[0], names[1]).into()),
    };
    let store: Arc<dyn Store> = Arc::new(DynamoDb::new(aws_sdk_dynamodb::Client::new(aws), table));
    let dead_letters = environment.get("OFFBOARD_DEAD_LETTER_QUEUE_URL");
    let queue = Queue::new(aws, client, url, dead_letters)?;
    Ok((Ledger::new(store), Some(queue)))
}

/// The event bus of this name. One that cannot be used is no reason not to remove anybody.
fn event_bus(aws: &SdkConfig, client: &Client, name: String) -> Option<Arc<dyn EventBus>> {
    let bus = EventBridge::new(aws, client, name);
    let bus = bus.inspect_err(|error| tracing::error!(reason = %error, "no notification is written or published"));
    Some(Arc::new(bus.ok()?))
}

/// The bucket for evidence that the environment names. One that cannot be used is no reason not to remove anybody.
fn archive(
    aws: &SdkConfig,
    client: &Client,
    config: &Config,
    environment: Environment,
) -> Option<Result<Archive, ArchiveError>> {
    let bucket = environment.get("OFFBOARD_EVIDENCE_BUCKET")?;
    let (prefix, table) = (environment.get("OFFBOARD_EVIDENCE_PREFIX"), environment.get("OFFBOARD_LEDGER_TABLE"));
    let place = Place { bucket, prefix: prefix.unwrap_or_default(), table: table.unwrap_or_default() };
    if config.ledger.retention < EXPORTABLE {
        tracing::warn!("ledger.retention is under 40 days: the evidence of a month is without what ended early in it");
    }
    let archive = Archive::new(aws, client, place);
    Some(archive.inspect_err(|error| tracing::error!(reason = %error, "no evidence is exported")))
}

fn invocation(context: &Context, clock: fn() -> OffsetDateTime) -> Invocation {
    let now = clock();
    let left = i128::from(context.deadline) - now.unix_timestamp_nanos() / 1_000_000;
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(LONGEST_INVOCATION);
    let started = Instant::now();
    let deadline = started + left.saturating_sub(MARGIN);
    // arn:aws:lambda:REGION:ACCOUNT:function:NAME
    let account = context.invoked_function_arn.split(':').nth(4).unwrap_or_default().to_owned();
    Invocation { request_id: context.request_id.clone(), account, started, deadline, now, clock }
}

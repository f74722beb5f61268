//! The function: from its environment to the runtime's loop.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use lambda_http::{Adapter, Body, LambdaEvent, RequestExt, request::LambdaRequest, service_fn, tower::Service};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

use crate::{
    config::Config,
    engine::Engine,
    handler::{App, Invocation},
};

mod envelope;
mod logging;

/// Where the configuration layer puts its file.
const CONFIG: &str = "/opt/offboard.toml";
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
    let path = variable("OFFBOARD_CONFIG").map_or_else(|| PathBuf::from(CONFIG), PathBuf::from);
    let app = build(&path, variable("OFFBOARD_MODE").as_deref()).await.inspect_err(|error| {
        for fault in error.to_string().lines() {
            tracing::error!(fault, "the configuration cannot be used");
        }
    })?;
    let app = Arc::new(app);
    let adapter = Adapter::from(service_fn(move |request: lambda_http::Request| {
        let app = app.clone();
        async move { Ok::<_, Error>(answer(&app, request, clock()).await) }
    }));
    lambda_runtime::run(service_fn(move |mut event: LambdaEvent<LambdaRequest>| {
        if !envelope::mend(&mut event.payload) {
            let request_id = event.context.request_id.as_str();
            tracing::warn!(request_id, "the envelope's body is not the base64 that it should be, and is dropped");
        }
        adapter.clone().call(event)
    }))
    .await
}

/// Reads the configuration, makes the clients, reads the secrets.
async fn build(path: &Path, mode: Option<&str>) -> Result<App, Error> {
    let mut config = Config::load(path, mode)?;
    let (engine, secrets) = Engine::connect(&mut config).await?;
    match timeout(WARM_UP, secrets.warm()).await {
        Ok(Ok(())) => {}
        Ok(Err(down)) => tracing::warn!(reason = %down, "the secrets could not be read at start"),
        Err(_) => tracing::warn!(reason = "time-out", "the secrets could not be read at start"),
    }
    if config.policy.max_departures.is_some() {
        tracing::warn!("`max_departures` is set, but needs a ledger: it is not enforced");
    }
    Ok(App::new(config, secrets, engine))
}

async fn answer(app: &App, request: lambda_http::Request, now: OffsetDateTime) -> Response<Body> {
    let context = request.lambda_context();
    let left = i128::from(context.deadline) - now.unix_timestamp_nanos() / 1_000_000;
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(LONGEST_INVOCATION);
    let deadline = Instant::now() + left.saturating_sub(MARGIN);
    let invocation = Invocation { request_id: context.request_id, deadline, now };
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, body.to_vec());
    app.handle(&request, &invocation).await.map(Body::from)
}

//! `offboard sandbox --serve`: everything stays up until Ctrl-C.

use std::{path::Path, process::ExitCode};

use offboard::config::Config;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{
    Options, PROVIDERS, SOURCES, cast,
    world::{self, World},
};
use crate::{
    delivery::Delivery,
    function::{Function, Start},
    mapping::{Mapping, schedule},
    screen::{Screen, print},
};

/// The source whose deliveries carry no time, so that a printed one stays good.
const TIMELESS: &str = "hr";

/// Starts the function, says where everything is, and waits.
pub(super) async fn serve(
    options: &Options,
    world: &World,
    config: &Config,
    start: Start<'_>,
    screen: &Screen,
) -> Result<ExitCode, String> {
    let path = start.config;
    let mut function = Function::start(start).await?;
    let _mapping = Mapping::start(world.aws.sqs.clone(), function.api().clone());
    tokio::spawn(schedule(function.api().clone()));
    let source = config.sources.get(TIMELESS).ok_or("the sandbox's configuration lacks a source")?;
    let (secret, now) = (world::signing_secret(TIMELESS).into(), OffsetDateTime::now_utc());
    let sample = Delivery::sample(source, "departure", &secret, cast::LEE, "hr-sandbox-sample", now)?;
    let curl = sample.curl(&function.webhook(TIMELESS));
    if options.json {
        print(&document(world, &function, path, &curl).to_string());
    } else {
        describe(world, &function, path, &curl, screen);
    }
    function.ended().await;
    Err(format!("the function has ended by itself:\n{}", function.log().tail()))
}

fn document(world: &World, function: &Function, path: &Path, curl: &str) -> Value {
    let by_source = |of: &dyn Fn(&str) -> String| {
        let pairs = SOURCES.iter().map(|source| (source.to_string(), Value::String(of(source))));
        Value::Object(pairs.collect::<Map<_, _>>())
    };
    let environment: Map<_, _> =
        environment(world, path).into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
    json!({
        "webhooks": by_source(&|source| function.webhook(source)),
        "signing_secrets": by_source(&|source| world::signing_secret(source).into()),
        "base_urls": base_urls(world),
        "credentials": world.credentials(),
        "secrets_manager": world.aws.secrets.url(""),
        "config": path,
        "environment": environment,
        "curl": curl,
    })
}

fn describe(world: &World, function: &Function, path: &Path, curl: &str, screen: &Screen) {
    let webhooks = SOURCES.iter().map(|source| format!("{source:<10} {}", function.webhook(source)));
    screen.section("Webhooks", webhooks);
    screen.section("A signed departure, ready to paste", [curl.to_owned()]);
    let urls = serde_json::to_string_pretty(&base_urls(world)).unwrap_or_default();
    screen.section("The providers' base URLs", urls.lines().map(str::to_owned));
    let exports = environment(world, path);
    let exports = exports.into_iter().map(|(name, value)| format!("export {name}={value}"));
    screen.section("So that every other command works against it", exports);
    screen.line("\nUp until Ctrl-C; the function's log follows.");
}

fn environment(world: &World, path: &Path) -> Vec<(&'static str, String)> {
    let own = [("OFFBOARD_CONFIG", path.display().to_string()), ("OFFBOARD_MODE", "live".to_owned())];
    own.into_iter().chain(world.aws.environment()).collect()
}

fn base_urls(world: &World) -> Value {
    let credentials = world.credentials();
    let urls = PROVIDERS.iter().map(|name| (name.to_string(), credentials[name]["base_url"].clone()));
    Value::Object(urls.collect())
}

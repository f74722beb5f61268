//! `offboard sandbox --serve`: everything stays up until Ctrl-C.

use std::{path::Path, process::ExitCode};

use offboard::config::Config;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{
    Options, PROVIDERS, SOURCES, cast,
    own::Own,
    world::{self, World},
};
use crate::{
    aws::Aws,
    delivery::Delivery,
    function::{Function, Start},
    invocations,
    mapping::{Mapping, schedule},
    screen::{Screen, print},
};

/// The source whose deliveries carry no time, so that a printed one stays good.
const TIMELESS: &str = "hr";

/// Variables, each with its value.
type Environment = Vec<(&'static str, String)>;

/// What is served.
pub(super) struct Served<'a> {
    aws: &'a Aws,
    /// What the sources sign with.
    secrets: Vec<(String, String)>,
    base_urls: Value,
    credentials: Value,
    notes: &'a [String],
    /// Overrides the configuration's mode.
    mode: Option<&'static str>,
}

impl<'a> Served<'a> {
    /// The sandbox's own world.
    pub(super) fn world(world: &'a World) -> Self {
        let credentials = world.credentials();
        let urls = PROVIDERS.iter().map(|name| (name.to_string(), credentials[name]["base_url"].clone()));
        Self {
            aws: &world.aws,
            secrets: SOURCES.map(|source| (source.to_owned(), world::signing_secret(source).to_owned())).to_vec(),
            base_urls: Value::Object(urls.collect()),
            credentials,
            notes: &[],
            mode: Some("live"),
        }
    }

    /// The world of a user's own configuration. Its policy stands.
    pub(super) fn own(own: &'a Own) -> Self {
        let urls = own.providers.iter().map(|(name, url, _)| (name.clone(), url.clone().into()));
        let secrets = own.providers.iter().map(|(name, _, secret)| (name.clone(), secret.clone()));
        Self {
            aws: &own.aws,
            secrets: own.sources.clone(),
            base_urls: Value::Object(urls.collect()),
            credentials: Value::Object(secrets.collect()),
            notes: &own.notes,
            mode: None,
        }
    }

    /// Starts the function, says where everything is, and waits.
    pub(super) async fn serve(
        &self,
        options: &Options,
        config: &Config,
        path: &Path,
        screen: &Screen,
    ) -> Result<ExitCode, String> {
        let (host, port, show_log) = (options.host, options.port, !options.json);
        let start = Start { host, port, config: path, aws: self.aws, mode: self.mode, show_log };
        let mut function = Function::start(start).await?;
        let _mapping = Mapping::start(self.aws.sqs.clone(), function.api().clone());
        let schedule = tokio::spawn(schedule(function.api().clone()));
        let failed = |error: std::io::Error| format!("cannot listen on loopback: {error}");
        let lambda = invocations::start(function.api().clone()).await.map_err(failed)?;
        let environment = self.environment(path, lambda);
        let sample = self.sample(config, &function)?;
        let endpoint =
            |name: &str| config.sources.get(name).map(|source| function.endpoint(source)).unwrap_or_default();
        if options.json {
            print(&self.document(&endpoint, path, environment, sample).to_string());
        } else {
            self.describe(&endpoint, environment, sample, screen);
        }
        function.ended().await;
        schedule.abort();
        Err(format!("the function has ended by itself:\n{}", function.log().tail()))
    }

    /// The variables with which every other command works against it.
    fn environment(&self, path: &Path, lambda: String) -> Environment {
        let mode = self.mode.map(|mode| ("OFFBOARD_MODE", mode.to_owned()));
        let own = [("OFFBOARD_CONFIG", path.display().to_string()), ("AWS_ENDPOINT_URL_LAMBDA", lambda)];
        own.into_iter().chain(mode).chain(self.aws.environment()).collect()
    }

    /// A departure, ready to be pasted; `None` if no source can sign one.
    fn sample(&'a self, config: &Config, function: &Function) -> Result<Option<String>, String> {
        let delivers = |(name, secret): &'a (String, String)| {
            let source = config.sources.get(name).filter(|source| source.has_webhook());
            source.map(|source| (source, secret))
        };
        let all: Vec<_> = self.secrets.iter().filter_map(delivers).collect();
        let Some((source, secret)) = all.iter().find(|(source, _)| source.name == TIMELESS).or(all.first()) else {
            return Ok(None);
        };
        let (secret, now) = (secret.as_str().into(), OffsetDateTime::now_utc());
        let delivery = Delivery::sample(source, "departure", &secret, cast::LEE, "sandbox-sample", now)?;
        Ok(Some(delivery.curl(&function.endpoint(source))))
    }

    fn document(
        &self,
        endpoint: &dyn Fn(&str) -> String,
        path: &Path,
        environment: Environment,
        sample: Option<String>,
    ) -> Value {
        let by_source = |value: &dyn Fn(&str, &str) -> String| {
            let pairs = self.secrets.iter().map(|(source, secret)| (source.clone(), value(source, secret).into()));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        json!({
            "webhooks": by_source(&|source, _| endpoint(source)),
            "signing_secrets": by_source(&|_, secret| secret.to_owned()),
            "base_urls": self.base_urls,
            "credentials": self.credentials,
            "secrets_manager": self.aws.secrets.url(""),
            "config": path,
            "environment": Value::Object(environment.collect()),
            "notes": self.notes,
            "curl": sample,
        })
    }

    fn describe(
        &self,
        endpoint: &dyn Fn(&str) -> String,
        environment: Environment,
        sample: Option<String>,
        screen: &Screen,
    ) {
        if !self.notes.is_empty() {
            screen.section("Not as in your configuration", self.notes.iter().cloned());
        }
        let webhooks = self.secrets.iter().map(|(source, _)| format!("{source:<10} {}", endpoint(source)));
        screen.section("Webhooks", webhooks);
        let sample = sample.unwrap_or_else(|| "no source can sign one here".into());
        screen.section("A signed departure, ready to paste", [sample]);
        screen.section("People", [cast::everybody().take(8).collect::<Vec<_>>().join(", ") + ", …"]);
        let urls = serde_json::to_string_pretty(&self.base_urls).unwrap_or_default();
        screen.section("The providers' base URLs", urls.lines().map(str::to_owned));
        let exports = environment.into_iter().map(|(name, value)| format!("export {name}={value}"));
        screen.section("So that every other command works against it, paste these lines", exports);
        screen.line("\nUp until Ctrl-C; the function's log follows.");
    }
}

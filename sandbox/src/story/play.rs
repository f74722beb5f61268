//! Plays the scenes on the real function and the real command line, and compares what came of them with what must.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

use offboard::config::Config;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tokio::process::Command;

use super::{
    cast,
    ending::{Done, Ending, Left, Played, What},
    pages,
    scenes::{self, Act, Body, Deliver, Expected, Scene, Twist},
    world::{self, World},
};
use crate::{
    delivery::{Delivery, Reply},
    function::{Function, INHERITED, Start},
    mapping::Mapping,
    mock::Watched,
    screen::Screen,
};

/// The world, the function and what it has said.
pub(super) struct Story<'a> {
    pub world: &'a World,
    pub config: &'a Config,
    /// Where the configuration is.
    pub path: &'a Path,
    /// The deployed function.
    pub function: &'a mut Function,
    /// How to start another one.
    pub start: Start<'a>,
    /// Where the evidence page goes.
    pub evidence: PathBuf,
    /// When it all began.
    pub begun: Instant,
    /// The deliveries so far, by their events.
    pub sent: BTreeMap<&'static str, Delivery>,
    /// Everything that was said or written: no secret and no address may be in it.
    pub said: Vec<(&'static str, String)>,
}

impl Story<'_> {
    /// Plays all scenes.
    pub(super) async fn play(&mut self, screen: &Screen) -> Ending {
        let mapping = Mapping::start(self.world.aws.sqs.clone(), self.function.api().clone());
        let before: Vec<Vec<String>> = self.world.providers().iter().map(|provider| provider.members()).collect();
        let mut played = Vec::new();
        for (number, scene) in scenes::ALL.iter().enumerate() {
            pages::heading(screen, number + 1, scene.title, scene.text);
            played.push(self.scene(scene, &mapping, screen).await);
        }
        let providers = self.world.providers();
        let left: Vec<Left> = providers.iter().zip(before).map(|(provider, before)| left(*provider, before)).collect();
        self.function.stop().await;
        self.said.push(("the log", self.function.log().text()));
        self.said.push(("the evidence", std::fs::read_to_string(&self.evidence).unwrap_or_default()));
        let mut mismatches = self.unknown();
        mismatches.extend(self.leaks());
        let (evidence, elapsed_ms) = (self.evidence.clone(), self.begun.elapsed().as_millis());
        let mut ending = Ending { as_expected: false, elapsed_ms, scenes: played, left, evidence, mismatches };
        ending.as_expected = ending.all_mismatches().is_empty();
        ending
    }

    async fn scene(&mut self, scene: &'static Scene, mapping: &Mapping, screen: &Screen) -> Played {
        let mut acts = Vec::new();
        for act in scene.acts {
            let begun = Instant::now();
            let done = match act {
                Act::World(change) => {
                    change(self.world);
                    continue;
                }
                Act::Deliver(deliver, expected) => self.deliver(deliver, expected).await,
                Act::Command(command, expected) => self.command(command, expected).await,
                Act::Messages => mapping.drain().await.map(|()| (What::Messages, Vec::new())),
                Act::Tick => self.function.tick().await.map(|_| (What::Tick, Vec::new())),
                Act::Queue(id, expected) => self.record(id, expected, mapping).await,
            };
            let elapsed_ms = begun.elapsed().as_millis();
            let (what, mismatches) = done.unwrap_or_else(|why| (What::Tick, vec![why]));
            let done = Done { what, elapsed_ms, mismatches };
            pages::done(screen, &done);
            acts.push(done);
        }
        Played { title: scene.title, acts }
    }

    async fn deliver(&mut self, deliver: &Deliver, expected: &Expected) -> Result<(What, Vec<String>), String> {
        let calls = self.world.calls();
        if !matches!(deliver.body, Body::Again) {
            self.sent.insert(deliver.event, self.sign(deliver)?);
        }
        let dry_run = match deliver.twist {
            Twist::DryRun => Some(Function::start(Start { mode: Some("dry_run"), ..self.start }).await?),
            _ => None,
        };
        let source = self.config.sources.get(deliver.source).ok_or("no such source")?;
        let url = dry_run.as_ref().unwrap_or(self.function).endpoint(source);
        let delivery = self.sent.get(deliver.event).ok_or("it was not delivered before")?;
        let reply = delivery.send(&url).await?;
        let request = (deliver.twist == Twist::Shown).then(|| delivery.lines(&url));
        self.said.push(("an answer", format!("{}\n{:?}", reply.text, reply.headers)));
        if let Some(mut function) = dry_run {
            function.stop().await;
            self.said.push(("the dry run's log", function.log().text()));
        }
        let mut mismatches = of_delivery(expected, &reply);
        if !expected.calls && self.world.calls() != calls {
            mismatches.push("a provider API was called".into());
        }
        let (source, http_status, answer) = (deliver.source, reply.status, reply.json());
        Ok((What::Delivery { source, http_status, answer, request }, mismatches))
    }

    fn sign(&self, deliver: &Deliver) -> Result<Delivery, String> {
        let source = self.config.sources.get(deliver.source);
        let source = source.ok_or_else(|| format!("no source {}", deliver.source))?;
        let guess = "a secret that the source never had";
        let secret = if deliver.twist == Twist::Forged { guess } else { world::signing_secret(deliver.source) };
        let (secret, now) = (secret.into(), OffsetDateTime::now_utc());
        let sample = |what, email, at| Delivery::sample(source, what, &secret, email, deliver.event, at);
        match deliver.body {
            Body::Leaves(email, minutes) => sample("departure", email, now - Duration::minutes(minutes)),
            Body::IsActive(email) => sample("created", email, now),
            Body::Payroll(changes) => {
                let body = json!({ "changes": changes(now) }).to_string();
                Delivery::sign(source, &secret, deliver.event, Vec::new(), body.as_bytes())
            }
            Body::Again => Err("it was not delivered before".into()),
        }
    }

    /// Runs this very program as an operator would.
    async fn offboard(&mut self, arguments: &[&str]) -> Result<(bool, String), String> {
        let failed = |error: std::io::Error| format!("cannot run offboard: {error}");
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(arguments).env_clear();
        command.envs(INHERITED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(self.world.aws.environment()).env("OFFBOARD_CONFIG", self.path);
        let output = command.kill_on_drop(true).output().await.map_err(failed)?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).trim_end().to_owned();
        self.said.push(("a command", text.clone()));
        Ok((output.status.success(), text))
    }

    async fn command(&mut self, command: &str, expected: &str) -> Result<(What, Vec<String>), String> {
        let (evidence, api) = (self.evidence.display().to_string(), self.function.url());
        let arguments: Vec<&str> = command
            .split(' ')
            .map(|word| match word {
                "{evidence}" => evidence.as_str(),
                "{api}" => api.as_str(),
                word => word,
            })
            .collect();
        let (success, output) = self.offboard(&arguments).await?;
        let mut mismatches = Vec::new();
        if !success {
            mismatches.push("the command failed".to_owned());
        }
        if !output.contains(expected) {
            mismatches.push(format!("it does not say {expected:?}"));
        }
        Ok((What::Command { command: format!("offboard {}", arguments.join(" ")), output }, mismatches))
    }

    async fn record(
        &mut self,
        id: &str,
        expected: &Expected,
        mapping: &Mapping,
    ) -> Result<(What, Vec<String>), String> {
        mapping.drain().await?;
        let (_, text) = self.offboard(&["departures", "show", id, "--json"]).await?;
        let record: Value = serde_json::from_str(&text).map_err(|_| text)?;
        let mut mismatches = Vec::new();
        compare(&mut mismatches, "the state", &record["state"], json!(expected.status));
        of_providers(&mut mismatches, expected, &record["providers"]);
        Ok((What::Record(record), mismatches))
    }

    fn unknown(&self) -> Vec<String> {
        let unknown = self.world.unknown().into_iter().chain(self.function.unknown());
        unknown.map(|call| format!("a mock service does not know this call: {call}")).collect()
    }

    /// Looks for secrets and full addresses where none may be.
    fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        for (place, text) in &self.said {
            if text.is_empty() {
                leaks.push(format!("{place} is empty: there is nothing to search"));
            }
            let secrets = self.world.confidential();
            for secret in secrets.iter().filter(|secret| text.contains(secret.as_str())) {
                let shown: String = secret.chars().take(12).collect();
                leaks.push(format!("{place} shows the secret {shown}…"));
            }
            let addresses = cast::everybody().filter(|email| text.contains(email));
            leaks.extend(addresses.map(|email| format!("{place} shows the address {email}")));
        }
        leaks
    }
}

fn left(provider: &dyn Watched, before: Vec<String>) -> Left {
    let expected = before.iter().filter(|email| cast::stays(email)).cloned().collect();
    Left { provider: provider.name(), members: provider.members(), expected, before }
}

fn compare(mismatches: &mut Vec<String>, what: &str, found: &Value, expected: Value) {
    if *found != expected {
        mismatches.push(format!("{what} is {found}, must be {expected}"));
    }
}

/// Returns what of an answer is not as it must be.
fn of_delivery(expected: &Expected, reply: &Reply) -> Vec<String> {
    let (answer, mut mismatches) = (reply.json(), Vec::new());
    compare(&mut mismatches, "the HTTP status", &reply.status.into(), expected.http.into());
    if (400..500).contains(&reply.status) {
        compare(&mut mismatches, "the problem's status", &answer["status"], expected.http.into());
    }
    let departures = answer["departures"].as_array().map(Vec::as_slice).unwrap_or_default();
    compare(
        &mut mismatches,
        "whether there is a departure",
        &(!departures.is_empty()).into(),
        expected.status.is_some().into(),
    );
    for departure in departures {
        compare(&mut mismatches, "the status", &departure["status"], json!(expected.status));
        compare(&mut mismatches, "the reasons", &departure["reasons"], json!(expected.reasons));
        of_providers(&mut mismatches, expected, &departure["providers"]);
    }
    compare(&mut mismatches, "Retry-After", &reply.headers.contains_key("retry-after").into(), false.into());
    mismatches
}

fn of_providers(mismatches: &mut Vec<String>, expected: &Expected, providers: &Value) {
    let providers = providers.as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&Value> = providers.iter().map(|entry| &entry["provider"]).collect();
    compare(mismatches, "the list of providers", &json!(names), json!(super::PROVIDERS));
    for entry in providers {
        let name = entry["provider"].as_str().unwrap_or_default();
        let (outcome, reason) = expected.at(name);
        compare(mismatches, name, &entry["outcome"], json!(outcome));
        if let Some(reason) = reason {
            compare(mismatches, &format!("{name}'s reason"), &entry["reason"], reason.into());
        }
        if let Some((retried, times)) = expected.attempts
            && retried == name
        {
            let enough = entry["attempts"].as_u64() >= Some(times);
            compare(mismatches, &format!("{times} attempts at {name}"), &enough.into(), true.into());
        }
    }
}

#[cfg(test)]
#[path = "play_tests.rs"]
mod tests;

//! Plays the scenes on the real function and compares what came of them with what must.

use std::{collections::BTreeMap, time::Instant};

use offboard::config::Config;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    cast, pages,
    scenes::{self, Scene, Twist},
    world::{self, World},
};
use crate::{
    delivery::{Delivery, Reply},
    function::Function,
    mock::Watched,
    screen::Screen,
};

/// How the whole story ended.
#[derive(Serialize)]
pub(super) struct Ending {
    /// Whether all of it ended as it must.
    pub as_expected: bool,
    /// From the start of the mock services to the end, in milliseconds.
    pub elapsed_ms: u128,
    /// What each scene came to.
    pub steps: Vec<Step>,
    /// Who is left at each provider.
    pub left: Vec<Left>,
    /// What is not as it must be, about the story as a whole.
    pub findings: Vec<String>,
}

/// What one scene came to.
#[derive(Serialize)]
pub(super) struct Step {
    /// The heading.
    pub title: &'static str,
    /// The source that delivered.
    pub source: &'static str,
    /// The HTTP status.
    pub http_status: u16,
    /// From sending to the last byte of the answer, in milliseconds.
    pub elapsed_ms: u128,
    /// The answer: a report or a problem document.
    pub answer: Value,
    /// What is not as it must be.
    pub findings: Vec<String>,
}

/// Who is left at one provider.
#[derive(Serialize)]
pub(super) struct Left {
    /// The provider.
    pub provider: &'static str,
    /// Who was there at the beginning.
    #[serde(skip)]
    pub before: Vec<String>,
    /// Who is there; an address stands twice where there are two accounts.
    pub members: Vec<String>,
    /// Who must be there.
    pub expected: Vec<String>,
}

/// The world, the functions and what was heard from them.
pub(super) struct Story<'a> {
    /// The mock services.
    pub world: &'a World,
    /// The configuration of both functions.
    pub config: &'a Config,
    /// The function that deletes.
    pub live: &'a mut Function,
    /// The function that only looks.
    pub dry_run: &'a mut Function,
    /// When it all began.
    pub begun: Instant,
}

impl Story<'_> {
    /// Plays all scenes.
    pub(super) async fn play(&mut self, screen: &Screen) -> Ending {
        let before: Vec<Vec<String>> = self.world.providers().iter().map(|provider| provider.members()).collect();
        let mut steps = Vec::new();
        let mut heard = String::new();
        let mut sent = BTreeMap::new();
        for (number, scene) in scenes::ALL.iter().enumerate() {
            pages::heading(screen, number + 1, scene.title, scene.tells);
            let step = self.play_one(scene, &mut sent, &mut heard).await;
            pages::step(screen, &step);
            steps.push(step);
        }
        let providers = self.world.providers();
        let left: Vec<Left> = providers.iter().zip(before).map(|(provider, before)| left(*provider, before)).collect();
        self.live.stop().await;
        self.dry_run.stop().await;
        let mut findings = self.unknown();
        findings.extend(self.leaks(&heard));
        let as_expected = findings.is_empty()
            && steps.iter().all(|step| step.findings.is_empty())
            && left.iter().all(|left| left.members == left.expected);
        Ending { as_expected, elapsed_ms: self.begun.elapsed().as_millis(), steps, left, findings }
    }

    async fn play_one(&self, scene: &Scene, sent: &mut BTreeMap<&'static str, Delivery>, heard: &mut String) -> Step {
        (scene.before)(self.world);
        let calls = self.world.calls();
        let reply = self.deliver(scene, sent).await;
        let (mut step, findings) = match reply {
            Err(why) => (Step::empty(scene), vec![why]),
            Ok(reply) => {
                heard.push_str(&reply.text);
                heard.push_str(&format!("{:?}\n", reply.headers));
                (Step::of(scene, &reply), differences(scene, &reply))
            }
        };
        step.findings = findings;
        if scene.expected.no_calls && self.world.calls() != calls {
            step.findings.push("a provider API was called".into());
        }
        step
    }

    async fn deliver(&self, scene: &Scene, sent: &mut BTreeMap<&'static str, Delivery>) -> Result<Reply, String> {
        let source = self.config.sources.get(scene.source);
        let source = source.ok_or_else(|| format!("no source {}", scene.source))?;
        let guess = "what somebody who does not know the secret signs with";
        let secret = if scene.twist == Twist::Forged { guess } else { world::signing_secret(scene.source) };
        if scene.twist != Twist::Redelivered {
            let now = OffsetDateTime::now_utc();
            let delivery = Delivery::sign(source, "departure", &secret.into(), scene.email, scene.event, now)?;
            sent.insert(scene.event, delivery);
        }
        let delivery = sent.get(scene.event).ok_or_else(|| format!("{} was not delivered before", scene.event))?;
        let function: &Function = if scene.twist == Twist::DryRun { self.dry_run } else { self.live };
        delivery.send(&function.webhook(scene.source)).await
    }

    fn unknown(&self) -> Vec<String> {
        let functions = self.live.unknown().into_iter().chain(self.dry_run.unknown());
        let unknown = self.world.unknown().into_iter().chain(functions);
        unknown.map(|call| format!("a mock service does not know this call: {call}")).collect()
    }

    /// Looks for secrets and full addresses where none may be.
    fn leaks(&self, heard: &str) -> Vec<String> {
        let places =
            [("an answer", heard), ("the log", &self.live.log().text()), ("the log", &self.dry_run.log().text())];
        let mut leaks = Vec::new();
        for (place, text) in places {
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

impl Step {
    fn empty(scene: &Scene) -> Self {
        let (title, source) = (scene.title, scene.source);
        Self { title, source, http_status: 0, elapsed_ms: 0, answer: Value::Null, findings: Vec::new() }
    }

    fn of(scene: &Scene, reply: &Reply) -> Self {
        let (http_status, elapsed_ms) = (reply.status, reply.elapsed.as_millis());
        Self { http_status, elapsed_ms, answer: reply.json(), ..Self::empty(scene) }
    }

    /// The departure of this delivery, if there is a report.
    pub(super) fn departure(&self) -> &Value {
        &self.answer["departures"][0]
    }
}

fn left(provider: &dyn Watched, before: Vec<String>) -> Left {
    let stays = before.iter().filter(|email| cast::stays(provider.name(), email)).cloned();
    Left { provider: provider.name(), members: provider.members(), expected: stays.collect(), before }
}

/// What of a reply is not as the scene wants it.
fn differences(scene: &Scene, reply: &Reply) -> Vec<String> {
    let (expected, answer, mut found) = (&scene.expected, reply.json(), Vec::new());
    let mut compare = |what: &str, is: &Value, must: Value| {
        if *is != must {
            found.push(format!("{what} is {is}, must be {must}"));
        }
    };
    compare("the HTTP status", &reply.status.into(), expected.http.into());
    if reply.status >= 400 && reply.status < 500 {
        compare("the problem's status", &answer["status"], expected.http.into());
    }
    if let Some(status) = expected.status {
        let departure = &answer["departures"][0];
        compare("the status", &departure["status"], status.into());
        let providers = departure["providers"].as_array().cloned().unwrap_or_default();
        let names: Vec<&Value> = providers.iter().map(|entry| &entry["provider"]).collect();
        compare("the list of providers", &serde_json::json!(names), serde_json::json!(super::PROVIDERS));
        for entry in &providers {
            let name = entry["provider"].as_str().unwrap_or_default();
            let (outcome, reason) = expected.at(name);
            compare(name, &entry["outcome"], outcome.into());
            if let Some(reason) = reason {
                compare(&format!("{name}'s reason"), &entry["reason"], reason.into());
            }
            if let Some((retried, times)) = expected.retried
                && retried == name
            {
                let enough = entry["attempts"].as_u64() >= Some(times);
                compare(&format!("{times} attempts at {name}"), &enough.into(), true.into());
            }
        }
    }
    let asks_back = reply.headers.contains_key("retry-after");
    compare("Retry-After", &asks_back.into(), (expected.http == 503).into());
    found
}

//! What is left to do after `offboard init`: values, secrets, and the senders' settings.

use offboard::{providers::SecretKey, source::SourceKind};
use offboard_sandbox::screen::Screen;
use serde::Serialize;

use super::{
    file::{ChosenProvider, ChosenSource},
    page_url,
};
use crate::{
    sources::{self, BY_EVENTBRIDGE},
    stack::{Api, NO_API},
};

/// What is left to do.
#[derive(Serialize)]
pub(super) struct Steps {
    /// Where the configuration is.
    configuration: String,
    /// What `check --offline` says of it.
    left: Vec<String>,
    secrets: Vec<Secret>,
    senders: Vec<Sender>,
}

/// A secret that is to be created.
#[derive(Serialize)]
struct Secret {
    name: String,
    /// What it may hold: one of these JSON objects.
    values: Vec<String>,
    /// What each key is.
    keys: Vec<String>,
    /// The file that its value is read from.
    file: String,
    command: String,
}

/// A source whose sender is to be configured.
#[derive(Serialize)]
struct Sender {
    source: String,
    sender: String,
    steps: Vec<String>,
    /// The steps instead of these, if it is to deliver by Amazon EventBridge.
    eventbridge: Vec<String>,
    guides: Vec<String>,
}

impl Secret {
    /// Returns the secret of a section. `sets` are the keys that it may hold.
    fn new(table: &str, name: &str, sets: &[&[SecretKey]]) -> Self {
        let value = |keys: &&[SecretKey]| {
            let keys: Vec<_> = keys.iter().map(|it| format!("\"{}\": \"…\"", it.key)).collect();
            format!("{{{}}}", keys.join(", "))
        };
        let about = sets.iter().flat_map(|keys| keys.iter()).filter(|it| !it.description.is_empty());
        let (secret, file) = (format!("offboard/{table}/{name}"), format!("{table}-{name}.json"));
        let command = format!("aws secretsmanager create-secret --name {secret} --secret-string file://{file}");
        Self {
            values: sets.iter().map(value).collect(),
            keys: about.map(|it| format!("{}: {}", it.key, it.description)).collect(),
            name: secret,
            file,
            command,
        }
    }

    fn of_source(ChosenSource { name, kind, spec }: &ChosenSource) -> Option<Self> {
        let key = SourceKind::secret_key(kind, spec)?;
        // The steps in the sender's settings say what it is.
        Some(Self::new("sources", name, &[&[SecretKey { key, description: "" }]]))
    }

    fn of_provider(ChosenProvider { name, kind }: &ChosenProvider) -> Option<Self> {
        (!kind.secret.is_empty()).then(|| Self::new("providers", name, kind.secret))
    }

    /// Returns the lines that create it: comments, and one command.
    fn lines(&self) -> Vec<String> {
        let value = format!("# {}: {}", self.file, self.values.join(", or "));
        let keys = self.keys.iter().map(|key| format!("#   {key}"));
        [String::new(), value].into_iter().chain(keys).chain([self.command.clone()]).collect()
    }
}

impl Sender {
    fn of(ChosenSource { name, spec, .. }: &ChosenSource, api: &Api) -> anyhow::Result<Self> {
        // A source that is named as a guide is the guide's.
        let own = spec.guides.iter().filter(|guide| *guide == name).collect::<Vec<_>>();
        let guides = if own.is_empty() { spec.guides.iter().collect() } else { own };
        let mut guides: Vec<_> = guides.into_iter().map(|guide| page_url(&format!("sources/{guide}"))).collect();
        if guides.is_empty() {
            guides.push(page_url("sources"));
        }
        let (source, sender) = (name.clone(), spec.sender.clone());
        let eventbridge = spec.eventbridge.as_ref().map(sources::event_steps).unwrap_or_default();
        Ok(Self { steps: sources::steps(name, spec, api)?, eventbridge, source, sender, guides })
    }
}

impl Steps {
    /// Returns what is left to do. `left` is what `check` says of the configuration.
    pub(super) fn new(
        configuration: String,
        left: Vec<String>,
        sources: &[ChosenSource],
        providers: &[ChosenProvider],
        api: &Api,
    ) -> anyhow::Result<Self> {
        let of_providers = providers.iter().filter_map(Secret::of_provider);
        let secrets = sources.iter().filter_map(Secret::of_source).chain(of_providers).collect();
        let senders = sources.iter().map(|source| Sender::of(source, api)).collect::<anyhow::Result<_>>()?;
        Ok(Self { configuration, left, secrets, senders })
    }

    /// Shows it in the order in which it is done.
    pub(super) fn show(&self, screen: &Screen) {
        let Self { configuration, left, secrets, senders } = self;
        screen.line(&format!("Wrote {configuration}, in dry-run mode: accounts are looked up, and none is removed."));
        if left.is_empty() {
            screen.section("Nothing is left to fill in", ["It is ready for `offboard check --offline`.".to_owned()]);
        } else {
            screen.section(&format!("To fill in, in {configuration}"), left.iter().cloned());
        }
        if !secrets.is_empty() {
            let how =
                "From files, so that no value is in the shell's history. `umask 077` first; delete them afterwards.";
            let lines = secrets.iter().flat_map(Secret::lines);
            screen.section("To store in AWS Secrets Manager", [how.to_owned()].into_iter().chain(lines));
        }
        for Sender { source, sender, steps, eventbridge, guides } in senders {
            let number = |(index, step): (usize, &String)| format!("{}. {step}", index + 1);
            let guides = guides.iter().map(|guide| format!("Guide: {guide}"));
            let steps = steps.iter().enumerate().map(number);
            screen.section(&format!("To enter at {sender}, for the source {source}"), steps.chain(guides));
            if !eventbridge.is_empty() {
                screen.section(BY_EVENTBRIDGE, eventbridge.iter().enumerate().map(number));
            }
        }
        if senders.iter().any(|sender| sender.steps.iter().any(|step| step.contains(NO_API))) {
            let note = "is known after the deployment: the stack's outputs WebhookUrl and ScimUrl";
            screen.line(&format!("\n{NO_API} {note}."));
        }
        let check = format!("offboard check --offline --config {configuration}");
        let sandbox = format!("offboard sandbox --serve --config {configuration}");
        let next = [check, format!("{sandbox}   # tries it on mock services"), page_url("deploy")];
        screen.section("Next", next);
    }
}

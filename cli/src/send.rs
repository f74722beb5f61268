//! `offboard send`: a sample departure, signed as its source would sign it.

mod scim;

use std::{
    io::{IsTerminal, stdin},
    process::ExitCode,
};

use anyhow::{Error, anyhow};
use clap::Args;
use offboard::{
    config::{BaseUrl, Config, suggestion},
    person::Email,
    source::{KINDS, Protocol, Source, SourceKind, Subject},
};
use reqwest::Url;
use secrecy::SecretString;
use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    aws::{self, variable},
    configured::{Configured, address, secret_store},
    stack::{Outputs, wrong_usage},
    timestamps,
};
use offboard_sandbox::{
    aws::sqs::{self, Sqs},
    delivery::Delivery,
    envelope::{self, Request},
    partner,
    screen::{Screen, asked, print},
};

/// The variable that holds a signing secret, for those who do not want to read it from Secrets Manager.
const SECRET_VARIABLE: &str = "OFFBOARD_SIGNING_SECRET";

/// The options of `offboard send`.
#[derive(Args)]
#[command(
    after_help = "The signing secret comes from OFFBOARD_SIGNING_SECRET, otherwise from Secrets Manager as configured.\n\
                  What is printed for a sender with a static token holds that token."
)]
pub struct Send {
    /// The source, by its name in the configuration, or a kind of source
    source: String,
    /// The e-mail address of the person who left
    #[arg(value_parser = address)]
    email: Email,
    /// Destination: the webhook's URL, or the URL of the API that has it
    #[arg(
        long, value_name = "URL", value_parser = |text: &str| BaseUrl::try_from(text.to_owned()), group = "destination",
        required_unless_present_any = ["stack", "print_event", "print_key_set"]
    )]
    to: Option<BaseUrl>,
    /// Destination: the API of this stack in CloudFormation
    #[arg(long, value_name = "NAME", group = "destination")]
    stack: Option<String>,
    /// Print the function's event instead of sending: `… | sam local invoke -e -`
    #[arg(long, conflicts_with = "print_curl")]
    print_event: bool,
    /// Print a curl command instead of sending
    #[arg(long, requires = "destination")]
    print_curl: bool,
    /// Print the key set (JWKS) with which a source would check what the private key in OFFBOARD_SIGNING_SECRET signs
    #[arg(long, conflicts_with_all = ["print_event", "print_curl", "destination"])]
    print_key_set: bool,
    /// The sample to send: departure, or another one of the kind (`offboard sources KIND` lists them)
    #[arg(long, value_name = "SAMPLE", default_value = "departure")]
    sample: String,
    /// The source's own id of the person, by which the identity map knows them [default: one that is made up]
    #[arg(long, value_name = "ID")]
    person_id: Option<String>,
    /// The event's id; the same id, person and time twice is a redelivery
    #[arg(long, value_name = "EVENT_ID")]
    id: Option<String>,
    /// Time of the event: 2026-01-31, 2026-01-31T18:42:00Z, or 7d for seven days ago [default: now]
    #[arg(long, value_name = "WHEN", value_parser = timestamps::start)]
    at: Option<OffsetDateTime>,
    /// Send without asking: a departure of a real person that is sent to a live function removes their accounts
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    configured: Configured,
}

impl Send {
    /// Signs, and sends or prints.
    pub async fn run(mut self) -> anyhow::Result<ExitCode> {
        let config = self.configured.load()?;
        let source = self.source(&config);
        if source.partner().is_some() {
            print(&format!("{:#}", self.partner_event(&config, &source).await?));
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(stack) = &self.stack {
            let aws = aws::config(config.extra_ca()?.as_deref()).await?;
            self.to = Some(Outputs::read(&aws, stack).await?.endpoint(source.protocol, &self.source)?);
        }
        let now = OffsetDateTime::now_utc();
        let id = self.event_id();
        let secret = self.signing_secret(&config, &source).await?;
        if self.print_key_set {
            let key_set = source.scheme.key_set(&secret);
            let key_set = key_set.ok_or_else(|| anyhow!("no private key in PEM that this source could sign with"))?;
            print(&format!("{key_set:#}"));
            return Ok(ExitCode::SUCCESS);
        }
        if source.protocol == Protocol::Scim {
            return scim::run(&self, &source, &secret).await;
        }
        let at = self.at.unwrap_or(now);
        let signed = Delivery::sample(&source, &self.sample, &secret, self.subject(), &id, at);
        let delivery = signed.map_err(Error::msg)?;
        let url = self.to.as_ref().map(|to| self.webhook(to.url()).to_string());
        if !self.may_send()? {
            return Ok(ExitCode::SUCCESS);
        }
        match url {
            Some(url) if self.print_curl => print(&delivery.curl(&url)),
            Some(url) if !self.print_event => return self.send(&delivery, &url).await,
            _ => print(&format!("{:#}", self.event(delivery, now))),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The function's event of a source that delivers by EventBridge. Its queue takes messages of nobody else, so it can be printed
    /// and not sent.
    async fn partner_event(&self, config: &Config, source: &Source) -> anyhow::Result<Value> {
        if !self.print_event {
            let how = "--print-event prints the event, for `aws lambda invoke` or `sam local invoke`";
            wrong_usage(&format!("{} has no URL: EventBridge delivers its events. {how}", source.name));
        }
        let queue = match &self.stack {
            Some(stack) => {
                let aws = aws::config(config.extra_ca()?.as_deref()).await?;
                Outputs::read(&aws, stack).await?.get("EventQueueArn")?.to_owned()
            }
            None => variable("OFFBOARD_EVENT_QUEUE_ARN").unwrap_or_else(|| sqs::arn(Sqs::EVENTS)),
        };
        let at = self.at.unwrap_or_else(OffsetDateTime::now_utc);
        let event = partner::sample(source, &self.sample, self.subject(), &self.event_id(), at, &queue);
        event.map_err(Error::msg)
    }

    fn event_id(&self) -> String {
        let made_up = || format!("sample-{}", OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000);
        self.id.clone().unwrap_or_else(made_up)
    }

    fn subject(&self) -> Subject<'_> {
        Subject { email: self.email.expose(), idp_id: self.person_id.as_deref() }
    }

    /// The source of this name; or, if none is configured, the kind of this name as it is.
    fn source(&self, config: &Config) -> Source {
        if let Some(source) = config.sources.get(&self.source) {
            return source.clone();
        }
        let (name, path) = (&self.source, self.configured.path());
        let path = path.display();
        if SourceKind::named(name).is_none() {
            let configured = config.sources.keys().map(String::as_str);
            let known: Vec<&str> = configured.chain(KINDS.iter().map(|kind| kind.name)).collect();
            wrong_usage(&format!(
                "{name} is neither a source in {path} nor a kind of source: {}",
                suggestion(name, &known)
            ));
        }
        eprintln!("{path} has no source {name}: signing as the kind of this name does");
        Source::of_kind(name).unwrap_or_else(|why| {
            wrong_usage(&format!("{name} must be configured: {why}. `offboard sources {name}` shows what to configure"))
        })
    }

    /// Asks, unless nothing is to be sent. Says so if nothing is.
    fn may_send(&self) -> anyhow::Result<bool> {
        if let Some(to) = self.to.as_ref().filter(|_| !self.print_curl && !self.print_event)
            && !self.is_confirmed(to)?
        {
            Screen::new(self.configured.json).line("nothing was sent");
            return Ok(false);
        }
        Ok(true)
    }

    /// Asks before anything is sent beyond this machine.
    fn is_confirmed(&self, to: &BaseUrl) -> anyhow::Result<bool> {
        if self.yes || to.is_loopback() {
            return Ok(true);
        }
        let (sample, host) = (&self.sample, to.url().host_str().unwrap_or_default());
        if !stdin().is_terminal() {
            wrong_usage(&format!("sending to {host} needs --yes where no terminal is there to ask on"));
        }
        let warning = "a live function removes the person's accounts";
        asked(&format!("send a {sample} of {} to {host}? Mind that {warning}. [y/N] ", self.email)).map_err(Error::msg)
    }

    async fn send(&self, delivery: &Delivery, url: &str) -> anyhow::Result<ExitCode> {
        let reply = delivery.send(url).await.map_err(Error::msg)?;
        let answer = reply.json();
        let screen = Screen::new(self.configured.json);
        screen.line(&format!("HTTP {}, {} ms", reply.status, reply.elapsed.as_millis()));
        for departure in answer["departures"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            screen.line(&format!("{}: {}", text(&departure["id"]), text(&departure["status"])));
            screen.show(&screen.outcomes(departure["providers"].as_array().map(Vec::as_slice).unwrap_or_default()));
        }
        if answer["departures"].is_null() {
            screen.line(&match (&answer, reply.text.as_str()) {
                (Value::Null, "") => {
                    "the answer is empty: `offboard departures list` shows what was recorded".to_owned()
                }
                (Value::Null, text) => text.to_owned(),
                _ => format!("{answer:#}"),
            });
        }
        if self.configured.json {
            print(&reply.text);
        }
        Ok(if (200..300).contains(&reply.status) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The webhook's address: as given, or below the address of an API.
    fn webhook(&self, to: &Url) -> Url {
        let mut url = to.clone();
        if !to.path().contains("/webhooks/") {
            url.set_path(&format!("{}/webhooks/{}", to.path().trim_end_matches('/'), self.source));
        }
        url
    }

    fn event(&self, delivery: Delivery, now: OffsetDateTime) -> serde_json::Value {
        let Delivery { headers, body } = delivery;
        let path = format!("/webhooks/{}", self.source);
        let request = Request { method: "POST".into(), path, query: String::new(), headers, body };
        envelope::event(&request, "sample", now)
    }

    async fn signing_secret(&self, config: &Config, source: &Source) -> anyhow::Result<SecretString> {
        if let Some(secret) = variable(SECRET_VARIABLE) {
            return Ok(secret.into());
        }
        let instead = |why: Error| anyhow!("{why:#}\nset {SECRET_VARIABLE} to sign without the secret store");
        let name = source.secret().ok_or_else(|| {
            anyhow!("{} publishes its keys: set {SECRET_VARIABLE} to a private key in PEM of one of them", source.name)
        })?;
        let secrets = secret_store(config, vec![name.to_owned()]).await.map_err(instead)?;
        let found = secrets.get(name).await?;
        let (one, many) = source.scheme.secret_keys();
        let first = found.and_then(|secret| secret.texts(one, many).remove(0).text);
        first.map_err(|error| instead(error.into()))
    }
}

//! `offboard send` to a SCIM source: creates, updates, disables or deletes a user, as an identity provider does.

use std::process::ExitCode;

use anyhow::{Error, anyhow};
use offboard::{
    config::{duration_in_words, suggestion},
    source::{SCIM_SAMPLES, Source},
};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::Send;
use crate::stack::wrong_usage;
use offboard_sandbox::{
    delivery::{Delivery, Reply},
    envelope::{self, Request},
    screen::{Screen, print},
};

/// One request, below the source's endpoint.
struct Step {
    method: Method,
    path: String,
    body: Value,
}

/// A client of one source's endpoint.
struct Client<'a> {
    send: &'a Send,
    source: &'a Source,
    token: &'a SecretString,
}

/// Sends what the sample's name says, or prints it.
pub(super) async fn run(send: &Send, source: &Source, token: &SecretString) -> anyhow::Result<ExitCode> {
    if !SCIM_SAMPLES.contains(&send.sample.as_str()) {
        let known = suggestion(&send.sample, &SCIM_SAMPLES);
        wrong_usage(&format!("{} is not a sample of a SCIM source: {known}", send.sample));
    }
    let client = Client { send, source, token };
    if send.print_curl || send.print_event {
        client.print()?;
        return Ok(ExitCode::SUCCESS);
    }
    if !send.may_send()? {
        return Ok(ExitCode::SUCCESS);
    }
    let step = match send.sample.as_str() {
        "created" => client.create(),
        sample => {
            let Some(id) = client.user(sample == "departure").await? else {
                Screen::new(send.configured.json).line(&format!("{} has no user {}", source.name, send.email));
                return Ok(ExitCode::FAILURE);
            };
            change(sample, &id)
        }
    };
    let reply = client.request(&step).await?;
    client.show(&step, &reply);
    Ok(if (200..300).contains(&reply.status) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The request about a user who is there.
fn change(sample: &str, id: &str) -> Step {
    let path = format!("/Users/{id}");
    let patch = |attribute: &str, value: Value| {
        let operations = json!([{ "op": "replace", "path": attribute, "value": value }]);
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
    };
    let (method, body) = match sample {
        "deleted" => (Method::DELETE, Value::Null),
        "updated" => (Method::PATCH, patch("displayName", "A sample user".into())),
        _ => (Method::PATCH, patch("active", false.into())),
    };
    Step { method, path, body }
}

impl Client<'_> {
    fn create(&self) -> Step {
        let email = self.send.email.expose();
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": email,
            "externalId": self.send.person_id,
            "active": true,
            "emails": [{ "value": email, "type": "work", "primary": true }],
        });
        Step { method: Method::POST, path: "/Users".to_owned(), body }
    }

    /// Returns the id of the person's user; one that was created now, if there is none and `may_create`.
    async fn user(&self, may_create: bool) -> anyhow::Result<Option<String>> {
        let name = json!(self.send.email.expose()).to_string();
        let filter: String = form_urlencoded::byte_serialize(format!("userName eq {name}").as_bytes()).collect();
        let find = Step { method: Method::GET, path: format!("/Users?filter={filter}"), body: Value::Null };
        let found = self.succeeded(&find).await?;
        let id = |user: &Value| user["id"].as_str().map(str::to_owned);
        match id(&found["Resources"][0]) {
            None if may_create => Ok(id(&self.succeeded(&self.create()).await?)),
            known => Ok(known),
        }
    }

    async fn succeeded(&self, step: &Step) -> anyhow::Result<Value> {
        let reply = self.request(step).await?;
        match reply.status {
            200 | 201 => Ok(reply.json()),
            status => Err(anyhow!("{} /Users was answered {status}: {}", step.method, reply.text)),
        }
    }

    async fn request(&self, step: &Step) -> anyhow::Result<Reply> {
        let delivery = self.delivery(step)?;
        delivery.send_by(step.method.clone(), &self.url(step)).await.map_err(Error::msg)
    }

    fn delivery(&self, step: &Step) -> anyhow::Result<Delivery> {
        let body = if step.body.is_null() { String::new() } else { step.body.to_string() };
        let media_type = vec![("content-type".to_owned(), "application/scim+json".to_owned())];
        Delivery::sign(self.source, self.token, "", media_type, body.as_bytes()).map_err(Error::msg)
    }

    fn path(&self, step: &Step) -> String {
        self.source.protocol.path(&self.send.source) + &step.path
    }

    /// The request's URL: below the endpoint as given, or below the URL of an API.
    fn url(&self, step: &Step) -> String {
        let Some(to) = &self.send.to else { return self.path(step) };
        let base = to.url().as_str().trim_end_matches('/');
        if to.url().path().contains("/scim/v2/") {
            format!("{base}{}", step.path)
        } else {
            format!("{base}{}", self.path(step))
        }
    }

    /// Prints the request. One about a user needs the id, which is not known without asking.
    fn print(&self) -> anyhow::Result<()> {
        let step = match (self.send.sample.as_str(), &self.send.person_id) {
            ("created", _) => self.create(),
            (sample, Some(id)) => change(sample, id),
            (sample, None) => wrong_usage(&format!(
                "`{sample}` is about a user of {}, whose id is not known here: name it with --person-id, or print --sample created",
                self.source.name
            )),
        };
        let delivery = self.delivery(&step)?;
        if self.send.print_curl {
            print(&delivery.curl_by(&step.method, &self.url(&step)));
            return Ok(());
        }
        let Delivery { headers, body } = delivery;
        let (method, path) = (step.method.to_string(), self.path(&step));
        let request = Request { method, path, query: String::new(), headers, body };
        print(&format!("{:#}", envelope::event(&request, "sample", OffsetDateTime::now_utc())));
        Ok(())
    }

    fn show(&self, step: &Step, reply: &Reply) {
        let screen = Screen::new(self.send.configured.json);
        screen.line(&format!("{}: HTTP {}, {} ms", step.method, reply.status, reply.elapsed.as_millis()));
        let answer = reply.json();
        if let Some(id) = answer["id"].as_str() {
            screen.line(&format!("user {id}, active: {}", answer["active"]));
        } else if !reply.text.is_empty() {
            screen.line(&format!("{answer:#}"));
        }
        if self.send.sample == "departure" || self.send.sample == "deleted" {
            let settle = duration_in_words(self.source.settle);
            screen.line(&format!(
                "a departure waits for {settle} (`settle`), and is held right after a creation: offboard departures list"
            ));
        }
        if self.send.configured.json {
            print(&reply.text);
        }
    }
}

//! The least that a function can do for a departure: the calls that offboard makes, and no judgement.
//!
//! It authenticates, removes, looks again and answers, and does nothing else: no retry, no time-out, no record (unless
//! `table` is set, then two writes), no check that an account is the person's beyond its address, no log. Requests to AWS
//! bear a signature's form without being signed.

mod client;
mod vendors;

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Context, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use ring::hmac;
use serde::Deserialize;
use serde_json::{Value, json};

use client::{Host, Tls};
use vendors::Provider;

/// Secrets of one call.
const BATCH: usize = 20;

#[derive(Deserialize)]
struct Config {
    secret: String,
    providers: Vec<ProviderConfig>,
    table: Option<String>,
}

#[derive(Deserialize)]
struct ProviderConfig {
    name: String,
    kind: String,
    url: String,
    secret: String,
    account: String,
    organization: String,
}

/// What outlives a delivery.
struct Function {
    key: hmac::Key,
    providers: Vec<Provider>,
    ledger: Option<Ledger>,
}

struct Ledger {
    table: String,
    host: Host,
}

#[derive(Deserialize)]
struct Departure {
    id: String,
    email: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let runtime = Host::new(&format!("http://{}", variable("AWS_LAMBDA_RUNTIME_API")?), None)?;
    let authority = std::env::var_os("BENCH_AUTHORITY").map(PathBuf::from);
    let tls = authority.map(|path| client::tls(&path)).transpose()?;
    let function = Function::start(&variable, tls.as_ref()).await?;
    loop {
        let (headers, body) = runtime.get("/2018-06-01/runtime/invocation/next", &[]).await?.whole().await?;
        let id = headers.get("lambda-runtime-aws-request-id").context("no request id")?.to_str()?.to_owned();
        let event: Value = serde_json::from_slice(&body)?;
        let (status, answer) = match function.deliver(&event).await {
            Ok(answer) => (200, answer),
            Err(error) => (500, json!({ "error": format!("{error:#}") })),
        };
        let answer = json!({
            "statusCode": status, "headers": {"content-type": "application/json"},
            "body": answer.to_string(), "isBase64Encoded": false,
        });
        let path = format!("/2018-06-01/runtime/invocation/{id}/response");
        runtime.send("POST", &path, &[], answer.to_string()).await?.whole().await?;
    }
}

impl Function {
    async fn start(variable: &dyn Fn(&str) -> Result<String>, tls: Option<&Tls>) -> Result<Self> {
        let config: Config = serde_json::from_slice(&std::fs::read(variable("BENCH_CONFIG")?)?)?;
        let manager = Host::new(&variable("AWS_ENDPOINT_URL_SECRETS_MANAGER")?, tls)?;
        let names: Vec<&str> = [&config.secret]
            .into_iter()
            .chain(config.providers.iter().map(|one| &one.secret))
            .map(String::as_str)
            .collect();
        let batches = names.chunks(BATCH).map(|names| secrets(&manager, names));
        let secrets: HashMap<String, Value> = try_join_all(batches).await?.into_iter().flatten().collect();
        let secret = |name: &str| secrets.get(name).with_context(|| format!("no secret {name}"));
        let key = secret(&config.secret)?["signing_secret"].as_str().context("no signing secret")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        let providers = config.providers.iter().map(|one| Provider::new(one, secret(&one.secret)?, tls));
        let providers = providers.collect::<Result<Vec<_>>>()?;
        let ledger = match config.table {
            Some(table) => Some(Ledger { table, host: Host::new(&variable("AWS_ENDPOINT_URL_DYNAMODB")?, tls)? }),
            None => None,
        };
        Ok(Self { key, providers, ledger })
    }

    async fn deliver(&self, event: &Value) -> Result<Value> {
        let body = event["body"].as_str().context("no body")?;
        let signature = event["headers"]["x-hr-signature"].as_str().context("no signature")?;
        let signature = hex::decode(signature.strip_prefix("sha256=").context("no prefix")?)?;
        ensure!(hmac::verify(&self.key, body.as_bytes(), &signature).is_ok(), "the signature is wrong");
        let mut body: Value = serde_json::from_str(body)?;
        let departures: Vec<Departure> = serde_json::from_value(body["events"].take())?;
        let departures = join_all(departures.iter().map(|departure| self.remove(departure))).await;
        Ok(json!({ "departures": departures }))
    }

    /// Removes one person everywhere, all providers at once.
    async fn remove(&self, departure: &Departure) -> Value {
        if let Some(ledger) = &self.ledger
            && ledger.begin(&departure.id).await.is_err()
        {
            return json!({ "id": departure.id, "providers": [] });
        }
        let removals = self.providers.iter().map(|provider| async move {
            let outcome = match provider.remove(&departure.email).await {
                Ok(()) => "deleted",
                Err(_) => "failed",
            };
            json!({ "provider": provider.name, "outcome": outcome })
        });
        let providers = join_all(removals).await;
        if let Some(ledger) = &self.ledger
            && ledger.end(&departure.id, &providers).await.is_err()
        {
            return json!({ "id": departure.id, "providers": [] });
        }
        json!({ "id": departure.id, "providers": providers })
    }
}

/// Reads secrets of one batch: name and value.
async fn secrets(manager: &Host, names: &[&str]) -> Result<Vec<(String, Value)>> {
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "secretsmanager.BatchGetSecretValue"),
        ("authorization", "AWS4-HMAC-SHA256 Credential=bench/20260115/eu-central-1/secretsmanager/aws4_request"),
    ];
    let answer = manager.send("POST", "/", &headers, json!({ "SecretIdList": names }).to_string()).await?;
    let answer = answer.json().await?;
    let values = answer["SecretValues"].as_array().context("no secrets")?.iter();
    values
        .map(|value| {
            let (name, text) = (value["Name"].as_str().context("no name")?, value["SecretString"].as_str());
            Ok((name.to_owned(), serde_json::from_str(text.context("no text")?)?))
        })
        .collect()
}

impl Ledger {
    /// Notes that a departure is worked on, unless it was.
    async fn begin(&self, id: &str) -> Result<()> {
        self.update(json!({
            "TableName": self.table, "Key": {"id": {"S": id}},
            "UpdateExpression": "SET #state = :state", "ConditionExpression": "attribute_not_exists(#state)",
            "ExpressionAttributeNames": {"#state": "state"}, "ExpressionAttributeValues": {":state": {"S": "pending"}},
        }))
        .await
    }

    /// Notes what came of it.
    async fn end(&self, id: &str, providers: &[Value]) -> Result<()> {
        let outcomes = json!(providers).to_string();
        self.update(json!({
            "TableName": self.table, "Key": {"id": {"S": id}},
            "UpdateExpression": "SET #state = :state, #outcomes = :outcomes",
            "ExpressionAttributeNames": {"#state": "state", "#outcomes": "outcomes"},
            "ExpressionAttributeValues": {":state": {"S": "done"}, ":outcomes": {"S": outcomes}},
        }))
        .await
    }

    async fn update(&self, update: Value) -> Result<()> {
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", "DynamoDB_20120810.UpdateItem"),
            ("authorization", "AWS4-HMAC-SHA256 Credential=bench/20260115/eu-central-1/dynamodb/aws4_request"),
        ];
        let answer = self.host.send("POST", "/", &headers, update.to_string()).await?;
        ensure!(answer.status() == 200, "not written");
        answer.whole().await.map(drop)
    }
}

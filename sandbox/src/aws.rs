//! Mock services of AWS.

pub mod cloudformation;
pub mod dynamodb;
pub mod event_bridge;
pub mod lambda_runtime;
pub mod s3;
pub mod secrets_manager;
pub mod sqs;
pub mod sts;

use std::{io, net::IpAddr};

use dynamodb::DynamoDb;
use event_bridge::EventBridge;
use secrets_manager::SecretsManager;
use serde_json::json;
use sqs::Sqs;
use sts::Sts;

use crate::mock::{Answer, Call, MockServer, Unknown, Watched};

/// The account of everything here.
pub const ACCOUNT: &str = "123456789012";
/// The region of everything here.
pub const REGION: &str = "eu-central-1";

const TABLE: &str = "offboard";

/// What the function and the command line use of AWS.
pub struct Aws {
    /// Secrets Manager.
    pub secrets: MockServer<SecretsManager>,
    /// DynamoDB, with the ledger's table.
    pub dynamodb: MockServer<DynamoDb>,
    /// SQS, with the queue of work messages.
    pub sqs: MockServer<Sqs>,
    /// EventBridge, with the bus of notifications.
    pub events: MockServer<EventBridge>,
    sts: MockServer<Sts>,
}

impl Aws {
    /// Starts all of them: no secret, an empty table, an empty queue.
    pub async fn start(host: IpAddr) -> io::Result<Self> {
        Ok(Self {
            secrets: MockServer::start("secretsmanager", host, SecretsManager::default()).await?,
            dynamodb: MockServer::start("dynamodb", host, DynamoDb::new(TABLE)).await?,
            sqs: MockServer::start("sqs", host, Sqs::default()).await?,
            events: MockServer::start("events", host, EventBridge::default()).await?,
            sts: MockServer::start("sts", host, Sts { user: "sandbox" }).await?,
        })
    }

    /// The variables with which the function and the command line find them.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let queue = |name: &str| Sqs::url(&self.sqs.url(""), name);
        vec![
            ("OFFBOARD_LEDGER_TABLE", TABLE.into()),
            ("OFFBOARD_QUEUE_URL", queue(Sqs::QUEUE)),
            ("OFFBOARD_DEAD_LETTER_QUEUE_URL", queue(Sqs::DEAD_LETTERS)),
            ("OFFBOARD_EVENT_BUS", EventBridge::BUS.into()),
            ("OFFBOARD_EVENT_QUEUE_ARN", sqs::arn(Sqs::EVENTS)),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets.url("")),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.url("")),
            ("AWS_ENDPOINT_URL_SQS", self.sqs.url("")),
            ("AWS_ENDPOINT_URL_EVENTBRIDGE", self.events.url("")),
            ("AWS_ENDPOINT_URL_STS", self.sts.url("")),
            ("AWS_REGION", REGION.into()),
            ("AWS_ACCESS_KEY_ID", "sandbox".into()),
            ("AWS_SECRET_ACCESS_KEY", "sandbox".into()),
        ]
    }

    /// The calls that they did not know.
    pub fn unknown(&self) -> Vec<String> {
        let all: [&dyn Watched; 5] = [&self.secrets, &self.dynamodb, &self.sqs, &self.events, &self.sts];
        all.into_iter().flat_map(Watched::unknown).collect()
    }
}

/// Checks that a call goes to the root and is signed for this service. Only the signature's form is checked: the caller may
/// have real keys.
fn signed_for(call: &Call, service: &str) -> Result<(), Unknown> {
    let (method, path) = call.route();
    if method != "POST" || path != [""] {
        return Err(Unknown::call());
    }
    call.query(&[])?;
    signature(call, service).map(drop)
}

/// Returns the names of the headers that a call signs for this service.
fn signature<'a>(call: &'a Call, service: &str) -> Result<Vec<&'a str>, Unknown> {
    let signature = call.header("authorization")?;
    let scope = format!("/{service}/aws4_request");
    if !signature.starts_with("AWS4-HMAC-SHA256 Credential=") || !signature.contains(&scope) {
        return Err(Unknown("not signed with AWS Signature Version 4".into()));
    }
    let names = signature.split_once("SignedHeaders=").and_then(|(_, rest)| rest.split(',').next());
    Ok(names.unwrap_or_default().split(';').collect())
}

/// An error of a service that speaks JSON.
fn refusal(kind: &str, message: &str) -> Answer {
    Answer::json(400, json!({ "__type": kind, "Message": message }))
}

//! A function with two sources and one product, the envelopes of its front doors, and signed deliveries.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use crate::support::{Double, Function, Reply, Vault, v2};

pub const EMAIL: &str = "lee@example.com";
pub const KEY: &str = "hr-signing-key-1";
pub const TOKEN: &str = "instaply-token-1";

/// A function with one source without a timestamp, one with, and one provider; and what they talk to.
pub struct World {
    pub function: Function,
    pub vault: Vault,
    pub provider: Double,
}

pub const CONFIG: &str = r#"
[policy]
protected = ["root@example.com"]
[sources.hr]
kind = "hmac"
signature = { header = "x-hr-signature", prefix = "sha256=" }
event = { id = "/id", type = "/event", departures = ["employee.terminated"], occurred_at = "/at" }
person = { email = "/data/email" }
[sources.workos]
kind = "workos"
[providers.instaply]
kind = "instaply"
"#;

impl World {
    pub async fn new() -> Self {
        Self::with("", "", &[]).await
    }

    /// `head` goes before the configuration, `tail` after its last provider's `base_url`.
    pub async fn with(head: &str, tail: &str, environment: &[(&str, &str)]) -> Self {
        let (vault, secrets) = Vault::start().await;
        let (provider, address) = Double::start().await;
        vault.put("offboard/sources/hr", &json!({"signing_secret": KEY}).to_string());
        vault.put("offboard/sources/workos", r#"{"signing_secret": "workos-signing-key-1"}"#);
        vault.put("offboard/providers/instaply", &json!({"token": TOKEN}).to_string());
        let config = format!("{head}{CONFIG}base_url = \"{address}\"\n{tail}");
        Self { function: Function::start(&config, &secrets, environment).await, vault, provider }
    }

    /// What the provider says of somebody who is there: deleted, and then gone.
    pub fn is_there(&self) -> &Self {
        self.provider
            .then(200, json!({"status": "success", "deletedUserId": "1388838", "email": EMAIL}))
            .then(404, json!({"error": "User not found in organization"}));
        self
    }

    pub fn is_absent(&self) -> &Self {
        self.provider.then(404, json!({"error": "User not found in organization"}));
        self
    }

    pub async fn deliver(&mut self, body: &str) -> Reply {
        self.function.request(v2("hr", &[("x-hr-signature", &sign(KEY, body))], body)).await
    }
}

pub fn body() -> String {
    event("evt-1")
}

pub fn event(id: &str) -> String {
    json!({"id": id, "event": "employee.terminated", "data": {"email": EMAIL}}).to_string()
}

pub fn sign(key: &str, body: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// An API Gateway REST API's envelope (payload 1.0).
pub fn v1(headers: &[(&str, &[&str])], body: &str) -> Value {
    let single: serde_json::Map<_, _> =
        headers.iter().map(|(name, values)| ((*name).to_owned(), json!(values.last()))).collect();
    let multiple: serde_json::Map<_, _> =
        headers.iter().map(|(name, values)| ((*name).to_owned(), json!(values))).collect();
    json!({
        "resource": "/webhooks/{source}", "path": "/webhooks/hr", "httpMethod": "POST",
        "headers": single, "multiValueHeaders": multiple, "queryStringParameters": null,
        "multiValueQueryStringParameters": null, "pathParameters": {"source": "hr"}, "stageVariables": null,
        "requestContext": {
            "accountId": "123456789012", "apiId": "api", "domainName": "api.execute-api.eu-west-1.amazonaws.com",
            "httpMethod": "POST", "path": "/prod/webhooks/hr", "stage": "prod", "requestId": "id", "resourceId": "r",
            "resourcePath": "/webhooks/{source}", "identity": {"sourceIp": "192.0.2.1"}
        },
        "body": body, "isBase64Encoded": false
    })
}

/// An Application Load Balancer's envelope.
pub fn alb(headers: &[(&str, &str)], body: &str) -> Value {
    let headers: serde_json::Map<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/offboard/6d0ecf831eec9f09"}},
        "httpMethod": "POST", "path": "/webhooks/hr", "queryStringParameters": {}, "headers": headers,
        "body": body, "isBase64Encoded": false
    })
}

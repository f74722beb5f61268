//! Mock services of AWS.

pub mod dynamodb;
pub mod lambda_runtime;
pub mod secrets_manager;
pub mod sqs;
pub mod sts;

use serde_json::json;

use crate::mock::{Answer, Call, Unknown};

/// The account of everything here.
pub const ACCOUNT: &str = "123456789012";
/// The region of everything here.
pub const REGION: &str = "eu-central-1";

/// Checks that a call goes to the root and is signed for this service. Only the signature's form is checked: the caller may
/// have real keys.
fn signed_for(call: &Call, service: &str) -> Result<(), Unknown> {
    let (method, path) = call.route();
    if method != "POST" || path != [""] {
        return Err(Unknown::call());
    }
    call.query(&[])?;
    let signature = call.header("authorization")?;
    let scope = format!("/{service}/aws4_request");
    match signature.starts_with("AWS4-HMAC-SHA256 Credential=") && signature.contains(&scope) {
        true => Ok(()),
        false => Err(Unknown("not signed with AWS Signature Version 4".into())),
    }
}

/// An error of a service that speaks JSON.
fn refusal(kind: &str, message: &str) -> Answer {
    Answer::json(400, json!({ "__type": kind, "Message": message }))
}

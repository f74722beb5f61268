//! AWS Secrets Manager, as far as reading goes:
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html>.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ACCOUNT, REGION, refusal, signed_for};
use crate::mock::{Answer, Call, Service, Unknown};

const MEDIA_TYPE: &str = "application/x-amz-json-1.1";
const AT_MOST: usize = 20;

/// The secrets of one account and region.
#[derive(Default)]
pub struct SecretsManager {
    secrets: BTreeMap<String, Secret>,
    /// What was read: `batch N`, or `NAME STAGE`; `refused` while it is down.
    pub reads: Vec<String>,
    /// Whether every call fails.
    pub is_down: bool,
}

struct Secret {
    version: u32,
    current: String,
    previous: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Batch {
    secret_id_list: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Get {
    secret_id: String,
    version_stage: Option<String>,
}

impl SecretsManager {
    /// Stores a new version as the current one; the one before stays as the previous one. Nothing checks that it is JSON.
    pub fn put(&mut self, name: &str, value: impl ToString) {
        let before = self.secrets.remove(name);
        let version = before.as_ref().map_or(1, |secret| secret.version + 1);
        let previous = before.map(|secret| secret.current);
        self.secrets.insert(name.into(), Secret { version, current: value.to_string(), previous });
    }

    /// Removes a secret, with all its versions.
    pub fn remove(&mut self, name: &str) {
        self.secrets.remove(name);
    }

    /// Every string in every version: what must never be seen anywhere else.
    pub fn values(&self) -> Vec<String> {
        let versions =
            self.secrets.values().flat_map(|secret| secret.previous.iter().chain(std::iter::once(&secret.current)));
        let objects = versions.filter_map(|text| serde_json::from_str::<BTreeMap<String, Value>>(text).ok());
        objects.flat_map(BTreeMap::into_values).filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    fn batch(&mut self, call: &Call) -> Result<Answer, Unknown> {
        let Batch { secret_id_list } = call.json(MEDIA_TYPE)?;
        if !(1..=AT_MOST).contains(&secret_id_list.len()) {
            let text = "Member must have length less than or equal to 20";
            return Ok(refusal("ValidationException", text));
        }
        self.reads.push(format!("batch {}", secret_id_list.len()));
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for id in &secret_id_list {
            match self.find(id) {
                Some((name, secret)) => values.push(secret.shown(name, false)),
                None => errors.push(json!({ "SecretId": id,
                    "ErrorCode": "ResourceNotFoundException", "Message": NOT_FOUND })),
            }
        }
        Ok(Answer::json(200, json!({ "SecretValues": values, "Errors": errors })))
    }

    fn get(&mut self, call: &Call) -> Result<Answer, Unknown> {
        let Get { secret_id, version_stage } = call.json(MEDIA_TYPE)?;
        let stage = version_stage.as_deref().unwrap_or("AWSCURRENT");
        self.reads.push(format!("{secret_id} {stage}"));
        let previous = match stage {
            "AWSCURRENT" => false,
            "AWSPREVIOUS" => true,
            stage => return Err(Unknown(format!("version stage {stage}"))),
        };
        let Some((name, secret)) = self.find(&secret_id) else {
            return Ok(refusal("ResourceNotFoundException", NOT_FOUND));
        };
        if previous && secret.previous.is_none() {
            let text = "Secrets Manager can't find the specified secret value for staging label: \
                AWSPREVIOUS";
            return Ok(refusal("ResourceNotFoundException", text));
        }
        Ok(Answer::json(200, secret.shown(name, previous)))
    }

    fn find(&self, id: &str) -> Option<(&str, &Secret)> {
        let mut all = self.secrets.iter();
        all.find(|(name, _)| *name == id || arn(name) == id).map(|(name, found)| (&**name, found))
    }
}

impl Service for SecretsManager {
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown> {
        signed_for(call, "secretsmanager")?;
        if self.is_down {
            self.reads.push("refused".into());
            return Ok(Answer::json(500, json!({ "__type": "InternalServiceError" })));
        }
        let answer = match call.header("x-amz-target")? {
            "secretsmanager.BatchGetSecretValue" => self.batch(call)?,
            "secretsmanager.GetSecretValue" => self.get(call)?,
            target => return Err(Unknown(format!("target {target}"))),
        };
        Ok(answer.with("content-type", MEDIA_TYPE).with("x-amzn-requestid", call.request_id()))
    }
}

impl Secret {
    fn shown(&self, name: &str, previous: bool) -> Value {
        let (value, version, stage) = match &self.previous {
            Some(value) if previous => (value, self.version - 1, "AWSPREVIOUS"),
            _ => (&self.current, self.version, "AWSCURRENT"),
        };
        json!({
            "ARN": arn(name), "Name": name, "SecretString": value,
            "VersionId": format!("00000000-0000-4000-8000-{version:012}"),
            "VersionStages": [stage], "CreatedDate": 1_767_225_600.0,
        })
    }
}

const NOT_FOUND: &str = "Secrets Manager can't find the specified secret.";

fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-SandBx")
}

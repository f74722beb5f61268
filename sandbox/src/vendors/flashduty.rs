//! Flashduty: <https://docs.flashcat.cloud/en/flashduty/openapi/member>.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::mock::{Answer, Call, Service, Unknown};

/// A Flashduty account.
pub struct Flashduty {
    /// The key of the query.
    pub app_key: String,
    /// Its members.
    pub members: Vec<Member>,
}

/// A member of a Flashduty account.
pub struct Member {
    /// Its number.
    pub id: u64,
    /// Its address.
    pub email: String,
    /// The schedules that still name this member.
    pub schedules: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    p: usize,
    limit: usize,
    query: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delete {
    member_id: Option<u64>,
    email: Option<String>,
    ref_id: Option<String>,
    #[serde(default)]
    is_force: bool,
}

impl Service for Flashduty {
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown> {
        let (method, path) = call.route();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let listing = match (method, path.as_slice()) {
            ("POST", ["member", "list"]) => true,
            ("POST", ["member", "delete"]) => false,
            _ => return Err(Unknown::call()),
        };
        let key = call.query(&["app_key"])?.remove("app_key");
        if key.ok_or_else(|| Unknown("no app_key".into()))? != self.app_key {
            return Ok(refusal(call, 401, "Unauthorized", json!({})));
        }
        if listing { self.list(call) } else { self.delete(call) }
    }

    fn members(&self) -> Vec<String> {
        self.members.iter().map(|member| member.email.clone()).collect()
    }
}

impl Flashduty {
    fn list(&self, call: &Call) -> Result<Answer, Unknown> {
        let List { p, limit, query } = call.json("application/json")?;
        if p == 0 || !(1..=100).contains(&limit) || p * limit > 10_000 {
            return Ok(refusal(call, 400, "InvalidParameter", json!({})));
        }
        // A substring of the address, as at the vendor: neighbors come along.
        let query = query.unwrap_or_default().to_lowercase();
        let found = self.members.iter().filter(|member| member.email.contains(&query));
        let found: Vec<Value> = found.map(Member::shown).collect();
        let items: Vec<_> = found.iter().skip((p - 1) * limit).take(limit).collect();
        let data = json!({ "p": p, "limit": limit, "total": found.len(), "items": items });
        Ok(envelope(call, 200, json!({ "data": data })))
    }

    fn delete(&mut self, call: &Call) -> Result<Answer, Unknown> {
        let asked: Delete = call.json("application/json")?;
        let named = |member: &Member| match (asked.member_id, &asked.email, &asked.ref_id) {
            (Some(id), None, None) => Ok(member.id == id),
            (None, Some(email), None) => Ok(member.email.eq_ignore_ascii_case(email)),
            (None, None, Some(_)) => Ok(false),
            _ => Err(Unknown("not exactly one of member_id, email, ref_id".into())),
        };
        let mut position = None;
        for (index, member) in self.members.iter().enumerate() {
            if named(member)? {
                position = Some(index);
            }
        }
        let Some(position) = position else {
            return Ok(refusal(call, 400, "ResourceNotFound", json!({})));
        };
        let schedules = &self.members[position].schedules;
        if !schedules.is_empty() && !asked.is_force {
            let refs: Vec<Value> = schedules.iter().map(|name| reference(name)).collect();
            return Ok(refusal(call, 400, "ReferenceExist", json!({ "refs": refs })));
        }
        self.members.remove(position);
        Ok(envelope(call, 200, json!({ "data": {} })))
    }
}

impl Member {
    fn shown(&self) -> Value {
        let name = self.email.split('@').next();
        json!({
            "member_id": self.id, "member_name": name, "email": self.email, "phone": "",
            "status": "enabled", "is_external": false, "ref_id": "", "account_role_ids": [1],
            "created_at": 1_767_225_600, "updated_at": 1_767_225_600,
        })
    }
}

fn reference(name: &str) -> Value {
    json!({ "kind": "schedule", "name": name, "href": "/oncall/schedule/4201" })
}

fn refusal(call: &Call, status: u16, code: &str, data: Value) -> Answer {
    // The real message comes in the account's language: only the code counts.
    let mut body = json!({ "error": { "code": code, "message": "The operation is not allowed" } });
    if data != json!({}) {
        body["data"] = data;
    }
    envelope(call, status, body)
}

fn envelope(call: &Call, status: u16, mut body: Value) -> Answer {
    let id = call.request_id();
    body["request_id"] = json!(id);
    Answer::json(status, body).with("flashcat-request-id", id)
}

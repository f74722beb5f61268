//! Aerospike Cloud: <https://aerospike.com/docs/cloud/api/>, and its authorization server.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::mock::{Answer, Call, Service, Unknown};

/// An Aerospike Cloud organization and the server that issues its access tokens.
pub struct AerospikeCloud {
    /// The client of the client-credentials grant.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// The tokens issued so far; no other is accepted.
    pub issued: Vec<String>,
    /// Its members.
    pub members: Vec<Member>,
}

/// A member of an organization.
pub struct Member {
    /// The UUID by which the member is removed.
    pub id: String,
    /// The member's address.
    pub email: String,
    /// Only the vendor's support can remove an owner.
    pub owner: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    client_id: String,
    client_secret: String,
    grant_type: String,
}

impl Service for AerospikeCloud {
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown> {
        let (method, path) = call.route();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match (method, path.as_slice()) {
            ("POST", ["oauth", "token"]) => self.issue(call),
            ("GET", ["v2", "organization", "members"]) => {
                call.query(&["limit", "offset"])?;
                self.authorized(call, |organization| organization.list())
            }
            ("DELETE", ["v2", "organization", "members", id]) => {
                call.query(&[])?;
                self.authorized(call, |organization| organization.delete(id))
            }
            _ => Err(Unknown::call()),
        }
    }

    fn members(&self) -> Vec<String> {
        self.members.iter().map(|member| member.email.clone()).collect()
    }
}

impl AerospikeCloud {
    fn issue(&mut self, call: &Call) -> Result<Answer, Unknown> {
        call.query(&[])?;
        let grant: Grant = call.json("application/json")?;
        if grant.grant_type != "client_credentials" {
            return Err(Unknown(format!("grant type {}", grant.grant_type)));
        }
        if grant.client_id != self.client_id || grant.client_secret != self.client_secret {
            let body = json!({ "error": "access_denied", "error_description": "Unauthorized" });
            return Ok(Answer::json(401, body));
        }
        let token = format!("sandbox-access-token-{}", call.request_id());
        self.issued.push(token.clone());
        let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 28_800,
            "scope": "read:org update:org" });
        Ok(Answer::json(200, body))
    }

    fn authorized(&mut self, call: &Call, answer: impl FnOnce(&mut Self) -> Answer) -> Result<Answer, Unknown> {
        call.no_body()?;
        let token = call.header("authorization")?.strip_prefix("Bearer ");
        let token = token.ok_or_else(|| Unknown("authorization is not a bearer token".into()))?;
        let answer = if self.issued.iter().any(|issued| issued == token) {
            answer(self)
        } else {
            // The older of the two generations of errors.
            Answer::json(401, json!({ "code": "invalid_token", "message": "invalid token" }))
        };
        Ok(answer.with("x-request-id", call.request_id()))
    }

    /// Everybody, each time: the vendor ignores `limit` and `offset`.
    fn list(&self) -> Answer {
        let members: Vec<Value> = self.members.iter().map(Member::shown).collect();
        let meta = json!({ "total": members.len(), "limit": members.len(), "offset": 0 });
        Answer::json(200, json!({ "count": members.len(), "meta": meta, "members": members }))
    }

    fn delete(&mut self, id: &str) -> Answer {
        let Some(position) = self.members.iter().position(|member| member.id == id) else {
            return failure(404, "resource:not-found", "Resource not found");
        };
        if self.members[position].owner {
            return failure(403, "auth:unauthorized", "The owner cannot be removed");
        }
        self.members.remove(position);
        Answer::empty(204)
    }
}

impl Member {
    fn shown(&self) -> Value {
        let role = if self.owner { "owner" } else { "member" };
        json!({ "id": self.id, "email": self.email, "roles": [role],
            "createdAt": "2026-01-01T00:00:00Z" })
    }
}

/// A problem document (RFC 9457), the newer of the two generations of errors.
pub fn failure(status: u16, kind: &str, title: &str) -> Answer {
    let kind = format!("urn:aerospike:errors:{kind}");
    let body = json!({ "type": kind, "title": title, "status": status });
    Answer::json(status, body).with("content-type", "application/problem+json")
}

//! Instaply: delete user by e-mail. There is no look-up.

use serde::Deserialize;
use serde_json::json;

use crate::mock::{Answer, Call, Service, Unknown};

/// An Instaply organization.
pub struct Instaply {
    /// The token of the header.
    pub token: String,
    /// Its users.
    pub users: Vec<User>,
}

/// A user of an Instaply organization.
pub struct User {
    /// Its number.
    pub id: u64,
    /// Its address.
    pub email: String,
    /// The business rule that forbids its deletion, in the vendor's words.
    pub kept_by: Option<&'static str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delete {
    email: String,
}

impl Service for Instaply {
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown> {
        let (method, path) = call.route();
        if method != "POST" || path != ["api", "user", "delete-by-email"] {
            return Err(Unknown::call());
        }
        call.query(&[])?;
        let token = call.header("token")?;
        let Delete { email } = call.json("application/json")?;
        if token != self.token {
            let text = "The token is not valid or lacks user:delete";
            return Ok(Answer::json(403, json!({ "developerMessage": text })));
        }
        if !email.contains('@') {
            let error = json!({ "message": "must be a valid email", "property": "email" });
            return Ok(Answer::json(400, json!({ "body": [error], "headers": [] })));
        }
        Ok(self.delete(&email))
    }

    fn members(&self) -> Vec<String> {
        self.users.iter().map(|user| user.email.clone()).collect()
    }
}

impl Instaply {
    fn delete(&mut self, email: &str) -> Answer {
        let found = self.users.iter().position(|user| user.email.eq_ignore_ascii_case(email));
        let Some(position) = found else {
            let text = "User not found in organization";
            return Answer::json(404, json!({ "error": text }));
        };
        if let Some(rule) = self.users[position].kept_by {
            return Answer::json(400, json!({ "error": rule }));
        }
        let user = self.users.remove(position);
        let id = user.id.to_string();
        Answer::json(200, json!({ "status": "success", "deletedUserId": id, "email": user.email }))
    }
}

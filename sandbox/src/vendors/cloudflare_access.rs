//! Cloudflare Access: <https://developers.cloudflare.com/api/resources/zero_trust/subresources/access/subresources/users/>.

use serde_json::{Value, json};

use crate::mock::{Answer, Call, Service, Unknown};

/// A Cloudflare account.
pub struct CloudflareAccess {
    /// The account of the path.
    pub account_id: String,
    /// The only accepted API token.
    pub api_token: String,
    /// Its Access users.
    pub users: Vec<User>,
}

/// An Access user.
pub struct User {
    /// The UUID by which the user is deleted.
    pub id: String,
    /// The user's address.
    pub email: String,
}

impl Service for CloudflareAccess {
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown> {
        let (method, path) = call.route();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let (account, user) = match (method, path.as_slice()) {
            ("GET", ["client", "v4", "accounts", account, "access", "users"]) => (account, None),
            ("DELETE", ["client", "v4", "accounts", account, "access", "users", user]) => (account, Some(*user)),
            _ => return Err(Unknown::call()),
        };
        call.no_body()?;
        let token = call.header("authorization")?.strip_prefix("Bearer ");
        if token.ok_or_else(|| Unknown("authorization is not a bearer token".into()))? != self.api_token {
            return Ok(failure(403, 10000, "Authentication error").traced(call));
        }
        if *account != self.account_id {
            let text = "Could not route to this path, perhaps your object identifier is invalid?";
            return Ok(failure(404, 7003, text).traced(call));
        }
        match user {
            None => self.list(call),
            Some(id) => self.delete(call, id),
        }
    }

    fn members(&self) -> Vec<String> {
        self.users.iter().map(|user| user.email.clone()).collect()
    }
}

impl CloudflareAccess {
    fn list(&self, call: &Call) -> Result<Answer, Unknown> {
        let query = call.query(&["email", "page", "per_page"])?;
        let number = |name: &str, default: usize| match query.get(name).map(|text| text.parse()) {
            None => Ok(default),
            Some(Ok(number)) if number > 0 => Ok(number),
            Some(_) => Err(Unknown(format!("{name} is not a positive number"))),
        };
        let (page, per_page) = (number("page", 1)?, number("per_page", 25)?);
        let email = query.get("email").map(|text| text.to_lowercase()).unwrap_or_default();
        // The vendor's match rule is unknown, so the loosest that it may be.
        let found: Vec<&User> = self.users.iter().filter(|user| user.email.contains(&email)).collect();
        let shown = found.iter().skip((page - 1) * per_page).take(per_page);
        let shown: Vec<Value> = shown.map(|user| user.shown()).collect();
        let info = json!({
            "page": page, "per_page": per_page, "count": shown.len(),
            "total_count": found.len(), "total_pages": found.len().div_ceil(per_page),
        });
        let body = json!({ "result": shown, "success": true, "errors": [], "messages": [],
            "result_info": info });
        Ok(Answer::json(200, body).traced(call))
    }

    fn delete(&mut self, call: &Call, id: &str) -> Result<Answer, Unknown> {
        call.query(&[])?;
        let Some(position) = self.users.iter().position(|user| user.id == id) else {
            return Ok(failure(404, 11021, "access.api.error.not_found").traced(call));
        };
        self.users.remove(position);
        let body = json!({ "result": {}, "success": true, "errors": [], "messages": [] });
        Ok(Answer::json(200, body).traced(call))
    }
}

impl User {
    fn shown(&self) -> Value {
        let name = self.email.split('@').next();
        // `uid` and `seat_uid` look like `id` and are not what a user is deleted by.
        json!({
            "id": self.id, "uid": format!("uid-{}", self.id), "seat_uid": format!("seat-{}", self.id),
            "name": name, "email": self.email, "access_seat": true, "gateway_seat": false,
            "active_device_count": 1, "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z", "last_successful_login": "2026-01-01T00:00:00Z",
        })
    }
}

/// The envelope of a refusal.
pub fn failure(status: u16, code: u32, message: &str) -> Answer {
    let error = json!({ "code": code, "message": message });
    let body = json!({ "result": null, "success": false, "errors": [error], "messages": [] });
    Answer::json(status, body)
}

impl Answer {
    fn traced(self, call: &Call) -> Self {
        self.with("cf-ray", format!("{}-FRA", &call.request_id()[16..]))
    }
}

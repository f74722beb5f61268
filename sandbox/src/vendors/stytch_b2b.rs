//! Stytch B2B: <https://stytch.com/docs/b2b/api/delete-member>.

use serde_json::{Value, json};

use crate::mock::{Answer, Call, Service, Unknown};

/// A Stytch project.
pub struct StytchB2b {
    /// The user of HTTP Basic.
    pub project_id: String,
    /// The password of HTTP Basic.
    pub secret: String,
    /// Its organizations.
    pub organizations: Vec<String>,
    /// The members of all of them.
    pub members: Vec<Member>,
}

/// A member of one organization.
pub struct Member {
    /// Its organization.
    pub organization_id: String,
    /// Its id.
    pub id: String,
    /// Its address.
    pub email: String,
    /// Whether it may pass by single sign-on.
    pub breakglass: bool,
    /// A deletion is soft: the record stays.
    pub deleted: bool,
}

impl Service for StytchB2b {
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown> {
        let (method, path) = call.route();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let (organization, member) = match (method, path.as_slice()) {
            ("GET", ["v1", "b2b", "organizations", organization, "member"]) => (organization, None),
            ("DELETE", ["v1", "b2b", "organizations", organization, "members", member]) => {
                (organization, Some(*member))
            }
            _ => return Err(Unknown::call()),
        };
        call.no_body()?;
        if call.optional_header("x-stytch-member-session")?.is_some() {
            return Err(Unknown("a member's session".into()));
        }
        if call.basic()? != (self.project_id.clone(), self.secret.clone()) {
            return Ok(refusal(call, 401, "unauthorized_credentials"));
        }
        if !self.organizations.iter().any(|known| known == organization) {
            return Ok(refusal(call, 404, "organization_not_found"));
        }
        match member {
            None => self.get(call, organization),
            Some(id) => self.delete(call, organization, id),
        }
    }

    fn members(&self) -> Vec<String> {
        let present = self.members.iter().filter(|member| !member.deleted);
        present.map(|member| member.email.clone()).collect()
    }
}

impl StytchB2b {
    fn get(&self, call: &Call, organization: &str) -> Result<Answer, Unknown> {
        // The vendor's SDK repeats the organization in the query.
        let query = call.query(&["email_address", "organization_id"])?;
        if query.get("organization_id").is_some_and(|repeated| repeated != organization) {
            return Err(Unknown("another organization in the query".into()));
        }
        let Some(email) = query.get("email_address") else {
            return Err(Unknown("no email_address".into()));
        };
        let found = self
            .members
            .iter()
            .find(|member| member.organization_id == organization && member.email.eq_ignore_ascii_case(email));
        Ok(match found {
            None => refusal(call, 404, "member_not_found"),
            Some(member) => accepted(
                call,
                json!({
                    "member_id": member.id, "member": member.shown(),
                    "organization": shown_organization(organization),
                }),
            ),
        })
    }

    fn delete(&mut self, call: &Call, organization: &str, id: &str) -> Result<Answer, Unknown> {
        call.query(&[])?;
        let found = self
            .members
            .iter_mut()
            .find(|member| member.organization_id == organization && member.id == id && !member.deleted);
        Ok(match found {
            None => refusal(call, 404, "member_not_found"),
            Some(member) => {
                member.deleted = true;
                accepted(call, json!({ "member_id": id }))
            }
        })
    }
}

impl Member {
    /// Every field is there: the vendor's SDK asks for all of them.
    fn shown(&self) -> Value {
        let status = if self.deleted { "deleted" } else { "active" };
        json!({
            "organization_id": self.organization_id, "member_id": self.id,
            "email_address": self.email, "status": status, "name": "",
            "sso_registrations": [], "is_breakglass": self.breakglass, "member_password_id": "",
            "oauth_registrations": [], "email_address_verified": true,
            "mfa_phone_number_verified": false, "is_admin": false, "totp_registration_id": "",
            "retired_email_addresses": [], "is_locked": false, "mfa_enrolled": false,
            "mfa_phone_number": "", "default_mfa_method": "", "roles": [],
            "trusted_metadata": {}, "untrusted_metadata": {}, "external_id": null,
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
            "scim_registration": null, "lock_created_at": null, "lock_expires_at": null,
        })
    }
}

fn shown_organization(id: &str) -> Value {
    json!({
        "organization_id": id, "organization_name": "Sandbox", "organization_logo_url": "",
        "organization_slug": "sandbox", "sso_jit_provisioning": "NOT_ALLOWED",
        "sso_jit_provisioning_allowed_connections": [], "sso_active_connections": [],
        "email_allowed_domains": [], "email_jit_provisioning": "NOT_ALLOWED",
        "email_invites": "NOT_ALLOWED", "auth_methods": "ALL_ALLOWED", "allowed_auth_methods": [],
        "mfa_policy": "OPTIONAL", "rbac_email_implicit_role_assignments": [],
        "mfa_methods": "ALL_ALLOWED", "allowed_mfa_methods": [],
        "oauth_tenant_jit_provisioning": "NOT_ALLOWED", "claimed_email_domains": [],
        "first_party_connected_apps_allowed_type": "NOT_ALLOWED",
        "allowed_first_party_connected_apps": [],
        "third_party_connected_apps_allowed_type": "NOT_ALLOWED",
        "allowed_third_party_connected_apps": [], "custom_roles": [], "trusted_metadata": {},
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        "allowed_oauth_tenants": {},
    })
}

fn request_id(call: &Call) -> String {
    format!("request-id-test-{}", call.request_id())
}

fn accepted(call: &Call, mut body: Value) -> Answer {
    body["status_code"] = json!(200);
    body["request_id"] = json!(request_id(call));
    Answer::json(200, body)
}

fn refusal(call: &Call, status: u16, kind: &str) -> Answer {
    failure(&request_id(call), status, kind)
}

/// The body of a refusal.
pub fn failure(request_id: &str, status: u16, kind: &str) -> Answer {
    let url = format!("https://stytch.com/docs/api/errors/{status}#{kind}");
    let text = "See the error_url.";
    Answer::json(
        status,
        json!({ "status_code": status, "request_id": request_id,
        "error_type": kind, "error_message": text, "error_url": url }),
    )
}

//! Instaply, delete user by e-mail: <https://docs.instaply.com/api/users/>.

use std::fmt;

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    Account, Action, Confidence, Configure, LookUp, Product, Provider, ProviderKind, Removal, SecretKey, Tenant, Urls,
    settings,
};
use crate::{
    outbound::{Http, Response},
    outcome::{Failure, FailureKind},
    secrets::{Secret, SecretError},
};

/// The whole of the documented response for an address that the organization does not have.
const NOT_FOUND: &str = "User not found in organization";

/// The vendor's base URL.
const BASE_URL: &str = "https://me.instaply.com";

/// The kind in the registry.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "instaply",
    title: "Instaply: delete user by e-mail",
    page: "https://docs.instaply.com/api/users/",
    effect: "The user goes. The last representative of a business cannot be removed.",
    permission: "the right `user:delete`, which Instaply switches on",
    limits: None,
    status: Confidence::VerifiedDocs,
    actions: &[Action::Delete],
    secret: &[&[SecretKey { key: "token", description: "API token of the organization" }]],
    settings: &[],
    looks_up: false,
    needs: &[],
    configure: Configure::Rust(settings::<Settings>),
};

/// The keys that only this kind has: none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {}

/// Instaply, connected. The token decides the organization.
#[derive(Debug)]
pub(super) struct Instaply {
    token: SecretString,
}

impl Product for Settings {
    fn urls(&self) -> Urls {
        Urls::base(BASE_URL)
    }

    fn connect(&self, secret: &Secret) -> Result<Vec<Tenant>, SecretError> {
        let provider = Instaply { token: secret.text("token")? };
        Ok(Tenant::only(BASE_URL, provider))
    }
}

#[async_trait]
impl Provider for Instaply {
    /// The vendor documents none.
    fn look_up(&self) -> Option<&dyn LookUp> {
        None
    }

    async fn remove(&self, http: &Http, account: &Account) -> Result<Removal, Failure> {
        http.post(&["api", "user", "delete-by-email"])
            .secret_header("token", &self.token)
            .json(&DeleteUser { email: &account.id })
            .read(|response| if response.is_success() { deleted(response, account) } else { refused(response) })
            .await
    }
}

fn deleted(response: &Response, account: &Account) -> Result<Removal, Failure> {
    let done: Deleted = response.json()?;
    if done.status != "success" || !account.is_at(&done.email) {
        return Err(Failure::not_understood("not a success, or somebody else's"));
    }
    Ok(Removal::deleted().account_id(Some(done.deleted_user_id)))
}

fn refused(response: &Response) -> Result<Removal, Failure> {
    match (response.status(), response.envelope()?) {
        (404, Refusal { error: Some(error), .. }) if error == NOT_FOUND => Ok(Removal::absent()),
        // The last representative of a business, the last person of an escalation pool: there is no code, only this text.
        (400, Refusal { error: Some(rule), .. }) => {
            Err(Failure::new(FailureKind::Blocked, "business_rule").detail(rule))
        }
        (400, Refusal { body: Some(errors), .. }) => {
            let errors: Vec<_> = errors.iter().map(ValidationError::to_string).collect();
            Err(Failure::new(FailureKind::Rejected, "validation").detail(errors.join(", ")))
        }
        (_, Refusal { error: Some(text), .. } | Refusal { developer_message: Some(text), .. }) => {
            Err(response.failure().detail(text))
        }
        _ => Err(response.failure()),
    }
}

#[derive(Serialize)]
struct DeleteUser<'a> {
    email: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    status: String,
    deleted_user_id: String,
    email: String,
}

/// The three shapes of a refusal.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    error: Option<String>,
    body: Option<Vec<ValidationError>>,
    developer_message: Option<String>,
}

#[derive(Deserialize)]
struct ValidationError {
    message: String,
    /// A path: `@.email`.
    property: String,
}

impl fmt::Display for ValidationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.property.trim_start_matches("@."), self.message)
    }
}

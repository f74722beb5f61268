//! Stytch B2B, delete member: <https://stytch.com/docs/api-reference/b2b/api/members/delete-member>.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Account, Action, Confidence, Configure, Hold, LookUp, Product, Provider, ProviderKind, Removal, SecretKey, Setting,
    SettingForm, Tenant, Urls, settings,
};
use crate::{
    outbound::{Http, Response},
    outcome::{Failure, FailureKind},
    person::{Identity, KnownBy},
    secrets::{Secret, SecretError},
};

/// The errors that say that a member is not there. `organization_not_found` is a 404 too, and an error of the configuration.
const GONE: [&str; 2] = ["member_not_found", "member_does_not_exist_in_organization"];
/// A member who may sign in past the organization's settings, when all else fails.
const BREAK_GLASS: Hold =
    Hold { reason: "break_glass", detail: "this is the organization's emergency account (is_breakglass)" };

/// The base URL of live projects. Only the secret tells them from test projects.
const BASE_URL: &str = "https://api.stytch.com";

/// The kind in the registry.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "stytch_b2b",
    title: "Stytch B2B: delete member",
    page: "https://stytch.com/docs/api-reference/b2b/api/members/delete-member",
    effect: "The member goes from the organization, with their sessions and sign-in methods. Their address can be used again.",
    permission: "a secret of the project",
    limits: None,
    status: Confidence::VerifiedDocs,
    actions: &[Action::Delete],
    secret: &[&[
        SecretKey { key: "project_id", description: "id of the project (project-live-…)" },
        SecretKey { key: "secret", description: "secret of the project" },
    ]],
    settings: &[
        Setting {
            name: "organization_ids",
            description: "each organization in which a person has a member",
            form: SettingForm::Texts,
            example: Some("organization-live-07971b06-ac8b-4cdb-9c15-63b17e653931"),
            ..Setting::TEXT
        },
        Setting::known_by("by what members are found; their external id is `external_id`"),
    ],
    looks_up: true,
    needs: &[],
    configure: Configure::Rust(settings::<Settings>),
};

/// The keys that only this kind has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The organizations in which a person has a member each.
    pub organization_ids: OrganizationIds,
    /// Whether members are found by their address or by their `external_id`.
    #[serde(default, rename = "match")]
    pub known_by: KnownBy,
}

/// At least one organization, each once.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(super) struct OrganizationIds(Vec<String>);

impl TryFrom<Vec<String>> for OrganizationIds {
    type Error = String;

    fn try_from(ids: Vec<String>) -> Result<Self, String> {
        let mut seen = HashSet::new();
        if ids.is_empty() {
            return Err("`organization_ids` must name at least one organization".to_owned());
        }
        match ids.iter().find(|id| id.trim().is_empty() || !seen.insert(id.as_str())) {
            Some(id) if id.trim().is_empty() => Err("`organization_ids` holds an empty id: take it out".to_owned()),
            Some(id) => Err(format!("`organization_ids` names `{id}` twice: take one out")),
            None => Ok(Self(ids)),
        }
    }
}

/// One organization at Stytch, connected.
#[derive(Debug)]
pub(super) struct StytchB2b {
    organization: String,
    project_id: SecretString,
    secret: SecretString,
}

impl Product for Settings {
    fn urls(&self) -> Urls {
        Urls::base(BASE_URL)
    }

    fn known_by(&self) -> KnownBy {
        self.known_by
    }

    fn connect(&self, keys: &Secret) -> Result<Vec<Tenant>, SecretError> {
        let (project_id, secret) = (keys.text("project_id")?, keys.text("secret")?);
        let live = project_id.expose_secret().starts_with("project-live-");
        let base_url = if live { BASE_URL } else { "https://test.stytch.com" };
        let tenant = |organization: &String| Tenant {
            scope: Some(organization.clone()),
            base_url: base_url.into(),
            provider: Arc::new(StytchB2b {
                organization: organization.clone(),
                project_id: project_id.clone(),
                secret: secret.clone(),
            }),
        };
        Ok(self.organization_ids.0.iter().map(tenant).collect())
    }
}

#[async_trait]
impl Provider for StytchB2b {
    fn look_up(&self) -> Option<&dyn LookUp> {
        Some(self)
    }

    async fn remove(&self, http: &Http, account: &Account) -> Result<Removal, Failure> {
        let removal = http
            .delete(&["v1", "b2b", "organizations", &self.organization, "members", &account.id])
            .basic(self.project_id.expose_secret(), &self.secret)
            .read(|response| {
                let Deleted { member_id, request_id } = accepted(response)?;
                if member_id != account.id {
                    return Err(Failure::not_understood("somebody else was deleted").request_id(Some(request_id)));
                }
                Ok(Removal::deleted().request_id(Some(request_id)))
            });
        Removal::or_absent(removal.await, is_gone)
    }
}

#[async_trait]
impl LookUp for StytchB2b {
    async fn find(&self, http: &Http, person: Identity<'_>) -> Result<Vec<Account>, Failure> {
        let call = http.get(&["v1", "b2b", "organizations", &self.organization, "member"]);
        let call = match person {
            Identity::Email(email) => call.query("email_address", email.expose()),
            // "You may use an external_id here if one is set for the member."
            Identity::ExternalId(id) => call.query("member_id", id),
        };
        let found = call.basic(self.project_id.expose_secret(), &self.secret).read(accepted::<Found>).await;
        match found {
            // A deletion is soft: the member stays, and can be reactivated, but not sign in.
            Ok(Found { member }) if member.status == "deleted" => Ok(Vec::new()),
            Ok(Found { member }) => match Account::from(member) {
                account if account.is_of(person) => Ok(vec![account]),
                // One was asked for, so this is no list without the person: whether they are there is not known.
                _ => Err(Failure::not_understood("another member than the one asked for")),
            },
            Err(failure) if is_gone(&failure) => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }
}

fn is_gone(failure: &Failure) -> bool {
    failure.kind == FailureKind::Rejected && GONE.contains(&failure.reason.as_str())
}

fn accepted<T: DeserializeOwned>(response: &Response) -> Result<T, Failure> {
    if response.is_success() {
        return response.json();
    }
    let refusal: Refusal = response.envelope()?;
    let Some(reason) = refusal.error_type.or(refusal.error) else {
        return Err(response.failure().request_id(refusal.request_id));
    };
    let kind = match reason.as_str() {
        "unauthorized_credentials" => FailureKind::Unauthorized,
        "too_many_requests" => FailureKind::RateLimited,
        _ => FailureKind::of_status(response.status()),
    };
    let text = refusal.error_message.or(refusal.error_description);
    Err(Failure::new(kind, reason).detail_if(text).request_id(refusal.request_id))
}

#[derive(Deserialize)]
struct Found {
    member: Member,
}

#[derive(Deserialize)]
struct Member {
    member_id: String,
    email_address: String,
    status: String,
    external_id: Option<String>,
    is_breakglass: bool,
}

impl From<Member> for Account {
    fn from(member: Member) -> Self {
        Self {
            id: member.member_id,
            email: Some(member.email_address),
            external_id: member.external_id.filter(|id| !id.is_empty()),
            hold: member.is_breakglass.then_some(BREAK_GLASS),
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
struct Deleted {
    member_id: String,
    request_id: String,
}

/// Two generations of errors.
#[derive(Deserialize)]
struct Refusal {
    request_id: Option<String>,
    error_type: Option<String>,
    error_message: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

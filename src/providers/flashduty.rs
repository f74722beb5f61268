//! Flashduty, delete member: <https://docs.flashcat.cloud/en/api-reference/platform/members/member-delete>.

use std::num::NonZeroU64;

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{
    Account, Action, Confidence, Configure, LookUp, Product, Provider, ProviderKind, Removal, SecretKey, Setting,
    SettingForm, Tenant, Urls,
    pages::{Page, Pages, Total},
    settings,
};
use crate::{
    outbound::{Http, Request, Response},
    outcome::{Failure, FailureKind, Reference},
    person::{Identity, KnownBy},
    secrets::{Secret, SecretError},
};

/// The documented maximum of `limit`.
const PAGE: usize = 100;

/// The vendor's base URL.
const BASE_URL: &str = "https://api.flashcat.cloud";

/// The kind in the registry.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "flashduty",
    title: "Flashduty: delete member",
    page: "https://docs.flashcat.cloud/en/api-reference/platform/members/member-delete",
    effect: "The member goes. Schedules and escalation rules that name them block it, unless `force = true`.",
    permission: "Members Manage of the organization",
    limits: Some("1,000 requests a minute, 50 a second per account"),
    status: Confidence::VerifiedDocs,
    actions: &[Action::Delete],
    secret: &[&[SecretKey { key: "app_key", description: "app key of somebody with the permission" }]],
    settings: &[
        Setting::known_by("by what members are found; their external id is `ref_id`"),
        Setting {
            name: "force",
            description: "true: delete members also while schedules and escalation rules refer to them",
            form: SettingForm::Flag,
            required: false,
            default: Some("false"),
            ..Setting::TEXT
        },
    ],
    looks_up: true,
    needs: &[],
    configure: Configure::Rust(settings::<Settings>),
};

/// The keys that only this kind has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Deletes members also while schedules and escalation rules refer to them (`is_force`).
    #[serde(default)]
    pub force: bool,
    /// Whether members are found by their address or by their `ref_id`.
    #[serde(default, rename = "match")]
    pub known_by: KnownBy,
}

/// Flashduty, connected.
#[derive(Debug)]
pub(super) struct Flashduty {
    app_key: SecretString,
    force: bool,
}

impl Product for Settings {
    fn urls(&self) -> Urls {
        Urls::base(BASE_URL)
    }

    fn known_by(&self) -> KnownBy {
        self.known_by
    }

    fn connect(&self, secret: &Secret) -> Result<Vec<Tenant>, SecretError> {
        let provider = Flashduty { app_key: secret.text("app_key")?, force: self.force };
        Ok(Tenant::only(BASE_URL, provider))
    }
}

#[async_trait]
impl Provider for Flashduty {
    fn look_up(&self) -> Option<&dyn LookUp> {
        Some(self)
    }

    async fn remove(&self, http: &Http, account: &Account) -> Result<Removal, Failure> {
        let unusable = || Failure::new(FailureKind::Rejected, "unusable_id").detail("a member's id is a number");
        // Of several fields the first non-empty one counts, and 0 is empty.
        let member_id: NonZeroU64 = account.id.parse().map_err(|_| unusable())?;
        let call = self.post(http, "delete").json(&DeleteMember { member_id, is_force: self.force });
        let removal = call.read(|response| Ok(Removal::deleted().request_id(accepted(response)?.request_id))).await;
        Removal::or_absent(removal, is_gone).map_err(|failure| match failure.reason.as_str() {
            // With `sso_user_non_editable` members made by SSO cannot be deleted; the page names no code for it.
            "AccessDenied" if account.managed_elsewhere => Failure { kind: FailureKind::Blocked, ..failure },
            _ => failure,
        })
    }
}

#[async_trait]
impl LookUp for Flashduty {
    async fn find(&self, http: &Http, person: Identity<'_>) -> Result<Vec<Account>, Failure> {
        let query = match person {
            Identity::Email(email) => Some(email.expose()),
            // `query` does not search `ref_id`.
            Identity::ExternalId(_) => None,
        };
        let mut pages = Pages::new(Total::Binding);
        while let Some(p) = pages.next()? {
            let call = self.post(http, "list").json(&ListMembers { p, limit: PAGE, query }).large_response();
            pages.add(call.read(listed).await?, |member: &Member| member.member_id.to_string())?;
        }
        Ok(pages.into_items().into_iter().filter(|member| member.status != "deleted").map(Account::from).collect())
    }

    fn lists_everybody(&self, person: Identity<'_>) -> bool {
        matches!(person, Identity::ExternalId(_))
    }
}

impl Flashduty {
    fn post<'a>(&self, http: &'a Http, operation: &str) -> Request<'a> {
        http.post(&["member", operation]).secret_query("app_key", &self.app_key)
    }
}

/// "Not found" is a 400 here.
fn is_gone(failure: &Failure) -> bool {
    failure.kind == FailureKind::Rejected && failure.reason == "ResourceNotFound"
}

fn listed(response: &Response) -> Result<Page<Member>, Failure> {
    let envelope = accepted(response)?;
    match read(&envelope.data).ok_or_else(|| Failure::not_understood("not a list of members"))? {
        List { items: Some(items), total } => Ok(Page { items, total: Some(total) }),
        List { items: None, total: 0 } => Ok(Page { items: Vec::new(), total: Some(0) }),
        List { items: None, .. } => Err(Failure::not_understood("a list without its members")),
    }
}

/// The envelope of a response that agrees. An error in it is an error whatever the status.
fn accepted(response: &Response) -> Result<Envelope, Failure> {
    let envelope: Envelope = response.envelope()?;
    let failure = match &envelope.error {
        Some(error) if !matches!(error.code.as_str(), "OK" | "" | "0") => {
            refused(response.status(), error, &envelope.data)
        }
        _ if !response.is_success() => response.failure(),
        None if !is_object(&envelope.data) => Failure::not_understood("neither data nor an error"),
        _ => return Ok(envelope),
    };
    Err(failure.request_id(envelope.request_id))
}

fn is_object(data: &Option<Box<RawValue>>) -> bool {
    data.as_ref().is_some_and(|data| data.get().starts_with('{'))
}

fn read<T: DeserializeOwned>(data: &Option<Box<RawValue>>) -> Option<T> {
    data.as_ref().filter(|data| data.get().starts_with('{')).and_then(|data| serde_json::from_str(data.get()).ok())
}

/// Only the code counts: the message comes in the account's language.
fn refused(status: u16, error: &Refusal, data: &Option<Box<RawValue>>) -> Failure {
    let kind = match error.code.as_str() {
        "ReferenceExist" | "RequestVerifyRequired" | "DangerousOperation" | "RequestLocked" => FailureKind::Blocked,
        "Unauthorized" | "BalanceNotEnough" | "AccessDenied" => FailureKind::Unauthorized,
        "RequestTooFrequently" => FailureKind::RateLimited,
        "UndonedOrderExist" | "InternalError" | "ServiceUnavailable" => FailureKind::Unavailable,
        _ => FailureKind::of_status(status),
    };
    let references = read(data).map(|data: Referrers| data.refs).unwrap_or_default();
    let references = references.into_iter().map(Reference::from).collect();
    let text = Some(error.message.clone()).filter(|text| !text.is_empty());
    Failure { references, ..Failure::new(kind, &error.code) }.detail_if(text)
}

#[derive(Serialize)]
struct ListMembers<'a> {
    p: usize,
    limit: usize,
    /// A substring of the name or the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
}

#[derive(Serialize)]
struct DeleteMember {
    member_id: NonZeroU64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_force: bool,
}

#[derive(Deserialize)]
struct Envelope {
    request_id: Option<String>,
    /// Read where it matters: a list may be long.
    data: Option<Box<RawValue>>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    #[serde(default)]
    message: String,
}

/// What a member who cannot be deleted is still needed for.
#[derive(Deserialize)]
struct Referrers {
    refs: Vec<Referrer>,
}

#[derive(Deserialize)]
struct Referrer {
    kind: String,
    name: String,
    href: Option<String>,
}

impl From<Referrer> for Reference {
    fn from(Referrer { kind, name, href }: Referrer) -> Self {
        Self { kind, name, href }
    }
}

#[derive(Deserialize)]
struct List {
    total: usize,
    /// `null` where there are none.
    items: Option<Vec<Member>>,
}

#[derive(Deserialize)]
struct Member {
    member_id: NonZeroU64,
    email: Option<String>,
    ref_id: Option<String>,
    #[serde(default)]
    status: String,
    #[serde(default)]
    is_external: bool,
}

impl From<Member> for Account {
    fn from(member: Member) -> Self {
        Self {
            id: member.member_id.to_string(),
            email: member.email,
            external_id: member.ref_id.filter(|id| !id.is_empty()),
            managed_elsewhere: member.is_external,
            ..Self::default()
        }
    }
}

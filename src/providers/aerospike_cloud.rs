//! Aerospike Cloud, remove org member:
//! <https://aerospike.com/docs/cloud/reference/api/organization/removeorgmember>.

use async_trait::async_trait;
use serde::Deserialize;

use super::{
    Account, Action, Confidence, Configure, LookUp, Product, Provider, ProviderKind, Removal, SecretKey, Setting,
    Tenant, Urls,
    pages::{Page, Pages, Total},
    settings,
};
use crate::{
    oauth::{Client, INVALID_TOKEN, SendClient, Shows, Tokens},
    outbound::{Http, Response},
    outcome::{Failure, FailureKind},
    person::Identity,
    secrets::{Secret, SecretError},
    settings::BaseUrl,
};

/// The documented maximum of `limit`.
const PAGE: usize = 100;
/// What every `type` of an error begins with.
const ERROR_TYPES: &str = "urn:aerospike:errors:";
const NOT_FOUND: &str = "resource:not-found";
const TOKEN_URL: &str = "https://auth.control.aerospike.cloud/oauth/token";

/// The vendor's base URL.
const BASE_URL: &str = "https://api.aerospike.cloud/v2";

/// The kind in the registry.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "aerospike_cloud",
    title: "Aerospike Cloud: remove org member",
    page: "https://aerospike.com/docs/cloud/reference/api/organization/removeorgmember",
    effect: "The membership of the organization ends, and with it the access to its clusters' management. Database users stay.",
    permission: "a client with the scopes `read:org` and `update:org`",
    limits: None,
    status: Confidence::VerifiedDocs,
    actions: &[Action::Delete],
    secret: &[
        &[
            SecretKey { key: "client_id", description: "id of an API key" },
            SecretKey { key: "client_secret", description: "secret of the API key" },
        ],
        &[SecretKey { key: "access_token", description: "access token, which somebody must renew" }],
    ],
    settings: &[Setting::TOKEN_URL],
    looks_up: true,
    needs: &[],
    configure: Configure::Rust(settings::<Settings>),
};

/// The keys that only this kind has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Where tokens are fetched, if not at the vendor's own address.
    pub token_url: Option<BaseUrl>,
}

/// Aerospike Cloud, connected. The token decides the organization.
#[derive(Debug)]
pub(super) struct AerospikeCloud {
    tokens: Tokens,
}

impl Settings {
    fn token_url(&self) -> &str {
        self.token_url.as_ref().map_or(TOKEN_URL, |url| url.url().as_str())
    }
}

impl Product for Settings {
    fn urls(&self) -> Urls {
        Urls { token: vec![self.token_url().to_owned()], ..Urls::base(BASE_URL) }
    }

    fn connect(&self, secret: &Secret) -> Result<Vec<Tenant>, SecretError> {
        let tokens = if secret.has("access_token") {
            Tokens::Fixed(secret.text("access_token")?)
        } else {
            let url = self.token_url();
            let (id, secret) = (secret.text("client_id")?, secret.text("client_secret")?);
            Tokens::Fetched(Client::new(url, Shows::Secret { id, secret, send: SendClient::Json }))
        };
        Ok(Tenant::only(BASE_URL, AerospikeCloud { tokens }))
    }
}

#[async_trait]
impl Provider for AerospikeCloud {
    fn look_up(&self) -> Option<&dyn LookUp> {
        Some(self)
    }

    async fn remove(&self, http: &Http, account: &Account) -> Result<Removal, Failure> {
        let call = http.delete(&["organization", "members", &account.id]);
        self.tokens.read(http, call, removed).await
    }
}

#[async_trait]
impl LookUp for AerospikeCloud {
    /// There is no search: all members come, and the engine compares.
    async fn find(&self, http: &Http, _: Identity<'_>) -> Result<Vec<Account>, Failure> {
        let mut pages = Pages::new(Total::Binding);
        while pages.next()?.is_some() {
            let (limit, offset) = (PAGE.to_string(), pages.len().to_string());
            let call = http.get(&["organization", "members"]).query("limit", &limit).query("offset", &offset);
            let call = call.large_response();
            pages.add(self.tokens.read(http, call, listed).await?, |account: &Account| account.id.clone())?;
        }
        match pages.into_items() {
            // An organization always has its owner.
            members if members.is_empty() => Err(Failure::not_understood("an organization without members")),
            members => Ok(members),
        }
    }

    fn lists_everybody(&self, _: Identity<'_>) -> bool {
        true
    }
}

fn removed(response: &Response) -> Result<Removal, Failure> {
    let failure = match response.status() {
        204 => return Ok(Removal::deleted().request_id(response.request_id())),
        _ => refused(response),
    };
    match response.status() {
        // Not documented for this call; the second look agrees or not.
        404 if failure.reason == NOT_FOUND => Ok(Removal::absent().request_id(response.request_id())),
        // An owner leaves by the vendor's support only; a member who is listed is refused for no other documented reason.
        400 | 403 => Err(Failure { kind: FailureKind::Blocked, ..failure }),
        _ => Err(failure),
    }
}

fn listed(response: &Response) -> Result<Page<Account>, Failure> {
    if !response.is_success() {
        return Err(refused(response));
    }
    let list: List = response.json()?;
    let came = list.members.len();
    let items = list.members.into_iter().map(Member::account).collect::<Option<_>>();
    let items = items.ok_or_else(|| Failure::not_understood("a member without an id or an address"))?;
    let total = list.meta.and_then(|meta| meta.total);
    // Whether it counts the page or the whole list is not documented; it must be one of them.
    match list.count {
        Some(count) if count != came && Some(count) != total => {
            Err(Failure::not_understood("another number of members than it says"))
        }
        _ => Ok(Page { items, total }),
    }
}

fn refused(response: &Response) -> Failure {
    let refusal: Refusal = match response.envelope() {
        Ok(_) if response.is_success() => return Failure::not_understood("a success that is not the documented one"),
        Ok(refusal) => refusal,
        Err(failure) => return failure,
    };
    let code =
        refusal.r#type.as_deref().and_then(|r#type| r#type.strip_prefix(ERROR_TYPES)).or(refusal.code.as_deref());
    let failure = match code {
        // The younger generation's word for it, and the older one's.
        Some("auth:token-expired" | INVALID_TOKEN) if response.status() == 401 => {
            Failure::new(FailureKind::Unauthorized, INVALID_TOKEN)
        }
        Some(code) => Failure::new(kind(code, response.status()), code),
        None => response.failure(),
    };
    failure.detail_if(refusal.detail.or(refusal.message).or(refusal.title))
}

fn kind(code: &str, status: u16) -> FailureKind {
    match code {
        "auth:unauthorized" => FailureKind::Unauthorized,
        "ratelimit:exceeded" => FailureKind::RateLimited,
        "system:internal" | "system:unavailable" => FailureKind::Unavailable,
        NOT_FOUND | "validation:failed" => FailureKind::Rejected,
        _ => FailureKind::of_status(status),
    }
}

#[derive(Deserialize)]
struct List {
    count: Option<usize>,
    members: Vec<Member>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    total: Option<usize>,
}

#[derive(Deserialize)]
struct Member {
    id: Option<String>,
    /// The name that the path of the removal has for it.
    #[serde(rename = "userId")]
    user_id: Option<String>,
    email: Option<String>,
}

impl Member {
    /// `None` without a user id or an e-mail address: the member cannot be compared or removed.
    fn account(self) -> Option<Account> {
        let given = |text: &String| !text.trim().is_empty();
        let (id, email) = (self.user_id.or(self.id).filter(given)?, self.email.filter(given)?);
        Some(Account { id, email: Some(email), ..Account::default() })
    }
}

/// Errors come in two generations: `{code, message}`, and RFC 9457's `{type, title, status, detail}`.
#[derive(Deserialize)]
struct Refusal {
    code: Option<String>,
    message: Option<String>,
    r#type: Option<String>,
    title: Option<String>,
    detail: Option<String>,
}

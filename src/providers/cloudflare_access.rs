//! Cloudflare Access, delete user:
//! <https://developers.cloudflare.com/api/resources/zero_trust/subresources/access/subresources/users/methods/delete>.

use async_trait::async_trait;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Account, Action, Confidence, Configure, LookUp, Product, Provider, ProviderKind, Removal, SecretKey, Setting,
    Tenant, Urls,
    pages::{Page, Pages, Total},
    settings,
};
use crate::{
    outbound::{Http, Request, Response},
    outcome::{Failure, FailureKind},
    person::Identity,
    secrets::{Secret, SecretError},
};

const PAGE: usize = 100;
/// The documented length of a user's id, a UUID.
const LONGEST_ID: usize = 36;
/// What an error's message contains if the user is gone; no code is documented for it.
const NOT_FOUND: &str = "not_found";

/// The vendor's base URL.
const BASE_URL: &str = "https://api.cloudflare.com/client/v4";

/// The kind in the registry.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "cloudflare_access",
    title: "Cloudflare Access: delete user",
    page: "https://developers.cloudflare.com/api/resources/zero_trust/subresources/access/subresources/users/methods/delete",
    effect: "The user, their seats and their tokens go. They can sign in again where the policies let them: the identity provider must have blocked them first.",
    permission: "`Access: Users Edit` on the account",
    limits: Some("1,200 requests in 5 minutes per token"),
    status: Confidence::VerifiedDocs,
    actions: &[Action::Delete],
    secret: &[
        &[SecretKey { key: "api_token", description: "API token" }],
        &[
            SecretKey { key: "email", description: "e-mail address of the user whose key it is" },
            SecretKey { key: "api_key", description: "Global API Key" },
        ],
    ],
    settings: &[Setting {
        name: "account_id",
        description: "on the overview page of the account",
        example: Some("023e105f4ecef8ad9ca31a8372d0c353"),
        characters: Some("A-Za-z0-9"),
        longest: Some(32),
        ..Setting::TEXT
    }],
    looks_up: true,
    needs: &[],
    configure: Configure::Rust(settings::<Settings>),
};

/// The keys that only this kind has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The account whose Access users these are.
    pub account_id: AccountId,
}

/// The id of an account: up to 32 letters and digits.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct AccountId(String);

impl TryFrom<String> for AccountId {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        let usable = (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if usable {
            Ok(Self(id))
        } else {
            Err("`account_id` must be the 32 letters and digits of the account's overview page")
        }
    }
}

/// Cloudflare Access, connected.
#[derive(Debug)]
pub(super) struct CloudflareAccess {
    account: AccountId,
    login: Login,
}

#[derive(Debug)]
enum Login {
    Token(SecretString),
    GlobalKey { email: SecretString, key: SecretString },
}

impl Product for Settings {
    fn urls(&self) -> Urls {
        Urls::base(BASE_URL)
    }

    fn connect(&self, secret: &Secret) -> Result<Vec<Tenant>, SecretError> {
        let login = if secret.has("api_key") && !secret.has("api_token") {
            Login::GlobalKey { email: secret.text("email")?, key: secret.text("api_key")? }
        } else {
            Login::Token(secret.text("api_token")?)
        };
        let provider = CloudflareAccess { account: self.account_id.clone(), login };
        Ok(Tenant::only(BASE_URL, provider))
    }
}

#[async_trait]
impl Provider for CloudflareAccess {
    fn look_up(&self) -> Option<&dyn LookUp> {
        Some(self)
    }

    async fn remove(&self, http: &Http, account: &Account) -> Result<Removal, Failure> {
        if account.id.len() > LONGEST_ID {
            return Err(Failure::new(FailureKind::Rejected, "unusable_id").detail("longer than a user's id can be"));
        }
        let call = http.delete(&["accounts", &self.account.0, "access", "users", &account.id]);
        let removal = self.authorized(call).read(|response| {
            accepted(response)?;
            Ok(Removal::deleted().request_id(response.request_id()))
        });
        Removal::or_absent(removal.await, |failure| failure.reason == NOT_FOUND)
    }
}

#[async_trait]
impl LookUp for CloudflareAccess {
    async fn find(&self, http: &Http, person: Identity<'_>) -> Result<Vec<Account>, Failure> {
        let Identity::Email(email) = person else {
            return Err(Failure::new(FailureKind::Rejected, "unusable_identity"));
        };
        let mut pages = Pages::new(Total::Hint);
        while let Some(page) = pages.next()? {
            let call = http.get(&["accounts", &self.account.0, "access", "users"]);
            // How `email` matches is not documented: it narrows, it does not decide.
            let call = call.query("email", email.expose()).query("page", &page.to_string());
            let call = self.authorized(call.query("per_page", &PAGE.to_string())).large_response();
            pages.add(call.read(listed).await?, |user: &User| user.id.clone())?;
        }
        let account = |user: User| Account { id: user.id, email: Some(user.email), ..Account::default() };
        Ok(pages.into_items().into_iter().map(account).collect())
    }
}

impl CloudflareAccess {
    fn authorized<'a>(&self, call: Request<'a>) -> Request<'a> {
        match &self.login {
            Login::Token(token) => call.bearer(token),
            Login::GlobalKey { email, key } => {
                call.secret_header("x-auth-email", email).secret_header("x-auth-key", key)
            }
        }
    }
}

fn listed(response: &Response) -> Result<Page<User>, Failure> {
    let envelope = accepted(response)?;
    let not_understood = || Failure::not_understood("not a list of users with an id and an address each");
    let result = envelope.result.ok_or_else(not_understood)?;
    let items = serde_json::from_str(result.get()).map_err(|_| not_understood())?;
    Ok(Page { items, total: envelope.result_info.and_then(|info| info.total_count) })
}

/// The envelope of a response that agrees: that takes `success: true`, and no errors.
fn accepted(response: &Response) -> Result<Envelope, Failure> {
    let envelope: Envelope = response.envelope()?;
    match envelope.errors.as_deref().unwrap_or_default() {
        [] if envelope.success && response.is_success() => Ok(envelope),
        [] if response.is_success() => Err(Failure::not_understood("neither a success nor an error")),
        [] => Err(response.failure()),
        errors => Err(refused(response.status(), errors)),
    }
}

fn refused(status: u16, errors: &[Message]) -> Failure {
    let has = |codes: &[i64]| errors.iter().any(|error| codes.contains(&error.code));
    let kind = match () {
        () if has(&[10000, 9109]) => FailureKind::Unauthorized,
        () if has(&[971, 10429]) => FailureKind::RateLimited,
        // No such route: a wrong account or base URL. And `not_enabled`: the account has no Access.
        () if has(&[7003, 9999]) => FailureKind::Rejected,
        () => FailureKind::of_status(status),
    };
    let gone = status == 404 && !has(&[7003]) && errors.iter().any(|error| error.message.contains(NOT_FOUND));
    let code = errors.first().map(|error| error.code.to_string()).unwrap_or_default();
    let texts: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
    Failure::new(kind, if gone { NOT_FOUND.to_owned() } else { code }).detail(texts.join("; "))
}

#[derive(Deserialize)]
struct Envelope {
    success: bool,
    errors: Option<Vec<Message>>,
    /// Read where it matters: a list may be long.
    result: Option<Box<RawValue>>,
    result_info: Option<ResultInfo>,
}

#[derive(Deserialize)]
struct Message {
    code: i64,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct ResultInfo {
    /// The vendor's own example says 2000 of a list with one user, so a list may end before.
    total_count: Option<usize>,
}

/// All fields are optional by the specification. A user without either of these cannot be compared.
#[derive(Deserialize)]
struct User {
    /// By this a user is deleted; never by `uid` or `seat_uid`.
    id: String,
    email: String,
}

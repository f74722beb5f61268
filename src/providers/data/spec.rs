//! What the file of a kind says: `kinds/*.toml`, or a `providers/*.toml` beside the configuration.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

mod auth;

pub(super) use auth::{Auth, OauthTable, Send};

use super::{
    path::{Path, Paths},
    template::{JsonTemplate, Template},
};
use crate::{
    outcome::{FailureKind, Outcome},
    providers::{Action, Confidence},
    source::{pointer::Pointer, rules::Conditions},
};

/// A product as data.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    /// Another kind, from which the tables that this file does not have are taken, each as a whole: all but its settings and its
    /// secret.
    pub(super) like: Option<String>,
    /// The vendor's name of the product and the operation.
    pub(super) title: String,
    /// The vendor's page on it.
    pub(super) page: String,
    /// What ends, and what survives.
    pub(super) effect: String,
    /// What the credentials must be allowed.
    pub(super) permission: String,
    /// Calls that the vendor allows.
    pub(super) limits: Option<String>,
    /// What the facts rest on.
    pub(super) status: Confidence,
    /// What can be done to an account; the first is the default.
    #[serde(default)]
    pub(super) actions: Vec<Action>,
    /// The keys of the provider's table in the configuration.
    #[serde(default)]
    pub(super) settings: BTreeMap<String, Setting>,
    /// The keys of its secret, each with its description.
    #[serde(default)]
    pub(super) secret: BTreeMap<String, String>,
    pub(super) auth: Option<Auth>,
    pub(super) http: Option<HttpTable>,
    /// The look-ups, by name. Each is a place of its own: a person can have one account in each.
    #[serde(default)]
    pub(super) find: BTreeMap<String, Find>,
    /// The steps of an action for what each look-up shows. The one that makes an account inactive comes last: after it the
    /// account is no longer found, and what came later would not be made up for.
    #[serde(default)]
    pub(super) remove: BTreeMap<Action, BTreeMap<String, Vec<Step>>>,
    /// What answers mean, where the status alone does not say it. The first that fits counts.
    #[serde(default)]
    pub(super) errors: Vec<ErrorRule>,
}

/// `[settings.NAME]`: a text that the configuration gives.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Setting {
    /// What it is, for a person.
    pub(super) description: String,
    pub(super) default: Option<String>,
    /// A value as it may be, for a person.
    pub(super) example: Option<String>,
    /// All its possible values.
    #[serde(default)]
    pub(super) one_of: Vec<String>,
    /// Its possible characters, as in a class of a regular expression: `a-z0-9-`.
    pub(super) characters: Option<String>,
    /// The most characters of it.
    pub(super) longest: Option<usize>,
    /// Whether it is a list of texts, each of which is a tenant of its own.
    #[serde(default)]
    pub(super) list: bool,
}

/// `[http]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpTable {
    /// Where the vendor is; without it the configuration must say so.
    pub(super) base_url: Option<Template>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Template>,
    /// The header in which the vendor names a request.
    pub(super) request_id: Option<String>,
    pub(super) retry_after: Option<RetryAfter>,
    /// Where a refusal has its code.
    #[serde(default)]
    pub(super) code: Vec<Pointer>,
    /// Where a refusal has its text.
    #[serde(default)]
    pub(super) message: Vec<Pointer>,
}

/// When to come back, said by another header than `Retry-After`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryAfter {
    pub(super) header: String,
    pub(super) unit: Unit,
}

/// What a rate limit's header counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    /// Seconds to wait.
    Seconds,
    /// Seconds since 1970.
    Epoch,
    /// Milliseconds since 1970.
    EpochMilliseconds,
}

/// `[find.NAME]`: one look-up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Find {
    pub(super) get: Option<Template>,
    pub(super) post: Option<Template>,
    #[serde(default)]
    pub(super) query: BTreeMap<String, Template>,
    /// Headers of this call alone.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Template>,
    pub(super) json: Option<JsonTemplate>,
    /// The statuses of success; 200 unless given.
    #[serde(default = "ok")]
    pub(super) expect: Statuses,
    /// A GraphQL document; sent with `variables`.
    pub(super) graphql: Option<String>,
    pub(super) variables: Option<JsonTemplate>,
    pub(super) page: Option<Paging>,
    /// What else a list must say.
    pub(super) r#where: Option<Conditions>,
    /// The list; of several paths, the first one where there is a list.
    pub(super) items: Option<Paths>,
    /// Whether an empty list is left out of an answer, which says something else then.
    #[serde(default)]
    pub(super) left_out: bool,
    /// The one object, where the look-up answers with the account itself.
    pub(super) object: Option<Pointer>,
    pub(super) id: Pointer,
    /// Whether the id is a credential: then it is not shown.
    #[serde(default)]
    pub(super) secret_id: bool,
    /// Its own addresses: none may be a colleague's. Of those in lists, the primary one is, and only where there are no others.
    pub(super) email: Paths,
    /// Further addresses, by which it may be found.
    pub(super) alias: Option<Paths>,
    pub(super) external_id: Option<Pointer>,
    /// What shows that an account can no longer be used.
    pub(super) inactive: Option<AnyOf>,
    /// Objects that are not accounts of the organization's people.
    pub(super) skip: Option<AnyOf>,
    /// Where an object has a value, other than null, that is none either: an invitation that was accepted.
    #[serde(default)]
    pub(super) skip_set: Vec<Pointer>,
    #[serde(default)]
    pub(super) blocked: Vec<BlockedRule>,
    /// The answers by which the look-up of one object says that there is none.
    #[serde(default)]
    pub(super) absent: Vec<Sign>,
    /// Ids that mean something else, `me` say.
    #[serde(default)]
    pub(super) reserved: Vec<String>,
    /// The look-up that shows the canary, where no account can stay in this one: nobody stays invited.
    pub(super) canary: Option<String>,
}

/// What success is, unless a look-up says otherwise.
fn ok() -> Statuses {
    Statuses(vec![200])
}

/// How a list goes on. What `{page}` stands for in the request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// A number: of the page, or of the items that came.
    pub(super) count: Option<Count>,
    /// The first number; 0 unless given.
    #[serde(default)]
    pub(super) from: usize,
    /// A cursor in the answer. There is no more without it.
    pub(super) next: Option<Pointer>,
    /// Where `next` is a URL, its parameter that is the cursor.
    pub(super) parameter: Option<String>,
    /// The parameter that is the cursor, in the `Link` header's URL with `rel="next"`.
    pub(super) link: Option<String>,
    /// The header that is the cursor. There is no more where it is empty, or missing in an answer that is not partial (206).
    pub(super) header: Option<String>,
    /// Where lists within the answer say that they go on. They are not followed: each must say that it ends.
    pub(super) inner: Option<Path>,
    /// Where the answer says how many items the whole list has.
    pub(super) total: Option<Pointer>,
    /// Where the answer says whether there is more: a truth value, or null where there is none.
    pub(super) more: Option<Pointer>,
}

/// What a page's number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Count {
    /// Pages.
    Pages,
    /// Items.
    Items,
}

/// An account that is left to a person.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockedRule {
    pub(super) r#where: Conditions,
    pub(super) reason: String,
    pub(super) detail: String,
}

/// One call of a removal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) post: Option<Template>,
    pub(super) put: Option<Template>,
    pub(super) patch: Option<Template>,
    pub(super) delete: Option<Template>,
    #[serde(default)]
    pub(super) query: BTreeMap<String, Template>,
    pub(super) json: Option<JsonTemplate>,
    pub(super) graphql: Option<String>,
    pub(super) variables: Option<JsonTemplate>,
    /// The statuses of success.
    pub(super) expect: Statuses,
    /// What the body must say besides, unless the status says that there is none (204).
    pub(super) r#where: Option<Conditions>,
    /// Where a success has a value, whatever it is.
    #[serde(default)]
    pub(super) has: Vec<Pointer>,
    /// Where a success names the job that it began: `{job}` in later steps. Those that ask about a job are left out where
    /// there is none, since all is done.
    pub(super) job: Option<Pointer>,
    /// What shows that the job goes on: then it is asked about again, as long as time lasts. The second look decides.
    pub(super) running: Option<Conditions>,
    /// Where a success names the account that was removed.
    pub(super) id: Option<Pointer>,
    /// The refusals that say that no such account is there.
    #[serde(default)]
    pub(super) gone: Vec<Sign>,
}

/// An answer by its traits: all that are named.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sign {
    pub(super) status: Statuses,
    pub(super) r#where: Option<Conditions>,
}

/// `[[errors]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorRule {
    pub(super) status: Option<Statuses>,
    pub(super) r#where: Option<Conditions>,
    #[serde(default)]
    pub(super) header: BTreeMap<String, String>,
    /// Whether it is of look-ups or of removals alone.
    pub(super) call: Option<CallKind>,
    pub(super) kind: ErrorKind,
    pub(super) reason: Option<String>,
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CallKind {
    Find,
    Remove,
}

/// [`FailureKind`], as a file names it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ErrorKind {
    Blocked,
    Unauthorized,
    Rejected,
    RateLimited,
    Unavailable,
}

impl From<ErrorKind> for FailureKind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Blocked => Self::Blocked,
            ErrorKind::Unauthorized => Self::Unauthorized,
            ErrorKind::Rejected => Self::Rejected,
            ErrorKind::RateLimited => Self::RateLimited,
            ErrorKind::Unavailable => Self::Unavailable,
        }
    }
}

/// One status, or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "StatusOrStatuses")]
pub(super) struct Statuses(pub(super) Vec<u16>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an HTTP status, or a list of them")]
enum StatusOrStatuses {
    Status(u16),
    Statuses(Vec<u16>),
}

impl From<StatusOrStatuses> for Statuses {
    fn from(statuses: StatusOrStatuses) -> Self {
        match statuses {
            StatusOrStatuses::Status(status) => Self(vec![status]),
            StatusOrStatuses::Statuses(statuses) => Self(statuses),
        }
    }
}

/// Conditions, or a list of them of which one is enough.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct AnyOf(pub(super) Vec<Conditions>);

impl TryFrom<Value> for AnyOf {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let several = if let Value::Array(several) = value { several } else { vec![value] };
        let conditions = several.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
        conditions.map(Self).map_err(|error| error.to_string())
    }
}

impl AnyOf {
    pub(super) fn hold(&self, item: &Value) -> bool {
        self.0.iter().any(|conditions| conditions.hold(item))
    }
}

impl Paging {
    /// Whether there may be another page to ask for.
    pub(super) fn goes_on(&self) -> bool {
        self.ways() > 0
    }

    /// The ways in which the next page is named.
    pub(super) fn ways(&self) -> usize {
        let ways = [self.count.is_some(), self.next.is_some(), self.link.is_some(), self.header.is_some()];
        ways.into_iter().filter(|given| *given).count()
    }
}

impl Spec {
    /// What an action makes of an account that this look-up shows. What cannot be inactive (an invitation) is deleted.
    pub(super) fn makes(&self, action: Action, find: &Find) -> Outcome {
        match action {
            Action::Deactivate if find.inactive.is_some() => Outcome::Deactivated,
            Action::Deactivate | Action::Delete => Outcome::Deleted,
        }
    }

    /// This file, and the tables that it does not have from the file that it is like.
    pub(super) fn over(mut self, other: Self) -> Self {
        if self.actions.is_empty() {
            self.actions = other.actions;
        }
        self.auth = self.auth.or(other.auth);
        self.http = self.http.or(other.http);
        if self.find.is_empty() {
            self.find = other.find;
        }
        if self.remove.is_empty() {
            self.remove = other.remove;
        }
        if self.errors.is_empty() {
            self.errors = other.errors;
        }
        self
    }
}

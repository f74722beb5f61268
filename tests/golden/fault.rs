//! The ways for an answer to go wrong, and which of them may look like success.

use serde_json::Value;

use crate::case::{Answer, Exchange, Request};

/// The address that every case with a canary has for it.
pub const CANARY: &str = "ops@example.com";

/// One way for an answer to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Another status, with a body that says nothing.
    Status(u16),
    /// Another status, with the right body.
    RightBody(u16),
    Reset,
    Slow,
    Html,
    Truncated,
    EmptyObject,
    EmptyList,
    /// Every address and every id of an account in it is another's.
    Stranger,
    /// A list without anybody, which still says how many it has.
    Nobody,
}

const STATUSES: [u16; 6] = [401, 403, 418, 429, 500, 503];

pub fn faults() -> Vec<Fault> {
    let others = [
        Fault::Reset,
        Fault::Slow,
        Fault::Html,
        Fault::Truncated,
        Fault::EmptyObject,
        Fault::EmptyList,
        Fault::Stranger,
        Fault::Nobody,
    ];
    let statuses = STATUSES.into_iter().flat_map(|status| [Fault::Status(status), Fault::RightBody(status)]);
    statuses.chain(others).collect()
}

impl Fault {
    /// The answer gone wrong; `None` if that would be no difference.
    pub fn of(self, answer: &Answer) -> Option<Answer> {
        let Answer::Http { status, headers, body } = answer else {
            return None;
        };
        let with =
            |status: u16, body: &str| Some(Answer::Http { status, headers: headers.clone(), body: body.to_owned() });
        match self {
            Self::Status(status) => with(status, "no"),
            Self::RightBody(other) => (other != *status && !body.is_empty()).then(|| with(other, body))?,
            Self::Reset => Some(Answer::Reset),
            Self::Slow => Some(Answer::Stalled { body: body.clone() }),
            Self::Html => with(200, "<html><body>Please sign in</body></html>"),
            Self::Truncated => {
                (body.len() > 1).then(|| with(*status, &body[..body.floor_char_boundary(body.len() * 2 / 3)]))?
            }
            Self::EmptyObject => (body != "{}").then(|| with(200, "{}"))?,
            Self::EmptyList => with(200, "[]"),
            Self::Stranger => {
                let strange = strange(body);
                (strange != *body).then(|| with(*status, &strange))?
            }
            Self::Nobody => {
                let empty = without_accounts(body);
                (empty != *body).then(|| with(*status, &empty))?
            }
        }
    }

    /// Why an exchange may still end as "gone" although this answer went wrong. Everything else may not.
    pub fn excused(self, exchange: &Exchange) -> Option<&'static str> {
        let body = match &exchange.answer {
            Answer::Http { body, .. } => body.as_str(),
            _ => "",
        };
        let gone = ["ResourceNotFound", "member_not_found", "member_does_not_exist_in_organization"];
        let shows_canary = body.contains(CANARY);
        match self {
            Self::Nobody if exchange.request.target.contains("/access/users?") && !shows_canary => {
                Some("Cloudflare's total is not to be relied on: an empty page ends a list")
            }
            Self::Nobody if !says_how_many(body) && !shows_canary => {
                Some("without a total, a list of nobody is what absence looks like")
            }
            Self::EmptyObject | Self::EmptyList if is_bodiless(&exchange.request) => Some(
                "the vendor promises no body: the status alone says that it was done, and the second look proves it",
            ),
            Self::EmptyList if body.starts_with('[') && !shows_canary => {
                Some("where the answer is the list itself, this is one of nobody")
            }
            Self::Stranger if is_changed(&exchange.request) && !body.contains("member_id") => Some(
                "what is changed has the id that was asked for, whose address may have changed; the second look reads addresses",
            ),
            Self::Stranger if !is_removal(&exchange.request) && !shows_canary => {
                Some("a list of nobody but others is what absence looks like")
            }
            Self::RightBody(418) if gone.iter().any(|code| body.contains(code)) => {
                Some("the vendor's own code says that the account is gone, and 418 says nothing against it")
            }
            Self::RightBody(403) if body.contains("invalid_token") => {
                Some("a token that is called invalid is replaced, with 403 as with 401, and then all is done")
            }
            _ => None,
        }
    }
}

/// Whether an answer counts what its whole list has.
fn says_how_many(body: &str) -> bool {
    ["total_filtered_count", "totalCount", "totalResults", "totalSize", "\"previous\""]
        .iter()
        .any(|word| body.contains(word))
}

/// Whether this changes an account, and may be answered with it.
fn is_changed(request: &Request) -> bool {
    is_change(request) || request.target.ends_with(":suspend")
}

/// How Okta's deactivation ends.
const DEACTIVATE: &str = "/lifecycle/deactivate?sendEmail=false";

/// Whether this is a removal whose success has no body.
fn is_bodiless(request: &Request) -> bool {
    let begins = ["/scim/v2/Users/", "/teams/acme/invitations/", "/v0/meta/", "/admin/v1/", "/iam/"];
    let begins = begins.iter().any(|begin| request.target.starts_with(begin));
    let ends = ["/suspend", "/signOut", DEACTIVATE, "/lifecycle/disable"];
    let deleted = ["/scim/v2/Users/", "/billable_members/", "/invites/inv-", "/directory/v1/users/"];
    let is_deleted = request.method == "DELETE" && deleted.iter().any(|path| request.target.contains(path));
    is_deleted || ends.iter().any(|end| request.target.ends_with(end)) || begins && is_change(request)
}

fn is_change(request: &Request) -> bool {
    ["DELETE", "PATCH", "PUT"].contains(&request.method.as_str())
}

/// An answer without the accounts of its list; what it says about them stays.
fn without_accounts(body: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    let lists = [
        "/members",
        "/result",
        "/data/items",
        "/data/users/nodes",
        "/data/organizationInvites/nodes",
        "/data/organization/samlIdentityProvider/externalIdentities/nodes",
        "/data",
        "/Resources",
        "/resources",
        "/user_principals",
        "/users",
        "/results",
        "/items",
        "/entries",
        "/value",
        "/records",
        "/emailInviteCodes",
        "/data/actor/organization/userManagement/authenticationDomains/authenticationDomains",
        "",
    ];
    let list = lists.into_iter().find(|list| value.pointer(list).is_some_and(Value::is_array));
    match list.and_then(|list| value.pointer_mut(list)).and_then(Value::as_array_mut) {
        Some(items) if !items.is_empty() => items.clear(),
        _ => return body.to_owned(),
    }
    value.to_string()
}

/// Whether this removes an account.
pub fn is_removal(request: &Request) -> bool {
    let begins = ["/member/delete", "/api/user/delete-by-email"];
    let ends = [
        "/removeUser",
        "/revokeSignInSessions",
        "/suspend",
        ":suspend",
        "/signOut",
        "/team/members/remove",
        "/block",
        DEACTIVATE,
        "/lifecycle/disable",
    ];
    let is_mutation = || request.body.as_ref().is_some_and(|body| body.to_string().contains("mutation("));
    is_change(request)
        || begins.iter().any(|path| request.target.starts_with(path))
        || ends.iter().any(|path| request.target.ends_with(path))
        || is_mutation()
}

/// The same answer about somebody else.
fn strange(body: &str) -> String {
    let mut value: Value = match serde_json::from_str(body) {
        Ok(value) => value,
        Err(_) => return body.to_owned(),
    };
    fn change(value: &mut Value) {
        match value {
            Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| match (key.as_str(), &value) {
                ("member_id" | "ref_id" | "external_id", Value::String(_)) => *value = Value::from("stranger"),
                (
                    "email" | "email_address" | "handle" | "nameId" | "userName" | "value" | "login" | "loginName"
                    | "username" | "primaryEmail" | "Email" | "Username" | "invite_email" | "invitee",
                    Value::String(text),
                ) if text.contains('@') => *value = Value::from("stranger@example.org"),
                _ => change(value),
            }),
            Value::Array(items) => items.iter_mut().for_each(change),
            _ => {}
        }
    }
    let right = value.clone();
    change(&mut value);
    if value == right { body.to_owned() } else { value.to_string() }
}

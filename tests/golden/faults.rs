//! The fault sweep: every answer of every golden case in turn goes wrong in every way. None of it may end as "gone",
//! nothing may be removed after a look-up that failed, and everything ends.

use std::{collections::HashSet, time::Duration};

use futures_util::{StreamExt, stream};
use offboard::outcome::{Outcome, ProviderResult};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::{
    case::{Answer, Case, Exchange, Request},
    play::{Stage, World, leaks},
    player::Player,
};

/// No second attempts: they are their own tests. And little patience, for an attempt and for all of them: the engine's last
/// looks at what is still listed do not fit.
const HASTE: (&str, Duration) = ("attempts = 1\ntimeout = \"150ms\"", Duration::from_millis(900));
/// The same where every attempt must succeed that can.
const CALM: (&str, Duration) = ("attempts = 1\ntimeout = \"2s\"", Duration::from_secs(9));
/// The address that every case with a canary has for it.
const CANARY: &str = "ops@example.com";
/// So many at a time.
const ABREAST: usize = 24;
/// So many of all sweeps: with more, a busy machine would look like a slow vendor.
static TURNS: Semaphore = Semaphore::const_new(2 * ABREAST);

/// One way for an answer to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
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

fn faults() -> Vec<Fault> {
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
    fn of(self, answer: &Answer) -> Option<Answer> {
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
    fn excused(self, exchange: &Exchange) -> Option<&'static str> {
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
            Self::Stranger if is_changed(&exchange.request) && !body.contains("member_id") => {
                Some("the answer to a change is of the id that was asked for; the second look reads addresses")
            }
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

/// Whether this changes an account, and is answered with it.
fn is_changed(request: &Request) -> bool {
    ["PATCH", "PUT"].contains(&request.method.as_str()) || request.target.ends_with(":suspend")
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

fn is_removal(request: &Request) -> bool {
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

/// One answer of one case, gone wrong.
struct Trial<'a> {
    case: &'a Case,
    /// Which departure, and which of its exchanges.
    at: (usize, usize),
    fault: Fault,
    answer: Answer,
}

impl Trial<'_> {
    fn name(&self) -> String {
        let (run, exchange) = self.at;
        format!("{}/{} departure {run} answer {exchange} {:?}", self.case.kind, self.case.name, self.fault)
    }

    /// Plays the case with the fault in it; what ended differently from what may be.
    async fn run(&self, world: &World, (keys, patience): (&str, Duration)) -> (ProviderResult, Vec<String>) {
        // What comes before must end as scripted, also on a busy machine.
        let (keys, patience) = if self.at.0 > 0 { CALM } else { (keys, patience) };
        let player = Player::start().await;
        let stage = Stage::new(self.case, world, &player, keys);
        for run in &self.case.runs[..self.at.0] {
            player.load(&run.exchanges);
            stage.run(run, world, patience).await;
        }
        let run = &self.case.runs[self.at.0];
        let mut exchanges = run.exchanges.clone();
        exchanges[self.at.1].answer = self.answer.clone();
        player.load(&exchanges);
        player.repeat(&exchanges[self.at.1]);
        let before = player.played().len();
        let entry = stage.run(run, world, patience).await;
        // Whoever finds nobody goes on to look for the canary, where the script has somebody.
        let goes_on = self.case.provider.contains(CANARY);
        // A token that is refused is fetched anew.
        let fetches = run.exchanges[0].request.target == "/token";
        // Two look-ups share a token: if a busy machine makes one miss it, the other fetches it.
        let shares = fetches && run.exchanges.iter().any(|exchange| !exchange.lane.is_empty());
        // There is no time to ask about a job again.
        let waits = run.exchanges.iter().any(|exchange| exchange.request.target.ends_with("/job_status/get"));
        let leaves_script = match self.fault {
            _ if shares || waits => true,
            Fault::Stranger | Fault::Nobody | Fault::EmptyList => goes_on,
            Fault::Status(401) | Fault::RightBody(401) => fetches,
            _ => false,
        };
        let mut wrong = if leaves_script { Vec::new() } else { player.complaints() };
        wrong.extend(leaks(&entry));
        if self.fault.excused(&run.exchanges[self.at.1]).is_some() {
            return (entry, wrong);
        }
        if [Outcome::Deleted, Outcome::Deactivated, Outcome::AlreadyAbsent].contains(&entry.worst.outcome) {
            wrong.push(format!("ended as {}", entry.worst.outcome));
        }
        let elsewhere = |request: &Request| self.is_in_another_lane(request);
        if self.is_look_up() && player.played()[before..].iter().any(|it| is_removal(it) && !elsewhere(it)) {
            wrong.push("removed somebody after a look-up that failed".to_owned());
        }
        (entry, wrong)
    }

    /// Whether the answer is one that decides whom to remove.
    fn is_look_up(&self) -> bool {
        let exchanges = &self.case.runs[self.at.0].exchanges;
        let this = &exchanges[self.at.1];
        // An account under a current address is removed whether or not a former one can be looked up.
        let former = this.request.target.contains("former");
        let so_far = exchanges[..=self.at.1].iter().filter(|exchange| exchange.lane == this.lane);
        !former && !so_far.map(|exchange| &exchange.request).any(is_removal)
    }

    /// Whether the script has this request where it does not hang on the answer that went wrong.
    fn is_in_another_lane(&self, request: &Request) -> bool {
        let exchanges = &self.case.runs[self.at.0].exchanges;
        let lane = &exchanges[self.at.1].lane;
        exchanges.iter().any(|exchange| exchange.lane != *lane && exchange.request == *request)
    }
}

/// All trials of these cases. Where several begin alike and are to end alike, the first stands for all.
fn trials(cases: &[Case]) -> Vec<Trial<'_>> {
    let mut trials = Vec::new();
    let mut known = HashSet::new();
    for case in cases {
        for (run, departure) in case.runs.iter().enumerate() {
            for (exchange, Exchange { answer, .. }) in departure.exchanges.iter().enumerate() {
                let (so_far, end) = (&departure.exchanges[..=exchange], &departure.outcome["outcome"]);
                let setting = (&case.policy, &case.provider, &case.secret, &departure.person);
                if !known.insert(format!("{run} {setting:?} {so_far:?} {end}")) {
                    continue;
                }
                let wrong = faults().into_iter().filter_map(|fault| Some((fault, fault.of(answer)?)));
                trials.extend(wrong.map(|(fault, answer)| Trial { case, at: (run, exchange), fault, answer }));
            }
        }
    }
    trials
}

/// Whether the end of this case is one that a fault could fake.
fn is_worth_faking(case: &Case) -> bool {
    let ends = |end: &str| case.runs.iter().any(|run| run.outcome["outcome"] == end);
    ends("deleted") || ends("deactivated") || ends("already_absent")
}

async fn sweep(kind: &str) {
    let wrong = swept(kind).await;
    assert!(wrong.is_empty(), "{} trials went wrong\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

/// The trials of a kind that went wrong, and what was wrong with each.
async fn swept(kind: &str) -> Vec<String> {
    let mut cases = Case::all_of(kind);
    cases.retain(is_worth_faking);
    let world = World::of(&cases).await;
    let trials = trials(&cases);
    let results = stream::iter(&trials).map(|trial| async {
        let _turn = TURNS.acquire().await;
        (trial.name(), trial.run(&world, HASTE).await.1)
    });
    let results: Vec<_> = results.buffer_unordered(ABREAST).collect().await;
    assert!(trials.len() > 100, "only {} trials of {kind}", trials.len());
    let wrong = results.into_iter().filter(|(_, wrong)| !wrong.is_empty());
    wrong.map(|(name, wrong)| format!("── {name}\n{}", wrong.join("\n"))).collect()
}

#[tokio::test]
async fn no_fault_of_aerospike_cloud_looks_like_success() {
    sweep("aerospike_cloud").await;
}

#[tokio::test]
async fn no_fault_of_cloudflare_access_looks_like_success() {
    sweep("cloudflare_access").await;
}

#[tokio::test]
async fn no_fault_of_flashduty_looks_like_success() {
    sweep("flashduty").await;
}

#[tokio::test]
async fn no_fault_of_instaply_looks_like_success() {
    sweep("instaply").await;
}

#[tokio::test]
async fn no_fault_of_stytch_b2b_looks_like_success() {
    sweep("stytch_b2b").await;
}

#[tokio::test]
async fn no_fault_of_products_as_data_looks_like_success() {
    let mut wrong = Vec::new();
    for kind in crate::data_kinds() {
        wrong.extend(swept(kind).await);
    }
    assert!(wrong.is_empty(), "{} trials went wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// What each fault of each answer of the clean deletion comes to, to be read by a person.
#[tokio::test]
async fn what_faults_come_to() {
    let cases: Vec<_> = crate::rust_kinds().map(|kind| Case::named(kind.name, "deleted")).collect();
    let world = World::of(&cases).await;
    let trials = trials(&cases);
    let lines = stream::iter(&trials).map(|trial| async {
        let finding = trial.run(&world, CALM).await.0.worst;
        let request = &trial.case.runs[0].exchanges[trial.at.1].request;
        let reason = finding.reason.unwrap_or_default();
        let step =
            format!("{}. {} {}", trial.at.1 + 1, request.method, request.target.split('?').next().unwrap_or_default());
        (
            format!("{} {step}", trial.case.kind),
            format!("  {:<16} {} {reason}", format!("{:?}", trial.fault), finding.outcome),
        )
    });
    let lines: Vec<_> = lines.buffered(ABREAST).collect().await;
    let mut table = String::new();
    let mut last = String::new();
    for (step, line) in lines {
        if step != last {
            table.push_str(&format!("{step}\n"));
            last = step;
        }
        table.push_str(&format!("{}\n", line.trim_end()));
    }
    insta::assert_snapshot!(table);
}

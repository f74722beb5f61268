//! The fault sweep: every answer of every golden case in turn goes wrong in every way. None of it may end as "gone",
//! nothing may be removed after a look-up that failed, and everything ends.

use std::{collections::HashSet, time::Duration};

use futures_util::{StreamExt, stream};
use offboard::outcome::{Outcome, ProviderResult};
use tokio::sync::Semaphore;

use crate::{
    case::{Answer, Case, Exchange, Request},
    data_kinds, data_kinds_abreast,
    fault::{CANARY, Fault, faults, is_removal},
    play::{Stage, World, leaks},
    player::Player,
};

/// No second attempts: they are their own tests. And little patience, for an attempt and for all of them: the engine's last
/// looks at what is still listed do not fit.
const HASTE: (&str, Duration) = ("attempts = 1\ntimeout = \"150ms\"", Duration::from_millis(900));
/// The same where every attempt must succeed that can.
const CALM: (&str, Duration) = ("attempts = 1\ntimeout = \"2s\"", Duration::from_secs(9));
/// So many at a time.
const ABREAST: usize = 16;
/// So many kinds at a time: what one waits for, others need not.
const SWEPT_ABREAST: usize = 2;
/// So many of all sweeps: with more, a busy machine would look like a slow vendor.
static TURNS: Semaphore = Semaphore::const_new(2 * ABREAST);

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
        // Where no account is found, the engine goes on to look for the canary, where the script has somebody.
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
                let faults = faults().into_iter().filter(|fault| !is_known(case, *fault));
                let wrong = faults.filter_map(|fault| Some((fault, fault.of(answer)?)));
                trials.extend(wrong.map(|(fault, answer)| Trial { case, at: (run, exchange), fault, answer }));
            }
        }
    }
    trials
}

/// Whether other faults show as much. One piece of code reads the status of what is data, and 403 and 418 show that a right body
/// does not help.
fn is_known(case: &Case, fault: Fault) -> bool {
    let is_data = data_kinds().any(|kind| kind == case.kind);
    is_data && matches!(fault, Fault::RightBody(429 | 500 | 503))
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
    let wrong = data_kinds_abreast(SWEPT_ABREAST, swept).await;
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

//! An operator, who sees only what a review shows, and may decide on it later.

use offboard::{
    config::Pattern,
    judgement::{Rules, Veto},
    ledger::{Pause, Protection, ProtectionAction, Record},
    operator::{Confirmation, Decision, Note, Shown},
};

use crate::{
    driver::{Driver, picked},
    environment::{self, RETENTION, WIKI},
    observed,
    steps::{Action, Decide, Fault, FaultKind},
    truth::{Millis, PROVIDERS, SOURCES, address, utc},
    world::OPERATOR,
};

impl Driver {
    pub async fn operate(&mut self, action: Action, fault: Option<Fault>) {
        {
            let mut state = self.world.state();
            let now = state.now(&self.world);
            // A terminal is not frozen, and what it does not do it can do again.
            let fault = fault.filter(|fault| matches!(fault.kind, FaultKind::ErrorBefore | FaultKind::ErrorAfter));
            state.begin(OPERATOR, Vec::new(), fault, now);
        }
        match action {
            Action::Review { pick } => {
                if let Some(id) = self.open_departure(pick) {
                    self.review(&id).await;
                }
            }
            Action::Decide { pick, what } => self.decide(pick, what).await,
            Action::Pause => self.pause(true).await,
            Action::Resume => self.pause(false).await,
            Action::Hold { address, hours } => self.hold(address, hours).await,
            Action::Unhold { address } => self.unhold(address).await,
            _ => {}
        }
    }

    fn open_departure(&self, pick: u8) -> Option<String> {
        let state = self.world.state();
        let open: Vec<_> = state
            .records
            .values()
            .filter(|record| !record.state.is_settled())
            .map(|record| record.id.clone())
            .collect();
        picked(&open, pick)
    }

    async fn review(&mut self, id: &str) {
        let (policy, setup) = {
            let state = self.world.state();
            (environment::policy(&state.setup, &state.policy), state.setup.clone())
        };
        let settle = if id.starts_with(SOURCES[1]) { setup.settle } else { std::time::Duration::ZERO };
        let now = utc(self.world.now());
        let rules = Rules { policy: &policy, settle: Some(settle) };
        if let Ok((record, verdict)) = environment::ledger(&self.world, OPERATOR).review(id, rules, now).await {
            let mut state = self.world.state();
            state.note(|| format!("  the operator is shown {:?}", verdict.standing));
            let former = former_accounts(&record);
            state.shown.entry(id.to_owned()).or_default().extend(former);
            self.reviews.insert(id.to_owned(), verdict.standing);
        }
    }

    /// Decides on what was shown, also if that was a while ago.
    async fn decide(&mut self, pick: u8, what: Decide) {
        let Some(id) = self.open_departure(pick) else { return };
        if what == Decide::Confirm {
            return self.confirm(&id).await;
        }
        if !self.reviews.contains_key(&id) {
            self.review(&id).await;
        }
        let Some(standing) = self.reviews.remove(&id) else { return };
        let named = |n: u8| picked(&standing, n).map(|standing| standing.veto).unwrap_or(Veto::TooManyDepartures);
        let decision = match what {
            Decide::Release => Decision::Release(Shown { standing, only: None }),
            Decide::ReleaseOnly(n) => {
                let only = Some(vec![named(n)]);
                Decision::Release(Shown { standing, only })
            }
            Decide::Dismiss => Decision::Dismiss,
            Decide::Replay => Decision::Replay,
            Decide::Confirm => return,
        };
        self.carry_out(&id, &decision).await;
    }

    /// Says that the account at the product without an API was removed by hand.
    async fn confirm(&mut self, id: &str) {
        let reached = SOURCES.into_iter().position(|name| id.starts_with(name)).map(environment::source);
        let reached = PROVIDERS.into_iter().chain([WIKI]).filter(|name| reached.is_some_and(|one| one.covers(name)));
        let reached = reached.map(str::to_owned).collect();
        let note = Note::parse("deleted").unwrap();
        let confirmation = Confirmation { provider: WIKI.to_owned(), note, reached };
        self.carry_out(id, &Decision::Confirm(confirmation)).await;
    }

    /// Confirms whatever can be confirmed.
    pub async fn confirm_all(&mut self) {
        let open: Vec<_> = {
            let state = self.world.state();
            let open = state.records.values().filter(|record| observed::is_manual(record));
            open.map(|record| record.id.clone()).collect()
        };
        for id in open {
            self.confirm(&id).await;
        }
    }

    async fn carry_out(&mut self, id: &str, decision: &Decision) {
        let now = utc(self.world.now());
        let decided = environment::ledger(&self.world, OPERATOR).decide(id, decision, "operator", RETENTION, now).await;
        self.world.state().note(|| format!("  {} {id}: {:?}", decision.name(), decided.map(|record| record.state)));
    }

    async fn pause(&mut self, is_on: bool) {
        let ledger = environment::ledger(&self.world, OPERATOR);
        let now = self.world.now();
        self.world.state().paused = None;
        let pause = Pause { at: utc(now), who: "operator".to_owned(), reason: None };
        let set = ledger.set_pause(is_on.then_some(&pause)).await;
        if set.is_ok() && is_on {
            let now = self.world.now();
            self.world.state().paused = Some(now);
        }
    }

    async fn hold(&mut self, n: usize, hours: Option<u8>) {
        let until = hours.map(|hours| self.world.now() + Millis::from(hours) * 3_600_000);
        self.world.state().ever_held.insert(n);
        // What was to end later may end earlier now.
        self.world.state().holds.remove(&n);
        let action = ProtectionAction::Protect { until: until.map(utc) };
        if self.decide_protection(n, action).await {
            let now = self.world.now();
            self.world.state().holds.insert(n, (now, until.unwrap_or(Millis::MAX)));
        }
    }

    async fn unhold(&mut self, n: usize) {
        self.world.state().holds.remove(&n);
        self.decide_protection(n, ProtectionAction::Unprotect).await;
    }

    /// Returns whether the decision is surely stored.
    async fn decide_protection(&mut self, n: usize, action: ProtectionAction) -> bool {
        let pattern: Pattern = address(n).try_into().unwrap();
        let (address, who) = (pattern.masked(), "operator".to_owned());
        let decision = Protection { action, address, at: utc(self.world.now()), who, reason: None };
        let ledger = environment::ledger(&self.world, OPERATOR);
        let decided = ledger.decide_protection(&pattern, &decision, RETENTION).await;
        self.world.state().note(|| format!("  {action:?} address {n}: {decided:?}"));
        decided.is_ok()
    }
}

fn former_accounts(record: &Record) -> Vec<String> {
    let entries = record.providers.values().map(|result| &result.found);
    let findings = entries.flat_map(|result| result.all());
    let former = findings.filter(|finding| finding.reason.as_deref() == Some("former_address"));
    former.filter_map(|finding| finding.account_id.clone()).collect()
}

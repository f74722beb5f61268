//! One run of a departure: what its facts allow, carried out at every provider, and what came of it.

use std::{collections::BTreeSet, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use super::{Flow, Worker};
use crate::{
    engine::{Action, Ask, Assignment, Barrier, OwnedIdentity, Permission, Run},
    judgement::{self, Next, Verdict, Veto},
    ledger::{Facts, LedgerError, ProviderLimits, Record, TraitKey},
    outcome::{AccountResult, ProviderResult},
};

mod turns;

/// How old facts may be when somebody is removed.
const MAX_FACTS_AGE: Duration = Duration::from_secs(5);
/// How long what is found out may wait to be written while other providers are still being called.
const UNSAVED: Duration = Duration::from_secs(2);
/// The time that a removal's call needs within the lease.
const CALL: Duration = Duration::from_secs(10);

/// A run.
pub(super) struct Removal<'a> {
    flow: &'a Flow,
    worker: Worker<'a>,
    pub(super) record: Record,
    /// When the facts were read, by both clocks.
    read_at: (Instant, time::OffsetDateTime),
    verdict: Option<Verdict>,
    /// What the providers asked for, as it was read last.
    limits: ProviderLimits,
    /// Providers at which an earlier run may have begun to remove.
    begun: BTreeSet<String>,
    /// Providers whose removal was allowed in this run.
    asked: BTreeSet<String>,
    /// Results of this run.
    results: Vec<ProviderResult>,
    /// Why nothing more is removed in this run.
    halted: Option<&'static str>,
}

impl<'a> Removal<'a> {
    pub(super) fn new(flow: &'a Flow, record: Record, worker: Worker<'a>) -> Self {
        let read_at = (Instant::now(), worker.now());
        Self {
            flow,
            worker,
            begun: record.begun(),
            record,
            read_at,
            verdict: None,
            limits: ProviderLimits::default(),
            asked: BTreeSet::new(),
            results: Vec::new(),
            halted: None,
        }
    }

    /// Judges, does what follows, and closes the record.
    pub(super) async fn run(&mut self) -> Result<(), LedgerError> {
        let facts = self.facts().await?;
        self.count(&facts).await?;
        self.flow.ledger.repair(&self.record, &facts).await?;
        let verdict = self.judge(&facts);
        let action = match verdict.next {
            Next::Remove => Some(Action::Remove),
            Next::LookUp => Some(Action::LookUp),
            // What an earlier run began is looked at all the same.
            _ if !self.begun.is_empty() => Some(Action::Resolve),
            _ => None,
        };
        if let Some(action) = action {
            self.carry_out(action, &verdict).await;
        }
        self.close().await;
        Ok(())
    }

    /// Counts the departure, unless that was done when it was received.
    async fn count(&mut self, facts: &Facts) -> Result<(), LedgerError> {
        if let (Some(limit), false) = (&self.flow.policy.max_departures, self.record.counted)
            && !facts.counts(&self.record)
        {
            self.flow.ledger.count(&[&self.record], limit).await?;
            let is_late = !facts.is_over(Some(limit));
            self.record.counted_late = is_late.then(|| self.worker.now().unix_timestamp());
        }
        self.record.counted = true;
        Ok(())
    }

    async fn facts(&mut self) -> Result<Facts, LedgerError> {
        let read_at = (Instant::now(), self.worker.now());
        let facts = self.flow.ledger.facts(&self.record, &self.flow.policy).await?;
        self.read_at = read_at;
        self.limits = facts.limits.clone();
        Ok(facts)
    }

    fn judge(&mut self, facts: &Facts) -> Verdict {
        let rules = self.flow.rules(&self.record);
        let verdict = judgement::judge(&self.record, facts, rules, self.worker.now());
        self.record.judged(&verdict);
        if self.record.has_veto(Veto::DryRun) {
            // What was released before is not carried out when it goes live again.
            self.record.release = judgement::Release::default();
        }
        self.verdict = Some(verdict.clone());
        verdict
    }

    /// Carries out an action at every provider at once.
    async fn carry_out(&mut self, action: Action, verdict: &Verdict) {
        let (barrier, mut asks) = Barrier::new();
        if action != Action::Resolve {
            let mut traits = looked_up(&self.record.source, verdict);
            traits.extend(self.record.person.traits.iter().cloned());
            self.record.looks_up_by(traits);
        }
        let begun = &self.begun;
        let is_wanted = |name: &&str| {
            let is_meant = action != Action::Resolve || begun.contains(*name);
            is_meant && self.flow.covers(&self.record, name) && self.record.is_open_at(name)
        };
        let wanted = self.flow.engine.names().filter(is_wanted).collect();
        let assignment = Assignment {
            targets: verdict.targets.clone(),
            source: self.record.source.clone(),
            action,
            released: self.record.release.former.clone(),
            protected: verdict.protected.clone(),
            begun: begun.clone(),
        };
        let flow = self.flow;
        let called = self.called(wanted).await;
        let wanted = |name: &str| called.contains(&name);
        let mut run = flow.engine.begin(&flow.secrets, assignment, self.worker.deadline, &barrier, wanted);
        drop(barrier);
        self.attend(&mut run, &mut asks).await;
    }

    /// Answers removals that ask for permission, and records what ends, until everything has ended.
    async fn attend(&mut self, run: &mut Run, asks: &mut mpsc::Receiver<Ask>) {
        let mut unsaved_since = None;
        while !run.is_empty() {
            let write_at = unsaved_since.unwrap_or_else(Instant::now) + UNSAVED;
            tokio::select! {
                biased;
                Some(ask) = asks.recv() => {
                    self.decide(ask, asks, run).await;
                    unsaved_since = None;
                }
                Some(result) = run.next() => {
                    self.share(&result).await;
                    self.note_result(result);
                    unsaved_since = unsaved_since.or_else(|| Some(Instant::now()));
                }
                () = tokio::time::sleep_until(write_at), if unsaved_since.is_some() => {
                    unsaved_since = None;
                    self.save().await;
                }
            }
        }
    }

    fn note_result(&mut self, result: ProviderResult) {
        let asked = self.asked.contains(&result.provider);
        self.record.note_result(result.clone(), asked, self.worker.now());
        self.results.push(result);
    }

    /// Answers a removal that asks, and those that ask by now: one intent names them all.
    async fn decide(&mut self, first: Ask, asks: &mut mpsc::Receiver<Ask>, run: &Run) {
        // Before the others are taken out: anybody who has not ended its look-up yet may remove somebody as well.
        let mut may_remove: BTreeSet<String> = run.unfinished().into_iter().collect();
        let mut waiting = vec![first];
        while let Ok(ask) = asks.try_recv() {
            waiting.push(ask);
        }
        may_remove.extend(waiting.iter().map(|ask| ask.provider.clone()));
        for ask in waiting {
            let permission = self.permit(&ask.provider, &may_remove).await;
            // A removal that no longer waits has ended already.
            let _ = ask.answer.send(permission);
        }
    }

    /// Decides about one attempt to remove: after the intent was noted, on facts that are fresh when it returns, and within the
    /// lease.
    async fn permit(&mut self, provider: &str, may_remove: &BTreeSet<String>) -> Permission {
        if let Some(reason) = self.halted {
            return Permission::Denied(reason.to_owned());
        }
        if !self.record.intent.contains(provider) {
            self.record.intent.extend(may_remove.iter().cloned());
            self.record.first_attempt_at.get_or_insert(self.worker.now().unix_timestamp());
            if !self.save().await {
                return self.halt("not_recorded");
            }
        }
        // Reading facts takes time as well: they may be too old once they are read.
        while self.has_time() {
            if !self.is_stale() && self.limits.not_before(provider, self.worker.now()).is_some() {
                return Permission::Denied(AccountResult::ASKED_TO_WAIT.to_owned());
            }
            if !self.is_stale() {
                self.asked.insert(provider.to_owned());
                return Permission::Granted;
            }
            if let Err(reason) = self.refresh().await {
                return self.halt(reason);
            }
        }
        self.halt("deadline")
    }

    /// Whether a removal's call fits into the lease.
    fn has_time(&self) -> bool {
        let ends = self.record.lease.as_ref().map(|lease| lease.until);
        Instant::now() < self.worker.deadline && ends.is_some_and(|ends| self.worker.now() + CALL <= ends)
    }

    /// Whether the facts are too old to remove somebody on them.
    fn is_stale(&self) -> bool {
        let frozen = Duration::try_from(self.worker.now() - self.read_at.1).unwrap_or(Duration::MAX);
        self.read_at.0.elapsed().max(frozen) > MAX_FACTS_AGE
    }

    fn halt(&mut self, reason: &'static str) -> Permission {
        self.halted = Some(reason);
        Permission::Denied(reason.to_owned())
    }

    /// Reads the facts and judges again.
    async fn refresh(&mut self) -> Result<(), &'static str> {
        let facts = self.facts().await.map_err(|_| "facts_unavailable")?;
        let before = self.verdict.clone();
        let verdict = self.judge(&facts);
        match (verdict.next, before) {
            (Next::Remove, Some(before)) if is_same(&before, &verdict) => Ok(()),
            (Next::Remove, _) => Err(AccountResult::FACTS_CHANGED),
            _ => Err(AccountResult::HELD),
        }
    }

    /// Writes the record. Returns whether that is certain.
    async fn save(&mut self) -> bool {
        match self.flow.ledger.save(&mut self.record).await {
            Ok(saved) => saved,
            Err(error) => {
                self.log(&error.to_string());
                false
            }
        }
    }

    /// Ends the run: the state follows from the last judgement and from what is true at the providers.
    async fn close(&mut self) {
        let Some(verdict) = self.verdict.clone() else { return };
        // An intent was noted for providers that turned out to have no account, or were not reached.
        let (asked, begun, results) = (&self.asked, &self.begun, &self.results);
        let may_have_begun = |name: &String| {
            asked.contains(name) || begun.contains(name) || !results.iter().any(|result| result.provider == *name)
        };
        self.record.intent.retain(may_have_begun);
        self.end(&verdict);
        for _ in 0..3 {
            match self.flow.ledger.close(&mut self.record, self.worker.now()).await {
                Ok(true) => return,
                Ok(false) => {
                    if let Err(error) = self.merge(&verdict).await {
                        self.log(&error.to_string());
                    }
                }
                Err(error) => self.log(&error.to_string()),
            }
        }
        self.log("the record changed concurrently");
    }

    fn end(&mut self, verdict: &Verdict) {
        let reached = self.flow.reached(&self.record);
        self.record.close(verdict, &reached, self.flow.retention, self.worker.now());
    }

    /// Takes over what another wrote meanwhile, and adds what was found out here.
    async fn merge(&mut self, verdict: &Verdict) -> Result<(), LedgerError> {
        let Some(stored) = self.flow.ledger.get(&self.record.id).await? else { return Ok(()) };
        let is_ours = stored.lease.as_ref().is_some_and(|lease| lease.by == self.worker.name);
        let mine = std::mem::replace(&mut self.record, stored);
        if mine.lease == self.record.lease && mine.providers == self.record.providers && mine.state == self.record.state
        {
            // Our own write, whose answer was lost.
            return Ok(());
        }
        let noted = self.record.intent.clone();
        for result in self.results.clone() {
            // What another worker found out meanwhile stands, unless the account was removed here.
            if result.worst.is_removal() || self.record.is_open_at(&result.provider) {
                let asked = self.asked.contains(&result.provider);
                self.record.note_result(result, asked, self.worker.now());
            }
        }
        if is_ours {
            self.record.judged(verdict);
            self.record.counted |= mine.counted;
            self.record.counted_late = self.record.counted_late.or(mine.counted_late);
            self.record.looks_up_by(mine.looked_up);
            self.end(verdict);
        } else if self.record.lease.is_some() {
            // Who has the lease may be removing by what they noted.
            self.record.intent = noted;
        }
        Ok(())
    }

    fn log(&self, reason: &str) {
        let departure_id = crate::person::mask_departure_id(&self.record.id);
        tracing::error!(request_id = self.worker.name, departure_id, reason, "an outcome could not be recorded");
    }
}

/// Whether accounts that were found on one verdict may be removed on another: the engine judged them by the first.
fn is_same(before: &Verdict, verdict: &Verdict) -> bool {
    before.targets == verdict.targets && before.protected == verdict.protected
}

/// The traits by which accounts are looked up.
fn looked_up(source: &str, verdict: &Verdict) -> BTreeSet<TraitKey> {
    let key = |identity: &OwnedIdentity| match identity {
        OwnedIdentity::Email(email) => TraitKey::email(&email.canonical()),
        OwnedIdentity::ExternalId(id) => TraitKey::external_id(source, id),
    };
    verdict.targets.iter().map(|target| key(&target.identity)).collect()
}

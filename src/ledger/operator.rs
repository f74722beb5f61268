//! What a person does about a recorded departure: release it, reject it, have it tried again.

use std::fmt;

use time::OffsetDateTime;

use super::{Action, Ledger, LedgerDown, ROUNDS, Record, Standing, State};
use crate::{
    outcome::{Outcome, Status},
    report::Finding,
};

/// What a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// What is held shall be done after all.
    Release,
    /// Nothing shall be done, now or later.
    Reject,
    /// What is not done shall be tried again; what is done stays as it is.
    Replay,
}

/// Why a decision was not carried out. The departure is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such departure.
    Unknown,
    /// It is not in a state in which this can be decided.
    State(State),
    /// Somebody works on it; the lease ends then.
    Busy(OffsetDateTime),
    /// The ledger cannot be reached.
    Down(LedgerDown),
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Release => "release",
            Self::Reject => "reject",
            Self::Replay => "replay",
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the ledger has no such departure"),
            Self::State(State::Done) => f.write_str("it is done: nothing is left to decide"),
            Self::State(State::Rejected) => f.write_str("it was rejected, and its person is no longer known"),
            Self::State(State::Held) => f.write_str("it is held: release or reject it"),
            Self::State(State::NeedsAttention) => f.write_str("it is not held: replay or reject it"),
            Self::State(State::Open) => f.write_str("it is not held: it is being worked on"),
            Self::Busy(until) => write!(f, "somebody works on it, until {until} at the latest"),
            Self::Down(down) => down.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

impl Decision {
    /// Changes the record accordingly.
    fn apply(self, record: &mut Record, now: OffsetDateTime) -> Result<(), Refused> {
        let possible = match self {
            Self::Release => record.state == State::Held,
            Self::Reject => matches!(record.state, State::Held | State::NeedsAttention | State::Open),
            // An open one too: its reminder may be lost.
            Self::Replay => matches!(record.state, State::NeedsAttention | State::Open),
        };
        if !possible {
            return Err(Refused::State(record.state));
        }
        if let Some(lease) = record.lease.as_ref().filter(|_| record.is_leased(now)) {
            return Err(Refused::Busy(lease.until + super::SKEW));
        }
        record.lease = None;
        match self {
            Self::Release => {
                record.standing = Standing::Released;
                reopen(record, |outcome| outcome != Outcome::NotAttempted);
            }
            Self::Replay => reopen(record, |outcome| outcome.status() == Status::Done),
            Self::Reject => {
                record.state = State::Rejected;
                record.person.mask();
            }
        }
        Ok(())
    }
}

/// Makes work of it again; only what is to be kept is not tried again.
fn reopen(record: &mut Record, keep: impl Fn(Outcome) -> bool) {
    record.state = State::Open;
    record.reason = None;
    // Until the queue has taken a new reminder, whoever delivers again shall ask for one.
    record.reminded = false;
    record.providers.retain(|_, settled| {
        let entry = &mut settled.entry;
        if keep(entry.finding.outcome) {
            return true;
        }
        // Of several accounts some may be removed: what is known of them stays.
        entry.accounts.retain(|account| account.finding.is_removal());
        entry.finding = Finding::of(Outcome::NotAttempted).reason("pending");
        !entry.accounts.is_empty()
    });
}

impl Ledger {
    /// Carries out what `who` decided about a departure, and notes it in the record. Whoever releases or replays it has to
    /// remind the queue of it afterwards.
    ///
    /// # Errors
    /// If it is not in a state in which this can be decided, or the ledger cannot be reached.
    pub async fn decide(
        &self,
        id: &str,
        decision: Decision,
        who: &str,
        now: OffsetDateTime,
    ) -> Result<Record, Refused> {
        for _ in 0..ROUNDS {
            let mut record = self.get(id).await.map_err(Refused::Down)?.ok_or(Refused::Unknown)?;
            decision.apply(&mut record, now)?;
            // It is kept anew from now on: nothing may be forgotten while work on it goes on.
            let kept_from = record.history.last().map_or(record.received_at, |action| action.at);
            record.expires_at += (now - kept_from).whole_seconds();
            record.history.push(Action { at: now, who: who.to_owned(), what: decision.to_string() });
            if self.save(&mut record).await.map_err(Refused::Down)? {
                return Ok(record);
            }
        }
        Err(Refused::Down(LedgerDown("too many at once".to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use time::macros::datetime;

    use super::*;
    use crate::{
        departure::{Departure, Event},
        ledger::{Begun, Lease, memory::Memory},
        person::{Email, Person},
        report::Entry,
    };

    const NOW: OffsetDateTime = datetime!(2026-01-31 12:00 UTC);
    const WHO: &str = "arn:aws:iam::123456789012:user/op";
    const ID: &str = "hr/1";

    fn entry(provider: &str, outcome: Outcome) -> Entry {
        let finding = Finding::of(outcome);
        Entry { provider: provider.to_owned(), finding, accounts: Vec::new(), attempts: 1, elapsed_ms: 1 }
    }

    /// A ledger with one departure in this state, after these outcomes.
    async fn ledger(state: State, lease: Option<Lease>, outcomes: &[(&str, Outcome)]) -> Ledger {
        let ledger = Ledger::new(Arc::new(Memory::default()));
        let event = Event { id: "1".into(), kind: "left".into(), occurred_at: None, organization: None };
        let person =
            Person { external_id: Some("8931".into()), email: Email::parse("ann@example.com"), ..Person::default() };
        let departure = Departure { id: ID.into(), source: "hr".into(), event, person };
        let mut record = Record::new(&departure, NOW, Duration::from_secs(86_400), lease.clone());
        for (provider, outcome) in outcomes {
            record.settle(entry(provider, *outcome), NOW);
        }
        record.state = state;
        record.reason = Some("why".into());
        record.reminded = true;
        assert!(matches!(ledger.begin(record, lease.unwrap_or(held(NOW)), NOW).await, Ok(Begun::New(_))));
        ledger
    }

    fn held(until: OffsetDateTime) -> Lease {
        Lease { by: "worker".into(), until }
    }

    fn lease(until: OffsetDateTime) -> Option<Lease> {
        Some(held(until))
    }

    fn left(record: &Record) -> Vec<&str> {
        record.providers.keys().map(String::as_str).collect()
    }

    #[tokio::test]
    async fn a_record_is_kept_anew_from_the_last_decision_on() {
        let ledger = ledger(State::Held, None, &[]).await;
        for minutes in [0, 1, 5] {
            let now = NOW + Duration::from_secs(60 * minutes);
            let decision = if minutes == 0 { Decision::Release } else { Decision::Replay };
            let record = ledger.decide(ID, decision, WHO, now).await.unwrap();
            assert_eq!(record.expires_at, (now + Duration::from_secs(86_400)).unix_timestamp());
        }
    }

    #[tokio::test]
    async fn what_is_released_is_tried_everywhere_and_not_held_again() {
        let ledger = ledger(State::Held, None, &[("a", Outcome::NotAttempted), ("b", Outcome::Deleted)]).await;
        let record = ledger.decide(ID, Decision::Release, WHO, NOW).await.unwrap();
        assert_eq!((record.state, record.standing, &record.reason), (State::Open, Standing::Released, &None));

        assert_eq!((left(&record), record.reminded), (vec!["b"], false));
        let action = Action { at: NOW, who: WHO.to_owned(), what: "release".to_owned() };
        assert_eq!(record.history, [action]);
        assert_eq!(ledger.get(ID).await.unwrap(), Some(record));
    }

    #[tokio::test]
    async fn a_replay_leaves_what_is_done_alone() {
        let outcomes = [
            ("a", Outcome::Deleted),
            ("b", Outcome::Deactivated),
            ("c", Outcome::AlreadyAbsent),
            ("d", Outcome::Blocked),
            ("e", Outcome::Unidentified),
            ("f", Outcome::Ambiguous),
            ("g", Outcome::Unauthorized),
            ("h", Outcome::Rejected),
            ("i", Outcome::Unavailable),
            ("j", Outcome::Protected),
        ];
        let ledger = ledger(State::NeedsAttention, None, &outcomes).await;
        let record = ledger.decide(ID, Decision::Replay, WHO, NOW).await.unwrap();
        assert_eq!((record.state, left(&record)), (State::Open, vec!["a", "b", "c"]));
        assert_eq!(record.standing, Standing::New, "a replay does not get past the circuit breaker");
        assert_eq!(record.person.masked().as_deref(), Some("a…@example.com"));
        assert_eq!(record.departure().person.email, Email::parse("ann@example.com"));
        // Once more: its reminder may be lost.
        let record = ledger.decide(ID, Decision::Replay, WHO, NOW).await.unwrap();
        assert_eq!(record.history.iter().map(|action| action.what.as_str()).collect::<Vec<_>>(), ["replay"; 2]);
    }

    #[tokio::test]
    async fn what_is_rejected_stays_so_and_forgets_its_person() {
        for state in [State::Held, State::NeedsAttention, State::Open] {
            let ledger = ledger(state, None, &[("a", Outcome::NotAttempted)]).await;
            let record = ledger.decide(ID, Decision::Reject, WHO, NOW).await.unwrap();
            assert_eq!((record.state, record.reason.as_deref()), (State::Rejected, Some("why")));
            assert_eq!(record.departure().person.email, Email::parse("a…@example.com"));
            for decision in [Decision::Release, Decision::Replay, Decision::Reject] {
                let refused = ledger.decide(ID, decision, WHO, NOW).await;
                assert_eq!(refused, Err(Refused::State(State::Rejected)));
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_decided_about_what_somebody_works_on() {
        let until = NOW + Duration::from_secs(10);
        let ledger = ledger(State::Open, lease(until), &[]).await;
        let ends = until + super::super::SKEW;
        for decision in [Decision::Reject, Decision::Replay] {
            assert_eq!(ledger.decide(ID, decision, WHO, NOW).await, Err(Refused::Busy(ends)));
        }
        let record = ledger.decide(ID, Decision::Replay, WHO, ends).await.unwrap();
        assert_eq!(record.lease, None);
    }

    #[tokio::test]
    async fn a_decision_that_does_not_fit_changes_nothing() {
        let wrong = [
            (State::Done, Decision::Release),
            (State::Done, Decision::Reject),
            (State::Done, Decision::Replay),
            (State::Held, Decision::Replay),
            (State::NeedsAttention, Decision::Release),
            (State::Open, Decision::Release),
        ];
        for (state, decision) in wrong {
            let ledger = ledger(state, None, &[("a", Outcome::NotAttempted)]).await;
            let before = ledger.get(ID).await.unwrap();
            assert_eq!(ledger.decide(ID, decision, WHO, NOW).await, Err(Refused::State(state)));
            assert_eq!(ledger.get(ID).await.unwrap(), before);
            assert_eq!(ledger.decide("hr/2", decision, WHO, NOW).await, Err(Refused::Unknown));
        }
    }

    #[tokio::test]
    async fn two_people_cannot_both_decide() {
        let ledger = ledger(State::Held, None, &[]).await;
        let decisions = (0..20).map(|n| {
            let decision = if n % 2 == 0 { Decision::Release } else { Decision::Reject };
            let ledger = ledger.clone();
            async move { ledger.decide(ID, decision, WHO, NOW).await }
        });
        let decided = futures_util::future::join_all(decisions).await;
        let released =
            decided.iter().filter(|one| one.as_ref().is_ok_and(|record| record.state == State::Open)).count();
        let record = ledger.get(ID).await.unwrap().unwrap();
        assert_eq!((released, record.state, record.history.len()), (1, State::Rejected, 2));
    }
}

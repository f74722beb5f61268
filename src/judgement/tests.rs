//! Properties of the judgement over random facts, and the order of what follows. The rules have direct tests in `tests/it/flow`.

use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::{
    config::MaxDepartures,
    departure::{Departure, Event, EventTime, IdentityFact, Verification, Word},
    ledger::{IdentityKey, Ledger, Pause, Recorded, State, memory::Memory},
    person::{Email, Person},
};

const NOW: OffsetDateTime = datetime!(2026-01-31 12:00 UTC);
const SOURCES: [&str; 2] = ["hr", "idp"];

/// Something that a source says: at minute `at` before or after [`NOW`].
#[derive(Clone, Debug)]
struct Said {
    source: usize,
    id: Option<u8>,
    email: Option<u8>,
    at: i64,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Active,
    Known,
    Inactive,
    /// A departure in this state.
    Left(State),
}

fn said() -> impl Strategy<Value = Said> {
    let what = prop_oneof![
        2 => Just(What::Active),
        2 => Just(What::Known),
        1 => Just(What::Inactive),
        1 => Just(What::Left(State::Done)),
        1 => Just(What::Left(State::Held)),
        1 => Just(What::Left(State::Dismissed)),
    ];
    let someone = (proptest::option::weighted(0.8, 0u8..4), proptest::option::weighted(0.8, 0u8..3));
    (0..SOURCES.len(), someone, -600i64..60, what).prop_map(|(source, (id, email), at, what)| Said {
        source,
        id,
        email,
        at,
        what,
    })
}

fn minutes(at: i64) -> OffsetDateTime {
    NOW + time::Duration::minutes(at)
}

impl Said {
    fn person(&self) -> Person {
        Person {
            idp_id: self.id.map(|id| format!("u{id}")),
            email: self.email.and_then(|email| Email::parse(&format!("p{email}@example.com"))),
            ..Person::default()
        }
    }

    fn departure(&self, n: usize) -> Departure {
        let at = Some(EventTime::Instant(minutes(self.at)));
        let event = Event { id: n.to_string(), kind: "left".into(), occurred_at: at, organization: None };
        let source = SOURCES[self.source].to_owned();
        Departure { id: format!("{source}/{n}"), source, event, person: self.person() }
    }

    async fn store(&self, ledger: &Ledger, n: usize) {
        let word = match self.what {
            What::Active => Word::Active,
            What::Known => Word::Known,
            What::Inactive => Word::Inactive,
            What::Left(state) => {
                let prepare = |record: &mut Record| {
                    record.state = state;
                    record.vetoes = Some(Vec::new());
                };
                let (Recorded::New(record) | Recorded::Known(record)) =
                    ledger.record(&self.departure(n), NOW, prepare).await.unwrap();
                // As the flow does before it judges: the items of what the id is known to have refer to the departure.
                let facts = ledger.facts(&record, &Policy::default()).await.unwrap();
                ledger.repair(&record, &facts).await.unwrap();
                return;
            }
        };
        let at = Some(EventTime::Instant(minutes(self.at)));
        let fact = IdentityFact { person: self.person(), word, verified: Verification::Verified, at };
        ledger.store_facts(SOURCES[self.source], &[fact], NOW).await.unwrap();
    }
}

/// The judgement of a departure after all this was said.
fn judged(history: &[Said], leaver: &Said, policy: &Policy, change: impl Fn(&mut Record, &mut Facts)) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let ledger = Ledger::new(Arc::new(Memory::default()));
        for (n, said) in history.iter().enumerate() {
            said.store(&ledger, n).await;
        }
        let Recorded::New(mut record) = ledger.record(&leaver.departure(999), NOW, |_| {}).await.unwrap() else {
            panic!("the departure is new")
        };
        let mut facts = ledger.facts(&record, policy).await.unwrap();
        change(&mut record, &mut facts);
        judge(&record, &facts, Rules { policy, settle: Some(Duration::ZERO) }, NOW)
    })
}

fn live() -> Policy {
    Policy { mode: Mode::Live, ..Policy::default() }
}

fn leaver() -> impl Strategy<Value = Said> {
    (0..SOURCES.len(), proptest::option::weighted(0.8, 0u8..4), proptest::option::weighted(0.8, 0u8..3), -60i64..0)
        .prop_map(|(source, id, email, at)| Said { source, id, email, at, what: What::Left(State::Pending) })
}

/// A release of everything that stands.
fn release_all(verdict: &Verdict) -> Release {
    let shown = verdict.standing.iter().map(|standing| (standing.veto, standing.facts.iter().cloned().collect()));
    Release { vetoes: shown.collect(), ..Release::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn word_active_never_turns_a_hold_into_a_removal(
        history in proptest::collection::vec(said(), 0..8),
        leaver in leaver(),
        mut word in said(),
    ) {
        word.what = What::Active;
        // A new address would end a former one: that speaks for a removal.
        word.email = word.email.filter(|_| word.id.is_none());
        // Of an id whose last word is "inactive" it says that the id is not new: nobody begins with it.
        let key = |said: &Said| IdentityKey::of(SOURCES[said.source], &said.person());
        let is_ended = |said: &Said| said.what == What::Inactive && key(said) == key(&word) && said.at >= word.at;
        prop_assume!(!history.iter().any(is_ended));
        let before = judged(&history, &leaver, &live(), |_, _| {});
        let after = judged(&[history, vec![word]].concat(), &leaver, &live(), |_, _| {});
        prop_assert!(before.next == Next::Remove || after.next != Next::Remove, "{before:?} {after:?}");
    }

    #[test]
    fn word_inactive_takes_its_own_id_alone_out_of_what_is_active(
        history in proptest::collection::vec(said(), 0..8),
        leaver in leaver(),
        word in said(),
    ) {
        let said = |what, later: &[Said]| {
            let word = Said { what, ..word.clone() };
            judged(&[history.clone(), vec![word], later.to_vec()].concat(), &leaver, &live(), |_, _| {})
        };
        let own = IdentityKey::of(SOURCES[word.source], &word.person()).map(|id| id.to_string());
        let others = |verdict: &Verdict| -> BTreeSet<String> {
            let facts = verdict.standing.iter().flat_map(|standing| &standing.facts);
            facts.map(|fact| fact.id.clone()).filter(|id| Some(id) != own.as_ref()).collect()
        };
        prop_assert_eq!(others(&said(What::Known, &[])), others(&said(What::Inactive, &[])));
        let back = [Said { what: What::Active, at: 60, ..word.clone() }];
        prop_assert_eq!(said(What::Known, &back), said(What::Inactive, &back));
    }

    #[test]
    fn protected_paused_and_dry_run_stand_against_every_release(
        history in proptest::collection::vec(said(), 0..8),
        leaver in leaver(),
        which in 0..3,
    ) {
        let mut policy = live();
        match which {
            0 => policy.protected = vec!["*@example.com".to_owned().try_into().unwrap()],
            1 => policy.mode = Mode::DryRun,
            _ => {}
        }
        let everything = |record: &mut Record, facts: &mut Facts| {
            let every = Veto::ALL.into_iter().map(|veto| (veto, BTreeSet::new()));
            record.release.vetoes = every.collect();
            if which == 2 {
                facts.pause = Some(Pause { at: NOW, who: "op".into(), reason: None });
            }
        };
        let verdict = judged(&history, &leaver, &policy, everything);
        let known = !verdict.targets.is_empty() || which > 0;
        prop_assert!(!known || verdict.next != Next::Remove, "{verdict:?}");
    }

    #[test]
    fn release_of_all_that_was_shown_proceeds_and_does_not_cover_a_later_word(
        history in proptest::collection::vec(said(), 0..8),
        leaver in leaver(),
    ) {
        let shown = judged(&history, &leaver, &live(), |_, _| {});
        let released = judged(&history, &leaver, &live(), |record, _| record.release = release_all(&shown));
        prop_assert_eq!(released.next, Next::Remove);
        let returned = Said { at: 30, what: What::Active, ..leaver.clone() };
        let is_known = leaver.id.is_some() || leaver.email.is_some();
        let later = [history, vec![returned]].concat();
        let later = judged(&later, &leaver, &live(), |record, _| record.release = release_all(&shown));
        prop_assert!(!is_known || later.next != Next::Remove || shown.standing.iter().any(|one| !one.facts.is_empty()));
    }

    #[test]
    fn judgement_is_total(
        history in proptest::collection::vec(said(), 0..8),
        leaver in leaver(),
        at in any::<i64>(),
        rank in any::<i64>(),
        count in 0u32..3,
    ) {
        let policy = Policy {
            max_departures: Some(MaxDepartures { count, per: Duration::from_secs(3600) }),
            overlap: Duration::MAX,
            max_event_age: Duration::MAX,
            ..live()
        };
        let verdict = judged(&history, &leaver, &policy, |record, _| {
            record.rank = rank;
            record.overlap_since = Some(at);
        });
        let removes = verdict.next == Next::Remove;
        prop_assert_eq!(removes, verdict.standing.is_empty());
    }
}

#[test]
fn what_follows_is_ordered_protected_held_pending() {
    let leaver = Said { source: 0, id: Some(1), email: Some(1), at: 60, what: What::Left(State::Pending) };
    let elsewhere = Said { source: 1, id: Some(2), email: Some(1), at: -10, what: What::Active };
    let now = NOW.unix_timestamp();

    let verdict = judged(std::slice::from_ref(&elsewhere), &leaver, &live(), |_, _| {});
    let vetoes: Vec<_> = verdict.standing.iter().map(|standing| standing.veto).collect();
    assert_eq!(vetoes, [Veto::EventInFuture, Veto::ActiveElsewhere]);
    assert_eq!(verdict.next, Next::Wait { due_at: now + 60 * 60 }, "nothing is held that time may resolve");

    let paused = |_: &mut Record, facts: &mut Facts| {
        facts.pause = Some(Pause { at: NOW, who: "op".into(), reason: None });
    };
    let verdict = judged(std::slice::from_ref(&elsewhere), &leaver, &live(), paused);
    assert_eq!(verdict.next, Next::Hold { due_at: now + HELD_EVERY });

    let protected = Policy { protected: vec!["p1@example.com".to_owned().try_into().unwrap()], ..live() };
    let verdict = judged(&[elsewhere], &leaver, &protected, paused);
    assert_eq!(verdict.next, Next::Attend);
}

#[test]
fn overlap_is_pending_until_it_has_passed_and_held_afterwards() {
    let leaver = Said { source: 0, id: Some(1), email: Some(1), at: -1, what: What::Left(State::Pending) };
    let elsewhere = Said { source: 1, id: Some(2), email: Some(1), at: -10, what: What::Active };
    let now = NOW.unix_timestamp();
    for (since, next) in [
        (None, Next::Wait { due_at: now + 300 }),
        (Some(now - 3500), Next::Wait { due_at: now + 100 }),
        (Some(now - 3600), Next::Hold { due_at: now + HELD_EVERY }),
    ] {
        let verdict =
            judged(std::slice::from_ref(&elsewhere), &leaver, &live(), |record, _| record.overlap_since = since);
        assert_eq!(verdict.next, next, "{since:?}");
        assert_eq!(verdict.overlap_since, since.or(Some(now)));
    }
}

#[test]
fn return_holds_an_earlier_departure_until_the_same_id_has_left_again() {
    let said = |at, what| Said { source: 0, id: Some(1), email: Some(1), at, what };
    let leaver = said(-10, What::Left(State::Pending));
    let back = said(-5, What::Active);
    let vetoes = |history: &[Said]| {
        let verdict = judged(history, &leaver, &live(), |_, _| {});
        verdict.standing.iter().map(|standing| standing.veto).collect::<Vec<_>>()
    };
    assert_eq!(vetoes(std::slice::from_ref(&back)), [Veto::PersonReturned]);
    for (at, state, expected) in [
        (-1, State::Done, vec![]),
        (-1, State::Held, vec![]),
        (-1, State::Dismissed, vec![Veto::PersonReturned]),
        (-5, State::Done, vec![Veto::PersonReturned]),
        (-7, State::Done, vec![Veto::PersonReturned]),
    ] {
        assert_eq!(vetoes(&[back.clone(), said(at, What::Left(state))]), expected, "{at} {state}");
    }
}

#[test]
fn id_whose_last_word_is_inactive_holds_no_departure_of_another_id_of_the_person() {
    let leaver = Said { source: 0, id: Some(1), email: Some(1), at: -1, what: What::Left(State::Pending) };
    let other = |at, what| Said { source: 1, id: Some(2), email: Some(1), at, what };
    let vetoes = |history: &[Said]| {
        let verdict = judged(history, &leaver, &live(), |_, _| {});
        verdict.standing.iter().map(|standing| standing.veto).collect::<Vec<_>>()
    };
    let (active, inactive) = (other(-90, What::Active), other(-60, What::Inactive));
    assert_eq!(vetoes(std::slice::from_ref(&inactive)), []);
    assert_eq!(vetoes(&[active.clone(), inactive.clone()]), []);
    assert_eq!(vetoes(&[inactive.clone(), active.clone()]), []);
    assert_eq!(vetoes(&[inactive.clone(), other(-60, What::Active)]), [Veto::ActiveElsewhere], "later is strict");
    assert_eq!(vetoes(&[inactive.clone(), other(-30, What::Active)]), [Veto::ActiveElsewhere]);
    assert_eq!(vetoes(&[inactive.clone(), other(-30, What::Known)]), []);
    // A departure of it that does not stand is what decides; one that was dismissed is nothing.
    let left = |at, state| other(at, What::Left(state));
    for at in [-70, -50] {
        assert_eq!(vetoes(&[active.clone(), left(at, State::Done), inactive.clone()]), []);
        assert_eq!(vetoes(&[active.clone(), left(at, State::Pending), inactive.clone()]), []);
    }
}

#[test]
fn word_inactive_of_the_departed_id_itself_neither_carries_out_nor_ends_its_departure() {
    let said = |at, what| Said { source: 0, id: Some(1), email: Some(1), at, what };
    let leaver = said(-10, What::Left(State::Pending));
    let vetoes = |history: &[Said]| {
        let verdict = judged(history, &leaver, &live(), |_, _| {});
        verdict.standing.iter().map(|standing| standing.veto).collect::<Vec<_>>()
    };
    for at in [-20, -5] {
        assert_eq!(vetoes(&[said(at, What::Inactive)]), []);
    }
    let back = said(-5, What::Active);
    assert_eq!(vetoes(&[back, said(-2, What::Inactive)]), [Veto::PersonReturned], "a person decides");
}

#[test]
fn departure_of_a_source_that_is_not_configured_any_more_needs_a_person() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let leaver = Said { source: 0, id: Some(1), email: Some(1), at: -1, what: What::Left(State::Pending) };
    let record = Record::new(&leaver.departure(1), NOW, millis(NOW));
    let ledger = Ledger::new(Arc::new(Memory::default()));
    let facts = runtime.block_on(ledger.facts(&record, &Policy::default())).unwrap();
    let policy = live();
    let next = |settle| judge(&record, &facts, Rules { policy: &policy, settle }, NOW).next;
    assert_eq!((next(Some(Duration::ZERO)), next(None)), (Next::Remove, Next::Attend));
}

//! The ledger over every store.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use offboard::{
    config::Policy,
    departure::{Departure, Event, EventTime, IdentityFact, Verification, Word},
    judgement::{self, Rules, Veto},
    ledger::{Ledger, Record, Recorded, State},
    outcome::{AccountResult, Outcome, ProviderResult, Reference, Status},
    person::{Email, Person},
};
use time::{OffsetDateTime, macros::datetime};

mod protection;
pub mod store;

use store::{MAX_ITEM, read, stores};

const NOW: OffsetDateTime = datetime!(2026-01-31 12:00 UTC);

fn person(id: &str, email: &str) -> Person {
    Person { idp_id: Some(id.to_owned()), email: Email::parse(email), ..Person::default() }
}

fn departure(event: &str, person: Person) -> Departure {
    let at = Some(EventTime::Instant(NOW - time::Duration::MINUTE));
    let event = Event { id: event.to_owned(), kind: "left".to_owned(), occurred_at: at, organization: None };
    Departure { id: format!("idp/{}", event.id), source: "idp".to_owned(), event, person }
}

fn fact(person: Person) -> IdentityFact {
    let at = Some(EventTime::Instant(NOW - time::Duration::HOUR));
    IdentityFact { person, word: Word::Active, verified: Verification::Verified, at }
}

async fn recorded(ledger: &Ledger, departure: &Departure) -> Record {
    match ledger.record(departure, NOW, |_| {}).await.unwrap() {
        Recorded::New(record) | Recorded::Known(record) => record,
    }
}

async fn vetoes(ledger: &Ledger, record: &Record) -> Vec<Veto> {
    let facts = ledger.facts(record, &Policy::default()).await.unwrap();
    let policy = Policy { mode: offboard::config::Mode::Live, ..Policy::default() };
    let rules = Rules { policy: &policy, settle: Some(std::time::Duration::ZERO) };
    judgement::judge(record, &facts, rules, NOW).standing.into_iter().map(|standing| standing.veto).collect()
}

#[tokio::test]
async fn record_is_found_by_its_person_and_listed_without_the_other_items() {
    for store in stores().await {
        let ledger = Ledger::new(store);
        ledger.store_facts("idp", &[fact(person("u1", "ann@example.com"))], NOW).await.unwrap();
        let one = recorded(&ledger, &departure("1", person("u1", "ann@example.com"))).await;
        let again = ledger.record(&departure("1", person("u1", "ann@example.com")), NOW, |_| {}).await.unwrap();
        assert!(matches!(again, Recorded::Known(known) if known == one));
        let other = recorded(&ledger, &departure("2", person("u2", "ann@example.com"))).await;
        let facts = ledger.facts(&other, &Policy::default()).await.unwrap();
        assert_eq!(facts.records.keys().collect::<Vec<_>>(), ["idp/1"]);
        assert_eq!(facts.traits.values().flat_map(|holders| holders.ids.keys()).count(), 2);
        let (listed, _) = ledger.of_month("2026-01", None).await.unwrap();
        assert_eq!(
            listed.iter().map(|record| record.id.as_str()).collect::<BTreeSet<_>>(),
            BTreeSet::from(["idp/1", "idp/2"])
        );
        assert_eq!(ledger.get("#pause").await.unwrap(), None);
        assert_eq!(ledger.due(State::Pending, NOW.unix_timestamp(), 10).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn facts_that_come_at_once_are_all_stored_in_any_order() {
    for store in stores().await {
        let ledger = Ledger::new(store);
        let fact = |n: u32| {
            let at = Some(EventTime::Instant(NOW - time::Duration::minutes(n.into())));
            IdentityFact { at, ..fact(person("u1", &format!("a{n}@example.com"))) }
        };
        let facts: Vec<_> = (1..=12).map(fact).collect();
        for stored in
            join_all(facts.iter().map(|fact| ledger.store_facts("idp", std::slice::from_ref(fact), NOW))).await
        {
            stored.unwrap();
        }
        let record = recorded(&ledger, &departure("1", Person { email: None, ..person("u1", "") })).await;
        let facts = ledger.facts(&record, &Policy::default()).await.unwrap();
        let held = facts.identities.values().next().unwrap().identity.emails();
        let current: Vec<_> =
            held.iter().filter(|held| held.until().is_none()).map(|held| held.text.as_str()).collect();
        assert_eq!((held.len(), current), (12, vec!["a1@example.com"]));
        assert_eq!(facts.traits.len(), 12);
    }
}

/// A shared mailbox: who among its hundreds of ids is active cannot be read.
#[tokio::test]
async fn address_of_more_than_a_hundred_ids_holds_the_departures_that_act_on_it() {
    for (count, expected) in [(99, vec![]), (100, vec![Veto::ActiveElsewhere])] {
        for store in stores().await {
            let ledger = Ledger::new(store);
            // These ids moved on before, so that none of them is active at the address.
            for n in 0..count {
                let leaver = departure(&n.to_string(), person(&format!("u{n}"), "shared@example.com"));
                let prepare = |record: &mut Record| (record.state, record.due_at) = (State::Done, None);
                ledger.record(&leaver, NOW, prepare).await.unwrap();
            }
            let record = recorded(&ledger, &departure("last", person("last", "shared@example.com"))).await;
            assert_eq!(vetoes(&ledger, &record).await, expected, "{count}");
            // A repetition of what is there needs no room.
            assert!(matches!(
                ledger.record(&departure("0", person("u0", "shared@example.com")), NOW, |_| {}).await.unwrap(),
                Recorded::Known(_)
            ));
        }
    }
}

#[tokio::test]
async fn id_of_more_than_a_hundred_departures_is_held() {
    for store in stores().await {
        let ledger = Ledger::new(store);
        for n in 0..100 {
            let prepare = |record: &mut Record| (record.state, record.due_at) = (State::Done, None);
            ledger.record(&departure(&n.to_string(), person("u1", "ann@example.com")), NOW, prepare).await.unwrap();
        }
        let record = recorded(&ledger, &departure("last", person("u1", "ann@example.com"))).await;
        assert_eq!(vetoes(&ledger, &record).await, [Veto::ActiveElsewhere]);
    }
}

/// What was said in so many statements, an address each, of the minutes before [`NOW`].
fn renamed(count: i64) -> Vec<IdentityFact> {
    let at = |n: i64| Some(EventTime::Instant(NOW - time::Duration::DAY + time::Duration::minutes(n)));
    (0..count).map(|n| IdentityFact { at: at(n), ..fact(person("u1", &format!("a{n}@example.com"))) }).collect()
}

#[tokio::test]
async fn oldest_address_of_many_holds_the_departure_of_another_id_that_has_it() {
    for count in [41, 100, 101, 150] {
        for store in stores().await {
            let ledger = Ledger::new(store);
            let (first, id_alone) = (renamed(1), Person { email: None, ..person("u1", "") });
            ledger.store_facts("idp", &first, NOW).await.unwrap();
            // It stands, and an address that is said later does not reopen it.
            let prepare = |record: &mut Record| (record.state, record.vetoes) = (State::Held, Some(Vec::new()));
            let Recorded::New(own) = ledger.record(&departure("1", id_alone.clone()), NOW, prepare).await.unwrap()
            else {
                panic!("it is new")
            };
            ledger.repair(&own, &ledger.facts(&own, &Policy::default()).await.unwrap()).await.unwrap();
            for fact in renamed(count) {
                ledger.store_facts("idp", &[fact], NOW).await.unwrap();
            }
            // Whether one of the addresses that are forgotten is protected, nobody knows.
            let expected: &[Veto] = if count > 100 { &[Veto::ActiveElsewhere] } else { &[] };
            assert_eq!(vetoes(&ledger, &own).await, expected, "{count}");
            let at = Some(EventTime::Instant(NOW - time::Duration::SECOND));
            let back = IdentityFact { at, ..fact(id_alone) };
            let then = IdentityFact { at: first[0].at, ..fact(person("u2", "a0@example.com")) };
            ledger.store_facts("idp", &[back, then], NOW).await.unwrap();
            let other = recorded(&ledger, &departure("2", person("u2", "a0@example.com"))).await;
            assert!(!vetoes(&ledger, &other).await.is_empty(), "{count}");
        }
    }
}

#[tokio::test]
async fn facts_of_an_id_with_hundreds_of_addresses_are_stored() {
    for store in stores().await {
        let ledger = Ledger::new(store);
        for n in 0..12 {
            let email = |m: i64| Email::parse(&format!("a{n}-{m}@example.com"));
            let person =
                Person { other_emails: (1..20).filter_map(email).collect(), email: email(0), ..person("u1", "") };
            let at = Some(EventTime::Instant(NOW - time::Duration::HOUR + time::Duration::minutes(n)));
            ledger.store_facts("idp", &[IdentityFact { at, ..fact(person) }], NOW).await.unwrap();
        }
        for address in ["a0-0@example.com", "a5-19@example.com", "a11-3@example.com"] {
            let other = recorded(&ledger, &departure(address, person("u2", address))).await;
            let facts = ledger.facts(&other, &Policy::default()).await.unwrap();
            let holders = facts.traits.values().flat_map(|holders| holders.ids.values());
            let active: Vec<_> = holders.filter_map(|holder| holder.holding?.active).collect();
            let last = NOW - time::Duration::minutes(49);
            assert_eq!(active, [last.unix_timestamp() * 1000], "{address}");
        }
    }
}

fn entry(provider: &str, references: usize) -> ProviderResult {
    let reference = |n: usize| Reference {
        kind: "escalation_rule".to_owned(),
        name: format!("{n} {}", "x".repeat(280)),
        href: Some("y".repeat(300)),
    };
    let finding =
        AccountResult { references: (0..references).map(reference).collect(), ..AccountResult::of(Outcome::Blocked) };
    let finding = finding.reason("ReferenceExist").detail("z".repeat(300));
    ProviderResult::new(provider, finding)
}

#[tokio::test]
async fn record_with_thousands_of_references_can_be_saved() {
    for (providers, references) in [(1, 4000), (60, 4000), (300, 20)] {
        for store in stores().await {
            let ledger = Ledger::new(store.clone());
            let mut record = recorded(&ledger, &departure("1", person("u1", "ann@example.com"))).await;
            for n in 0..providers {
                record.note_result(entry(&format!("provider-{n}"), references), false, NOW);
            }
            assert!(ledger.save(&mut record).await.unwrap());
            let stored = read(&store, "idp/1").await.unwrap();
            assert!(stored.document.len() < MAX_ITEM * 9 / 10, "{} bytes", stored.document.len());
            let record = ledger.get("idp/1").await.unwrap().unwrap();
            assert_eq!(record.providers.len(), providers);
            let blocked =
                record.providers.values().all(|result| result.found.worst.outcome.status() == Status::NeedsAttention);
            assert!(blocked && record.providers["provider-0"].found.worst.reason.as_deref() == Some("ReferenceExist"));
        }
    }
}

//! Leavers whose event names an id alone: found by what their source told before, and nobody else in their place.

#[path = "../support/mod.rs"]
mod support;

mod items;
mod passed_on;
mod world;

use std::time::Duration;

use offboard::{
    departure::Delivery,
    durable::{MOST_TRIES, Next, NotDurable},
    ledger::{State, directory::Completed, operator::Decision},
    outcome::{Outcome, Status},
    person::Person,
    report::Entry,
};
use world::{NOW, RETENTION, World, departure, email, entries, id, invocation, lesson, outcomes};

#[tokio::test]
async fn who_is_known_by_an_id_alone_is_removed() {
    let world = World::new().await;
    world.products.have(&["ann@example.com", "joann@example.com"]);
    world.learn([lesson("u1", "ann@example.com", 1)]).await;
    let report = world.leave("1", id("u1")).await;
    assert_eq!((report.status, outcomes(&report)), (Status::Done, vec![(Outcome::Deleted, None); 2]));
    assert_eq!(world.products.left(), ["access joann@example.com", "instaply joann@example.com"]);
    assert!(entries(&report).iter().all(|entry| entry.accounts.is_empty()));
}

#[tokio::test]
async fn who_is_not_known_is_unidentified_and_nobody_is_called() {
    let world = World::new().await;
    world.products.have(&["ann@example.com"]);
    world.learn([lesson("u1", "ann@example.com", 1)]).await;
    let report = world.leave("1", id("u2")).await;
    let nowhere = vec![(Outcome::Unidentified, Some("no_identity")); 2];
    assert_eq!((report.status, outcomes(&report)), (Status::NeedsAttention, nowhere));
    assert_eq!(world.products.asked(), [""; 0]);
}

#[tokio::test]
async fn a_departure_that_nobody_could_identify_is_replayed_with_what_was_learned_since() {
    let world = World::new().await;
    world.products.have(&["ann@example.com"]);
    world.leave("1", id("u1")).await;
    world.learn([lesson("u1", "ann@example.com", 1)]).await;
    world.decide("idp/1", Decision::Replay).await;
    assert_eq!(world.resume("idp/1").await, Next::Forget);
    let record = world.ledger.get("idp/1").await.unwrap().unwrap();
    assert_eq!((record.state, record.person.masked().as_deref()), (State::Done, Some("a…@example.com")));
    assert_eq!(world.products.left(), [""; 0]);
}

#[tokio::test]
async fn an_event_without_an_id_costs_no_read_of_the_directory() {
    let world = World::new().await;
    let person = Person { email: Some(email("ann@example.com")), ..Person::default() };
    let completed = world.ledger.complete("idp", &person).await.unwrap();
    assert_eq!(completed, Completed { person, taken_over: false });
    assert_eq!(world.store.calls(), (0, 0));
    world.ledger.learn("idp", &lesson("u1", "ann@example.com", 1), NOW, RETENTION).await.unwrap();
    world.store.calls();
    world.ledger.complete("idp", &id("u1")).await.unwrap();
    assert_eq!(world.store.calls(), (2, 0), "the id, and its address");
}

#[tokio::test]
async fn the_directory_is_filled_in_every_mode_and_a_dry_run_looks_into_it() {
    for (mode, status, outcome, reason) in [("dry_run", Status::Planned, Outcome::Planned, None)] {
        let world = World::with(&format!("mode = \"{mode}\"")).await;
        world.products.have(&["ann@example.com"]);
        world.learn([lesson("u1", "ann@example.com", 1), lesson("u2", "bob@example.com", 1)]).await;
        world.learn([lesson("u3", "bob@example.com", 2)]).await;
        let report = world.leave("1", id("u1")).await;
        assert_eq!((report.status, outcomes(&report)[0]), (status, (outcome, reason)), "{mode}");
        let report = world.leave("2", id("u2")).await;
        let reason = reason.or(Some("address_of_another"));
        assert_eq!((report.status, outcomes(&report)[0]), (Status::Held, (Outcome::NotAttempted, reason)), "{mode}");
        assert_eq!(world.products.left().len(), 2, "{mode}");
    }
}

#[tokio::test]
async fn what_cannot_be_learned_or_looked_up_has_to_be_delivered_again() {
    let world = World::new().await;
    *world.store.down.lock().unwrap() = true;
    let learning = Delivery { facts: vec![lesson("u1", "ann@example.com", 1)], ..Delivery::default() };
    let leaving = Delivery { departures: vec![departure("idp", "1", id("u1"))], ..Delivery::default() };
    for delivery in [learning, leaving] {
        let refused = world.app.act(&world.source, delivery, &invocation()).await;
        let Err(NotDurable(why)) = refused else { panic!("it was taken: {refused:?}") };
        assert_eq!(why, "the ledger cannot be used: an unreadable item");
    }
}

// ---- Several addresses ----

#[tokio::test]
async fn somebody_who_was_renamed_is_removed_by_both_addresses() {
    let world = World::new().await;
    world.products.have(&["ann.smith@example.com", "ann.jones@example.com", "joann.smith@example.com"]);
    world.learn([lesson("u1", "ann.smith@example.com", 1), lesson("u1", "ann.jones@example.com", 2)]).await;
    let report = world.leave("1", id("u1")).await;
    assert_eq!(outcomes(&report), [(Outcome::Deleted, None); 2]);
    assert_eq!(world.products.asked(), ["ann.jones@example.com", "ann.smith@example.com"]);
    assert_eq!(world.products.left(), ["access joann.smith@example.com", "instaply joann.smith@example.com"]);
    let accounts = entries(&report)[0].accounts.iter();
    let accounts: Vec<_> = accounts.map(|one| (one.scope.as_str(), one.finding.account_id.as_deref())).collect();
    let expected =
        [("a…@example.com", Some("ann.jones-example.com")), ("a…@example.com (2)", Some("ann.smith-example.com"))];
    assert_eq!(accounts, expected);
    let shown = serde_json::to_string(&report).unwrap();
    let document = world.store.items().await.into_iter().find(|item| item.id == "idp/1").unwrap().document;
    assert!(shown.contains(r#""other_emails":["a…@example.com"]"#), "{shown}");
    for text in [shown, document] {
        assert!(!text.contains("smith@") && !text.contains("jones@"), "{text}");
    }
}

#[tokio::test]
async fn absent_is_said_of_somebody_only_if_no_address_is_there() {
    let world = World::new().await;
    world.products.have(&["ann.smith@example.com"]);
    world.learn([lesson("u1", "ann.smith@example.com", 1), lesson("u1", "ann.jones@example.com", 2)]).await;
    let report = world.leave("1", id("u1")).await;
    assert_eq!(outcomes(&report), [(Outcome::Deleted, None); 2]);
    let found = |entry: &Entry| entry.accounts.iter().map(|one| one.finding.outcome).collect::<Vec<_>>();
    assert_eq!(found(&entries(&report)[1]), [Outcome::AlreadyAbsent, Outcome::Deleted]);
    world.learn([lesson("u2", "eve@example.com", 1), lesson("u2", "eva@example.com", 2)]).await;
    let report = world.leave("2", id("u2")).await;
    assert_eq!(outcomes(&report), [(Outcome::AlreadyAbsent, None); 2]);
    assert_eq!(found(&entries(&report)[0]), [Outcome::AlreadyAbsent; 2]);
}

#[tokio::test]
async fn no_account_id_is_lost_when_an_address_is_tried_again() {
    let world = World::new().await;
    let (jones, smith) = ("ann.jones@example.com", "ann.smith@example.com");
    world.products.have(&[jones, smith]);
    world.learn([lesson("u1", smith, 1), lesson("u1", jones, 2)]).await;
    world.products.fail_for(Some(smith));
    let report = {
        let delivery = Delivery { departures: vec![departure("idp", "1", id("u1"))], ..Delivery::default() };
        world.app.act(&world.source, delivery, &invocation()).await.unwrap()
    };
    assert_eq!((report.status, outcomes(&report)[0].0), (Status::Incomplete, Outcome::Unavailable));
    // The last try: a person replays it.
    assert_eq!(world.app.resume("idp/1", 14, &invocation()).await.unwrap(), Next::Again(Duration::ZERO));
    world.decide("idp/1", Decision::Replay).await;
    world.products.fail_for(None);
    assert_eq!(world.resume("idp/1").await, Next::Forget);
    let record = world.ledger.get("idp/1").await.unwrap().unwrap();
    assert_eq!(record.state, State::Done);
    for provider in ["access", "instaply"] {
        let entry = &record.providers[provider].entry;
        let ids: Vec<_> = entry.accounts.iter().filter_map(|one| one.finding.account_id.as_deref()).collect();
        let mark = if provider == "access" { "" } else { "i-" };
        let expected = [format!("{mark}ann.jones-example.com"), format!("{mark}ann.smith-example.com")];
        assert_eq!((entry.finding.outcome, ids), (Outcome::Deleted, expected.iter().map(String::as_str).collect()));
    }
}

#[tokio::test]
async fn one_protected_address_protects_the_person() {
    let world = World::with("protected = [\"root@example.com\"]").await;
    world.products.have(&["ann@example.com", "root@example.com"]);
    world.learn([lesson("u1", "root@example.com", 1), lesson("u1", "ann@example.com", 2)]).await;
    let report = world.leave("1", id("u1")).await;
    assert_eq!(outcomes(&report), [(Outcome::Protected, Some("protected")); 2]);
    assert_eq!(world.products.left().len(), 4);
}

#[tokio::test]
async fn the_newest_twenty_addresses_are_kept() {
    let world = World::new().await;
    let address = |n: u64| format!("ann{n}@example.com");
    // From the newest to the oldest and back.
    for n in (0..23).rev().chain(0..23) {
        world.ledger.learn("idp", &lesson("u1", &address(n), n), NOW, RETENTION).await.unwrap();
    }
    let person = world.ledger.complete("idp", &id("u1")).await.unwrap().person;
    let known: Vec<_> = person.emails().map(|email| email.expose().to_owned()).collect();
    assert_eq!(known, (3..23).rev().map(address).collect::<Vec<_>>());
}

/// Its person is masked by then: written as given up, nobody would be looked for under this name again, and called absent.
#[tokio::test]
async fn a_departure_that_is_done_and_could_not_be_noted_is_not_given_up() {
    let world = World::new().await;
    world.products.have(&["ann@example.com"]);
    world.products.fail_for(Some("ann@example.com"));
    let named = Person { email: Some(email("ann@example.com")), ..id("u1") };
    let delivery = Delivery { departures: vec![departure("idp", "1", named)], ..Delivery::default() };
    assert_eq!(world.app.act(&world.source, delivery, &invocation()).await.unwrap().status, Status::Incomplete);
    world.products.fail_for(None);
    *world.store.refused.lock().unwrap() = Some(State::Done);
    let next = world.app.resume("idp/1", MOST_TRIES, &invocation()).await.unwrap();
    assert!(matches!(next, Next::Again(_)), "{next:?}");
    assert_eq!(world.products.left(), Vec::<String>::new());
    let record = world.ledger.get("idp/1").await.unwrap().unwrap();
    let person = record.departure().person.email;
    assert_eq!((record.state, person), (State::Open, Some(email("ann@example.com"))));
}

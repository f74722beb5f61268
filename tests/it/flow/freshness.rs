//! Facts are at most five seconds old when somebody is removed, whatever the time before that was spent on.

use std::time::Duration;

use offboard::{ledger::State, outcome::Outcome};

use crate::flow::world::{HOUR, World, active, by_email, recorded};

const ANN: &str = "ann@example.com";

#[tokio::test]
async fn facts_older_than_five_seconds_are_read_again_before_a_removal() {
    for (seconds, removed) in [(4, true), (6, false)] {
        let world = World::new().await;
        world.vendors.have(&[ANN]);
        let (ledger, clock) = (world.ledger.clone(), world.clock.clone());
        world.vendors.at_look_up(async move {
            // The environment was frozen, and meanwhile the person came back.
            clock.go(Duration::from_secs(seconds));
            ledger.store_facts("idp", &[active(by_email(ANN), 0)], clock.now()).await.unwrap();
        });
        world.leave("idp", "1", by_email(ANN)).await;
        let record = world.record("idp/1").await;
        let expected = if removed {
            (State::Done, (Outcome::Deleted, None))
        } else {
            (State::Held, (Outcome::NotAttempted, Some("held")))
        };
        assert_eq!((record.state, recorded(&record)["access"]), expected, "{seconds}");
    }
}

#[tokio::test]
async fn return_while_the_intent_is_being_written_is_seen_before_the_removal() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    let (ledger, clock) = (world.ledger.clone(), world.clock.clone());
    // The record, the count, the facts: then the intent.
    world.store.after_call(4, async move {
        clock.go(Duration::from_secs(6));
        ledger.store_facts("idp", &[active(by_email(ANN), 0)], clock.now()).await.unwrap();
    });
    world.leave("idp", "1", by_email(ANN)).await;
    let record = world.record("idp/1").await;
    assert_eq!((record.state, recorded(&record)["access"]), (State::Held, (Outcome::NotAttempted, Some("held"))));
    assert_eq!((world.vendors.left().len(), world.vendors.removals(), record.intent.len()), (2, 0, 0));
}

#[tokio::test]
async fn return_between_two_attempts_of_a_removal_is_seen_and_the_removal_stays_begun() {
    let world = World::with("attempts = 3").await;
    world.vendors.have(&[ANN]);
    world.vendors.fail_for(ANN, Some(0));
    let (ledger, clock) = (world.ledger.clone(), world.clock.clone());
    world.vendors.at_removal(async move {
        clock.go(Duration::from_secs(6));
        ledger.store_facts("idp", &[active(by_email(ANN), 0)], clock.now()).await.unwrap();
    });
    world.leave("idp", "1", by_email(ANN)).await;
    let record = world.record("idp/1").await;
    assert_eq!((record.state, recorded(&record)["instaply"]), (State::Held, (Outcome::NotAttempted, Some("held"))));
    assert_eq!((world.vendors.left().len(), world.vendors.removals()), (2, 1));
    assert!(record.begun().contains("instaply"), "the first attempt may have reached the product");
}

#[tokio::test]
async fn worker_that_was_frozen_beyond_its_lease_removes_nobody() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    let clock = world.clock.clone();
    world.vendors.at_look_up(async move { clock.go(HOUR) });
    world.leave("idp", "1", by_email(ANN)).await;
    let record = world.record("idp/1").await;
    assert_eq!(recorded(&record)["access"], (Outcome::NotAttempted, Some("deadline")));
    assert_eq!((record.state, world.vendors.left()), (State::Pending, vec![format!("access {ANN}")]));
    world.go(HOUR);
    assert_eq!(world.advance("idp/1").await.state, State::Done);
}

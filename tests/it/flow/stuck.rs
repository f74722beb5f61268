//! A departure that cannot go on by itself is given to a person: one that cannot be judged, or whose provider is gone.

use std::time::Duration;

use offboard::{
    departure::DeliveryEvents,
    ledger::{
        NEVER, State,
        operator::Decision,
        store::{Change, Merge, Store},
    },
    outcome::{Outcome, Status},
};

use crate::{
    flow::failures::deliver_or_die,
    flow::store::Fault,
    flow::world::{DAY, HOUR, World, active, at, by_email, departure, recorded},
};

const ANN: &str = "ann@example.com";

#[tokio::test]
async fn departure_that_cannot_be_judged_is_tried_with_a_growing_pause_and_given_to_a_person_after_three_days() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    let pause = |text: &str| [Change::Merge(Merge::of("#pause").field("pause", text))];
    world.store.change(&pause("{")).await.unwrap();
    assert_eq!(world.leave("idp", "1", by_email(ANN)).await.status, Status::Pending);
    let (mut pauses, mut tries) = (Vec::new(), 0);
    let record = loop {
        let record = world.record("idp/1").await;
        if record.state != State::Pending {
            break record;
        }
        pauses.push(record.due_at.unwrap() - world.clock.now().unix_timestamp());
        world.go(Duration::from_secs(u64::try_from(pauses[tries]).unwrap()));
        tries += 1;
        world.advance("idp/1").await;
    };
    assert_eq!(pauses[..4], [30, 60, 120, 240]);
    assert!((10..40).contains(&tries) && pauses.iter().sum::<i64>() > 3 * 86_400, "{pauses:?}");
    assert_eq!((record.state, record.due_at, record.lease), (State::NeedsAttention, Some(NEVER), None));
    assert_eq!(world.vendors.left().len(), 2);
    world.store.change(&pause("null")).await.unwrap();
    world.decide("idp/1", Decision::Replay).await.unwrap();
    assert_eq!((world.advance("idp/1").await.state, world.vendors.left()), (State::Done, vec![]));
}

#[tokio::test]
async fn departure_held_for_days_is_not_given_up_because_of_one_outage() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.say("idp", [active(by_email(ANN), 10)]).await;
    assert_eq!(world.leave("idp", "1", by_email(ANN)).await.status, Status::Held);
    world.go(4 * DAY);
    // The record, its lease: then the facts.
    world.store.fault_at(3, Fault::Fails);
    let record = world.advance("idp/1").await;
    let due_at = world.clock.now().unix_timestamp() + 30;
    assert_eq!((record.state, record.due_at, record.failed_attempts), (State::Held, Some(due_at), 1));
}

#[tokio::test]
async fn departure_whose_provider_was_taken_out_before_it_was_done_there_needs_attention() {
    let mut world = World::new().await;
    world.vendors.have(&[ANN]);
    world.vendors.fail_for(ANN, None);
    assert_eq!(world.leave("idp", "1", by_email(ANN)).await.status, Status::Pending);
    world.vendors.work_again();
    world.deploy("# without instaply");
    world.go(HOUR);
    let record = world.advance("idp/1").await;
    let expected = [("access", (Outcome::Deleted, None)), ("instaply", (Outcome::Unavailable, Some("http_503")))];
    assert_eq!((record.state, recorded(&record)), (State::NeedsAttention, expected.into()));
    assert!(!record.person.is_masked(), "who left is still needed");
    world.deploy("");
    world.decide("idp/1", Decision::Replay).await.unwrap();
    assert_eq!((world.advance("idp/1").await.state, world.vendors.left()), (State::Done, vec![]));
}

#[tokio::test]
async fn departure_whose_provider_was_taken_out_after_a_removal_was_announced_needs_attention() {
    let mut world = World::new().await;
    world.vendors.have(&[ANN]);
    let delivery =
        DeliveryEvents { departures: vec![departure("idp", "1", by_email(ANN), at(-1))], ..DeliveryEvents::default() };
    // The record, the count, the facts, and the intent.
    world.store.fault_at(4, Fault::DiesAfterwards);
    assert!(deliver_or_die(&world, &delivery).await.is_none());
    assert!(world.record("idp/1").await.intent.contains("instaply"));
    world.deploy("# without instaply");
    world.go(HOUR);
    assert_eq!(world.advance("idp/1").await.state, State::NeedsAttention);
}

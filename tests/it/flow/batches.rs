//! The tick, and deliveries that are large.

use offboard::{departure::DeliveryEvents, judgement::Veto, outcome::Status};

use crate::flow::world::{HOUR, MINUTE, World, at, by_email, departure, id, known, named, vetoes};

const ANN: &str = "ann@example.com";

#[tokio::test]
async fn tick_sends_what_is_due_oldest_first_and_leaves_room_in_the_queue() {
    let world = World::new().await;
    for n in 0..4 {
        world.vendors.fail_for(ANN, (n == 3).then_some(3600));
        world.leave("idp", &n.to_string(), by_email(ANN)).await;
        world.go(MINUTE);
    }
    assert_eq!(world.tick().await, ["idp/0", "idp/1", "idp/2"]);
    world.sqs.set_depth(238);
    assert_eq!(world.tick().await, ["idp/0", "idp/1"]);
    world.sqs.set_depth(2000);
    assert_eq!(world.tick().await, [""; 0]);
}

#[tokio::test]
async fn delivery_of_three_thousand_facts_and_a_departure_is_recorded_and_done() {
    let world = World::new().await;
    world.vendors.have(&["p7@example.com"]);
    let facts = (0..3000).map(|n| known(named(&format!("u{n}"), &format!("p{n}@example.com")), -60)).collect();
    let departures = vec![departure("idp", "1", id("u7"), at(-1))];
    let delivery = DeliveryEvents { departures, facts, ..DeliveryEvents::default() };
    let report = world.deliver("idp", &delivery).await.unwrap().remove(0);
    assert_eq!((report.status, world.vendors.left()), (Status::Done, vec![]));
    let calls = world.store.calls();
    assert!(calls < 3000 + 30 + 20, "{calls} calls");
    // Said again, nothing is written.
    world.deliver("idp", &delivery).await.unwrap();
    assert!(world.store.calls() < 40);
}

#[tokio::test]
async fn departures_of_a_batch_beyond_what_is_done_inline_are_left_to_the_queue() {
    let world = World::with("max_departures = \"unlimited\"").await;
    let one = |n: usize| departure("idp", &n.to_string(), by_email(&format!("p{n}@example.com")), at(-1));
    let delivery = DeliveryEvents { departures: (0..120).map(one).collect(), ..DeliveryEvents::default() };
    let reports = world.deliver("idp", &delivery).await.unwrap();
    let done = reports.iter().filter(|report| report.status == Status::Done).count();
    assert_eq!((reports.len(), done, world.sqs.take().len()), (120, 50, 70));
    world.go(MINUTE);
    assert_eq!(world.tick_and_follow().await.len(), 70);
    assert_eq!(world.tick().await, [""; 0]);
}

/// More departures of people who are never found than a queue's call takes at once.
fn many(count: usize) -> DeliveryEvents {
    let departures = (0..count).map(|n| departure("idp", &n.to_string(), id(&format!("u{n}")), at(-1)));
    DeliveryEvents { departures: departures.collect(), ..DeliveryEvents::default() }
}

#[tokio::test]
async fn departure_with_any_id_is_queued_and_one_that_the_queue_refuses_costs_no_other_batch() {
    let world = World::with("max_departures = \"unlimited\"").await;
    world.vendors.fail_for(ANN, None);
    let ids: Vec<_> = (0..15).map(|n| format!("{n}\u{ffff}\u{1f4a9}")).collect();
    for id in &ids {
        world.leave("idp", id, by_email(ANN)).await;
    }
    world.go(HOUR);
    let mut sent = world.tick().await;
    sent.sort();
    let mut expected: Vec<_> = ids.iter().map(|id| format!("idp/{id}")).collect();
    expected.sort();
    assert_eq!(sent, expected);
    world.sqs.refuse("idp/0");
    let (sent, ticked) = world.try_tick().await;
    assert_eq!(
        ticked.map_err(|error| error.to_string()),
        Err("the queue cannot be used: InvalidMessageContents".into())
    );
    assert!(sent.len() == 5 || sent.len() == 10, "{sent:?}");
}

#[tokio::test]
async fn repetition_of_a_large_delivery_costs_no_call_per_departure_that_is_recorded() {
    let world = World::with("max_departures = \"unlimited\"").await;
    let delivery = many(40);
    let reports = world.deliver("idp", &delivery).await.unwrap();
    assert!(reports.iter().all(|report| !report.duplicate));
    world.store.calls();
    let reports = world.deliver("idp", &delivery).await.unwrap();
    assert!(reports.len() == 40 && reports.iter().all(|report| report.duplicate));
    assert_eq!(world.store.calls(), 1);
    // An id that stands for another person is recorded all the same.
    let mut delivery = many(40);
    delivery.departures[7].person = id("other");
    let reports = world.deliver("idp", &delivery).await.unwrap();
    let new: Vec<_> = reports.iter().filter(|report| !report.duplicate).collect();
    assert_eq!(new.len(), 1);
    assert_eq!(vetoes(&world.record(&new[0].id).await), [Veto::EventIdReused]);
}

#[tokio::test]
async fn without_a_queue_the_whole_batch_is_done_inline() {
    let mut world = World::with("max_departures = \"unlimited\"").await;
    world.flow.queue = None;
    let one = |n: usize| departure("idp", &n.to_string(), by_email(&format!("p{n}@example.com")), at(-1));
    let delivery = DeliveryEvents { departures: (0..120).map(one).collect(), ..DeliveryEvents::default() };
    let reports = world.deliver("idp", &delivery).await.unwrap();
    assert_eq!(reports.iter().filter(|report| report.status == Status::Done).count(), 120);
}

//! What people, and other automation, are notified of: at least once, whatever fails.

use std::collections::BTreeSet;

use offboard::{
    departure::DeliveryEvents,
    ledger::{NEVER, State},
    operator::Decision,
    outcome::Status,
};
use offboard_sandbox::aws::event_bridge::Event;
use serde_json::{Value, json};
use time::macros::datetime;

use crate::{
    flow::failures::deliver_or_die,
    flow::store::Fault,
    flow::world::{DAY, HOUR, MINUTE, World, active, at, by_email, departure, email, id, named, numbered},
};

const ANN: &str = "ann@example.com";
const ALL: &str = "# notifies of all";
/// Minutes after which an event is too old.
const OLD: i64 = -60 * 24 * 8;

/// A world at a time of the day at which the digest is not due.
async fn world(policy: &str) -> World {
    let world = World::with(policy).await;
    world.clock.set(datetime!(2026-01-31 07:00 UTC));
    world
}

async fn published(world: &World) -> Vec<Event> {
    world.tick().await;
    world.bus.take()
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.detail_type.as_str()).collect()
}

#[tokio::test]
async fn held_departure_is_published_with_its_case_and_without_an_address() {
    let world = world("").await;
    let report = world.leave_at("idp", "1", numbered("8931", named("u1", ANN)), at(OLD)).await;
    assert_eq!((report.status, world.bus.take().len()), (Status::Held, 0));
    let events = published(&world).await;
    assert_eq!(kinds(&events), ["Departure Held"]);
    let detail = &events[0].detail;
    assert_eq!(
        detail["departure"],
        json!({
            "id": "idp/1", "source": "idp", "state": "held", "received_at": "2026-01-31T07:00:00Z",
            "person": {"idp_id": "u1", "external_id": "8931", "email": "a…@example.com"},
            "reasons": ["event_too_old"], "providers": [],
        })
    );
    assert_eq!(
        detail["text"],
        json!({
            "title": "Departure held: idp/1",
            "who": "a…@example.com, external id 8931, id u1, who left by source idp",
            "why": "event_too_old",
            "providers": "none",
            "next": "`offboard departures show idp/1`; then `offboard departures release idp/1` lets the removals go on, \
                     `offboard departures dismiss idp/1` ends it without a removal",
        })
    );
    assert!(detail["id"].as_str().is_some_and(|id| id.ends_with("-1")) && detail["summarized"] == json!(false));
    assert_eq!(kinds(&published(&world).await), [""; 0], "it was taken out of the outbox");
}

#[tokio::test]
async fn departure_that_needs_a_person_says_what_stands_in_the_way_where() {
    let world = world("# with wiki").await;
    world.vendors.have(&[ANN]);
    world.leave("idp", &format!("left-{ANN}"), by_email(ANN)).await;
    let events = published(&world).await;
    assert_eq!(kinds(&events), ["Departure Needs Attention"]);
    let (case, text) = (&events[0].detail["departure"], &events[0].detail["text"]);
    let providers = case["providers"].as_array().unwrap();
    assert_eq!(
        (providers.len(), &providers[0]["provider"], &providers[0]["outcome"]),
        (1, &json!("wiki"), &json!("manual"))
    );
    let next = text["next"].as_str().unwrap();
    assert!(
        next.contains("`offboard departures confirm idp/l…@example.com wiki`") && !next.contains("replay"),
        "{next}"
    );
    assert!(text["providers"].as_str().unwrap().starts_with("wiki: manual"), "{text}");
    assert!(!events[0].detail.to_string().contains("ann"), "{text}");
}

#[tokio::test]
async fn done_is_published_only_where_it_is_wished() {
    for (policy, expected) in [("", vec![]), (ALL, vec!["Departure Done"])] {
        let world = world(policy).await;
        world.vendors.have(&[ANN]);
        assert_eq!(world.leave("idp", "1", by_email(ANN)).await.status, Status::Done);
        let record = world.record("idp/1").await;
        assert!(record.due_at.is_none() && record.expires_at.is_some(), "the outbox changes nothing of the record");
        assert_eq!(kinds(&published(&world).await), expected);
    }
}

#[tokio::test]
async fn what_a_dry_run_or_a_pause_holds_is_not_published_before_something_else_holds_it() {
    let world = world("mode = \"dry_run\"").await;
    assert_eq!(world.leave("idp", "1", by_email(ANN)).await.status, Status::Planned);
    assert_eq!(kinds(&published(&world).await), [""; 0]);
    let world = self::world("protected = []").await;
    world.pause(true).await;
    world.leave("idp", "1", by_email(ANN)).await;
    assert_eq!((world.record("idp/1").await.state, kinds(&published(&world).await)), (State::Held, vec![]));
    // Meanwhile the person returned.
    world.go(10 * MINUTE);
    world.say("idp", [active(by_email(ANN), -295)]).await;
    world.pause(false).await;
    world.tick_and_follow().await;
    assert_eq!(kinds(&world.bus.take()), [""; 0]);
    assert_eq!(
        (world.record("idp/1").await.state, kinds(&published(&world).await)),
        (State::Held, vec!["Departure Held"])
    );
}

#[tokio::test]
async fn departure_that_is_held_again_is_published_again_under_another_id() {
    let world = world("# with wiki").await;
    world.vendors.have(&[ANN]);
    world.leave("idp", "1", by_email(ANN)).await;
    let first = published(&world).await;
    for _ in 0..3 {
        world.advance("idp/1").await;
        assert_eq!(kinds(&published(&world).await), [""; 0]);
    }
    world.decide("idp/1", Decision::Replay).await.unwrap();
    world.advance("idp/1").await;
    let second = published(&world).await;
    assert_eq!((kinds(&first), kinds(&second)), (vec!["Departure Needs Attention"], vec!["Departure Needs Attention"]));
    assert_ne!(first[0].detail["id"], second[0].detail["id"]);
}

// ---- Deaths, outages and doubles ----

/// Whatever fails while it is worked on or published, each departure that ends so is published, with one id.
#[tokio::test]
async fn notification_survives_a_failure_at_every_store_call() {
    for fault in [Fault::Fails, Fault::LosesAnswer, Fault::Dies, Fault::DiesAfterwards] {
        for (state, happened) in [(State::Held, OLD), (State::NeedsAttention, -1), (State::Done, -1)] {
            for n in 1.. {
                let world = world(if state == State::NeedsAttention { "# with wiki" } else { ALL }).await;
                world.vendors.have(&[ANN]);
                let happened = Some((world.clock.now() + time::Duration::minutes(happened)).into());
                let departures = vec![departure("idp", "1", by_email(ANN), happened)];
                let delivery = DeliveryEvents { departures, ..DeliveryEvents::default() };
                world.store.fault_at(n, fault);
                let mut is_over = false;
                if deliver_or_die(&world, &delivery).await.is_some() {
                    // The fault may come in the tick that publishes.
                    tokio::select! {
                        _ = world.try_tick() => is_over = world.store.calls() < n,
                        () = world.store.died.notified() => {}
                    }
                }
                world.store.calls();
                if world.ledger.get("idp/1").await.unwrap().is_none() {
                    world.deliver("idp", &delivery).await.unwrap();
                }
                for _ in 0..6 {
                    world.go(5 * MINUTE);
                    world.tick_and_follow().await;
                }
                let case = format!("{fault:?} at {n}: {state}");
                assert_eq!(world.record("idp/1").await.state, state, "{case}");
                let events = world.bus.take();
                let ids: BTreeSet<String> = events.iter().map(|event| event.detail["id"].to_string()).collect();
                assert_eq!((ids.len(), events.len() <= 2), (1, true), "{case}: {:?}", kinds(&events));
                assert_eq!(events[0].detail["departure"]["state"], json!(state), "{case}");
                if is_over {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn bus_that_is_down_stops_no_removal_and_loses_nothing() {
    let world = world("").await;
    world.vendors.have(&[ANN]);
    world.leave_at("idp", "1", by_email("bob@example.com"), at(OLD)).await;
    world.vendors.fail_for(ANN, None);
    world.leave("idp", "2", by_email(ANN)).await;
    world.vendors.work_again();
    world.bus.set_down(true);
    for _ in 0..3 {
        world.go(MINUTE);
        let (_, ticked) = world.try_tick().await;
        assert!(ticked.is_ok());
    }
    world.go(HOUR);
    world.bus.set_down(true);
    assert_eq!(world.tick_and_follow().await, ["idp/2"], "a notification that waits is not due as a departure is");
    assert_eq!((world.record("idp/2").await.state, world.vendors.left()), (State::Done, vec![]));
    assert_eq!(world.record("idp/1").await.due_at, Some(NEVER));
    world.bus.set_down(false);
    let events = published(&world).await;
    assert_eq!(kinds(&events).iter().filter(|kind| **kind == "Departure Held").count(), 1);
}

#[tokio::test]
async fn notification_that_the_bus_refuses_keeps_back_no_other() {
    let world = world("").await;
    for n in 0..12 {
        world.leave_at("idp", &n.to_string(), id(&format!("u{n}")), at(OLD)).await;
    }
    world.bus.refuse("\"idp/3\"");
    let first = published(&world).await;
    world.bus.refuse("nothing");
    let second = published(&world).await;
    assert_eq!((first.len(), second.len(), &second[0].detail["departure"]["id"]), (11, 1, &json!("idp/3")));
}

#[tokio::test]
async fn notification_that_cannot_be_taken_out_of_the_outbox_is_published_twice_with_one_id() {
    let world = world("").await;
    world.leave_at("idp", "1", by_email(ANN), at(OLD)).await;
    world.store.set_stuck(Some("#outbox/"));
    let first = published(&world).await;
    world.store.set_stuck(None);
    let second = published(&world).await;
    assert_eq!((first.len(), second.len(), published(&world).await.len()), (1, 1, 0));
    assert_eq!(first[0].detail, second[0].detail);
}

#[tokio::test]
async fn people_with_more_addresses_than_a_call_takes_are_published_with_some_and_a_count() {
    let world = world("max_departures = \"unlimited\"").await;
    let domain = format!("{0}.{0}.{0}.example", "d".repeat(60));
    for n in 0..12 {
        let mut person = id(&format!("u{n}"));
        let address = |m: usize| email(&format!("a{m}@{m:03}.{domain}"));
        (person.email, person.other_emails) = (Some(address(0)), (1..220).map(address).collect());
        world.leave_at("idp", &n.to_string(), person, at(OLD)).await;
    }
    let events = published(&world).await;
    assert_eq!(kinds(&events), ["Departure Held"; 12]);
    let person = &events[0].detail["departure"]["person"];
    assert_eq!((person["other_emails"].as_array().map(Vec::len), &person["more_emails"]), (Some(20), &json!(199)));
}

#[tokio::test]
async fn notification_whose_call_is_refused_keeps_back_no_other_and_has_people_get_one_summary() {
    let world = world("max_departures = \"unlimited\"").await;
    for n in 0..25 {
        world.leave_at("idp", &n.to_string(), id(&format!("u{n}")), at(OLD)).await;
    }
    world.bus.refuse_calls(Some(("\"id\":\"idp/3\"", "ValidationException")));
    let mut events = published(&world).await;
    for _ in 0..3 {
        world.go(MINUTE);
        events.extend(published(&world).await);
    }
    let count = |kind: &str| kinds(&events).into_iter().filter(|published| *published == kind).count();
    assert_eq!((count("Departure Held"), count("Departures Open")), (24, 1), "{:?}", kinds(&events));
    world.bus.refuse_calls(None);
    assert_eq!(kinds(&published(&world).await), ["Departure Held"]);
}

#[tokio::test]
async fn bus_that_throttles_while_many_wait_has_people_get_one_summary_once_it_takes_some() {
    let world = world("max_departures = \"unlimited\"").await;
    for n in 0..25 {
        world.leave_at("idp", &n.to_string(), id(&format!("u{n}")), at(OLD)).await;
    }
    // The first that waits is in the first call.
    world.bus.refuse_calls(Some(("\"departure\"", "ThrottlingException")));
    for _ in 0..3 {
        assert_eq!(kinds(&published(&world).await), [""; 0]);
        world.go(MINUTE);
    }
    world.bus.refuse_calls(None);
    // The first tick cannot take out what it published.
    world.store.set_stuck(Some("#outbox/"));
    published(&world).await;
    world.store.set_stuck(None);
    let mut events = published(&world).await;
    world.go(MINUTE);
    events.extend(published(&world).await);
    let digests = events.iter().filter(|event| event.detail_type == "Departures Open");
    assert_eq!((events.len(), digests.count()), (26, 1), "{:?}", kinds(&events));
}

// ---- Many at once, and once a day ----

#[tokio::test]
async fn many_at_once_are_published_each_and_summarized_once_for_people() {
    let world = world("max_departures = \"unlimited\"").await;
    for n in 0..25 {
        world.leave_at("idp", &n.to_string(), id(&format!("u{n}")), at(OLD)).await;
    }
    let events = published(&world).await;
    let (digests, each): (Vec<_>, Vec<_>) = events.iter().partition(|event| event.detail_type == "Departures Open");
    assert_eq!((digests.len(), each.len()), (1, 25));
    assert!(each.iter().all(|event| event.detail["summarized"] == json!(true)));
    let (text, open) = (&digests[0].detail["text"], &digests[0].detail["open"]);
    assert_eq!(digests[0].detail["summarized"], json!(false));
    assert_eq!((&open["held"], open["departures"].as_array().map(Vec::len)), (&json!(25), Some(20)));
    assert!(
        text["who"].as_str().unwrap().ends_with("and 5 more") && text["why"] == json!("event_too_old (20)"),
        "{text}"
    );
}

#[tokio::test]
async fn digest_of_what_is_open_is_published_once_a_day() {
    let digests = |events: &[Event]| -> Vec<Value> {
        let digests = events.iter().filter(|event| event.detail_type == "Departures Open");
        digests.map(|event| event.detail["text"]["title"].clone()).collect()
    };
    let world = world("").await;
    world.leave_at("idp", "1", by_email(ANN), at(OLD)).await;
    assert_eq!(digests(&published(&world).await), [Value::Null; 0], "it is before eight");
    world.go(HOUR);
    let titles = digests(&published(&world).await);
    assert_eq!(titles, ["Departures open: 1 held, 0 need attention, 0 pending, 0 planned by a dry run"]);
    for _ in 0..3 {
        world.go(5 * HOUR);
        assert_eq!(digests(&published(&world).await), [Value::Null; 0]);
    }
    world.go(DAY);
    assert_eq!(digests(&published(&world).await).len(), 1);
    let shown = world.show("idp/1").await;
    world.decide("idp/1", Decision::Dismiss).await.unwrap();
    assert_eq!(shown.standing.len(), 1);
    world.go(DAY);
    assert_eq!(digests(&published(&world).await), [Value::Null; 0], "nothing is open");
    // A departure that comes later in the day waits for the next digest.
    world.leave_at("idp", "2", by_email(ANN), at(OLD)).await;
    assert_eq!(kinds(&published(&world).await), ["Departure Held"]);
}

#[tokio::test]
async fn digest_of_the_day_survives_an_outage_of_the_bus_and_two_ticks_at_once() {
    let world = world("").await;
    world.leave_at("idp", "1", by_email(ANN), at(OLD)).await;
    world.go(HOUR);
    world.bus.set_down(true);
    let (one, other) = tokio::join!(world.try_tick(), world.try_tick());
    assert!(one.1.is_ok() && other.1.is_ok());
    world.go(HOUR);
    world.bus.set_down(false);
    let events = published(&world).await;
    assert_eq!(kinds(&events).into_iter().collect::<BTreeSet<_>>(), ["Departure Held", "Departures Open"].into());
    assert_eq!((events.len(), published(&world).await.len()), (2, 0));
}

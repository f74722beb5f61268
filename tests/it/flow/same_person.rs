//! Rules 1 to 5, 7 and 8: whose last word is "active", and which ids are one person.

use offboard::{
    departure::{DeliveryEvents, EventTime, IdentityFact},
    judgement::Veto,
    ledger::{State, operator::Decision},
    outcome::{Outcome, Status},
    person::Person,
};
use time::macros::date;

use crate::{
    flow::store::Fault,
    flow::world::{
        DAY, HOUR, MINUTE, NOW, World, active, at, by_email, departure, id, known, named, numbered, outcomes, recorded,
        stands, vetoes,
    },
};

fn ann(id: &str) -> Person {
    named(id, "ann@example.com")
}

// ---- Rule 1: an id's last word counts ----

#[tokio::test]
async fn word_active_of_the_departed_id_holds_only_if_it_is_later() {
    for (word, expected) in [(-61, None), (-60, None), (-59, Some(Veto::PersonReturned))] {
        let world = World::new().await;
        world.vendors.have(&["ann@example.com"]);
        world.say("idp", [active(ann("u1"), word)]).await;
        world.leave_at("idp", "1", id("u1"), at(-60)).await;
        let record = world.record("idp/1").await;
        let state = if expected.is_some() { State::Held } else { State::Done };
        assert_eq!((record.state, vetoes(&record)), (state, expected.into_iter().collect()), "{word}");
        let left = if expected.is_some() { 2 } else { 0 };
        assert_eq!(world.vendors.left().len(), left, "{word}");
    }
}

#[tokio::test]
async fn word_active_ends_with_a_later_departure_of_the_same_id() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("idp", [active(ann("u1"), -50)]).await;
    world.leave_at("idp", "1", id("u1"), at(-60)).await;
    assert_eq!(vetoes(&world.record("idp/1").await), [Veto::PersonReturned]);
    assert_eq!(world.leave_at("idp", "2", id("u1"), at(-40)).await.status, Status::Done);
    world.go(HOUR);
    assert_eq!(world.advance("idp/1").await.state, State::Done);
}

#[tokio::test]
async fn departure_of_one_id_does_not_end_the_word_of_another() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("idp", [active(ann("u1"), -60), active(ann("u2"), -50)]).await;
    world.leave("idp", "1", id("u2")).await;
    let record = world.record("idp/1").await;
    assert_eq!((record.state, vetoes(&record)), (State::Pending, vec![Veto::ActiveElsewhere]));
    assert_eq!((world.vendors.asked(), world.vendors.left().len()), (vec![], 2));
}

#[tokio::test]
async fn times_of_our_own_clocks_that_differ_keep_the_order_of_arrival() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    let said_now = |person| IdentityFact { at: None, ..active(person, 0) };
    // The environment that took the fact was a minute ahead of the one that takes the departure.
    world.go(MINUTE);
    world.say("idp", [said_now(ann("u1"))]).await;
    world.clock.set(NOW);
    assert_eq!(world.leave_at("idp", "1", id("u1"), None).await.status, Status::Done);
    // And a return that comes after it counts as later.
    world.say("idp", [said_now(ann("u1"))]).await;
    world.leave_at("idp", "2", by_email("ann@example.com"), at(0)).await;
    assert_eq!(vetoes(&world.record("idp/2").await), [Veto::PersonReturned]);
}

// ---- Rule 2: sources that give no id ----

#[tokio::test]
async fn departure_by_address_alone_covers_the_one_id_that_has_it() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("idp", [active(ann("u1"), -60)]).await;
    assert_eq!(world.leave("idp", "1", by_email("ann@example.com")).await.status, Status::Done);
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn departure_by_id_covers_what_was_said_of_its_address_alone() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("idp", [active(by_email("ann@example.com"), -60)]).await;
    assert_eq!(world.leave("idp", "1", ann("u1")).await.status, Status::Done);
    // But not what is said of it by another source.
    world.vendors.have(&["ann@example.com"]);
    world.say("mail", [active(by_email("ann@example.com"), -60)]).await;
    assert_eq!(world.leave("idp", "2", ann("u2")).await.reasons, [Veto::ActiveElsewhere]);
}

#[tokio::test]
async fn departure_by_address_alone_of_two_ids_waits() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("idp", [active(ann("u1"), -60), active(ann("u2"), -50)]).await;
    world.leave("idp", "1", by_email("ann@example.com")).await;
    let record = world.record("idp/1").await;
    assert_eq!((record.state, vetoes(&record)), (State::Pending, vec![Veto::ActiveElsewhere]));
    assert_eq!(world.vendors.left().len(), 2);
}

#[tokio::test]
async fn return_by_address_alone_holds_a_departure_by_number() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("mail", [active(by_email("ann@example.com"), -10)]).await;
    let report = world.leave_at("mail", "1", numbered("8931", by_email("ann@example.com")), at(-30)).await;
    assert_eq!((report.status, report.reasons), (Status::Held, vec![Veto::PersonReturned]));
    assert_eq!(world.vendors.left().len(), 2);
}

// ---- Rule 3: active until a departure stands ----

#[tokio::test]
async fn ids_that_leave_together_do_not_wait_for_each_other() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("idp", [active(ann("u1"), -60)]).await;
    world.say("hr", [active(ann("h1"), -60)]).await;
    let report = world.leave("idp", "1", id("u1")).await;
    assert_eq!((report.status, report.reasons), (Status::Pending, vec![Veto::ActiveElsewhere]));
    assert_eq!(world.leave("hr", "1", id("h1")).await.status, Status::Done);
    world.go(5 * MINUTE);
    assert_eq!(world.advance("idp/1").await.state, State::Done);
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn two_ids_of_one_source_that_leave_in_one_delivery_are_removed() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("idp", [active(ann("u1"), -60), active(ann("u2"), -60)]).await;
    let departures = vec![departure("idp", "1", id("u1"), at(-1)), departure("idp", "2", id("u2"), at(-1))];
    world.deliver("idp", &DeliveryEvents { departures, ..DeliveryEvents::default() }).await.unwrap();
    world.go(5 * MINUTE);
    for event in ["idp/1", "idp/2"] {
        world.advance(event).await;
    }
    assert_eq!((world.record("idp/1").await.state, world.record("idp/2").await.state), (State::Done, State::Done));
    assert_eq!(world.vendors.left(), [""; 0]);
}

/// How a departure of an id that shares an address can be reported without the person having left.
#[tokio::test]
async fn departure_that_does_not_stand_leaves_its_id_active() {
    for case in [
        "dry run",
        "dismissed",
        "dismissed, references stay",
        "too old",
        "in the future",
        "duplicate after a return",
        "over the limit",
    ] {
        let mut world = World::new().await;
        world.vendors.have(&["ann@example.com"]);
        world.say("idp", [known(ann("u1"), -60 * 24 * 30), known(ann("u2"), -60 * 24 * 30)]).await;
        match case {
            "dry run" => {
                world.deploy("mode = \"dry_run\"");
                world.leave("idp", "1", id("u1")).await;
                world.deploy("");
            }
            "dismissed" => {
                world.leave("idp", "1", id("u1")).await;
                world.decide("idp/1", Decision::Dismiss).await.unwrap();
            }
            "dismissed, references stay" => {
                world.leave("idp", "1", id("u1")).await;
                // The record is read and written, and then the store fails.
                world.store.fault_at(3, Fault::Fails);
                world.decide("idp/1", Decision::Dismiss).await.unwrap();
            }
            "too old" => _ = world.leave_at("idp", "1", id("u1"), at(-60 * 24 * 20)).await,
            "in the future" => _ = world.leave_at("idp", "1", id("u1"), at(60)).await,
            "over the limit" => {
                world.deploy("max_departures = { count = 1, per = \"1h\" }");
                world.leave("mail", "1", by_email("bob@example.com")).await;
                world.leave("idp", "1", id("u1")).await;
                world.deploy("");
            }
            _ => {
                world.leave_at("idp", "1", id("u1"), at(-20)).await;
                world.say("idp", [active(id("u1"), -10)]).await;
                world.leave_at("idp", "1", id("u1"), at(-20)).await;
            }
        }
        let report = world.leave("idp", "2", id("u2")).await;
        assert_eq!((report.status, world.vendors.left().len()), (Status::Pending, 2), "{case}");
        assert_eq!(report.reasons, [Veto::ActiveElsewhere], "{case}");
    }
}

// ---- Rule 4: one person with two ids ----

#[tokio::test]
async fn id_that_shared_the_address_once_counts_after_it_moved_on() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("idp", [active(ann("u1"), -60), active(ann("u2"), -50)]).await;
    world.say("idp", [known(named("u2", "ann.jones@example.com"), -40)]).await;
    let report = world.leave("idp", "1", id("u1")).await;
    assert_eq!((report.status, report.reasons), (Status::Pending, vec![Veto::ActiveElsewhere]));
    assert_eq!(world.vendors.left().len(), 2);
}

#[tokio::test]
async fn new_id_with_the_same_number_and_another_address_is_the_same_person() {
    let world = World::new().await;
    world.vendors.have(&["ann.smith@example.com"]);
    world.say("idp", [active(numbered("8931", named("u1", "ann.smith@example.com")), -60)]).await;
    world.say("idp", [active(numbered("8931", named("u2", "ann.jones@example.com")), -40)]).await;
    let report = world.leave("idp", "1", id("u1")).await;
    assert_eq!((report.status, report.reasons), (Status::Pending, vec![Veto::ActiveElsewhere]));
    assert_eq!(world.vendors.left().len(), 2);
}

/// Two accounts of one person are merged, and the source reports the end of the newer one: nobody has left.
#[tokio::test]
async fn person_whose_second_account_was_merged_stays_until_the_first_leaves() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("idp", [known(ann("first"), -60), known(ann("second"), -50)]).await;
    assert_eq!(world.leave("idp", "1", ann("second")).await.status, Status::Pending);
    world.go(2 * HOUR);
    let record = world.advance("idp/1").await;
    assert_eq!(stands(&world, &record), (State::Held, vec![Veto::ActiveElsewhere], Some(3600)));
    assert_eq!(world.leave("idp", "2", ann("first")).await.status, Status::Done);
    assert_eq!(world.vendors.left(), [""; 0]);
}

/// The employee source has hired the person, and the contractor source ends the contract.
#[tokio::test]
async fn person_whom_another_source_just_created_is_not_removed() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("hr", [active(ann("h1"), -1)]).await;
    let report = world.leave("idp", "1", named("c1", "ann@example.com")).await;
    assert_eq!((report.status, report.reasons), (Status::Pending, vec![Veto::ActiveElsewhere]));
    world.say("hr", [active(ann("h1"), 1)]).await;
    world.go(5 * MINUTE);
    let record = world.advance("idp/1").await;
    assert_eq!(stands(&world, &record), (State::Held, vec![Veto::PersonReturned], Some(3600)));
    assert_eq!((world.vendors.asked(), world.vendors.left().len()), (vec![], 2));
}

// ---- Rule 5: scheduled departures and days ----

#[tokio::test]
async fn scheduled_departure_waits_for_its_time_and_is_cancelled_by_a_later_return() {
    for (source, expected) in [
        ("", (State::Done, vec![])),
        ("idp", (State::Held, vec![Veto::PersonReturned])),
        // Another source's word ranks by the time when the departure happens: it may be about the days until then.
        ("hr", (State::Pending, vec![Veto::ActiveElsewhere])),
    ] {
        let world = World::new().await;
        world.vendors.have(&["ann@example.com"]);
        world.say("idp", [active(ann("u1"), -60)]).await;
        let report = world.leave_at("idp", "1", id("u1"), at(23 * 60)).await;
        assert_eq!((report.status, report.reasons), (Status::Pending, vec![Veto::EventInFuture]));
        let record = world.record("idp/1").await;
        assert_eq!((record.due_at, world.vendors.asked()), (Some((NOW + 23 * HOUR).unix_timestamp()), vec![]));
        if !source.is_empty() {
            world.go(HOUR);
            world.say(source, [active(ann("u1"), 60)]).await;
        }
        world.clock.set(NOW + 23 * HOUR);
        let record = world.advance("idp/1").await;
        assert_eq!((record.state, vetoes(&record)), expected, "{source}");
        assert_eq!(world.vendors.left().len(), if source.is_empty() { 0 } else { 2 }, "{source}");
    }
}

#[tokio::test]
async fn day_means_its_end_if_it_is_ahead_and_now_if_it_is_today() {
    for (day, status) in [
        (date!(2026 - 01 - 31), Status::Done),
        (date!(2026 - 01 - 30), Status::Done),
        (date!(2026 - 02 - 01), Status::Pending),
    ] {
        let world = World::new().await;
        world.vendors.have(&["ann@example.com"]);
        let report = world.leave_at("idp", "1", by_email("ann@example.com"), Some(EventTime::Day(day))).await;
        assert_eq!(report.status, status, "{day}");
        world.go(DAY + 12 * HOUR);
        assert_eq!(world.advance("idp/1").await.state, State::Done, "{day}");
    }
}

// ---- Rule 7: numbers are a source's own ----

#[tokio::test]
async fn same_number_in_another_source_is_another_person() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com", "bob@example.com"]);
    world.say("hr", [active(numbered("1", named("h1", "bob@example.com")), -10)]).await;
    let report = world.leave("idp", "1", numbered("1", ann("u1"))).await;
    assert_eq!((report.status, world.vendors.left().len()), (Status::Done, 2));
}

// ---- Rule 8: comparison after normalization of both sides ----

#[tokio::test]
async fn unicode_domain_and_punycode_are_the_same_address() {
    let world = World::with("protected = [\"e\u{301}va@example.com\"]").await;
    world.vendors.have(&["ann@xn--bcher-kva.example", "\u{e9}va@example.com"]);
    let report = world.leave("idp", "1", by_email("Ann@B\u{dc}CHER.example")).await;
    assert_eq!((report.status, outcomes(&report)), (Status::Done, vec![(Outcome::Deleted, None); 2]));
    let report = world.leave("idp", "2", by_email("\u{c9}VA@example.com")).await;
    assert_eq!(report.status, Status::NeedsAttention);
    assert_eq!(world.vendors.left().len(), 2);
    // The map keeps one item for both spellings.
    world.say("idp", [known(named("u3", "cem@xn--bcher-kva.example"), -60)]).await;
    let report = world.leave("hr", "1", by_email("cem@b\u{fc}cher.example")).await;
    assert_eq!(report.reasons, [Veto::ActiveElsewhere]);
    assert!(recorded(&world.record("hr/1").await).is_empty());
}

// ---- What was said between a scheduled departure's report and its date ----

#[tokio::test]
async fn address_said_before_a_scheduled_departure_takes_effect_is_the_persons() {
    let world = World::new().await;
    world.say("idp", [active(ann("u1"), -60)]).await;
    world.leave_at("idp", "1", ann("u1"), at(120)).await;
    world.say("idp", [known(named("u1", "jones@example.com"), 1)]).await;
    world.say("hr", [active(named("8931", "jones@example.com"), 1)]).await;
    world.go(3 * HOUR);
    assert_eq!(vetoes(&world.advance("idp/1").await), [Veto::ActiveElsewhere]);
}

#[tokio::test]
async fn scheduled_departure_ranks_after_a_word_that_a_faster_clock_gave() {
    let world = World::new().await;
    world.say("idp", [active(ann("u1"), 1)]).await;
    world.leave_at("idp", "1", ann("u1"), at(120)).await;
    world.go(3 * HOUR);
    assert_eq!(world.advance("idp/1").await.state, State::Done);
}

#[tokio::test]
async fn departure_by_address_does_not_speak_of_an_id_that_had_moved_on() {
    let world = World::new().await;
    world.vendors.have(&["jones@example.com"]);
    world.say("idp", [active(ann("u1"), -60), known(named("u1", "jones@example.com"), -30)]).await;
    world.leave("idp", "1", by_email("ann@example.com")).await;
    assert_eq!(world.vendors.left().len(), 2);
}

#[tokio::test]
async fn return_is_not_ended_by_a_later_departure_that_is_itself_held() {
    let world = World::new().await;
    world.say("idp", [active(ann("u1"), -60), active(ann("u1"), -40)]).await;
    world.say("hr", [active(named("8931", "jones@example.com"), -45)]).await;
    world.leave_at("idp", "1", ann("u1"), at(-50)).await;
    world.leave_at("idp", "2", named("u1", "jones@example.com"), at(-30)).await;
    assert_eq!(vetoes(&world.record("idp/2").await), [Veto::ActiveElsewhere]);
    world.go(HOUR);
    assert!(vetoes(&world.advance("idp/1").await).contains(&Veto::PersonReturned));
}

//! Rules 2 and 6: whom a departure speaks of, where a trait was handed over, or is shared.

use offboard::{judgement::Veto, ledger::State, outcome::Status};

use crate::flow::world::{DAY, HOUR, World, active, at, by_email, id, known, named, numbered, vetoes};

const A: &str = "a@example.com";
const B: &str = "b@example.com";
const S: &str = "s@example.com";
/// Minutes in a day.
const D: i64 = 24 * 60;

fn with(emails: &[&str], person: offboard::person::Person) -> offboard::person::Person {
    let mut emails = emails.iter().map(|text| crate::flow::world::email(text));
    offboard::person::Person { email: emails.next(), other_emails: emails.collect(), ..person }
}

/// A world in which these addresses have accounts.
async fn world(addresses: &[&str]) -> World {
    let world = World::new().await;
    world.vendors.have(addresses);
    world
}

fn is_left(world: &World, address: &str) -> bool {
    world.vendors.left().contains(&format!("access {address}"))
}

#[tokio::test]
async fn departure_by_address_alone_does_not_cover_an_id_that_moved_on() {
    let world = world(&[A, B]).await;
    world.say("idp", [known(named("i1", A), -20 * D), known(named("i1", B), -10 * D)]).await;
    world.leave("idp", "1", by_email(A)).await;
    assert!(is_left(&world, B));
}

#[tokio::test]
async fn id_that_moved_on_does_not_cover_the_new_holder_of_its_address() {
    let world = world(&[A, B]).await;
    world.say("idp", [known(named("i1", A), -20 * D), known(named("i1", B), -10 * D)]).await;
    world.say("idp", [active(by_email(A), -5 * D)]).await;
    world.leave("idp", "1", id("i1")).await;
    assert_eq!((is_left(&world, A), is_left(&world, B)), (true, false));
}

#[tokio::test]
async fn departure_by_address_alone_does_not_cover_an_id_that_was_away_then_and_came_back() {
    let world = world(&[A, B]).await;
    world.say("idp", [active(named("i1", A), -20 * D), known(named("i1", B), -4 * D)]).await;
    world.say("idp", [known(named("i1", A), -D)]).await;
    for (departure, days) in [("early", 6), ("away", 2)] {
        world.leave_at("idp", departure, by_email(A), at(-days * D)).await;
        assert_eq!(vetoes(&world.record(&format!("idp/{departure}")).await), [Veto::ActiveElsewhere], "{departure}");
    }
    assert_eq!((is_left(&world, A), is_left(&world, B)), (true, true));
    world.leave("idp", "now", by_email(A)).await;
    assert!(!is_left(&world, A));
}

#[tokio::test]
async fn id_that_was_away_and_came_back_does_not_cover_who_had_its_address_meanwhile() {
    let world = world(&[A, B]).await;
    world.say("idp", [known(named("i1", A), -20 * D), known(named("i1", B), -10 * D)]).await;
    world.say("idp", [active(by_email(A), -8 * D), known(named("i1", A), -D)]).await;
    world.leave_at("idp", "1", id("i1"), at(-5 * D)).await;
    assert_eq!((is_left(&world, A), is_left(&world, B)), (true, true));
}

#[tokio::test]
async fn external_id_that_was_handed_over_covers_neither_holder() {
    let world = world(&[A, B]).await;
    world
        .say("idp", [known(numbered("7", named("i1", A)), -20 * D), known(numbered("8", named("i1", A)), -10 * D)])
        .await;
    world.leave("idp", "1", numbered("7", Default::default())).await;
    assert!(is_left(&world, A));
    world.say("idp", [active(numbered("7", by_email(B)), -5 * D)]).await;
    world.leave("idp", "2", id("i1")).await;
    assert_eq!((is_left(&world, A), is_left(&world, B)), (false, true));
}

#[tokio::test]
async fn departure_by_an_address_that_another_source_s_id_left_does_not_end_that_id() {
    let world = world(&[A, B]).await;
    world.say("hr", [active(named("c1", A), -30 * D)]).await;
    world.say("idp", [known(named("i1", A), -20 * D)]).await;
    world.say("hr", [known(named("c1", B), -10 * D)]).await;
    world.leave("hr", "1", by_email(A)).await;
    world.leave("idp", "1", id("i1")).await;
    assert_eq!((is_left(&world, A), is_left(&world, B)), (true, true));
}

#[tokio::test]
async fn shared_second_address_makes_nobody_the_same_person() {
    for departure in [id("i1"), with(&[B, S], Default::default())] {
        let world = world(&[A, B, S]).await;
        world.say("idp", [known(with(&[A, S], id("i1")), -20 * D)]).await;
        world.say("idp", [active(with(&[B, S], Default::default()), -10 * D)]).await;
        let is_by_id = departure.idp_id.is_some();
        world.leave("idp", "1", departure).await;
        let other = if is_by_id { B } else { A };
        assert!(is_left(&world, other), "{other}");
    }
}

#[tokio::test]
async fn departure_by_two_addresses_covers_no_id_through_the_second() {
    let world = world(&[A, B, S]).await;
    world.say("idp", [known(named("i1", A), -20 * D), known(with(&[S, B], id("i2")), -20 * D)]).await;
    world.leave("idp", "1", with(&[A, B], Default::default())).await;
    assert!(is_left(&world, S));
}

#[tokio::test]
async fn return_of_any_of_several_ids_at_an_address_holds() {
    for stays in ["p1", "p2", "p3"] {
        let world = world(&[A]).await;
        world.say("idp", ["p1", "p2", "p3"].map(|one| known(named(one, A), -20 * D))).await;
        for (n, other) in ["p1", "p2", "p3"].into_iter().filter(|other| *other != stays).enumerate() {
            world.leave_at("idp", &n.to_string(), named(other, A), crate::flow::world::at(-2 * D)).await;
        }
        world.say("idp", [active(named(stays, A), -60)]).await;
        world.leave_at("idp", "late", by_email(A), crate::flow::world::at(-D)).await;
        assert!(is_left(&world, A), "{stays} is active");
    }
}

#[tokio::test]
async fn protected_departure_of_one_id_does_not_release_the_person_under_another() {
    let world = World::with("protected = [\"s@example.com\"]").await;
    world.vendors.have(&[A, S]);
    world.say("hr", [known(with(&[A, S], id("i1")), -20 * D)]).await;
    assert_eq!(world.leave("hr", "1", id("i1")).await.status, Status::NeedsAttention);
    world.leave("idp", "1", named("c1", A)).await;
    world.go(DAY);
    world.tick_and_follow().await;
    assert!(is_left(&world, A));
    assert_eq!(vetoes(&world.record("idp/1").await), [Veto::Protected, Veto::ActiveElsewhere]);
}

#[tokio::test]
async fn late_address_is_looked_up_by_a_departure_that_is_still_open() {
    let world = world(&[B]).await;
    world.say("idp", [known(named("i1", A), -20 * D)]).await;
    world.vendors.fail_for(A, None);
    world.leave("idp", "1", id("i1")).await;
    world.say("idp", [known(named("i1", B), -60)]).await;
    world.vendors.work_again();
    world.go(HOUR);
    world.tick_and_follow().await;
    assert_eq!((world.record("idp/1").await.state, is_left(&world, B)), (State::Done, false));
}

#[tokio::test]
async fn address_that_becomes_known_during_a_run_keeps_the_departure_from_being_done() {
    let world = world(&[A, B]).await;
    world.say("idp", [known(named("i1", A), -20 * D)]).await;
    let (ledger, now) = (world.ledger.clone(), world.clock.now());
    let late = [known(named("i1", B), -60)];
    world.vendors.at_look_up(async move { ledger.store_facts("idp", &late, now).await.unwrap() });
    world.leave("idp", "1", id("i1")).await;
    for _ in 0..3 {
        world.go(HOUR);
        world.tick_and_follow().await;
    }
    assert!(!is_left(&world, B), "{:?}", world.vendors.left());
}

/// The source may have said the event before it replaced the address that the event names; it was only delivered later.
#[tokio::test]
async fn address_replaced_by_a_late_event_alone_is_not_another_person_s() {
    let world = world(&[A]).await;
    world.say("idp", [known(named("i1", B), -60)]).await;
    world.say("hr", [active(by_email(B), -1)]).await;
    world.leave_at("idp", "1", named("i1", A), at(-10)).await;
    assert_eq!(vetoes(&world.record("idp/1").await), [Veto::PersonReturned]);
    assert!(is_left(&world, A));
}

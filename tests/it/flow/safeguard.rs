//! Rule 12: the safeguard against mass departures.

use offboard::{departure::DeliveryEvents, judgement::Veto, ledger::State, outcome::Status};

use crate::flow::world::{HOUR, MINUTE, World, at, by_email, departure, named, vetoes};

const TWO: &str = "max_departures = { count = 2, per = \"1h\" }";

fn address(n: u32) -> String {
    format!("p{n}@example.com")
}

async fn leave(world: &World, n: u32) -> Status {
    world.leave("idp", &n.to_string(), by_email(&address(n))).await.status
}

#[tokio::test]
async fn departures_beyond_the_limit_are_held_until_a_release_and_the_window_moves_on() {
    let world = World::with(TWO).await;
    let statuses = [leave(&world, 1).await, leave(&world, 2).await, leave(&world, 3).await, leave(&world, 4).await];
    assert_eq!(statuses, [Status::Done, Status::Done, Status::Held, Status::Held]);
    assert_eq!(vetoes(&world.record("idp/3").await), [Veto::TooManyDepartures]);
    // Those that were let through before stay so, and those that are held do not go on by themselves.
    world.go(10 * HOUR);
    assert_eq!(world.tick().await, [""; 0]);
    assert_eq!(world.advance("idp/3").await.state, State::Held);
    assert_eq!(leave(&world, 5).await, Status::Done);
    assert_eq!(world.release("idp/3").await.state, State::Done);
}

#[tokio::test]
async fn window_contains_the_departures_of_the_whole_time_before_and_after() {
    for (minutes, status) in [(59, Status::Held), (71, Status::Done)] {
        let world = World::with(TWO).await;
        world.go(9 * MINUTE);
        assert_eq!((leave(&world, 1).await, leave(&world, 2).await), (Status::Done, Status::Done));
        world.go(minutes * MINUTE);
        assert_eq!(leave(&world, 3).await, status, "{minutes}");
    }
}

#[tokio::test]
async fn duplicates_and_one_persons_many_events_count_once() {
    let world = World::with(TWO).await;
    let at = at(-1);
    for _ in 0..5 {
        assert_eq!(world.leave_at("idp", "1", by_email(&address(1)), at).await.status, Status::Done);
    }
    for n in 10..15 {
        assert_eq!(world.leave("idp", &n.to_string(), by_email(&address(1))).await.status, Status::Done);
    }
    assert_eq!((leave(&world, 2).await, leave(&world, 3).await), (Status::Done, Status::Held));
}

#[tokio::test]
async fn batch_over_the_limit_is_held_as_a_whole_and_costs_one_write_of_the_count() {
    let world = World::with("max_departures = { count = 100, per = \"1h\" }").await;
    for (first, count, status) in [(0, 100, Status::Done), (100, 10, Status::Held)] {
        let one = |n: u32| departure("idp", &n.to_string(), by_email(&address(n)), at(-1));
        let departures = (first..first + count).map(one).collect();
        let reports = world.deliver("idp", &DeliveryEvents { departures, ..DeliveryEvents::default() }).await.unwrap();
        for id in reports.iter().filter(|report| report.status == Status::Pending).map(|report| &report.id) {
            world.advance(id).await;
        }
        let mut states = Vec::new();
        for report in &reports {
            states.push(world.flow.report(&world.record(&report.id).await, false).status);
        }
        assert!(states.iter().all(|state| *state == status), "{first}: {states:?}");
    }
}

#[tokio::test]
async fn departure_that_was_let_through_is_not_stopped_by_later_ones() {
    let world = World::with(TWO).await;
    world.vendors.have(&["p1@example.com"]);
    world.vendors.fail_for("p1@example.com", None);
    assert_eq!(leave(&world, 1).await, Status::Pending);
    for n in 2..6 {
        leave(&world, n).await;
    }
    world.vendors.work_again();
    world.go(HOUR);
    assert_eq!((world.advance("idp/1").await.state, world.vendors.left()), (State::Done, vec![]));
}

#[tokio::test]
async fn source_that_settles_holds_a_mass_change_from_its_first_departure_on() {
    let world = World::with(&format!("settle = \"2m\"\n{TWO}")).await;
    let leave = async |n: u32| world.leave("hr", &n.to_string(), by_email(&address(n))).await;
    for n in 1..4 {
        let report = leave(n).await;
        let first = if n == 3 { vec![Veto::TooManyDepartures, Veto::Settling] } else { vec![Veto::Settling] };
        assert_eq!(report.reasons, first, "{n}");
    }
    world.go(2 * MINUTE);
    for n in 1..4 {
        let record = world.advance(&format!("hr/{n}")).await;
        assert_eq!((record.state, vetoes(&record)), (State::Held, vec![Veto::TooManyDepartures]), "{n}");
    }
    // Alone, it is removed once it has settled.
    world.go(10 * HOUR);
    let report = leave(9).await;
    let due = world.record("hr/9").await.due_at.unwrap() - world.clock.now().unix_timestamp();
    assert_eq!((report.status, report.reasons, due), (Status::Pending, vec![Veto::Settling], 120));
    world.go(2 * MINUTE);
    assert_eq!(world.advance("hr/9").await.state, State::Done);
}

#[tokio::test]
async fn people_who_share_a_second_address_count_as_so_many() {
    let world = World::with(TWO).await;
    let mut statuses = Vec::new();
    for n in 1..=4 {
        let mut person = by_email(&address(n));
        person.other_emails.extend(crate::flow::world::by_email("team@example.com").email);
        statuses.push(world.leave("idp", &n.to_string(), person).await.status);
    }
    assert_eq!(statuses, [Status::Done, Status::Done, Status::Held, Status::Held]);
}

#[tokio::test]
async fn person_whom_sources_name_by_different_ids_counts_once() {
    let world = World::with(TWO).await;
    world.leave("idp", "a", by_email(&address(1))).await;
    world.leave("idp", "b", named("u1", &address(1))).await;
    world.leave("hr", "c", named("h1", &address(1))).await;
    assert_eq!((leave(&world, 2).await, leave(&world, 3).await), (Status::Done, Status::Held));
}

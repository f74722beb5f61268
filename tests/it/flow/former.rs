//! Rule 6: addresses that their source replaced, and addresses that are learned late.

use offboard::{
    departure::IdentityFact,
    judgement::Veto,
    ledger::State,
    operator::Decision,
    outcome::{Outcome, Status},
};

use crate::flow::world::{
    HOUR, MINUTE, World, active, at, by_email, id, known, named, numbered, outcomes, recorded, vetoes,
};

const SMITH: &str = "ann.smith@example.com";
const JONES: &str = "ann.jones@example.com";

/// A world in which `u1` was Smith, and is Jones now; both have accounts.
async fn renamed() -> World {
    let world = World::new().await;
    world.vendors.have(&[SMITH, JONES]);
    world.say("idp", [active(named("u1", SMITH), -60), known(named("u1", JONES), -30)]).await;
    world
}

#[tokio::test]
async fn account_under_a_former_address_is_removed_only_after_a_release_that_showed_it() {
    let world = renamed().await;
    let report = world.leave("idp", "1", id("u1")).await;
    // The product without a look-up is not tried with a former address.
    let expected = vec![(Outcome::Ambiguous, Some("former_address")), (Outcome::Deleted, None)];
    assert_eq!((report.status, outcomes(&report)), (Status::NeedsAttention, expected));
    assert_eq!(world.vendors.left(), [format!("access {SMITH}"), format!("instaply {SMITH}")]);
    let accounts: Vec<_> = report.providers[0]
        .accounts
        .iter()
        .map(|one| (one.scope.as_deref().unwrap_or_default(), one.outcome))
        .collect();
    assert_eq!(accounts, [("a…@example.com", Outcome::Deleted), ("a…@example.com (2)", Outcome::Ambiguous)]);

    let record = world.release("idp/1").await;
    assert_eq!((record.state, world.vendors.left()), (State::Done, vec![format!("instaply {SMITH}")]));
    let entry = &record.providers["access"].found;
    let ids: Vec<_> = entry.accounts.iter().filter_map(|one| one.account_id.as_deref()).collect();
    assert_eq!((entry.worst.outcome, ids), (Outcome::Deleted, vec!["ann.jones-example.com", "ann.smith-example.com"]));
}

#[tokio::test]
async fn account_that_appears_under_a_former_address_after_the_release_is_left() {
    let world = World::new().await;
    world.vendors.have(&[JONES]);
    world.say("idp", [active(named("u1", SMITH), -60), known(named("u1", JONES), -30)]).await;
    world.vendors.fail_for(JONES, None);
    world.leave("idp", "1", id("u1")).await;
    world.vendors.have(&[SMITH]);
    world.vendors.work_again();
    world.go(HOUR);
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, recorded(&record)["access"].1), (State::NeedsAttention, Some("former_address")));
    assert_eq!(world.vendors.left(), [format!("access {SMITH}"), format!("instaply {SMITH}")]);
}

#[tokio::test]
async fn former_address_that_the_event_itself_names_is_former() {
    let world = renamed().await;
    let report = world.leave("idp", "1", named("u1", SMITH)).await;
    assert_eq!(outcomes(&report)[0], (Outcome::Ambiguous, Some("former_address")));
    assert_eq!(world.vendors.left(), [format!("access {SMITH}"), format!("instaply {SMITH}")]);
}

#[tokio::test]
async fn address_of_the_event_that_the_map_does_not_know_makes_the_known_ones_former() {
    let world = World::new().await;
    world.vendors.have(&[SMITH, JONES]);
    world.say("idp", [active(named("u1", SMITH), -60)]).await;
    let report = world.leave("idp", "1", named("u1", JONES)).await;
    assert_eq!(outcomes(&report)[0], (Outcome::Ambiguous, Some("former_address")));
    assert_eq!(world.vendors.left(), [format!("access {SMITH}"), format!("instaply {SMITH}")]);
}

/// The departure is older than the word by which the source replaced the address.
#[tokio::test]
async fn product_without_look_up_is_not_called_if_only_former_addresses_are_known() {
    let world = renamed().await;
    world.leave_at("idp", "1", id("u1"), at(-40)).await;
    let record = world.record("idp/1").await;
    assert_eq!(recorded(&record)["access"], (Outcome::Ambiguous, Some("former_address")));
    assert_eq!(recorded(&record)["instaply"], (Outcome::Unidentified, Some("former_address_only")));
    assert_eq!((record.state, world.vendors.left().len()), (State::NeedsAttention, 4));
}

#[tokio::test]
async fn former_address_of_somebody_active_is_left_whatever_is_released() {
    for source in ["idp", "hr", "mail"] {
        let world = renamed().await;
        let holder = if source == "mail" { by_email(SMITH) } else { named("u2", SMITH) };
        world.say(source, [known(holder, -20)]).await;
        let report = world.leave("idp", "1", id("u1")).await;
        let expected = (Outcome::Ambiguous, Some("former_address_in_use"));
        assert_eq!(outcomes(&report), [expected, (Outcome::Deleted, None)], "{source}");
        // Nothing is shown that could be released.
        let refused = world.decide("idp/1", offboard::operator::Decision::Release(world.show("idp/1").await)).await;
        assert_eq!(refused.unwrap_err(), offboard::operator::Refused::NothingToRelease, "{source}");
        assert_eq!(world.vendors.left(), [format!("access {SMITH}"), format!("instaply {SMITH}")], "{source}");
    }
}

#[tokio::test]
async fn former_address_that_passes_on_after_its_release_is_left() {
    let world = renamed().await;
    world.leave("idp", "1", id("u1")).await;
    let shown = world.show("idp/1").await;
    world.decide("idp/1", offboard::operator::Decision::Release(shown)).await.unwrap();
    world.say("hr", [active(named("h2", SMITH), 0)]).await;
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, recorded(&record)["access"].1), (State::NeedsAttention, Some("former_address_in_use")));
    assert_eq!(world.vendors.left(), [format!("access {SMITH}"), format!("instaply {SMITH}")]);
}

#[tokio::test]
async fn colleague_who_has_the_current_address_as_well_holds_the_departure() {
    let world = World::new().await;
    world.vendors.have(&[SMITH]);
    world.say("idp", [known(named("u1", SMITH), -60), known(named("u2", SMITH), -50)]).await;
    for (event, person) in [("1", id("u1")), ("2", named("u1", SMITH)), ("3", named("u3", SMITH))] {
        let report = world.leave("idp", event, person).await;
        assert_eq!((report.status, report.reasons), (Status::Pending, vec![Veto::ActiveElsewhere]), "{event}");
    }
    assert_eq!((world.vendors.asked(), world.vendors.left().len()), (vec![], 2));
}

#[tokio::test]
async fn address_that_passes_on_while_work_is_left_is_not_tried_again() {
    let world = World::new().await;
    world.vendors.have(&[SMITH]);
    world.say("idp", [known(named("u1", SMITH), -60)]).await;
    world.vendors.fail_for(SMITH, None);
    assert_eq!(world.leave("idp", "1", id("u1")).await.status, Status::Pending);
    world.vendors.work_again();
    world.say("idp", [active(named("u2", SMITH), 1)]).await;
    world.go(HOUR);
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, vetoes(&record)), (State::Held, vec![Veto::PersonReturned]));
    assert_eq!(world.vendors.left().len(), 2);
}

// ---- Addresses that are learned late ----

#[tokio::test]
async fn address_learned_late_reopens_a_departure_if_it_was_said_before() {
    for (said, expected) in [(-60, true), (-1, true), (30, false)] {
        let world = World::new().await;
        world.vendors.have(&[SMITH]);
        assert_eq!(world.leave("idp", "1", id("u1")).await.status, Status::NeedsAttention);
        world.say("idp", [known(named("u1", SMITH), said)]).await;
        assert_eq!(world.tick_and_follow().await.len(), usize::from(expected), "{said}");
        let record = world.record("idp/1").await;
        let state = if expected { State::Done } else { State::NeedsAttention };
        assert_eq!((record.state, world.vendors.left().is_empty()), (state, expected), "{said}");
    }
}

#[tokio::test]
async fn finished_departure_is_reopened_for_an_address_that_was_said_before_it_and_keeps_its_results() {
    let world = World::new().await;
    world.vendors.have(&[SMITH, JONES]);
    world.say("idp", [active(named("u1", JONES), -30)]).await;
    assert_eq!(world.leave("idp", "1", id("u1")).await.status, Status::Done);
    let mut both = known(named("u1", JONES), -20);
    both.person.other_emails = vec![crate::flow::world::email(SMITH)];
    world.go(24 * HOUR);
    world.say("idp", [both]).await;
    let record = world.record("idp/1").await;
    assert_eq!(record.expires_at, None, "nothing open expires");
    assert_eq!(record.due_at, Some(world.clock.now().unix_timestamp()), "it is not overdue since its reception");
    assert_eq!(world.tick_and_follow().await, ["idp/1"]);
    let record = world.record("idp/1").await;
    assert_eq!((record.state, world.vendors.left()), (State::Done, vec![]));
    let entry = &record.providers["access"].found;
    let ids: Vec<_> = entry.accounts.iter().filter_map(|one| one.account_id.as_deref()).collect();
    assert_eq!((entry.worst.outcome, ids.len()), (Outcome::Deleted, 2), "{entry:?}");
}

#[tokio::test]
async fn address_of_the_event_of_which_the_map_hears_only_afterwards_is_current() {
    let world = World::with("settle = \"2m\"").await;
    world.vendors.have(&[SMITH, JONES]);
    world.say("hr", [active(named("u1", SMITH), -60)]).await;
    world.say("mail", [active(by_email(JONES), -30)]).await;
    world.leave("hr", "1", named("u1", JONES)).await;
    world.say("hr", [offboard::departure::IdentityFact { at: None, ..known(named("u1", JONES), 0) }]).await;
    world.go(2 * MINUTE);
    let record = world.advance("hr/1").await;
    assert_eq!(vetoes(&record), [Veto::ActiveElsewhere]);
    assert_eq!(world.vendors.removals(), 0);
}

#[tokio::test]
async fn external_id_of_the_event_of_which_the_map_hears_only_afterwards_is_the_leavers() {
    let world = World::with("settle = \"2m\"").await;
    world.vendors.have(&[SMITH]);
    world.say("hr", [active(named("u1", SMITH), -60), active(numbered("7", id("u2")), -30)]).await;
    world.leave("hr", "1", numbered("7", named("u1", SMITH))).await;
    let fact = known(numbered("7", named("u1", SMITH)), 0);
    world.say("hr", [offboard::departure::IdentityFact { at: None, ..fact }]).await;
    world.go(2 * MINUTE);
    assert_eq!(vetoes(&world.advance("hr/1").await), [Veto::ActiveElsewhere]);
    assert_eq!(world.vendors.removals(), 0);
}

/// Mail of somebody who left is led to an address that they had long ago: it may be a shared mailbox, or somebody else's, by now.
#[tokio::test]
async fn former_address_that_the_source_says_again_after_the_departure_stays_former() {
    for replays in [false, true] {
        let world = renamed().await;
        world.pause(!replays).await;
        world.leave("idp", "1", named("u1", JONES)).await;
        world.say("idp", [known(named("u1", SMITH), 10)]).await;
        if replays {
            world.decide("idp/1", Decision::Replay).await.unwrap();
        }
        world.pause(false).await;
        world.go(HOUR);
        let record = world.advance("idp/1").await;
        assert_eq!(recorded(&record)["access"], (Outcome::Ambiguous, Some("former_address")), "{replays}");
        // What the source replaced before the removal is former as well.
        assert_eq!(world.vendors.left().len(), if replays { 2 } else { 4 }, "{replays}");
        assert!(world.vendors.left().contains(&format!("access {SMITH}")), "{replays}");
    }
}

#[tokio::test]
async fn address_that_was_taken_back_before_the_departure_is_current() {
    let world = renamed().await;
    world.say("idp", [known(named("u1", SMITH), -10)]).await;
    world.leave("idp", "1", id("u1")).await;
    assert_eq!(world.vendors.left(), [format!("access {JONES}"), format!("instaply {JONES}")]);
}

#[tokio::test]
async fn address_that_a_person_imports_for_a_leaver_without_one_is_theirs_once_the_departure_is_replayed() {
    let world = World::new().await;
    world.vendors.have(&[SMITH]);
    let report = world.leave("idp", "1", id("u1")).await;
    assert_eq!(outcomes(&report)[0].0, Outcome::Unidentified);
    world.go(HOUR);
    let imported = IdentityFact { at: None, ..known(named("u1", SMITH), 0) };
    world.ledger.import_facts("idp", &[imported], world.clock.now()).await.unwrap();
    world.tick_and_follow().await;
    assert_eq!((world.record("idp/1").await.state, world.vendors.left().len()), (State::NeedsAttention, 2));
    world.decide("idp/1", Decision::Replay).await.unwrap();
    assert_eq!((world.advance("idp/1").await.state, world.vendors.left()), (State::Done, vec![]));
}

#[tokio::test]
async fn address_that_a_source_says_after_the_departure_of_somebody_without_one_needs_a_release() {
    let world = World::new().await;
    world.vendors.have(&[SMITH]);
    world.leave("idp", "1", id("u1")).await;
    world.say("idp", [known(named("u1", SMITH), 60)]).await;
    world.go(2 * HOUR);
    world.decide("idp/1", Decision::Replay).await.unwrap();
    assert_eq!(recorded(&world.advance("idp/1").await)["access"], (Outcome::Ambiguous, Some("new_address")));
    assert_eq!(world.vendors.left().len(), 2);
}

//! Rules 9 to 11: what is held, when it is judged again, and what a person's decision does.

use offboard::{
    judgement::Veto,
    ledger::{NEVER, OperatorAction, State},
    operator::{Decision, Refused, Shown},
    outcome::{Outcome, Proof, Status},
};

use crate::flow::world::{
    DAY, HOUR, MINUTE, World, active, at, by_email, departure, id, known, named, outcomes, recorded, stands, vetoes,
};

const ANN: &str = "ann@example.com";
const DRY: &str = "mode = \"dry_run\"";
const PROTECTED: &str = "protected = [\"ann@example.com\"]";

/// A world with a departure that is too old, held.
async fn with_old_departure() -> World {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    let report = world.leave_at("idp", "1", by_email(ANN), at(-60 * 24 * 20)).await;
    assert_eq!((report.status, report.reasons), (Status::Held, vec![Veto::EventTooOld]));
    world
}

// ---- No release overrides these ----

#[tokio::test]
async fn released_old_departure_of_a_protected_person_needs_attention() {
    for released_first in [false, true] {
        let mut world = with_old_departure().await;
        let shown = world.show("idp/1").await;
        if !released_first {
            world.deploy(PROTECTED);
            let refused = world.decide("idp/1", Decision::Release(world.show("idp/1").await)).await.unwrap_err();
            assert_eq!(refused, Refused::NotReleasable(vec![Veto::Protected]));
        }
        // Shown before the person was on the list.
        world.decide("idp/1", Decision::Release(shown)).await.unwrap();
        world.deploy(PROTECTED);
        let record = world.advance("idp/1").await;
        assert_eq!((record.state, vetoes(&record)), (State::NeedsAttention, vec![Veto::Protected]));
        assert_eq!((world.vendors.asked(), world.vendors.left().len()), (vec![], 2));
    }
}

#[tokio::test]
async fn person_who_becomes_protected_while_the_departure_is_pending_is_not_removed() {
    let mut world = World::new().await;
    world.vendors.have(&[ANN]);
    world.vendors.fail_for(ANN, None);
    assert_eq!(world.leave("idp", "1", by_email(ANN)).await.status, Status::Pending);
    world.vendors.work_again();
    world.deploy(PROTECTED);
    world.go(HOUR);
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, record.due_at), (State::NeedsAttention, Some(NEVER)));
    assert_eq!(world.vendors.left().len(), 2);
}

#[tokio::test]
async fn every_address_of_the_person_protects_it_also_a_former_one() {
    let world = World::with(PROTECTED).await;
    world.vendors.have(&[ANN, "jones@example.com"]);
    world.say("idp", [active(named("u1", ANN), -60), known(named("u1", "jones@example.com"), -30)]).await;
    let report = world.leave("idp", "1", id("u1")).await;
    assert_eq!(
        (report.status, outcomes(&report)),
        (Status::NeedsAttention, vec![(Outcome::Protected, Some("protected")); 2])
    );
    assert_eq!(world.vendors.left().len(), 4);
}

#[tokio::test]
async fn release_does_not_outlast_a_dry_run() {
    let mut world = with_old_departure().await;
    let shown = world.show("idp/1").await;
    world.decide("idp/1", Decision::Release(shown)).await.unwrap();
    world.deploy(DRY);
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, recorded(&record)["access"].0), (State::Held, Outcome::Planned));
    // In a dry run a release is refused, and nothing of it is stored.
    let refused = world.decide("idp/1", Decision::Release(world.show("idp/1").await)).await.unwrap_err();
    assert!(matches!(&refused, Refused::NotReleasable(vetoes) if vetoes.contains(&Veto::DryRun)), "{refused:?}");
    world.deploy("");
    world.go(DAY);
    assert_eq!(world.tick().await, [""; 0]);
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, vetoes(&record)), (State::Held, vec![Veto::DryRun, Veto::EventTooOld]));
    assert_eq!(world.vendors.left().len(), 2);
    assert_eq!(world.release("idp/1").await.state, State::Done);
}

#[tokio::test]
async fn departure_of_a_dry_run_is_removed_after_going_live_and_a_release() {
    let mut world = World::with(DRY).await;
    world.vendors.have(&[ANN]);
    world.leave("idp", "1", by_email(ANN)).await;
    world.deploy("");
    assert_eq!(world.release("idp/1").await.state, State::Done);
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn pause_holds_everything_and_resume_lets_it_go_on_by_itself() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.pause(true).await;
    let report = world.leave("idp", "1", by_email(ANN)).await;
    assert_eq!((report.status, report.reasons), (Status::Held, vec![Veto::Paused]));
    let refused = world.decide("idp/1", Decision::Release(world.show("idp/1").await)).await.unwrap_err();
    assert_eq!(refused, Refused::NotReleasable(vec![Veto::Paused]));
    world.go(DAY);
    assert_eq!((world.tick().await, world.vendors.asked()), (vec![], vec![]));
    world.pause(false).await;
    assert_eq!(world.tick_and_follow().await, ["idp/1"]);
    assert_eq!((world.record("idp/1").await.state, world.vendors.left()), (State::Done, vec![]));
}

// ---- Rule 9: when it is judged again ----

#[tokio::test]
async fn departure_that_waits_for_another_source_is_judged_every_five_minutes_then_hourly() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.say("hr", [active(named("h1", ANN), -60)]).await;
    world.pause(true).await;
    world.leave("idp", "1", named("u1", ANN)).await;
    let both = vec![Veto::Paused, Veto::ActiveElsewhere];
    assert_eq!(stands(&world, &world.record("idp/1").await), (State::Held, both.clone(), Some(3600)));
    world.go(2 * HOUR);
    assert_eq!(stands(&world, &world.advance("idp/1").await), (State::Held, both, Some(3600)));
    // The overlap counts from the first judgement at which nothing else stands.
    world.pause(false).await;
    let elsewhere = vec![Veto::ActiveElsewhere];
    for (minutes, state, due) in [(0, State::Pending, 300), (57, State::Pending, 180), (3, State::Held, 3600)] {
        world.go(minutes * MINUTE);
        assert_eq!(stands(&world, &world.advance("idp/1").await), (state, elsewhere.clone(), Some(due)), "{minutes}");
    }
    // The other source's departure resolves it.
    assert_eq!(world.leave("hr", "1", id("h1")).await.status, Status::Done);
    world.go(HOUR);
    assert_eq!(world.tick_and_follow().await, ["idp/1"]);
    assert_eq!(world.record("idp/1").await.state, State::Done);
}

#[tokio::test]
async fn veto_that_cannot_lapse_is_not_judged_again() {
    let world = with_old_departure().await;
    assert_eq!(world.record("idp/1").await.due_at, Some(NEVER));
    world.go(30 * DAY);
    assert_eq!(world.tick().await, [""; 0]);
}

// ---- Rule 10: a release overrides what was shown ----

#[tokio::test]
async fn release_does_not_override_a_newer_fact() {
    for shown_again in [false, true] {
        let world = with_old_departure().await;
        let mut shown = world.show("idp/1").await;
        world.say("idp", [active(by_email(ANN), -5)]).await;
        if shown_again {
            shown = world.show("idp/1").await;
            let standing: Vec<_> = shown.standing.iter().map(|standing| standing.veto).collect();
            assert_eq!(standing, [Veto::EventTooOld, Veto::PersonReturned]);
        }
        world.decide("idp/1", Decision::Release(shown)).await.unwrap();
        // The release of one return does not cover another.
        if shown_again {
            world.say("idp", [active(by_email(ANN), -1)]).await;
        }
        let record = world.advance("idp/1").await;
        assert_eq!((record.state, vetoes(&record)), (State::Held, vec![Veto::PersonReturned]), "{shown_again}");
        assert_eq!((world.vendors.asked(), world.vendors.left().len()), (vec![], 2));
    }
}

#[tokio::test]
async fn release_of_one_veto_leaves_the_others() {
    let world = with_old_departure().await;
    world.say("idp", [active(by_email(ANN), -5)]).await;
    let shown = Shown { only: Some(vec![Veto::EventTooOld]), ..world.show("idp/1").await };
    world.decide("idp/1", Decision::Release(shown)).await.unwrap();
    let record = world.advance("idp/1").await;
    assert_eq!(vetoes(&record), [Veto::PersonReturned]);
    let action = record.history.last().unwrap();
    assert_eq!((action.what.as_str(), action.reasons.as_slice()), ("release", [Veto::EventTooOld].as_slice()));
    assert_eq!(world.release("idp/1").await.state, State::Done);
}

#[tokio::test]
async fn release_while_the_queue_is_down_is_found_by_the_tick_and_can_be_repeated() {
    let world = with_old_departure().await;
    world.sqs.set_down(true);
    for _ in 0..2 {
        let shown = world.show("idp/1").await;
        let decided = world.decide("idp/1", Decision::Release(shown)).await;
        assert!(
            decided.is_ok_and(|record| record.state == State::Pending) || world.show("idp/1").await.standing.is_empty()
        );
    }
    world.sqs.set_down(false);
    assert_eq!(world.tick_and_follow().await, ["idp/1"]);
    assert_eq!((world.record("idp/1").await.state, world.vendors.left()), (State::Done, vec![]));
}

#[tokio::test]
async fn dismissed_departure_ends_and_keeps_nobody_waiting() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.say("idp", [known(named("u1", ANN), -60), known(named("u2", ANN), -60)]).await;
    world.leave("idp", "1", id("u1")).await;
    let record = world.decide("idp/1", Decision::Dismiss).await.unwrap();
    assert_eq!((record.state, record.due_at, record.person.is_masked()), (State::Dismissed, None, true));
    assert!(record.expires_at.is_some());
    let refused = world.decide("idp/1", Decision::Dismiss).await.unwrap_err();
    assert_eq!(refused, Refused::State(State::Dismissed));
    assert_eq!(world.leave("idp", "2", id("u2")).await.reasons, [Veto::ActiveElsewhere]);
}

#[tokio::test]
async fn replay_keeps_the_last_outcome_until_there_is_a_new_one() {
    let world = World::new().await;
    world.say("idp", [known(named("u1", ANN), -60)]).await;
    world.leave("idp", "1", id("nobody")).await;
    let record = world.decide("idp/1", Decision::Replay).await.unwrap();
    let unidentified = (Outcome::Unidentified, Some("no_identity"));
    assert_eq!((record.state, recorded(&record)["access"]), (State::Pending, unidentified));
    assert_eq!(outcomes(&world.flow.report(&record, false)), [unidentified; 2]);
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, record.providers["access"].runs), (State::NeedsAttention, 2));
}

// ---- Rule 11: operators, leases and conflicts ----

#[tokio::test]
async fn decision_while_a_worker_has_the_departure_is_refused() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    let (ledger, clock) = (world.ledger.clone(), world.clock.clone());
    let (decided, refused) = tokio::sync::oneshot::channel();
    world.vendors.at_look_up(async move {
        let dismissed = ledger.decide("idp/1", &Decision::Dismiss, "op", DAY, clock.now()).await;
        decided.send(dismissed.map(|record| record.state)).unwrap();
    });
    assert_eq!(world.leave("idp", "1", by_email(ANN)).await.status, Status::Done);
    let refused = refused.await.unwrap();
    assert!(matches!(refused, Err(Refused::Busy(until)) if until > world.clock.now()), "{refused:?}");
}

#[tokio::test]
async fn close_that_meets_a_conflict_keeps_both_changes() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    let (ledger, clock) = (world.ledger.clone(), world.clock.clone());
    world.vendors.at_look_up(async move {
        let mut record = ledger.get("idp/1").await.unwrap().unwrap();
        while record.intent.is_empty() {
            tokio::task::yield_now().await;
            record = ledger.get("idp/1").await.unwrap().unwrap();
        }
        let (who, what) = ("op".to_owned(), "confirm".to_owned());
        record.note(OperatorAction { at: clock.now(), who, what, reasons: Vec::new(), provider: None, note: None });
        assert!(ledger.save(&mut record).await.unwrap());
    });
    world.leave("idp", "1", by_email(ANN)).await;
    let record = world.record("idp/1").await;
    assert_eq!((record.history.len(), record.state, record.lease.is_none()), (1, State::Done, true));
    assert_eq!(recorded(&record)["access"], (Outcome::Deleted, None));
}

#[tokio::test]
async fn held_departure_whose_removal_may_have_begun_is_looked_up_and_nothing_more_is_removed() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.vendors.lose_answers(true);
    let report = world.leave("idp", "1", by_email(ANN)).await;
    assert_eq!((report.status, outcomes(&report)[0].0), (Status::Pending, Outcome::Unavailable));
    assert_eq!(world.vendors.left(), [""; 0]);
    world.vendors.lose_answers(false);
    // The person is back, and has a new account at one of them.
    world.say("idp", [active(by_email(ANN), 10)]).await;
    world.go(HOUR);
    world.vendors.asked();
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, vetoes(&record)), (State::Held, vec![Veto::PersonReturned]));
    let access = &record.providers["access"].found.worst;
    assert_eq!((access.outcome, access.proof), (Outcome::Deleted, Some(Proof::FoundAbsentAfterRemoval)));
    assert_eq!(recorded(&record)["instaply"], (Outcome::NotAttempted, Some("held")));
    assert_eq!(world.vendors.asked(), [ANN]);
}

/// An event whose id is known with another person, or another time, is another departure.
#[tokio::test]
async fn event_id_that_is_used_again_is_recorded_apart_and_held() {
    for (person, minutes) in [("bob@example.com", -10), (ANN, -5)] {
        let world = World::new().await;
        world.vendors.have(&[ANN, "bob@example.com"]);
        let first = world.leave_at("idp", "1", by_email(ANN), at(-10)).await;
        world.vendors.have(&[ANN]);
        let report = world.leave_at("idp", "1", by_email(person), at(minutes)).await;
        assert_eq!(
            (report.status, &report.reasons[..], report.duplicate),
            (Status::Held, &[Veto::EventIdReused][..], false)
        );
        assert!(report.id != first.id && report.id.starts_with("idp/1~"), "{}", report.id);
        assert_eq!(outcomes(&report), [(Outcome::NotAttempted, Some("event_id_reused")); 2]);
        assert_eq!(world.vendors.left().len(), 4);
        // Its own repetition is a duplicate, and a person may release it.
        let again = world.leave_at("idp", "1", by_email(person), at(minutes)).await;
        assert_eq!((again.id.as_str(), again.duplicate), (report.id.as_str(), true));
        assert_eq!(world.release(&report.id).await.state, State::Done);
        assert_eq!(departure("idp", "1", by_email(ANN), at(-10)).id, first.id);
    }
}

//! What becomes of a departure when the process dies, the store or the queue is down, or a product does not answer.

use offboard::{
    departure::DeliveryEvents,
    flow::NotRecorded,
    judgement::Veto,
    ledger::{LedgerError, NEVER, State},
    operator::Decision,
    outcome::{Outcome, Proof, Status},
    report::DepartureReport,
};

use crate::{
    flow::store::Fault,
    flow::world::{DAY, HOUR, MINUTE, World, active, at, by_email, departure, id, known, named, outcomes, vetoes},
};

const ANN: &str = "ann@example.com";

/// Delivers, until it is answered or the process dies.
pub async fn deliver_or_die(
    world: &World,
    delivery: &DeliveryEvents,
) -> Option<Result<Vec<DepartureReport>, NotRecorded>> {
    tokio::select! {
        answered = world.deliver("idp", delivery) => Some(answered),
        () = world.store.died.notified() => None,
    }
}

// ---- Deaths and lost answers ----

/// An earlier departure may be worked on before the delivery comes again.
#[tokio::test]
async fn return_is_known_although_another_departure_of_its_delivery_could_not_be_recorded_or_counted() {
    for n in [1, 2] {
        let world = World::with("max_departures = { count = 10, per = \"1h\" }").await;
        world.vendors.have(&[ANN]);
        world.store.fault_at(n, Fault::Fails);
        let other = departure("idp", "1", named("u2", "bob@example.com"), at(-1));
        let facts = vec![active(named("u1", ANN), -60)];
        let delivery = DeliveryEvents { departures: vec![other], facts, ..DeliveryEvents::default() };
        assert!(matches!(world.deliver("idp", &delivery).await, Err(NotRecorded::Ledger(_))), "{n}");
        let departures = vec![departure("idp", "2", named("u1", ANN), at(-120))];
        let earlier = DeliveryEvents { departures, ..DeliveryEvents::default() };
        world.deliver("idp", &earlier).await.unwrap();
        let record = world.record("idp/2").await;
        assert_eq!((record.state, vetoes(&record)), (State::Held, vec![Veto::PersonReturned]), "{n}");
        assert!(world.vendors.left().contains(&format!("access {ANN}")), "{n}");
    }
}

/// A sender that gives up after its first attempt is enough, once the departure is recorded.
#[tokio::test]
async fn departure_survives_a_failure_at_every_store_call() {
    for (fault, has_facts) in [Fault::Fails, Fault::LosesAnswer, Fault::Dies, Fault::DiesAfterwards]
        .into_iter()
        .flat_map(|fault| [(fault, false), (fault, true)])
    {
        for n in 1.. {
            let world = World::new().await;
            world.vendors.have(&[ANN, "joann@example.com"]);
            let facts = vec![known(named("u1", ANN), -60)];
            let delivery = DeliveryEvents {
                departures: vec![departure("idp", "1", id("u1"), at(-1))],
                ..DeliveryEvents::default()
            };
            let delivery = if has_facts {
                DeliveryEvents { facts, ..delivery }
            } else {
                world.say("idp", facts).await;
                delivery
            };
            world.store.fault_at(n, fault);
            let answered = deliver_or_die(&world, &delivery).await;
            let is_over = world.store.calls() < n;
            let case = format!("{fault:?} at {n}, facts: {has_facts}");
            if answered.as_ref().is_none_or(Result::is_err) {
                let is_recorded = world.ledger.get("idp/1").await.unwrap().is_some();
                if has_facts || !is_recorded {
                    world.go(MINUTE);
                    world.deliver("idp", &delivery).await.unwrap();
                }
            }
            for _ in 0..4 {
                world.go(5 * MINUTE);
                world.tick_and_follow().await;
            }
            let record = world.record("idp/1").await;
            assert_eq!((record.state, vetoes(&record)), (State::Done, vec![]), "{case}");
            assert_eq!(world.vendors.left(), ["access joann@example.com", "instaply joann@example.com"], "{case}");
            assert!(record.providers.values().all(|one| one.found.worst.outcome == Outcome::Deleted), "{case}");
            if is_over {
                break;
            }
        }
    }
}

#[tokio::test]
async fn departure_is_not_advanced_before_all_facts_of_its_delivery_are_stored() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    let departures = vec![departure("idp", "1", by_email(ANN), at(-10))];
    let facts = vec![active(named("u1", ANN), -5), active(named("u2", "bob@example.com"), -5)];
    let delivery = DeliveryEvents { departures, facts, ..DeliveryEvents::default() };
    // The record, the count, the read of the identities: then the facts.
    world.store.fault_at(4, Fault::Fails);
    let refused = world.deliver("idp", &delivery).await.unwrap_err();
    assert_eq!(refused, NotRecorded::Ledger(LedgerError::Unavailable("InternalServerError".to_owned())));
    assert!(world.advance("idp/1").await.vetoes.is_none(), "it was judged on half of the facts");
    // The departure alone, delivered again, does not bring the facts.
    let alone = world.leave_at("idp", "1", by_email(ANN), at(-10)).await;
    assert_eq!((alone.status, alone.duplicate, alone.reasons), (Status::Pending, true, vec![]));
    assert_eq!(world.vendors.asked(), [""; 0]);
    let report = world.deliver("idp", &delivery).await.unwrap().remove(0);
    assert_eq!((report.status, report.duplicate, report.reasons), (Status::Held, true, vec![Veto::PersonReturned]));
    assert_eq!(world.vendors.left().len(), 2);
}

#[tokio::test]
async fn nobody_is_removed_if_the_intent_cannot_be_noted() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    // The record, the count, the facts: then the intent.
    world.store.fault_at(4, Fault::Fails);
    let report = world.leave("idp", "1", by_email(ANN)).await;
    let expected = vec![(Outcome::NotAttempted, Some("not_recorded")); 2];
    assert_eq!((report.status, outcomes(&report), world.vendors.left().len()), (Status::Pending, expected, 2));
}

#[tokio::test]
async fn removal_whose_answer_was_lost_is_deleted_and_not_already_absent() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.vendors.lose_answers(true);
    let report = world.leave("idp", "1", by_email(ANN)).await;
    assert_eq!((report.status, world.vendors.left()), (Status::Pending, vec![]));
    world.vendors.lose_answers(false);
    world.go(HOUR);
    let record = world.advance("idp/1").await;
    for provider in ["access", "instaply"] {
        let finding = &record.providers[provider].found.worst;
        let expected = (Outcome::Deleted, Some(Proof::FoundAbsentAfterRemoval));
        assert_eq!((finding.outcome, finding.proof), expected, "{provider}");
    }
    let detail = record.providers["access"].found.worst.detail.as_deref().unwrap_or_default();
    assert!(detail.contains("announced"), "it may not have begun there: {detail}");
    // Of somebody who never was there, that is not said.
    world.leave("idp", "2", by_email("eve@example.com")).await;
    let record = world.record("idp/2").await;
    assert_eq!(record.providers["access"].found.worst.proof, Some(Proof::FoundAbsent));
}

#[tokio::test]
async fn two_workers_at_once_work_once() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.pause(true).await;
    world.leave("idp", "1", by_email(ANN)).await;
    world.pause(false).await;
    let (one, other) = tokio::join!(world.advance("idp/1"), world.advance("idp/1"));
    assert!([one.state, other.state].contains(&State::Done));
    let record = world.record("idp/1").await;
    assert_eq!((record.attempts, record.providers["instaply"].runs, record.state), (2, 1, State::Done));
}

// ---- Outages ----

#[tokio::test]
async fn departure_that_cannot_be_recorded_is_refused_and_no_product_is_called() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.store.set_down(true);
    let leaving =
        DeliveryEvents { departures: vec![departure("idp", "1", by_email(ANN), at(-1))], ..DeliveryEvents::default() };
    let speaking = DeliveryEvents { facts: vec![known(named("u1", ANN), -60)], ..DeliveryEvents::default() };
    for delivery in [leaving, speaking] {
        let refused = world.deliver("idp", &delivery).await.unwrap_err();
        assert_eq!(refused.to_string(), "the ledger cannot be used: InternalServerError");
    }
    assert_eq!((world.vendors.asked(), world.vendors.left().len()), (vec![], 2));
}

#[tokio::test]
async fn pending_departure_outlasts_an_outage_of_the_ledger() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.vendors.fail_for(ANN, None);
    world.leave("idp", "1", by_email(ANN)).await;
    world.vendors.work_again();
    world.store.set_down(true);
    for _ in 0..41 {
        world.go(MINUTE);
        let clock = || world.clock.now();
        let deadline = tokio::time::Instant::now() + MINUTE;
        let worker = offboard::flow::Worker { name: "w", clock: &clock, deadline };
        assert!(matches!(world.flow.advance("idp/1", worker).await, Err(LedgerError::Unavailable(_))));
        let error = world.flow.tick(worker).await.unwrap_err();
        assert_eq!(error.to_string(), "the ledger cannot be used: InternalServerError");
    }
    world.store.set_down(false);
    assert_eq!(world.tick_and_follow().await, ["idp/1"]);
    assert_eq!((world.record("idp/1").await.state, world.vendors.left()), (State::Done, vec![]));
}

#[tokio::test]
async fn queue_that_is_down_loses_nothing() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.vendors.fail_for(ANN, None);
    world.sqs.set_down(true);
    assert_eq!(world.leave("idp", "1", by_email(ANN)).await.status, Status::Pending);
    world.vendors.work_again();
    world.sqs.set_down(false);
    world.go(MINUTE);
    assert_eq!(world.tick_and_follow().await, ["idp/1"]);
    assert_eq!(world.record("idp/1").await.state, State::Done);
}

#[tokio::test]
async fn without_a_queue_the_repetition_goes_on_once_the_dead_workers_lease_has_ended() {
    let world = World::without_queue().await;
    world.vendors.have(&[ANN]);
    let delivery =
        DeliveryEvents { departures: vec![departure("idp", "1", by_email(ANN), at(-1))], ..DeliveryEvents::default() };
    world.store.fault_at(3, Fault::Dies);
    assert!(deliver_or_die(&world, &delivery).await.is_none());
    let again = world.deliver("idp", &delivery).await.unwrap().remove(0);
    assert_eq!((again.status, again.duplicate), (Status::Incomplete, true));
    world.go(5 * MINUTE);
    let again = world.deliver("idp", &delivery).await.unwrap().remove(0);
    assert_eq!((again.status, world.vendors.left()), (Status::Done, vec![]));
}

#[tokio::test]
async fn delivery_is_answered_in_time_although_the_ledger_hangs_while_it_is_worked_on() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    let delivery =
        DeliveryEvents { departures: vec![departure("idp", "1", by_email(ANN), at(-1))], ..DeliveryEvents::default() };
    // The record, the count, the facts: then the intent, whose write never ends.
    world.store.fault_at(4, Fault::Dies);
    let clock = || world.clock.now();
    let began = tokio::time::Instant::now();
    let worker =
        offboard::flow::Worker { name: "w", clock: &clock, deadline: began + std::time::Duration::from_secs(1) };
    let report = world.deliver_as("idp", &delivery, worker).await.unwrap().remove(0);
    assert_eq!(
        (report.status, outcomes(&report)),
        (Status::Pending, vec![(Outcome::NotAttempted, Some("pending")); 2])
    );
    assert!(began.elapsed() < std::time::Duration::from_secs(3));
    world.go(5 * MINUTE);
    assert_eq!(world.tick_and_follow().await, ["idp/1"]);
    assert_eq!((world.record("idp/1").await.state, world.vendors.left()), (State::Done, vec![]));
}

// ---- Products that do not answer ----

#[tokio::test]
async fn what_is_left_is_tried_again_with_a_growing_pause_and_given_to_a_person_after_three_days() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.vendors.fail_for(ANN, None);
    let report = world.leave("idp", "1", by_email(ANN)).await;
    assert_eq!(
        (report.status, outcomes(&report)),
        (Status::Pending, vec![(Outcome::Unavailable, Some("http_503")); 2])
    );
    assert_eq!(world.sqs.take(), [("idp/1".to_owned(), 30)]);
    let mut pauses = Vec::new();
    let record = loop {
        let record = world.record("idp/1").await;
        if record.state != State::Pending {
            break record;
        }
        assert_eq!((record.expires_at, record.person.is_masked()), (None, false), "nothing open expires");
        let pause = record.due_at.unwrap() - world.clock.now().unix_timestamp();
        pauses.push(pause);
        world.go(std::time::Duration::from_secs(u64::try_from(pause).unwrap()));
        assert_eq!(world.tick_and_follow().await, ["idp/1"]);
    };
    assert_eq!(pauses[..4], [30, 60, 120, 240]);
    assert!(pauses.iter().all(|pause| *pause <= 6 * 3600) && pauses.iter().sum::<i64>() > 3 * 86_400, "{pauses:?}");
    assert_eq!((record.state, record.due_at, record.expires_at), (State::NeedsAttention, Some(NEVER), None));
    world.vendors.work_again();
    world.decide("idp/1", Decision::Replay).await.unwrap();
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, record.person.is_masked()), (State::Done, true));
    let retention = record.expires_at.unwrap() - world.clock.now().unix_timestamp();
    assert_eq!(retention, 400 * 86_400);
}

#[tokio::test]
async fn retry_after_of_a_day_is_respected() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.vendors.fail_for(ANN, Some(86_400));
    assert_eq!(world.leave("idp", "1", by_email(ANN)).await.status, Status::Pending);
    // Longer than a message can wait: the tick sends it.
    assert_eq!(world.sqs.take(), []);
    assert_eq!(world.record("idp/1").await.due_at, Some((world.clock.now() + DAY).unix_timestamp()));
    world.vendors.work_again();
    world.go(DAY - MINUTE);
    assert_eq!(world.tick().await, [""; 0]);
    world.go(MINUTE);
    assert_eq!(world.tick_and_follow().await, ["idp/1"]);
    assert_eq!(world.record("idp/1").await.state, State::Done);
}

//! A product without an API: its outcome is `manual` until a person confirms the removal, and no machine says it for them.

use offboard::{
    judgement::Veto,
    ledger::{Record, State},
    operator::{Confirmation, Decision, Note, Refused},
    outcome::{Outcome, Proof, Status},
};

use crate::flow::world::{HOUR, WHO, World, active, at, by_email, id, known, named, outcomes, recorded, vetoes};

const A: &str = "a@example.com";
const B: &str = "b@example.com";
const WIKI: &str = "# with wiki";

/// A world with a product without an API, in which A has an account at both others.
async fn world() -> World {
    let world = World::with(WIKI).await;
    world.vendors.have(&[A]);
    world
}

fn confirmation(provider: &str, note: &str) -> Decision {
    let reached = ["access", "instaply", "wiki"].map(str::to_owned).into();
    Decision::Confirm(Confirmation { provider: provider.to_owned(), note: Note::parse(note).unwrap(), reached })
}

async fn confirm(world: &World) -> Result<Record, Refused> {
    world.decide("idp/1", confirmation("wiki", "deleted in Settings, asked by boss@example.com")).await
}

/// The outcome and the proof at the product without an API.
fn wiki(record: &Record) -> (Outcome, Option<Proof>) {
    let worst = &record.providers["wiki"].found.worst;
    (worst.outcome, worst.proof)
}

const MANUAL: (Outcome, Option<Proof>) = (Outcome::Manual, None);
const BY_HAND: (Outcome, Option<Proof>) = (Outcome::Deleted, Some(Proof::ByHand));

#[tokio::test]
async fn product_without_an_api_needs_a_person_and_the_others_go_on_as_usual() {
    let world = world().await;
    let report = world.leave("idp", "1", by_email(A)).await;
    let expected = vec![(Outcome::Deleted, None), (Outcome::Deleted, None), (Outcome::Manual, Some("delete"))];
    assert_eq!((report.status, outcomes(&report)), (Status::NeedsAttention, expected));
    assert_eq!(report.providers[2].worst.detail.as_deref(), Some("Delete the user"));
    let record = world.record("idp/1").await;
    assert_eq!((record.state, record.intent.len(), world.vendors.left()), (State::NeedsAttention, 0, vec![]));
}

#[tokio::test]
async fn confirmed_departure_is_done_with_who_when_and_a_masked_note_also_when_it_is_confirmed_twice() {
    let world = world().await;
    world.leave("idp", "1", by_email(A)).await;
    world.go(HOUR);
    let confirmed = confirm(&world).await.unwrap();
    assert_eq!((confirmed.state, wiki(&confirmed), confirmed.due_at), (State::Done, BY_HAND, None));
    assert!(confirmed.expires_at.is_some() && confirmed.person.is_masked());
    let result = &confirmed.providers["wiki"];
    let detail = "confirmed: deleted in Settings, asked by b…@example.com";
    assert_eq!((result.found.worst.detail.as_deref(), result.at), (Some(detail), world.clock.now()));
    let action = confirmed.history.last().unwrap();
    assert_eq!((action.what.as_str(), action.provider.as_deref()), ("confirm", Some("wiki")));
    assert_eq!(action.who, WHO, "nobody else gets to know it: the name of a session may be an address");
    assert_eq!(action.note.as_deref(), Some("deleted in Settings, asked by b…@example.com"));
    world.go(HOUR);
    let again = world.decide("idp/1", confirmation("wiki", "again")).await.unwrap();
    assert_eq!((again.history, again.providers), (confirmed.history, confirmed.providers));
    assert_eq!(world.tick().await, [""; 0]);
}

#[tokio::test]
async fn departure_stays_open_after_the_confirmation_until_the_others_are_done() {
    let world = world().await;
    world.vendors.fail_for(A, None);
    world.leave("idp", "1", by_email(A)).await;
    let confirmed = confirm(&world).await.unwrap();
    assert_eq!((confirmed.state, wiki(&confirmed)), (State::Pending, BY_HAND));
    assert!(confirmed.due_at.is_some() && !confirmed.person.is_masked());
    world.vendors.work_again();
    world.go(HOUR);
    assert_eq!(world.tick_and_follow().await, ["idp/1"]);
    let record = world.record("idp/1").await;
    assert_eq!((record.state, wiki(&record), record.history.len()), (State::Done, BY_HAND, 1));
    assert_eq!(record.providers["wiki"].runs, 1, "it was not tried again");
}

#[tokio::test]
async fn no_retry_and_no_replay_makes_by_hand_of_manual() {
    let world = world().await;
    world.vendors.fail_for(A, None);
    world.leave("idp", "1", by_email(A)).await;
    for _ in 0..3 {
        world.go(HOUR);
        world.tick_and_follow().await;
    }
    assert_eq!(wiki(&world.record("idp/1").await), MANUAL);
    world.vendors.work_again();
    world.decide("idp/1", Decision::Replay).await.unwrap();
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, wiki(&record)), (State::NeedsAttention, MANUAL));
    world.vendors.asked();
    world.decide("idp/1", Decision::Replay).await.unwrap();
    assert_eq!(wiki(&world.advance("idp/1").await), MANUAL);
    assert_eq!(world.vendors.asked(), [""; 0]);
}

#[tokio::test]
async fn only_a_manual_outcome_of_an_open_departure_is_confirmed() {
    let world = world().await;
    world.leave("idp", "1", by_email(A)).await;
    let refused = |provider: &'static str| {
        let world = &world;
        async move { world.decide("idp/1", confirmation(provider, "x")).await.unwrap_err() }
    };
    assert_eq!(refused("access").await, Refused::NotManual("access".into(), Some(Outcome::Deleted)));
    assert_eq!(refused("wikki").await, Refused::NotManual("wikki".into(), None));
    assert_eq!(world.decide("idp/2", confirmation("wiki", "x")).await, Err(Refused::Unknown));
    world.decide("idp/1", Decision::Dismiss).await.unwrap();
    assert_eq!(refused("wiki").await, Refused::State(State::Dismissed));
    for text in ["", " \n\t", &"x".repeat(501)] {
        assert!(Note::parse(text).is_err_and(|why| why.starts_with("it ")));
    }
}

#[tokio::test]
async fn confirmation_of_a_done_departure_is_refused_unless_it_repeats_one() {
    let world = world().await;
    world.leave("idp", "1", by_email(A)).await;
    confirm(&world).await.unwrap();
    let refused = world.decide("idp/1", confirmation("access", "x")).await;
    assert_eq!(refused, Err(Refused::State(State::Done)));
}

#[tokio::test]
async fn held_departure_is_not_confirmed_and_a_return_still_holds_it() {
    let world = world().await;
    world.vendors.fail_for(A, None);
    world.say("idp", [known(named("u1", A), -60)]).await;
    world.leave("idp", "1", id("u1")).await;
    // The person comes back before the others have removed them.
    world.say("idp", [active(named("u1", A), 30)]).await;
    world.vendors.work_again();
    world.go(HOUR);
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, vetoes(&record)), (State::Held, vec![Veto::PersonReturned]));
    assert_eq!(confirm(&world).await, Err(Refused::State(State::Held)));
    assert_eq!((wiki(&world.record("idp/1").await), world.vendors.left().len()), (MANUAL, 2));
}

#[tokio::test]
async fn confirmation_before_a_return_overrides_no_veto_and_the_next_departure_starts_anew() {
    let world = world().await;
    world.vendors.fail_for(A, None);
    world.say("idp", [known(named("u1", A), -60)]).await;
    world.leave("idp", "1", id("u1")).await;
    confirm(&world).await.unwrap();
    world.say("idp", [active(named("u1", A), 30)]).await;
    world.vendors.work_again();
    world.go(HOUR);
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, wiki(&record), vetoes(&record)), (State::Held, BY_HAND, vec![Veto::PersonReturned]));
    assert_eq!(world.vendors.left().len(), 2);
    // They leave once more, with an account at the product without an API as well.
    world.leave_at("idp", "2", id("u1"), at(50)).await;
    let second = world.record("idp/2").await;
    assert_eq!((second.state, wiki(&second)), (State::NeedsAttention, MANUAL));
}

#[tokio::test]
async fn address_that_becomes_known_later_asks_the_person_again() {
    let world = world().await;
    world.vendors.fail_for(A, None);
    world.say("idp", [known(named("u1", A), -20)]).await;
    world.leave("idp", "1", id("u1")).await;
    confirm(&world).await.unwrap();
    world.say("idp", [known(named("u1", B), -10)]).await;
    world.vendors.work_again();
    world.go(HOUR);
    let record = world.advance("idp/1").await;
    assert_eq!((wiki(&record), record.history.len()), (MANUAL, 1));
    assert_eq!(record.state, State::NeedsAttention);
}

#[tokio::test]
async fn dry_run_plans_what_a_person_has_to_do_and_asks_for_it_after_the_release() {
    let mut world = World::with(&format!("{WIKI}\nmode = \"dry_run\"")).await;
    world.vendors.have(&[A]);
    let report = world.leave("idp", "1", by_email(A)).await;
    assert_eq!((report.status, outcomes(&report)[2]), (Status::Planned, (Outcome::Planned, Some("manual"))));
    assert_eq!(report.providers[2].worst.detail.as_deref(), Some("Delete the user"));
    assert_eq!(confirm(&world).await, Err(Refused::State(State::Held)));
    world.deploy(WIKI);
    let released = world.release("idp/1").await;
    assert_eq!((released.state, recorded(&released)["wiki"].0), (State::NeedsAttention, Outcome::Manual));
    assert_eq!(confirm(&world).await.unwrap().state, State::Done);
}

#[tokio::test]
async fn provider_that_the_departure_did_not_reach_yet_keeps_it_open() {
    let mut world = World::with(&format!("{WIKI}\n# without instaply")).await;
    world.vendors.have(&[A]);
    world.leave("idp", "1", by_email(A)).await;
    world.deploy(WIKI);
    assert_eq!(confirm(&world).await.unwrap().state, State::NeedsAttention);
    world.decide("idp/1", Decision::Replay).await.unwrap();
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, wiki(&record), world.vendors.left()), (State::Done, BY_HAND, vec![]));
}

#[tokio::test]
async fn departure_that_a_worker_has_is_not_confirmed_meanwhile() {
    let world = world().await;
    world.vendors.fail_for(A, None);
    world.leave("idp", "1", by_email(A)).await;
    let mut record = world.record("idp/1").await;
    let until = world.clock.now() + HOUR;
    record.take(offboard::ledger::Lease { by: "worker".to_owned(), until });
    assert!(world.ledger.save(&mut record).await.unwrap());
    assert!(matches!(confirm(&world).await, Err(Refused::Busy(_))));
    assert_eq!(wiki(&world.record("idp/1").await), MANUAL);
}

#[tokio::test]
async fn address_that_becomes_known_during_a_run_is_looked_up_before_a_person_has_confirmed() {
    let world = World::with(&format!("{WIKI}\n# without instaply")).await;
    world.vendors.have(&[B]);
    world.say("idp", [known(named("u1", A), -20)]).await;
    let (ledger, now) = (world.ledger.clone(), world.clock.now());
    let late = [known(named("u1", B), -10)];
    world.vendors.at_look_up(async move { ledger.store_facts("idp", &late, now).await.unwrap() });
    world.leave("idp", "1", id("u1")).await;
    world.go(HOUR);
    world.tick_and_follow().await;
    let record = world.record("idp/1").await;
    assert_eq!((record.state, wiki(&record)), (State::NeedsAttention, MANUAL));
    assert_eq!(world.vendors.left(), ["instaply b@example.com"]);
}

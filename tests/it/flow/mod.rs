//! The flow over a small world: who is removed, who is not, and what becomes of a departure that is not done at once.

mod batches;
pub mod doubles;
mod exporting;
mod failures;
mod former;
mod freshness;
mod growth;
mod handed_over;
mod holding;
mod limits;
mod manual;
mod notifications;
mod obstacles;
mod planned;
mod protection;
mod safeguard;
mod same_person;
mod skew;
pub mod store;
mod stuck;
pub mod world;

use offboard::{
    judgement::Veto,
    ledger::{IdentityKey, State},
    outcome::{Outcome, Status},
};
use world::{HOUR, World, active, by_email, claim, confirmation, id, known, named, outcomes, vetoes};

#[tokio::test]
async fn departure_by_id_alone_removes_that_person_and_nobody_else() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com", "joann@example.com"]);
    world.say("idp", [active(named("u1", "ann@example.com"), -60)]).await;
    let report = world.leave("idp", "1", id("u1")).await;
    assert_eq!((report.status, outcomes(&report)), (Status::Done, vec![(Outcome::Deleted, None); 2]));
    assert_eq!(world.vendors.left(), ["access joann@example.com", "instaply joann@example.com"]);
    let shown = serde_json::to_value(&report.person).unwrap();
    assert_eq!(shown["email"], "a…@example.com");
}

#[tokio::test]
async fn plain_departure_costs_at_most_seven_store_calls_and_no_message() {
    for (person, most) in [(id("u1"), 7), (by_email("ann@example.com"), 5)] {
        let world = World::new().await;
        world.vendors.have(&["ann@example.com"]);
        if person.idp_id.is_some() {
            world.say("idp", [active(named("u1", "ann@example.com"), -60)]).await;
        }
        world.store.calls();
        let report = world.leave("idp", "1", person).await;
        let calls = world.store.calls();
        assert_eq!((report.status, world.sqs.take()), (Status::Done, vec![]));
        assert!(calls <= most, "{calls} calls");
    }
}

#[tokio::test]
async fn id_that_nobody_knows_is_unidentified_and_no_product_is_called() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("idp", [active(named("u1", "ann@example.com"), -60)]).await;
    let report = world.leave("idp", "1", id("u2")).await;
    let nowhere = vec![(Outcome::Unidentified, Some("no_identity")); 2];
    assert_eq!((report.status, outcomes(&report)), (Status::NeedsAttention, nowhere));
    assert_eq!(world.vendors.asked(), [""; 0]);
}

#[tokio::test]
async fn duplicate_of_a_finished_departure_is_answered_from_the_record() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    let first = world.leave("idp", "1", by_email("ann@example.com")).await;
    world.vendors.asked();
    // Whoever has the address now is another person.
    world.vendors.have(&["ann@example.com"]);
    let at = world.clock.now() - time::Duration::SECOND;
    let report = world.leave_at("idp", "1", by_email("ann@example.com"), Some(at.into())).await;
    assert_eq!((first.duplicate, report.duplicate), (false, true));
    assert_eq!((report.status, outcomes(&report)), (Status::Done, outcomes(&first)));
    assert_eq!((world.vendors.asked(), world.vendors.left().len()), (vec![], 2));
}

#[tokio::test]
async fn dry_run_looks_up_and_reports_what_would_be_removed() {
    let world = World::with("mode = \"dry_run\"").await;
    world.vendors.have(&["ann@example.com"]);
    let report = world.leave("idp", "1", by_email("ann@example.com")).await;
    let planned = vec![(Outcome::Planned, None), (Outcome::Planned, Some("no_look_up"))];
    assert_eq!((report.status, outcomes(&report)), (Status::Planned, planned));
    let record = world.record("idp/1").await;
    assert_eq!((record.state, vetoes(&record), record.expires_at), (State::Held, vec![Veto::DryRun], None));
    assert_eq!((world.vendors.asked(), world.vendors.left().len()), (vec!["ann@example.com".to_owned()], 2));
}

#[tokio::test]
async fn record_holds_the_address_while_work_is_left_and_no_item_is_named_by_it() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("idp", [known(named("ann@example.com", "ann@example.com"), -60)]).await;
    world.vendors.fail_for("ann@example.com", None);
    world.leave("idp", "1", id("ann@example.com")).await;
    assert!(world.document("idp/1").await.contains("ann@example.com"), "it has to be found again");
    world.vendors.work_again();
    world.go(HOUR);
    assert_eq!(world.advance("idp/1").await.state, State::Done);
    let document = world.document("idp/1").await;
    assert!(document.contains("a…@example.com") && !document.contains("ann@"), "{document}");
    let ids = world.store.ids();
    assert!(ids.len() >= 4 && ids.iter().all(|id| !id.contains("ann")), "{ids:?}");
}

// ---- Unverified addresses ----

#[tokio::test]
async fn unverified_address_is_not_used_until_it_is_confirmed() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com", "boss@example.com"]);
    world.say("idp", [known(named("u9", "boss@example.com"), -60)]).await;
    let claims = [claim(named("u1", "boss@example.com"), -50), claim(named("u1", "ann@example.com"), -40)];
    world.say("idp", claims).await;
    let report = world.leave("idp", "1", id("u1")).await;
    assert_eq!((report.status, outcomes(&report)[0].0), (Status::NeedsAttention, Outcome::Unidentified));
    // The confirmation is of the address that was claimed last: whoever claims the boss's first does not get it.
    world.say("idp", [confirmation("u1", -30), claim(named("u1", "eve@example.com"), -20)]).await;
    let key = IdentityKey::of("idp", &id("u1")).unwrap();
    let known = world.ledger.known(&key).await.unwrap().unwrap();
    let texts = |held: Vec<offboard::ledger::Held>| held.into_iter().map(|held| held.text).collect::<Vec<_>>();
    assert_eq!(texts(known.emails), ["ann@example.com"]);
    assert_eq!(texts(known.unverified_emails), ["boss@example.com", "eve@example.com"]);
    // What was said before the departure reopens it.
    let record = world.advance("idp/1").await;
    assert_eq!((record.state, world.vendors.asked()), (State::Done, vec!["ann@example.com".to_owned()]));
    assert_eq!(world.vendors.left(), ["access boss@example.com", "instaply boss@example.com"]);
}

#[tokio::test]
async fn unverified_address_does_not_hold_up_its_owners_departure_and_protects_who_claims_it() {
    let world = World::with("protected = [\"root@example.com\"]").await;
    world.vendors.have(&["ann@example.com", "eve@example.com"]);
    world.say("idp", [known(named("u1", "ann@example.com"), -60), claim(named("u2", "ann@example.com"), -50)]).await;
    assert_eq!(world.leave("idp", "1", id("u1")).await.status, Status::Done);
    let facts = [known(named("u3", "eve@example.com"), -60), claim(named("u3", "root@example.com"), -50)];
    world.say("idp", facts).await;
    let report = world.leave("idp", "2", id("u3")).await;
    let protected = vec![(Outcome::Protected, Some("protected")); 2];
    assert_eq!((report.status, outcomes(&report)), (Status::NeedsAttention, protected));
    assert_eq!(world.vendors.left(), ["access eve@example.com", "instaply eve@example.com"]);
}

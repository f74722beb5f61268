//! What a dry run planned is carried out after a release alone; and what nobody would ever look at.

use offboard::{
    judgement::Veto,
    ledger::{NEVER, State},
    outcome::{Outcome, Status},
};
use time::macros::datetime;

use crate::flow::world::{HOUR, World, by_email, recorded, vetoes};

const A: &str = "a@example.com";
const DRY: &str = "mode = \"dry_run\"";

/// A dry run in which somebody left.
async fn dry_run() -> World {
    let world = World::with(DRY).await;
    world.vendors.have(&[A]);
    world
}

async fn is_not_removed(world: &World) {
    for _ in 0..3 {
        world.go(2 * HOUR);
        world.tick_and_follow().await;
        world.advance("idp/1").await;
    }
    let record = world.record("idp/1").await;
    assert_eq!((record.state, vetoes(&record)), (State::Held, vec![Veto::DryRun]));
    assert_eq!(world.vendors.left().len(), 2);
    assert_eq!(world.release("idp/1").await.state, State::Done);
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn departure_of_a_paused_dry_run_waits_for_a_release_after_going_live() {
    let mut world = dry_run().await;
    world.pause(true).await;
    world.leave("idp", "1", by_email(A)).await;
    world.deploy("");
    world.pause(false).await;
    is_not_removed(&world).await;
}

#[tokio::test]
async fn departure_of_a_dry_run_that_was_never_judged_waits_for_a_release() {
    let mut world = dry_run().await;
    // Recorded, and then its worker died.
    world.store.fault_at(3, crate::flow::store::Fault::Fails);
    world.leave("idp", "1", by_email(A)).await;
    world.deploy("");
    is_not_removed(&world).await;
}

#[tokio::test]
async fn planned_departure_is_looked_up_once_more_by_the_release() {
    let mut world = dry_run().await;
    assert_eq!(world.leave("idp", "1", by_email(A)).await.status, Status::Planned);
    assert_eq!(recorded(&world.record("idp/1").await)["access"].0, Outcome::Planned);
    world.deploy("");
    is_not_removed(&world).await;
}

#[tokio::test]
async fn departure_without_end_is_pending_and_stays_in_sight() {
    let world = World::new().await;
    let end = datetime!(9999-12-31 0:00 UTC);
    let report = world.leave_at("idp", "1", by_email(A), Some(end.into())).await;
    assert_eq!((report.status, report.reasons), (Status::Pending, vec![Veto::EventInFuture]));
    assert_eq!(world.record("idp/1").await.due_at, Some(NEVER));
    assert_eq!(world.ledger.due(State::Pending, NEVER, 10).await.unwrap().len(), 1);
}

//! Events without a time of their own, received by environments whose clocks differ.

use std::time::Duration;

use offboard::{
    departure::IdentityFact,
    judgement::Veto,
    ledger::{Record, State},
    person::Person,
};

use crate::flow::world::{HOUR, MINUTE, NOW, World, active, by_email, id, known, named, vetoes};

fn untimed(fact: IdentityFact) -> IdentityFact {
    IdentityFact { at: None, ..fact }
}

/// A departure is received by a clock that is a minute ahead, and a return one second later by a right one.
async fn left_then_hired(left: Person, hired: Person) -> (World, Record) {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("idp", [untimed(known(named("u1", "ann@example.com"), 0))]).await;
    world.go(HOUR);
    world.vendors.fail_for("ann@example.com", None);
    world.go(MINUTE);
    world.leave_at("idp", "1", left, None).await;
    world.clock.set(NOW + HOUR + Duration::from_secs(1));
    world.say("idp", [untimed(active(hired, 0))]).await;
    world.vendors.work_again();
    world.go(HOUR);
    let record = world.advance("idp/1").await;
    (world, record)
}

#[tokio::test]
async fn return_after_a_departure_holds_it_by_whatever_ids_they_came() {
    let (strong, weak) = (|| named("u1", "ann@example.com"), || by_email("ann@example.com"));
    for (left, hired) in [
        (strong(), strong()),
        (weak(), weak()),
        (weak(), strong()),
        (strong(), weak()),
        (id("u1"), weak()),
        (weak(), id("u1")),
    ] {
        let case = format!("{left:?} {hired:?}");
        let (world, record) = left_then_hired(left, hired).await;
        assert_eq!(record.state, State::Held, "{case}");
        let stands = vetoes(&record);
        assert!(matches!(stands[..], [Veto::PersonReturned | Veto::ActiveElsewhere]), "{stands:?} {case}");
        assert_eq!(world.vendors.left().len(), 2, "{case}");
    }
}

#[tokio::test]
async fn departure_after_a_return_removes_by_whatever_ids_they_came() {
    let (strong, weak) = (|| named("u1", "ann@example.com"), || by_email("ann@example.com"));
    for (hired, left) in
        [(strong(), strong()), (weak(), weak()), (strong(), weak()), (weak(), strong()), (weak(), id("u1"))]
    {
        let case = format!("{hired:?} {left:?}");
        let world = World::new().await;
        world.vendors.have(&["ann@example.com"]);
        world.say("idp", [untimed(known(named("u1", "ann@example.com"), 0))]).await;
        world.go(HOUR + MINUTE);
        world.say("idp", [untimed(active(hired, 0))]).await;
        world.clock.set(NOW + HOUR + Duration::from_secs(1));
        world.leave_at("idp", "1", left, None).await;
        let record = world.record("idp/1").await;
        assert_eq!((record.state, vetoes(&record)), (State::Done, vec![]), "{case}");
    }
}

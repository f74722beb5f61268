//! The protected list that operators change: a veto like the configured list, on facts as fresh, without a deployment.

use std::time::Duration;

use offboard::{
    config::Pattern,
    judgement::{Veto, VetoFact},
    ledger::{
        Ledger, Protection, ProtectionAction, State,
        store::{Change, Item, Store},
    },
    operator::{Decision, Refused},
    outcome::{Outcome, Status},
};

use time::OffsetDateTime;

use crate::flow::world::{
    DAY, HOUR, MINUTE, WHO, World, active, by_email, claim, id, known, named, outcomes, recorded, vetoes,
};

const ANN: &str = "ann@example.com";
const FOR_EVER: ProtectionAction = ProtectionAction::Protect { until: None };
const PROTECTED: (Outcome, Option<&str>) = (Outcome::Protected, Some("protected"));

/// An operator decides about the protected list.
async fn decide(world: &World, pattern: &str, action: ProtectionAction) {
    decide_at(&world.ledger, world.clock.now(), pattern, action).await;
}

async fn decide_at(ledger: &Ledger, at: OffsetDateTime, pattern: &str, action: ProtectionAction) {
    let (who, reason) = (WHO.to_owned(), Some("case 4711".to_owned()));
    let pattern: Pattern = pattern.to_owned().try_into().unwrap();
    let decision = Protection { action, address: pattern.masked(), at, who, reason };
    ledger.decide_protection(&pattern, &decision, 400 * DAY).await.unwrap();
}

/// A world with one account of everybody, in which this is protected.
async fn with_protected(pattern: &str) -> World {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    decide(&world, pattern, FOR_EVER).await;
    world
}

#[tokio::test]
async fn protected_person_needs_attention_and_no_product_is_called() {
    let world = with_protected(ANN).await;
    world.store.calls();
    let report = world.leave("idp", "1", by_email("Ann@EXAMPLE.com")).await;
    assert!(world.store.calls() <= 5, "the list costs no call of its own");
    assert_eq!((report.status, outcomes(&report)), (Status::NeedsAttention, vec![PROTECTED; 2]));
    assert_eq!(report.providers[0].worst.detail.as_deref(), Some("on the list `offboard protect`"));
    assert_eq!((report.reasons, world.vendors.asked(), world.vendors.left().len()), (vec![Veto::Protected], vec![], 2));
}

#[tokio::test]
async fn person_who_is_not_on_the_list_is_removed_beside_one_who_is() {
    let world = with_protected("joann@example.com").await;
    world.vendors.have(&["joann@example.com"]);
    assert_eq!(world.leave("idp", "1", by_email(ANN)).await.status, Status::Done);
    assert_eq!(world.vendors.left(), ["access joann@example.com", "instaply joann@example.com"]);
}

#[tokio::test]
async fn every_address_of_the_person_protects_it_also_a_former_or_unverified_one_and_its_domain() {
    for protected in ["smith@example.com", "claimed@example.com", "*@EXAMPLE.com"] {
        let world = with_protected(protected).await;
        let facts = [active(named("u1", "smith@example.com"), -60), known(named("u1", ANN), -30)];
        world.say("idp", facts).await;
        world.say("idp", [claim(named("u1", "claimed@example.com"), -20)]).await;
        let report = world.leave("idp", "1", id("u1")).await;
        assert_eq!((report.status, outcomes(&report)), (Status::NeedsAttention, vec![PROTECTED; 2]), "{protected}");
    }
}

#[tokio::test]
async fn address_is_matched_after_normalization_of_both_sides_and_no_further() {
    for (protected, left, expected) in [
        ("E\u{301}va@B\u{fc}cher.example", "\u{e9}va@xn--bcher-kva.example", Status::NeedsAttention),
        ("*@b\u{fc}cher.example", "eva@xn--bcher-kva.example", Status::NeedsAttention),
        ("*@example.com", "eva@sub.example.com", Status::Done),
        ("eva@example.com", "eva@example.community", Status::Done),
        ("va@example.com", "eva@example.com", Status::Done),
    ] {
        let world = with_protected(protected).await;
        assert_eq!(world.leave("idp", "1", by_email(left)).await.status, expected, "{protected} {left}");
    }
}

#[tokio::test]
async fn no_release_overrides_the_list_and_replay_goes_on_once_the_address_is_taken_off() {
    let world = with_protected(ANN).await;
    world.leave("idp", "1", by_email(ANN)).await;
    let refused = world.decide("idp/1", Decision::Release(world.show("idp/1").await)).await.unwrap_err();
    assert_eq!(refused, Refused::NotReleasable(vec![Veto::Protected]));
    world.decide("idp/1", Decision::Replay).await.unwrap();
    assert_eq!(world.advance("idp/1").await.state, State::NeedsAttention);
    decide(&world, ANN, ProtectionAction::Unprotect).await;
    // Nothing continues by itself: a person decided about the hold, and decides about what it left.
    world.go(DAY);
    assert_eq!(world.tick().await, [""; 0]);
    assert_eq!(world.show("idp/1").await.standing, []);
    assert_eq!(vetoes(&world.record("idp/1").await), [Veto::Protected]);
    world.decide("idp/1", Decision::Replay).await.unwrap();
    assert_eq!((world.advance("idp/1").await.state, world.vendors.left()), (State::Done, vec![]));
}

#[tokio::test]
async fn hold_that_has_ended_by_every_clock_no_longer_protects() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    let until = Some(world.clock.now() + HOUR);
    decide(&world, ANN, ProtectionAction::Protect { until }).await;
    world.leave("idp", "1", by_email(ANN)).await;
    // Clocks differ by up to two minutes.
    for (wait, expected) in [(HOUR, State::NeedsAttention), (2 * MINUTE, State::Done)] {
        world.go(wait);
        world.decide("idp/1", Decision::Replay).await.unwrap();
        assert_eq!(world.advance("idp/1").await.state, expected);
    }
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn both_lists_are_named_where_both_protect() {
    let mut world = with_protected(ANN).await;
    world.deploy("protected = [\"*@example.com\"]");
    world.leave("idp", "1", by_email(ANN)).await;
    let standing = world.show("idp/1").await.standing;
    let named: Vec<_> = standing[0].facts.iter().map(|fact| fact.id.as_str()).collect();
    assert_eq!((standing.len(), named), (1, vec![VetoFact::CONFIGURED, VetoFact::AT_RUN_TIME]));
}

#[tokio::test]
async fn hold_while_accounts_are_looked_up_is_seen_before_a_removal() {
    let world = World::with("# without instaply").await;
    world.vendors.have(&[ANN]);
    let (ledger, clock) = (world.ledger.clone(), world.clock.clone());
    world.vendors.at_look_up(async move {
        clock.go(Duration::from_secs(6));
        decide_at(&ledger, clock.now(), ANN, FOR_EVER).await;
    });
    world.leave("idp", "1", by_email(ANN)).await;
    let record = world.record("idp/1").await;
    assert_eq!((record.state, vetoes(&record)), (State::NeedsAttention, vec![Veto::Protected]));
    assert_eq!(recorded(&record)["access"], (Outcome::NotAttempted, Some("held")));
    assert_eq!((world.vendors.removals(), world.vendors.left().len()), (0, 2));
}

/// What was found was compared with the list as it was then.
#[tokio::test]
async fn list_that_changes_while_accounts_are_looked_up_has_them_looked_up_again() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    let (ledger, clock) = (world.ledger.clone(), world.clock.clone());
    world.vendors.at_look_up(async move {
        clock.go(Duration::from_secs(6));
        decide_at(&ledger, clock.now(), "other@example.com", FOR_EVER).await;
    });
    world.leave("idp", "1", by_email(ANN)).await;
    let record = world.record("idp/1").await;
    assert_eq!(
        (record.state, recorded(&record)["access"]),
        (State::Pending, (Outcome::NotAttempted, Some("facts_changed")))
    );
    let due_at = world.clock.now().unix_timestamp();
    assert_eq!((record.due_at, record.failed_attempts), (Some(due_at), 0), "no provider failed");
    assert!(world.vendors.left().contains(&format!("access {ANN}")));
    world.go(HOUR);
    assert_eq!((world.advance("idp/1").await.state, world.vendors.left()), (State::Done, vec![]));
}

#[tokio::test]
async fn list_that_cannot_be_read_removes_nobody() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    let item = Item { id: "#protected".into(), version: 1, document: "[".into(), ..Item::default() };
    world.store.change(&[Change::Swap { item, expected: 0 }]).await.unwrap();
    let report = world.leave("idp", "1", by_email(ANN)).await;
    assert_eq!((report.status, world.vendors.asked(), world.vendors.left().len()), (Status::Pending, vec![], 2));
}

#[tokio::test]
async fn word_of_the_source_neither_continues_what_a_protection_left_nor_notifies_again() {
    for ends in [false, true] {
        let world = with_protected(ANN).await;
        world.say("idp", [active(named("u1", ANN), -60)]).await;
        world.leave("idp", "1", id("u1")).await;
        let notified = world.record("idp/1").await.notifications;
        if ends {
            decide(&world, ANN, ProtectionAction::Unprotect).await;
        }
        world.say("idp", [known(named("u1", ANN), -50), known(named("u1", "ann.b@example.com"), -40)]).await;
        world.tick_and_follow().await;
        let record = world.record("idp/1").await;
        assert_eq!((record.state, record.notifications), (State::NeedsAttention, notified), "{ends}");
        assert_eq!((world.vendors.removals(), world.vendors.left().len()), (0, 2));
    }
}

/// A departure that is done knows what its event named by hash and mask alone.
#[tokio::test]
async fn address_that_the_event_named_protects_also_after_the_departure_was_done() {
    for (at_run_time, configured) in
        [(Some(ANN), ""), (Some("*@example.com"), ""), (None, "protected = [\"ann@example.com\"]")]
    {
        let mut world = World::new().await;
        world.vendors.have(&[ANN]);
        world.leave("idp", "1", named("u1", ANN)).await;
        assert_eq!(world.record("idp/1").await.state, State::Done);
        world.vendors.have(&["smith@other.example"]);
        if let Some(pattern) = at_run_time {
            decide(&world, pattern, FOR_EVER).await;
        } else {
            world.deploy(configured);
        }
        world.say("idp", [known(named("u1", "smith@other.example"), -60)]).await;
        world.tick_and_follow().await;
        let record = world.record("idp/1").await;
        assert_eq!((record.state, vetoes(&record)), (State::NeedsAttention, vec![Veto::Protected]), "{at_run_time:?}");
        assert_eq!(world.vendors.left(), ["access smith@other.example", "instaply smith@other.example"]);
    }
}

#[tokio::test]
async fn address_that_another_id_of_the_person_had_protects() {
    for (source, other) in [("idp", "u0"), ("hr", "7")] {
        let world = with_protected("smith@example.com").await;
        let facts = [active(named(other, "smith@example.com"), -60), known(named(other, ANN), -50)];
        world.say(source, facts).await;
        world.leave(source, "0", id(other)).await;
        world.say("idp", [active(named("u1", ANN), 1)]).await;
        world.go(2 * MINUTE);
        world.leave("idp", "1", named("u1", ANN)).await;
        let record = world.record("idp/1").await;
        assert!(vetoes(&record).contains(&Veto::Protected), "{source} {record:?}");
        assert_eq!((record.state, world.vendors.removals()), (State::NeedsAttention, 0), "{source}");
    }
}

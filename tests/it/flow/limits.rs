//! Providers that limit: what one environment is asked, all respect, and no provider waits for another.

use std::time::Duration;

use offboard::{
    ledger::{
        NEVER, ProviderLimits, State, millis,
        store::{Change, Item, Store},
    },
    operator::Decision,
    outcome::{Outcome, Proof, Status},
};

use crate::flow::world::{DAY, HOUR, MINUTE, World, active, by_email, known, named, outcomes, recorded};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const WAITS: (Outcome, Option<&str>) = (Outcome::RateLimited, Some("asked_to_wait"));

impl World {
    /// Another environment was asked by a provider to wait.
    async fn limit(&self, provider: &str, wait: Duration) {
        let (now, known) = (self.clock.now(), ProviderLimits::default());
        self.ledger.note_limit(&known, provider, millis(now + wait), now).await.unwrap();
    }

    async fn due_in(&self, id: &str) -> i64 {
        self.record(id).await.due_at.unwrap() - self.clock.now().unix_timestamp()
    }
}

#[tokio::test]
async fn retry_after_of_one_departure_is_respected_by_all() {
    let world = World::new().await;
    world.vendors.have(&[ANN, BOB]);
    world.vendors.fail_for(ANN, Some(300));
    world.leave("idp", "1", by_email(ANN)).await;
    world.vendors.work_again();
    world.vendors.asked();
    let report = world.leave("idp", "2", by_email(BOB)).await;
    assert_eq!((report.status, outcomes(&report)), (Status::Pending, vec![WAITS; 2]));
    assert_eq!((world.vendors.asked(), world.due_in("idp/2").await), (vec![], 300));
    assert_eq!(world.record("idp/2").await.failed_attempts, 0, "nothing was refused");
    world.go(Duration::from_secs(300));
    assert_eq!(world.tick_and_follow().await.len(), 2);
    assert_eq!((world.record("idp/2").await.state, world.vendors.left()), (State::Done, vec![]));
}

#[tokio::test]
async fn limit_that_ended_within_a_run_delays_nobody_after_it() {
    let world = World::with("attempts = 2").await;
    world.vendors.have(&[ANN, BOB]);
    world.vendors.fail_for(ANN, Some(1));
    let vendors = world.vendors.clone();
    world.vendors.at_look_up(async move {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            vendors.work_again();
        });
    });
    for (id, person) in [("1", ANN), ("2", BOB)] {
        assert_eq!(world.leave("idp", id, by_email(person)).await.status, Status::Done, "{id}");
    }
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn limit_of_one_provider_delays_no_other() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.limit("access", HOUR).await;
    let report = world.leave("idp", "1", by_email(ANN)).await;
    assert_eq!((report.status, outcomes(&report)), (Status::Pending, vec![WAITS, (Outcome::Deleted, None)]));
    assert_eq!((world.vendors.left(), world.due_in("idp/1").await), (vec!["access ann@example.com".to_owned()], 3600));
    // Worked on before then, the departure waits on.
    world.go(MINUTE);
    world.vendors.asked();
    assert_eq!(recorded(&world.advance("idp/1").await)["access"], WAITS);
    assert_eq!((world.vendors.asked(), world.due_in("idp/1").await), (vec![], 3540));
    world.go(HOUR);
    assert_eq!(world.advance("idp/1").await.state, State::Done);
}

#[tokio::test]
async fn provider_that_fails_is_tried_again_while_another_limits() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.limit("access", HOUR).await;
    world.vendors.fail_for(ANN, None);
    world.leave("idp", "1", by_email(ANN)).await;
    assert_eq!(world.due_in("idp/1").await, 30);
    world.vendors.work_again();
    world.go(MINUTE);
    let record = world.advance("idp/1").await;
    let expected = [("access", WAITS), ("instaply", (Outcome::Deleted, None))];
    assert_eq!((recorded(&record), world.due_in("idp/1").await), (expected.into(), 3540));
}

#[tokio::test]
async fn limit_that_no_provider_can_have_asked_for_does_not_count_and_is_replaced() {
    let world = World::new().await;
    world.vendors.have(&[ANN, BOB]);
    world.limit("access", 2 * DAY).await;
    assert_eq!(world.leave("idp", "1", by_email(ANN)).await.status, Status::Done);
    world.limit("access", MINUTE).await;
    assert_eq!(outcomes(&world.leave("idp", "2", by_email(BOB)).await)[0], WAITS);
    assert_eq!(world.due_in("idp/2").await, 60);
}

#[tokio::test]
async fn limits_that_cannot_be_read_or_written_hold_no_departure() {
    let world = World::new().await;
    world.vendors.have(&[ANN, BOB]);
    let item = Item { id: "#providers".to_owned(), version: 1, document: "{".to_owned(), ..Item::default() };
    world.store.change(&[Change::Swap { item, expected: 0 }]).await.unwrap();
    assert_eq!(world.leave("idp", "1", by_email(ANN)).await.status, Status::Done);
    world.store.set_stuck(Some("#providers"));
    world.vendors.fail_for(BOB, Some(300));
    let report = world.leave("idp", "2", by_email(BOB)).await;
    assert_eq!((report.status, world.due_in("idp/2").await), (Status::Pending, 300));
    world.store.set_stuck(None);
    // The departure itself knows what it was asked.
    world.vendors.asked();
    world.advance("idp/2").await;
    assert_eq!(world.vendors.asked(), [""; 0]);
    world.limit("access", HOUR).await;
    world.go(Duration::from_secs(300));
    assert_eq!(recorded(&world.advance("idp/2").await)["access"], WAITS);
}

#[tokio::test]
async fn latest_limit_counts_and_concurrent_ones_are_all_kept() {
    let world = World::new().await;
    for (provider, wait) in [("access", HOUR), ("instaply", MINUTE), ("access", MINUTE)] {
        // Each was written by an environment that knew of no other.
        world.limit(provider, wait).await;
    }
    world.vendors.have(&[ANN]);
    assert_eq!(outcomes(&world.leave("idp", "1", by_email(ANN)).await), vec![WAITS; 2]);
    assert_eq!(world.due_in("idp/1").await, 60);
    world.go(MINUTE);
    assert_eq!(recorded(&world.advance("idp/1").await)["instaply"], (Outcome::Deleted, None));
    assert_eq!(world.due_in("idp/1").await, 3540);
}

#[tokio::test]
async fn replay_asks_again_once_the_provider_lets_it() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    world.vendors.fail_for(ANN, Some(86_400));
    world.leave("idp", "1", by_email(ANN)).await;
    world.vendors.work_again();
    world.decide("idp/1", Decision::Replay).await.unwrap();
    world.vendors.asked();
    world.advance("idp/1").await;
    assert_eq!((world.vendors.asked(), world.due_in("idp/1").await), (vec![], 86_400));
    world.go(DAY);
    assert_eq!(world.advance("idp/1").await.state, State::Done);
}

#[tokio::test]
async fn removal_after_facts_were_read_again_respects_a_limit_that_came_meanwhile() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    let (clock, ledger) = (world.clock.clone(), world.ledger.clone());
    world.vendors.at_look_up(async move {
        clock.go(Duration::from_secs(6));
        let now = clock.now();
        ledger.note_limit(&ProviderLimits::default(), "access", millis(now + HOUR), now).await.unwrap();
    });
    let report = world.leave("idp", "1", by_email(ANN)).await;
    assert_eq!(outcomes(&report)[0], (Outcome::NotAttempted, Some("asked_to_wait")));
    assert_eq!(world.vendors.left(), ["access ann@example.com"]);
    world.go(HOUR);
    assert_eq!(world.advance("idp/1").await.state, State::Done);
}

#[tokio::test]
async fn departures_take_turns_at_a_provider_that_limited_and_whose_limit_is_known() {
    let world = World::new().await;
    let people: Vec<_> = (0..12).map(|n| format!("p{n}@example.com")).collect();
    world.vendors.have(&people.iter().map(String::as_str).collect::<Vec<_>>());
    world.limit("access", MINUTE).await;
    for (n, person) in people.iter().enumerate() {
        world.leave("idp", &n.to_string(), by_email(person)).await;
    }
    assert_eq!(world.vendors.left().len(), people.len(), "all are removed at the other product");
    // 1,200 calls in 5 minutes, three for each, and three in a hundred left to others.
    let mut turns = Vec::new();
    for n in 0..people.len() {
        turns.push(world.record(&format!("idp/{n}")).await.not_before("access").unwrap());
    }
    let first = millis(world.clock.now() + MINUTE);
    let expected: Vec<_> = (0..12).map(|n| first + n * 773).collect();
    assert_eq!(turns, expected);
    world.go(MINUTE);
    assert_eq!(world.advance("idp/0").await.state, State::Done);
    assert_eq!(recorded(&world.advance("idp/11").await)["access"], WAITS);
    world.go(Duration::from_secs(9));
    world.tick_and_follow().await;
    assert_eq!(world.vendors.left(), [""; 0]);
    // An hour later nobody takes turns any more.
    world.go(2 * HOUR);
    world.vendors.have(&["p0@example.com"]);
    world.store.calls();
    assert_eq!(world.leave("idp", "x", by_email("p0@example.com")).await.status, Status::Done);
    assert!(world.store.calls() <= 7);
}

#[tokio::test]
async fn removal_stays_recorded_while_its_provider_asks_to_wait_before_a_late_address_is_looked_up() {
    let world = World::new().await;
    world.vendors.have(&[ANN]);
    assert_eq!(world.leave("idp", "1", named("u1", ANN)).await.status, Status::Done);
    world.limit("access", HOUR).await;
    world.say("idp", [known(named("u1", "late@example.com"), -40)]).await;
    for _ in 0..2 {
        let record = world.advance("idp/1").await;
        assert_eq!((record.state, recorded(&record)["access"]), (State::Pending, WAITS));
        let removed: Vec<_> = record.providers["access"].found.accounts.iter().collect();
        assert_eq!(
            (removed.len(), removed[0].outcome, removed[0].proof),
            (1, Outcome::Deleted, Some(Proof::SecondLook))
        );
        world.go(MINUTE);
    }
    world.go(HOUR);
    let record = world.advance("idp/1").await;
    let access = &record.providers["access"].found.worst;
    assert_eq!((record.state, access.outcome, access.proof), (State::Done, Outcome::Deleted, Some(Proof::SecondLook)));
}

#[tokio::test]
async fn provider_that_was_taken_out_while_it_waited_does_not_have_others_called_without_a_pause() {
    let mut world = World::new().await;
    world.vendors.have(&[ANN]);
    world.limit("instaply", HOUR).await;
    world.vendors.fail_for(ANN, None);
    world.leave("idp", "1", by_email(ANN)).await;
    world.deploy("# without instaply");
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pauses.push(world.due_in("idp/1").await);
        world.go(HOUR);
        world.advance("idp/1").await;
    }
    assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1920, 3840]);
}

/// Whether an account is gone is found out, although nothing more is removed.
#[tokio::test]
async fn removal_that_was_begun_is_looked_up_once_its_provider_answers_although_nothing_more_is_removed() {
    let protected = "protected = [\"ann@example.com\"]";
    for (policy, waits, until) in
        [(protected, true, State::Pending), ("", true, State::Held), (protected, false, State::Pending)]
    {
        let mut world = World::new().await;
        world.vendors.have(&[ANN]);
        world.vendors.lose_answers(true);
        world.leave("idp", "1", by_email(ANN)).await;
        world.vendors.lose_answers(false);
        let due = if waits {
            world.limit("access", 10 * MINUTE).await;
            600
        } else {
            world.vendors.fail_for(ANN, None);
            60
        };
        world.deploy(policy);
        if policy.is_empty() {
            world.say("idp", [active(by_email(ANN), 10)]).await;
        }
        let record = world.advance("idp/1").await;
        assert_eq!((record.state, world.due_in("idp/1").await), (until, due));
        assert!(record.begun().contains("access"));
        world.vendors.work_again();
        world.go(10 * MINUTE);
        assert_eq!(world.tick_and_follow().await, ["idp/1"]);
        let record = world.record("idp/1").await;
        let access = &record.providers["access"].found.worst;
        assert_eq!((access.outcome, access.proof), (Outcome::Deleted, Some(Proof::FoundAbsentAfterRemoval)));
        let expected = if policy.is_empty() { (State::Held, 3600) } else { (State::NeedsAttention, NEVER) };
        assert_eq!(record.state, expected.0);
        assert!(record.due_at == Some(NEVER) || world.due_in("idp/1").await == expected.1);
    }
}

#[tokio::test]
async fn provider_that_is_out_of_order_for_days_has_a_protected_departure_given_to_a_person() {
    let mut world = World::new().await;
    world.vendors.have(&[ANN]);
    world.vendors.lose_answers(true);
    world.leave("idp", "1", by_email(ANN)).await;
    world.vendors.fail_for(ANN, None);
    world.deploy("protected = [\"ann@example.com\"]");
    let mut runs = 0;
    while world.record("idp/1").await.state == State::Pending {
        world.go(Duration::from_secs(u64::try_from(world.due_in("idp/1").await).unwrap()));
        world.advance("idp/1").await;
        runs += 1;
    }
    let record = world.record("idp/1").await;
    assert_eq!((record.state, record.due_at), (State::NeedsAttention, Some(NEVER)));
    assert!((10..40).contains(&runs), "{runs}");
}

#[tokio::test]
async fn provider_that_waits_or_fails_during_a_dry_run_is_looked_up_for_the_plan_later() {
    for (waits, due) in [(true, 3600), (false, 30)] {
        let world = World::with("mode = \"dry_run\"").await;
        world.vendors.have(&[ANN]);
        if waits {
            world.limit("access", HOUR).await;
        } else {
            world.vendors.fail_for(ANN, None);
        }
        world.leave("idp", "1", by_email(ANN)).await;
        assert_eq!((world.record("idp/1").await.state, world.due_in("idp/1").await), (State::Held, due));
        world.vendors.work_again();
        world.go(HOUR);
        assert_eq!(world.tick_and_follow().await, ["idp/1"]);
        let record = world.record("idp/1").await;
        assert_eq!((record.state, record.due_at), (State::Held, Some(NEVER)));
        assert_eq!(recorded(&record)["access"], (Outcome::Planned, None));
    }
}

#[tokio::test]
async fn turns_that_fill_a_day_drop_no_limit() {
    let world = World::new().await;
    let now = world.clock.now();
    let known = world.ledger.note_limit(&ProviderLimits::default(), "access", millis(now + HOUR), now).await.unwrap();
    let interval = Duration::from_secs(1000);
    let mut limits = known;
    let turns: Vec<_> = (0..100).map(|_| limits.take_turn("access", interval, now)).collect();
    assert_eq!((turns[0], turns[99]), (millis(now + HOUR), millis(now + DAY)));
    assert_eq!(limits.not_before("access", now), Some(millis(now + HOUR)));
}

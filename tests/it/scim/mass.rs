//! A scope change at the identity provider: thousands of users are disabled at once.

use futures_util::{StreamExt, stream};
use offboard::operator::Decision;

use super::*;
use crate::flow::world::{HOUR, MINUTE, World};

const TWO: &str = "max_departures = { count = 2, per = \"1h\" }";

const USERS: usize = 5000;

/// Deactivates users with these names and addresses.
async fn deactivate(world: &World, count: usize, address: impl Fn(usize) -> String) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        let emails = json!([{"value": address(n), "type": "work", "primary": true}]);
        ids.push(post(world, 201, json!({"userName": format!("a{n}@example.com"), "emails": emails})).await);
    }
    world.go(2 * HOUR);
    for id in &ids {
        set_active(world, id, false).await;
    }
    ids
}

#[tokio::test]
async fn users_who_share_an_address_count_each() {
    let world = World::with(TWO).await;
    for id in deactivate(&world, 3, |_| "team@example.com".to_owned()).await {
        assert!(vetoes(&settle(&world, &format!("scim/{id}.1")).await).contains(&Veto::TooManyDepartures));
    }
    assert_eq!(world.vendors.removals(), 0);
}

#[tokio::test]
async fn departures_whose_count_failed_wait_until_the_others_are_counted() {
    for (count, state) in [(4, State::Held), (2, State::Done)] {
        let world = World::with(TWO).await;
        world.store.set_stuck(Some("#received"));
        let ids = deactivate(&world, count, |n| format!("a{n}@example.com")).await;
        world.store.set_stuck(None);
        world.go(3 * MINUTE);
        for id in ids.iter().take(2) {
            assert_eq!(held_for(&world.advance(&format!("scim/{id}.1")).await), (State::Pending, vec![Veto::Settling]));
        }
        for id in &ids {
            world.advance(&format!("scim/{id}.1")).await;
        }
        world.go(15 * MINUTE);
        for id in &ids {
            assert_eq!(world.advance(&format!("scim/{id}.1")).await.state, state);
        }
    }
}

#[tokio::test]
async fn scope_change_of_thousands_is_answered_held_as_a_whole_and_dismissed() {
    let world = World::with("max_departures = { count = 50, per = \"1h\" }").await;
    let world = &world;
    let ids: Vec<String> = stream::iter(0..USERS)
        .map(async |n| create(world, &format!("a{n}@example.com")).await)
        .buffered(8)
        .collect()
        .await;
    world.vendors.have(&["a0@example.com", "a1@example.com", "a4999@example.com"]);
    world.go(std::time::Duration::from_secs(2 * 3600));
    for id in &ids {
        set_active(world, id, false).await;
    }
    world.go(std::time::Duration::from_secs(121));
    for id in &ids {
        let record = world.advance(&format!("scim/{id}.1")).await;
        assert_eq!(held_for(&record), (State::Held, vec![Veto::TooManyDepartures]));
    }
    assert_eq!((world.vendors.removals(), world.vendors.asked().len()), (0, 0));
    for id in &ids {
        let dismissed = world.decide(&format!("scim/{id}.1"), Decision::Dismiss).await.unwrap();
        assert_eq!(dismissed.state, State::Dismissed);
    }
}

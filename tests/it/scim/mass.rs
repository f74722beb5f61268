//! A scope change at the identity provider: thousands of users are disabled at once.

use futures_util::{StreamExt, stream};
use offboard::operator::Decision;

use super::*;

const USERS: usize = 5000;

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

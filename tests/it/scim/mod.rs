//! The SCIM endpoint over a small world: what identity providers send, what they are answered, and who is removed by it.

mod around;
mod clients;
mod concurrency;
mod histories;
mod inherited;
mod lists;
mod mass;
mod okta;
mod refusals;
mod states;
mod traps;

use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use offboard::{
    judgement::Veto,
    ledger::{Record, State, store::Store},
};
use serde_json::{Value, json};

use crate::flow::world::{World, vetoes};

/// What came back.
#[derive(Debug)]
struct Reply {
    status: u16,
    body: Value,
    location: Option<String>,
    retry_after: Option<String>,
    media_type: Option<String>,
}

async fn send(world: &World, source: &str, request: &str, body: Value) -> Reply {
    let answer = world.scim(source, request, &body).await;
    let text = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    Reply {
        status: answer.status().as_u16(),
        location: text(LOCATION),
        retry_after: text(RETRY_AFTER),
        media_type: text(CONTENT_TYPE),
        body: if answer.body().is_empty() { Value::Null } else { serde_json::from_str(answer.body()).unwrap() },
    }
}

/// Sends a request that must be answered with this status.
async fn expect(world: &World, status: u16, request: &str, body: Value) -> Value {
    let reply = send(world, "scim", request, body).await;
    assert_eq!(reply.status, status, "{request}: {}", reply.body);
    reply.body
}

/// Creates a user of this name; returns the id.
async fn create(world: &World, name: &str) -> String {
    post(world, 201, json!({"userName": name})).await
}

/// Posts a user; returns the id that is answered.
async fn post(world: &World, status: u16, user: Value) -> String {
    let body = expect(world, status, "POST /Users", user).await;
    body["id"].as_str().unwrap_or_default().to_owned()
}

async fn get(world: &World, id: &str) -> Value {
    expect(world, 200, &format!("GET /Users/{id}"), Value::Null).await
}

async fn patch(world: &World, id: &str, operation: Value) -> Value {
    expect(world, 200, &format!("PATCH /Users/{id}"), json!({"Operations": [operation]})).await
}

async fn set_active(world: &World, id: &str, active: bool) -> Value {
    patch(world, id, json!({"op": "replace", "path": "active", "value": active})).await
}

async fn delete(world: &World, id: &str) {
    expect(world, 204, &format!("DELETE /Users/{id}"), Value::Null).await;
}

/// The departures that were recorded, in order.
async fn departures(world: &World) -> Vec<String> {
    let mut ids = Vec::new();
    for month in ["2026-01", "2026-02", "2026-03"] {
        let (records, _) = world.ledger.of_month(month, None).await.unwrap();
        ids.extend(records.into_iter().map(|record| record.id));
    }
    ids.sort();
    ids
}

/// Lets a departure's `settle` pass, and follows its message.
async fn settle(world: &World, departure: &str) -> Record {
    world.go(std::time::Duration::from_secs(121));
    world.advance(departure).await
}

/// Creates users, long enough before what comes next.
async fn staff<const N: usize>(world: &World, names: [&str; N]) -> [String; N] {
    let mut ids = Vec::new();
    for name in names {
        ids.push(create(world, name).await);
    }
    world.go(std::time::Duration::from_secs(2 * 3600));
    ids.try_into().unwrap()
}

fn held_for(record: &Record) -> (State, Vec<Veto>) {
    (record.state, vetoes(record))
}

/// Everything that is stored.
async fn store_text(world: &World) -> String {
    let items = world.store.read(&world.store.ids()).await.unwrap();
    items.values().map(|item| format!("{item:?}\n")).collect()
}

//! Random histories of one person at an identity provider: whatever is sent, and whatever fails, nobody is removed who is
//! active, and nobody who left is forgotten.

use std::time::Duration;

use fastrand::Rng;

use super::*;
use crate::flow::{store::Fault, world::HOUR};

const ANN: &str = "ann@example.com";

/// What the identity provider holds for true.
struct Client<'a> {
    world: &'a World,
    id: Option<String>,
    is_active: bool,
    /// Whether the account was removed by now, or has to stay.
    has_account: bool,
    done: Vec<String>,
}

impl Client<'_> {
    /// Sends until it is answered, as an identity provider does.
    async fn send(&mut self, rng: &mut Rng, request: &str, body: Value) -> Reply {
        self.done.push(format!("{request} {body}"));
        if rng.u8(..4) == 0 {
            let fault = if rng.bool() { Fault::Fails } else { Fault::LosesAnswer };
            self.world.store.fault_at(rng.usize(1..8), fault);
        }
        for _ in 0..3 {
            let reply = send(self.world, "scim", request, body.clone()).await;
            if reply.status != 503 {
                self.world.store.calls();
                return reply;
            }
        }
        panic!("{:?}", self.done);
    }

    async fn step(&mut self, rng: &mut Rng) {
        let path = self.id.as_ref().map(|id| format!("/Users/{id}"));
        match (rng.u8(..8), path) {
            (0 | 1, None) | (0, Some(_)) => {
                let user = json!({"userName": ANN, "externalId": "E1", "active": true});
                let reply = self.send(rng, "POST /Users", user).await;
                assert!([201, 409].contains(&reply.status), "{reply:?}");
                let found = expect(self.world, 200, "GET /Users?filter=externalId eq E1", Value::Null).await;
                self.id = found["Resources"][0]["id"].as_str().map(str::to_owned);
                self.is_active = true;
            }
            (1 | 2, Some(path)) => self.set(rng, &path, "PATCH", false).await,
            (3, Some(path)) => self.set(rng, &path, "PUT", false).await,
            (4, Some(path)) => self.set(rng, &path, "PATCH", true).await,
            (5, Some(path)) => {
                let reply = self.send(rng, &format!("DELETE {path}"), Value::Null).await;
                assert!([204, 404].contains(&reply.status), "{reply:?}");
                (self.id, self.is_active) = (None, false);
            }
            (6, _) => self.pass(Duration::from_secs(rng.u64(1..4 * 3600))).await,
            _ => self.pass(Duration::from_secs(rng.u64(1..4 * 60))).await,
        }
    }

    async fn set(&mut self, rng: &mut Rng, path: &str, method: &str, active: bool) {
        let body = match method {
            "PUT" => json!({"userName": ANN, "externalId": "E1", "active": active}),
            _ => json!({"Operations": [{"op": "replace", "path": "active", "value": active}]}),
        };
        let reply = self.send(rng, &format!("{method} {path}"), body).await;
        assert_eq!((reply.status, &reply.body["active"]), (200, &json!(active)), "{:?}", self.done);
        self.is_active = active;
    }

    /// Lets time pass, and ticks. Who is active keeps the account; who came back is given one again.
    async fn pass(&mut self, time: Duration) {
        self.done.push(format!("{} s", time.as_secs()));
        self.world.go(time);
        if self.is_active && !self.has_account {
            self.world.vendors.have(&[ANN]);
            self.has_account = true;
        }
        self.world.tick_and_follow().await;
        let left = self.world.vendors.left();
        assert!(!self.is_active || left.len() == 2, "removed, and is active: {:#?}", self.done);
        self.has_account = left.len() == 2;
    }
}

#[tokio::test]
async fn nobody_is_removed_who_is_active_and_nobody_who_left_is_forgotten() {
    for seed in 0..60 {
        let (world, mut rng) = (World::new().await, Rng::with_seed(seed));
        world.vendors.have(&[ANN]);
        let (id, done) = (None, vec![format!("seed {seed}")]);
        let mut client = Client { world: &world, id, is_active: true, has_account: true, done };
        for _ in 0..30 {
            client.step(&mut rng).await;
        }
        for _ in 0..4 {
            client.pass(2 * HOUR).await;
        }
        let records = departures(&world).await;
        for id in &records {
            let record = world.record(id).await;
            assert_ne!(record.state, State::Pending, "{id}: {:#?}", client.done);
        }
        if !client.is_active && client.has_account {
            // A person decides: a veto is shown.
            let mut held = false;
            for id in &records {
                let record = world.record(id).await;
                held |= record.state == State::Held && !vetoes(&record).is_empty();
            }
            assert!(held, "forgotten: {:#?}", client.done);
        }
    }
}

//! What is called and read for a departure, however many come with it, and however many the ledger holds. Counts, so that nothing
//! here depends on the machine.

use std::{sync::Arc, time::Duration};

use offboard::{
    departure::DeliveryEvents,
    flow::Worker,
    ledger::{Ledger, State, dynamodb::DynamoDb},
    outcome::Status,
};
use offboard_sandbox::{
    aws::dynamodb::{self as mock, Reads},
    mock::{MockServer, Watched},
};
use tokio::time::Instant;

use crate::{
    flow::world::{World, at, by_email, departure},
    ledger::store::client,
};

/// A world whose ledger is in the mock DynamoDB.
struct Grown {
    world: World,
    dynamodb: MockServer<mock::DynamoDb>,
}

/// What some departures cost.
#[derive(Debug, PartialEq)]
struct Cost {
    calls_of_products: usize,
    calls_of_dynamodb: usize,
    items_read: usize,
}

fn address(n: usize) -> String {
    format!("p{n}@example.com")
}

impl Grown {
    async fn new(policy: &str) -> Self {
        let mut world = World::with(policy).await;
        let dynamodb = MockServer::start("dynamodb", [127, 0, 0, 1].into(), mock::DynamoDb::new("offboard")).await;
        let dynamodb = dynamodb.unwrap();
        let store = DynamoDb::new(client(&dynamodb.url("")), "offboard".to_owned());
        world.ledger = Ledger::new(Arc::new(store));
        world.flow.ledger = world.ledger.clone();
        Self { world, dynamodb }
    }

    /// Delivers the departures of these people at once.
    async fn leave(&self, first: usize, count: usize) -> Vec<Status> {
        let one = |n: usize| departure("idp", &n.to_string(), by_email(&address(n)), at(-1));
        let delivery = DeliveryEvents { departures: (first..first + count).map(one).collect(), ..Default::default() };
        let clock = || self.world.clock.now();
        // Longer than a busy machine takes.
        let worker = Worker { name: "w", clock: &clock, deadline: Instant::now() + Duration::from_secs(120) };
        let reports = self.world.deliver_as("idp", &delivery, worker).await.unwrap();
        reports.iter().map(|report| report.status).collect()
    }

    fn reads(&self) -> Reads {
        self.dynamodb.with(mock::DynamoDb::take_reads)
    }

    /// Adds records of departures that are closed, received in this month and the 12 before.
    fn grow(&self, closed: usize) {
        let now = self.world.clock.now();
        let received = (0..closed).map(|n| now - time::Duration::hours((n * 9000 / closed).try_into().unwrap()));
        assert_eq!(self.dynamodb.with(|table| table.copy("idp/0", received)), closed);
    }
}

#[tokio::test]
async fn departure_among_three_hundred_costs_as_much_as_one_alone() {
    let cost = async |count: usize, queued: usize| {
        let grown = Grown::new("max_departures = { count = 1000, per = \"1h\" }").await;
        let people: Vec<_> = (0..count).map(address).collect();
        grown.world.vendors.have(&people.iter().map(String::as_str).collect::<Vec<_>>());
        grown.leave(0, count).await;
        let messages = grown.world.sqs.take();
        assert_eq!(messages.len(), queued);
        for (id, _) in messages {
            assert_eq!(grown.world.advance(&id).await.state, State::Done);
        }
        assert_eq!(grown.world.vendors.left(), [""; 0]);
        Cost {
            calls_of_products: grown.world.vendors.calls(),
            calls_of_dynamodb: grown.dynamodb.calls().try_into().unwrap(),
            items_read: grown.reads().items,
        }
    };
    let (one, many) = (cost(1, 0).await, cost(300, 250).await);
    assert_eq!(many.calls_of_products, 300 * one.calls_of_products);
    // The delivery looks all up that it records, in batches of a hundred; a message reads its departure and takes its lease.
    assert_eq!(many.calls_of_dynamodb, 3 + 1 + 300 * (one.calls_of_dynamodb - 1) + 250 * 2);
    assert_eq!(many.items_read, 300 + 300 * one.items_read + 250);
}

#[tokio::test]
async fn tick_and_delivery_read_the_same_of_a_small_and_of_a_large_ledger() {
    let read = async |closed: usize| {
        let grown = Grown::new("").await;
        let people: Vec<_> = (0..9).map(address).collect();
        grown.world.vendors.have(&people.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(grown.leave(0, 2).await, [Status::Done; 2]);
        grown.grow(closed);
        grown.world.vendors.fail_for(&address(2), None);
        assert_eq!(grown.leave(2, 1).await, [Status::Pending]);
        grown.reads();
        assert_eq!(grown.leave(3, 1).await, [Status::Done]);
        let delivery = grown.reads();
        grown.world.go(Duration::from_secs(60));
        assert_eq!(grown.world.tick().await, ["idp/2"]);
        let tick = grown.reads();
        grown.world.vendors.work_again();
        assert_eq!(grown.world.advance("idp/2").await.state, State::Done);
        (delivery.items, tick.items, grown.reads().items, delivery.calls + tick.calls)
    };
    let (small, large) = (read(1).await, read(3000).await);
    assert_eq!(small, large);
    // One departure is open. The switch, and what waits to be published, are one read each.
    assert!(small.1 <= 3, "{small:?}");
}

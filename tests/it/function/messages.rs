//! Messages of the queue, and the tick.

use std::time::Duration;

use offboard_sandbox::{aws::dynamodb::DynamoDb, mock::MockServer};
use serde_json::{Value, json};

use crate::{
    flow::doubles::Sqs,
    function::logs::lines,
    function::world::{CONFIG, EMAIL, World, body},
    support::{Function, Vault},
};

/// A batch of the queue, with these bodies.
pub fn messages(bodies: &[&str]) -> Value {
    let message = |(n, body): (usize, &&str)| {
        json!({
            "messageId": format!("m-{n}"), "receiptHandle": "r-1", "body": body, "eventSource": "aws:sqs",
            "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {}
        })
    };
    json!({"Records": bodies.iter().enumerate().map(message).collect::<Vec<_>>()})
}

#[tokio::test]
async fn message_advances_its_departure_and_is_acknowledged_whatever_becomes_of_it() {
    let mut world = World::new().await;
    world.provider.then(503, json!({})).then(503, json!({})).then(503, json!({}));
    let reply = world.deliver(&body()).await;
    assert_eq!((reply.status, &reply.json()["status"]), (503, &json!("incomplete")));
    world.is_there();
    let bodies = [r#"{"departure": "hr/evt-1"}"#, r#"{"departure": "hr/unknown"}"#, "hello"];
    let acknowledged = json!({"batchItemFailures": []});
    for _ in 0..2 {
        let answer = world.function.invoke(messages(&bodies), Duration::from_secs(15)).await.unwrap();
        assert_eq!(answer, acknowledged);
    }
    let reply = world.deliver(&body()).await;
    let departure = &reply.json()["departures"][0];
    assert_eq!((reply.status, &departure["status"], &departure["duplicate"]), (200, &json!("done"), &json!(true)));
    assert_eq!(departure["providers"][0]["proof"], "second_removal");
    let log = lines(&world.function.end().await);
    let said = |message: &str| log.iter().filter(|line| line["message"] == message).count();
    assert_eq!(said("a message of a departure that is not recorded is dropped"), 2);
    assert_eq!(said("a message is not about a departure"), 2);
    // Each run of the departure, and the repetition.
    assert_eq!(said("departure"), 3);
}

#[tokio::test]
async fn tick_without_a_queue_has_nothing_to_send() {
    let mut world = World::new().await;
    let answer = world.function.invoke(json!({"tick": true}), Duration::from_secs(5)).await;
    assert_eq!(answer, Ok(Value::Null));
}

#[tokio::test]
async fn queue_is_called_past_the_proxy_that_the_providers_need() {
    let (_, secrets) = Vault::start().await;
    let ledger = MockServer::start("dynamodb", [127, 0, 0, 1].into(), DynamoDb::new("offboard")).await.unwrap();
    let (_queue, queue) = Sqs::start().await;
    let (ledger, url, nowhere) = (ledger.url(""), format!("{queue}/123456789012/offboard"), "http://127.0.0.1:9");
    let environment = [
        ("OFFBOARD_LEDGER_TABLE", "offboard"),
        ("OFFBOARD_QUEUE_URL", url.as_str()),
        ("AWS_ENDPOINT_URL_DYNAMODB", ledger.as_str()),
        ("AWS_ENDPOINT_URL_SQS", queue.as_str()),
        ("HTTP_PROXY", nowhere),
        ("HTTPS_PROXY", nowhere),
    ];
    let config = format!("{CONFIG}base_url = \"https://api.example.com\"\n");
    let mut function = Function::start(&config, &secrets, &environment).await;
    let answer = function.invoke(json!({"tick": true}), Duration::from_secs(15)).await;
    assert_eq!(answer, Ok(Value::Null));
}

#[tokio::test]
async fn ledger_that_is_down_refuses_deliveries_acknowledges_messages_and_fails_the_tick() {
    let nowhere = "http://127.0.0.1:9";
    let environment = [
        ("OFFBOARD_LEDGER_TABLE", "offboard"),
        ("OFFBOARD_QUEUE_URL", "http://127.0.0.1:9/123456789012/offboard"),
        ("AWS_ENDPOINT_URL_DYNAMODB", nowhere),
        ("AWS_ENDPOINT_URL_SQS", nowhere),
    ];
    let mut world = World::with("", "", &environment).await;
    let reply = world.deliver(&body()).await;
    assert_eq!((reply.status, &reply.json()["type"]), (503, &json!("urn:offboard:problem:not-recorded")));
    assert!(reply.headers.contains_key("retry-after") && world.provider.calls().is_empty());
    let message = messages(&[r#"{"departure": "hr/evt-1"}"#]);
    let answer = world.function.invoke(message, Duration::from_secs(15)).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    let error = world.function.invoke(json!({"tick": true}), Duration::from_secs(15)).await.unwrap_err();
    assert!(error["errorMessage"].as_str().unwrap().starts_with("the ledger cannot be used: "), "{error}");
    let log = world.function.end().await;
    assert!(log.contains(r#""NotRecorded":1"#), "{log}");
    assert!(!log.contains("127.0.0.1") && !log.contains(EMAIL), "{log}");
}

#[tokio::test]
async fn table_without_queue_ends_the_function() {
    for name in ["OFFBOARD_LEDGER_TABLE", "OFFBOARD_QUEUE_URL"] {
        let (_, secrets) = Vault::start().await;
        let config = format!("{CONFIG}base_url = \"http://127.0.0.1:9\"\n");
        let (success, log) = Function::start(&config, &secrets, &[(name, "x")]).await.ended().await;
        let fault = "OFFBOARD_LEDGER_TABLE and OFFBOARD_QUEUE_URL go together: set both or neither";
        assert!(!success && log.contains(fault), "{log}");
    }
}

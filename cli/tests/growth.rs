//! What commands read of a large ledger: what they show, counted as DynamoDB counts.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::{process::Command, sync::Arc};

use aws_credential_types::Credentials;
use offboard::{
    departure::{Departure, Event},
    ledger::{Ledger, Record, State, dynamodb::DynamoDb},
    person::{Email, Person},
};
use offboard_sandbox::aws::{
    Aws,
    dynamodb::{self as mock, Reads},
};
use serde_json::Value;
use time::{Duration, OffsetDateTime, macros::datetime};

/// A day in the past on which some departures were received, and its noon.
const DAY: &str = "2026-01-15";
const NOON: OffsetDateTime = datetime!(2026-01-15 12:00 UTC);

struct World {
    aws: Aws,
}

impl World {
    /// A ledger with 2 open departures and 3 closed ones of that day, and `others` closed ones: of that month, and of the 12 before.
    async fn new(others: usize) -> Self {
        let aws = Aws::start([127, 0, 0, 1].into()).await.unwrap();
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(offboard::aws::behavior())
            .http_client(offboard::aws::http_client(None).unwrap())
            .region(aws_sdk_dynamodb::config::Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(aws.dynamodb.url(""))
            .build();
        let store = DynamoDb::new(aws_sdk_dynamodb::Client::from_conf(config), "offboard".into());
        let ledger = Ledger::new(Arc::new(store));
        for n in 0..5 {
            let event = Event { id: n.to_string(), kind: "left".into(), occurred_at: None, organization: None };
            let person = Person { email: Email::parse(&format!("p{n}@example.com")), ..Person::default() };
            let departure = Departure { id: format!("hr/{n}"), source: "hr".into(), event, person };
            let close = |record: &mut Record| {
                if n > 1 {
                    (record.state, record.due_at) = (State::Done, None);
                }
            };
            ledger.record(&departure, NOON, close).await.unwrap();
        }
        let before = (0..others).map(|n| NOON - Duration::days(1) - Duration::hours((n * 9000 / others) as i64));
        let after = (0..others / 10).map(|n| NOON + Duration::days(1) + Duration::minutes(n as i64));
        aws.dynamodb.with(|table| table.copy("hr/4", before.chain(after)));
        aws.dynamodb.with(mock::DynamoDb::take_reads);
        Self { aws }
    }

    /// Returns what a command shows, and what it read.
    async fn run(&self, arguments: &[&str]) -> (Value, Reads) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
        command.args(arguments).arg("--json").env_clear().envs(self.aws.environment());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("offboard runs");
        assert_eq!(self.aws.unknown(), [""; 0]);
        let shown = serde_json::from_slice(&output.stdout);
        let shown = shown.unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
        (shown, self.aws.dynamodb.with(mock::DynamoDb::take_reads))
    }
}

#[tokio::test]
async fn commands_read_what_they_show_however_much_the_ledger_holds() {
    let (small, large) = (World::new(0).await, World::new(5000).await);
    let shows = |value: &Value| match value.as_array() {
        Some(listed) => listed.len(),
        None => value["figures"]["departures"].as_u64().unwrap().try_into().unwrap(),
    };
    for (arguments, shown, most) in [
        // Each open one is found in the index and read.
        (&["departures", "list"][..], 2, 4),
        (&["departures", "list", "--state", "held"], 0, 0),
        (&["departures", "list", "--all", "--since", DAY, "--until", DAY], 5, 5),
        (&["evidence", "--since", DAY, "--until", DAY], 5, 5),
    ] {
        let (few, expected) = small.run(arguments).await;
        let (many, read) = large.run(arguments).await;
        assert_eq!((shows(&few), shows(&many)), (shown, shown), "{arguments:?}");
        assert_eq!(read.items, expected.items, "{arguments:?}");
        assert!(read.items <= most && read.calls == expected.calls, "{arguments:?}: {read:?}");
    }
}

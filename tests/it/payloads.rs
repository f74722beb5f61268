//! Bodies as the senders document them, each read as its index says: the subject and never the actor, every departure in a
//! delivery, and nothing that is none.

use offboard::departure::{DeliveryEvents, EventTime};
use serde_json::{Value, json};

use crate::signing::source;

/// A sender of no kind of ours, its bodies read by a mapping of one's own: lists, conditions.
const GRAPH: &str = r#"kind = "token"
token = { header = "authorization" }
event = { items = "/value", type = "/changeType", departures = ["deleted"], where = { "/clientState" = "secretClientState" } }
person = { idp_id = "/resourceData/id" }"#;
/// The configuration of the source that sends this file.
fn table(file: &str) -> String {
    let kind = match file.split('.').take(2).collect::<Vec<_>>()[..] {
        ["auth0", "log"] => "auth0_logs",
        ["google", _] => "google_workspace",
        ["msgraph", _] => return GRAPH.to_owned(),
        [kind, ..] => kind,
        [] => unreachable!("a file has a name"),
    };
    format!("kind = \"{kind}\"")
}

/// What the index calls a departure or an event that is none.
fn verdicts(delivery: &DeliveryEvents) -> Vec<Value> {
    let departures = delivery.departures.iter().map(|departure| {
        let (event, person) = (&departure.event, &departure.person);
        let known = person.email.is_some() || person.external_id.is_some() || person.idp_id.is_some();
        json!({
            "verdict": if known { "leaver" } else { "unresolvable" },
            "event_id": event.id,
            "type": event.kind,
            "email": person.email.as_ref().map(|email| email.expose()),
            "provider_user_id": person.idp_id,
            "external_id": person.external_id,
            "org": event.organization,
            "time": event.occurred_at.map(|at| at.to_string()),
        })
    });
    let ignored = delivery.ignored.iter().map(|ignored| {
        json!({ "verdict": "ignore", "event_id": ignored.id, "type": ignored.kind, "reason": ignored.reason })
    });
    departures.chain(ignored).collect()
}

/// Whether what was read is what the index says. It says null of a time and an id where the sender has none of its own,
/// or where they do not matter.
fn agrees(read: &Value, expected: &Value) -> bool {
    let same = |field: &str| read[field] == expected[field];
    let id = expected["event_id"].as_str().is_none_or(|id| match id {
        "<svix-id header>" => read["event_id"] == "msg_1",
        "<channel-id>/<message-number>" => read["event_id"] == "deleteChannel/236440",
        id => read["event_id"] == id,
    });
    let time = EventTime::parse(&expected["time"]).is_none_or(|time| read["time"] == time.to_string());
    id && time && same("email") && same("provider_user_id") && same("external_id") && same("org")
}

/// The events' names that a person may take for departures as well.
fn also(file: &str) -> &'static str {
    match file {
        "auth0.event.user.updated.blocked.json" => "\nalso = [\"user.updated\"]",
        "auth0.event.organization.member.deleted.json" => "\nalso = [\"organization.member.deleted\"]",
        _ => "",
    }
}

#[test]
fn every_recorded_body_says_what_its_index_says() {
    let index: Vec<Value> = serde_json::from_str(include_str!("../data/payloads/INDEX.json")).unwrap();
    let mut told = String::new();
    // Bodies of SCIM are read by its endpoint: `scim::clients` has them.
    for entry in index.iter().filter(|entry| !entry["file"].as_str().unwrap().starts_with("scim.")) {
        let file = entry["file"].as_str().unwrap();
        let body = std::fs::read(format!("{}/tests/data/payloads/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let read = |table: &str| {
            let given = entry["headers"].as_object().into_iter().flatten();
            let headers = given.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().to_owned()));
            crate::signing::read(&source(table), &headers.collect::<Vec<_>>(), &body)
                .unwrap_or_else(|why| panic!("{why}"))
        };
        let (plain, widest) = (verdicts(&read(&table(file))), verdicts(&read(&(table(file) + also(file)))));
        let expected = entry["expect"].as_array().unwrap();
        assert_eq!(plain.len(), expected.len(), "{file}");
        for expected in expected {
            let reason = match expected["verdict"].as_str().unwrap() {
                verdict @ ("leaver" | "unresolvable") => {
                    let found = |read: &&Value| read["verdict"] == verdict && agrees(read, expected);
                    assert!(plain.iter().any(|read| found(&read)), "{file}: {expected} is not among {plain:#?}");
                    continue;
                }
                "suspended" => "a suspension",
                "org-removed" => "left a group or an organization",
                // Another's item, and one that would have to be looked up: neither says that somebody left.
                "ignore" | "reject" | "lookup" => "not a departure",
                other => panic!("{file}: {other}"),
            };
            let ignored = |read: &&Value| read["verdict"] == "ignore" && read["reason"] == reason;
            assert!(plain.iter().any(|read| ignored(&read)), "{file}: {expected} is not among {plain:#?}");
            if !also(file).is_empty() {
                assert!(
                    widest.iter().any(|read| read["verdict"] == "leaver" && agrees(read, expected)),
                    "{file}: {widest:#?}"
                );
            }
        }
        told += &format!("{file}\n");
        for read in &plain {
            told += &format!("  {read}\n");
        }
    }
    insta::assert_snapshot!(told);
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/payloads")).unwrap().count();
    assert_eq!(files, index.len() + 1, "every file stands in the index");
}

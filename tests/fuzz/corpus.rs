//! What the inputs grow from: the recorded bodies and signatures, and each source's own samples.

use std::fs;

use serde_json::{Value, json};

use crate::{
    case::Case,
    doors::{DOORS, Door, NOW},
};

/// Stands in every member that says who did it, and must never come out as whom it was done to.
pub const ACTOR: &str = "marked-actor";
type Headers = Vec<(String, String)>;

const SUBJECT: &str = "ann.leaver@example.com";

/// One door for each kind: how a delivery is signed does not change what it means.
pub fn readers() -> Vec<Case> {
    let mut doors: Vec<&'static Door> = Vec::new();
    for door in DOORS.iter() {
        // The last one is the quickest to sign with, where there are several.
        doors.retain(|known| known.source.kind.name != door.source.kind.name);
        doors.push(door);
    }
    let mut cases = Vec::new();
    for door in doors {
        for what in door.source.samples() {
            if let Some((headers, body)) = door.source.sample(what, SUBJECT, "evt_1", NOW) {
                cases.push(unsigned(door, headers, body));
            }
        }
        for (headers, body) in recorded(door.source.kind.name) {
            cases.push(unsigned(door, headers, body));
        }
    }
    cases
}

fn unsigned(door: &'static Door, headers: Headers, body: Vec<u8>) -> Case {
    let headers = headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
    let body = planted(door.source.kind.name, body);
    Case { door, id: "evt_1".to_owned(), headers, body, moved: false }
}

/// The recorded bodies of a kind, each with the headers that belong to it. The generic kinds get all.
fn recorded(kind: &str) -> Vec<(Headers, Vec<u8>)> {
    let index: Vec<Value> = serde_json::from_str(include_str!("../data/payloads/INDEX.json")).expect("JSON");
    let of_kind = |file: &str| match kind {
        "auth0_logs" => file.starts_with("auth0.log."),
        "auth0" => file.starts_with("auth0.event."),
        "google_workspace" => file.starts_with("google."),
        "hmac" | "token" => true,
        kind => file.split('.').next() == Some(kind),
    };
    let entries = index.iter().filter(|entry| entry["file"].as_str().is_some_and(of_kind));
    let read = |entry: &Value| {
        let headers = entry["headers"].as_object().into_iter().flatten();
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap_or_default().to_owned()));
        let path = format!(
            "{}/tests/data/payloads/{}",
            env!("CARGO_MANIFEST_DIR"),
            entry["file"].as_str().unwrap_or_default()
        );
        (headers.collect(), fs::read(path).expect("a recorded body"))
    };
    entries.map(read).collect()
}

/// Puts the mark where a sender names who did it.
fn planted(kind: &str, body: Vec<u8>) -> Vec<u8> {
    let Ok(mut document) = serde_json::from_slice::<Value>(&body) else { return body };
    let who = json!({ "id": ACTOR, "name": format!("{ACTOR}@example.com"), "alternateId": format!("{ACTOR}@example.com"), "type": "User" });
    let mut put = |pointer: &str, member: &str, value: &Value| {
        if let Some(Value::Object(fields)) = document.pointer_mut(pointer) {
            fields.insert(member.to_owned(), value.clone());
        }
    };
    let id = json!(ACTOR);
    match kind {
        "okta" => put("/data/events/0", "actor", &who),
        "keycloak" => put("", "authDetails", &json!({ "realmId": "master", "userId": id, "username": who["name"] })),
        "zitadel" => put("", "userID", &id),
        "github" => put("", "sender", &json!({ "id": id, "login": id, "email": who["name"] })),
        "hibob" => put("", "triggeredBy", &id),
        "onelogin" => ["", "/0"].iter().for_each(|at| {
            put(at, "actor_user_id", &id);
            put(at, "actor_user_name", &who["name"]);
        }),
        "pingone" => ["", "/0"].iter().for_each(|at| put(at, "actors", &json!({ "user": who }))),
        _ => {}
    }
    document.to_string().into_bytes()
}

/// Signed deliveries for every door, and the recorded signatures for those that they may be meant for.
pub fn verifiers() -> Vec<Case> {
    let mut cases = Vec::new();
    for door in DOORS.iter() {
        cases.extend(signed(door));
        let names: Vec<_> =
            door.sign("1", NOW, &door.body(b"")).headers.keys().map(|name| name.as_str().to_owned()).collect();
        for vector in vectors() {
            let headers = vector["headers"].as_object().into_iter().flatten();
            let headers: Vec<_> =
                headers.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap_or_default().into())).collect();
            if names.iter().all(|name| headers.iter().any(|(given, _)| given == name)) {
                let body = vector["body"].as_str().unwrap_or_default().as_bytes().to_vec();
                cases.push(Case { door, id: String::new(), headers, body, moved: true });
            }
        }
    }
    cases
}

/// What the sender of this door signed.
pub fn signed(door: &'static Door) -> Vec<Case> {
    let what =
        [("evt_1", &b"{\"id\":1}"[..]), ("evt_2", br#"{"type":"user.deleted","user":{"email":"bob@example.com"}}"#)];
    let case = |(id, bytes): (&str, &[u8])| {
        let sent = door.sign(id, NOW, &door.body(bytes));
        let headers = sent.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        Case { door, id: id.to_owned(), headers: headers.collect(), body: sent.body, moved: true }
    };
    what.map(case).into()
}

fn vectors() -> Vec<Value> {
    let files = [
        include_str!("../data/vectors/formula.json"),
        include_str!("../data/vectors/github_octokit.json"),
        include_str!("../data/vectors/published.json"),
        include_str!("../data/vectors/standardwebhooks_py.json"),
        include_str!("../data/vectors/workos_node.json"),
        include_str!("../data/vectors/zitadel_go.json"),
    ];
    files.iter().flat_map(|file| serde_json::from_str::<Vec<Value>>(file).expect("JSON")).collect()
}

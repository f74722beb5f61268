//! What is wrong with a source's table, and what its pointers mean.

use std::time::Duration;

use offboard::{config::Config, person::Email};
use serde_json::{Value, json};

use super::{BATCH, HR, read};
use crate::signing::{NOW, fault, source};

#[test]
fn a_configuration_that_cannot_work_is_told_why() {
    let known = "kind = \"standard_webhooks\"";
    let published = "jwks = \"https://idp.example.com/jwks.json\"";
    for (table, expected) in [
        (
            format!("{known}\nalso = [\"user.renamed\"]"),
            "`also` cannot name `user.renamed`: it may name user.suspended",
        ),
        (
            format!("{known}\nsignature = {{ header = \"x\" }}"),
            "`signature` goes with kind `hmac`: how `standard_webhooks` signs is known",
        ),
        (
            format!("{known}\ntoken = {{ header = \"x\" }}"),
            "`token` goes with senders of a static token; `standard_webhooks` is not one",
        ),
        (
            format!("{known}\n{published}"),
            "`jwks` goes with senders that sign JSON Web Tokens; `standard_webhooks` does not",
        ),
        (
            format!("{known}\nissuer = \"x\""),
            "`issuer` and `audience` go with JSON Web Tokens; `standard_webhooks` signs none",
        ),
        (
            "kind = \"keycloak\"\nissuer = \"x\"\naudience = \"us\"".to_owned(),
            "`issuer` and `audience` go with `jwks`, which must say where the sender publishes its keys",
        ),
        (
            format!("kind = \"fusionauth\"\n{published}\nsecret = \"x\""),
            "`jwks` and `secret` exclude each other: a token is checked with one kind of key",
        ),
        (
            format!("kind = \"shared_signals\"\n{published}\naudience = \"us\""),
            "`issuer` must say whose tokens to take",
        ),
        (format!("kind = \"shared_signals\"\n{published}\nissuer = \"x\""), "`audience` must say for whom they are"),
        (
            "kind = \"shared_signals\"\nissuer = \"x\"\naudience = \"us\"".to_owned(),
            "`jwks` must say where the sender publishes its keys",
        ),
        (format!("kind = \"keycloak\"\n{published}\nissuer = \"x\""), "`audience` must say for whom they are"),
        (
            HR.replace("signature = { header = \"x-hr-signature\", prefix = \"sha256=\" }\n", ""),
            "`signature` is missing",
        ),
        (BATCH.replace("token = { header = \"x-token\" }\n", ""), "`token` is missing"),
        (
            HR.replace("departures = [\"employee.terminated\"], ", ""),
            "`event` must name the `departures`: the types of the events that say that somebody left",
        ),
        (
            HR.replace("\"employee.terminated\"", ""),
            "`event` must name the `departures`: the types of the events that say that somebody left",
        ),
        (HR.replace("type = \"/event\", ", ""), "`event` must say where an event's `type` stands (a JSON Pointer)"),
        (
            HR.replace("email = \"/data/email\", external_id = \"/data/employee_no\"", ""),
            "`person` must say where an `email`, an `external_id` or an `idp_id` stands",
        ),
        (HR.replace("\"/event\"", "\"event\""), "expected a JSON Pointer, which begins with a /, or a list of them"),
        (BATCH.replace("[\"a\", \"b\"]", "[]"), "`/tenant` must be one of something"),
        (
            BATCH.replace("\"/by\"", "\"by\""),
            "an event is named by its type, or by { type = \"…\", where = { \"/pointer\" = value } }",
        ),
        (BATCH.replace("\"/test\"", "\"test\""), "`test` is not a JSON Pointer: it begins with a /"),
        (
            "kind = \"okta\"\naccept_unverified = true".to_owned(),
            "`accept_unverified` changes nothing: `okta` does not say whether an e-mail address is verified",
        ),
        (
            HR.replace("\"/data/email\"", "\"/emails/*/value\""),
            "`/emails/*/value` has a `*`, which JSON Pointers do not know",
        ),
        (HR.replace("\"/event\"", "[\"/type\", \"/*/event\"]"), "`/*/event` has a `*`"),
        (
            listed("/0/email"),
            "`/0/email` can match nothing: where `items` is given, pointers start at an event in the list",
        ),
        (listed("/data/events/0/email"), "`/data/events/0/email` can match nothing"),
        ("kind = \"descope\"".to_owned(), "`event` must say where an event's `type` stands (a JSON Pointer)"),
    ] {
        let told = fault(&table);
        assert!(told.starts_with("line ") && told.contains(expected), "{table}\n{told}");
    }
}

/// [`HR`], whose deliveries list their events, with this pointer to an e-mail address.
fn listed(email: &str) -> String {
    HR.replace("event = {", "event = { items = \"/data/events\",").replace("/data/email", email)
}

#[test]
fn pointer_into_an_event_of_a_list_may_have_an_index_behind_its_first_step() {
    let body =
        json!({"data": {"events": [{"id": "1", "event": "employee.terminated", "emails": ["lee@example.com"]}]}});
    let delivery = read(&source(&listed("/emails/0")), body.to_string().as_bytes()).unwrap();
    assert_eq!(delivery.departures[0].person.email, Email::parse("lee@example.com"));
}

#[test]
fn a_condition_may_be_any_value_and_holds_only_for_the_same() {
    let rule = r#"departures = [{ type = "user_updated", where = { "/data/active" = false, "/data/level" = 3 } }]"#;
    let hr = source(&HR.replace(r#"departures = ["employee.terminated"]"#, rule));
    for (active, level, left) in [
        (json!(false), json!(3), 1),
        (json!(true), json!(3), 0),
        (json!("false"), json!(3), 0),
        (json!(null), json!(3), 0),
        (json!(false), json!(4), 0),
    ] {
        let body = json!({"id": "1", "event": "user_updated", "data": {"active": active, "level": level}}).to_string();
        assert_eq!(read(&hr, body.as_bytes()).unwrap().departures.len(), left, "{body}");
    }
    let sample: Value =
        serde_json::from_slice(&hr.sample("departure", "ann@example.com", "1", NOW).unwrap().1).unwrap();
    assert_eq!((&sample["data"]["active"], &sample["data"]["level"]), (&json!(false), &json!(3)));
}

#[test]
fn scim_source_takes_what_goes_with_scim_and_nothing_else() {
    let read = |rest: &str| {
        Config::parse(
            &format!("[sources.idm]\nkind = \"scim\"\n{rest}\n[providers.instaply]\nkind = \"instaply\""),
            None,
        )
    };
    let source_of = |rest: &str| read(rest).unwrap_or_else(|faults| panic!("{rest}: {faults}")).sources["idm"].clone();
    assert_eq!(source_of("").settle, Duration::from_secs(120));
    assert_eq!(source_of("settle = \"0s\"").settle, Duration::ZERO);
    let number = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/employeeNumber";
    for rest in [
        format!("person = {{ external_id = \"{number}\" }}"),
        "token = { header = \"authorization\", prefix = \"Basic \" }".to_owned(),
        "secret = \"a/b\"".to_owned(),
    ] {
        source_of(&rest);
    }
    for (rest, told) in [
        ("event = { departures = [\"x\"] }", "`event` does not go with kind `scim`"),
        ("also = [\"x\"]", "`also` does not go with kind `scim`"),
        ("reply = \"empty\"", "`reply` does not go with kind `scim`"),
        ("accept_unverified = true", "`accept_unverified` does not go with kind `scim`"),
        ("person = { email = \"/userName\" }", "`person` of kind `scim` may hold `external_id` alone"),
        ("person = { external_id = \"/id\" }", "`person` of kind `scim` may hold `external_id` alone"),
        ("jwks = \"https://id.example.com\"", "`jwks` goes with senders that sign JSON Web Tokens"),
    ] {
        let faults = read(rest).map(|_| String::new()).unwrap_or_else(|faults| faults.to_string());
        assert!(faults.starts_with("line 3: ") || faults.starts_with("line 1: "), "{rest}: {faults}");
        assert!(faults.contains(told), "{rest}: {faults}");
    }
}

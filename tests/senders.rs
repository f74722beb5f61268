//! The senders known by name, one by one: the subject and never the actor, what is no departure, and what an event teaches.
//!
//! In every body whoever acted is called an actor, and never comes out.

use offboard::source::{KINDS, KeySource, Source};

mod kinds;
mod signing;

use signing::{NOW, read, source};

/// What has to be configured beside the kind, where its sender does not say enough of itself.
fn table(kind: &str) -> String {
    let rest = match kind {
        "hmac" => "signature = { header = \"x-signature\" }",
        "token" => "token = { header = \"x-token\" }",
        "shared_signals" => {
            "jwks = \"https://idp.example.com/jwks.json\"\nissuer = \"https://idp.example.com\"\naudience = \"us\""
        }
        "onelogin" => "event = { departures = [\"17\"] }",
        _ => "",
    };
    let mapping = match kind {
        "hmac" | "token" | "descope" | "jumpcloud" => {
            "event = { id = \"/id\", type = \"/type\", departures = [\"gone\"], returns = [\"came\"] }\n\
             person = { idp_id = \"/user/id\", email = \"/user/email\" }"
        }
        _ => "",
    };
    format!("kind = \"{kind}\"\n{rest}\n{mapping}")
}

fn sample(source: &Source, what: &str) -> offboard::departure::Delivery {
    let (headers, body) = source.sample(what, "ann@example.com", "evt_9", NOW).unwrap();
    read(source, &headers, &body).unwrap_or_else(|why| panic!("{} {what}: {why}", source.kind.name))
}

/// Senders that teach nobody's address: no event says whose it is, or none but a departure.
const TEACH_NOTHING: [&str; 5] = ["auth0_logs", "github", "hibob", "onelogin", "shared_signals"];

#[test]
fn every_sample_is_read_as_what_it_claims() {
    for kind in KINDS {
        let source = source(&table(kind.name));
        let departed = sample(&source, "departure");
        assert_eq!((departed.departures.len(), &*departed.faults), (1, &[][..]), "{}", kind.name);
        let departure = &departed.departures[0];
        let is_ann = |email: &offboard::person::Email| email.is("ann@example.com");
        match &departure.person.email {
            Some(email) => assert!(is_ann(email), "{}", kind.name),
            None => assert!(departure.person.idp_id.is_some(), "{}", kind.name),
        }
        assert!(departure.event.occurred_at.is_none_or(|at| (at - NOW).abs().whole_seconds() < 1), "{}", kind.name);
        assert_eq!(source.samples().contains(&"created"), !TEACH_NOTHING.contains(&kind.name), "{}", kind.name);
        if source.samples().contains(&"created") {
            let created = sample(&source, "created");
            let [lesson] = &created.lessons[..] else { panic!("{}: {created:?}", kind.name) };
            assert!(lesson.person.email.as_ref().is_some_and(is_ann), "{}", kind.name);
            assert_eq!(created.departures, [], "{}", kind.name);
            // Both are of one person, so that a directory can be tried.
            assert!(lesson.person.idp_id.is_some(), "{}", kind.name);
            assert_eq!(lesson.person.idp_id, departure.person.idp_id, "{}", kind.name);
        }
    }
}

#[test]
fn a_claim_and_its_confirmation_are_of_one_person() {
    let zitadel = source("kind = \"zitadel\"");
    let ids = ["departure", "created", "verified"].map(|what| {
        let delivery = sample(&zitadel, what);
        delivery
            .lessons
            .first()
            .map_or_else(|| delivery.departures[0].person.clone(), |lesson| lesson.person.clone())
            .idp_id
    });
    assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(zitadel.sample("moved", "ann@example.com", "evt_9", NOW), None);
}

#[test]
fn a_sample_follows_the_configuration() {
    let moved = source(
        "kind = \"auth0\"\nevent = { type = \"/what\", departures = [\"gone\"] }\nperson = { email = \"/who\" }",
    );
    let departed = sample(&moved, "departure");
    assert_eq!(departed.departures[0].event.kind, "gone");
    assert!(departed.departures[0].person.email.as_ref().is_some_and(|email| email.is("ann@example.com")));
    let emails = source(
        "kind = \"token\"\ntoken = { header = \"x-token\" }\nevent = { type = \"/t\", departures = [\"gone\"] }\nperson = { emails = \"/emails\", verified = \"/proven\" }",
    );
    assert!(sample(&emails, "departure").departures[0].person.email.is_some());
    assert_eq!(emails.samples(), ["departure"]);
}

#[test]
fn every_kind_says_what_its_administrator_has_to_know() {
    for kind in KINDS {
        let row = kind.row().unwrap();
        let said = [&row.sender, &row.page, &row.proof, &row.lacks];
        assert!(said.into_iter().all(|text| !text.trim().is_empty()), "{}", kind.name);
        assert!(row.page.starts_with("https://"), "{}", kind.name);
        let setup = row.setup.join("\n");
        assert!(setup.contains("{url}"), "{}: where to send", kind.name);
        let source = source(&table(kind.name));
        let told = match source.keys {
            KeySource::Set(_) => "jwks".to_owned(),
            KeySource::Secret(_) => format!("{{\"{}\": \"", source.scheme.secret_keys().0),
        };
        assert!(setup.contains(&told), "{}: what to put into the secret", kind.name);
    }
}

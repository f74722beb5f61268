//! Sources that deliver by Amazon EventBridge: what is configured, and that an event means the same as by a webhook.

use std::time::Duration;

use offboard::{
    config::Config,
    source::{KINDS, Source, SourceKind},
};
use serde_json::Value;

use super::read;
use crate::signing::{NOW, fault, source, told};

/// A source of this kind that delivers by EventBridge.
fn partner(kind: &str) -> Source {
    let spec = KINDS.iter().find(|known| known.name == kind).unwrap().spec().unwrap();
    let name = format!("{}acme/offboard", spec.eventbridge.unwrap().prefix);
    source(&format!("kind = \"{kind}\"\nvia = \"eventbridge\"\nevent_source = \"{name}\""))
}

/// The kinds that can deliver by EventBridge.
fn kinds() -> Vec<&'static str> {
    let able = KINDS.iter().filter(|kind| kind.spec().unwrap().eventbridge.is_some());
    able.map(|kind| kind.name).collect()
}

#[test]
fn sample_is_the_same_by_an_event_bus_and_by_a_webhook() {
    assert_eq!(kinds(), ["auth0", "auth0_logs", "okta"]);
    for kind in kinds() {
        let (hook, bus) = (source(&format!("kind = \"{kind}\"")), partner(kind));
        assert_eq!(hook.samples(), bus.samples());
        for sample in hook.samples() {
            let of = |source: &Source| source.sample(sample, "ann@example.com", "evt_9", NOW).unwrap();
            let (by_hook, by_bus) = (of(&hook), of(&bus));
            let (by_hook, by_bus) = (read(&hook, &by_hook.1).unwrap(), read(&bus, &by_bus.1).unwrap());
            assert_eq!(by_hook, by_bus, "{kind} {sample}");
            assert_eq!(by_hook.departures.len() + by_hook.facts.len(), 1, "{kind} {sample}");
        }
    }
}

/// Else a return whose first attempt failed would come too late.
#[test]
fn departure_waits_longer_than_until_a_message_comes_again() {
    let template = include_str!("../../../template.yaml");
    let again = template.lines().filter_map(|line| line.trim().strip_prefix("VisibilityTimeout: ")?.parse().ok());
    let again = Duration::from_secs(again.max().expect("a queue says it"));
    for kind in kinds() {
        assert!(partner(kind).settle > again + Duration::from_secs(60), "{kind}");
    }
}

#[test]
fn recorded_event_is_the_same_by_an_event_bus_and_by_a_webhook() {
    let okta: Value = serde_json::from_str(include_str!("../../data/payloads/okta.deactivate.json")).unwrap();
    let auth0: Value = serde_json::from_str(include_str!("../../data/payloads/auth0.event.user.deleted.json")).unwrap();
    let log = include_str!("../../data/payloads/auth0.log.jsonlines.txt").lines().next().unwrap();
    let log: Value = serde_json::from_str(log).unwrap();
    for (kind, delivered, detail) in
        [("okta", &okta, &okta["data"]["events"][0]), ("auth0", &auth0, &auth0), ("auth0_logs", &log, &log)]
    {
        let hook = source(&format!("kind = \"{kind}\""));
        let by_hook = read(&hook, delivered.to_string().as_bytes());
        assert!(told(&by_hook).starts_with("left #"), "{kind}: {by_hook:?}");
        assert_eq!(read(&partner(kind), detail.to_string().as_bytes()), by_hook, "{kind}");
    }
}

#[test]
fn sample_in_the_folder_of_events_is_read() {
    let batch: Value =
        serde_json::from_str(include_str!("../../../events/okta-user-deactivated.event-queue.json")).unwrap();
    let event: Value = serde_json::from_str(batch["Records"][0]["body"].as_str().unwrap()).unwrap();
    let delivery = read(&partner("okta"), event["detail"].to_string().as_bytes());
    assert_eq!(told(&delivery), "left #00u0001 lee@example.com");
}

#[test]
fn source_of_an_event_bus_needs_no_secret_and_has_no_webhook() {
    for kind in kinds() {
        let (hook, bus) = (source(&format!("kind = \"{kind}\"")), partner(kind));
        assert_eq!((hook.has_webhook(), hook.partner()), (true, None));
        assert_eq!((bus.has_webhook(), bus.secret()), (false, None));
        assert_eq!(bus.response_timeout, Duration::from_secs(10), "nobody waits");
    }
}

#[test]
fn configuration_of_an_event_bus_that_cannot_work_says_why() {
    let okta = "kind = \"okta\"\nvia = \"eventbridge\"\nevent_source = \"aws.partner/okta.com/acme/offboard\"";
    let named = |name: &str| okta.replace("aws.partner/okta.com/acme/offboard", name);
    let example = "`event_source` must be the name of the partner event source: `aws.partner/okta.com/…`, as the EventBridge console \
                   shows it";
    for (table, expected) in [
        (
            "kind = \"workos\"\nvia = \"eventbridge\"".to_owned(),
            "line 3: `sources.s`: `workos` delivers to no event bus of Amazon EventBridge: only `auth0`, `auth0_logs`, `okta` do",
        ),
        (
            "kind = \"scim\"\nvia = \"eventbridge\"".to_owned(),
            "line 3: `sources.s`: `scim` delivers to no event bus of Amazon EventBridge",
        ),
        (
            "kind = \"okta\"\nvia = \"sqs\"".to_owned(),
            "`sources.s.via`: unknown value `sqs`: expected one of webhook, eventbridge",
        ),
        (
            okta.replace("via = \"eventbridge\"\n", ""),
            "line 3: `sources.s`: `event_source` goes with `via = \"eventbridge\"`: a webhook has none",
        ),
        ("kind = \"okta\"\nvia = \"eventbridge\"".to_owned(), example),
        (named(""), example),
        (named("aws.partner/okta.com/"), example),
        (named("aws.partner/auth0.com/acme/auth0.logs"), example),
        (named("aws.partner/okta.com/acme/*"), example),
        (named("prefix.aws.partner/okta.com/acme/offboard"), example),
        (format!("{okta}\nsecret = \"s\""), "line 5: `sources.s`: `secret` does not go with `via = \"eventbridge\"`"),
        (format!("{okta}\ntoken = {{ header = \"x\" }}"), "`token` does not go with `via = \"eventbridge\"`"),
        (format!("{okta}\nreply = \"empty\""), "`reply` does not go with `via = \"eventbridge\"`"),
        (format!("{okta}\nresponse_timeout = \"3s\""), "`response_timeout` does not go with `via = \"eventbridge\"`"),
    ] {
        let told = fault(&table);
        assert!(told.starts_with("line ") && told.contains(expected), "{table}\n{told}");
    }
}

#[test]
fn two_sources_of_one_partner_event_source_are_refused() {
    let table = |name: &str, source: &str| {
        format!(
            "[sources.{name}]\nkind = \"okta\"\nvia = \"eventbridge\"\nevent_source = \"aws.partner/okta.com/acme/{source}\"\n"
        )
    };
    let read = |other: &str| {
        let text = table("a", "offboard") + &table("b", other) + "[providers.instaply]\nkind = \"instaply\"\n";
        Config::parse(&text, None).map(|config| config.sources.len()).map_err(|faults| faults.to_string())
    };
    assert_eq!(read("other"), Ok(2));
    assert_eq!(read("offboard"), Err("`sources.a` and `sources.b` have the same `event_source`".to_owned()));
}

/// What the rule does not let through is never read: it has to know what the kind knows.
#[test]
fn rule_of_the_template_lets_through_every_type_that_okta_knows() {
    let template = include_str!("../../../template.yaml");
    let listed = template.split("          eventType:\n").nth(1).unwrap().split("      Targets:").next().unwrap();
    let mut listed: Vec<_> = listed.lines().map(|line| line.trim().trim_start_matches("- ")).collect();
    let spec = SourceKind::named("okta").unwrap().spec().unwrap();
    let mut known = [vec!["exists: false"], spec.departures(), spec.also(), spec.identity_facts()].concat();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
}

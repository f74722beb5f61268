//! Warnings about settings that are valid and cost safety.

use std::time::Duration;

use offboard::{
    config::{Config, Policy, ProviderConfig},
    providers::Confidence,
    source::{Protocol, Source},
};
use offboard_sandbox::screen::plural;

use super::CheckResult;

const BY_ADDRESS_ALONE: &str = "knows people by e-mail address alone: it cannot tell a leaver from a colleague who was given the \
                                address. Map `idp_id` or `external_id`, if its events have one";
const NEITHER_TIME_NOR_ID: &str = "gives its events neither a time nor an id: a second departure of a person is taken for a \
                                   repetition of the first. Map `occurred_at` or `id`, if its events have one";
const NO_CANARY: &str = "has no `canary`: where a look-up shows nothing, the person is taken for absent, even if it could see \
                         nobody at all. Name the e-mail address of an account that is always there";

const UNDERSCORE: &str = "has an underscore in its name: Okta refuses a base URL with one. Use a hyphen";
const NO_LEDGER: &str = "keeps its users in the ledger: without the ledger's table they are forgotten with the process. Name the \
                         stack with --stack to have the table checked";

const LATE_EVENTS: &str = "of which an event may be under way for two days: `max_event_age` holds those that are late";
const ANY_ORDER: &str =
    "which come in any order: with `settle = \"0s\"` a person may be removed whose return is still in the queue";

/// How long an event may be under way: a day until it is in the queue, and a day there.
const LONGEST_EVENT: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Warns of SCIM sources where no stack, and so no ledger, is named.
pub(super) fn without_ledger(config: &Config) -> Vec<CheckResult> {
    let sources = config.sources.values().filter(|source| source.protocol == Protocol::Scim);
    sources.map(|source| CheckResult::warning(format!("source {}", source.name), NO_LEDGER)).collect()
}

/// Reports on a configuration that was read.
pub(super) fn check(config: &Config) -> Vec<CheckResult> {
    let Config { policy, sources, providers, .. } = config;
    let counts = [plural(sources.len(), "source"), plural(providers.len(), "provider")].join(", ");
    let note = format!("{counts}, mode = \"{}\"", policy.mode);
    let sources = sources.values().flat_map(|one| source(one).into_iter().chain(partner(one, policy)));
    let providers = providers.iter().flat_map(|one| [confidence(one), provider(one)]).flatten();
    [CheckResult::ok("configuration", note)].into_iter().chain(sources).chain(providers).collect()
}

fn source(source: &Source) -> Vec<CheckResult> {
    let is_refused = source.protocol == Protocol::Scim && source.name.contains('_');
    let warnings = [
        (!source.knows_ids(), BY_ADDRESS_ALONE),
        (!source.identifies_events(), NEITHER_TIME_NOR_ID),
        (is_refused, UNDERSCORE),
    ];
    let warnings = warnings.into_iter().filter(|(is_so, _)| *is_so);
    warnings.map(|(_, warning)| CheckResult::warning(format!("source {}", source.name), warning)).collect()
}

/// Says from where a source takes its events, if it has no webhook.
fn partner(source: &Source, policy: &Policy) -> Vec<CheckResult> {
    let Some(partner) = source.partner() else { return Vec::new() };
    let what = format!("source {}", source.name);
    let note = |note: &str| format!("takes the events of {}, {note}", partner.as_str());
    let warnings = [(policy.max_event_age < LONGEST_EVENT, LATE_EVENTS), (source.settle.is_zero(), ANY_ORDER)];
    let warnings = warnings.into_iter().filter(|(is_so, _)| *is_so);
    let warnings = warnings.map(|(_, warning)| CheckResult::warning(what.clone(), note(warning)));
    let taken = CheckResult::ok(what.clone(), note("if the stack has it as PartnerEventSource"));
    [taken].into_iter().chain(warnings).collect()
}

fn provider(provider: &ProviderConfig) -> Option<CheckResult> {
    let is_blind = provider.kind.looks_up && provider.canary.is_none();
    is_blind.then(|| CheckResult::warning(format!("provider {}", provider.name), NO_CANARY))
}

/// Says what the facts of a provider's kind rest on, unless the vendor documents them all.
fn confidence(provider: &ProviderConfig) -> Option<CheckResult> {
    let kind = provider.kind;
    let note = || format!("{} is {}", kind.name, kind.status.in_words());
    (kind.status == Confidence::PartlyInferred).then(|| CheckResult::ok(format!("provider {}", provider.name), note()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;

    /// The warnings about a configuration, without their last sentence.
    fn warnings(text: &str) -> Vec<String> {
        let config = Config::parse(text, None).unwrap_or_else(|errors| panic!("{errors}"));
        let results = check(&config).into_iter().skip(1);
        results
            .map(|result| format!("{} {}", result.what, result.note.split(": ").next().unwrap_or_default()))
            .collect()
    }

    const HMAC: &str = "[sources.hr]\nkind = \"hmac\"\nsignature = { header = \"x-s\", signed = \"{body}\" }\n";
    const INSTAPLY: &str = "[providers.instaply]\nkind = \"instaply\"\n";

    #[test]
    fn source_without_ids_and_times_is_warned_of_both() {
        let table = "event = { type = \"/t\", departures = [\"left\"] }\nperson = { email = \"/e\" }\n";
        let expected =
            ["source hr knows people by e-mail address alone", "source hr gives its events neither a time nor an id"];
        assert_eq!(warnings(&format!("{HMAC}{table}{INSTAPLY}")), expected);
    }

    #[test]
    fn source_with_an_id_of_the_person_and_a_time_or_an_id_of_the_event_is_not_warned_of() {
        for key in ["id = \"/id\"", "occurred_at = \"/at\""] {
            let table = format!("event = {{ type = \"/t\", departures = [\"left\"], {key} }}\n");
            let person = "person = { email = \"/e\", external_id = \"/x\" }\n";
            assert_eq!(warnings(&format!("{HMAC}{table}{person}{INSTAPLY}")), [""; 0], "{key}");
        }
    }

    #[test]
    fn scim_source_is_warned_of_an_underscore_and_of_a_missing_ledger() {
        let text = format!("[sources.okta-scim]\nkind = \"scim\"\n{INSTAPLY}");
        assert_eq!(warnings(&text), [""; 0]);
        assert_eq!(warnings(&text.replace('-', "_")), ["source okta_scim has an underscore in its name"]);
        let config = Config::parse(&text, None).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(without_ledger(&config).len(), 1);
    }

    #[test]
    fn partner_event_source_is_named_and_warned_of_where_late_events_are_held_or_none_is_waited_for() {
        let name = "aws.partner/okta.com/acme/offboard";
        let okta =
            format!("[sources.okta]\nkind = \"okta\"\nvia = \"eventbridge\"\nevent_source = \"{name}\"\n{INSTAPLY}");
        let said = |text: &str| {
            let config = Config::parse(text, None).unwrap_or_else(|errors| panic!("{errors}"));
            let results = check(&config).into_iter().filter(|result| result.what == "source okta");
            results.inspect(|result| assert!(result.note.contains(name))).map(|result| result.level).collect::<Vec<_>>()
        };
        assert_eq!(said(&okta), [Level::Ok]);
        assert_eq!(said(&format!("[policy]\nmax_event_age = \"47h\"\n{okta}")), [Level::Ok, Level::Warning]);
        let no_wait = okta.replace("[providers", "settle = \"0s\"\n[providers");
        assert_eq!(said(&no_wait), [Level::Ok, Level::Warning]);
    }

    #[test]
    fn provider_with_a_look_up_is_warned_of_unless_it_has_a_canary() {
        let flashduty = "[sources.workos]\nkind = \"workos\"\n[providers.flashduty]\nkind = \"flashduty\"\n";
        assert_eq!(warnings(flashduty), ["provider flashduty has no `canary`"]);
        assert_eq!(warnings(&format!("{flashduty}canary = \"ops@example.com\"\n")), [""; 0]);
    }

    #[test]
    fn provider_of_a_kind_that_is_partly_inferred_is_named() {
        let slack =
            "[sources.workos]\nkind = \"workos\"\n[providers.chat]\nkind = \"slack\"\ncanary = \"a@example.com\"\n";
        assert_eq!(warnings(slack), ["provider chat slack is partly inferred"]);
        let linear = slack.replace("\"slack\"", "\"linear\"");
        assert_eq!(warnings(&linear), [""; 0]);
    }
}

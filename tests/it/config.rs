//! The configuration: what is taken, and that every fault is told with its line.

use std::{path::Path, time::Duration};

use offboard::{
    config::{Config, Domain, MaxDepartures, Mode},
    person::Email,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const SOURCE: &str = "[sources.directory]\nkind = \"standard_webhooks\"\n";
const PROVIDER: &str = "[providers.instaply]\nkind = \"instaply\"\n";

fn faults(text: &str) -> String {
    Config::parse(text, None).expect_err("the configuration is faulty").to_string()
}

#[test]
fn the_example_that_is_shipped_is_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/offboard.toml");
    let config = Config::load(&path, None).unwrap_or_else(|faults| panic!("{faults}"));
    let kinds: Vec<_> = config.providers.iter().map(|provider| provider.kind.name).collect();
    assert_eq!(kinds, ["aerospike_cloud", "cloudflare_access", "flashduty", "instaply", "stytch_b2b"]);
    assert_eq!(config.sources.len(), 3);
    assert!(config.policy.mode != Mode::Live, "who deploys the example as it is must not delete anybody");
}

#[test]
fn empty_policy_has_safe_defaults() {
    let config = Config::parse(&format!("{SOURCE}{PROVIDER}"), None).unwrap();
    let policy = &config.policy;
    assert_eq!(policy.mode, Mode::DryRun, "a forgotten mode must not delete anybody");
    assert_eq!((policy.max_event_age, policy.overlap), (7 * DAY, HOUR));
    assert_eq!(policy.max_departures, Some(MaxDepartures { count: 50, per: HOUR }));
    assert_eq!((&policy.protected[..], &policy.domains[..]), (&[][..], &[][..]));
    assert_eq!(config.ledger.retention, 400 * DAY);
    assert_eq!(config.http.max_body, 1024 * 1024);
    assert_eq!(config.secret_names(), ["offboard/providers/instaply", "offboard/sources/directory"]);
    let provider = &config.providers[0];
    assert_eq!(
        (provider.limits.timeout, provider.limits.attempts, provider.confirm),
        (Duration::from_secs(10), 3, true)
    );
    let source = &config.sources["directory"];
    assert_eq!((source.settle, source.response_timeout), (Duration::ZERO, Duration::from_secs(15)));
    assert!(source.covers("instaply") && source.knows_ids());
}

#[test]
fn policy_is_read() {
    let policy = "[policy]\nmode = \"live\"\nprotected = [\"Root@example.com\", \"*@breakglass.example.com\", \"élan@example.com\", \"*@bücher.example\"]\n\
                  max_event_age = \"2h\"\nmax_departures = { count = 7, per = \"90m\" }\noverlap = \"0s\"\n\
                  domains = [\"Example.com\", \"corp.example.com\"]\n[ledger]\nretention = \"30d\"\n";
    let config = Config::parse(&format!("{policy}{SOURCE}{PROVIDER}"), None).unwrap();
    assert_eq!((config.policy.mode, config.policy.max_event_age), (Mode::Live, 2 * HOUR));
    assert_eq!(config.policy.max_departures, Some(MaxDepartures { count: 7, per: Duration::from_secs(5400) }));
    assert_eq!((config.policy.overlap, config.ledger.retention), (Duration::ZERO, 30 * DAY));
    let domains: Vec<_> = config.policy.domains.iter().map(Domain::as_str).collect();
    assert_eq!(domains, ["example.com", "corp.example.com"]);
    for (address, own) in [("ann@EXAMPLE.com", true), ("ann@corp.example.com", true), ("ann@x.example.com", false)] {
        assert_eq!(config.policy.is_own(&Email::parse(address).unwrap()), own, "{address}");
    }
    for (address, protected) in [
        ("root@example.com", true),
        (" ROOT@EXAMPLE.COM", true),
        ("root@example.co", false),
        ("xroot@example.com", false),
        ("root@example.com.", true),
        ("ÉLAN@example.com", true),
        ("elan@example.com", false),
        ("e\u{301}lan@example.com", true),
        ("anybody@xn--bcher-kva.example", true),
        ("anybody@bucher.example", false),
        ("anybody@breakglass.example.com", true),
        ("anybody@BREAKGLASS.example.com", true),
        ("anybody@sub.breakglass.example.com", false),
        ("anybody@xbreakglass.example.com", false),
    ] {
        assert_eq!(config.policy.protects(address), protected, "{address}");
    }
}

#[test]
fn safeguard_is_switched_off_only_by_unlimited() {
    let parse = |limit: &str| Config::parse(&format!("[policy]\nmax_departures = {limit}\n{SOURCE}{PROVIDER}"), None);
    assert_eq!(parse("\"unlimited\"").unwrap().policy.max_departures, None);
    for (limit, expected) in [
        ("\"none\"", "must be { count = 50, per = \"1h\" }, or \"unlimited\""),
        ("{ count = 0, per = \"1h\" }", "`count` is 0: it must be from 1 to 10000"),
        ("{ count = 10001, per = \"1h\" }", "`count` is 10001: it must be from 1 to 10000"),
        ("{ count = -1, per = \"1h\" }", "`count` is -1: it must be from 1 to 10000"),
        ("{ count = 5, per = \"59s\" }", "59 seconds is not between 1 minute and 30 days"),
        ("{ count = 5, per = \"31d\" }", "31 days is not between 1 minute and 30 days"),
        ("{ count = 5 }", "`per` is missing"),
        ("7", "must be { count = 50, per = \"1h\" }, or \"unlimited\""),
    ] {
        let told = parse(limit).expect_err(limit).to_string();
        assert!(told.starts_with("line 2: `policy.max_departures") && told.contains(expected), "{limit}: {told}");
    }
    for limit in ["{ count = 10000, per = \"30d\" }", "{ count = 1, per = \"1m\" }"] {
        assert!(parse(limit).is_ok_and(|config| config.policy.max_departures.is_some()), "{limit}");
    }
    let told = parse("{ count = 5, per = \"1h\", pre = \"1h\" }").unwrap_err().to_string();
    assert_eq!(told, "line 2: unknown key `max_departures.pre` in `policy`: did you mean `per`?");
}

#[test]
fn value_out_of_bounds_names_the_bounds() {
    for (table, expected) in [
        ("[ledger]\nretention = \"29d\"", "line 2: `ledger.retention`: 29 days is not between 30 days and 36525 days"),
        ("[ledger]\nretention = \"1000y\"", "is not between 30 days and 36525 days"),
        ("[policy]\noverlap = \"31d\"", "line 2: `policy.overlap`: 31 days is not between 0 seconds and 30 days"),
        ("[policy]\nmax_event_age = \"0s\"", "line 2: `policy.max_event_age`: it must be longer than 0 seconds"),
        (
            "[ledger]\nretention = \"30d\"\n[policy]\nmax_event_age = \"30d\"",
            "line 4: `policy.max_event_age` (30 days) must be less than `ledger.retention` (30 days)",
        ),
        (
            "[policy]\nmax_event_age = \"401d\"",
            "line 2: `policy.max_event_age` (401 days) must be less than `ledger.retention` (400 days)",
        ),
        ("[policy]\ndomains = [\"ann@example.com\"]", "line 2: `policy.domains`: an entry of `domains` is a domain"),
        ("[policy]\ndomains = [\"*.example.com\"]", "line 2: `policy.domains`: an entry of `domains` is a domain"),
        ("[policy]\ndomains = [\"localhost\"]", "line 2: `policy.domains`: an entry of `domains` is a domain"),
        ("[directory]\nretention = \"3y\"", "line 1: unknown key `directory`"),
    ] {
        let told = faults(&format!("{table}\n{SOURCE}{PROVIDER}"));
        assert!(told.contains(expected) && !told.contains("ann@"), "{table}: {told}");
        assert_eq!(told.lines().count(), 1, "{table}: {told}");
    }
}

#[test]
fn environment_overrides_the_mode() {
    let text = format!("{SOURCE}{PROVIDER}");
    for (given, mode) in [("live", Mode::Live), ("dry_run", Mode::DryRun)] {
        assert_eq!(Config::parse(&text, Some(given)).unwrap().policy.mode, mode);
    }
    let refused = |mode| Config::parse(&text, Some(mode)).unwrap_err().to_string();
    assert_eq!(refused("dry-run"), "OFFBOARD_MODE: unknown mode `dry-run`: did you mean `dry_run`?");
    assert_eq!(refused("sometimes"), "OFFBOARD_MODE: unknown mode `sometimes`: expected one of dry_run, live");
    assert!(refused("off").contains("`offboard pause`"), "{}", refused("off"));
    let off = faults(&format!("[policy]\nmode = \"off\"\n{text}"));
    assert!(off.starts_with("line 2: `policy.mode`: there is no mode `off`: `offboard pause` stops"), "{off}");
}

/// Two providers, one of them disabled, and a source with these lines.
fn covering(lines: &str) -> Result<Config, String> {
    let providers = format!("{PROVIDER}[providers.other]\nkind = \"instaply\"\nenabled = false\n");
    Config::parse(&format!("{SOURCE}{lines}\n{providers}"), None).map_err(|errors| errors.to_string())
}

#[test]
fn source_covers_the_providers_that_it_names() {
    for (lines, instaply, other) in [
        ("", true, true),
        ("providers = [\"instaply\"]", true, false),
        ("providers = [\"instaply\", \"other\"]", true, true),
        ("except = [\"other\"]", true, false),
    ] {
        let config = covering(lines).unwrap_or_else(|errors| panic!("{lines}: {errors}"));
        let source = &config.sources["directory"];
        assert_eq!((source.covers("instaply"), source.covers("other")), (instaply, other), "{lines}");
    }
    for (lines, expected) in [
        (
            "providers = [\"instapaly\"]",
            "line 3: `sources.directory`: `providers` names an unknown provider `instapaly`: did you mean `instaply`?",
        ),
        (
            "except = [\"github\", \"othr\"]",
            "line 3: `sources.directory`: `except` names an unknown provider `github`: expected one of instaply, other\n\
             line 3: `sources.directory`: `except` names an unknown provider `othr`: did you mean `other`?",
        ),
        (
            "providers = [\"other\"]\nexcept = [\"other\"]",
            "line 4: `sources.directory`: `providers` and `except` exclude each other: keep one",
        ),
        (
            "providers = []",
            "line 3: `sources.directory`: `providers` must name at least one provider; without it all are covered",
        ),
        ("except = [\"instaply\"]", "`sources.directory` covers no provider that is enabled"),
        ("providers = [\"other\"]", "`sources.directory` covers no provider that is enabled"),
    ] {
        assert_eq!(covering(lines).expect_err(lines), expected, "{lines}");
    }
}

#[test]
fn source_settles_for_a_day_at_most() {
    let settle =
        |text: &str| covering(&format!("settle = \"{text}\"")).map(|config| config.sources["directory"].settle);
    assert_eq!(settle("2m"), Ok(Duration::from_secs(120)));
    assert_eq!(settle("0s"), Ok(Duration::ZERO));
    assert_eq!(
        settle("25h"),
        Err("line 3: `sources.directory.settle`: 1 day 1 hour is not between 0 seconds and 1 day".to_owned())
    );
}

#[test]
fn source_without_an_id_knows_people_by_address_alone() {
    for (person, knows_ids) in [
        ("email = \"/e\"", false),
        ("emails = \"/e\"", false),
        ("email = \"/e\", idp_id = \"/i\"", true),
        ("external_id = \"/x\"", true),
    ] {
        let source = format!(
            "[sources.hr]\nkind = \"token\"\ntoken = {{ header = \"x-token\" }}\nevent = {{ type = \"/t\", departures = [\"x\"] }}\n\
             person = {{ {person} }}\n"
        );
        let config = Config::parse(&format!("{source}{PROVIDER}"), None).unwrap();
        assert_eq!(config.sources["hr"].knows_ids(), knows_ids, "{person}");
    }
}

#[test]
fn several_errors_of_one_source_are_all_reported() {
    let told = faults(&format!(
        "[sources.hr]\nkind = \"okta\"\nalso = [\"user.lifecycle.suspnd\"]\nexcept = [\"x\"]\njwks = \"https://a.example.com\"\n{PROVIDER}"
    ));
    let lines: Vec<_> = told.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["line 1", "line 3", "line 4"], "{told}");
    assert!(told.contains("did you mean `user.lifecycle.suspend`?"), "{told}");
}

#[test]
fn a_provider_that_is_switched_off_is_left_out_and_the_last_one_cannot_be() {
    let off = format!("{SOURCE}{PROVIDER}enabled = false\n");
    assert_eq!(faults(&off), "no provider is configured and enabled: add a [providers.NAME] table");
    let config = Config::parse(&format!("{off}[providers.other]\nkind = \"instaply\"\n"), None).unwrap();
    assert_eq!(config.providers.iter().map(|provider| provider.name.as_str()).collect::<Vec<_>>(), ["other"]);
}

#[test]
fn every_fault_is_told_with_its_line() {
    let text = r#"
colour = "blue"
[policy]
mod = "live"
max_event_age = "a while"
protected = ["nobody"]
[http]
max_body = "large"
[sources.one]
kind = "carrier_pigeon"
[sources.two]
kind = "workos"
secrets = "x"
[sources.three]
kind = "hmac"
signature = { header = "x-sig", signed = "{boddy}" }
event = { type = "/t", departures = ["x"] }
person = { email = "/e" }
[sources.Four]
kind = "hmac"
signature = { header = "x-sig" }
event = { type = "t", departures = ["x"] }
[providers.a]
kind = "instaply"
base_url = "http://me.instaply.com/api"
[providers.b]
kind = "cloudflare_access"
acount_id = "023e105f4ecef8ad9ca31a8372d0c353"
[providers.c]
kind = "nothing"
[providers.d]
timeout = "5s"
[providers.e]
kind = "instaply"
timeout = "0s"
attempts = 0
"#;
    insta::assert_snapshot!(faults(text));
}

/// The faults of a source of the generic kind with this signature, event and person.
fn generic_faults(signature: &str, event: &str, person: &str) -> String {
    let table = format!("signature = {{ {signature} }}\nevent = {{ {event} }}\nperson = {{ {person} }}\n");
    faults(&format!("[sources.hr]\nkind = \"hmac\"\n{table}{PROVIDER}"))
}

#[test]
fn an_unknown_key_is_told_however_deep_it_stands() {
    let (signature, event, person) = (r#"header = "x""#, r#"type = "/t", departures = ["gone"]"#, r#"email = "/e""#);
    for (signature, event, person, told) in [
        (
            r#"header = "x", tolerence = "3m""#,
            event,
            person,
            "line 3: unknown key `signature.tolerence` in `sources.hr`: did you mean `tolerance`?",
        ),
        (
            signature,
            r#"type = "/t", departures = ["gone"], time = "/x""#,
            person,
            "line 4: unknown key `event.time` in `sources.hr`",
        ),
        (
            signature,
            event,
            r#"email = "/e", mail = "/x""#,
            "line 5: unknown key `person.mail` in `sources.hr`: did you mean `email`?",
        ),
        (
            signature,
            r#"type = "/t", departures = [{ type = "gone", where = { "/a" = "x" }, when = { "/b" = "y" } }]"#,
            person,
            "line 4: `sources.hr.event.departures`: an event is named by its type, or by { type = \"…\", where = { \"/pointer\" = value } }",
        ),
    ] {
        assert_eq!(generic_faults(signature, event, person), told);
    }
}

#[test]
fn what_only_one_kind_of_provider_has_is_checked_too() {
    for (table, told) in [
        ("kind = \"cloudflare_access\"", "line 3: `providers.p`: `account_id` is missing"),
        (
            "kind = \"cloudflare_access\"\naccount_id = \"../023e105f4ecef8ad9ca31a8372d0c3\"",
            "line 5: `providers.p.account_id`: `account_id` must be the 32 letters and digits of the account's overview page",
        ),
        (
            "kind = \"stytch_b2b\"\norganization_ids = []",
            "line 5: `providers.p.organization_ids`: `organization_ids` must name at least one organization",
        ),
        (
            "kind = \"stytch_b2b\"\norganization_ids = [\"a\", \"a\"]",
            "line 5: `providers.p.organization_ids`: `organization_ids` names `a` twice: take one out",
        ),
        (
            "kind = \"aerospike_cloud\"\ntoken_url = \"http://auth.example.com/oauth/token\"",
            "line 5: `providers.p.token_url`: a URL that credentials are sent to must be https (http on a loopback address only)",
        ),
        (
            "kind = \"flashduty\"\nmatch = \"name\"",
            "line 5: `providers.p.match`: unknown value `name`: expected one of email, external_id",
        ),
        ("kind = \"instaply\"\nforce = true", "line 5: unknown key `force` in `providers.p`"),
        (
            "kind = \"instaply\"\ntimeuot = \"5s\"",
            "line 5: unknown key `timeuot` in `providers.p`: did you mean `timeout`?",
        ),
        ("kind = \"instaplay\"", "line 3: `providers.p`: unknown kind `instaplay`: did you mean `instaply`?"),
    ] {
        assert_eq!(faults(&format!("{SOURCE}[providers.p]\n{table}\n")), told);
    }
}

#[test]
fn an_id_that_is_not_signed_is_a_fault() {
    let faults = generic_faults(
        r#"header = "x", id_header = "x-id""#,
        r#"type = "/t", departures = ["gone"]"#,
        r#"email = "/e""#,
    );
    assert_eq!(faults, "line 3: `sources.hr.signature`: `id_header` is named, but `signed` has no {id}");
}

#[test]
fn a_text_that_is_no_toml_is_told_with_its_line() {
    assert!(faults("[policy]\nmode = live\n").starts_with("line 2: "), "{}", faults("[policy]\nmode = live\n"));
}

#[test]
fn credentials_go_to_https_or_stay_on_this_machine() {
    let judge = |url: &str| Config::parse(&format!("{SOURCE}{PROVIDER}base_url = \"{url}\"\n"), None).map(|_| ());
    for good in ["https://eu.example.com/api", "http://127.0.0.1:8080", "http://localhost:1/x", "http://[::1]:9"] {
        assert!(judge(good).is_ok(), "{good}");
    }
    for bad in [
        "http://example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "https://user:hunter2!@example.com",
        "https://example.com/?key=hunter2!",
        "https://",
        "example.com",
    ] {
        let faults = judge(bad).expect_err(bad).to_string();
        assert!(faults.starts_with("line 5: ") && !faults.contains("hunter2!"), "{bad}: {faults}");
    }
}

#[test]
fn a_missing_file_is_told_by_its_path() {
    let faults = Config::load(Path::new("/nowhere/offboard.toml"), None).unwrap_err().to_string();
    assert!(faults.starts_with("cannot read the configuration /nowhere/offboard.toml: "), "{faults}");
}

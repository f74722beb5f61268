//! The configuration: what is taken, and that every fault is told with its line.

use std::{path::Path, time::Duration};

use offboard::config::{Config, MaxDepartures, Mode};

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
fn everything_has_a_default() {
    let config = Config::parse(&format!("{SOURCE}{PROVIDER}"), None).unwrap();
    assert_eq!(config.policy.mode, Mode::Live);
    assert_eq!(config.policy.max_event_age, Duration::from_secs(7 * 24 * 60 * 60));
    assert_eq!(config.directory.retention, Duration::from_secs(3 * 31_557_600));
    assert_eq!(config.http.max_body, 1024 * 1024);
    assert_eq!(config.secret_names(), ["offboard/providers/instaply", "offboard/sources/directory"]);
    let provider = &config.providers[0];
    assert_eq!(
        (provider.limits.timeout, provider.limits.attempts, provider.confirm),
        (Duration::from_secs(10), 3, true)
    );
}

#[test]
fn the_policy_is_read() {
    let policy = "[policy]\nmode = \"dry_run\"\nprotected = [\"Root@example.com\", \"*@breakglass.example.com\", \"élan@example.com\", \"*@bücher.example\"]\n\
                  max_event_age = \"2h\"\nmax_departures = { count = 50, per = \"1h\" }\n";
    let config = Config::parse(&format!("{policy}{SOURCE}{PROVIDER}"), None).unwrap();
    assert_eq!((config.policy.mode, config.policy.max_event_age), (Mode::DryRun, Duration::from_secs(7200)));
    assert_eq!(config.policy.max_departures, Some(MaxDepartures { count: 50, per: Duration::from_secs(3600) }));
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
fn how_long_the_directory_remembers_is_read() {
    let text = format!("[directory]\nretention = \"400d\"\n{SOURCE}{PROVIDER}");
    assert_eq!(Config::parse(&text, None).unwrap().directory.retention, Duration::from_secs(400 * 24 * 60 * 60));
    let faults = faults(&text.replace("400d", "a while").replace("retention", "forget"));
    assert!(faults.contains("line 2: unknown key `forget`"), "{faults}");
}

#[test]
fn the_environment_overrides_the_mode() {
    let text = format!("{SOURCE}{PROVIDER}");
    for (given, mode) in [("live", Mode::Live), ("dry_run", Mode::DryRun), ("off", Mode::Off)] {
        assert_eq!(Config::parse(&text, Some(given)).unwrap().policy.mode, mode);
    }
    let faults = Config::parse(&text, Some("dry-run")).unwrap_err().to_string();
    assert_eq!(faults, "OFFBOARD_MODE: unknown mode `dry-run`: expected live, dry_run or off");
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
            "line 3: unknown key `signature.tolerence` in `sources.hr`",
        ),
        (
            signature,
            r#"type = "/t", departures = ["gone"], time = "/x""#,
            person,
            "line 4: unknown key `event.time` in `sources.hr`",
        ),
        (signature, event, r#"email = "/e", mail = "/x""#, "line 5: unknown key `person.mail` in `sources.hr`"),
        (
            signature,
            r#"type = "/t", departures = [{ type = "gone", where = { "/a" = "x" }, when = { "/b" = "y" } }]"#,
            person,
            "line 4: `sources.hr`: an event is named by its type, or by { type = \"…\", where = { \"/pointer\" = value } }",
        ),
    ] {
        assert_eq!(generic_faults(signature, event, person), told);
    }
}

#[test]
fn what_only_one_kind_of_provider_has_is_checked_too() {
    for (table, told) in [
        ("kind = \"cloudflare_access\"", "line 3: `providers.p`: missing field `account_id`"),
        (
            "kind = \"cloudflare_access\"\naccount_id = \"../023e105f4ecef8ad9ca31a8372d0c3\"",
            "line 5: `providers.p`: `account_id` must be the 32 letters and digits of the account's overview page",
        ),
        (
            "kind = \"stytch_b2b\"\norganization_ids = []",
            "line 5: `providers.p`: `organization_ids` must name at least one organization",
        ),
        (
            "kind = \"stytch_b2b\"\norganization_ids = [\"a\", \"a\"]",
            "line 5: `providers.p`: `organization_ids` names `a` twice: take one out",
        ),
        (
            "kind = \"aerospike_cloud\"\ntoken_url = \"http://auth.example.com/oauth/token\"",
            "line 5: `providers.p`: a URL that credentials are sent to must be https (http on a loopback address only)",
        ),
        (
            "kind = \"flashduty\"\nmatch = \"name\"",
            "line 5: `providers.p`: unknown variant `name`, expected `email` or `external_id`",
        ),
        ("kind = \"instaply\"\nforce = true", "line 5: unknown key `force` in `providers.p`"),
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
    assert_eq!(faults, "line 3: `sources.hr`: `id_header` is named, but `signed` has no {id}");
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

//! What the kinds take in the configuration, and how they say what is wrong with it.

use offboard::{config::Config, secrets::Secret};

fn parse(kind: &str, keys: &str) -> Result<Config, String> {
    let text = format!("[sources.directory]\nkind = \"workos\"\n[providers.it]\nkind = \"{kind}\"\n{keys}\n");
    Config::parse(&text, None).map_err(|faults| faults.to_string())
}

#[test]
fn what_is_wrong_with_settings_is_told() {
    let account = |id: &str| ("cloudflare_access", format!("account_id = \"{id}\""));
    let organizations = |ids: &str| ("stytch_b2b", format!("organization_ids = [{ids}]"));
    let url = |url: &str| ("aerospike_cloud", format!("token_url = \"{url}\""));
    let cases = [
        ("flashduty", "force = \"yes\"".to_owned()),
        ("flashduty", "match = \"name\"".to_owned()),
        ("flashduty", "organization_ids = [\"o\"]".to_owned()),
        ("flashduty", "canary = \"ops\"".to_owned()),
        ("flashduty", "sources = [\"directory\"]".to_owned()),
        ("flashduty", "match = \"external_id\"\nsources = []".to_owned()),
        ("flashduty", "match = \"external_id\"\nsources = [\"directory\", \"hr\"]".to_owned()),
        ("flashduty", "match = \"external_id\"\n[sources.hr]\nkind = \"workos\"".to_owned()),
        ("instaply", "canary = \"ops@example.com\"".to_owned()),
        ("instaply", "match = \"email\"".to_owned()),
        ("cloudflare_access", String::new()),
        account(""),
        account("../../zones"),
        account(&"0".repeat(33)),
        url("http://auth.example.com/token"),
        url("ftp://auth.example.com/token"),
        url("https://me:secret@auth.example.com/token"),
        url("auth"),
        ("stytch_b2b", String::new()),
        organizations(""),
        organizations("\"o1\", \"o2\", \"o1\""),
        organizations("\"o1\", \" \""),
        ("stytch_b2b", "organization_ids = \"o1\"".to_owned()),
    ];
    let told = cases.map(|(kind, keys)| format!("{kind}: {keys}\n  {}", parse(kind, &keys).expect_err("it is wrong")));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn sources_of_external_ids_are_the_configured_ones() {
    let sources = |keys: &str| parse("stytch_b2b", keys).unwrap().providers[0].sources.clone();
    let organizations = "organization_ids = [\"o1\"]\n";
    let by_id = format!("{organizations}match = \"external_id\"\n");
    assert_eq!(sources(organizations), [].into());
    assert_eq!(sources(&by_id), ["directory".to_owned()].into());
    let two = format!("{by_id}sources = [\"hr\"]\n[sources.hr]\nkind = \"workos\"\n");
    assert_eq!(sources(&two), ["hr".to_owned()].into());
}

#[test]
fn credentials_stay_on_this_machine_or_are_encrypted() {
    for url in ["https://auth.example.com/token", "http://127.0.0.1:8080/token", "http://[::1]:8080/token"] {
        assert!(parse("aerospike_cloud", &format!("token_url = \"{url}\"")).is_ok(), "{url}");
    }
}

/// The kinds, and where each one calls if the configuration does not say.
#[test]
fn kinds() {
    let secret = r#"{"access_token": "a", "api_token": "a", "app_key": "a", "token": "a",
        "project_id": "project-live-1", "secret": "a"}"#;
    let lines = crate::rust_kinds().map(|kind| {
        let keys = match kind.name {
            "cloudflare_access" => "account_id = \"023e105f4ecef8ad9ca31a8372d0c353\"",
            "stytch_b2b" => "organization_ids = [\"o1\", \"o2\"]",
            _ => "",
        };
        let config = parse(kind.name, keys).unwrap();
        let secret = Secret::parse("it", secret).unwrap();
        let places = config.providers[0].settings.connect(&secret).unwrap();
        let places: Vec<_> = places.iter().map(|place| (&*place.base_url, place.scope.as_deref())).collect();
        format!("{}: {}\n  secret: {}\n  {places:?}", kind.name, kind.title, kind.secret_keys())
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_test_project_of_stytch_is_called_at_its_test_host() {
    let config = parse("stytch_b2b", "organization_ids = [\"o1\"]").unwrap();
    let secret = Secret::parse("it", r#"{"project_id": "project-test-1", "secret": "a"}"#).unwrap();
    let places = config.providers[0].settings.connect(&secret).unwrap();
    assert_eq!(places[0].base_url, "https://test.stytch.com");
}

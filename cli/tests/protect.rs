//! `offboard protect`, `unprotect` and `protected`, and the commands that say which list protects, against mock services of AWS.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use aws_credential_types::Credentials;
use offboard::{
    departure::{Departure, Event, EventTime},
    ledger::{Ledger, dynamodb::DynamoDb},
    person::{Email, Person},
};
use offboard_sandbox::aws::Aws;
use serde_json::{Value, json};
use time::OffsetDateTime;

/// One product without an API: nothing outside of AWS is called.
const CONFIG: &str = "[policy]\nmode = \"live\"\nprotected = [\"*@breakglass.example.com\"]\n[sources.hr]\nkind = \"workos\"\n\
                      [providers.wiki]\nkind = \"manual\"\ninstructions = \"Delete the user\"\n";
const ARN: &str = "arn:aws:iam::123456789012:user/sandbox";

struct World {
    aws: Aws,
    config: PathBuf,
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    errors: String,
}

impl World {
    async fn new(test: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("protect-{test}"));
        std::fs::create_dir_all(&folder).unwrap();
        let config = folder.join("offboard.toml");
        std::fs::write(&config, CONFIG).unwrap();
        let aws = Aws::start([127, 0, 0, 1].into()).await.unwrap();
        let secret = json!({"signing_secret": "0123456789abcdef0123456789abcdef"});
        aws.secrets.with(|secrets| secrets.put("offboard/sources/hr", secret));
        Self { aws, config }
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
        command.args(arguments).arg("--config").arg(&self.config).env_clear().envs(self.aws.environment());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("offboard runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let ended = Ended { code: output.status.code(), out: text(output.stdout), errors: text(output.stderr) };
        assert!(!format!("{ended:?}").contains("lee@"), "an e-mail address is shown: {ended:?}");
        assert_eq!(self.aws.unknown(), [""; 0]);
        ended
    }

    async fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments).await;
        assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""), "{arguments:?}: {ended:?}");
        ended.out
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["--json"]].concat()).await).expect("one document")
    }

    /// Records a departure of this person, which nothing works on.
    async fn leave(&self, email: &str) {
        let aws = aws_sdk_dynamodb::Config::builder()
            .behavior_version(offboard::aws::behavior())
            .http_client(offboard::aws::http_client(None).unwrap())
            .region(aws_sdk_dynamodb::config::Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(self.aws.dynamodb.url(""))
            .build();
        let store = DynamoDb::new(aws_sdk_dynamodb::Client::from_conf(aws), "offboard".into());
        let now = OffsetDateTime::now_utc();
        let occurred_at = Some(EventTime::Instant(now));
        let event = Event { id: "1".into(), kind: "left".into(), occurred_at, organization: None };
        let person = Person { email: Email::parse(email), ..Person::default() };
        let departure = Departure { id: "hr/1".into(), source: "hr".into(), event, person };
        Ledger::new(Arc::new(store)).record(&departure, now, |_| {}).await.unwrap();
    }
}

#[tokio::test]
async fn protected_person_is_listed_with_who_why_and_until_when_and_taken_off_again() {
    let world = World::new("list").await;
    let reason = "case 4711, ask ann@example.com";
    let out = world.ok(&["protect", "Lee@example.com", "--reason", reason, "--until", "2099-01-31"]).await;
    let described = format!(" by {ARN} (case 4711, ask a…@example.com)");
    assert!(out.starts_with("L…@example.com protected until 2099-02-01 00:00:00 UTC, since "), "{out}");
    assert!(out.contains(&described), "{out}");
    world.ok(&["protect", "*@EXAMPLE.org", "--reason", "sold"]).await;

    let listed = world.json(&["protected"]).await;
    let shown = |value: &Value| (value["address"].clone(), value["until"].clone(), value["in_force"].clone());
    let protected: Vec<_> = listed["protected"].as_array().unwrap().iter().map(shown).collect();
    let expected = [
        (json!("L…@example.com"), json!("2099-02-01T00:00:00Z"), json!(true)),
        (json!("*@example.org"), Value::Null, json!(true)),
    ];
    assert_eq!(protected, expected);
    assert_eq!(listed["configured"], json!(["*@breakglass.example.com"]));
    let one = world.json(&["protected", "lee@EXAMPLE.com"]).await;
    assert_eq!((one["protected"].as_array().map(Vec::len), &one["configured"]), (Some(1), &json!([])));
    let table = world.ok(&["protected"]).await;
    assert!(table.contains("policy.protected") && table.contains("L…@example.com"), "{table}");

    let out = world.ok(&["unprotect", "LEE@example.com"]).await;
    assert!(out.contains("no longer protected") && out.contains("departures replay"), "{out}");
    assert!(world.ok(&["protected", "lee@example.com"]).await.contains("is not protected"));
    let page = world.config.with_file_name("evidence.html");
    world.ok(&["evidence", "--since", "1d", "--html", page.to_str().unwrap()]).await;
    let page = std::fs::read_to_string(page).unwrap();
    assert_eq!(page.matches("L…@example.com").count(), 2, "what was taken back is in the evidence: {page}");
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_what_cannot_be_done_with_1() {
    let world = World::new("usage").await;
    for wrong in [
        &["protect", "lee@example.com"][..],
        &["protect", "lee@example.com", "--reason", " "],
        &["protect", "nobody", "--reason", "x"],
        &["protect", "lee@example.com", "--reason", "x", "--until", "2020-01-31"],
        &["protect", "lee@example.com", "--reason", "x", "--until", "soon"],
    ] {
        assert_eq!(world.run(wrong).await.code, Some(2), "{wrong:?}");
    }
    let ended = world.run(&["unprotect", "lee@example.com"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.errors.contains("l…@example.com: it is not on the list of `offboard protect`"), "{ended:?}");
    let ended = world.run(&["unprotect", "*@breakglass.example.com"]).await;
    assert!(ended.code == Some(1) && ended.errors.contains("list policy.protected of the configuration"), "{ended:?}");
    assert_eq!(world.aws.dynamodb.with(|table| table.items().len()), 0);
}

#[tokio::test]
async fn what_else_protects_is_said_when_one_protection_is_taken_back() {
    let world = World::new("still").await;
    for who in ["lee@breakglass.example.com", "*@breakglass.example.com"] {
        world.ok(&["protect", who, "--reason", "case 4711"]).await;
    }
    let still = world.json(&["unprotect", "lee@breakglass.example.com"]).await;
    let still: Vec<_> = still["still_protected_by"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(still.len(), 2, "{still:?}");
    assert!(still[0].contains("policy.protected") && still[1].starts_with("*@breakglass.example.com protected"));
}

#[tokio::test]
async fn check_plan_and_show_say_which_list_protects() {
    let world = World::new("which").await;
    world.leave("lee@breakglass.example.com").await;
    world.ok(&["protect", "lee@breakglass.example.com", "--reason", "case 4711"]).await;

    let show = world.ok(&["departures", "show", "hr/1"]).await;
    let lists = ["on the list policy.protected of the configuration", "l…@breakglass.example.com protected, since "];
    assert!(lists.iter().all(|list| show.contains(list)) && show.contains("case 4711"), "{show}");
    let shown = world.json(&["departures", "show", "hr/1"]).await;
    assert_eq!((&shown["reasons"], shown["protected_by"].as_array().map(Vec::len)), (&json!(["protected"]), Some(2)));

    assert!(!show.contains("has it judged again"), "nothing was left for it yet: {show}");

    let plan = world.run(&["plan", "lee@breakglass.example.com"]).await;
    assert!(plan.code == Some(1) && lists.iter().all(|list| plan.out.contains(list)), "{plan:?}");
    assert!(!plan.out.contains("What a removal would do"), "{plan:?}");
    let checked = world.json(&["check"]).await;
    let lists = checked.as_array().unwrap().iter().find(|result| result["what"] == "protected lists").unwrap();
    assert_eq!(lists["note"], "policy.protected: 1; `offboard protect`: 1");
}

//! `--stack`: what a command needs of the stack is read from its outputs, and from nowhere else.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use offboard_sandbox::{
    aws::{Aws, cloudformation::CloudFormation},
    mock::{MockServer, Watched},
};
use serde_json::{Value, json};

const CONFIG: &str = "[policy]\nmode = \"live\"\n[sources.hr]\nkind = \"workos\"\n[sources.entra]\nkind = \"scim\"\n\
                      [providers.instaply]\nkind = \"instaply\"\n";
const API: &str = "https://api.example.com";

/// Every command that works on the ledger of a stack.
const OF_THE_LEDGER: [&[&str]; 12] = [
    &["departures", "list"],
    &["departures", "show", "hr/1"],
    &["departures", "release", "hr/1", "--yes"],
    &["departures", "dismiss", "hr/1", "--yes"],
    &["departures", "replay", "hr/1", "--yes"],
    &["departures", "confirm", "hr/1", "instaply", "--note", "gone"],
    &["identities", "show", "hr", "1"],
    &["identities", "import", "hr", "people.csv"],
    &["evidence", "--since", "7d"],
    &["pause"],
    &["resume"],
    &["check"],
];

/// Every command that needs the address of its API.
const OF_THE_API: [&[&str]; 3] =
    [&["send", "hr", "lee@example.com", "--print-curl"], &["send", "entra", "lee@example.com"], &["sources", "okta"]];

/// An account with a stack in it.
struct World {
    aws: Aws,
    stacks: MockServer<CloudFormation>,
    folder: PathBuf,
}

impl World {
    async fn start(test: &str) -> Self {
        let host = [127, 0, 0, 1].into();
        let aws = Aws::start(host).await.expect("loopback");
        let environment = aws.environment();
        let of = |name: &str| environment.iter().find(|(key, _)| *key == name).expect(name).1.clone();
        let outputs = vec![
            ("LedgerTable", of("OFFBOARD_LEDGER_TABLE")),
            ("QueueUrl", of("OFFBOARD_QUEUE_URL")),
            ("WebhookUrl", format!("{API}/webhooks/")),
            ("ScimUrl", format!("{API}/scim/v2/")),
        ];
        let stack = CloudFormation { stack: "offboard", status: "UPDATE_COMPLETE", outputs };
        let stacks = MockServer::start("cloudformation", host, stack).await.expect("loopback");
        aws.secrets.with(|secrets| {
            secrets.put("offboard/sources/hr", json!({"signing_secret": "0123456789abcdef"}));
            secrets.put("offboard/sources/entra", json!({"token": "0123456789abcdef"}));
            secrets.put("offboard/providers/instaply", json!({"token": "instaply-token-1"}));
        });
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stack-{test}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("offboard.toml"), CONFIG).expect("a file");
        std::fs::write(folder.join("people.csv"), "idp_id,email\n1,lee@example.com\n").expect("a file");
        Self { aws, stacks, folder }
    }

    /// The command, with variables that name another stack's table and queue.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
        command.args(arguments).current_dir(&self.folder).env_clear().envs(self.aws.environment());
        command.envs([
            ("OFFBOARD_CONFIG", "offboard.toml"),
            ("OFFBOARD_LEDGER_TABLE", "stale"),
            ("OFFBOARD_QUEUE_URL", "http://127.0.0.1:1/stale"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]);
        command.env("AWS_ENDPOINT_URL_CLOUDFORMATION", self.stacks.url(""));
        command
    }

    /// Runs a command on a stack. Returns the exit code, standard output and standard error.
    async fn run(&self, arguments: &[&str], stack: &str) -> (Option<i32>, String, String) {
        output(self.command(&[arguments, &["--stack", stack]].concat())).await
    }
}

async fn output(mut command: Command) -> (Option<i32>, String, String) {
    let run = tokio::task::spawn_blocking(move || command.output().expect("it runs"));
    let Output { status, stdout, stderr } = run.await.expect("it ran");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn ledger_and_queue_are_those_of_the_outputs_whatever_the_variables_say() {
    let world = World::start("outputs").await;
    for (arguments, expected) in [
        (&["pause", "--json"][..], "\"paused\":true"),
        (&["departures", "list"], "no departures"),
        (&["identities", "import", "hr", "people.csv"], "1"),
        (&["identities", "show", "hr", "1"], "l…@example.com"),
        (&["evidence", "--since", "7d"], ""),
        (&["resume"], ""),
        (&["check"], "table offboard"),
    ] {
        let (code, out, errors) = world.run(arguments, "offboard").await;
        assert_eq!(code, Some(0), "{arguments:?}: {out}\n{errors}");
        assert!(out.contains(expected), "{arguments:?}: {out}");
    }
    assert_eq!(world.aws.unknown(), [""; 0]);
    assert_eq!(world.stacks.unknown(), [""; 0]);
}

#[tokio::test]
async fn command_says_of_a_stack_that_cannot_be_used_why_and_what_to_do() {
    let world = World::start("unusable").await;
    let every: Vec<_> = OF_THE_LEDGER.into_iter().chain(OF_THE_API).collect();
    for (status, name, has_outputs, expected) in [
        ("CREATE_COMPLETE", "lost", true, vec!["there is no stack lost in this AWS account and region (eu-central-1)"]),
        ("ROLLBACK_COMPLETE", "offboard", false, vec!["the stack offboard (ROLLBACK_COMPLETE) has no output "]),
        (
            "UPDATE_IN_PROGRESS",
            "offboard",
            true,
            vec![
                "the stack offboard is being changed (UPDATE_IN_PROGRESS)",
                "try again",
                "OFFBOARD_LEDGER_TABLE=offboard",
            ],
        ),
        ("CREATE_IN_PROGRESS", "offboard", false, vec!["is being changed (CREATE_IN_PROGRESS)", "try again"]),
        ("DELETE_IN_PROGRESS", "offboard", true, vec!["is being changed (DELETE_IN_PROGRESS)"]),
    ] {
        let outputs = world.stacks.with(|stacks| {
            stacks.status = status;
            if has_outputs { Vec::new() } else { std::mem::take(&mut stacks.outputs) }
        });
        for command in &every {
            let (code, out, errors) = world.run(command, name).await;
            // `check` reports it among its other results.
            let said =
                if command[0] == "check" { out.split_whitespace().collect::<Vec<_>>().join(" ") } else { errors };
            assert_eq!(code, Some(1), "{status} {command:?}: {said}");
            assert!(expected.iter().all(|part| said.contains(part)), "{status} {command:?}: {said}");
        }
        world.stacks.with(|stacks| stacks.outputs.extend(outputs));
    }
    // In the cleanup after an update the outputs stand.
    world.stacks.with(|stacks| stacks.status = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS");
    assert_eq!(world.run(&["departures", "list"], "offboard").await.0, Some(0));
}

#[tokio::test]
async fn each_missing_output_is_named_by_the_command_that_needs_it() {
    let world = World::start("missing").await;
    let send = |source| ["send", source, "lee@example.com", "--sample", "created", "--print-curl"];
    for (output, command) in [
        ("LedgerTable", &["departures", "list"][..]),
        ("QueueUrl", &["departures", "list"]),
        ("WebhookUrl", &send("hr")),
        ("ScimUrl", &send("entra")),
        ("WebhookUrl", &["sources", "okta"]),
        ("ScimUrl", &["sources", "scim"]),
    ] {
        let all = world.stacks.with(|stacks| stacks.outputs.clone());
        world.stacks.with(|stacks| stacks.outputs.retain(|(key, _)| *key != output));
        let (code, _, errors) = world.run(command, "offboard").await;
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains(&format!("has no output {output}: is it one of")), "{command:?}: {errors}");
        world.stacks.with(|stacks| stacks.outputs = all);
    }
}

#[tokio::test]
async fn sources_are_sent_to_and_described_at_the_api_of_the_stack() {
    let world = World::start("api").await;
    let (code, out, errors) = world.run(&["send", "hr", "lee@example.com", "--print-curl"], "offboard").await;
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.contains("'https://api.example.com/webhooks/hr'"), "{out}");
    let created = ["send", "entra", "lee@example.com", "--sample", "created", "--print-curl"];
    let (_, out, errors) = world.run(&created, "offboard").await;
    assert!(out.contains("'https://api.example.com/scim/v2/entra/Users'"), "{out}\n{errors}");
    // It is not this machine: nothing is sent without --yes.
    let (code, _, errors) = world.run(&["send", "hr", "lee@example.com"], "offboard").await;
    assert!(code == Some(2) && errors.contains("sending to api.example.com needs --yes"), "{errors}");
    let (_, out, _) = world.run(&["sources", "okta"], "offboard").await;
    assert!(out.contains("https://api.example.com/webhooks/okta"), "{out}");
    let (_, out, _) = world.run(&["sources", "--json"], "offboard").await;
    let kinds: Vec<Value> = serde_json::from_str(&out).expect("JSON");
    let scim = kinds.iter().find(|kind| kind["kind"] == "scim").expect("SCIM").to_string();
    assert!(scim.contains("https://api.example.com/scim/v2/scim"), "{scim}");
    for both in [&["send", "hr", "lee@example.com", "--to", API][..], &["sources", "okta", "--url", API]] {
        assert_eq!(world.run(both, "offboard").await.0, Some(2), "{both:?}");
    }
}

/// Puts a program in the place of the AWS command line. Returns the folder that it is in.
#[cfg(unix)]
fn aws_command_line(world: &World, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let folder = world.folder.join("bin");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("aws"), format!("#!/bin/sh\n{script}\n")).expect("a file");
    std::fs::set_permissions(folder.join("aws"), PermissionsExt::from_mode(0o755)).expect("it can be run");
    folder
}

#[cfg(unix)]
#[tokio::test]
async fn profile_of_single_sign_on_signs_in_through_the_aws_command_line_once() {
    let world = World::start("sso").await;
    let profiles = "[profile ops]\nregion = eu-central-1\nsso_session = corp\nsso_account_id = 123456789012\n\
                    sso_role_name = ops\n[sso-session corp]\nsso_region = eu-west-1\n\
                    sso_start_url = https://example.com/start\n[profile tool]\nregion = eu-central-1\n\
                    credential_process = /nowhere\n";
    std::fs::write(world.folder.join("profiles"), profiles).expect("a file");
    let run = |profile: &'static str, bin: &Path| {
        let mut command = world.command(&["check", "--stack", "offboard"]);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"] {
            command.env_remove(name);
        }
        command.env("AWS_PROFILE", profile).env("AWS_CONFIG_FILE", "profiles").env("PATH", bin);
        output(command)
    };
    let signed_in = "echo \"$@\" >> asked\necho '{\"Version\": 1, \"AccessKeyId\": \"ASIA0\", \
                     \"SecretAccessKey\": \"s3cret\", \"SessionToken\": \"t0ken\", \"Expiration\": \
                     \"2100-01-31T18:42:00Z\"}'";
    let bin = aws_command_line(&world, signed_in);
    for profile in ["ops", "tool"] {
        let (code, out, errors) = run(profile, &bin).await;
        assert_eq!(code, Some(0), "{profile}: {out}\n{errors}");
        let asked = std::fs::read_to_string(world.folder.join("asked")).expect("it was asked");
        assert_eq!(asked, format!("configure export-credentials --format process --profile {profile}\n"));
        std::fs::remove_file(world.folder.join("asked")).expect("a file");
    }
    let bin = aws_command_line(&world, "echo 'Token has expired and refresh failed' >&2\nexit 255");
    let (code, _, errors) = run("ops", &bin).await;
    assert_eq!(code, Some(1), "{errors}");
    for part in ["Token has expired", "its session has expired or was never begun: `aws sso login --profile ops`"] {
        assert!(errors.contains(part), "{errors}");
    }
    let (code, _, errors) = run("ops", &world.folder.join("nowhere")).await;
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("the AWS profile `ops` needs the AWS command line (version 2)"), "{errors}");
}

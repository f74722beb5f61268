//! The worked example of docs/add-a-provider.md, taken from the page, at a product that answers as the page says: checked,
//! looked up and removed, by the commands and the function.
#![allow(unreachable_pub, missing_docs, clippy::unwrap_used, reason = "a test binary has no users")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use offboard_sandbox::mock::{Answer, Call, MockServer, Service, Unknown, Watched};
use serde_json::{Value, json};

/// Acme's wiki.
struct Wiki {
    users: Vec<(u32, &'static str, &'static str, &'static str)>,
}

impl Wiki {
    fn find(&self, id: &str) -> Option<usize> {
        self.users.iter().position(|(known, ..)| known.to_string() == id)
    }
}

impl Service for Wiki {
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown> {
        if call.header("authorization")? != "Bearer sandbox-token" {
            return Ok(Answer::json(401, json!({"error": {"code": "invalid_token", "message": "no"}})));
        }
        let (method, path) = call.route();
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        match (method, path.as_slice()) {
            ("GET", ["api", "v1", "users"]) => {
                let query = call.query(&["email", "page"])?;
                let (part, page) = (&query["email"], &query["page"]);
                let found = self.users.iter().filter(|(_, email, ..)| email.contains(part.as_str()) && page == "1");
                let users = found
                    .map(|(id, email, role, status)| json!({"id": id, "email": email, "role": role, "status": status}));
                let users: Vec<_> = users.collect();
                Ok(Answer::json(200, json!({"total": users.len(), "users": users})))
            }
            ("POST", ["api", "v1", "users", id, "deactivate"]) => {
                call.no_body()?;
                let index = self.find(id).ok_or_else(Unknown::call)?;
                self.users[index].3 = "deactivated";
                Ok(Answer::json(200, json!({"id": self.users[index].0, "status": "deactivated"})))
            }
            _ => Err(Unknown::call()),
        }
    }
}

/// The file of the page's worked example.
fn example() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/add-a-provider.md");
    let page = fs::read_to_string(page).unwrap();
    page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

/// A configuration with the example beside it.
fn configured(url: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("own_kind");
    fs::create_dir_all(folder.join("providers")).unwrap();
    fs::write(folder.join("providers/wiki.toml"), example()).unwrap();
    let config = folder.join("offboard.toml");
    let text = format!(
        "[policy]\nmode = \"live\"\n[sources.hr]\nkind = \"workos\"\n\
         [providers.wiki]\nkind = \"wiki\"\nbase_url = \"{url}\"\ncanary = \"ops@example.com\"\n"
    );
    fs::write(&config, text).unwrap();
    config
}

/// The sandbox, ended with the test, and the folder of its configuration, which it cannot remove when it is killed.
struct Sandbox(Child, PathBuf);

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = fs::remove_dir_all(&self.1);
    }
}

/// Serves the configuration. Returns what it prints of itself.
fn serve(config: &Path) -> (Sandbox, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
    command.args(["sandbox", "--serve", "--json", "--config"]).arg(config).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let given: Value = serde_json::from_str(&line).unwrap();
    let folder = Path::new(given["config"].as_str().unwrap()).parent().unwrap().to_owned();
    (Sandbox(child, folder), given)
}

fn offboard(given: &Value, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offboard"));
    command.args(arguments).arg("--json").env_clear();
    for (name, value) in given["environment"].as_object().unwrap() {
        command.env(name, value.as_str().unwrap());
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let errors = String::from_utf8_lossy(&stderr).into_owned();
    (status.code(), serde_json::from_slice(&stdout).unwrap_or_else(|error| panic!("{error}: {errors}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn worked_example_is_checked_planned_and_removed() {
    let users = vec![
        (1, "ops@example.com", "owner", "active"),
        (7, "kim@example.com", "member", "active"),
        (8, "kim@example.community", "member", "active"),
    ];
    let wiki = MockServer::start("wiki", [127, 0, 0, 1].into(), Wiki { users }).await.unwrap();
    let (config, watched) = (configured(&wiki.url("")), wiki.clone());
    tokio::task::spawn_blocking(move || {
        let (_sandbox, given) = serve(&config);
        let (code, results) = offboard(&given, &["check", "--live"]);
        let live = results.as_array().unwrap().iter().find(|result| result["what"] == "wiki, live").cloned();
        let note = live.map(|live| live["note"].clone());
        assert_eq!((code, note), (Some(0), Some(json!("the credentials work; the canary is in sight"))), "{results}");
        let (code, plan) = offboard(&given, &["plan", "kim@example.com"]);
        let wiki = &plan["providers"][0];
        assert_eq!((code, &wiki["outcome"], &wiki["account_id"]), (Some(0), &json!("planned"), &json!("7")), "{plan}");
        assert_eq!(wiki["action"], "deactivate", "{plan}");
        assert!(wiki["effect"].as_str().unwrap().starts_with("The user can no longer sign in"), "{plan}");
        let webhook = given["webhooks"]["hr"].as_str().unwrap();
        let (code, report) = offboard(&given, &["send", "hr", "kim@example.com", "--to", webhook]);
        let wiki = &report["departures"][0]["providers"][0];
        assert_eq!((code, &wiki["outcome"], &wiki["account_id"]), (Some(0), &json!("deactivated"), &json!("7")));
        assert_eq!(offboard(&given, &["plan", "kim@example.com"]).1["providers"][0]["outcome"], "already_absent");
    })
    .await
    .unwrap();
    watched.with(|wiki| {
        let active: Vec<_> = wiki.users.iter().filter(|user| user.3 == "active").map(|user| user.0).collect();
        assert_eq!(active, [1, 8], "somebody else was touched");
    });
    assert_eq!(watched.unknown(), [""; 0]);
}

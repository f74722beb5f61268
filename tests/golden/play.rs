//! Plays a case through the engine.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use offboard::{
    config::{Config, Diagnostics, Mode},
    engine::{Action, AddressStatus, Assignment, Engine, OwnedIdentity, Target},
    outbound::Client,
    outcome::ProviderResult,
    person::Email,
    providers::ProviderKind,
    secrets::{Secret, Secrets},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    case::{Answer, Case, Person, Run},
    player::{Player, Server},
};

/// Time enough for everything that is not a fault.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all cases share: the HTTP client, and the secret store with its stand-in.
pub struct World {
    client: Client,
    secrets: Arc<Secrets>,
    _store: Server,
}

impl World {
    /// A world with the secrets of these cases in it.
    pub async fn of(cases: &[Case]) -> Self {
        let values: HashMap<_, _> = cases.iter().map(|case| (secret_name(case), case.secret.clone())).collect();
        let names = values.keys().cloned().collect();
        let store = Server::start(move |request| Answer::Http {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/x-amz-json-1.1".to_owned())],
            body: store(&values, &request.body.unwrap()).to_string(),
        })
        .await;
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(Credentials::new("id", "key", None, None, "golden"))
            .endpoint_url(format!("http://{}", store.address))
            .http_client(offboard::aws::http_client(None).unwrap())
            .build();
        let secrets = Secrets::new(aws_sdk_secretsmanager::Client::from_conf(config), names);
        Self { client: Client::new(None, false).unwrap(), secrets: Arc::new(secrets), _store: store }
    }
}

/// The stand-in for Secrets Manager: `BatchGetSecretValue` and `GetSecretValue`.
fn store(values: &HashMap<String, String>, request: &Value) -> Value {
    let value = |name: &str| json!({"Name": name, "ARN": format!("arn:{name}"), "SecretString": values[name]});
    match request["SecretIdList"].as_array() {
        Some(names) => {
            json!({"SecretValues": names.iter().map(|name| value(name.as_str().unwrap())).collect::<Vec<_>>()})
        }
        None => value(request["SecretId"].as_str().unwrap()),
    }
}

fn secret_name(case: &Case) -> String {
    format!("{}/{}", case.kind, case.name)
}

/// A case's providers, called at the player.
pub struct Stage {
    config: Config,
    engine: Engine,
}

impl Stage {
    /// Sets the case up at `player`. `more` are keys of the provider's table that win over the case's.
    pub fn new(case: &Case, world: &World, player: &Player, more: &str) -> Self {
        Self::with(case, world, player, more, &case.kind, Config::parse)
            .unwrap_or_else(|faults| panic!("{}/{}: {faults}", case.kind, case.name))
    }

    /// Sets the case up with the kind in the file `providers/mutant.toml` of `folder` in place of its own. `Err` if that cannot be
    /// a kind.
    fn of_mutant(case: &Case, world: &World, player: &Player, folder: &Path) -> Result<Self, Diagnostics> {
        let file = folder.join("offboard.toml");
        Self::with(case, world, player, "", "mutant", |text, mode| {
            std::fs::write(&file, text).unwrap();
            Config::load(&file, mode)
        })
    }

    fn with(
        case: &Case,
        world: &World,
        player: &Player,
        more: &str,
        kind: &str,
        read: impl Fn(&str, Option<&str>) -> Result<Config, Diagnostics>,
    ) -> Result<Self, Diagnostics> {
        let host = format!("http://{}", player.address);
        let keys = more.lines().filter_map(|line| line.split_once(' ')).map(|(key, _)| key).collect::<Vec<_>>();
        let own = case.provider.replace("$host", &host);
        let own: Vec<_> = own.lines().filter(|line| !keys.iter().any(|key| line.starts_with(key))).collect();
        let base = format!("{host}{}", vendors_path(case));
        let text = format!(
            "[policy]\n{}\n[sources.golden]\nkind = \"workos\"\n[providers.{name}]\nkind = \"{kind}\"\nsecret = \"{}\"\nbase_url = \"{base}\"\n{}\n{more}",
            case.policy,
            secret_name(case),
            own.join("\n"),
            name = case.kind,
        );
        let mut config = read(&text, (!case.policy.contains("mode")).then_some("live"))?;
        let engine = Engine::new(&mut config, world.client.clone());
        Ok(Self { config, engine })
    }

    /// One departure.
    pub async fn run(&self, run: &Run, world: &World, patience: Duration) -> ProviderResult {
        let assignment = assignment(&run.person, &self.config);
        let mut entries = self.engine.execute(&world.secrets, assignment, Instant::now() + patience).await;
        assert_eq!(entries.len(), 1, "one provider, one entry");
        entries.remove(0)
    }
}

fn assignment(person: &Person, config: &Config) -> Assignment {
    let emails = [
        (AddressStatus::Current, person.email.as_slice()),
        (AddressStatus::Former, &person.former),
        (AddressStatus::FormerInUse, &person.former_in_use),
    ];
    let emails = emails.into_iter().flat_map(|(status, emails)| emails.iter().map(move |email| (status, email)));
    let emails = emails.map(|(status, email)| (status, OwnedIdentity::Email(Email::parse(email).unwrap())));
    let ids = person.external_id.iter().map(|id| (AddressStatus::Current, OwnedIdentity::ExternalId(id.clone())));
    let released = |name: &str| (name.to_owned(), person.released.iter().cloned().collect());
    let names = ProviderKind::names;
    Assignment {
        targets: emails.chain(ids).map(|(status, identity)| Target { identity, status }).collect(),
        source: "golden".to_owned(),
        action: match config.policy.mode {
            _ if person.resolve => Action::Resolve,
            Mode::DryRun => Action::LookUp,
            _ => Action::Remove,
        },
        released: names().into_iter().filter(|_| !person.released.is_empty()).map(released).collect(),
        protected: Default::default(),
        begun: names().into_iter().filter(|_| person.begun).map(str::to_owned).collect(),
    }
}

/// The path of the vendor's own base URL.
fn vendors_path(case: &Case) -> String {
    // A sweep asks thousands of times.
    static KNOWN: Mutex<BTreeMap<(String, String), String>> = Mutex::new(BTreeMap::new());
    let key = (case.kind.clone(), case.provider.clone());
    let known = KNOWN.lock().unwrap().get(&key).cloned();
    known.unwrap_or_else(|| {
        let path = read_vendors_path(case);
        KNOWN.lock().unwrap().insert(key, path.clone());
        path
    })
}

fn read_vendors_path(case: &Case) -> String {
    let own = case.provider.replace("$host", "https://product.example.com");
    assert!(ProviderKind::named(&case.kind).is_some(), "no kind {}", case.kind);
    let text = format!("[sources.golden]\nkind = \"workos\"\n[providers.p]\nkind = \"{}\"\n{own}", case.kind);
    // A kind without an address of its own must be given one, and then has no path either.
    let placed = if Config::parse(&text, None).is_err_and(|faults| faults.to_string().contains("`base_url` is missing"))
    {
        format!("{text}\nbase_url = \"https://product.example.com\"")
    } else {
        text
    };
    let text = placed;
    let config = Config::parse(&text, (!case.policy.contains("mode")).then_some("live"))
        .unwrap_or_else(|faults| panic!("{}: {faults}", case.name));
    let secret = Secret::parse("golden", &case.secret).unwrap();
    let Ok(places) = config.providers[0].settings.connect(&secret) else {
        return String::new();
    };
    let (_, path) = places[0].base_url.trim_start_matches("https://").split_once('/').unwrap_or_default();
    format!("/{path}")
}

/// What the report says, without what is not the provider's doing.
pub fn told(entry: &ProviderResult) -> Value {
    let mut told = serde_json::to_value(entry).unwrap();
    let fields = told.as_object_mut().unwrap();
    fields.remove("provider");
    fields.remove("elapsed_ms");
    told
}

/// What the report must not show: parts of secrets, whole addresses, where the provider is.
pub fn leaks(entry: &ProviderResult) -> Option<String> {
    let shown = format!("{entry:?} {}", told(entry));
    let never = [
        "-1234",
        "token-1",
        "token-2",
        "ann@example.com",
        "ann.former@",
        "ops@example.com",
        "stranger@",
        "127.0.0.1",
        "http://",
        "<html",
    ];
    never.into_iter().find(|text| shown.contains(text)).map(|text| format!("the report shows {text}: {shown}"))
}

/// Plays a case from its first request to its last. `Err` tells what differs.
pub async fn whole(case: &Case, world: &World) -> Result<(), String> {
    let player = Player::start().await;
    on(&Stage::new(case, world, &player, ""), case, world, &player).await
}

/// The same with the kind in the file `providers/mutant.toml` of `folder` in place of the case's.
pub async fn whole_of_mutant(case: &Case, world: &World, folder: &Path) -> Result<(), String> {
    let player = Player::start().await;
    let stage = Stage::of_mutant(case, world, &player, folder).map_err(|faults| faults.to_string())?;
    on(&stage, case, world, &player).await
}

async fn on(stage: &Stage, case: &Case, world: &World, player: &Player) -> Result<(), String> {
    for run in &case.runs {
        player.load(&run.exchanges);
        let entry = stage.run(run, world, PATIENCE).await;
        let told = told(&entry);
        let mut differences = player.complaints();
        differences.extend(leaks(&entry));
        differences.extend(player.left());
        if told != run.outcome {
            let expected = toml::to_string(&run.outcome).unwrap();
            differences.push(format!("expected\n{expected}\ngot\n{}", toml::to_string(&told).unwrap()));
        }
        if !differences.is_empty() {
            return Err(differences.join("\n"));
        }
    }
    Ok(())
}

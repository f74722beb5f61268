//! A configuration of the user's own, among mock services: secrets are made up, providers' URLs point at mocks of their kinds.

use std::{fs, io, net::IpAddr, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use offboard::{
    config::{BaseUrl, Config, ProviderConfig},
    source::Source,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use toml::Table;

use super::{cast, world};
use crate::{
    aws::Aws,
    delivery::Delivery,
    mock::{MockServer, Service},
};

/// What was made of a configuration.
pub(super) struct Own {
    /// AWS, with the secrets.
    pub aws: Aws,
    /// The configuration for the mock services, as TOML.
    pub configuration: String,
    /// The sources that deliveries can be made of, and what they sign with.
    pub sources: Vec<(String, String)>,
    /// The providers' names, base URLs and secrets.
    pub providers: Vec<(String, String, Value)>,
    /// What is different from the file, in sentences.
    pub notes: Vec<String>,
}

impl Own {
    /// Starts what the configuration in this file needs.
    pub(super) async fn start(file: &Path, host: IpAddr) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let config = Config::load(file, None).map_err(|errors| format!("{}: {errors}", file.display()))?;
        let mut table: Table = text.parse().map_err(|error| format!("{}: {error}", file.display()))?;
        let failed = |error: io::Error| format!("cannot listen on {host}: {error}");
        let aws = Aws::start(host).await.map_err(failed)?;
        let (configuration, notes) = (String::new(), Vec::new());
        let mut own = Self { aws, configuration, sources: Vec::new(), providers: Vec::new(), notes };
        if let Some(Value::String(_)) = json!(table).pointer("/http/extra_ca") {
            own.notes.push("http.extra_ca is left out: everything is on this machine".into());
            table.remove("http");
        }
        config.sources.values().for_each(|source| own.add_source(source));
        for provider in &config.providers {
            let all = table.get_mut("providers").and_then(toml::Value::as_table_mut);
            let all = all.ok_or("the configuration has no table of providers")?;
            own.add_provider(provider, all, host).await.map_err(failed)?;
        }
        own.configuration = table.to_string();
        Ok(own)
    }

    fn add_source(&mut self, source: &Source) {
        let name = &source.name;
        if source.partner().is_some() {
            let how =
                format!("`offboard send {name} EMAIL --print-event` prints one, which `aws lambda invoke` hands over");
            return self.notes.push(format!("sources.{name}: nobody delivers its events here; {how}"));
        }
        let Some(secret_name) = source.secret() else {
            let why = "its sender publishes its keys, so no delivery of it can be made up";
            return self.notes.push(format!("sources.{name}: {why}"));
        };
        let text = format!("sandbox-{name}-signing-secret-of-32-bytes");
        let encoded = format!("whsec_{}", STANDARD.encode(&text.as_bytes()[..32.min(text.len())]));
        let candidates = [text.clone(), encoded, format!("sandbox:{text}")];
        let signs = |secret: &&String| {
            let (secret, now) = (secret.as_str().into(), OffsetDateTime::now_utc());
            Delivery::sample(source, "departure", &secret, cast::LEE, "sample", now).is_ok()
        };
        let Some(secret) = candidates.iter().find(signs) else {
            return self.notes.push(format!("sources.{name}: no secret of its form can be made up"));
        };
        let (key, _) = source.scheme.secret_keys();
        self.aws.secrets.with(|secrets| secrets.put(secret_name, json!({ key: secret })));
        self.sources.push((name.clone(), secret.clone()));
    }

    async fn add_provider(&mut self, provider: &ProviderConfig, all: &mut Table, host: IpAddr) -> io::Result<()> {
        let mut people: Vec<&str> = cast::everybody().collect();
        people.extend(provider.canary.as_ref().map(|canary| canary.expose()));
        let Some(given) = all.get_mut(&provider.name).and_then(toml::Value::as_table_mut) else { return Ok(()) };
        let text = |value: &toml::Value| value.as_str().map(str::to_owned);
        // Without an API there is nothing to serve.
        let Some(secret_name) = &provider.secret else { return Ok(()) };
        let (base, secret) = match provider.kind.name {
            "flashduty" => (serve("flashduty", host, world::flashduty(&people)).await?, world::FLASHDUTY.secret()),
            "instaply" => (serve("instaply", host, world::instaply(&people)).await?, world::INSTAPLY.secret()),
            "cloudflare_access" => {
                let account = given.get("account_id").and_then(text).unwrap_or_default();
                let base = serve("cloudflare", host, world::cloudflare(&people, &account)).await?;
                (format!("{base}/client/v4"), world::CLOUDFLARE.secret())
            }
            "aerospike_cloud" => {
                let base = serve("aerospike", host, world::aerospike(&people)).await?;
                given.insert("token_url".into(), format!("{base}/oauth/token").into());
                (format!("{base}/v2"), world::AEROSPIKE.secret())
            }
            "stytch_b2b" => {
                let ids = given.get("organization_ids").and_then(toml::Value::as_array);
                let ids: Vec<String> = ids.into_iter().flatten().filter_map(text).collect();
                (serve("stytch", host, world::stytch(&people, &ids)).await?, world::STYTCH.secret())
            }
            _ if provider.base_url.as_ref().is_some_and(BaseUrl::is_loopback) => {
                let secret = made_up(provider);
                let why = format!("it is called where its base_url says, with a made-up secret: {secret}");
                self.notes.push(format!("providers.{}: {why}", provider.name));
                (given.get("base_url").and_then(text).unwrap_or_default(), secret)
            }
            kind => {
                let why = format!("the sandbox has no mock service of the kind {kind}, so it is `manual` here");
                self.notes.push(format!("providers.{}: {why}", provider.name));
                let instructions = format!("In the sandbox there is no {kind}: confirm that the account is gone");
                *given = Table::from_iter([
                    ("kind".to_owned(), "manual".into()),
                    ("instructions".to_owned(), instructions.into()),
                ]);
                return Ok(());
            }
        };
        given.insert("base_url".into(), base.clone().into());
        self.aws.secrets.with(|secrets| secrets.put(secret_name, secret.clone()));
        self.providers.push((provider.name.clone(), base, secret));
        Ok(())
    }
}

/// Returns a secret with the keys that a provider's kind needs.
fn made_up(provider: &ProviderConfig) -> Value {
    let keys = provider.kind.secret.first().into_iter().flat_map(|set| set.iter());
    Value::Object(keys.map(|it| (it.key.to_owned(), format!("sandbox-{}", it.key).into())).collect())
}

/// Starts a service and returns its URL.
async fn serve<S: Service>(name: &'static str, host: IpAddr, service: S) -> io::Result<String> {
    Ok(MockServer::start(name, host, service).await?.url(""))
}

//! The calls to each kind of provider: find, remove, find.

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::{
    ProviderConfig,
    client::{Host, Tls},
};

const JSON: (&str, &str) = ("content-type", "application/json");

pub(crate) struct Provider {
    pub(crate) name: String,
    kind: String,
    host: Host,
    account: String,
    organization: String,
    /// The header that authorizes; for Aerospike, made of a token that is fetched once.
    authorization: OnceCell<String>,
    secret: Value,
}

impl Provider {
    pub(crate) fn new(config: &ProviderConfig, secret: &Value, tls: Option<&Tls>) -> Result<Self> {
        Ok(Self {
            name: config.name.clone(),
            kind: config.kind.clone(),
            host: Host::new(&config.url, tls)?,
            account: config.account.clone(),
            organization: config.organization.clone(),
            authorization: OnceCell::new(),
            secret: secret.clone(),
        })
    }

    /// Removes an account, and looks again.
    pub(crate) async fn remove(&self, email: &str) -> Result<()> {
        match self.kind.as_str() {
            "aerospike_cloud" => self.aerospike(email).await,
            "cloudflare_access" => self.cloudflare(email).await,
            "flashduty" => self.flashduty(email).await,
            "instaply" => self.instaply(email).await,
            "stytch_b2b" => self.stytch(email).await,
            other => bail!("{other} is not known"),
        }
    }

    async fn aerospike(&self, email: &str) -> Result<()> {
        let authorization = self.authorization.get_or_try_init(|| self.token()).await?;
        let headers = [("authorization", authorization.as_str())];
        let find = || async {
            let list = self.host.get("/v2/organization/members", &headers).await?.json().await?;
            Ok::<_, anyhow::Error>(id(&list["members"], email, "id"))
        };
        let id = find().await?.context("not there")?;
        self.done("DELETE", &format!("/v2/organization/members/{id}"), &headers, String::new()).await?;
        ensure!(find().await?.is_none(), "still there");
        Ok(())
    }

    async fn token(&self) -> Result<String> {
        let grant = json!({
            "client_id": self.secret["client_id"], "client_secret": self.secret["client_secret"],
            "grant_type": "client_credentials",
        });
        let token = self.host.send("POST", "/oauth/token", &[JSON], grant.to_string()).await?.json().await?;
        Ok(format!("Bearer {}", token["access_token"].as_str().context("no token")?))
    }

    async fn cloudflare(&self, email: &str) -> Result<()> {
        let authorization = format!("Bearer {}", self.text("api_token")?);
        let headers = [("authorization", authorization.as_str())];
        let base = format!("/client/v4/accounts/{}/access/users", self.account);
        let path = format!("{base}?email={}&page=1&per_page=100", email.replace('@', "%40"));
        let find = || async {
            let list = self.host.get(&path, &headers).await?.json().await?;
            Ok::<_, anyhow::Error>(id(&list["result"], email, "id"))
        };
        let id = find().await?.context("not there")?;
        self.done("DELETE", &format!("{base}/{id}"), &headers, String::new()).await?;
        ensure!(find().await?.is_none(), "still there");
        Ok(())
    }

    async fn flashduty(&self, email: &str) -> Result<()> {
        let key = self.text("app_key")?;
        let find = || async {
            let body = json!({"p": 1, "limit": 100, "query": email}).to_string();
            let list =
                self.host.send("POST", &format!("/member/list?app_key={key}"), &[JSON], body).await?.json().await?;
            Ok::<_, anyhow::Error>(id(&list["data"]["items"], email, "member_id"))
        };
        let id: u64 = find().await?.context("not there")?.parse()?;
        let body = json!({"member_id": id, "is_force": false}).to_string();
        self.done("POST", &format!("/member/delete?app_key={key}"), &[JSON], body).await?;
        ensure!(find().await?.is_none(), "still there");
        Ok(())
    }

    async fn instaply(&self, email: &str) -> Result<()> {
        let headers = [("token", self.text("token")?), JSON];
        let body = json!({ "email": email }).to_string();
        self.done("POST", "/api/user/delete-by-email", &headers, body.clone()).await?;
        let again = self.host.send("POST", "/api/user/delete-by-email", &headers, body).await?;
        let status = again.status();
        again.whole().await?;
        ensure!(status == 404, "still there");
        Ok(())
    }

    async fn stytch(&self, email: &str) -> Result<()> {
        let credentials = format!("{}:{}", self.text("project_id")?, self.text("secret")?);
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(credentials));
        let headers = [("authorization", authorization.as_str())];
        let base = format!("/v1/b2b/organizations/{}", self.organization);
        let path = format!("{base}/member?email_address={}", email.replace('@', "%40"));
        let found = self.host.get(&path, &headers).await?.json().await?;
        let id = found["member_id"].as_str().context("not there")?;
        self.done("DELETE", &format!("{base}/members/{id}"), &headers, String::new()).await?;
        let again = self.host.get(&path, &headers).await?;
        let (status, (_, body)) = (again.status(), again.whole().await?);
        let body: Value = serde_json::from_slice(&body)?;
        ensure!(status == 404 || body["member"]["status"] == "deleted", "still there");
        Ok(())
    }

    async fn done(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Result<()> {
        let answer = self.host.send(method, path, headers, body).await?;
        let status = answer.status();
        answer.whole().await?;
        ensure!(status.is_success(), "status {status}");
        Ok(())
    }

    fn text(&self, key: &str) -> Result<&str> {
        self.secret[key].as_str().with_context(|| format!("no {key}"))
    }
}

/// The id of the account with this address.
fn id(list: &Value, email: &str, key: &str) -> Option<String> {
    let account = list.as_array()?.iter().find(|account| account["email"] == email)?;
    Some(account[key].as_str().map_or_else(|| account[key].to_string(), str::to_owned))
}

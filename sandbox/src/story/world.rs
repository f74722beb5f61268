//! The world outside the function: six mock services, their members, their credentials, and the configuration for them.

use std::{io, net::IpAddr};

use serde_json::{Value, json};

use super::cast;
use crate::aws::secrets_manager::SecretsManager;
use crate::mock::{MockServer, Watched};
use crate::vendors::{
    aerospike_cloud::{self, AerospikeCloud},
    cloudflare_access::{self, CloudflareAccess},
    flashduty::{self, Flashduty},
    instaply::{self, Instaply},
    stytch_b2b::{self, StytchB2b},
};

/// Base64 of 32 bytes, as a Standard Webhooks sender issues it.
const DIRECTORY_SECRET: &str = "whsec_c2FuZGJveC1kaXJlY3Rvcnktc2lnbmluZy1zZWNyZXQ=";
const WORKOS_SECRET: &str = "sandbox-workos-signing-secret";
const HR_SECRET: &str = "sandbox-hr-signing-secret";

const FLASHDUTY_KEY: &str = "sandbox-flashduty-app-key";
const INSTAPLY_TOKEN: &str = "sandbox-instaply-token";
const CLOUDFLARE_ACCOUNT: &str = "023e105f4ecef8ad9ca31a8372d0c353";
const CLOUDFLARE_TOKEN: &str = "sandbox-cloudflare-token-1";
const CLOUDFLARE_NEXT_TOKEN: &str = "sandbox-cloudflare-token-2";
const AEROSPIKE_ID: &str = "sandbox-aerospike-client";
const AEROSPIKE_SECRET: &str = "sandbox-aerospike-client-secret";
const STYTCH_PROJECT: &str = "project-test-5a4db0c5-0000-4000-8000-000000000001";
const STYTCH_SECRET: &str = "sandbox-stytch-secret";
const STYTCH_ORGANIZATIONS: [&str; 2] = [
    "organization-test-5a4db0c5-0000-4000-8000-000000000001",
    "organization-test-5a4db0c5-0000-4000-8000-000000000002",
];

/// All mock services.
pub(super) struct World {
    /// AWS Secrets Manager.
    pub secrets: MockServer<SecretsManager>,
    /// Flashduty.
    pub flashduty: MockServer<Flashduty>,
    /// Instaply.
    pub instaply: MockServer<Instaply>,
    /// Cloudflare Access.
    pub cloudflare: MockServer<CloudflareAccess>,
    /// Aerospike Cloud and its authorisation server.
    pub aerospike: MockServer<AerospikeCloud>,
    /// Stytch B2B.
    pub stytch: MockServer<StytchB2b>,
}

impl World {
    /// Starts all mock services with everybody in them.
    pub(super) async fn start(host: IpAddr) -> io::Result<Self> {
        Ok(Self {
            secrets: MockServer::start("secretsmanager", host, secrets()).await?,
            flashduty: MockServer::start("flashduty", host, flashduty()).await?,
            instaply: MockServer::start("instaply", host, instaply()).await?,
            cloudflare: MockServer::start("cloudflare", host, cloudflare()).await?,
            aerospike: MockServer::start("aerospike", host, aerospike()).await?,
            stytch: MockServer::start("stytch", host, stytch()).await?,
        })
    }

    /// The providers, in the order of the report.
    pub(super) fn providers(&self) -> [&dyn Watched; 5] {
        [&self.aerospike, &self.cloudflare, &self.flashduty, &self.instaply, &self.stytch]
    }

    /// How often any provider was called.
    pub(super) fn calls(&self) -> u64 {
        self.providers().iter().map(|provider| provider.calls()).sum()
    }

    /// The calls that no mock service knew.
    pub(super) fn unknown(&self) -> Vec<String> {
        let providers = self.providers().into_iter().flat_map(|provider| provider.unknown());
        providers.chain(self.secrets.unknown()).collect()
    }

    /// Gives out a new Cloudflare token: the old one is worthless from now on.
    pub(super) fn rotate_cloudflare(&self) {
        self.cloudflare.with(|service| service.api_token = CLOUDFLARE_NEXT_TOKEN.into());
        let value = json!({ "api_token": CLOUDFLARE_NEXT_TOKEN });
        self.secrets.with(|service| service.put("offboard/providers/cloudflare", value));
    }

    /// Everything that must never be seen outside Secrets Manager, tokens included that were issued meanwhile.
    pub(super) fn confidential(&self) -> Vec<String> {
        let mut all = self.secrets.with(|service| service.values());
        // A project's id and a client's id name something; they open nothing.
        all.retain(|value| value != STYTCH_PROJECT && value != AEROSPIKE_ID);
        all.extend(self.aerospike.with(|service| service.issued.clone()));
        all
    }

    /// The function's configuration.
    pub(super) fn configuration(&self) -> String {
        let [first, second] = STYTCH_ORGANIZATIONS;
        let places = [
            ("{flashduty}", self.flashduty.url("")),
            ("{instaply}", self.instaply.url("")),
            ("{cloudflare}", self.cloudflare.url("/client/v4")),
            ("{account}", CLOUDFLARE_ACCOUNT.into()),
            ("{aerospike}", self.aerospike.url("/v2")),
            ("{token}", self.aerospike.url("/oauth/token")),
            ("{stytch}", self.stytch.url("")),
            ("{organization_1}", first.into()),
            ("{organization_2}", second.into()),
        ];
        let template = include_str!("offboard.toml").to_owned();
        places.into_iter().fold(template, |text, (place, value)| text.replace(place, &value))
    }

    /// Base URLs and credentials, for whoever wants to talk to the mock services.
    pub(super) fn credentials(&self) -> Value {
        json!({
            "flashduty": { "base_url": self.flashduty.url(""), "app_key": FLASHDUTY_KEY },
            "instaply": { "base_url": self.instaply.url(""), "token": INSTAPLY_TOKEN },
            "cloudflare": {
                "base_url": self.cloudflare.url("/client/v4"), "account_id": CLOUDFLARE_ACCOUNT,
                "api_token": CLOUDFLARE_TOKEN,
            },
            "aerospike": {
                "base_url": self.aerospike.url("/v2"), "token_url": self.aerospike.url("/oauth/token"),
                "client_id": AEROSPIKE_ID, "client_secret": AEROSPIKE_SECRET,
            },
            "stytch": {
                "base_url": self.stytch.url(""), "project_id": STYTCH_PROJECT, "secret": STYTCH_SECRET,
                "organization_ids": STYTCH_ORGANIZATIONS,
            },
        })
    }
}

/// The secret with which a source signs.
pub(super) fn signing_secret(source: &str) -> &'static str {
    match source {
        "directory" => DIRECTORY_SECRET,
        "workos" => WORKOS_SECRET,
        _ => HR_SECRET,
    }
}

fn secrets() -> SecretsManager {
    let mut secrets = SecretsManager::default();
    for source in super::SOURCES {
        secrets.put(&format!("offboard/sources/{source}"), json!({ "signing_secret": signing_secret(source) }));
    }
    let providers = [
        ("flashduty", json!({ "app_key": FLASHDUTY_KEY })),
        ("instaply", json!({ "token": INSTAPLY_TOKEN })),
        ("cloudflare", json!({ "api_token": CLOUDFLARE_TOKEN })),
        ("aerospike", json!({ "client_id": AEROSPIKE_ID, "client_secret": AEROSPIKE_SECRET })),
        ("stytch", json!({ "project_id": STYTCH_PROJECT, "secret": STYTCH_SECRET })),
    ];
    for (provider, value) in providers {
        secrets.put(&format!("offboard/providers/{provider}"), value);
    }
    secrets
}

fn flashduty() -> Flashduty {
    let members = cast::everybody().zip(2_476_444_212_131..).map(|(email, id)| flashduty::Member {
        id,
        email: email.into(),
        schedules: if email == cast::DANA { vec!["Primary".into()] } else { Vec::new() },
    });
    Flashduty { app_key: FLASHDUTY_KEY.into(), members: members.collect() }
}

fn instaply() -> Instaply {
    let users = cast::everybody().zip(1_388_838..).map(|(email, id)| instaply::User {
        id,
        email: email.into(),
        kept_by: (email == cast::DANA).then_some("last customer representative in one or more businesses"),
    });
    Instaply { token: INSTAPLY_TOKEN.into(), users: users.collect() }
}

fn cloudflare() -> CloudflareAccess {
    // Ann is not here, her neighbours are: what a search finds is then nobody of that address.
    let users = cast::everybody().zip(1..).filter(|(email, _)| *email != cast::ANN);
    let users = users.map(|(email, number)| cloudflare_access::User { id: uuid(0xc10d, number), email: email.into() });
    CloudflareAccess {
        account_id: CLOUDFLARE_ACCOUNT.into(),
        api_token: CLOUDFLARE_TOKEN.into(),
        users: users.collect(),
    }
}

fn aerospike() -> AerospikeCloud {
    let owner = ("owner@example.com", true);
    let everybody = cast::everybody().map(|email| (email, false));
    let members = everybody.chain([owner]).zip(1..).map(|((email, owner), number)| aerospike_cloud::Member {
        id: uuid(0xae05, number),
        email: email.into(),
        owner,
    });
    AerospikeCloud {
        client_id: AEROSPIKE_ID.into(),
        client_secret: AEROSPIKE_SECRET.into(),
        issued: Vec::new(),
        members: members.collect(),
    }
}

fn stytch() -> StytchB2b {
    let member = |organization_id: &str, number, email: &str, breakglass| stytch_b2b::Member {
        organization_id: organization_id.into(),
        id: format!("member-test-{}", uuid(0x57c4, number)),
        email: email.into(),
        breakglass,
        deleted: false,
    };
    let [first, second] = STYTCH_ORGANIZATIONS;
    let mut members: Vec<_> = cast::everybody().zip(1..).map(|(email, n)| member(first, n, email, false)).collect();
    // Some people belong to both organisations, with a record in each.
    let both = [cast::LEE, cast::SAM, cast::NEIGHBOURS[0]];
    members.extend(both.into_iter().zip(101..).map(|(email, n)| member(second, n, email, false)));
    members.push(member(first, 201, "breakglass@example.com", true));
    StytchB2b {
        project_id: STYTCH_PROJECT.into(),
        secret: STYTCH_SECRET.into(),
        organizations: STYTCH_ORGANIZATIONS.map(String::from).to_vec(),
        members,
    }
}

/// An id that looks random and is the same in every run.
fn uuid(kind: u16, number: u32) -> String {
    let scattered = number.wrapping_mul(0x9e37_79b1) ^ u32::from(kind);
    format!("{scattered:08x}-{kind:04x}-4000-8000-{number:012x}")
}

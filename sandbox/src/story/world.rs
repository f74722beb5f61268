//! The world outside the function: AWS, five providers, their members, their credentials, and the configuration for them.

use std::{io, net::IpAddr};

use serde_json::{Map, Value, json};

use super::cast;
use crate::aws::Aws;
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
const ENTRA_TOKEN: &str = "sandbox-entra-token";
const PAYROLL_SECRET: &str = "sandbox-payroll-signing-secret";

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

/// The made-up credentials of a product: the keys of its secret with their values.
pub(super) struct Credentials(&'static [(&'static str, &'static str)]);

impl Credentials {
    /// The secret.
    pub(super) fn secret(&self) -> Value {
        self.0.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect::<Map<_, _>>().into()
    }

    /// The secret, and settings.
    fn with(&self, settings: Value) -> Value {
        let (Value::Object(mut all), Value::Object(more)) = (self.secret(), settings) else { return Value::Null };
        all.extend(more);
        all.into()
    }
}

pub(super) const FLASHDUTY: Credentials = Credentials(&[("app_key", FLASHDUTY_KEY)]);
pub(super) const INSTAPLY: Credentials = Credentials(&[("token", INSTAPLY_TOKEN)]);
pub(super) const CLOUDFLARE: Credentials = Credentials(&[("api_token", CLOUDFLARE_TOKEN)]);
pub(super) const AEROSPIKE: Credentials =
    Credentials(&[("client_id", AEROSPIKE_ID), ("client_secret", AEROSPIKE_SECRET)]);
pub(super) const STYTCH: Credentials = Credentials(&[("project_id", STYTCH_PROJECT), ("secret", STYTCH_SECRET)]);

/// All mock services.
pub(super) struct World {
    /// AWS.
    pub aws: Aws,
    /// Flashduty.
    pub flashduty: MockServer<Flashduty>,
    /// Instaply.
    pub instaply: MockServer<Instaply>,
    /// Cloudflare Access.
    pub cloudflare: MockServer<CloudflareAccess>,
    /// Aerospike Cloud and its authorization server.
    pub aerospike: MockServer<AerospikeCloud>,
    /// Stytch B2B.
    pub stytch: MockServer<StytchB2b>,
}

impl World {
    /// Starts all mock services with everybody in them.
    pub(super) async fn start(host: IpAddr) -> io::Result<Self> {
        let aws = Aws::start(host).await?;
        put_secrets(&aws);
        let people: Vec<&str> = cast::everybody().collect();
        let organizations = STYTCH_ORGANIZATIONS.map(String::from);
        Ok(Self {
            aws,
            flashduty: MockServer::start("flashduty", host, flashduty(&people)).await?,
            instaply: MockServer::start("instaply", host, instaply(&people)).await?,
            cloudflare: MockServer::start("cloudflare", host, cloudflare(&people, CLOUDFLARE_ACCOUNT)).await?,
            aerospike: MockServer::start("aerospike", host, aerospike(&people)).await?,
            stytch: MockServer::start("stytch", host, stytch(&people, &organizations)).await?,
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
        providers.chain(self.aws.unknown()).collect()
    }

    /// Gives out a new Cloudflare token: the old one is worthless from now on.
    pub(super) fn rotate_cloudflare(&self) {
        self.cloudflare.with(|service| service.api_token = CLOUDFLARE_NEXT_TOKEN.into());
        let value = json!({ "api_token": CLOUDFLARE_NEXT_TOKEN });
        self.aws.secrets.with(|service| service.put("offboard/providers/cloudflare", value));
    }

    /// Takes Dana off the Flashduty schedule, and gives Instaply another representative.
    pub(super) fn relieve_dana(&self) {
        self.flashduty.with(|service| service.members.iter_mut().for_each(|member| member.schedules.clear()));
        self.instaply.with(|service| service.users.iter_mut().for_each(|user| user.kept_by = None));
    }

    /// Everything that must never be seen outside Secrets Manager, tokens included that were issued meanwhile.
    pub(super) fn confidential(&self) -> Vec<String> {
        let mut all = self.aws.secrets.with(|service| service.values());
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

    /// Base URLs and credentials of the mock services.
    pub(super) fn credentials(&self) -> Value {
        json!({
            "flashduty": FLASHDUTY.with(json!({ "base_url": self.flashduty.url("") })),
            "instaply": INSTAPLY.with(json!({ "base_url": self.instaply.url("") })),
            "cloudflare": CLOUDFLARE.with(
                json!({ "base_url": self.cloudflare.url("/client/v4"), "account_id": CLOUDFLARE_ACCOUNT }),
            ),
            "aerospike": AEROSPIKE.with(
                json!({ "base_url": self.aerospike.url("/v2"), "token_url": self.aerospike.url("/oauth/token") }),
            ),
            "stytch": STYTCH.with(
                json!({ "base_url": self.stytch.url(""), "organization_ids": STYTCH_ORGANIZATIONS }),
            ),
        })
    }
}

/// The secret with which a source signs.
pub(super) fn signing_secret(source: &str) -> &'static str {
    match source {
        "directory" => DIRECTORY_SECRET,
        "workos" => WORKOS_SECRET,
        "payroll" => PAYROLL_SECRET,
        "entra" => ENTRA_TOKEN,
        _ => HR_SECRET,
    }
}

fn put_secrets(aws: &Aws) {
    for source in super::SOURCES {
        let key = if source == "entra" { "token" } else { "signing_secret" };
        let value = json!({ key: signing_secret(source) });
        aws.secrets.with(|secrets| secrets.put(&format!("offboard/sources/{source}"), value));
    }
    let providers = [
        ("flashduty", FLASHDUTY),
        ("instaply", INSTAPLY),
        ("cloudflare", CLOUDFLARE),
        ("aerospike", AEROSPIKE),
        ("stytch", STYTCH),
    ];
    for (provider, credentials) in providers {
        aws.secrets.with(|secrets| secrets.put(&format!("offboard/providers/{provider}"), credentials.secret()));
    }
}

/// A Flashduty account with these people.
pub(super) fn flashduty(people: &[&str]) -> Flashduty {
    let members = people.iter().copied().zip(2_476_444_212_131..).map(|(email, id)| flashduty::Member {
        id,
        email: email.into(),
        schedules: if email == cast::DANA { vec!["Primary".into()] } else { Vec::new() },
    });
    Flashduty { app_key: FLASHDUTY_KEY.into(), members: members.collect() }
}

/// An Instaply organization with these people.
pub(super) fn instaply(people: &[&str]) -> Instaply {
    let users = people.iter().copied().zip(1_388_838..).map(|(email, id)| instaply::User {
        id,
        email: email.into(),
        kept_by: (email == cast::DANA).then_some("last customer representative in one or more businesses"),
    });
    Instaply { token: INSTAPLY_TOKEN.into(), users: users.collect() }
}

/// A Cloudflare account with these people.
pub(super) fn cloudflare(people: &[&str], account_id: &str) -> CloudflareAccess {
    // Ann is missing and her neighbors are there: a search for her address finds other people alone.
    let users = people.iter().copied().zip(1..).filter(|(email, _)| *email != cast::ANN);
    let users = users.map(|(email, number)| cloudflare_access::User { id: uuid(0xc10d, number), email: email.into() });
    CloudflareAccess { account_id: account_id.into(), api_token: CLOUDFLARE_TOKEN.into(), users: users.collect() }
}

/// An Aerospike organization with these people.
pub(super) fn aerospike(people: &[&str]) -> AerospikeCloud {
    let owner = ("owner@example.com", true);
    let everybody = people.iter().map(|email| (*email, false));
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

/// A Stytch project with these organizations: all people belong to the first.
pub(super) fn stytch(people: &[&str], organizations: &[String]) -> StytchB2b {
    let member = |organization_id: &str, number, email: &str, breakglass| stytch_b2b::Member {
        organization_id: organization_id.into(),
        id: format!("member-test-{}", uuid(0x57c4, number)),
        email: email.into(),
        breakglass,
        deleted: false,
    };
    let first = organizations.first().map(String::as_str).unwrap_or_default();
    let mut members: Vec<_> = people.iter().zip(1..).map(|(email, n)| member(first, n, email, false)).collect();
    // Some people belong to two organizations, with a record in each.
    if let Some(second) = organizations.get(1) {
        let both = [cast::LEE, cast::SAM, cast::NEIGHBORS[0]];
        members.extend(both.into_iter().zip(101..).map(|(email, n)| member(second, n, email, false)));
    }
    members.push(member(first, 201, "breakglass@example.com", true));
    StytchB2b {
        project_id: STYTCH_PROJECT.into(),
        secret: STYTCH_SECRET.into(),
        organizations: organizations.to_vec(),
        members,
    }
}

/// An id that looks random and is the same in every run.
fn uuid(kind: u16, number: u32) -> String {
    let scattered = number.wrapping_mul(0x9e37_79b1) ^ u32::from(kind);
    format!("{scattered:08x}-{kind:04x}-4000-8000-{number:012x}")
}

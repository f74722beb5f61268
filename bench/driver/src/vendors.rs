//! The five kinds of providers: the sandbox's mock services, each behind a server of its own.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use offboard_sandbox::{
    mock::{Answer, Call, Service, Unknown},
    vendors::{
        aerospike_cloud::{self, AerospikeCloud},
        cloudflare_access::{self, CloudflareAccess},
        flashduty::{self, Flashduty},
        instaply::{self, Instaply},
        stytch_b2b::{self, StytchB2b},
    },
};
use serde_json::{Value, json};

use crate::server::{Behavior, Handler, Request, Response, Server, lock};

pub(crate) const ACCOUNT: &str = "023e105f4ecef8ad9ca31a8372d0c353";
pub(crate) const ORGANIZATION: &str = "organization-test-5a4db0c5-0000-4000-8000-000000000001";

/// The kinds, in the order in which providers are made of them: the longest chain of calls first.
pub(crate) const KINDS: [Kind; 5] = [Kind::Aerospike, Kind::Cloudflare, Kind::Flashduty, Kind::Instaply, Kind::Stytch];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Aerospike,
    Cloudflare,
    Flashduty,
    Instaply,
    Stytch,
}

impl Kind {
    /// What its name is in the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Aerospike => "aerospike_cloud",
            Self::Cloudflare => "cloudflare_access",
            Self::Flashduty => "flashduty",
            Self::Instaply => "instaply",
            Self::Stytch => "stytch_b2b",
        }
    }

    /// Calls to remove one account and to prove it, beside the one for a token.
    pub(crate) fn calls(self) -> usize {
        if self == Self::Instaply { 2 } else { 3 }
    }

    /// Calls for a token, once in a process.
    pub(crate) fn token_calls(self) -> usize {
        usize::from(self == Self::Aerospike)
    }

    /// The value of its secret.
    pub(crate) fn secret(self) -> Value {
        match self {
            Self::Aerospike => json!({"client_id": "bench-client", "client_secret": "bench-client-secret"}),
            Self::Cloudflare => json!({"api_token": "bench-cloudflare-token"}),
            Self::Flashduty => json!({"app_key": "bench-flashduty-key"}),
            Self::Instaply => json!({"token": "bench-instaply-token"}),
            Self::Stytch => json!({"project_id": "project-test-1", "secret": "bench-stytch-secret"}),
        }
    }
}

/// A provider that is up.
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) server: Server,
    mock: Arc<Mock>,
}

/// A mock service, and who has accounts there.
enum Mock {
    Aerospike(Mutex<AerospikeCloud>),
    Cloudflare(Mutex<CloudflareAccess>),
    Flashduty(Mutex<Flashduty>),
    Instaply(Mutex<Instaply>),
    Stytch(Mutex<StytchB2b>),
}

impl Provider {
    /// Starts the `number`-th provider.
    pub(crate) fn start(number: usize, behavior: Behavior) -> Result<Self> {
        let kind = KINDS[number % KINDS.len()];
        let mock = Arc::new(Mock::new(kind));
        let server = Server::start(mock.clone(), behavior)?;
        Ok(Self { name: format!("provider-{number:03}"), kind, server, mock })
    }

    /// Forgets what it issued, and everybody who had an account.
    pub(crate) fn reset(&self) {
        self.mock.reset();
    }

    /// Gives each of these people an account.
    pub(crate) fn add(&self, people: &[String]) {
        people.iter().zip(1..).for_each(|(email, number)| self.mock.add(email, number));
    }

    /// How many of these people have an account.
    pub(crate) fn left(&self, people: &[String]) -> usize {
        let members = self.mock.members();
        people.iter().filter(|email| members.contains(email)).count()
    }
}

impl Mock {
    fn new(kind: Kind) -> Self {
        let secret = kind.secret();
        let text = |key: &str| secret[key].as_str().unwrap_or_default().to_owned();
        match kind {
            Kind::Aerospike => Self::Aerospike(Mutex::new(AerospikeCloud {
                client_id: text("client_id"),
                client_secret: text("client_secret"),
                issued: Vec::new(),
                members: Vec::new(),
            })),
            Kind::Cloudflare => Self::Cloudflare(Mutex::new(CloudflareAccess {
                account_id: ACCOUNT.to_owned(),
                api_token: text("api_token"),
                users: Vec::new(),
            })),
            Kind::Flashduty => Self::Flashduty(Mutex::new(Flashduty { app_key: text("app_key"), members: Vec::new() })),
            Kind::Instaply => Self::Instaply(Mutex::new(Instaply { token: text("token"), users: Vec::new() })),
            Kind::Stytch => Self::Stytch(Mutex::new(StytchB2b {
                project_id: text("project_id"),
                secret: text("secret"),
                organizations: vec![ORGANIZATION.to_owned()],
                members: Vec::new(),
            })),
        }
    }

    fn reset(&self) {
        match self {
            Self::Aerospike(mock) => {
                let mut mock = lock(mock);
                mock.issued.clear();
                mock.members.clear();
            }
            Self::Cloudflare(mock) => lock(mock).users.clear(),
            Self::Flashduty(mock) => lock(mock).members.clear(),
            Self::Instaply(mock) => lock(mock).users.clear(),
            Self::Stytch(mock) => lock(mock).members.clear(),
        }
        // Somebody who stays, so that no list is empty.
        self.add("owner@example.com", 0);
    }

    fn add(&self, email: &str, number: u64) {
        let (id, email) = (format!("{number:08x}-5a4d-4000-8000-000000000000"), email.to_owned());
        match self {
            Self::Aerospike(mock) => {
                lock(mock).members.push(aerospike_cloud::Member { id, email, owner: number == 0 });
            }
            Self::Cloudflare(mock) => lock(mock).users.push(cloudflare_access::User { id, email }),
            Self::Flashduty(mock) => {
                lock(mock).members.push(flashduty::Member { id: number + 1, email, schedules: Vec::new() });
            }
            Self::Instaply(mock) => lock(mock).users.push(instaply::User { id: number, email, kept_by: None }),
            Self::Stytch(mock) => lock(mock).members.push(stytch_b2b::Member {
                organization_id: ORGANIZATION.to_owned(),
                id: format!("member-test-{id}"),
                email,
                breakglass: false,
                deleted: false,
            }),
        }
    }

    fn members(&self) -> Vec<String> {
        match self {
            Self::Aerospike(mock) => lock(mock).members(),
            Self::Cloudflare(mock) => lock(mock).members(),
            Self::Flashduty(mock) => lock(mock).members(),
            Self::Instaply(mock) => lock(mock).members(),
            Self::Stytch(mock) => lock(mock).members(),
        }
    }
}

impl Handler for Mock {
    fn answer(&self, request: Request) -> Response {
        match self {
            Self::Aerospike(mock) => answer(&mut *lock(mock), request),
            Self::Cloudflare(mock) => answer(&mut *lock(mock), request),
            Self::Flashduty(mock) => answer(&mut *lock(mock), request),
            Self::Instaply(mock) => answer(&mut *lock(mock), request),
            Self::Stytch(mock) => answer(&mut *lock(mock), request),
        }
    }
}

/// Lets a mock service answer.
pub(crate) fn answer(service: &mut impl Service, request: Request) -> Response {
    let Request { number, method, uri, headers, body } = request;
    let answer = service.answer(&Call::new(number, method, uri, headers, body));
    let answer = answer.unwrap_or_else(|Unknown(what)| Answer::json(501, json!({ "unknown": what })));
    let (status, headers, body) = answer.parts();
    Response { status, headers: headers.to_vec(), body: body.to_owned() }
}

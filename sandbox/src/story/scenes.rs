//! The story: what happens in which order, and how each scene must end.

use super::{
    cast::{ANN, DANA, KIM, LEE, MAX, PAT, SAM},
    world::World,
};
use crate::{
    mock::Answer,
    vendors::{aerospike_cloud, stytch_b2b},
};

/// One delivery and how it must end.
pub(super) struct Scene {
    /// The heading.
    pub title: &'static str,
    /// What is going on, in a sentence.
    pub tells: &'static str,
    /// The source that delivers.
    pub source: &'static str,
    /// Who leaves.
    pub email: &'static str,
    /// The event's id.
    pub event: &'static str,
    /// What has happened in the world before.
    pub before: fn(&World),
    /// What is out of the ordinary about the delivery.
    pub twist: Twist,
    /// How it must end.
    pub expected: Expected,
}

/// What is out of the ordinary about a delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Twist {
    /// Nothing.
    None,
    /// Whoever signed it does not know the secret.
    Forged,
    /// It is the delivery of an earlier scene, byte for byte.
    Redelivered,
    /// It reaches a function in dry-run mode.
    DryRun,
}

/// How a delivery must end.
pub(super) struct Expected {
    /// The HTTP status.
    pub http: u16,
    /// The departure's status; none where there must be no report.
    pub status: Option<&'static str>,
    /// The outcome at every provider that is not named below.
    pub outcome: &'static str,
    /// The outcomes that differ: provider, outcome, reason.
    pub but: &'static [(&'static str, &'static str, &'static str)],
    /// Whether no provider API may be called.
    pub no_calls: bool,
    /// The provider that must have been tried several times, and how often at least.
    pub retried: Option<(&'static str, u64)>,
}

impl Expected {
    const fn done(outcome: &'static str) -> Self {
        Self { http: 200, status: Some("done"), outcome, but: &[], no_calls: false, retried: None }
    }

    /// The outcome at one provider, with a reason if there must be a certain one.
    pub(super) fn at(&self, provider: &str) -> (&'static str, Option<&'static str>) {
        let differs = self.but.iter().find(|(name, ..)| *name == provider);
        differs.map_or((self.outcome, None), |(_, outcome, reason)| (outcome, (!reason.is_empty()).then_some(*reason)))
    }
}

/// All scenes, in order.
pub(super) const ALL: [Scene; 10] = [
    Scene {
        title: "A clean leaver",
        tells: "lee@example.com leaves and has an account everywhere, at Stytch in two organizations.",
        source: "workos",
        email: LEE,
        event: "event_sandbox_lee",
        before: |_| (),
        twist: Twist::None,
        expected: Expected::done("deleted"),
    },
    Scene {
        title: "The same event again",
        tells: "The source delivers it a second time. It is answered from the record; no provider API is called.",
        source: "workos",
        email: LEE,
        event: "event_sandbox_lee",
        before: |_| (),
        twist: Twist::Redelivered,
        expected: Expected { no_calls: true, ..Expected::done("deleted") },
    },
    Scene {
        title: "Two providers refuse",
        tells: "dana@example.com is still on a Flashduty schedule and is Instaply's last representative.",
        source: "directory",
        email: DANA,
        event: "msg_sandbox_dana",
        before: |_| (),
        twist: Twist::None,
        expected: Expected {
            status: Some("needs_attention"),
            but: &[("flashduty", "blocked", "ReferenceExist"), ("instaply", "blocked", "")],
            ..Expected::done("deleted")
        },
    },
    Scene {
        title: "Neighbours next door",
        tells: "ann@example.com leaves; joann@, ann+lee@ and ann@example.com.example.com stay. At Cloudflare a \
                search for her finds only them.",
        source: "hr",
        email: ANN,
        event: "hr-sandbox-ann",
        before: |_| (),
        twist: Twist::None,
        expected: Expected { but: &[("cloudflare", "already_absent", "")], ..Expected::done("deleted") },
    },
    Scene {
        title: "A rotated token",
        tells: "Cloudflare's token was rotated a moment ago. The function still holds the old one, reads afresh \
                and goes on.",
        source: "workos",
        email: MAX,
        event: "event_sandbox_max",
        before: World::rotate_cloudflare,
        twist: Twist::None,
        expected: Expected::done("deleted"),
    },
    Scene {
        title: "Not now",
        tells: "Aerospike answers 429 (Retry-After: 1), then 503, then works.",
        source: "directory",
        email: KIM,
        event: "msg_sandbox_kim",
        before: |world| world.aerospike.answer_next(not_now()),
        twist: Twist::None,
        expected: Expected { retried: Some(("aerospike", 3)), ..Expected::done("deleted") },
    },
    Scene {
        title: "An outage",
        tells: "Stytch is down and stays down. The sender is asked to come back: nothing is forgotten.",
        source: "workos",
        email: SAM,
        event: "event_sandbox_sam",
        before: |world| world.stytch.answer_next(vec![down(); 50]),
        twist: Twist::None,
        expected: Expected {
            http: 503,
            status: Some("incomplete"),
            but: &[("stytch", "unavailable", "")],
            retried: Some(("stytch", 2)),
            ..Expected::done("deleted")
        },
    },
    Scene {
        title: "The sender comes back",
        tells: "Stytch works again. Only what was left is done; the other outcomes stand as they were recorded.",
        source: "workos",
        email: SAM,
        event: "event_sandbox_sam",
        before: |world| world.stytch.recover(),
        twist: Twist::Redelivered,
        expected: Expected::done("deleted"),
    },
    Scene {
        title: "A forged signature",
        tells: "Somebody who cannot sign reports that pat@example.com left. No provider API is called.",
        source: "hr",
        email: PAT,
        event: "hr-sandbox-pat",
        before: |_| (),
        twist: Twist::Forged,
        expected: Expected { http: 401, status: None, no_calls: true, ..Expected::done("") },
    },
    Scene {
        title: "A dry run",
        tells: "A second function, with OFFBOARD_MODE=dry_run, says what it would do about pat@example.com.",
        source: "directory",
        email: PAT,
        event: "msg_sandbox_pat",
        before: |_| (),
        twist: Twist::DryRun,
        expected: Expected { status: Some("planned"), ..Expected::done("planned") },
    },
];

fn not_now() -> Vec<Answer> {
    let patience = aerospike_cloud::failure(429, "ratelimit:exceeded", "Too many requests").with("retry-after", "1");
    vec![patience, aerospike_cloud::failure(503, "system:unavailable", "Service unavailable")]
}

fn down() -> Answer {
    stytch_b2b::failure("request-id-test-outage", 503, "service_unavailable")
}

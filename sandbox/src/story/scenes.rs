//! The story: what happens in which order, and how it must end.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    cast::{ANN, COLLEAGUES, DANA, KIM, LEE, MAX, NOA, PAT, RIA, SAM, TOM},
    world::World,
};
use crate::{
    mock::Answer,
    vendors::{aerospike_cloud, stytch_b2b},
};

/// A part of the story.
pub(super) struct Scene {
    pub title: &'static str,
    /// What is going on, in a sentence or two.
    pub text: &'static str,
    pub acts: &'static [Act],
}

/// Something that happens, and how it must end.
pub(super) enum Act {
    /// The world changes.
    World(fn(&World)),
    /// A source delivers.
    Deliver(Deliver, Expected),
    /// An operator gives a command of `offboard`; its output must contain the text.
    Command(&'static str, &'static str),
    /// The schedule ticks.
    Tick,
    /// The queue delivers what it has.
    Messages,
    /// The queue delivers what it has, and this departure's record must then be in this state.
    Queue(&'static str, Expected),
}

/// A delivery.
pub(super) struct Deliver {
    pub source: &'static str,
    /// The event's id.
    pub event: &'static str,
    pub body: Body,
    pub twist: Twist,
}

/// What a delivery says.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// The person leaves, now or so many minutes ago.
    Leaves(&'static str, i64),
    /// The person is active.
    IsActive(&'static str),
    /// The payroll system's list of changes.
    Payroll(fn(OffsetDateTime) -> Vec<Value>),
    /// The same as the delivery with this event id, byte for byte.
    Again,
}

/// What is out of the ordinary about a delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Twist {
    None,
    /// Request and answer are shown in full.
    Shown,
    /// The sender does not know the secret.
    Forged,
    /// It reaches a function in dry-run mode.
    DryRun,
}

/// How a delivery, or a record, must end.
pub(super) struct Expected {
    /// The HTTP status of a delivery.
    pub http: u16,
    /// The status of every departure of a delivery, or the state of a record; `None` where there is no departure.
    pub status: Option<&'static str>,
    /// The outcome at every provider that is not named in `but`; `None` if no provider was tried.
    pub outcome: Option<&'static str>,
    /// The outcomes that differ: provider, outcome, reason.
    pub but: &'static [(&'static str, &'static str, &'static str)],
    /// What holds the departures.
    pub reasons: &'static [&'static str],
    /// Whether a provider API may be called.
    pub calls: bool,
    /// The provider that must have been tried several times, and how often at least.
    pub attempts: Option<(&'static str, u64)>,
}

impl Expected {
    pub(super) const DONE: Self = Self {
        http: 200,
        status: Some("done"),
        outcome: Some("deleted"),
        but: &[],
        reasons: &[],
        calls: true,
        attempts: None,
    };

    /// Recorded, and held for these reasons.
    const fn held(reasons: &'static [&'static str]) -> Self {
        Self { status: Some("held"), outcome: Some("not_attempted"), reasons, calls: false, ..Self::DONE }
    }

    /// Answered with this status, and no departure recorded.
    const fn nothing(http: u16) -> Self {
        Self { http, status: None, outcome: None, calls: false, ..Self::DONE }
    }

    /// The outcome at one provider, with a reason if there must be a certain one.
    pub(super) fn at(&self, provider: &str) -> (Option<&'static str>, Option<&'static str>) {
        let differs = self.but.iter().find(|(name, ..)| *name == provider);
        differs.map_or((self.outcome, None), |(_, outcome, reason)| {
            (Some(*outcome), (!reason.is_empty()).then_some(*reason))
        })
    }
}

const fn delivery(source: &'static str, event: &'static str, body: Body) -> Deliver {
    Deliver { source, event, body, twist: Twist::None }
}

/// A person leaves, and their source says so at once.
const fn leaves(source: &'static str, event: &'static str, email: &'static str) -> Deliver {
    delivery(source, event, Body::Leaves(email, 0))
}

/// All scenes, in order. The mass departure comes last: the safeguard then holds everything for an hour.
pub(super) const ALL: [Scene; 15] = [
    Scene {
        title: "A clean leaver",
        text: "lee@example.com leaves and has an account everywhere, at Stytch in two organizations. This is the whole \
               request, and the whole answer.",
        acts: &[Act::Deliver(Deliver { twist: Twist::Shown, ..leaves("workos", "event_lee", LEE) }, Expected::DONE)],
    },
    Scene {
        title: "The same event again",
        text: "The source delivers it a second time. It is answered from the record; no provider API is called.",
        acts: &[Act::Deliver(
            delivery("workos", "event_lee", Body::Again),
            Expected { calls: false, ..Expected::DONE },
        )],
    },
    Scene {
        title: "Two providers refuse",
        text: "dana@example.com is still on a Flashduty schedule and is Instaply's last representative. A person takes \
               care of both, and has the departure replayed.",
        acts: &[
            Act::Deliver(
                leaves("directory", "msg_dana", DANA),
                Expected {
                    status: Some("needs_attention"),
                    but: &[("flashduty", "blocked", "ReferenceExist"), ("instaply", "blocked", "")],
                    ..Expected::DONE
                },
            ),
            Act::World(World::relieve_dana),
            Act::Command("departures replay directory/msg_dana", "replay: 1 departure"),
            Act::Queue("directory/msg_dana", Expected::DONE),
        ],
    },
    Scene {
        title: "Neighbors",
        text: "ann@example.com leaves; joann@, ann+lee@ and ann@example.com.example.com stay. At Cloudflare a search for \
               her finds only them.",
        acts: &[Act::Deliver(
            leaves("hr", "hr-ann", ANN),
            Expected { but: &[("cloudflare", "already_absent", "")], ..Expected::DONE },
        )],
    },
    Scene {
        title: "A rotated token",
        text: "Cloudflare's token was rotated a moment ago. The function still holds the old one, reads it afresh and goes \
               on.",
        acts: &[Act::World(World::rotate_cloudflare), Act::Deliver(leaves("workos", "event_max", MAX), Expected::DONE)],
    },
    Scene {
        title: "429, then 503",
        text: "Aerospike answers 429 (Retry-After: 1), then 503, then works.",
        acts: &[
            Act::World(|world| world.aerospike.answer_next(rate_limited())),
            Act::Deliver(
                leaves("directory", "msg_kim", KIM),
                Expected { attempts: Some(("aerospike", 3)), ..Expected::DONE },
            ),
        ],
    },
    Scene {
        title: "An outage",
        text: "Stytch is down and stays down. The departure is recorded, so the sender gets 200; the queue keeps a message \
               for later. Once Stytch works again the queue finishes what was left, without an operator. (The story \
               does not wait for the message's delay.)",
        acts: &[
            Act::World(|world| world.stytch.answer_next(vec![down(); 50])),
            Act::Deliver(
                leaves("workos", "event_sam", SAM),
                Expected { status: Some("pending"), but: &[("stytch", "unavailable", "")], ..Expected::DONE },
            ),
            Act::World(|world| world.stytch.recover()),
            Act::Queue("workos/event_sam", Expected::DONE),
        ],
    },
    Scene {
        title: "A leaver without an e-mail address",
        text: "The payroll system knows people by number. When it reported noa@example.com as hired, offboard recorded the \
               address; the departure names the number alone.",
        acts: &[
            Act::Deliver(delivery("payroll", "payroll-1", Body::Payroll(hired)), Expected::nothing(200)),
            Act::Deliver(delivery("payroll", "payroll-2", Body::Payroll(left)), Expected::DONE),
        ],
    },
    Scene {
        title: "A rehire",
        text: "ria@example.com left an hour ago and is active again; the departure arrives late. It is held, and a person \
               dismisses it.",
        acts: &[
            Act::Deliver(delivery("workos", "event_ria_1", Body::IsActive(RIA)), Expected::nothing(200)),
            Act::Deliver(
                delivery("workos", "event_ria_2", Body::Leaves(RIA, 60)),
                Expected::held(&["person_returned"]),
            ),
            Act::Command("departures show workos/event_ria_2", "person_returned"),
            Act::Command("departures dismiss workos/event_ria_2", "dismiss: 1 departure"),
        ],
    },
    Scene {
        title: "Pause and resume",
        text: "An operator stops every removal, without a deployment. tom@example.com leaves meanwhile: recorded and held. \
               After the resume the next tick has it carried out.",
        acts: &[
            Act::Command("pause --reason audit", "No account is removed"),
            Act::Deliver(leaves("directory", "msg_tom", TOM), Expected::held(&["paused"])),
            Act::Command("resume", ""),
            Act::Tick,
            Act::Queue("directory/msg_tom", Expected::DONE),
        ],
    },
    Scene {
        title: "A forged signature",
        text: "An attacker without the signing secret reports that pat@example.com left. No provider API is called.",
        acts: &[Act::Deliver(Deliver { twist: Twist::Forged, ..leaves("hr", "hr-pat", PAT) }, Expected::nothing(401))],
    },
    Scene {
        title: "A dry run, then live",
        text: "A function with mode = \"dry_run\" says what it would do about pat@example.com, and holds the departure. \
               After going live an operator releases it.",
        acts: &[
            Act::Deliver(
                Deliver { twist: Twist::DryRun, ..leaves("directory", "msg_pat", PAT) },
                Expected { status: Some("planned"), outcome: Some("planned"), reasons: &["dry_run"], ..Expected::DONE },
            ),
            Act::Command("departures release directory/msg_pat", "release: 1 departure"),
            Act::Queue("directory/msg_pat", Expected::DONE),
        ],
    },
    Scene {
        title: "An identity provider that provisions",
        text: "Entra and others send no webhook: they provision users by SCIM. eve@example.com is created, updated and \
               un-assigned. So soon after the creation her departure is held, because it may be the identity provider's \
               own test; a person releases it.",
        acts: &[
            Act::Command("send entra eve@example.com --to {api} --sample created", "HTTP 201"),
            Act::Command("send entra eve@example.com --to {api} --sample updated", "HTTP 200"),
            Act::Command("send entra eve@example.com --to {api}", "active: false"),
            Act::Messages,
            Act::Command("departures list --source entra", "removed_right_after_creation"),
            Act::Command(
                "departures release --source entra --reason removed_right_after_creation --all --yes",
                "release: 1 departure",
            ),
            Act::Messages,
            Act::Command("departures list --source entra --all", "1 departure: 1 done"),
        ],
    },
    Scene {
        title: "A mass departure",
        text: "An import goes wrong and reports twelve people at once, more than the safeguard allows in an hour. All are \
               held before anybody is removed; a person looks at them and dismisses them.",
        acts: &[
            Act::Deliver(
                delivery("payroll", "payroll-3", Body::Payroll(everybody_left)),
                Expected::held(&["too_many_departures"]),
            ),
            Act::Command("departures list", "12 departures: 12 held"),
            Act::Command("departures dismiss --all --reason too_many_departures --yes", "dismiss: 12 departures"),
        ],
    },
    Scene {
        title: "The evidence",
        text: "What an auditor gets: who left, and when each account was gone.",
        acts: &[Act::Command("evidence --since 1d --html {evidence}", "Written")],
    },
];

fn rate_limited() -> Vec<Answer> {
    let limited = aerospike_cloud::failure(429, "ratelimit:exceeded", "Too many requests").with("retry-after", "1");
    vec![limited, aerospike_cloud::failure(503, "system:unavailable", "Service unavailable")]
}

fn down() -> Answer {
    stytch_b2b::failure("request-id-test-outage", 503, "service_unavailable")
}

fn hired(now: OffsetDateTime) -> Vec<Value> {
    vec![json!({
        "id": "payroll-1", "change": "hired", "at": written(now - Duration::days(400)), "number": "1001",
        "email": NOA,
    })]
}

fn left(now: OffsetDateTime) -> Vec<Value> {
    vec![json!({ "id": "payroll-2", "change": "left", "at": written(now), "number": "1001" })]
}

fn everybody_left(now: OffsetDateTime) -> Vec<Value> {
    let left = |(email, number): (&str, u32)| {
        json!({
            "id": format!("payroll-{number}"), "change": "left", "at": written(now), "number": number.to_string(),
            "email": email,
        })
    };
    COLLEAGUES.into_iter().zip(2001..).map(left).collect()
}

fn written(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

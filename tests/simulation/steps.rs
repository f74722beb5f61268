//! A history: its setup and its steps, drawn from a seed before anything happens, so that steps can be left out.

use std::time::Duration;

use fastrand::Rng;

use crate::{
    truth::{ADDRESSES, CREW, HR, Millis, Names, PEOPLE, PROVIDERS, When},
    world::ENVIRONMENTS,
};

/// The safeguard's window.
pub const PER: Duration = Duration::from_secs(3600);

/// What does not change during a history.
#[derive(Clone, Debug)]
pub struct Setup {
    pub is_live: bool,
    pub skews: [Millis; ENVIRONMENTS],
    pub gives_times: [bool; 3],
    pub settle: Duration,
    /// The safeguard's limit.
    pub limit: u32,
    pub lists_lag: bool,
    /// Who works where at the beginning, and whether their sources' events were heard.
    pub staff: Vec<(u8, bool)>,
    /// Whether what is still on its way arrives in the end.
    pub arrives: bool,
    /// Whether there is a product without an API as well.
    pub has_wiki: bool,
}

/// What goes wrong at a call of the store or of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    ErrorBefore,
    /// The effect took place, and the answer is lost.
    ErrorAfter,
    CrashBefore,
    CrashAfter,
    /// The environment stands still until it is thawed; clocks on the wall go on.
    FreezeBefore,
    FreezeAfter,
    Slow(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// At which call.
    pub at: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decide {
    Release,
    /// The n-th veto that was shown alone.
    ReleaseOnly(u8),
    Dismiss,
    Replay,
    /// The account is removed by hand.
    Confirm,
}

/// Something that happens. Numbers pick among what is there.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    Hire {
        person: usize,
        address: usize,
        sources: u8,
        has_new_ids: bool,
        accounts: u8,
    },
    Rename {
        person: usize,
        address: usize,
        follow: u8,
        /// Sources whose events of it are lost.
        lost: u8,
    },
    Leave {
        person: usize,
        sources: u8,
        when: When,
        names: Names,
    },
    Err {
        person: usize,
        source: usize,
        when: When,
        names: Names,
    },
    Affirm {
        person: usize,
        source: usize,
        names: Names,
    },
    Deny {
        person: usize,
        source: usize,
    },
    Merge {
        person: usize,
    },
    Restart {
        source: usize,
    },
    Lose {
        pick: u8,
    },
    /// The oldest event that was not delivered yet, or some of them.
    Deliver {
        pick: Option<u8>,
        count: u8,
    },
    Redeliver {
        pick: u8,
    },
    /// Messages for what is due are sent, as an index saw it so many steps ago.
    Tick {
        lag: u8,
    },
    Message {
        pick: u8,
        stays: bool,
    },
    /// One departure is worked on by two environments at once.
    Race {
        pick: u8,
    },
    /// A tick, and all its messages.
    Pump,
    Thaw,
    Kill,
    Wait {
        seconds: u32,
    },
    Review {
        pick: u8,
    },
    Decide {
        pick: u8,
        what: Decide,
    },
    /// An operator protects an address, for some hours or until it is taken back; or takes it back.
    Hold {
        address: usize,
        hours: Option<u8>,
    },
    Unhold {
        address: usize,
    },
    Pause,
    Resume,
    Mode {
        is_live: bool,
    },
    Protect {
        address: usize,
        is_on: bool,
    },
    Outage {
        provider: usize,
        is_on: bool,
    },
    /// A provider refuses calls for a while, and says for how long.
    Limit {
        provider: usize,
        seconds: u32,
    },
}

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub action: Action,
    pub place: usize,
    pub fault: Option<Fault>,
}

#[derive(Clone, Debug)]
pub struct History {
    pub seed: u64,
    pub setup: Setup,
    pub steps: Vec<Step>,
}

impl History {
    pub fn of(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let setup = Setup::draw(&mut random);
        let count = random.usize(8..44);
        let is_faulty = random.u8(..4) > 0;
        let steps = (0..count).map(|_| Step::draw(&mut random, is_faulty)).collect();
        Self { seed, setup, steps }
    }
}

impl Setup {
    fn draw(random: &mut Rng) -> Self {
        let skews = [0; ENVIRONMENTS].map(|_: i32| random.choice([0, 0, 60_000, -60_000, 25_000]).unwrap_or(0));
        Self {
            is_live: random.u8(..5) > 0,
            skews,
            gives_times: [true, random.bool(), random.u8(..4) > 0],
            settle: Duration::from_secs(if random.u8(..4) == 0 { 120 } else { 0 }),
            limit: if random.u8(..4) == 0 { 2 } else { 50 },
            lists_lag: random.u8(..4) == 0,
            staff: (0..PEOPLE)
                .map(|_| (*random.choice(&[0, 1, 3, 3, 3, 2, 4, 5, 7]).unwrap_or(&3), random.u8(..6) > 0))
                .collect(),
            arrives: random.u8(..4) > 0,
            has_wiki: random.bool(),
        }
    }
}

fn names(random: &mut Rng) -> Names {
    match random.u8(..6) {
        0 => Names::IdAlone,
        1 => Names::AddressAlone,
        _ => Names::Everything,
    }
}

fn when(random: &mut Rng) -> When {
    match random.u8(..6) {
        0 => When::InHours(*random.choice(&[1, 7, 23, 50]).unwrap_or(&1)),
        1 => When::InDays(random.u8(..3)),
        _ => When::Now,
    }
}

fn sources(random: &mut Rng) -> u8 {
    *random.choice(&[7, 7, 7, 3, 1, 2, 4, 5]).unwrap_or(&7)
}

fn wait(random: &mut Rng) -> u32 {
    *random.choice(&[3, 40, 150, 400, 1_300, 3_700, 4_000, 26_000, 95_000, 270_000]).unwrap_or(&3)
}

impl Fault {
    fn draw(random: &mut Rng) -> Self {
        use FaultKind::{CrashAfter, CrashBefore, ErrorAfter, ErrorBefore, FreezeAfter, FreezeBefore, Slow};
        let kinds = [
            ErrorBefore,
            ErrorAfter,
            ErrorAfter,
            CrashBefore,
            CrashAfter,
            FreezeBefore,
            FreezeAfter,
            FreezeBefore,
            Slow(4),
            Slow(12),
            Slow(40),
        ];
        Self { kind: *random.choice(&kinds).unwrap_or(&ErrorBefore), at: random.u32(1..16) }
    }
}

impl Step {
    fn draw(random: &mut Rng, is_faulty: bool) -> Self {
        let action = Action::draw(random);
        let place = random.usize(..ENVIRONMENTS);
        let fault = (is_faulty && random.u8(..4) == 0).then(|| Fault::draw(random));
        Self { action, place, fault }
    }
}

impl Action {
    fn draw(random: &mut Rng) -> Self {
        let (person, address) = (random.usize(..PEOPLE), random.usize(..ADDRESSES));
        match random.u8(..128) {
            0..9 => Self::Hire {
                person,
                address,
                sources: sources(random),
                has_new_ids: random.bool(),
                accounts: if random.u8(..3) == 0 { random.u8(..8) } else { 7 },
            },
            9..17 => {
                let lost = if random.u8(..4) == 0 { random.u8(1..8) } else { 0 };
                Self::Rename { person, address, follow: random.u8(..8), lost }
            }
            17..31 => Self::Leave { person, sources: sources(random), when: when(random), names: names(random) },
            31..35 => Self::Err { person, source: random.usize(..3), when: when(random), names: names(random) },
            35..39 => Self::Affirm { person, source: random.usize(HR..=CREW), names: names(random) },
            39..42 => Self::Deny { person, source: random.usize(..CREW) },
            42 => Self::Merge { person },
            43 => Self::Restart { source: random.usize(..3) },
            44..46 => Self::Lose { pick: random.u8(..) },
            46..68 => Self::Deliver { pick: (random.u8(..3) == 0).then(|| random.u8(..)), count: random.u8(1..4) },
            68..72 => Self::Redeliver { pick: random.u8(..) },
            72..75 => Self::Tick { lag: random.u8(..6) },
            75..80 => Self::Message { pick: random.u8(..), stays: random.bool() },
            80..84 => Self::Race { pick: random.u8(..) },
            84..93 => Self::Pump,
            93..98 => Self::Thaw,
            98 => Self::Kill,
            99..110 => Self::Wait { seconds: wait(random) },
            110..114 => Self::Review { pick: random.u8(..) },
            114..118 => Self::Decide { pick: random.u8(..), what: decision(random) },
            118 => hold(random, address),
            119 => Self::Pause,
            120..122 => Self::Resume,
            122..124 => Self::Mode { is_live: random.u8(..3) > 0 },
            124..126 => Self::Protect { address, is_on: random.u8(..3) > 0 },
            126 => Self::Outage { provider: random.usize(..PROVIDERS.len()), is_on: random.bool() },
            _ => {
                let seconds = *random.choice(&[5, 60, 300, 3_600, 86_000]).unwrap_or(&60);
                Self::Limit { provider: random.usize(..PROVIDERS.len()), seconds }
            }
        }
    }
}

fn hold(random: &mut Rng, address: usize) -> Action {
    match random.u8(..3) {
        0 => Action::Unhold { address },
        n => Action::Hold { address, hours: (n == 1).then(|| random.u8(1..30)) },
    }
}

fn decision(random: &mut Rng) -> Decide {
    match random.u8(..8) {
        0..4 => Decide::Release,
        4 => Decide::ReleaseOnly(random.u8(..)),
        5 => Decide::Replay,
        6 => Decide::Confirm,
        _ => Decide::Dismiss,
    }
}

//! What is true in the world: who works here, under which address, with which accounts, and what the sources say of it.

use offboard::{
    departure::EventTime,
    ledger::IdentityKey,
    person::{Email, Person},
};
use time::{OffsetDateTime, UtcOffset};

/// Milliseconds since 1970.
pub type Millis = i64;

/// Knows people by an id and a number.
pub const HR: usize = 0;
/// Lets departures settle.
pub const IDP: usize = 1;
/// Knows people by address alone.
pub const CREW: usize = 2;
/// `idp` knows the same people as `hr`, by ids of its own, and may give no times.
pub const SOURCES: [&str; 3] = ["hr", "idp", "crew"];
/// `alpha` is searched by address, `beta` has no look-up, `gamma` is searched by the number of [`HR`].
pub const PROVIDERS: [&str; 3] = ["alpha", "beta", "gamma"];
pub const BETA: usize = 1;
pub const GAMMA: usize = 2;
pub const PEOPLE: usize = 4;
pub const ADDRESSES: usize = 5;

pub fn address(n: usize) -> String {
    format!("a{n}@example.com")
}

pub fn utc(at: Millis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000).unwrap()
}

/// A person.
#[derive(Clone, Debug, Default)]
pub struct Human {
    /// The address now, or the last one.
    pub address: usize,
    /// In which sources the person works.
    pub member: [bool; 3],
    /// Number of the id in [`HR`] and [`IDP`].
    ids: [u32; 2],
    /// A second id in [`HR`] of the same person, until the two are merged.
    spare: Option<u32>,
}

/// An account at a provider.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: String,
    pub provider: usize,
    pub address: usize,
    /// Since when it stands under this address.
    pub since: Millis,
    pub number: Option<String>,
    pub owner: usize,
    pub removed: Option<Millis>,
    /// How long it is still listed after its removal.
    pub lag: Millis,
}

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Active,
    Known,
    Inactive,
    Left,
}

/// What an event names of its person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    Everything,
    IdAlone,
    AddressAlone,
}

/// When a departure takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Now,
    InHours(u16),
    /// A date without a time, so many days ahead.
    InDays(u8),
}

/// What a source says.
#[derive(Clone, Debug)]
pub struct Event {
    pub source: usize,
    pub person: usize,
    pub says: Says,
    pub at: Millis,
    pub claimed: Option<EventTime>,
    pub event_id: String,
    idp_id: Option<String>,
    pub number: Option<String>,
    pub address: Option<usize>,
    pub is_lost: bool,
    pub deliveries: u32,
    /// Whether a delivery of it was answered as recorded.
    pub is_answered: bool,
}

impl Event {
    pub fn named(&self) -> Person {
        Person {
            idp_id: self.idp_id.clone(),
            external_id: self.number.clone(),
            email: self.address.and_then(|n| Email::parse(&address(n))),
            other_emails: Vec::new(),
        }
    }

    pub fn key(&self) -> IdentityKey {
        IdentityKey::of(SOURCES[self.source], &self.named()).unwrap()
    }

    pub fn is_strong(&self) -> bool {
        self.idp_id.is_some()
    }

    /// Whether its time is a date alone.
    pub fn is_day(&self) -> bool {
        matches!(self.claimed, Some(EventTime::Day(_)))
    }

    /// From when on the departure is meant, if that is said to be ahead: a day from its beginning.
    pub fn effective(&self) -> Option<Millis> {
        let at = match self.claimed? {
            EventTime::Instant(at) => at,
            EventTime::Day(day) => day.midnight().assume_utc(),
        };
        let at = i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap();
        (self.says == Says::Left && at > self.at).then_some(at)
    }
}

#[derive(Clone, Debug)]
struct Scheduled {
    person: usize,
    source: usize,
    at: Millis,
}

#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub humans: Vec<Human>,
    pub accounts: Vec<Account>,
    pub events: Vec<Event>,
    scheduled: Vec<Scheduled>,
    sequence: [u32; 3],
    /// Whether [`IDP`] and [`CREW`] give times.
    pub gives_times: [bool; 3],
}

impl Truth {
    pub fn new(gives_times: [bool; 3]) -> Self {
        Self { humans: vec![Human::default(); PEOPLE], gives_times, ..Self::default() }
    }

    pub fn is_active(&self, person: usize) -> bool {
        self.humans[person].member.contains(&true)
    }

    /// Whose account it is: of the active person who has its address, else of the last one who had it.
    fn holder(&self, address: usize) -> Option<usize> {
        (0..PEOPLE).find(|person| self.is_active(*person) && self.humans[*person].address == address)
    }

    /// Lets scheduled departures take effect.
    pub fn at(&mut self, now: Millis) {
        for due in self.scheduled.extract_if(.., |scheduled| scheduled.at <= now) {
            self.humans[due.person].member[due.source] = false;
        }
    }

    fn say(&mut self, source: usize, person: usize, says: Says, names: Names, now: Millis) -> &mut Event {
        let human = &self.humans[person];
        let names = match (source, names) {
            (CREW, _) => Names::AddressAlone,
            // Without times the order of words about a person's id and about the address alone cannot be known.
            (source, Names::AddressAlone) if source != HR => Names::Everything,
            (_, names) => names,
        };
        let idp_id = (names != Names::AddressAlone).then(|| id(source, person, human.ids[source.min(1)]));
        let number = (source == HR && names == Names::Everything).then(|| number(person));
        let address = (names != Names::IdAlone).then_some(human.address);
        let claimed = self.gives_times[source].then(|| EventTime::Instant(utc(now)));
        self.sequence[source] += 1;
        let event_id = self.sequence[source].to_string();
        self.events.push(Event {
            source,
            person,
            says,
            at: now,
            claimed,
            event_id,
            idp_id,
            number,
            address,
            is_lost: false,
            deliveries: 0,
            is_answered: false,
        });
        self.events.last_mut().unwrap()
    }

    /// Nobody can tell an event from another of the same id, person and time: such a one does not happen.
    fn keep_apart(&mut self) {
        loop {
            let (event, earlier) = self.events.split_last().unwrap();
            let is_same = |other: &&Event| other.source == event.source && other.event_id == event.event_id;
            let same = earlier.iter().filter(is_same);
            if !same.into_iter().any(|other| other.key() == event.key() && other.claimed == event.claimed) {
                return;
            }
            let source = event.source;
            self.sequence[source] += 1;
            let event_id = self.sequence[source].to_string();
            self.events.last_mut().unwrap().event_id = event_id;
        }
    }

    /// Somebody begins to work, comes back, or joins another source.
    pub fn hire(&mut self, person: usize, address: usize, sources: u8, has_new_ids: bool, accounts: u8, now: Millis) {
        if !self.is_active(person) {
            if self.holder(address).is_some() {
                return;
            }
            let human = &mut self.humans[person];
            human.address = address;
            human.spare = None;
            if has_new_ids {
                human.ids = human.ids.map(|n| n + 1);
            }
        }
        let joined = (0..3).filter(|source| sources & (1 << source) != 0);
        let joined: Vec<_> = joined.filter(|source| !self.humans[person].member[*source]).collect();
        for source in joined {
            self.humans[person].member[source] = true;
            self.say(source, person, Says::Active, Names::Everything, now);
        }
        if self.is_active(person) {
            self.give_accounts(person, accounts, now);
        }
    }

    fn give_accounts(&mut self, person: usize, providers: u8, now: Millis) {
        let (address, is_employee) = (self.humans[person].address, self.humans[person].member[HR]);
        for provider in (0..3).filter(|provider| providers & (1 << provider) != 0) {
            let number = (provider == GAMMA).then(|| number(person));
            if provider == GAMMA && !is_employee {
                continue;
            }
            let is_it = |account: &&mut Account| {
                let is_same = if provider == GAMMA { account.number == number } else { account.address == address };
                account.provider == provider && account.removed.is_none() && is_same
            };
            if let Some(account) = self.accounts.iter_mut().find(is_it) {
                account.owner = person;
                continue;
            }
            let id = format!("{}-{}", PROVIDERS[provider], self.accounts.len());
            self.accounts.push(Account {
                id,
                provider,
                address,
                since: now,
                number,
                owner: person,
                removed: None,
                lag: 0,
            });
        }
        // Anybody who has an address has the accounts that stand under it.
        let left = self.accounts.iter_mut().filter(|account| account.provider != GAMMA && account.address == address);
        left.filter(|account| account.removed.is_none()).for_each(|account| account.owner = person);
    }

    /// Somebody gets another address; the accounts at some providers follow.
    pub fn rename(&mut self, person: usize, address: usize, follow: u8, lost: u8, now: Millis) {
        if !self.is_active(person) || self.holder(address).is_some() {
            return;
        }
        let is_there = |account: &Account| account.removed.is_none();
        let at_address = self.accounts.iter().filter(|account| account.address == address && is_there(account));
        let taken: Vec<usize> = at_address.map(|account| account.provider).collect();
        for account in self.accounts.iter_mut().filter(|account| account.owner == person && is_there(account)) {
            if follow & (1 << account.provider) != 0 && !taken.contains(&account.provider) {
                (account.address, account.since) = (address, now);
            }
        }
        self.humans[person].address = address;
        self.give_accounts(person, 0, now);
        for source in (0..3).filter(|source| self.humans[person].member[*source]).collect::<Vec<_>>() {
            self.say(source, person, Says::Known, Names::Everything, now).is_lost = lost & (1 << source) != 0;
        }
    }

    /// Somebody leaves, now or later. A departure that names an address alone is never scheduled: by the time it takes effect
    /// the address may be another's, and its source would not say so.
    pub fn leave(&mut self, person: usize, sources: u8, when: When, names: Names, now: Millis) {
        let is_meant = |source: &usize| sources & (1 << source) != 0;
        for source in (0..3).filter(is_meant).filter(|source| self.humans[person].member[*source]).collect::<Vec<_>>() {
            let end = self.say_left(source, person, when, names, now);
            if end <= now {
                self.humans[person].member[source] = false;
            } else {
                self.scheduled.push(Scheduled { person, source, at: end });
            }
        }
    }

    /// Returns when it takes effect.
    fn say_left(&mut self, source: usize, person: usize, when: When, names: Names, now: Millis) -> Millis {
        let names = if when == When::Now { names } else { Names::Everything };
        let when = if source == CREW { When::Now } else { when };
        let event = self.say(source, person, Says::Left, names, now);
        match when {
            When::Now => {}
            When::InHours(hours) => {
                event.claimed = Some(EventTime::Instant(utc(now + i64::from(hours) * 3_600_000 + 60_000)));
            }
            When::InDays(days) => {
                let day = utc(now).to_offset(UtcOffset::UTC).date() + time::Duration::days(days.into());
                event.claimed = Some(EventTime::Day(day));
            }
        }
        let end = event.effective().unwrap_or(now);
        self.keep_apart();
        end
    }

    /// A source says that somebody left who did not.
    pub fn err(&mut self, person: usize, source: usize, when: When, names: Names, now: Millis) {
        if self.humans[person].member[source] {
            self.say_left(source, person, when, names, now);
        }
    }

    /// A source says that somebody is there: also after it said otherwise.
    pub fn affirm(&mut self, person: usize, source: usize, names: Names, now: Millis) {
        if self.humans[person].member[source] {
            self.scheduled.retain(|scheduled| (scheduled.person, scheduled.source) != (person, source));
            self.say(source, person, Says::Active, names, now);
            self.give_accounts(person, 7, now);
        }
    }

    /// A source says that somebody is not there, rightly or not.
    pub fn deny(&mut self, person: usize, source: usize, now: Millis) {
        if source != CREW {
            self.say(source, person, Says::Inactive, Names::Everything, now);
        }
    }

    /// [`HR`] gives somebody a second id; said again, the older one is taken out.
    pub fn merge(&mut self, person: usize, now: Millis) {
        if !self.humans[person].member[HR] {
            return;
        }
        let human = &mut self.humans[person];
        match human.spare.take() {
            None => {
                let old = human.ids[HR];
                human.ids[HR] += 1;
                human.spare = Some(old);
                self.say(HR, person, Says::Active, Names::Everything, now);
            }
            Some(old) => {
                let event = self.say(HR, person, Says::Left, Names::Everything, now);
                event.idp_id = Some(id(HR, person, old));
                self.keep_apart();
            }
        }
    }

    /// A source numbers its events from 1 again.
    pub fn restart(&mut self, source: usize) {
        self.sequence[source] = 0;
    }
}

fn id(source: usize, person: usize, n: u32) -> String {
    format!("{}-{person}-{n}", SOURCES[source])
}

fn number(person: usize) -> String {
    format!("n{person}")
}

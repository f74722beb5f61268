//! What the sources have said so far, as far as it was delivered: what can be known, and since when.
//!
//! This is the simulation's own reading of the rules, kept apart from the one under test. It errs on one side in each use: a
//! *certain* word was answered as stored, a *possible* one was at least being delivered.

use std::collections::BTreeSet;

use offboard::{departure::EventTime, ledger::Record};

use crate::truth::{Event, HR, Millis, Says};

/// How far the clocks of two workers may be apart, or a worker's from a source's.
pub const SKEW: Millis = 121_000;
/// What was stored so long ago, by the time of a removal, must have been seen.
pub const SEEN: Millis = 6_500;
const NEVER: Millis = i64::MAX / 4;

/// When something was said: exactly if its source says so, else at some time while it was being delivered.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: Millis,
    pub to: Millis,
    /// Whether the times are those of the worker's clock.
    pub is_ours: bool,
}

impl Span {
    pub fn exactly(at: Millis) -> Self {
        Self { from: at, to: at, is_ours: false }
    }

    pub fn is_surely_after(self, other: Self) -> bool {
        let margin = if self.is_ours == other.is_ours { 0 } else { SKEW };
        self.from > other.to + margin
    }

    pub fn is_surely_at_or_before(self, other: Self) -> bool {
        let margin = if self.is_ours == other.is_ours { 0 } else { SKEW };
        self.to + margin < other.from
    }
}

/// A word about an id that is not a departure.
#[derive(Clone, Debug)]
pub struct Word {
    pub key: String,
    pub source: usize,
    pub person: usize,
    pub is_strong: bool,
    pub span: Span,
    pub says: Says,
    pub address: Option<usize>,
    /// When its delivery was answered.
    pub certain_at: Option<Millis>,
}

/// A departure that is being delivered, or was.
#[derive(Clone, Debug)]
pub struct Left {
    pub event: usize,
    pub key: String,
    pub source: usize,
    pub person: usize,
    pub is_strong: bool,
    /// Its place among its source's words.
    pub span: Span,
    pub claimed: Option<EventTime>,
    pub effective: Option<Millis>,
    pub address: Option<usize>,
    pub number: Option<String>,
    /// The ids under which it may be recorded.
    pub records: [String; 2],
    is_recorded: bool,
    is_exact: bool,
}

impl Left {
    /// Whether this departure is the record's: an event id may be used again, for the same id as well.
    pub fn is_in(&self, record: &Record) -> bool {
        let key = record.person.key.as_ref().map(|key| key.as_str());
        self.records.contains(&record.id) && key == Some(&self.key) && self.claimed == record.event.occurred_at
    }
}

#[derive(Clone, Debug, Default)]
pub struct Said {
    pub words: Vec<Word>,
    pub lefts: Vec<Left>,
}

impl Said {
    /// Notes that a delivery of an event begins. Returns the word's place.
    pub fn begin_word(&mut self, event: &Event, now: Millis) -> usize {
        let span = match event.claimed {
            Some(_) => Span::exactly(event.at),
            None => Span { from: now, to: NEVER, is_ours: true },
        };
        let word = Word {
            key: event.key().to_string(),
            source: event.source,
            person: event.person,
            is_strong: event.is_strong(),
            span,
            says: event.says,
            address: event.address,
            certain_at: None,
        };
        self.words.push(word);
        self.words.len() - 1
    }

    /// Notes that a delivery ended.
    pub fn end_word(&mut self, place: usize, is_answered: bool, now: Millis) {
        let word = &mut self.words[place];
        if word.span.is_ours && is_answered {
            word.span.to = now;
        }
        word.certain_at = is_answered.then_some(now);
    }

    /// Notes that a delivery of a departure begins.
    pub fn begin_left(&mut self, n: usize, event: &Event, records: [String; 2], now: Millis) {
        if let Some(left) = self.lefts.iter_mut().find(|left| left.event == n) {
            if !left.is_recorded && !left.is_exact {
                left.span.to = NEVER;
            }
            return;
        }
        let is_exact = event.claimed.is_some() && !event.is_day() && event.effective().is_none();
        // A time that is ahead, or a date, ranks no earlier than it was said, and no later than it was heard.
        let from = if event.claimed.is_some() { event.at } else { now };
        let span = if is_exact { Span::exactly(event.at) } else { Span { from, to: NEVER, is_ours: true } };
        self.lefts.push(Left {
            event: n,
            key: event.key().to_string(),
            source: event.source,
            person: event.person,
            is_strong: event.is_strong(),
            span,
            claimed: event.claimed,
            effective: event.effective(),
            address: event.address,
            number: event.number.clone(),
            records,
            is_recorded: false,
            is_exact,
        });
    }

    /// Notes that a delivery of a departure ended, and whether there is a record now.
    pub fn end_left(&mut self, n: usize, is_recorded: bool, now: Millis) {
        let Some(left) = self.lefts.iter_mut().find(|left| left.event == n) else { return };
        if is_recorded && !left.is_recorded {
            left.is_recorded = true;
            if !left.is_exact {
                left.span.to = now;
            }
        }
    }

    /// The departure that a record is of.
    pub fn left_of(&self, record: &Record) -> Option<&Left> {
        self.lefts.iter().find(|left| left.is_in(record))
    }

    pub fn keys(&self) -> BTreeSet<&str> {
        self.words.iter().map(|word| word.key.as_str()).collect()
    }

    pub fn words_of<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Word> {
        self.words.iter().filter(move |word| word.key == key)
    }

    /// The addresses that an id surely has: said at or before `until`, and no possible word names another afterwards.
    pub fn current(&self, key: &str, until: Millis) -> BTreeSet<usize> {
        let certain = self.words_of(key).filter(|word| word.certain_at.is_some_and(|at| at <= until));
        let is_last = |word: &&Word| {
            let others = self.words_of(key).filter(|other| other.address.is_some() && other.address != word.address);
            others.into_iter().all(|other| word.span.is_surely_after(other.span))
        };
        certain.filter(is_last).filter_map(|word| word.address).collect()
    }

    /// Whether an id surely had this address and has another one now.
    pub fn is_former(&self, key: &str, address: usize, until: Millis) -> bool {
        let certain = || self.words_of(key).filter(|word| word.certain_at.is_some_and(|at| at <= until));
        let named = || self.words_of(key).filter(|word| word.address == Some(address));
        let replaced = |other: &&Word| other.address.is_some_and(|other| other != address);
        named().any(|word| word.certain_at.is_some_and(|at| at <= until))
            && certain().filter(replaced).any(|other| named().all(|word| other.span.is_surely_after(word.span)))
    }

    /// From when to when an id surely had an address; `None` if that is not sure.
    pub fn held(&self, key: &str, address: usize, until: Millis) -> Option<(Millis, Millis)> {
        let certain = self.words_of(key).filter(|word| word.certain_at.is_some_and(|at| at <= until));
        let from = certain.filter(|word| word.address == Some(address)).map(|word| word.span.from).min()?;
        let named = |word: &&Word| word.address.is_some_and(|other| other != address);
        // One that was being delivered meanwhile may have been heard at any time of that.
        let others = self.words_of(key).filter(named).filter(|word| word.span.to > from);
        let ends = others.map(|word| word.span.from.max(from)).min();
        Some((from + SKEW, ends.unwrap_or(NEVER) - SKEW))
    }

    /// The last certain word "active" of an id.
    pub fn last_active<'a>(&'a self, key: &'a str, until: Millis) -> Option<&'a Word> {
        let certain = self.words_of(key).filter(|word| word.certain_at.is_some_and(|at| at <= until));
        certain.filter(|word| word.says == Says::Active).max_by_key(|word| word.span.from)
    }

    /// Whether a departure may speak of this id: of its own id; and one of the two that names an address alone, of the same
    /// person in the same source.
    pub fn may_end(left: &Left, word: &Word) -> bool {
        let is_weak_pair = left.is_strong != word.is_strong || !left.is_strong;
        left.key == word.key
            || (left.source == word.source && left.source == HR && is_weak_pair && left.person == word.person)
    }
}

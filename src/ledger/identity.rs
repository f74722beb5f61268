//! What a source said about one of its ids: stored as said, with its time. Nothing here is a judgement.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    key::TraitKey,
    store::Item,
    {DepartureRef, LedgerError},
};
use crate::{
    departure::{IdentityFact, Verification, Word},
    person::Email,
};

#[cfg(test)]
mod tests;

/// Statements kept of one trait of an id, and confirmations. More are kept where one is all that is known of a text.
const MAX_STATEMENTS: usize = 40;
/// Statements and texts of one trait of an id that are kept at most; with more the id is crowded.
const MAX_KEPT: (usize, usize) = (100, 800);
/// E-mail addresses taken from one statement.
pub const MAX_EMAILS: usize = 60;
/// How long before a departure, in milliseconds, nothing belongs to it yet: as long as the longest `settle`.
const BEFORE_LEAVING: i64 = 24 * 60 * 60 * 1000;
pub(super) const CROWDED: &str = "crowded";
/// The set of an identity's departures.
pub(super) const DEPARTURES: &str = "departures";

/// What a source said about one of its ids. Times are in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityRecord {
    /// Verified e-mail addresses (canonical), the main one first, as they were said together. Of a run of equal statements
    /// the first and the last are kept.
    #[serde(default)]
    emails: Vec<Statement>,
    #[serde(default)]
    external_ids: Vec<Statement>,
    /// E-mail addresses that were entered and not verified.
    #[serde(default)]
    claims: Vec<Statement>,
    /// When the id's newest claim was confirmed.
    #[serde(default)]
    confirmations: BTreeSet<i64>,
    /// The first fact of all.
    #[serde(default)]
    pub first: Option<i64>,
    /// The last word "active".
    #[serde(default)]
    pub active: Option<i64>,
    /// The last word "inactive".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive: Option<i64>,
    /// Whether something was said that no item holds any longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub crowded: bool,
}

/// What was said of one trait at one time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Statement {
    at: i64,
    texts: Vec<String>,
    /// Whether statements before it were left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_cut: bool,
}

/// An e-mail address or external id of an identity, and when it had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// E-mail address (canonical), or external id.
    pub text: String,
    /// In order, and at least one.
    pub spans: Vec<Span>,
}

/// A time in which an identity had something, whatever was said in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// When it was first said.
    pub from: i64,
    /// When its source first said another instead; `None` if it has not.
    pub until: Option<i64>,
}

/// What the item of a trait says about one id that has or had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// When the id was first said to have it.
    pub from: i64,
    /// When the id was last said to have it again, after its source had said another instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regained: Option<i64>,
    /// When its source first said another instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// The id's last word "active"; `None` if there are other facts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<i64>,
    /// The id's last word "inactive".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive: Option<i64>,
    /// The id's first fact.
    pub first: i64,
}

impl Holding {
    /// Returns whether the id's last word is "inactive". Whether it departed is another question.
    pub fn is_inactive(&self) -> bool {
        self.inactive.is_some() && self.inactive > self.active
    }
}

/// An identity's item.
#[derive(Clone, Debug, Default)]
pub struct StoredIdentity {
    /// What was said.
    pub identity: IdentityRecord,
    /// Version of the item; 0 if nothing was said yet.
    pub version: u64,
    /// Departures of this id.
    pub departures: BTreeSet<DepartureRef>,
    /// Whether there are more departures or statements than an item holds.
    pub crowded: bool,
}

impl IdentityRecord {
    /// Records a fact that was said at `at`. Order does not matter.
    pub fn record(&mut self, fact: &IdentityFact, at: i64) {
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        match fact.word {
            Word::Active => self.active = self.active.max(Some(at)),
            Word::Inactive => self.inactive = self.inactive.max(Some(at)),
            Word::Known => {}
        }
        let emails: Vec<String> = fact.person.emails().take(MAX_EMAILS).map(Email::canonical).collect();
        match fact.verified {
            Verification::Complete if emails.is_empty() => insert(&mut self.emails, at, emails),
            Verification::Verified | Verification::Complete => record(&mut self.emails, at, emails),
            Verification::Claimed => record(&mut self.claims, at, emails.into_iter().take(1).collect()),
            Verification::Confirms => {
                self.confirmations.insert(at);
                self.crowded |= self.confirmations.len() > MAX_STATEMENTS;
                while self.confirmations.len() > MAX_STATEMENTS {
                    self.confirmations.pop_first();
                }
            }
        }
        record(&mut self.external_ids, at, fact.person.external_id.clone().into_iter().collect());
        for statements in [&mut self.emails, &mut self.claims, &mut self.external_ids] {
            self.crowded |= bound(statements) == Bound::Lost;
        }
    }

    /// Returns the last time that anything was said.
    pub fn last_word(&self) -> Option<i64> {
        let said = [&self.emails, &self.external_ids, &self.claims];
        let last = said.into_iter().filter_map(|statements| statements.last()).map(|statement| statement.at).max();
        last.max(self.active).max(self.inactive).max(self.first).max(self.confirmations.last().copied())
    }

    /// Returns the verified e-mail addresses, current and former.
    pub fn emails(&self) -> Vec<Held> {
        let mut statements = self.emails.clone();
        for confirmed in &self.confirmations {
            // The time stays that of the claim: somebody else may have been given the address before the confirmation.
            if let Some(claim) = self.main_at(*confirmed) {
                record(&mut statements, claim.at, claim.texts.iter().take(1).cloned().collect());
            }
        }
        held(&statements)
    }

    /// Returns the e-mail addresses that were entered and never verified.
    pub fn unverified_emails(&self) -> Vec<Held> {
        let verified = self.emails();
        let is_known = |claim: &Held| verified.iter().any(|known| known.text == claim.text);
        held(&self.claims).into_iter().filter(|claim| !is_known(claim)).collect()
    }

    /// Returns the external ids, current and former.
    pub fn external_ids(&self) -> Vec<Held> {
        held(&self.external_ids)
    }

    /// Returns what the items of this id's traits are to say about it.
    pub fn holdings(&self, source: &str) -> BTreeMap<TraitKey, Holding> {
        let Some(first) = self.first else { return BTreeMap::new() };
        let (active, inactive) = (self.active, self.inactive);
        let holding = |held: Held| {
            let (from, regained, until) = (held.from(), held.regained(), held.until());
            Holding { from, regained, until, active, inactive, first }
        };
        let emails = self.emails().into_iter().map(|held| (TraitKey::email(&held.text), holding(held)));
        let external = self.external_ids().into_iter();
        let external = external.map(|held| (TraitKey::external_id(source, &held.text), holding(held)));
        emails.chain(external).collect()
    }

    /// Returns the newest main address at a time, claimed or verified, if it is certain which: somebody may have claimed a
    /// colleague's address before their own.
    fn main_at(&self, at: i64) -> Option<&Statement> {
        let before = || self.claims.iter().chain(&self.emails).filter(|statement| statement.at <= at);
        let last = before().max_by_key(|statement| statement.at)?;
        let main = last.texts.first()?;
        let same_time = before().filter(|statement| statement.at == last.at);
        same_time.into_iter().all(|statement| statement.texts.first() == Some(main)).then_some(last)
    }
}

/// Adds a statement that names something.
fn record(statements: &mut Vec<Statement>, at: i64, texts: Vec<String>) {
    if !texts.is_empty() {
        insert(statements, at, texts);
    }
}

/// Adds a statement, in order. Two at the same time add up: both were said.
fn insert(statements: &mut Vec<Statement>, at: i64, texts: Vec<String>) {
    match statements.binary_search_by_key(&at, |statement| statement.at) {
        Ok(known) => {
            let known = &mut statements[known].texts;
            for text in texts {
                if !known.contains(&text) && known.len() < MAX_EMAILS {
                    known.push(text);
                }
            }
        }
        Err(position) => statements.insert(position, Statement { at, texts, is_cut: false }),
    }
    // Between two equal neighbors a third says nothing new.
    let mut n = 1;
    while n + 1 < statements.len() {
        if statements[n - 1].texts == statements[n].texts && statements[n].texts == statements[n + 1].texts {
            leave_out(statements, n);
        } else {
            n += 1;
        }
    }
}

/// What became of the texts when statements were bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    /// Each is still there.
    Kept,
    /// One is there no longer.
    Lost,
}

/// Leaves out statements that name nothing which is not said before and after them, the oldest first; and where there are far
/// too many, any.
fn bound(statements: &mut Vec<Statement>) -> Bound {
    let mut bound = Bound::Kept;
    while statements.len() > MAX_STATEMENTS || texts(statements) > MAX_KEPT.1 {
        match (0..statements.len()).find(|n| is_between(statements, *n)) {
            Some(n) => {
                statements[n].is_cut = true;
                leave_out(statements, n);
            }
            None if statements.len() <= MAX_KEPT.0 && texts(statements) <= MAX_KEPT.1 => break,
            None => {
                let oldest = statements.remove(0);
                if !oldest.texts.iter().all(|text| names(statements, text)) {
                    bound = Bound::Lost;
                }
            }
        }
    }
    bound
}

/// Leaves out a statement that is not the last one. What was left out before it stays known.
fn leave_out(statements: &mut Vec<Statement>, n: usize) {
    let left_out = statements.remove(n);
    statements[n].is_cut |= left_out.is_cut;
}

/// Whether each text of a statement is named before and after it.
fn is_between(statements: &[Statement], n: usize) -> bool {
    let (before, after) = (&statements[..n], &statements[n + 1..]);
    statements[n].texts.iter().all(|text| names(before, text) && names(after, text))
}

fn names(statements: &[Statement], text: &String) -> bool {
    statements.iter().any(|statement| statement.texts.contains(text))
}

fn texts(statements: &[Statement]) -> usize {
    statements.iter().map(|statement| statement.texts.len()).sum()
}

impl Held {
    /// Returns when it was first said.
    pub fn from(&self) -> i64 {
        self.spans.first().map_or(i64::MIN, |span| span.from)
    }

    /// Returns when it was last said again after its source had said another instead; `None` if that never happened.
    pub fn regained(&self) -> Option<i64> {
        self.spans.get(1..)?.last().map(|span| span.from)
    }

    /// Returns when its source said another instead; `None` for a current one.
    pub fn until(&self) -> Option<i64> {
        self.spans.last().and_then(|span| span.until)
    }

    /// Takes over when another identity of the same person had it.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.spans.extend(&other.spans);
        self.spans.sort_unstable();
        let mut joined: Vec<Span> = Vec::new();
        for span in self.spans.drain(..) {
            match joined.last_mut() {
                Some(last) if last.until.is_none_or(|until| span.from <= until) => {
                    last.until = last.until.zip(span.until).map(|(a, b)| a.max(b));
                }
                _ => joined.push(span),
            }
        }
        self.spans = joined;
    }
}

/// Each text once, with its time: from a statement that names it to the first one after it that does not.
fn held(statements: &[Statement]) -> Vec<Held> {
    let mut held: Vec<Held> = Vec::new();
    for (n, statement) in statements.iter().enumerate() {
        for text in &statement.texts {
            let until = statements.get(n + 1).filter(|next| !next.texts.contains(text)).map(|next| next.at);
            let begins = Span { from: statement.at, until };
            match held.iter_mut().find(|known| known.text == *text) {
                Some(known) => match known.spans.last_mut() {
                    Some(last) if last.until.is_none() && !statement.is_cut => last.until = until,
                    Some(last) => {
                        // Of statements that were left out it is not known whether they named it.
                        last.until = last.until.or_else(|| Some(statements.get(n.checked_sub(1)?)?.at + 1));
                        known.spans.push(begins);
                    }
                    None => known.spans.push(begins),
                },
                None => held.push(Held { text: text.clone(), spans: vec![begins] }),
            }
        }
    }
    held
}

impl StoredIdentity {
    /// Returns a time at which the id had not begun to leave; `None` if it did not leave, or an e-mail address of it is known.
    pub(super) fn before_leaving(&self) -> Option<i64> {
        let first = self.departures.iter().map(|departure| departure.rank).min()?;
        self.identity.emails().is_empty().then(|| first.saturating_sub(BEFORE_LEAVING))
    }

    /// Returns the last time at which anything was said, a departure included.
    pub(super) fn last_word(&self) -> Option<i64> {
        let departed = self.departures.iter().map(|departure| departure.rank).max();
        self.identity.last_word().max(departed)
    }

    /// Reads an item.
    pub(super) fn read(item: &Item) -> Result<Self, LedgerError> {
        let identity = match item.version {
            0 => IdentityRecord::default(),
            _ => serde_json::from_str(&item.document).map_err(|_| LedgerError::Unreadable("identity"))?,
        };
        let departures = item.sets.get(DEPARTURES).into_iter().flatten();
        let departures = departures.filter_map(|text| DepartureRef::parse(text)).collect();
        let crowded = identity.crowded || item.fields.contains_key(CROWDED);
        Ok(Self { identity, version: item.version, departures, crowded })
    }
}

//! Update, condition and key condition expressions, in the subset that offboard writes:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html>.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::Peekable,
    str::Chars,
};

use super::item::{Attribute, Item};
use crate::mock::Unknown;

/// The placeholders of a request: `#name` and `:value`.
#[derive(Default)]
pub(super) struct Placeholders {
    pub(super) names: BTreeMap<String, String>,
    pub(super) values: BTreeMap<String, Attribute>,
}

/// A condition on one item.
#[derive(Debug, PartialEq)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Missing(String),
    Contains(String, String),
    Between(String, i64, i64),
    Compare { name: String, is_size: bool, comparison: Comparison, value: Attribute },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
}

/// One action of an update.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Set(String, Attribute),
    Remove(String),
    Add(String, BTreeSet<String>),
    Delete(String, BTreeSet<String>),
}

impl Condition {
    /// Returns whether it holds of this item. A comparison with a missing attribute does not.
    pub(super) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(item)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(item)),
            Self::Missing(name) => !item.contains_key(name),
            Self::Contains(name, member) => {
                item.get(name).and_then(Attribute::set).is_some_and(|members| members.contains(member))
            }
            Self::Between(name, from, to) => {
                item.get(name).and_then(Attribute::number).is_some_and(|number| (*from..=*to).contains(&number))
            }
            Self::Compare { name, is_size, comparison, value } => {
                let left = item.get(name).and_then(|left| match is_size {
                    true => Some(Attribute::N(left.set()?.len().to_string())),
                    false => Some(left.clone()),
                });
                left.is_some_and(|left| match comparison {
                    Comparison::Equal => left == *value,
                    Comparison::Less => left.number() < value.number(),
                    Comparison::LessOrEqual => left.number() <= value.number(),
                })
            }
        }
    }
}

impl Action {
    /// Returns the attribute that it changes.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Set(name, _) | Self::Remove(name) | Self::Add(name, _) | Self::Delete(name, _) => name,
        }
    }

    /// Changes the item.
    pub(super) fn apply(&self, item: &mut Item) {
        let members = |item: &Item, name: &str| item.get(name).and_then(Attribute::set).cloned().unwrap_or_default();
        let (name, left) = match self {
            Self::Set(name, value) => return drop(item.insert(name.clone(), value.clone())),
            Self::Remove(name) => return drop(item.remove(name)),
            Self::Add(name, added) => (name, &members(item, name) | added),
            Self::Delete(name, removed) => (name, &members(item, name) - removed),
        };
        match left.is_empty() {
            true => item.remove(name),
            false => item.insert(name.clone(), Attribute::Set(left)),
        };
    }
}

/// Reads the expressions of one request.
pub(super) struct Parser<'a> {
    placeholders: &'a Placeholders,
    used: BTreeSet<String>,
    tokens: Peekable<std::vec::IntoIter<String>>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(placeholders: &'a Placeholders) -> Self {
        Self { placeholders, used: BTreeSet::new(), tokens: Vec::new().into_iter().peekable() }
    }

    /// Reads an update expression.
    pub(super) fn update(&mut self, text: &str) -> Result<Vec<Action>, Unknown> {
        self.tokens = tokens(text)?.into_iter().peekable();
        let (mut actions, mut verbs, mut changed) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        while let Some(verb) = self.tokens.next() {
            loop {
                let action = self.action(&verb)?;
                if !changed.insert(action.name().to_owned()) {
                    return Err(Unknown(format!("an update of {} twice", action.name())));
                }
                actions.push(action);
                if !self.take(",") {
                    break;
                }
            }
            if !verbs.insert(verb.clone()) {
                return Err(Unknown(format!("{verb} twice in an update")));
            }
        }
        Ok(actions)
    }

    fn action(&mut self, verb: &str) -> Result<Action, Unknown> {
        let name = self.name()?;
        Ok(match verb {
            "SET" => {
                self.expect("=")?;
                Action::Set(name, self.value()?)
            }
            "REMOVE" => Action::Remove(name),
            "ADD" => Action::Add(name, self.members()?),
            "DELETE" => Action::Delete(name, self.members()?),
            _ => return Err(Unknown(format!("{verb} in an update"))),
        })
    }

    /// Reads a condition expression, or a key condition expression.
    pub(super) fn condition(&mut self, text: &str) -> Result<Condition, Unknown> {
        self.tokens = tokens(text)?.into_iter().peekable();
        let condition = self.all()?;
        match self.tokens.next() {
            None => Ok(condition),
            Some(token) => Err(Unknown(format!("{token} after a condition"))),
        }
    }

    fn all(&mut self) -> Result<Condition, Unknown> {
        let mut parts = vec![self.term()?];
        // AND binds tighter than OR; offboard mixes them in parentheses alone.
        let joint = self.tokens.peek().cloned().filter(|token| ["AND", "OR"].contains(&token.as_str()));
        while joint.as_deref().is_some_and(|joint| self.take(joint)) {
            parts.push(self.term()?);
        }
        Ok(match joint.as_deref() {
            Some("OR") => Condition::Any(parts),
            _ => Condition::All(parts),
        })
    }

    fn term(&mut self) -> Result<Condition, Unknown> {
        if self.take("(") {
            let inner = self.all()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.take("attribute_not_exists") {
            let name = self.argument()?;
            self.expect(")")?;
            return Ok(Condition::Missing(name));
        }
        if self.take("contains") {
            let name = self.argument()?;
            self.expect(",")?;
            let member = self.value()?.text().unwrap_or_default().to_owned();
            self.expect(")")?;
            return Ok(Condition::Contains(name, member));
        }
        let is_size = self.take("size");
        let name = if is_size { self.argument()? } else { self.name()? };
        if is_size {
            self.expect(")")?;
        }
        if self.take("BETWEEN") {
            let from = self.number()?;
            self.expect("AND")?;
            return Ok(Condition::Between(name, from, self.number()?));
        }
        let comparison = match self.tokens.next().as_deref() {
            Some("=") => Comparison::Equal,
            Some("<") => Comparison::Less,
            Some("<=") => Comparison::LessOrEqual,
            other => return Err(Unknown(format!("comparison {other:?}"))),
        };
        let value = self.value()?;
        if comparison != Comparison::Equal && value.number().is_none() {
            return Err(not_a_number());
        }
        Ok(Condition::Compare { name, is_size, comparison, value })
    }

    /// Returns an error if a placeholder was not used: DynamoDB refuses such a request.
    pub(super) fn end(self) -> Result<(), Unknown> {
        let mut all = self.placeholders.names.keys().chain(self.placeholders.values.keys());
        match all.find(|placeholder| !self.used.contains(*placeholder)) {
            Some(unused) => Err(Unknown(format!("placeholder {unused} is not used"))),
            None => Ok(()),
        }
    }

    fn argument(&mut self) -> Result<String, Unknown> {
        self.expect("(")?;
        self.name()
    }

    fn name(&mut self) -> Result<String, Unknown> {
        let token = self.tokens.next().unwrap_or_default();
        let name = self.placeholders.names.get(&token).cloned();
        self.used.insert(token.clone());
        name.ok_or_else(|| Unknown(format!("{token} where a name's placeholder should be")))
    }

    fn number(&mut self) -> Result<i64, Unknown> {
        self.value()?.number().ok_or_else(not_a_number)
    }

    fn value(&mut self) -> Result<Attribute, Unknown> {
        let token = self.tokens.next().unwrap_or_default();
        let value = self.placeholders.values.get(&token).cloned();
        self.used.insert(token.clone());
        value.ok_or_else(|| Unknown(format!("{token} where a value's placeholder should be")))
    }

    fn members(&mut self) -> Result<BTreeSet<String>, Unknown> {
        let members = self.value()?.set().cloned().filter(|members| !members.is_empty());
        members.ok_or_else(|| Unknown("ADD or DELETE of something that is not a set of texts".into()))
    }

    fn take(&mut self, token: &str) -> bool {
        self.tokens.next_if(|next| next == token).is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), Unknown> {
        match self.take(token) {
            true => Ok(()),
            false => Err(Unknown(format!("{:?} where {token} should be", self.tokens.peek()))),
        }
    }
}

fn not_a_number() -> Unknown {
    Unknown("a comparison of order with something that is not a whole number".into())
}

fn tokens(text: &str) -> Result<Vec<String>, Unknown> {
    let (mut tokens, mut rest) = (Vec::new(), text.chars().peekable());
    while let Some(&next) = rest.peek() {
        match next {
            ' ' => drop(rest.next()),
            '(' | ')' | ',' | '=' => tokens.push(rest.by_ref().take(1).collect()),
            '<' => tokens.push(run(&mut rest, |c| "<=>".contains(c))),
            '#' | ':' | '_' | 'a'..='z' | 'A'..='Z' => {
                tokens.push(run(&mut rest, |c| c.is_ascii_alphanumeric() || "#:_".contains(c)));
            }
            other => return Err(Unknown(format!("{other:?} in an expression"))),
        }
    }
    Ok(tokens)
}

fn run(rest: &mut Peekable<Chars<'_>>, belongs: impl Fn(char) -> bool) -> String {
    std::iter::from_fn(|| rest.next_if(|next| belongs(*next))).collect()
}

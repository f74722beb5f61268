//! Update, condition and key condition expressions, in the subset that offboard writes:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html>.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::Peekable,
    str::Chars,
};

use serde_json::{Value, json};

use crate::mock::Unknown;

/// An item, in DynamoDB's JSON: attribute name to `{"S": "…"}`.
pub type Item = BTreeMap<String, Value>;

/// The placeholders of a request: `#name` and `:value`.
#[derive(Default)]
pub(super) struct Placeholders {
    pub(super) names: BTreeMap<String, String>,
    pub(super) values: BTreeMap<String, Value>,
}

/// A condition on one item.
#[derive(Debug, PartialEq)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Missing(String),
    Contains(String, Value),
    Compare { name: String, is_size: bool, comparison: Comparison, value: Value },
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
    Set(String, Value),
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
                let member = member["S"].as_str().unwrap_or_default();
                item.get(name).and_then(set).is_some_and(|members| members.contains(member))
            }
            Self::Compare { name, is_size, comparison, value } => {
                let left = item.get(name).and_then(|left| match is_size {
                    true => Some(json!({"N": set(left)?.len().to_string()})),
                    false => Some(left.clone()),
                });
                left.is_some_and(|left| match comparison {
                    Comparison::Equal => left == *value,
                    Comparison::Less => number(&left) < number(value),
                    Comparison::LessOrEqual => number(&left) <= number(value),
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
        let members = |item: &Item, name: &str| item.get(name).and_then(set).unwrap_or_default();
        let (name, left) = match self {
            Self::Set(name, value) => return drop(item.insert(name.clone(), value.clone())),
            Self::Remove(name) => return drop(item.remove(name)),
            Self::Add(name, added) => (name, &members(item, name) | added),
            Self::Delete(name, removed) => (name, &members(item, name) - removed),
        };
        match left.is_empty() {
            true => item.remove(name),
            false => item.insert(name.clone(), json!({ "SS": left })),
        };
    }
}

/// Returns the members of a set of texts.
pub(super) fn set(value: &Value) -> Option<BTreeSet<String>> {
    let members = value["SS"].as_array()?;
    members.iter().map(|member| member.as_str().map(str::to_owned)).collect()
}

/// Returns a number, as far as offboard writes them: whole ones.
pub(super) fn number(value: &Value) -> Option<i64> {
    value["N"].as_str()?.parse().ok()
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
            let member = self.value()?;
            self.expect(")")?;
            return Ok(Condition::Contains(name, member));
        }
        let is_size = self.take("size");
        let name = if is_size { self.argument()? } else { self.name()? };
        if is_size {
            self.expect(")")?;
        }
        let comparison = match self.tokens.next().as_deref() {
            Some("=") => Comparison::Equal,
            Some("<") => Comparison::Less,
            Some("<=") => Comparison::LessOrEqual,
            other => return Err(Unknown(format!("comparison {other:?}"))),
        };
        let value = self.value()?;
        if comparison != Comparison::Equal && number(&value).is_none() {
            return Err(Unknown("a comparison of order with something that is not a whole number".into()));
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

    fn value(&mut self) -> Result<Value, Unknown> {
        let token = self.tokens.next().unwrap_or_default();
        let value = self.placeholders.values.get(&token).cloned();
        self.used.insert(token.clone());
        value.ok_or_else(|| Unknown(format!("{token} where a value's placeholder should be")))
    }

    fn members(&mut self) -> Result<BTreeSet<String>, Unknown> {
        let members = set(&self.value()?).filter(|members| !members.is_empty());
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

//! A change as DynamoDB's expressions.

use std::{collections::HashMap, fmt::Write};

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    super::store::{Change, Item, Merge},
    attributes::number,
};

/// An update with its condition, and the names and values that stand in both.
#[derive(Debug, Default)]
pub(super) struct Expression {
    pub(super) update: String,
    pub(super) condition: Option<String>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: Option<HashMap<String, AttributeValue>>,
}

impl Expression {
    pub(super) fn of(change: &Change) -> Self {
        let mut expression = Self::default();
        match change {
            Change::Swap { item, expected } => expression.swap(item, *expected),
            Change::Merge(merge) => expression.merge(merge),
        }
        expression
    }

    fn swap(&mut self, item: &Item, expected: u64) {
        let index = item.index.as_ref();
        let attributes = [
            ("version", Some(AttributeValue::N(item.version.to_string()))),
            ("document", Some(AttributeValue::S(item.document.clone()))),
            ("expires_at", item.expires_at.map(number)),
            ("state", index.map(|index| AttributeValue::S(index.state.clone()))),
            ("due_at", index.and_then(|index| index.due_at).map(number)),
            ("month", index.map(|index| AttributeValue::S(index.month.clone()))),
            ("received_at", index.map(|index| number(index.received_at))),
            ("dry_run", index.map(|index| AttributeValue::Bool(index.dry_run))),
        ];
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        for (name, value) in attributes {
            let name = self.name(name);
            match value {
                Some(value) => set.push(format!("{name} = {}", self.value(value))),
                None => remove.push(name),
            }
        }
        self.clause("SET", &set);
        self.clause("REMOVE", &remove);
        let version = self.name("version");
        self.condition = Some(match expected {
            0 => format!("attribute_not_exists({version})"),
            _ => format!("{version} = {}", self.value(AttributeValue::N(expected.to_string()))),
        });
    }

    fn merge(&mut self, merge: &Merge) {
        let fields = merge.fields.iter().map(|(name, text)| (name.as_str(), AttributeValue::S(text.clone())));
        let expiry = merge.expires_at.map(|at| ("expires_at", number(at)));
        let set: Vec<_> =
            fields.chain(expiry).map(|(name, value)| format!("{} = {}", self.name(name), self.value(value))).collect();
        self.clause("SET", &set);
        for (verb, sets) in [("ADD", &merge.add), ("DELETE", &merge.remove)] {
            let members = |members: &std::collections::BTreeSet<String>| members.iter().cloned().collect();
            let parts: Vec<_> = sets
                .iter()
                .map(|(name, set)| format!("{} {}", self.name(name), self.value(AttributeValue::Ss(members(set)))))
                .collect();
            self.clause(verb, &parts);
        }
        let conditions: Vec<_> = merge
            .room
            .iter()
            .map(|room| {
                let set = self.name(&room.set);
                let below = self.value(AttributeValue::N(room.below.to_string()));
                let mut condition = format!("(attribute_not_exists({set}) OR size({set}) < {below}");
                if let Some(member) = &room.member {
                    let member = self.value(AttributeValue::S(member.clone()));
                    let _ = write!(condition, " OR contains({set}, {member})");
                }
                condition + ")"
            })
            .collect();
        self.condition = Some(conditions.join(" AND ")).filter(|condition| !condition.is_empty());
    }

    fn clause(&mut self, verb: &str, parts: &[String]) {
        if !parts.is_empty() {
            let space = if self.update.is_empty() { "" } else { " " };
            let _ = write!(self.update, "{space}{verb} {}", parts.join(", "));
        }
    }

    /// A placeholder for a name: many are reserved words.
    fn name(&mut self, name: &str) -> String {
        if let Some((known, _)) = self.names.iter().find(|(_, known)| *known == name) {
            return known.clone();
        }
        let placeholder = format!("#n{}", self.names.len());
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let values = self.values.get_or_insert_with(HashMap::new);
        let placeholder = format!(":v{}", values.len());
        values.insert(placeholder.clone(), value);
        placeholder
    }
}

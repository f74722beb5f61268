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
            ("source", item.source.clone().map(AttributeValue::S)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::store::Index;

    /// Every expression of a change, with the placeholders replaced by names, and the values in angle brackets.
    fn shown(change: &Change) -> (String, String) {
        let expression = Expression::of(change);
        let values = expression.values.unwrap_or_default();
        let value = |value: &AttributeValue| match value {
            AttributeValue::S(text) | AttributeValue::N(text) => format!("<{text}>"),
            AttributeValue::Ss(members) => format!("<{}>", members.join(" ")),
            AttributeValue::Bool(is) => format!("<{is}>"),
            other => panic!("{other:?}"),
        };
        let replaced = |text: &str| {
            let mut words: Vec<_> = expression.names.iter().map(|(name, of)| (name.clone(), of.clone())).collect();
            words.extend(values.iter().map(|(name, of)| (name.clone(), value(of))));
            assert!(words.iter().all(|(name, _)| expression.update.contains(name.as_str())
                || expression.condition.as_ref().is_some_and(|condition| condition.contains(name.as_str()))));
            // The longest first: `#n1` begins `#n10`.
            words.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
            words.iter().fold(text.to_owned(), |text, (name, of)| text.replace(name.as_str(), of))
        };
        (replaced(&expression.update), replaced(expression.condition.as_deref().unwrap_or_default()))
    }

    fn item(index: Option<Index>) -> Item {
        Item { id: "a".into(), version: 4, document: "{}".into(), index, ..Item::default() }
    }

    #[test]
    fn swap_writes_the_attributes_of_the_indexes_and_removes_those_that_are_gone() {
        let index = |due_at| {
            Some(Index { state: "held".into(), due_at, month: "2026-01".into(), received_at: 7, dry_run: true })
        };
        let rest = "state = <held>";
        for (item, update) in [
            (
                Item { expires_at: Some(9), ..item(index(Some(5))) },
                format!(
                    "SET version = <4>, document = <{{}}>, expires_at = <9>, {rest}, due_at = <5>, month = <2026-01>, \
                     received_at = <7>, dry_run = <true> REMOVE source"
                ),
            ),
            (
                item(index(None)),
                format!(
                    "SET version = <4>, document = <{{}}>, {rest}, month = <2026-01>, received_at = <7>, dry_run = <true> \
                     REMOVE expires_at, due_at, source"
                ),
            ),
            (
                item(None),
                "SET version = <4>, document = <{}> REMOVE expires_at, state, due_at, month, received_at, dry_run, source"
                    .into(),
            ),
            (
                Item { source: Some("idp".into()), ..item(None) },
                "SET version = <4>, document = <{}>, source = <idp> REMOVE expires_at, state, due_at, month, received_at, \
                 dry_run"
                    .into(),
            ),
        ] {
            let swap = Change::Swap { item, expected: 3 };
            assert_eq!(shown(&swap), (update, "version = <3>".to_owned()));
        }
        let first = Change::Swap { item: item(None), expected: 0 };
        assert_eq!(shown(&first).1, "attribute_not_exists(version)");
    }

    #[test]
    fn merge_adds_removes_and_conditions_on_room() {
        let merge = Merge::of("a").add("ids", "x").add("d:x", "1|e").remove("d:y", "2|f").field("h:x", "{}");
        let merge = merge.room("ids", 100, Some("x")).room("persons", 20, None);
        let update = "SET h:x = <{}>, expires_at = <9> ADD d:x <1|e>, ids <x> DELETE d:y <2|f>";
        let condition = "(attribute_not_exists(ids) OR size(ids) < <100> OR contains(ids, <x>)) \
                         AND (attribute_not_exists(persons) OR size(persons) < <20>)";
        let shown = shown(&Change::Merge(Merge { expires_at: Some(9), ..merge }));
        assert_eq!(shown, (update.to_owned(), condition.to_owned()));
    }

    #[test]
    fn merge_without_condition_has_none() {
        let expression = Expression::of(&Change::Merge(Merge::of("#pause").field("pause", "null")));
        assert_eq!((expression.condition, expression.update.as_str()), (None, "SET #n0 = :v0"));
    }
}

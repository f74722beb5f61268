//! Amazon DynamoDB, as far as offboard uses it: consistent reads, conditional updates, transactions, three indexes.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html>

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{refusal, signed_for};
use crate::mock::{Answer, Call, Service, Unknown};

mod expression;

pub use expression::Item;
use expression::{Action, Condition, Parser, Placeholders, number};

const MEDIA_TYPE: &str = "application/x-amz-json-1.0";
/// Keys of one `BatchGetItem`, and parts of one transaction.
const MAX_BATCH: usize = 100;
/// Bytes of an item.
const MAX_ITEM: usize = 400 * 1024;
/// Bytes of one answer to a query.
const MAX_PAGE: usize = 1024 * 1024;
/// What the template projects into the index `by_state`, beside the keys.
const PROJECTED: [&str; 5] = ["id", "state", "due_at", "attempts", "dry_run"];

/// One table with the key `id` and the template's three indexes.
pub struct DynamoDb {
    table: String,
    items: BTreeMap<String, Item>,
    /// Tokens of the transactions that were made: a repetition is answered and not made again.
    made: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Get {
    table_name: String,
    key: Key,
    consistent_read: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    id: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Text {
    s: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BatchGet {
    request_items: BTreeMap<String, Keys>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Keys {
    keys: Vec<Key>,
    consistent_read: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Update {
    table_name: String,
    key: Key,
    update_expression: String,
    condition_expression: Option<String>,
    #[serde(default)]
    expression_attribute_names: BTreeMap<String, String>,
    #[serde(default)]
    expression_attribute_values: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Transact {
    transact_items: Vec<Part>,
    client_request_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Part {
    update: Update,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Query {
    table_name: String,
    index_name: String,
    key_condition_expression: String,
    expression_attribute_names: BTreeMap<String, String>,
    expression_attribute_values: BTreeMap<String, Value>,
    exclusive_start_key: Option<Item>,
    limit: Option<usize>,
    #[serde(default = "forward")]
    scan_index_forward: bool,
}

fn forward() -> bool {
    true
}

/// An update that was read: of which item, if what holds, how.
struct Change {
    id: String,
    condition: Option<Condition>,
    actions: Vec<Action>,
}

/// An error of DynamoDB's.
struct Refused(Answer);

type Outcome = Result<Result<Answer, Refused>, Unknown>;

impl DynamoDb {
    /// An empty table of this name.
    pub fn new(table: &str) -> Self {
        Self { table: table.into(), items: BTreeMap::new(), made: BTreeSet::new() }
    }

    /// All items, by their ids.
    pub fn items(&self) -> &BTreeMap<String, Item> {
        &self.items
    }

    fn get(&self, call: &Call) -> Outcome {
        let Get { table_name, key, consistent_read } = call.json(MEDIA_TYPE)?;
        consistent(consistent_read)?;
        Ok(self.is_table(&table_name).map(|()| match self.items.get(&key.id.s) {
            Some(item) => Answer::json(200, json!({ "Item": item })),
            None => Answer::json(200, json!({})),
        }))
    }

    fn batch_get(&self, call: &Call) -> Outcome {
        let BatchGet { request_items } = call.json(MEDIA_TYPE)?;
        let mut responses = BTreeMap::new();
        for (table, Keys { keys, consistent_read }) in request_items {
            consistent(consistent_read)?;
            if let Err(refused) = self.is_table(&table) {
                return Ok(Err(refused));
            }
            let ids: BTreeSet<_> = keys.iter().map(|key| &key.id.s).collect();
            if !(1..=MAX_BATCH).contains(&keys.len()) || ids.len() < keys.len() {
                return Ok(Err(invalid("1 to 100 keys, each once")));
            }
            let found: Vec<_> = ids.into_iter().filter_map(|id| self.items.get(id)).collect();
            responses.insert(table, found);
        }
        Ok(Ok(Answer::json(200, json!({ "Responses": responses, "UnprocessedKeys": {} }))))
    }

    fn update(&mut self, call: &Call) -> Outcome {
        let change = match self.read(call.json(MEDIA_TYPE)?)? {
            Ok(change) => change,
            Err(refused) => return Ok(Err(refused)),
        };
        if !self.holds(&change) {
            let text = "The conditional request failed";
            return Ok(Err(Refused(refusal("ConditionalCheckFailedException", text))));
        }
        Ok(self.changed(&change)?.map(|item| {
            self.items.insert(change.id, item);
            Answer::json(200, json!({}))
        }))
    }

    fn transact(&mut self, call: &Call) -> Outcome {
        let Transact { transact_items, client_request_token } = call.json(MEDIA_TYPE)?;
        if self.made.contains(&client_request_token) {
            return Ok(Ok(Answer::json(200, json!({}))));
        }
        let (count, mut changes) = (transact_items.len(), BTreeMap::new());
        let (mut reasons, mut written) = (Vec::new(), BTreeMap::new());
        for Part { update } in transact_items {
            let change = match self.read(update)? {
                Ok(change) => change,
                Err(refused) => return Ok(Err(refused)),
            };
            let holds = self.holds(&change);
            reasons.push(json!({"Code": if holds { "None" } else { "ConditionalCheckFailed" }}));
            match self.changed(&change)? {
                Ok(item) => written.insert(change.id.clone(), item),
                Err(refused) => return Ok(Err(refused)),
            };
            changes.insert(change.id, holds);
        }
        if !(1..=MAX_BATCH).contains(&count) || changes.len() < count {
            return Ok(Err(invalid("1 to 100 items, each once")));
        }
        if changes.values().any(|holds| !holds) {
            let text = "Transaction cancelled, please refer cancellation reasons for specific reasons";
            let body =
                json!({ "__type": "TransactionCanceledException", "Message": text, "CancellationReasons": reasons });
            return Ok(Err(Refused(Answer::json(400, body))));
        }
        self.items.extend(written);
        self.made.insert(client_request_token);
        Ok(Ok(Answer::json(200, json!({}))))
    }

    fn query(&self, call: &Call) -> Outcome {
        let query: Query = call.json(MEDIA_TYPE)?;
        if let Err(refused) = self.is_table(&query.table_name) {
            return Ok(Err(refused));
        }
        let (hash, range) = match query.index_name.as_str() {
            "by_state" => ("state", "due_at"),
            "by_month" => ("month", "received_at"),
            "by_source" => ("source", "id"),
            _ => return Ok(Err(invalid("The table does not have the specified index"))),
        };
        let placeholders =
            Placeholders { names: query.expression_attribute_names, values: query.expression_attribute_values };
        let names: Vec<_> = placeholders.names.values().map(String::as_str).collect();
        if !names.contains(&hash) || names.iter().any(|name| ![hash, range].contains(name)) {
            return Ok(Err(invalid("Query condition missed key schema element")));
        }
        let mut parser = Parser::new(&placeholders);
        let condition = parser.condition(&query.key_condition_expression)?;
        parser.end()?;
        let place = |item: &Item| {
            let at = if range == "id" { 0 } else { number(item.get(range)?)? };
            Some((at, item.get("id")?["S"].as_str()?.to_owned()))
        };
        let indexed = self.items.values().filter(|item| item.contains_key(hash) && condition.holds(item));
        let mut rows: Vec<_> = indexed.filter_map(|item| Some((place(item)?, item))).collect();
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        if !query.scan_index_forward {
            rows.reverse();
        }
        if let Some(start) = &query.exclusive_start_key {
            let start = place(start).ok_or_else(|| Unknown("an exclusive start key of another index".into()))?;
            let is_after =
                |other: &(i64, String)| if query.scan_index_forward { *other > start } else { *other < start };
            rows.retain(|(place, _)| is_after(place));
        }
        let rows: Vec<_> = rows.into_iter().map(|(_, item)| item).collect();
        Ok(Ok(page(&rows, hash, range, query.limit)))
    }

    fn read(&self, update: Update) -> Result<Result<Change, Refused>, Unknown> {
        if let Err(refused) = self.is_table(&update.table_name) {
            return Ok(Err(refused));
        }
        let placeholders =
            Placeholders { names: update.expression_attribute_names, values: update.expression_attribute_values };
        let mut parser = Parser::new(&placeholders);
        let actions = parser.update(&update.update_expression)?;
        let condition = update.condition_expression.map(|text| parser.condition(&text)).transpose()?;
        parser.end()?;
        Ok(Ok(Change { id: update.key.id.s, condition, actions }))
    }

    fn holds(&self, change: &Change) -> bool {
        let none = Item::new();
        let item = self.items.get(&change.id).unwrap_or(&none);
        change.condition.as_ref().is_none_or(|condition| condition.holds(item))
    }

    /// The item as the change leaves it.
    fn changed(&self, change: &Change) -> Result<Result<Item, Refused>, Unknown> {
        let key = Item::from([("id".to_owned(), json!({ "S": change.id }))]);
        let mut item = self.items.get(&change.id).cloned().unwrap_or(key);
        for action in &change.actions {
            if action.name() == "id" {
                return Ok(Err(invalid("This attribute is part of the key")));
            }
            action.apply(&mut item);
        }
        for (name, kind) in [("state", "S"), ("due_at", "N"), ("month", "S"), ("received_at", "N"), ("source", "S")] {
            if item.get(name).is_some_and(|value| value.get(kind).is_none()) {
                return Ok(Err(invalid("Type mismatch for Index Key")));
            }
        }
        if size(&item) > MAX_ITEM {
            return Ok(Err(invalid("Item size to update has exceeded the maximum allowed size")));
        }
        Ok(Ok(item))
    }

    fn is_table(&self, name: &str) -> Result<(), Refused> {
        match name == self.table {
            true => Ok(()),
            false => Err(Refused(refusal("ResourceNotFoundException", "Requested resource not found"))),
        }
    }
}

impl Service for DynamoDb {
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown> {
        signed_for(call, "dynamodb")?;
        let outcome = match call.header("x-amz-target")?.strip_prefix("DynamoDB_20120810.") {
            Some("GetItem") => self.get(call)?,
            Some("BatchGetItem") => self.batch_get(call)?,
            Some("UpdateItem") => self.update(call)?,
            Some("TransactWriteItems") => self.transact(call)?,
            Some("Query") => self.query(call)?,
            target => return Err(Unknown(format!("target {target:?}"))),
        };
        let (Ok(answer) | Err(Refused(answer))) = outcome;
        Ok(answer.with("content-type", MEDIA_TYPE).with("x-amzn-requestid", call.request_id()))
    }
}

/// The first rows, up to the limit or [`MAX_PAGE`], and the key after which the next page begins.
fn page(rows: &[&Item], hash: &str, range: &str, limit: Option<usize>) -> Answer {
    let (mut items, mut bytes) = (Vec::new(), 0);
    for item in rows {
        let is_shown = |name: &str| match hash {
            "month" => true,
            "source" => ["id", "source"].contains(&name),
            _ => PROJECTED.contains(&name),
        };
        let shown: BTreeMap<_, _> = item.iter().filter(|(name, _)| is_shown(name)).collect();
        bytes += size(shown.iter().map(|(name, value)| (*name, *value)));
        items.push(shown);
        if bytes > MAX_PAGE || Some(items.len()) == limit {
            break;
        }
    }
    let mut body = json!({ "Items": items, "Count": items.len(), "ScannedCount": items.len() });
    // As in DynamoDB: a page that its limit ends has a last key, also if nothing comes after it.
    if items.len() < rows.len() || Some(items.len()) == limit {
        let is_key = |name: &str| ["id", hash, range].contains(&name);
        let key = items.last().map(|last| last.iter().filter(|(name, _)| is_key(name)).collect::<BTreeMap<_, _>>());
        body["LastEvaluatedKey"] = json!(key);
    }
    Answer::json(200, body)
}

fn consistent(consistent_read: bool) -> Result<(), Unknown> {
    match consistent_read {
        true => Ok(()),
        false => Err(Unknown("a read that is not consistent".into())),
    }
}

fn invalid(message: &str) -> Refused {
    Refused(refusal("ValidationException", message))
}

/// The bytes of names and values, about as DynamoDB counts them.
fn size<'a>(item: impl IntoIterator<Item = (&'a String, &'a Value)>) -> usize {
    let texts = |value: &Value| match value {
        Value::Array(members) => members.iter().filter_map(Value::as_str).map(str::len).sum(),
        Value::String(text) => text.len(),
        _ => 1,
    };
    let value =
        |value: &Value| value.as_object().into_iter().flat_map(|object| object.values()).map(texts).sum::<usize>();
    item.into_iter().map(|(name, one)| name.len() + value(one)).sum()
}

#[cfg(test)]
#[path = "dynamodb_tests.rs"]
mod tests;

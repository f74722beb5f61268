//! Amazon DynamoDB, as far as offboard uses it: consistent reads, conditional updates, transactions, three indexes.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html>

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::json;

use super::{refusal, signed_for};
use crate::mock::{Answer, Call, Service, Unknown};

mod copies;
mod expression;
mod index;
mod item;

use expression::{Action, Condition, Parser, Placeholders};
use index::{Asked, Index, Page};
use item::size;
pub use item::{Attribute, Item};

const MEDIA_TYPE: &str = "application/x-amz-json-1.0";
/// Keys of one `BatchGetItem`, and parts of one transaction.
const MAX_BATCH: usize = 100;
/// Bytes of an item.
const MAX_ITEM: usize = 400 * 1024;

/// One table with the key `id` and the template's three indexes.
pub struct DynamoDb {
    table: String,
    items: BTreeMap<String, Item>,
    indexes: [Index; 3],
    reads: Reads,
    /// Tokens of the transactions that were made: a repetition is answered and not made again.
    made: BTreeSet<String>,
}

/// What was read, as DynamoDB counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Calls that read.
    pub calls: usize,
    /// Keys that were looked up, and items that queries evaluated (`ScannedCount`).
    pub items: usize,
    /// Bytes of the items.
    pub bytes: usize,
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
    expression_attribute_values: BTreeMap<String, Attribute>,
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
    expression_attribute_values: BTreeMap<String, Attribute>,
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
        Self {
            table: table.into(),
            items: BTreeMap::new(),
            indexes: Index::all(),
            reads: Reads::default(),
            made: BTreeSet::new(),
        }
    }

    /// Stores an item in the place of one with its id. It must have an id.
    pub fn put(&mut self, item: Item) {
        let id = item["id"].text().unwrap_or_default().to_owned();
        let before = self.items.get(&id);
        self.indexes.iter_mut().for_each(|index| index.replace(before, &item));
        self.items.insert(id, item);
    }

    /// What was read since the last call of this.
    pub fn take_reads(&mut self) -> Reads {
        std::mem::take(&mut self.reads)
    }

    fn note_read(&mut self, items: usize, bytes: usize) {
        self.reads.calls += 1;
        self.reads.items += items;
        self.reads.bytes += bytes;
    }

    /// All items, by their ids.
    pub fn items(&self) -> &BTreeMap<String, Item> {
        &self.items
    }

    fn get(&mut self, call: &Call) -> Outcome {
        let Get { table_name, key, consistent_read } = call.json(MEDIA_TYPE)?;
        consistent(consistent_read)?;
        self.note_read(1, self.items.get(&key.id.s).map_or(0, size));
        Ok(self.is_table(&table_name).map(|()| match self.items.get(&key.id.s) {
            Some(item) => Answer::json(200, json!({ "Item": item })),
            None => Answer::json(200, json!({})),
        }))
    }

    fn batch_get(&mut self, call: &Call) -> Outcome {
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
            self.note_read(ids.len(), ids.iter().filter_map(|id| self.items.get(*id)).map(size).sum());
            let found: Vec<_> = ids.into_iter().filter_map(|id| self.items.get(id).cloned()).collect();
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
            self.put(item);
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
        written.into_values().for_each(|item| self.put(item));
        self.made.insert(client_request_token);
        Ok(Ok(Answer::json(200, json!({}))))
    }

    fn query(&mut self, call: &Call) -> Outcome {
        let query: Query = call.json(MEDIA_TYPE)?;
        if let Err(refused) = self.is_table(&query.table_name) {
            return Ok(Err(refused));
        }
        let Some(index) = self.indexes.iter().find(|index| index.name == query.index_name) else {
            return Ok(Err(invalid("The table does not have the specified index")));
        };
        let placeholders =
            Placeholders { names: query.expression_attribute_names, values: query.expression_attribute_values };
        if !index.takes(placeholders.names.values().map(String::as_str)) {
            return Ok(Err(invalid("Query condition missed key schema element")));
        }
        let mut parser = Parser::new(&placeholders);
        let condition = parser.condition(&query.key_condition_expression)?;
        parser.end()?;
        let (start, limit) = (query.exclusive_start_key, query.limit);
        let asked = Asked { condition, start, is_forward: query.scan_index_forward, limit };
        let page = index.page(&self.items, &asked);
        let Page { body, items, bytes } =
            page.ok_or_else(|| Unknown("a condition on no key, or a start in another index".into()))?;
        self.note_read(items, bytes);
        Ok(Ok(Answer::json(200, body)))
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
        let key = Item::from([("id".to_owned(), Attribute::S(change.id.clone()))]);
        let mut item = self.items.get(&change.id).cloned().unwrap_or(key);
        for action in &change.actions {
            if action.name() == "id" {
                return Ok(Err(invalid("This attribute is part of the key")));
            }
            action.apply(&mut item);
        }
        let is_text = |name: &str| item.get(name).is_none_or(|value| value.text().is_some());
        let is_number = |name: &str| item.get(name).is_none_or(|value| matches!(value, Attribute::N(_)));
        if !["state", "month", "source"].into_iter().all(is_text)
            || !["due_at", "received_at"].into_iter().all(is_number)
        {
            return Ok(Err(invalid("Type mismatch for Index Key")));
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

fn consistent(consistent_read: bool) -> Result<(), Unknown> {
    match consistent_read {
        true => Ok(()),
        false => Err(Unknown("a read that is not consistent".into())),
    }
}

fn invalid(message: &str) -> Refused {
    Refused(refusal("ValidationException", message))
}

#[cfg(test)]
#[path = "dynamodb_tests.rs"]
mod tests;

//! The store in Amazon DynamoDB: consistent reads, conditional updates, transactions, three indexes. No scan.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::RangeInclusive,
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, KeysAndAttributes, TransactWriteItem, Update},
};
use tokio::time::sleep;

use super::{
    LedgerError,
    store::{Change, Changed, Cursor, Due, Item, Store},
};

mod attributes;
mod expression;

use attributes::{Attributes, due, item, key, number, text};
use expression::Expression;

/// Keys that one `BatchGetItem` takes.
const BATCH: usize = 100;
/// Attempts of a call that lost against a concurrent transaction, or was not processed in full.
const MAX_ATTEMPTS: u32 = 8;
/// The first pause between them; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(10);

/// A table with the key `id` and the indexes `by_state`, `by_month` and `by_source`.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    client: Client,
    table: String,
}

impl DynamoDb {
    /// The table of this name.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    async fn read_batch(&self, ids: &[String], found: &mut BTreeMap<String, Item>) -> Result<(), LedgerError> {
        let keys = ids.iter().map(|id| key(id)).collect();
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let mut wanted = HashMap::from([(self.table.clone(), keys.map_err(|_| LedgerError::Unreadable("key"))?)]);
        for attempt in 0..MAX_ATTEMPTS {
            let answer = self.client.batch_get_item().set_request_items(Some(wanted)).send().await;
            let answer = answer.map_err(unavailable)?;
            for attributes in answer.responses().into_iter().flat_map(|tables| tables.values()).flatten() {
                let item = item(attributes)?;
                found.insert(item.id.clone(), item);
            }
            // What was not processed was not read: it is not absent.
            match answer.unprocessed_keys {
                Some(left) if !left.is_empty() => wanted = left,
                _ => return Ok(()),
            }
            sleep(PAUSE * 2_u32.pow(attempt)).await;
        }
        Err(LedgerError::Unavailable("UnprocessedKeys".to_owned()))
    }

    async fn update(&self, change: &Change) -> Result<Changed, LedgerError> {
        for attempt in 0..MAX_ATTEMPTS {
            let Expression { update, condition, names, values } = Expression::of(change);
            let request = self.client.update_item().table_name(&self.table).set_key(Some(key(change.id())));
            let request = request.update_expression(update).set_condition_expression(condition);
            let request = request.set_expression_attribute_names(Some(names));
            match request.set_expression_attribute_values(values).send().await {
                Ok(_) => return Ok(Changed::All),
                Err(error) if error.code() == Some("ConditionalCheckFailedException") => {
                    return self.was_ours(change).await;
                }
                Err(error) if error.code() == Some("TransactionConflictException") => {
                    sleep(PAUSE * 2_u32.pow(attempt)).await;
                }
                Err(error) => return Err(unavailable(error)),
            }
        }
        Err(LedgerError::Contention)
    }

    /// A write whose answer was lost is sent again by the SDK, and then fails its own condition.
    async fn was_ours(&self, change: &Change) -> Result<Changed, LedgerError> {
        let refused = Changed::None(BTreeSet::from([0]));
        let Change::Swap { item: written, .. } = change else { return Ok(refused) };
        let stored = self.read(&BTreeSet::from([written.id.clone()])).await?.remove(&written.id);
        let is_ours = stored.is_some_and(|stored| {
            stored.version == written.version && stored.document == written.document && stored.index == written.index
        });
        Ok(if is_ours { Changed::All } else { refused })
    }

    async fn transaction(&self, changes: &[Change]) -> Result<Changed, LedgerError> {
        for attempt in 0..MAX_ATTEMPTS {
            let items = changes.iter().map(|change| self.part(change)).collect::<Result<Vec<_>, _>>()?;
            // The SDK names the request, so that a repetition of its own is not carried out twice.
            let sent = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
            let error = match sent {
                Ok(_) => return Ok(Changed::All),
                Err(error) => error,
            };
            let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() else {
                return Err(unavailable(error));
            };
            let codes: Vec<_> =
                canceled.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or("None")).collect();
            let at = |code: &str| codes.iter().enumerate().filter(|(_, one)| **one == code).map(|(n, _)| n).collect();
            let refused: BTreeSet<usize> = at("ConditionalCheckFailed");
            match codes.iter().find(|code| !matches!(**code, "None" | "ConditionalCheckFailed" | "TransactionConflict"))
            {
                _ if !refused.is_empty() => return Ok(Changed::None(refused)),
                Some(code) => return Err(LedgerError::Unavailable((*code).to_owned())),
                None => sleep(PAUSE * 2_u32.pow(attempt)).await,
            }
        }
        Err(LedgerError::Contention)
    }

    fn part(&self, change: &Change) -> Result<TransactWriteItem, LedgerError> {
        let Expression { update, condition, names, values } = Expression::of(change);
        let part = Update::builder().table_name(&self.table).set_key(Some(key(change.id()))).update_expression(update);
        let part = part.set_condition_expression(condition).set_expression_attribute_names(Some(names));
        let part = part.set_expression_attribute_values(values).build();
        Ok(TransactWriteItem::builder().update(part.map_err(|_| LedgerError::Unreadable("change"))?).build())
    }
}

#[async_trait]
impl Store for DynamoDb {
    async fn read(&self, ids: &BTreeSet<String>) -> Result<BTreeMap<String, Item>, LedgerError> {
        let mut found = BTreeMap::new();
        let ids: Vec<_> = ids.iter().cloned().collect();
        if let [id] = &ids[..] {
            let request = self.client.get_item().table_name(&self.table).set_key(Some(key(id))).consistent_read(true);
            if let Some(attributes) = request.send().await.map_err(unavailable)?.item {
                found.insert(id.clone(), item(&attributes)?);
            }
            return Ok(found);
        }
        for part in ids.chunks(BATCH) {
            self.read_batch(part, &mut found).await?;
        }
        Ok(found)
    }

    async fn change(&self, changes: &[Change]) -> Result<Changed, LedgerError> {
        match changes {
            [] => Ok(Changed::All),
            [change] => self.update(change).await,
            changes => self.transaction(changes).await,
        }
    }

    async fn by_state(&self, state: &str, until: i64, limit: usize) -> Result<Vec<Due>, LedgerError> {
        let (mut found, mut start): (Vec<Due>, Option<Attributes>) = (Vec::new(), None);
        while found.len() < limit {
            let left = i32::try_from(limit - found.len()).unwrap_or(i32::MAX);
            let request = self.client.query().table_name(&self.table).index_name("by_state");
            let request = request.key_condition_expression("#state = :state AND #due <= :due");
            let request = request.expression_attribute_names("#state", "state");
            let request = request.expression_attribute_names("#due", "due_at");
            let request = request.expression_attribute_values(":state", AttributeValue::S(state.to_owned()));
            let request = request.expression_attribute_values(":due", number(until));
            let page = request.set_exclusive_start_key(start).limit(left).send().await.map_err(unavailable)?;
            found.extend(page.items().iter().map(due).collect::<Result<Vec<_>, _>>()?);
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(found)
    }

    async fn by_month(
        &self,
        month: &str,
        received: RangeInclusive<i64>,
        after: Option<Cursor>,
    ) -> Result<(Vec<Item>, Option<Cursor>), LedgerError> {
        let start = after.map(|after| {
            let mut start = key(&after.id);
            start.insert("month".to_owned(), AttributeValue::S(month.to_owned()));
            start.insert("received_at".to_owned(), number(after.received_at));
            start
        });
        let request = self.client.query().table_name(&self.table).index_name("by_month").scan_index_forward(false);
        let request = request.key_condition_expression("#month = :month AND #received BETWEEN :since AND :until");
        let request = request.expression_attribute_names("#month", "month");
        let request = request.expression_attribute_names("#received", "received_at");
        let request = request.expression_attribute_values(":month", AttributeValue::S(month.to_owned()));
        let request = request.expression_attribute_values(":since", number(*received.start()));
        let request = request.expression_attribute_values(":until", number(*received.end()));
        let page = request.set_exclusive_start_key(start).send().await.map_err(unavailable)?;
        let next = page.last_evaluated_key().map(|last| {
            Ok::<_, LedgerError>(Cursor { id: text(last, "id")?, received_at: attributes::count(last, "received_at")? })
        });
        Ok((page.items().iter().map(item).collect::<Result<_, _>>()?, next.transpose()?))
    }

    async fn by_source(&self, source: &str) -> Result<Vec<String>, LedgerError> {
        let (mut found, mut start): (Vec<String>, Option<Attributes>) = (Vec::new(), None);
        loop {
            let request = self.client.query().table_name(&self.table).index_name("by_source");
            let request = request.key_condition_expression("#source = :source");
            let request = request.expression_attribute_names("#source", "source");
            let request = request.expression_attribute_values(":source", AttributeValue::S(source.to_owned()));
            let page = request.set_exclusive_start_key(start).send().await.map_err(unavailable)?;
            for attributes in page.items() {
                found.push(text(attributes, "id")?);
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(found);
            }
        }
    }
}

fn unavailable<E>(error: SdkError<E>) -> LedgerError
where
    SdkError<E>: ProvideErrorMetadata,
{
    LedgerError::Unavailable(crate::aws::cause(&error))
}

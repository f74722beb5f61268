//! The store in Amazon DynamoDB: one item each, conditional writes, consistent reads.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::AttributeValue,
};

use super::{Item, LedgerDown, Store};

/// A table with the key `id`.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    client: Client,
    table: String,
}

type Attributes = HashMap<String, AttributeValue>;

impl DynamoDb {
    /// The table of this name.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }
}

#[async_trait]
impl Store for DynamoDb {
    async fn load(&self, id: &str) -> Result<Option<Item>, LedgerDown> {
        let key = AttributeValue::S(id.to_owned());
        let request = self.client.get_item().table_name(&self.table).key("id", key).consistent_read(true);
        request.send().await.map_err(down)?.item.as_ref().map(read).transpose()
    }

    async fn store(&self, item: &Item, expected: Option<u64>) -> Result<bool, LedgerDown> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(written(item)));
        let put = match expected {
            None => put.condition_expression("attribute_not_exists(id)"),
            Some(version) => put
                .condition_expression("version = :version")
                .expression_attribute_values(":version", AttributeValue::N(version.to_string())),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => self.was_ours(item).await,
            Err(error) => Err(down(error)),
        }
    }

    async fn list(&self, after: Option<String>) -> Result<(Vec<Item>, Option<String>), LedgerDown> {
        let start = after.map(|id| HashMap::from([("id".to_owned(), AttributeValue::S(id))]));
        let request = self.client.scan().table_name(&self.table).set_exclusive_start_key(start).consistent_read(true);
        let page = request.send().await.map_err(down)?;
        let next = page.last_evaluated_key().and_then(|key| text(key, "id").ok());
        Ok((page.items().iter().map(read).collect::<Result<_, _>>()?, next))
    }
}

impl DynamoDb {
    /// A write whose answer was lost is sent again by the SDK, and then fails its own condition.
    async fn was_ours(&self, item: &Item) -> Result<bool, LedgerDown> {
        Ok(self.load(&item.id).await?.as_ref() == Some(item))
    }
}

fn written(item: &Item) -> Attributes {
    let number = |number: String| AttributeValue::N(number);
    let attributes = [
        ("id", AttributeValue::S(item.id.clone())),
        ("version", number(item.version.to_string())),
        ("expires_at", number(item.expires_at.to_string())),
        ("state", AttributeValue::S(item.state.clone())),
        ("document", AttributeValue::S(item.document.clone())),
    ];
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn read(attributes: &Attributes) -> Result<Item, LedgerDown> {
    Ok(Item {
        id: text(attributes, "id")?,
        version: count(attributes, "version")?,
        expires_at: count(attributes, "expires_at")?,
        state: text(attributes, "state")?,
        document: text(attributes, "document")?,
    })
}

fn text(attributes: &Attributes, name: &str) -> Result<String, LedgerDown> {
    let value = attributes.get(name).and_then(|value| value.as_s().ok());
    value.cloned().ok_or_else(|| LedgerDown(format!("an item without `{name}`")))
}

fn count<T: std::str::FromStr>(attributes: &Attributes, name: &str) -> Result<T, LedgerDown> {
    let value = attributes.get(name).and_then(|value| value.as_n().ok()?.parse().ok());
    value.ok_or_else(|| LedgerDown(format!("an item without `{name}`")))
}

fn down<E>(error: SdkError<E>) -> LedgerDown
where
    SdkError<E>: ProvideErrorMetadata,
{
    LedgerDown(crate::aws::told(&error))
}

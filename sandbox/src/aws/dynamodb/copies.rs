//! A ledger that has grown: a record of a departure, many times.

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Attribute, DynamoDb, Item};

impl DynamoDb {
    /// Stores copies of a departure's record, each under an id of its own, as if they had been received at these times. Nothing else
    /// refers to them. Returns how many; none if there is no such record.
    pub fn copy(&mut self, id: &str, received: impl IntoIterator<Item = OffsetDateTime>) -> usize {
        let Some((item, document)) = self.record(id) else { return 0 };
        let mut copies = 0;
        for at in received {
            copies += 1;
            let id = format!("{id}-{copies}");
            let mut document = document.clone();
            document["id"] = json!(id);
            document["received_at"] = json!(at.format(&Rfc3339).unwrap_or_default());
            let mut copy = item.clone();
            let milliseconds = at.unix_timestamp_nanos() / 1_000_000;
            copy.extend([
                ("id".to_owned(), Attribute::S(id)),
                ("document".to_owned(), Attribute::S(document.to_string())),
                ("month".to_owned(), Attribute::S(format!("{:04}-{:02}", at.year(), u8::from(at.month())))),
                ("received_at".to_owned(), Attribute::N(milliseconds.to_string())),
            ]);
            self.put(copy);
        }
        copies
    }

    fn record(&self, id: &str) -> Option<(Item, Value)> {
        let item = self.items.get(id)?;
        Some((item.clone(), serde_json::from_str(item.get("document")?.text()?).ok()?))
    }
}

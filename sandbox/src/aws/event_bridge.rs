//! Amazon EventBridge, as far as offboard uses it: events that are put on one bus.
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>

use serde::Deserialize;
use serde_json::{Value, json};

use super::{refusal, signed_for};
use crate::mock::{Answer, Call, Service, Unknown};

const MEDIA_TYPE: &str = "application/x-amz-json-1.1";
/// Events of one call.
const MAX_ENTRIES: usize = 10;
/// The size of all entries of a call, in bytes.
const MAX_SIZE: usize = 256 * 1024;

/// One bus, and what was put on it.
#[derive(Default)]
pub struct EventBridge {
    events: Vec<Event>,
    put: u64,
    /// Whether every call fails.
    pub is_down: bool,
    /// An entry that contains this text is refused.
    pub refused: Option<String>,
    /// A call with an entry that contains this text is refused as a whole, with this code.
    pub refused_calls: Option<(String, &'static str)>,
}

/// An event that was put on the bus.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its `detail-type`.
    pub detail_type: String,
    /// Its `detail`.
    pub detail: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutEvents {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    source: String,
    detail_type: String,
    detail: String,
    event_bus_name: String,
}

impl EventBridge {
    /// The name of the bus.
    pub const BUS: &str = "offboard";

    /// Takes all events.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn put(&mut self, call: &Call) -> Result<Answer, Unknown> {
        let PutEvents { entries } = call.json(MEDIA_TYPE)?;
        if !(1..=MAX_ENTRIES).contains(&entries.len()) {
            return Ok(refusal("ValidationException", "1 to 10 entries"));
        }
        let size = |entry: &Entry| entry.source.len() + entry.detail_type.len() + entry.detail.len();
        if entries.iter().map(size).sum::<usize>() > MAX_SIZE {
            return Ok(refusal("ValidationException", "Total size of the entries in the request is over the limit."));
        }
        if let Some((text, code)) = &self.refused_calls
            && entries.iter().any(|entry| entry.detail.contains(text))
        {
            return Ok(refusal(code, "refused"));
        }
        let answers: Vec<Value> = entries.into_iter().map(|entry| self.accept(entry)).collect();
        let failed = answers.iter().filter(|answer| answer.get("ErrorCode").is_some()).count();
        Ok(Answer::json(200, json!({ "FailedEntryCount": failed, "Entries": answers })))
    }

    fn accept(&mut self, entry: Entry) -> Value {
        let Entry { source, detail_type, detail, event_bus_name } = entry;
        let refused = |code: &str| json!({ "ErrorCode": code, "ErrorMessage": "refused" });
        if (source.as_str(), event_bus_name.as_str()) != ("offboard", Self::BUS) {
            return refused("NotAuthorizedForSourceException");
        }
        let Ok(Value::Object(object)) = serde_json::from_str(&detail) else { return refused("MalformedDetail") };
        if self.refused.as_ref().is_some_and(|text| detail.contains(text.as_str())) {
            return refused("InternalFailure");
        }
        self.put += 1;
        self.events.push(Event { detail_type, detail: Value::Object(object) });
        json!({ "EventId": format!("00000000-0000-4000-8000-{:012x}", self.put) })
    }
}

impl Service for EventBridge {
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown> {
        signed_for(call, "events")?;
        if self.is_down {
            return Ok(refusal("InternalException", "This exception occurs due to unexpected causes."));
        }
        let answer = match call.header("x-amz-target")? {
            "AWSEvents.PutEvents" => self.put(call)?,
            target => return Err(Unknown(format!("target {target}"))),
        };
        Ok(answer.with("content-type", MEDIA_TYPE).with("x-amzn-requestid", call.request_id()))
    }
}

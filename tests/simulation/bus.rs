//! The event bus of one environment, behind calls that fail, hang and lose their answers, and what must hold of notifications:
//! what people are to know of a departure is written with it, and published at least once.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use offboard::{
    event_bus::{BusError, EventBus, MAX_EVENTS},
    judgement::Veto,
    ledger::{Record, State as RecordState, store::Change},
    notification::Notification,
};

use crate::{
    steps::FaultKind,
    world::{State, World},
};

#[derive(Debug)]
pub struct FaultyBus {
    pub world: Arc<World>,
    pub place: usize,
}

/// What was published, and what was to be.
#[derive(Debug, Default)]
pub struct Told {
    /// What people were to know of each departure when a run or a decision ended last.
    known: std::collections::BTreeMap<String, Option<RecordState>>,
    /// What was published: departure and state.
    published: BTreeSet<(String, String)>,
}

#[async_trait]
impl EventBus for FaultyBus {
    async fn publish(&self, notifications: &[Notification]) -> Result<Vec<bool>, BusError> {
        let lost = || BusError("simulated".to_owned());
        let fault = self.world.begin_call(self.place).await;
        if fault == Some(FaultKind::ErrorBefore) {
            return Err(lost());
        }
        let taken = {
            let mut state = self.world.state();
            if notifications.len() > MAX_EVENTS {
                state.violate("too many events in one call");
            }
            // Now and then one is refused.
            let taken: Vec<bool> = notifications.iter().map(|_| state.is_quiet || state.random.u8(..20) > 0).collect();
            for (one, _) in notifications.iter().zip(&taken).filter(|(_, taken)| **taken) {
                state.note(|| format!("  {} is published: {}", one.id, one.detail["text"]["title"]));
                let departure = &one.detail["departure"];
                if let (Some(id), Some(kind)) = (departure["id"].as_str(), departure["state"].as_str()) {
                    state.told.published.insert((id.to_owned(), kind.to_owned()));
                }
            }
            taken
        };
        self.world.end_call(self.place, fault).await;
        if fault == Some(FaultKind::ErrorAfter) { Err(lost()) } else { Ok(taken) }
    }
}

/// What a person is to know of a departure.
fn concern(record: &Record) -> Option<RecordState> {
    let vetoes = || record.vetoes.iter().flatten().map(|raised| raised.veto);
    match record.state {
        RecordState::Held if vetoes().any(|veto| veto == Veto::DryRun) || vetoes().all(|veto| veto == Veto::Paused) => {
            None
        }
        RecordState::Pending | RecordState::Dismissed => None,
        state => Some(state),
    }
}

/// A run or a decision that ends with something that people are to know writes the notification in the same transaction.
pub fn check_written(state: &mut State, record: &Record, changes: &[Change]) {
    if record.lease.is_some() {
        return;
    }
    let now = concern(record);
    let before = state.told.known.insert(record.id.clone(), now).flatten();
    let is_written = changes.iter().any(|change| change.id().starts_with("#outbox/"));
    if now.is_some() && now != before && !is_written {
        state.violate(format!("{} is {} from now on, without a notification", record.id, record.state));
    }
    if (now.is_none() || now == before) && is_written {
        state.violate(format!("{} has a notification of what is known already", record.id));
    }
}

/// In the end whatever people are to know was published.
pub fn check_published(state: &mut State, record: &Record) {
    let Some(concern) = concern(record) else { return };
    let published = (offboard::person::mask_departure_id(&record.id), concern.to_string());
    if !state.told.published.contains(&published) {
        state.violate(format!("{} is {concern} in the end, and nobody was notified", record.id));
    }
}

//! A store in memory that counts its calls, and fails, dies or loses an answer at one of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Mutex,
};

use async_trait::async_trait;
use offboard::ledger::{
    LedgerError,
    memory::Memory,
    store::{Change, Changed, Cursor, Due, Item, Store},
};
use tokio::sync::Notify;

use crate::flow::doubles::Happening;

/// What goes wrong at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call is not carried out, and says so.
    Fails,
    /// The call is carried out, and its answer is lost.
    LosesAnswer,
    /// The process dies before the call: see [`Faulty::died`].
    Dies,
    /// The process dies after the call.
    DiesAfterwards,
}

#[derive(Default)]
pub struct Faulty {
    memory: Memory,
    state: Mutex<State>,
    /// Told when the process died.
    pub died: Notify,
}

#[derive(Default)]
struct State {
    calls: usize,
    /// The call at which something goes wrong, counted from the first.
    fault: Option<(usize, Fault)>,
    is_down: bool,
    /// Whether departures cannot be listed by month.
    is_unreadable: bool,
    /// Items that cannot be changed: the beginning of their ids.
    stuck: Option<&'static str>,
    /// What happens after which call, before it is answered.
    happening: Option<(usize, Happening)>,
    /// The ids of all items that were ever changed.
    ids: BTreeSet<String>,
}

impl Faulty {
    /// Returns the number of calls since it was last asked, and forgets a fault that was not reached.
    pub fn calls(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.fault = None;
        std::mem::take(&mut state.calls)
    }

    /// Returns the ids of all items that were ever changed.
    pub fn ids(&self) -> BTreeSet<String> {
        self.state.lock().unwrap().ids.clone()
    }

    /// From now on every call fails, or none.
    pub fn set_down(&self, is_down: bool) {
        self.state.lock().unwrap().is_down = is_down;
    }

    /// From now on no departures can be listed by month, or they can.
    pub fn set_unreadable(&self, is_unreadable: bool) {
        self.state.lock().unwrap().is_unreadable = is_unreadable;
    }

    /// From now on items whose ids begin with this cannot be changed.
    pub fn set_stuck(&self, items: Option<&'static str>) {
        self.state.lock().unwrap().stuck = items;
    }

    /// Something goes wrong at the n-th call from now.
    pub fn fault_at(&self, n: usize, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        (state.calls, state.fault) = (0, Some((n, fault)));
    }

    /// After the n-th call from now this happens before it is answered.
    pub fn after_call(&self, n: usize, happening: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.state.lock().unwrap();
        state.calls = 0;
        state.happening = Some((n, Box::pin(happening)));
    }

    async fn call<T>(&self, work: impl Future<Output = Result<T, LedgerError>>) -> Result<T, LedgerError> {
        let (fault, is_down, happening) = {
            let mut state = self.state.lock().unwrap();
            state.calls += 1;
            let calls = state.calls;
            let fault = state.fault.filter(|(n, _)| *n == calls).map(|(_, fault)| fault);
            (fault, state.is_down, state.happening.take_if(|(n, _)| *n == calls))
        };
        let unavailable = || Err(LedgerError::Unavailable("InternalServerError".to_owned()));
        match fault {
            _ if is_down => unavailable(),
            None => {
                let answer = work.await;
                if let Some((_, happening)) = happening {
                    happening.await;
                }
                answer
            }
            Some(Fault::Fails) => unavailable(),
            Some(Fault::LosesAnswer) => {
                work.await?;
                unavailable()
            }
            Some(Fault::Dies) => self.die().await,
            Some(Fault::DiesAfterwards) => {
                work.await?;
                self.die().await
            }
        }
    }

    async fn die<T>(&self) -> T {
        self.died.notify_one();
        std::future::pending().await
    }
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl Store for Faulty {
    async fn read(&self, ids: &BTreeSet<String>) -> Result<BTreeMap<String, Item>, LedgerError> {
        self.call(self.memory.read(ids)).await
    }

    async fn change(&self, changes: &[Change]) -> Result<Changed, LedgerError> {
        {
            let mut state = self.state.lock().unwrap();
            let stuck = state.stuck;
            if changes.iter().any(|change| stuck.is_some_and(|items| change.id().starts_with(items))) {
                return Err(LedgerError::Unavailable("ThrottlingException".to_owned()));
            }
            state.ids.extend(changes.iter().map(|change| change.id().to_owned()));
        }
        self.call(self.memory.change(changes)).await
    }

    async fn by_state(&self, state: &str, until: i64, limit: usize) -> Result<Vec<Due>, LedgerError> {
        self.call(self.memory.by_state(state, until, limit)).await
    }

    async fn by_month(
        &self,
        month: &str,
        received: RangeInclusive<i64>,
        after: Option<Cursor>,
    ) -> Result<(Vec<Item>, Option<Cursor>), LedgerError> {
        let is_unreadable = self.state.lock().unwrap().is_unreadable;
        let listed = self.call(self.memory.by_month(month, received, after)).await;
        if is_unreadable { Err(LedgerError::Unavailable("InternalServerError".to_owned())) } else { listed }
    }

    async fn by_source(&self, source: &str) -> Result<Vec<String>, LedgerError> {
        self.call(self.memory.by_source(source)).await
    }
}

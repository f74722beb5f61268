//! Holds back what cannot be undone until it is allowed: look-ups go ahead, removals wait.

use tokio::sync::watch;

/// What removals wait at.
#[derive(Clone, Debug)]
pub struct Gate(watch::Receiver<Option<bool>>);

/// Opens or shuts a [`Gate`]. Dropped without a word, it stays shut.
#[derive(Debug)]
pub struct Keeper(watch::Sender<Option<bool>>);

impl Gate {
    /// A gate that is decided upon later.
    pub fn new() -> (Keeper, Self) {
        let (keeper, gate) = watch::channel(None);
        (Keeper(keeper), Self(gate))
    }

    /// A gate that was never shut.
    pub fn open() -> Self {
        let (keeper, gate) = Self::new();
        keeper.decide(true);
        gate
    }

    /// Waits for the decision.
    pub(super) async fn passed(&self) -> bool {
        let mut decision = self.0.clone();
        let decided = decision.wait_for(Option::is_some).await;
        decided.is_ok_and(|decided| *decided == Some(true))
    }
}

impl Keeper {
    /// Opens the gate, or shuts it for good.
    pub fn decide(&self, open: bool) {
        self.0.send_replace(Some(open));
    }
}

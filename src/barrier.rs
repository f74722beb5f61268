//! Asks for permission before what cannot be undone: look-ups go ahead, each removal waits.

use tokio::sync::{mpsc, oneshot};

use crate::outcome::{Failure, FailureKind};

/// How many removals may have asked and not been answered before further ones wait to ask.
const CAPACITY: usize = 64;

/// What every removal asks, before it begins and before each attempt of its calls.
///
/// Asks come out of the receiver of [`Barrier::new`]; its holder notes the intent and answers. Dropping the receiver, or
/// an [`Ask`] undecided, fails the waiting removals as `not_attempted`, with the reason `not_recorded`.
#[derive(Clone, Debug)]
pub struct Barrier(Option<mpsc::Sender<Ask>>);

/// A removal that waits for permission.
#[derive(Debug)]
pub struct Ask {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The account's id at the provider; the masked e-mail address where the product has no look-up.
    pub account_id: String,
    /// Takes the decision.
    pub answer: oneshot::Sender<Permission>,
}

/// Whether an account may be removed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// It may.
    Granted,
    /// It may not. The outcome is `not_attempted`, with this reason.
    Denied(String),
}

impl Barrier {
    /// Returns a barrier, and the removals that ask at it.
    pub fn new() -> (Self, mpsc::Receiver<Ask>) {
        let (sender, asks) = mpsc::channel(CAPACITY);
        (Self(Some(sender)), asks)
    }

    /// Returns a barrier that permits everything.
    pub fn open() -> Self {
        Self(None)
    }

    /// Returns the barrier for one account's removal.
    pub(crate) fn pass(&self, provider: &str, account_id: &str) -> Pass {
        Pass { barrier: self.clone(), provider: provider.to_owned(), account_id: account_id.to_owned() }
    }
}

/// The barrier for one account's removal. It is asked before the removal, and again immediately before each attempt of each of
/// its calls: meanwhile the person may have returned.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    barrier: Barrier,
    provider: String,
    account_id: String,
}

impl Pass {
    /// Waits for permission; `asked` is called as soon as the question has been put.
    ///
    /// # Errors
    /// `not_attempted`, with the reason of the denial.
    pub(crate) async fn ask(&self, asked: impl FnOnce()) -> Result<(), Failure> {
        let Some(asks) = &self.barrier.0 else {
            asked();
            return Ok(());
        };
        let (answer, decided) = oneshot::channel();
        let ask = Ask { provider: self.provider.clone(), account_id: self.account_id.clone(), answer };
        // An ask that cannot be put is dropped here, undecided.
        let put = asks.send(ask).await.is_ok();
        asked();
        let denied = |reason: String| Err(Failure::new(FailureKind::NotAttempted, reason));
        match if put { decided.await.ok() } else { None } {
            Some(Permission::Granted) => Ok(()),
            Some(Permission::Denied(reason)) => denied(reason),
            None => denied("not_recorded".to_owned()),
        }
    }
}

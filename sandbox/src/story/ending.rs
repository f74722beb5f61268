//! What the story came to.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

/// How the whole story ended.
#[derive(Serialize)]
pub(super) struct Ending {
    /// Whether all of it ended as it must.
    pub as_expected: bool,
    /// From the start of the mock services to the end, in milliseconds.
    pub elapsed_ms: u128,
    /// What each scene came to.
    pub scenes: Vec<Played>,
    /// The accounts that remain at each provider.
    pub left: Vec<Left>,
    /// The evidence page.
    pub evidence: PathBuf,
    /// What is not as it must be, about the story as a whole.
    pub mismatches: Vec<String>,
}

/// What one scene came to.
#[derive(Serialize)]
pub(super) struct Played {
    pub title: &'static str,
    pub acts: Vec<Done>,
}

/// What one act came to.
#[derive(Serialize)]
pub(super) struct Done {
    #[serde(flatten)]
    pub what: What,
    pub elapsed_ms: u128,
    /// What is not as it must be.
    pub mismatches: Vec<String>,
}

/// What was done.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    Delivery {
        source: &'static str,
        http_status: u16,
        /// The answer: a report or a problem document.
        answer: Value,
        /// The request, where it is shown in full.
        #[serde(skip)]
        request: Option<Vec<String>>,
    },
    Command {
        command: String,
        output: String,
    },
    /// The departure's record after the queue was empty.
    Record(Value),
    Tick,
    Messages,
}

/// The accounts that remain at one provider.
#[derive(Serialize)]
pub(super) struct Left {
    pub provider: &'static str,
    /// Who was there at the beginning.
    #[serde(skip)]
    pub before: Vec<String>,
    /// Who is there; an address is listed once for each account.
    pub members: Vec<String>,
    /// Who must be there.
    pub expected: Vec<String>,
}

impl Ending {
    /// Returns everything that is not as it must be: of the scenes, of the accounts that remain, of the whole.
    pub(super) fn all_mismatches(&self) -> Vec<String> {
        let of_scene = |played: &Played| {
            let count = played.acts.iter().map(|done| done.mismatches.len()).sum::<usize>();
            (count > 0).then(|| format!("{}: {count} mismatches", played.title))
        };
        let accounts = self.left.iter().filter(|left| left.members != left.expected);
        let accounts = accounts.map(|left| format!("{}: not the accounts that must remain", left.provider));
        let scenes = self.scenes.iter().filter_map(of_scene);
        scenes.chain(accounts).chain(self.mismatches.iter().cloned()).collect()
    }
}

//! A list that comes in pages, collected from vendors whose paging is not to be trusted.

use std::collections::HashSet;

use crate::outcome::{Failure, FailureKind};

/// The most pages that are read of one list. Flashduty's `p * limit` ends at 10,000, which is this times 100.
const MOST_PAGES: usize = 100;

/// The items of the pages read so far, each id once.
pub(super) struct Pages<T> {
    items: Vec<T>,
    seen: HashSet<String>,
    read: usize,
    ended: bool,
}

/// What an answer says about its own page.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// How many items a full page has.
    pub(super) size: usize,
    /// How many items the whole list has, where the vendor tells.
    pub(super) total: Option<usize>,
}

impl<T> Pages<T> {
    pub(super) fn new() -> Self {
        Self { items: Vec::new(), seen: HashSet::new(), read: 0, ended: false }
    }

    /// The number of the page to ask for, from 1; `None` once the list has ended.
    ///
    /// # Errors
    /// If the list does not end.
    pub(super) fn next(&self) -> Result<Option<usize>, Failure> {
        match self.ended {
            true => Ok(None),
            false if self.read < MOST_PAGES => Ok(Some(self.read + 1)),
            false => Err(incomplete("it has more pages than are read")),
        }
    }

    /// How many items have come.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Adds a page. A short one is the last. So is one that is longer than asked for: this vendor does not page.
    ///
    /// # Errors
    /// If the list cannot be known in full: nobody may be called absent from the rest.
    pub(super) fn add(&mut self, page: Page<T>, id: impl Fn(&T) -> String) -> Result<(), Failure> {
        let (known, came) = (self.items.len(), page.items.len());
        self.items.extend(page.items.into_iter().filter(|item| self.seen.insert(id(item))));
        self.read += 1;
        self.ended = came != page.size || page.total.is_some_and(|total| self.items.len() >= total);
        match self.ended {
            true if page.total.is_some_and(|total| self.items.len() < total) => {
                Err(incomplete("fewer came than it is said to have"))
            }
            false if self.items.len() == known => Err(incomplete("the same page came again")),
            _ => Ok(()),
        }
    }

    pub(super) fn into_items(self) -> Vec<T> {
        self.items
    }
}

fn incomplete(why: &str) -> Failure {
    Failure::new(FailureKind::Rejected, "list_incomplete").detail(format!("the list cannot be read in full: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_does_not_end_is_refused() {
        let mut pages = Pages::new();
        let ended = loop {
            match pages.next() {
                Ok(Some(number)) => {
                    let page = Page { items: vec![2 * number, 2 * number + 1], size: 2, total: None };
                    pages.add(page, usize::to_string).unwrap();
                }
                ended => break ended,
            }
        };
        let failure = ended.unwrap_err();
        assert_eq!((failure.kind, failure.reason.as_str()), (FailureKind::Rejected, "list_incomplete"));
        assert_eq!((pages.read, pages.len()), (MOST_PAGES, 2 * MOST_PAGES));
    }
}

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
    /// What the first page said of the whole list.
    total: Option<usize>,
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
        Self { items: Vec::new(), seen: HashSet::new(), read: 0, ended: false, total: None }
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
        if self.read == 0 {
            self.total = page.total;
        } else if self.total != page.total {
            // Somebody came or went between two pages, and whoever moved from one to the other is on neither.
            return Err(Failure::new(FailureKind::Unavailable, "list_changed"));
        }
        self.items.extend(page.items.into_iter().filter(|item| self.seen.insert(id(item))));
        self.read += 1;
        // A total that is too small is no total, and does not end the list.
        self.ended = came != page.size || page.total == Some(self.items.len());
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

    /// What comes of pages of three, each given by its ids and its total: how many were read, and the failure's reason.
    fn read(pages: &[(&[u32], Option<usize>)]) -> (usize, Result<usize, String>) {
        let mut list = Pages::new();
        while let Ok(Some(number)) = list.next() {
            let (ids, total) = pages[number - 1];
            if let Err(failure) = list.add(Page { items: ids.to_vec(), size: 3, total }, u32::to_string) {
                return (number, Err(failure.reason));
            }
        }
        (list.read, Ok(list.len()))
    }

    #[test]
    fn a_list_ends_where_it_is_known_to_end() {
        let failed = |reason: &str| Err(reason.to_owned());
        assert_eq!(read(&[(&[1, 2, 3], None), (&[4], None)]), (2, Ok(4)));
        assert_eq!(read(&[(&[1, 2, 3], Some(3))]), (1, Ok(3)));
        assert_eq!(read(&[(&[1, 2], Some(3))]), (1, failed("list_incomplete")));
        assert_eq!(read(&[(&[1, 2, 3], None), (&[1, 2, 3], None)]), (2, failed("list_incomplete")));
        // Smaller than what came: the rest is asked for all the same.
        assert_eq!(read(&[(&[1, 2, 3], Some(0)), (&[4], Some(0))]), (2, Ok(4)));
    }

    #[test]
    fn a_list_without_end_is_left() {
        let mut list = Pages::new();
        let page = |first: usize| Page { items: vec![first, first + 1, first + 2], size: 3, total: None };
        for number in 0..MOST_PAGES {
            assert_eq!(list.next(), Ok(Some(number + 1)));
            list.add(page(number * 3), usize::to_string).unwrap();
        }
        assert_eq!(list.next().unwrap_err().reason, "list_incomplete");
    }

    #[test]
    fn a_list_that_changes_while_it_is_read_is_not_believed() {
        // The second of five left after the first page: the fourth moved to that page, unseen.
        let pages: [(&[u32], Option<usize>); 2] = [(&[1, 2, 3], Some(5)), (&[5], Some(4))];
        assert_eq!(read(&pages), (2, Err("list_changed".to_owned())));
    }
}

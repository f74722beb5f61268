//! A list that comes in pages, collected from vendors whose paging is not to be trusted.

use std::collections::HashSet;

use crate::outcome::{Failure, FailureKind};

/// The most pages that are read of one list. Flashduty's `p * limit` ends at 10,000, which is this times 100.
const MOST_PAGES: usize = 100;
/// The most items that are kept of one list: memory is bounded, whatever a page holds.
const MOST_ITEMS: usize = 400_000;

/// The items of the pages read so far, each id once.
pub(super) struct Pages<T> {
    items: Vec<T>,
    seen: HashSet<String>,
    read: usize,
    ended: bool,
    reliability: Total,
    /// What the first page said of the whole list.
    total: Option<usize>,
}

/// What a vendor's total is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Total {
    /// A list with fewer items than that is incomplete.
    Binding,
    /// It ends a list that reaches it; an empty page ends any list.
    Hint,
}

/// What a response says about its own page.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// How many items the whole list has, where the vendor says so.
    pub(super) total: Option<usize>,
}

impl<T> Pages<T> {
    pub(super) fn new(reliability: Total) -> Self {
        Self { items: Vec::new(), seen: HashSet::new(), read: 0, ended: false, reliability, total: None }
    }

    /// The number of the page to ask for, from 1; `None` once the list has ended.
    ///
    /// # Errors
    /// If the list does not end.
    pub(super) fn next(&self) -> Result<Option<usize>, Failure> {
        match self.ended {
            true => Ok(None),
            false if self.read < MOST_PAGES && self.items.len() <= MOST_ITEMS => Ok(Some(self.read + 1)),
            false => Err(incomplete("it has more pages than are read")),
        }
    }

    /// How many items have come.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Adds a page. The list ends where the vendor's total is reached, else with an empty page: how many items a full page
    /// has is the vendor's business, whatever was asked for.
    ///
    /// # Errors
    /// If the list cannot be read in full: absence from the rest would not be known.
    pub(super) fn add(&mut self, page: Page<T>, id: impl Fn(&T) -> String) -> Result<(), Failure> {
        let (known, empty) = (self.items.len(), page.items.is_empty());
        if self.read == 0 {
            self.total = page.total;
        } else if self.total != page.total && (!empty || page.total.is_some_and(|total| total > 0)) {
            // Somebody came or went between two pages, and anybody who moved from one to the other is on neither. Past the end
            // some say that the list has nothing.
            return Err(Failure::new(FailureKind::Unavailable, "list_changed"));
        }
        self.items.extend(page.items.into_iter().filter(|item| self.seen.insert(id(item))));
        self.read += 1;
        // A total that is too small is no total, and does not end the list.
        self.ended = empty || self.total == Some(self.items.len());
        let missing = self.reliability == Total::Binding && self.total.is_some_and(|total| self.items.len() < total);
        match self.ended {
            true if missing => Err(incomplete("fewer came than it is said to have")),
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

    /// Reads pages, each given by its ids and its total. Returns how many were read, and the failure's reason.
    fn read(reliability: Total, pages: &[(&[u32], Option<usize>)]) -> (usize, Result<usize, String>) {
        let mut list = Pages::new(reliability);
        while let Ok(Some(number)) = list.next() {
            let (ids, total) = pages[number - 1];
            if let Err(failure) = list.add(Page { items: ids.to_vec(), total }, u32::to_string) {
                return (number, Err(failure.reason));
            }
        }
        (list.read, Ok(list.len()))
    }

    #[test]
    fn list_ends_at_its_total_or_with_an_empty_page() {
        use Total::{Binding, Hint};
        let failed = |reason: &str| Err(reason.to_owned());
        for reliability in [Binding, Hint] {
            assert_eq!(read(reliability, &[(&[1, 2, 3], None), (&[4], None), (&[], None)]), (3, Ok(4)));
            assert_eq!(read(reliability, &[(&[1, 2, 3], Some(3))]), (1, Ok(3)));
            assert_eq!(read(reliability, &[(&[1], Some(3)), (&[2, 3], Some(3))]), (2, Ok(3)));
            assert_eq!(read(reliability, &[(&[1, 2], None), (&[1, 2], None)]), (2, failed("list_incomplete")));
            // Smaller than what came: the rest is asked for all the same.
            assert_eq!(read(reliability, &[(&[1, 2], Some(0)), (&[4], Some(0)), (&[], Some(0))]), (3, Ok(3)));
        }
        assert_eq!(read(Binding, &[(&[], Some(3))]), (1, failed("list_incomplete")));
        assert_eq!(read(Binding, &[(&[1, 2], Some(3)), (&[], Some(0))]), (2, failed("list_incomplete")));
        assert_eq!(read(Hint, &[(&[1, 2], Some(2000)), (&[], Some(2000))]), (2, Ok(2)));
    }

    #[test]
    fn list_without_end_is_left() {
        let mut list = Pages::new(Total::Hint);
        for number in 0..MOST_PAGES {
            assert_eq!(list.next(), Ok(Some(number + 1)));
            list.add(Page { items: vec![number * 2, number * 2 + 1], total: None }, usize::to_string).unwrap();
        }
        assert_eq!(list.next().unwrap_err().reason, "list_incomplete");
    }

    #[test]
    fn list_that_is_too_long_is_left() {
        let mut list = Pages::new(Total::Hint);
        list.add(Page { items: (0..=MOST_ITEMS).collect(), total: None }, usize::to_string).unwrap();
        assert_eq!(list.next().unwrap_err().reason, "list_incomplete");
    }

    #[test]
    fn list_that_changes_while_it_is_read_is_not_believed() {
        // The second of five left after the first page: the fourth moved to that page, unseen.
        let pages: [(&[u32], Option<usize>); 2] = [(&[1, 2, 3], Some(5)), (&[5], Some(4))];
        for reliability in [Total::Binding, Total::Hint] {
            assert_eq!(read(reliability, &pages), (2, Err("list_changed".to_owned())));
            // So many left that there is no second page any more.
            let pages: [(&[u32], Option<usize>); 2] = [(&[1, 2, 3], Some(5)), (&[], Some(2))];
            assert_eq!(read(reliability, &pages), (2, Err("list_changed".to_owned())));
        }
    }
}

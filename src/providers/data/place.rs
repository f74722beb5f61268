//! Where in a file something stands.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Where the value stands that a path names; the nearest table around it, if it stands nowhere.
pub(super) fn place(table: &DeTable<'_>, path: &[&str]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    within(value, rest).or(Some(key.span()))
}

fn within(value: &Spanned<DeValue<'_>>, path: &[&str]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    match value.get_ref() {
        DeValue::Table(table) => place(table, path),
        DeValue::Array(items) => {
            let item = items.get(first.parse::<usize>().ok()?)?;
            within(item, rest).or(Some(item.span()))
        }
        _ => None,
    }
}

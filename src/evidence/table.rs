//! The CSV: a row for each departure and provider, or one for a departure at which no provider was tried.

use super::{
    case::{Case, ProviderRow},
    times,
};
use crate::person::is_direction_control;

const COLUMNS: [&str; 22] = [
    "departure",
    "person",
    "external_id",
    "source",
    "event_id",
    "event_type",
    "occurred_at",
    "received_at",
    "state",
    "reasons",
    "decisions",
    "provider",
    "outcome",
    "gone_by",
    "seconds_after_receipt",
    "proof",
    "account",
    "provider_request_id",
    "outcome_reason",
    "outcome_detail",
    "attempts",
    "runs",
];

const STARTS_FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// The names of the columns, as a line.
pub(super) fn head() -> String {
    line(COLUMNS.map(str::to_owned))
}

/// The rows of a departure, as lines.
pub(super) fn rows(case: &Case) -> String {
    let providers = case.providers.iter().map(provider_cells);
    let none = case.providers.is_empty().then(Default::default);
    providers.chain(none).map(|cells: [String; 11]| line(case_cells(case).into_iter().chain(cells))).collect()
}

/// A line of CSV (RFC 4180) that is harmless in a spreadsheet.
fn line(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<_> = cells.into_iter().map(harmless).map(quoted).collect();
    cells.join(",") + "\n"
}

fn quoted(text: String) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn case_cells(case: &Case) -> [String; 11] {
    [
        case.id.clone(),
        case.person.clone(),
        case.external_id.clone(),
        case.source.clone(),
        case.event_id.clone(),
        case.event_type.clone(),
        case.occurred.clone(),
        times::rfc3339(case.received),
        case.state.clone(),
        case.reasons.clone(),
        case.decisions.join("; "),
    ]
}

fn provider_cells(row: &ProviderRow) -> [String; 11] {
    [
        row.provider.clone(),
        row.outcome.clone(),
        row.gone_by.map(times::rfc3339).unwrap_or_default(),
        row.seconds.map(|seconds| seconds.to_string()).unwrap_or_default(),
        row.proof.to_owned(),
        row.account.clone(),
        row.request_ids.clone(),
        row.reason.clone(),
        row.detail.clone(),
        row.attempts.to_string(),
        row.runs.to_string(),
    ]
}

/// A spreadsheet would take a text that begins so for a formula, and run it: <https://owasp.org/www-community/attacks/CSV_Injection>.
/// One that separates cells by `;` or tabs, or knows no quotes, has the beginning of a cell within ours. The direction of text is left
/// to the reader.
fn harmless(text: String) -> String {
    if text.parse::<i64>().is_ok() {
        return text;
    }
    let mut harmless = String::with_capacity(text.len());
    let mut is_start = true;
    for c in text.chars().filter(|c| !is_direction_control(*c)) {
        if is_start && (STARTS_FORMULA.contains(&c) || (harmless.is_empty() && matches!(c, '\t' | '\r'))) {
            harmless.push('\'');
        }
        harmless.push(c);
        is_start = matches!(c, ';' | '\t' | '\r' | '\n') || (is_start && matches!(c, '"' | ' '));
    }
    harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_that_looks_like_a_formula_is_quoted() {
        for text in ["=1+1", "+1 555", "-x", "@SUM(A1)"] {
            assert_eq!(harmless(text.to_owned()), format!("'{text}"));
        }
        for text in ["", "-5", "hr/1", "a=b", "x; y"] {
            assert_eq!(harmless(text.to_owned()), text);
        }
    }

    /// Where a reader separates cells by something else, a cell begins within one of ours.
    #[test]
    fn part_of_a_cell_that_looks_like_a_formula_is_quoted() {
        for (text, expected) in [
            ("\t=1", "'\t'=1"),
            ("a;=1+1", "a;'=1+1"),
            ("a\t@SUM(A1)\n-1", "a\t'@SUM(A1)\n'-1"),
            ("a; =1;\"+1", "a; '=1;\"'+1"),
            ("＝1;＋1", "'＝1;'＋1"),
            ("\u{202e}=1;\u{2066}=2", "'=1;'=2"),
        ] {
            assert_eq!(harmless(text.to_owned()), expected);
        }
    }

    #[test]
    fn cell_with_a_delimiter_is_quoted() {
        let cells = ["a", "", "b, c", "say \"no\"", "two\nlines"].map(str::to_owned);
        assert_eq!(line(cells), "a,,\"b, c\",\"say \"\"no\"\"\",\"two\nlines\"\n");
    }
}

//! The table: a row for each departure and provider, or one for a departure that nobody worked on.

use super::case::{Case, Place};
use crate::moment;

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
    "reason",
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

/// All departures, in CSV (RFC 4180).
pub fn csv(cases: &[Case]) -> Result<Vec<u8>, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(|fault| fault.to_string())?;
    for case in cases {
        let places = case.places.iter().map(of_place);
        let nobody = case.places.is_empty().then(Default::default);
        for place in places.chain(nobody) {
            let row = of_case(case).into_iter().chain(place).map(harmless);
            writer.write_record(row).map_err(|fault| fault.to_string())?;
        }
    }
    writer.into_inner().map_err(|fault| fault.to_string())
}

fn of_case(case: &Case) -> [String; 11] {
    [
        case.id.clone(),
        case.person.clone(),
        case.external_id.clone(),
        case.source.clone(),
        case.event_id.clone(),
        case.event_type.clone(),
        case.occurred.map(moment::machine).unwrap_or_default(),
        moment::machine(case.received),
        case.state.clone(),
        case.reason.clone(),
        case.actions.join("; "),
    ]
}

fn of_place(place: &Place) -> [String; 11] {
    [
        place.provider.clone(),
        place.outcome.clone(),
        place.gone_by.map(moment::machine).unwrap_or_default(),
        place.seconds.map(|seconds| seconds.to_string()).unwrap_or_default(),
        place.proof.to_owned(),
        place.account.clone(),
        place.request_ids.clone(),
        place.reason.clone(),
        place.detail.clone(),
        place.attempts.to_string(),
        place.runs.to_string(),
    ]
}

/// A spreadsheet would take a text that begins so for a formula, and run it: <https://owasp.org/www-community/attacks/CSV_Injection>.
fn harmless(text: String) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<i64>().is_err();
    if formula { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+1 555", "-x", "@SUM(A1)", "\t=1"] {
            assert_eq!(harmless(text.to_owned()), format!("'{text}"));
        }
        for text in ["", "-5", "hr/1", "a=b"] {
            assert_eq!(harmless(text.to_owned()), text);
        }
    }

    #[test]
    fn without_departures_there_are_the_columns_names() {
        let table = String::from_utf8(csv(&[]).unwrap()).unwrap();
        assert_eq!(table.trim_end().split(',').collect::<Vec<_>>(), COLUMNS);
    }
}

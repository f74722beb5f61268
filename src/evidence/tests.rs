use std::time::Duration;

use time::macros::datetime;

use super::*;
use crate::{
    departure::{Departure, Event},
    ledger::State,
    outcome::{AccountResult, Outcome, ProviderResult},
    person::{Email, Person},
};

const MORNING: OffsetDateTime = datetime!(2026-01-15 08:00 UTC);

fn record(id: &str, received: OffsetDateTime, detail: &str) -> Record {
    let event = Event { id: id.into(), kind: "left".into(), occurred_at: None, organization: None };
    let person = Person { email: Email::parse(&format!("{id}@example.com")), ..Person::default() };
    let departure = Departure { id: format!("hr/{id}"), source: "hr".into(), event, person };
    let mut record = Record::new(&departure, received, 0);
    let refused = AccountResult::of(Outcome::Blocked).reason("ReferenceExist").detail(detail);
    for (provider, result) in [("wiki", AccountResult::of(Outcome::Deleted)), ("mail", refused)] {
        record.note_result(ProviderResult::new(provider.to_owned(), result), true, received + Duration::from_secs(90));
    }
    record.state = State::NeedsAttention;
    record
}

fn evidence(records: &[Record]) -> (String, String) {
    let mut evidence = Evidence::default();
    records.iter().for_each(|record| evidence.add(record));
    let (since, until) = (datetime!(2026-01-01 0:00 UTC), datetime!(2026-02-01 0:00 UTC));
    let about = About { since, until, written: until, by: "arn:<ann>", table: "ledger" };
    (evidence.csv(), evidence.page(&about))
}

#[test]
fn table_and_page_begin_with_the_oldest_departure() {
    let newest_first = [record("lee", MORNING + Duration::from_secs(60), ""), record("ann", MORNING, "")];
    let (table, page) = evidence(&newest_first);
    let rows: Vec<_> = table.lines().map(|line| line.split(',').next().unwrap_or_default()).collect();
    assert_eq!(rows, ["departure", "hr/ann", "hr/ann", "hr/lee", "hr/lee"]);
    assert!(page.find("hr/ann").unwrap() < page.find("hr/lee").unwrap(), "{page}");
    assert_eq!((page.matches("<tbody>").count(), page.matches("</tbody>").count()), (3, 3), "{page}");
}

#[test]
fn text_of_others_is_escaped_and_no_address_is_in_full() {
    let (table, page) = evidence(&[record("lee", MORNING, "<script>\"a\" & 'b'</script> boss@example.com \u{202e}")]);
    assert!(page.contains("ReferenceExist: &#60;script&#62;&#34;a&#34; &#38; &#39;b&#39;&#60;/script&#62; "), "{page}");
    assert!(page.contains("by arn:&#60;ann&#62; with offboard "), "{page}");
    assert!(table.contains("\"<script>\"\"a\"\" & 'b'</script> "), "{table}");
    for text in [table, page] {
        assert!(text.contains("l…@example.com") && !text.contains("lee@example.com"), "{text}");
        assert!(text.contains("b…@example.com") && !text.contains("boss@example.com"), "{text}");
        assert!(!text.contains('\u{202e}'), "{text}");
    }
}

#[test]
fn evidence_without_departures_says_so_and_has_the_names_of_the_columns() {
    let (table, page) = evidence(&[]);
    assert!(table.starts_with("departure,person,") && table.lines().count() == 1, "{table}");
    assert!(page.contains("<p>None was received in this period.</p>") && page.contains("<p>None.</p>"), "{page}");
}

#[test]
fn row_of_a_provider_is_written_with_its_proof_and_time() {
    let (table, page) = evidence(&[record("lee", MORNING, "in use")]);
    let row = "hr/lee,l…@example.com,,hr,lee,left,,2026-01-15T08:00:00Z,needs_attention,,,mail,blocked,,,,,,ReferenceExist,in use,0,1\n";
    assert!(table.contains(row), "{table}");
    let row = "hr/lee,l…@example.com,,hr,lee,left,,2026-01-15T08:00:00Z,needs_attention,,,wiki,deleted,2026-01-15T08:01:30Z,90,not recorded,,,,,0,1\n";
    assert!(table.contains(row), "{table}");
    let row = "<tr><td class=\"id\">hr/lee</td><td>l…@example.com</td><td>2026-01-15 08:00:00</td><td class=\"bad\">needs attention</td>\
               <td>mail: blocked (ReferenceExist)</td></tr>";
    assert!(page.contains(row), "{page}");
}

//! The page, to be read or printed. It loads nothing and runs nothing, whatever a vendor may have written into a text.

use super::{
    About, Figures,
    case::{Case, ProviderRow},
    html::Html,
    times,
};

/// The policy stands before everything else that it is to hold for.
const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
"#;
const OPEN_CASES: &str = r#"<table class="fixed">
<colgroup><col style="width:26%"><col style="width:16%"><col style="width:16%"><col style="width:13%"><col></colgroup>
<thead><tr><th>Departure</th><th>Person</th><th>Received</th><th>State</th><th>What is left</th></tr></thead>
<tbody>
"#;
const DEPARTURES: &str = r#"<table class="cases">
<colgroup><col style="width:13%"><col style="width:13%"><col style="width:15%"><col style="width:9%"><col style="width:16%"><col><col style="width:10%"></colgroup>
<thead><tr><th>Provider</th><th>Outcome</th><th>Gone by</th><th>After</th><th>Proven by</th><th>Provider’s request id, or who confirmed it, or why not</th><th>Attempts</th></tr></thead>
"#;

/// Pieces of the page about one departure.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Its row among the open cases; empty if it is none.
    pub(super) open: String,
    /// Its part of the list of departures.
    pub(super) departure: String,
}

impl Pieces {
    pub(super) fn of(case: &Case) -> Self {
        let open = if case.is_open { open_row(case).into_string() } else { String::new() };
        Self { open, departure: departure(case).into_string() }
    }
}

/// Puts a page together from what `pieces` has, in its order.
pub(super) fn page<'a>(
    about: &About<'_>,
    figures: &Figures,
    pieces: impl Iterator<Item = &'a Pieces> + Clone,
    protections: &[String],
) -> String {
    let About { since, until, written, by, table } = about;
    let (since, until) = (times::table(*since), times::table(*until));
    let page = Html::default().raw(HEAD).raw("<title>Evidence of removed access, ").text(&since).raw(" to ");
    let page = page.text(&until).raw(" UTC</title>\n").raw(include_str!("style.html"));
    let page =
        page.raw("</head>\n<body>\n<h1>Evidence of removed access</h1>\n<p class=\"soft\">Departures received from ");
    let page = page.text(&since).raw(" to ").text(&until).raw(". All times are UTC; addresses are masked.</p>\n");
    let page = self::figures(page, figures).raw("\n<h2>Open cases</h2>\n");
    let page = match figures.open {
        0 => page.raw("<p>None.</p>\n"),
        _ => page.raw(OPEN_CASES).each(pieces.clone(), |page, one| page.piece(&one.open)).raw("</tbody>\n</table>\n"),
    };
    let page = page.raw("\n<h2>Departures</h2>\n");
    let page = match figures.departures {
        0 => page.raw("<p>None was received in this period.</p>\n"),
        _ => page.raw(DEPARTURES).each(pieces, |page, one| page.piece(&one.departure)).raw("</table>\n"),
    };
    let page = page.when(!protections.is_empty(), |page| {
        let page =
            page.raw("\n<h2>Protected people</h2>\n<p>Operators decided in this period:</p>\n<table>\n<tbody>\n");
        page.each(protections, |page, one| page.raw("<tr><td>").text(one).raw("</td></tr>\n"))
            .raw("</tbody>\n</table>\n")
    });
    let page =
        page.raw("\n").raw(include_str!("legend.html")).raw("<p class=\"soft\">Written ").text(times::table(*written));
    let page = page.raw(" UTC by ").text(by).raw(concat!(" with offboard ", env!("CARGO_PKG_VERSION")));
    let page = page.raw(", from the DynamoDB table ").text(table).raw(
        ". The ledger keeps a departure for a limited time after its end (400 days unless configured); what ended earlier is \
         not in here.</p>\n</body>\n</html>\n",
    );
    page.into_string()
}

fn figures(page: Html, figures: &Figures) -> Html {
    let Figures { leavers, departures, done, open, dismissed, removed, median, worst } = figures;
    let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "–".to_owned());
    let page = page.raw("\n<dl class=\"figures\">\n<div><dt>Leavers</dt><dd>").text(leavers).raw("<small>");
    let page = page.text(departures).raw(" departures reported</small></dd></div>\n<div><dt>Done everywhere</dt><dd>");
    let page = page.text(done).raw("<small>").text(removed).raw(" removals at providers</small></dd></div>\n");
    let page = page.raw("<div><dt>Open cases</dt><dd").when(*open > 0, |page| page.raw(" class=\"bad\"")).raw(">");
    let page = page.text(open).raw("<small>").text(dismissed).raw(" dismissed by a person</small></dd></div>\n");
    let page = page.raw("<div><dt>Median time to removal</dt><dd>").text(time(median));
    let page = page.raw("<small>receipt to last removal</small></dd></div>\n<div><dt>Worst time to removal</dt><dd>");
    page.text(time(worst)).raw("<small>receipt to last removal</small></dd></div>\n</dl>\n")
}

fn open_row(case: &Case) -> Html {
    let row = Html::default().raw("<tr><td class=\"id\">").text(&case.id).raw("</td><td>").text(&case.person);
    let row = row.raw("</td><td>").text(times::table(case.received)).raw("</td><td class=\"bad\">");
    row.text(words(&case.state)).raw("</td><td>").text(case.left()).raw("</td></tr>\n")
}

fn departure(case: &Case) -> Html {
    let good = if case.state == "done" { "good" } else { "" };
    let head = Html::default()
        .raw("<tbody>\n<tr class=\"case\"><th colspan=\"7\" scope=\"rowgroup\"><div>\n<span class=\"id\">");
    let head = head.text(&case.id).raw("</span>\n<span>").text(&case.person);
    let head = head.when(!case.external_id.is_empty(), |head| {
        head.raw(" <span class=\"soft\">(").text(&case.external_id).raw(")</span>")
    });
    let head = head.raw("</span>\n<span class=\"soft\">received ").text(times::table(case.received));
    let head = head.raw("</span>\n<span class=\"state ").raw(if case.is_open { "bad" } else { good }).raw("\">");
    let head = head.text(words(&case.state)).each(&case.took, |head, took| head.raw(" in ").text(took));
    let rows = head.raw("</span>\n</div></th></tr>\n").each(&case.providers, provider);
    let rows = rows.when(case.providers.is_empty(), |rows| {
        rows.raw("<tr><td colspan=\"7\">No provider API was called.</td></tr>\n")
    });
    let rows = rows
        .each(&case.decisions, |rows, decision| rows.raw("<tr><td colspan=\"7\">").text(decision).raw("</td></tr>\n"));
    rows.raw("</tbody>\n")
}

fn provider(rows: Html, row: &ProviderRow) -> Html {
    let class = if row.is_done { "good" } else { "bad" };
    let rows = rows.raw("<tr><td>").text(&row.provider).raw("</td><td class=\"").raw(class).raw("\">");
    let rows = rows.text(words(&row.outcome)).raw("</td><td>").text(row.gone_by.map(times::table).unwrap_or_default());
    let rows =
        rows.raw("</td><td>").text(&row.after).raw("</td><td>").text(row.proof).raw("</td><td><span class=\"id\">");
    let rows = rows.text(&row.request_ids).raw("</span>").when(!row.is_done, |rows| {
        let rows = rows.raw(" ").text(&row.reason);
        rows.when(!row.detail.is_empty(), |rows| rows.raw(": ").text(&row.detail))
    });
    let rows = rows.when(row.is_done && row.is_by_hand, |rows| rows.raw(" ").text(&row.detail));
    let rows = rows.raw("</td><td>").text(row.attempts);
    rows.when(row.runs > 1, |rows| rows.raw(" in ").text(row.runs).raw(" runs")).raw("</td></tr>\n")
}

/// Shows a token such as `already_absent` as words.
fn words(token: &str) -> String {
    token.replace('_', " ")
}

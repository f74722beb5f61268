//! The story as it is shown.

use comfy_table::{Cell, Color};
use serde_json::Value;

use super::{
    cast::COLLEAGUES,
    ending::{Done, Ending, Left, What},
};
use crate::screen::{INDENT, Ink, Screen, shortened_to, wrapped};

/// Lines of a command's output beyond which its middle is left out.
const MAX_LINES: usize = 12;

/// Shows the heading of one scene and what it is about.
pub(super) fn heading(screen: &Screen, number: usize, title: &str, text: &str) {
    screen.line(&format!("\n{}", screen.paint(Ink::Bold, &format!("{number:>2}  {title}"))));
    for line in wrapped(text, usize::from(screen.width) - INDENT.len()) {
        screen.line(&format!("{INDENT}{}", screen.paint(Ink::Dim, &line)));
    }
}

/// Shows what one act came to.
pub(super) fn done(screen: &Screen, done: &Done) {
    let summary = match &done.what {
        What::Delivery { source, http_status, answer, request } => {
            delivery(screen, answer, request.as_deref());
            format!("{source}: HTTP {http_status}, {}", status(answer))
        }
        What::Command { command, output } => {
            screen.line(&format!("\n{INDENT}$ {}", screen.paint(Ink::Bold, command)));
            let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
            // The margin of the whole output is left out, and the middle of a long one.
            let margin = lines.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or_default();
            let cut = if lines.len() > MAX_LINES { 3..lines.len() - 2 } else { lines.len()..lines.len() };
            let shown = lines.iter().enumerate().filter(|(n, _)| *n == cut.start || !cut.contains(n));
            indented(screen, shown.map(|(n, line)| if n == cut.start { "…" } else { &line[margin..] }));
            if !done.mismatches.is_empty() {
                screen.verdict(&done.mismatches, "", "not as expected");
            }
            return;
        }
        What::Record(record) => {
            screen.show(&screen.outcomes(array(&record["providers"])));
            format!("after the queue: {}", record["state"].as_str().unwrap_or("no record"))
        }
        What::Tick => "the tick".to_owned(),
        What::Messages => "the queue".to_owned(),
    };
    let summary = format!("{summary}, {} ms", done.elapsed_ms);
    screen.verdict(&done.mismatches, &format!("{summary}: as expected"), &summary);
}

fn delivery(screen: &Screen, answer: &Value, request: Option<&[String]>) {
    if let Some(request) = request {
        let answer = format!("{answer:#}");
        let lines = request.iter().map(String::as_str).chain([""]).chain(answer.lines()).chain([""]);
        indented(screen, lines);
    }
    match array(&answer["departures"]) {
        [departure] => screen.show(&screen.outcomes(array(&departure["providers"]))),
        departures => {
            let held =
                |departure: &Value| format!("{}: {}", departure["id"].as_str().unwrap_or_default(), reasons(departure));
            let lines: Vec<_> = departures.iter().take(2).map(held).collect();
            let more = departures.len().saturating_sub(2);
            indented(screen, lines.iter().map(String::as_str));
            indented(screen, (more > 0).then(|| format!("… {more} more")).iter().map(String::as_str));
        }
    }
}

fn status(answer: &Value) -> String {
    let departures = array(&answer["departures"]);
    let departure = &departures.first().unwrap_or(answer);
    let status = departure["status"].as_str().or(answer["title"].as_str()).unwrap_or("no report");
    let reasons = reasons(departure);
    if reasons.is_empty() { status.to_owned() } else { format!("{status} ({reasons})") }
}

fn reasons(departure: &Value) -> String {
    array(&departure["reasons"]).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn indented<'a>(screen: &Screen, lines: impl IntoIterator<Item = &'a str>) {
    let width = usize::from(screen.width) - INDENT.len();
    lines.into_iter().for_each(|line| screen.line(format!("{INDENT}{}", shortened_to(line, width)).trim_end()));
}

/// Shows which accounts remain, what to do next, and the last line.
pub(super) fn ending(screen: &Screen, ending: &Ending) {
    screen.line(&format!("\n{}", screen.paint(Ink::Bold, "Which accounts remain")));
    let names = ending.left.iter().map(|left| left.provider.to_uppercase());
    let mut table = screen.table(std::iter::once("PERSON".to_owned()).chain(names));
    for (title, people) in rows(ending) {
        let cells = ending.left.iter().map(|left| presence(left, &people));
        table.add_row(std::iter::once(Cell::new(&title)).chain(cells));
    }
    screen.show(&table);
    screen.section("Evidence", [ending.evidence.display().to_string()]);
    screen.section("Next", NEXT.map(str::to_owned));
    screen.line("");
    let summary = format!("{} scenes in {:.1} s", ending.scenes.len(), ending.elapsed_ms as f64 / 1000.0);
    let good = format!("{summary}: all as expected; the leavers are gone, and no other account was touched");
    screen.verdict(&ending.all_mismatches(), &good, &format!("{summary}: NOT as expected"));
}

const NEXT: [&str; 4] = [
    "offboard sandbox --serve                 play with it: send, departures, pause, evidence",
    "offboard sandbox --serve --config FILE   the same with your own configuration",
    "offboard sources                         what can report a departure, and how to set it up",
    "docs/deploy.md                           deploy it, as a dry run first",
];

/// The rows of the table: a person each, the colleagues together.
fn rows(ending: &Ending) -> Vec<(String, Vec<String>)> {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for email in ending.left.iter().flat_map(|left| &left.before) {
        let is_colleague = COLLEAGUES.contains(&email.as_str());
        let title = if is_colleague { format!("{} colleagues", COLLEAGUES.len()) } else { email.clone() };
        match rows.iter_mut().find(|(known, _)| *known == title) {
            None => rows.push((title, vec![email.clone()])),
            Some((_, people)) if !people.contains(email) => people.push(email.clone()),
            Some(_) => {}
        }
    }
    rows
}

/// One dot for each account that is there.
fn presence(left: &Left, people: &[String]) -> Cell {
    let count = |all: &[String]| all.iter().filter(|email| people.contains(email)).count();
    let (before, found, expected) = (count(&left.before), count(&left.members), count(&left.expected));
    match found {
        _ if found != expected => Cell::new(format!("{found}, not {expected}")).fg(Color::DarkRed),
        0 if before > 0 => Cell::new("gone").fg(Color::DarkGreen),
        1..=3 => Cell::new("●".repeat(found)),
        0 => Cell::new(""),
        _ => Cell::new(format!("● × {found}")),
    }
}

//! What a person sees of the story.

use comfy_table::{Cell, Color};

use super::play::{Ending, Left, Step};
use crate::screen::{INDENT, Ink, Screen, wrapped};

/// The heading of one scene and what it is about.
pub(super) fn heading(screen: &Screen, number: usize, title: &str, tells: &str) {
    screen.line(&format!("\n{}", screen.paint(Ink::Bold, &format!("{number:>2}  {title}"))));
    for line in wrapped(tells, usize::from(screen.width) - INDENT.len()) {
        screen.line(&format!("{INDENT}{}", screen.paint(Ink::Dim, &line)));
    }
}

/// What one scene came to.
pub(super) fn step(screen: &Screen, step: &Step) {
    if let Some(providers) = step.departure()["providers"].as_array() {
        screen.show(&screen.outcomes(providers));
    }
    let status = step.departure()["status"].as_str().or(step.answer["title"].as_str()).unwrap_or("no report");
    let summary = format!("HTTP {}, {status}, {} ms, by {}", step.http_status, step.elapsed_ms, step.source);
    screen.verdict(&step.findings, &format!("{summary}: as expected"), &summary);
}

/// Who is left, and the last line.
pub(super) fn ending(screen: &Screen, ending: &Ending) {
    screen.line(&format!("\n{}", screen.paint(Ink::Bold, "Who is left")));
    let names = ending.left.iter().map(|left| left.provider.to_uppercase());
    let mut table = screen.table(std::iter::once("PERSON".to_owned()).chain(names));
    for person in people(ending) {
        let cells = ending.left.iter().map(|left| presence(left, &person));
        table.add_row(std::iter::once(Cell::new(&person)).chain(cells));
    }
    screen.show(&table);
    let wrong = ending.left.iter().filter(|left| left.members != left.expected);
    let wrong: Vec<String> = wrong.map(|left| format!("not who must be left: {}", left.provider)).collect();
    screen.verdict(
        &wrong,
        "every leaver's accounts are gone, and no other account was touched",
        "not the people who must be left",
    );
    let failed = ending.steps.iter().filter(|step| !step.findings.is_empty()).count();
    let mut findings = ending.findings.clone();
    if failed + wrong.len() > 0 {
        findings.push(format!("{failed} scenes and {} providers did not end as expected", wrong.len()));
    }
    let whole = format!("{} scenes in {:.1} s", ending.steps.len(), ending.elapsed_ms as f64 / 1000.0);
    screen.line("");
    screen.verdict(&findings, &format!("{whole}: all as expected"), &format!("{whole}: NOT as expected"));
}

/// One dot for each account that is there.
fn presence(left: &Left, person: &str) -> Cell {
    let count = |all: &[String]| all.iter().filter(|email| *email == person).count();
    let (was, is, must) = (count(&left.before), count(&left.members), count(&left.expected));
    match is {
        _ if is != must => Cell::new(format!("{is}, not {must}")).fg(Color::DarkRed),
        0 if was > 0 => Cell::new("gone").fg(Color::DarkGreen),
        _ => Cell::new("●".repeat(is)),
    }
}

fn people(ending: &Ending) -> Vec<String> {
    let mut people: Vec<String> = Vec::new();
    for email in ending.left.iter().flat_map(|left| &left.before) {
        if !people.contains(email) {
            people.push(email.clone());
        }
    }
    people
}

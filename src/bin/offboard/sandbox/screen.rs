//! What a person sees of the story.

use std::io::{IsTerminal, Write, stdout};

use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row, Table, Width, presets};
use serde_json::Value;

use super::story::{Ending, Left, Step};

/// The width where nobody tells us one.
const WIDTH: u16 = 100;
const INDENT: &str = "    ";
/// The longest account id that is shown in full.
const LONGEST_ID: usize = 24;

/// Standard output, in colour on a terminal; or nothing at all.
pub struct Screen {
    silent: bool,
    colour: bool,
    width: u16,
}

#[derive(Clone, Copy)]
enum Ink {
    Bold,
    Dim,
    Green,
    Red,
}

impl Screen {
    /// A screen that shows nothing if `silent`.
    pub fn new(silent: bool) -> Self {
        let terminal = stdout().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let measured = if terminal { Table::new().width() } else { None };
        Self { silent, colour, width: measured.unwrap_or(WIDTH).clamp(60, 120) }
    }

    /// One line as it is.
    pub fn line(&self, text: &str) {
        if !self.silent {
            // Whoever closes the pipe has seen enough.
            let _ = writeln!(stdout(), "{text}");
        }
    }

    /// The heading of one scene and what it is about.
    pub fn heading(&self, number: usize, title: &str, tells: &str) {
        self.line(&format!("\n{}", self.paint(Ink::Bold, &format!("{number:>2}  {title}"))));
        for line in wrapped(tells, usize::from(self.width) - INDENT.len()) {
            self.line(&format!("{INDENT}{}", self.paint(Ink::Dim, &line)));
        }
    }

    /// What one scene came to.
    pub fn step(&self, step: &Step) {
        if let Some(providers) = step.departure()["providers"].as_array() {
            self.show(&self.outcomes(providers));
        }
        let status = step.departure()["status"].as_str().or(step.answer["title"].as_str()).unwrap_or("no report");
        let summary = format!("HTTP {}, {status}, {} ms, by {}", step.http_status, step.elapsed_ms, step.source);
        self.verdict(&step.findings, &format!("{summary}: as expected"), &summary);
    }

    /// Who is left, and the last line.
    pub fn ending(&self, ending: &Ending) {
        self.line(&format!("\n{}", self.paint(Ink::Bold, "Who is left")));
        let names = ending.left.iter().map(|left| left.provider.to_uppercase());
        let mut table = self.table(std::iter::once("PERSON".to_owned()).chain(names));
        for person in people(ending) {
            let cells = ending.left.iter().map(|left| self.presence(left, &person));
            table.add_row(std::iter::once(Cell::new(&person)).chain(cells));
        }
        self.show(&table);
        let wrong = ending.left.iter().filter(|left| left.members != left.expected);
        let wrong: Vec<String> = wrong.map(|left| format!("not who must be left: {}", left.provider)).collect();
        self.verdict(&wrong, "nobody else was touched, nobody was left behind", "not the people who must be left");
        let seconds = ending.elapsed_ms as f64 / 1000.0;
        let steps = ending.steps.len();
        self.line("");
        let whole = format!("{steps} scenes in {seconds:.1} s");
        let failed = ending.steps.iter().filter(|step| !step.findings.is_empty()).count();
        let mut findings = ending.findings.clone();
        if failed + wrong.len() > 0 {
            findings.push(format!("{failed} scenes and {} providers did not end as expected", wrong.len()));
        }
        self.verdict(&findings, &format!("{whole}: all as expected"), &format!("{whole}: NOT as expected"));
    }

    /// A section of a longer text.
    pub fn section(&self, title: &str, lines: impl IntoIterator<Item = String>) {
        self.line(&format!("\n{}", self.paint(Ink::Bold, title)));
        for line in lines {
            self.line(&format!("  {line}"));
        }
    }

    fn verdict(&self, findings: &[String], good: &str, bad: &str) {
        if findings.is_empty() {
            return self.line(&format!("{INDENT}{}", self.paint(Ink::Green, &format!("✓ {good}"))));
        }
        self.line(&format!("{INDENT}{}", self.paint(Ink::Red, &format!("✗ {bad}"))));
        for finding in findings {
            self.line(&format!("{INDENT}{}", self.paint(Ink::Red, &format!("  {finding}"))));
        }
    }

    /// One dot for each account that is there.
    fn presence(&self, left: &Left, person: &str) -> Cell {
        let count = |all: &[String]| all.iter().filter(|email| *email == person).count();
        let (was, is, must) = (count(&left.before), count(&left.members), count(&left.expected));
        match is {
            _ if is != must => self.cell(format!("{is}, not {must}"), Color::Red),
            0 if was > 0 => self.cell("gone".into(), Color::Green),
            _ => Cell::new("●".repeat(is)),
        }
    }

    fn outcomes(&self, providers: &[Value]) -> Table {
        let mut table = self.table(["PROVIDER", "OUTCOME", "DETAIL", "TRIES", "MS"]);
        // The same widths in every scene, so that the eye can stay where it is.
        let others = 12 + 16 + 7 + 7;
        let widths = [12, 16, self.width - INDENT.len() as u16 - others, 7, 7];
        table.set_constraints(widths.map(|width| ColumnConstraint::Absolute(Width::Fixed(width))));
        for column in [3, 4] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.add_rows(providers.iter().map(|entry| self.row(entry)));
        table
    }

    fn row(&self, entry: &Value) -> Row {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| entry[name].as_u64().map(|number| number.to_string()).unwrap_or_default();
        let outcome = text("outcome");
        let colour = match outcome.as_str() {
            "deleted" | "deactivated" | "already_absent" => Color::Green,
            "planned" => Color::Cyan,
            "protected" | "blocked" | "ambiguous" | "unidentified" => Color::Yellow,
            _ => Color::Red,
        };
        Row::from(vec![
            Cell::new(text("provider")),
            self.cell(outcome, colour),
            Cell::new(detail(entry)),
            Cell::new(number("attempts")),
            Cell::new(number("elapsed_ms")),
        ])
    }

    fn table(&self, header: impl IntoIterator<Item = impl Into<String>>) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(self.width - INDENT.len() as u16);
        if self.colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let header = header.into_iter().map(|name| self.cell(name.into(), Color::DarkGrey));
        table.set_header(header.collect::<Vec<_>>());
        table
    }

    fn show(&self, table: &Table) {
        for line in table.lines() {
            self.line(format!("{INDENT}{}", &line[1.min(line.len())..]).trim_end());
        }
    }

    fn cell(&self, text: String, colour: Color) -> Cell {
        Cell::new(text).fg(colour)
    }

    fn paint(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Bold => 1,
            Ink::Dim => 2,
            Ink::Green => 32,
            Ink::Red => 31,
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What there is to say about one provider, in one cell.
fn detail(entry: &Value) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let references = entry["references"].as_array().into_iter().flatten();
    let references = references.filter_map(|one| Some(format!("{} {}", one["kind"].as_str()?, one["name"].as_str()?)));
    let accounts = entry["accounts"].as_array().filter(|all| all.len() > 1);
    let account = match accounts {
        Some(all) => Some(format!("{} accounts", all.len())),
        None => text(&entry["account_id"]).filter(|id| !id.contains('@')).map(|id| shortened(&id)),
    };
    let parts = [text(&entry["reason"]), text(&entry["detail"]), account];
    parts.into_iter().flatten().chain(references).collect::<Vec<_>>().join(", ")
}

fn shortened(id: &str) -> String {
    match id.char_indices().nth(LONGEST_ID) {
        Some((end, _)) => format!("{}…", &id[..end]),
        None => id.to_owned(),
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

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            let space = if lines[last].is_empty() { "" } else { " " };
            lines[last].push_str(&format!("{space}{word}"));
        }
    }
    lines
}

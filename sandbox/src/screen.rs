//! Output for people: lines, sections, tables; in color on a terminal.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write, stderr, stdin, stdout},
};

use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row, Table, Width, presets};
use serde_json::Value;

/// Width in columns where there is no terminal.
const WIDTH: u16 = 100;
/// How far everything below a heading is moved in.
pub const INDENT: &str = "    ";
/// The longest account id that is shown in full.
const LONGEST_ID: usize = 24;

/// Standard output, in color on a terminal; or nothing at all.
pub struct Screen {
    silent: bool,
    color: bool,
    /// How wide it is, in columns.
    pub width: u16,
}

/// How a text is set.
#[derive(Clone, Copy)]
pub enum Ink {
    /// A heading.
    Bold,
    /// An explanation.
    Dim,
    /// Good.
    Green,
    /// Bad.
    Red,
}

impl Screen {
    /// A screen that shows nothing if `silent`.
    pub fn new(silent: bool) -> Self {
        let terminal = stdout().is_terminal();
        let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let measured = if terminal { Table::new().width() } else { None };
        Self { silent, color, width: measured.unwrap_or(WIDTH).clamp(60, 120) }
    }

    /// One line as it is.
    pub fn line(&self, text: &str) {
        if !self.silent {
            print(text);
        }
    }

    /// A section of a longer text.
    pub fn section(&self, title: &str, lines: impl IntoIterator<Item = String>) {
        self.line(&format!("\n{}", self.paint(Ink::Bold, title)));
        for line in lines {
            self.line(&format!("  {line}"));
        }
    }

    /// One line if all is well, otherwise that it is not, and why.
    pub fn verdict(&self, problems: &[String], good: &str, bad: &str) {
        if problems.is_empty() {
            return self.line(&format!("{INDENT}{}", self.paint(Ink::Green, &format!("✓ {good}"))));
        }
        self.line(&format!("{INDENT}{}", self.paint(Ink::Red, &format!("✗ {bad}"))));
        for problem in problems {
            self.line(&format!("{INDENT}{}", self.paint(Ink::Red, &format!("  {problem}"))));
        }
    }

    /// A report's entries about one departure.
    pub fn outcomes(&self, providers: &[Value]) -> Table {
        let mut table = self.table(["PROVIDER", "OUTCOME", "DETAIL", "TRIES", "MS"]);
        // The same widths in every scene, so that the eye can stay where it is.
        let others = 11 + 15 + 6 + 7;
        let widths = [11, 15, self.width - INDENT.len() as u16 - others, 6, 7];
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
        Row::from(vec![
            Cell::new(text("provider")),
            outcome(&text("outcome")),
            Cell::new(detail(entry)),
            Cell::new(number("attempts")),
            Cell::new(number("elapsed_ms")),
        ])
    }

    /// An empty table as wide as the screen.
    pub fn table(&self, header: impl IntoIterator<Item = impl Into<String>>) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(self.width - INDENT.len() as u16);
        if self.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let header = header.into_iter().map(|name| Cell::new(name.into()).fg(Color::DarkGrey));
        table.set_header(header.collect::<Vec<_>>());
        // Nothing to the left of a row: the indent is there already.
        for column in table.column_iter_mut() {
            column.set_padding((0, 1));
        }
        table
    }

    /// Prints a table.
    pub fn show(&self, table: &Table) {
        for line in table.lines() {
            self.line(format!("{INDENT}{line}").trim_end());
        }
    }

    /// The text, in color if there is any.
    pub fn paint(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Bold => 1,
            Ink::Dim => 2,
            Ink::Green => 32,
            Ink::Red => 31,
        };
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// An outcome, in its color.
pub fn outcome(outcome: &str) -> Cell {
    let color = match outcome {
        "deleted" | "deactivated" | "already_absent" => Color::DarkGreen,
        "planned" => Color::DarkCyan,
        "manual" | "protected" | "blocked" | "ambiguous" | "unidentified" => Color::DarkYellow,
        _ => Color::DarkRed,
    };
    Cell::new(outcome).fg(color)
}

/// What there is to say about one provider, in one cell.
pub fn detail(entry: &Value) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let references = entry["references"].as_array().into_iter().flatten();
    let references = references.filter_map(|one| Some(format!("{} {}", one["kind"].as_str()?, one["name"].as_str()?)));
    let account = match entry["accounts"].as_array() {
        Some(accounts) => Some(several(accounts)),
        None => text(&entry["account_id"]).filter(|id| !id.contains('@')).map(|id| shortened_to(&id, LONGEST_ID)),
    };
    let parts = [text(&entry["reason"]), text(&entry["detail"]), account];
    parts.into_iter().flatten().chain(references).collect::<Vec<_>>().join(", ")
}

/// How many accounts came to which outcome, where there are several.
fn several(accounts: &[Value]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in accounts.iter().filter_map(|account| account["outcome"].as_str()) {
        *counts.entry(outcome).or_default() += 1;
    }
    let counts = counts.iter().map(|(outcome, count)| format!("{count} {outcome}"));
    format!("accounts: {}", counts.collect::<Vec<_>>().join(", "))
}

/// Returns the text, cut if it has more characters than `width`.
pub fn shortened_to(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// Asks on the terminal; anything but yes is no.
pub fn asked(question: &str) -> Result<bool, String> {
    let _ = write!(stderr(), "{question}");
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(|error| format!("the answer cannot be read: {error}"))?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

/// Prints a document to standard output.
pub fn print(text: &str) {
    // A closed pipe means that the reader has seen enough.
    let _ = writeln!(stdout(), "{text}");
}

/// A number of things: "1 departure", "12 departures".
pub fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The text in lines that are no longer than `width`.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
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

//! Choices from a catalogue: as options name them, or as they are typed on a terminal.

use std::io::{BufRead, Write};

use anyhow::{bail, ensure};
use offboard::config::suggestion;

/// What is said to a person who is asked.
const HELP: &str = "Type a kind, a part of a name to search for, or a number of the list; commas divide several.
NAME=KIND gives the section another name. ? lists all kinds; an empty line ends the choice.";

/// One kind of a catalogue.
pub struct Item {
    /// Its name in the configuration.
    pub kind: String,
    /// What it is called outside.
    pub title: String,
    /// What else it is found by.
    pub words: Vec<String>,
}

/// A section that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Name of the section.
    pub name: String,
    /// Name of the kind.
    pub kind: String,
}

/// A catalogue, and what is chosen from it.
pub struct Menu {
    /// What is chosen: `source`, `provider`.
    noun: &'static str,
    items: Vec<Item>,
    /// The kinds that were listed last, by position. Numbers mean these.
    listed: Vec<usize>,
    chosen: Vec<Choice>,
}

impl Menu {
    /// Nothing is chosen yet.
    pub fn new(noun: &'static str, items: Vec<Item>) -> Self {
        Self { noun, items, listed: Vec::new(), chosen: Vec::new() }
    }

    /// Chooses what options name: `KIND` or `NAME=KIND`.
    ///
    /// # Errors
    /// If one is not a kind, or a name is not one, or is there already.
    pub fn take(mut self, named: &[String]) -> anyhow::Result<Vec<Choice>> {
        for text in named {
            self.choose(text)?;
        }
        Ok(self.chosen)
    }

    /// Asks until the choice ends with an empty line.
    ///
    /// # Errors
    /// If the input ends before that.
    pub fn ask(mut self, mut input: impl BufRead, mut output: impl Write) -> anyhow::Result<Vec<Choice>> {
        writeln!(output, "\nWhich {}s? {HELP}", self.noun)?;
        loop {
            write!(output, "{}> ", self.noun)?;
            output.flush()?;
            let mut line = String::new();
            ensure!(input.read_line(&mut line)? > 0, "the input has ended before the choice: nothing was written");
            match line.trim() {
                "" if self.chosen.is_empty() => writeln!(output, "  at least one {} is needed", self.noun)?,
                "" => return Ok(self.chosen),
                answer => {
                    for text in answer.split(',').map(str::trim).filter(|text| !text.is_empty()) {
                        self.answer(text).iter().try_for_each(|line| writeln!(output, "  {line}"))?;
                    }
                }
            }
        }
    }

    /// Takes one answer, and returns what to say to it.
    fn answer(&mut self, text: &str) -> Vec<String> {
        if text == "?" {
            return self.list((0..self.items.len()).collect());
        }
        let number = text.parse::<usize>().ok().and_then(|number| self.listed.get(number.checked_sub(1)?));
        if let Some(position) = number {
            let kind = self.items[*position].kind.clone();
            return self.added(&kind);
        }
        let mut found = self.found(text);
        if text.contains('=') || self.items.iter().any(|item| item.kind == text) {
            found.retain(|position| self.items[*position].kind != text);
            let added = self.added(text);
            return match found.is_empty() {
                true => added,
                false => [added, vec!["others that match:".to_owned()], self.list(found)].concat(),
            };
        }
        match found[..] {
            [] => vec![format!("no {} is called {text}: ? lists all kinds", self.noun)],
            [only] => {
                let kind = self.items[only].kind.clone();
                self.added(&kind)
            }
            ref several => self.list(several.to_vec()),
        }
    }

    fn added(&mut self, text: &str) -> Vec<String> {
        let added = self.choose(text).map(|title| format!("added {text}: {title}"));
        vec![added.unwrap_or_else(|why| format!("{why:#}"))]
    }

    /// Chooses `KIND` or `NAME=KIND`. Returns the kind's title.
    fn choose(&mut self, text: &str) -> anyhow::Result<&str> {
        let (name, kind) = text.split_once('=').unwrap_or((text, text));
        let Some(item) = self.items.iter().find(|item| item.kind == kind) else {
            bail!("unknown kind of {} `{kind}`: {}", self.noun, self.suggestion(kind));
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let is_name = (1..=64).contains(&name.len()) && name.chars().all(plain);
        ensure!(is_name, "`{name}`: a name has 1 to 64 characters of a-z, 0-9, - and _");
        let is_new = self.chosen.iter().all(|chosen| chosen.name != name);
        ensure!(is_new, "there is a {} {name} already: name another one of the kind NAME={kind}", self.noun);
        self.chosen.push(Choice { name: name.to_owned(), kind: kind.to_owned() });
        Ok(&item.title)
    }

    /// Returns the kinds that this text is a part of, by position.
    fn found(&self, text: &str) -> Vec<usize> {
        let text = text.to_lowercase();
        let has = |item: &Item| {
            let words = [&item.kind, &item.title].into_iter().chain(&item.words);
            words.map(|word| word.to_lowercase()).any(|word| word.contains(&text))
        };
        (0..self.items.len()).filter(|position| has(&self.items[*position])).collect()
    }

    fn list(&mut self, positions: Vec<usize>) -> Vec<String> {
        let line = |(index, position): (usize, &usize)| {
            let Item { kind, title, .. } = &self.items[*position];
            format!("{:>3}  {kind:<22} {title}", index + 1)
        };
        let lines = positions.iter().enumerate().map(line).collect();
        self.listed = positions;
        lines
    }

    fn suggestion(&self, text: &str) -> String {
        suggestion(text, &self.items.iter().map(|item| item.kind.as_str()).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu() -> Menu {
        let item = |(kind, title, word): (&str, &str, &str)| Item {
            kind: kind.to_owned(),
            title: title.to_owned(),
            words: vec![word.to_owned()],
        };
        let items = [("github", "GitHub", ""), ("gitlab", "GitLab", ""), ("scim", "SCIM clients", "entra")];
        Menu::new("source", items.map(item).into())
    }

    /// Answers the questions with these lines. Returns the choice as `NAME=KIND`, and what was said.
    fn asked(lines: &str) -> (Result<Vec<String>, String>, String) {
        let mut said = Vec::new();
        let chosen = menu().ask(lines.as_bytes(), &mut said).map_err(|why| why.to_string());
        let chosen = chosen.map(|all| all.iter().map(|one| format!("{}={}", one.name, one.kind)).collect());
        (chosen, String::from_utf8(said).expect("UTF-8"))
    }

    #[test]
    fn kinds_are_chosen_by_name_by_part_of_a_name_and_by_number() {
        for (lines, expected) in [
            ("github\n\n", vec!["github=github"]),
            ("ENTRA\n\n", vec!["scim=scim"]),
            ("git\n2\n\n", vec!["gitlab=gitlab"]),
            ("git\n1, 2\n\n", vec!["github=github", "gitlab=gitlab"]),
            ("SCIM\n\n", vec!["scim=scim"]),
            ("?\n3\n\n", vec!["scim=scim"]),
            ("entra=scim, github\n\n", vec!["entra=scim", "github=github"]),
        ] {
            assert_eq!(asked(lines).0, Ok(expected.into_iter().map(str::to_owned).collect()), "{lines:?}");
        }
    }

    #[test]
    fn kind_that_others_are_found_with_is_chosen_and_the_others_are_listed() {
        let items = ["okta", "scim"].map(|kind| Item { kind: kind.into(), title: "Okta".into(), words: Vec::new() });
        let mut said = Vec::new();
        let chosen = Menu::new("source", items.into()).ask("okta\n1\n\n".as_bytes(), &mut said).expect("a choice");
        assert_eq!(chosen.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>(), ["okta", "scim"]);
        let said = String::from_utf8(said).expect("UTF-8");
        assert!(said.contains("others that match:\n    1  scim"), "{said}");
    }

    #[test]
    fn answer_that_chooses_nothing_says_why_and_asks_again() {
        for (line, expected) in [
            ("", "at least one source is needed"),
            ("githup", "no source is called githup: ? lists all kinds"),
            ("7", "no source is called 7"),
            ("a b=scim", "`a b`: a name has 1 to 64 characters"),
            ("x=scum", "unknown kind of source `scum`: did you mean `scim`?"),
            ("scim, scim", "there is a source scim already: name another one of the kind NAME=scim"),
        ] {
            let (chosen, said) = asked(&format!("{line}\ngitlab\n\n"));
            assert!(chosen.is_ok_and(|all| all.contains(&"gitlab=gitlab".to_owned())), "{line}");
            assert!(said.contains(expected), "{line}: {said}");
        }
    }

    #[test]
    fn input_that_ends_before_the_choice_is_an_error() {
        assert_eq!(asked("github\n").0, Err("the input has ended before the choice: nothing was written".to_owned()));
    }
}

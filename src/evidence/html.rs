//! HTML in which only our own texts can be markup.

use std::fmt::{Display, Write};

use crate::person::is_direction_control;

/// A piece of a page.
#[derive(Debug, Default)]
pub(super) struct Html(String);

/// Escapes what is written to it.
struct Escaping<'a>(&'a mut String);

impl Html {
    /// Adds markup of our own.
    pub(super) fn raw(mut self, markup: &'static str) -> Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text, escaped, without controls of its direction.
    pub(super) fn text(mut self, text: impl Display) -> Self {
        // A string takes everything.
        let _ = write!(Escaping(&mut self.0), "{text}");
        self
    }

    /// Adds markup that was made before.
    pub(super) fn piece(mut self, piece: &str) -> Self {
        self.0.push_str(piece);
        self
    }

    /// Adds what `add` makes of each.
    pub(super) fn each<T>(self, all: impl IntoIterator<Item = T>, add: impl Fn(Self, T) -> Self) -> Self {
        all.into_iter().fold(self, add)
    }

    /// Adds what `add` makes, if the condition holds.
    pub(super) fn when(self, condition: bool, add: impl FnOnce(Self) -> Self) -> Self {
        if condition { add(self) } else { self }
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for character in text.chars() {
            match character {
                '<' => self.0.push_str("&#60;"),
                '>' => self.0.push_str("&#62;"),
                '&' => self.0.push_str("&#38;"),
                '"' => self.0.push_str("&#34;"),
                '\'' => self.0.push_str("&#39;"),
                character if is_direction_control(character) => {}
                character => self.0.push(character),
            }
        }
        Ok(())
    }
}

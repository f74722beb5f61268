//! Files changed at random: each is refused or taken, and none makes a start panic or hang.

use super::files::files;
use crate::providers::data::{check, like};

/// So many changed files of each kind.
const CHANGED: usize = 60;
/// What stands in files, in places where it does not belong.
const PIECES: [&str; 16] = [
    "{",
    "}",
    "{id}",
    "{email:scim}",
    "{page}",
    "{job}",
    "\"",
    "'",
    "[",
    "]",
    " = ",
    "\n",
    "/*/",
    "true",
    "-1",
    "\u{1b}",
];

#[test]
fn file_that_is_changed_at_random_is_refused_or_taken() {
    let mut rng = fastrand::Rng::with_seed(20_261_127);
    let files = files();
    let (mut refused, mut taken) = (0, 0);
    for (_, text) in &files {
        for _ in 0..CHANGED {
            let (_, other) = &files[rng.usize(..files.len())];
            match check::parse(&changed(&mut rng, text, other), like) {
                Ok(_) => taken += 1,
                Err(errors) => {
                    assert!(!errors.to_string().is_empty());
                    refused += 1;
                }
            }
        }
    }
    // Else the changes would be too small, or too large, to show anything.
    assert!(refused > CHANGED * 10 && taken > CHANGED, "{refused} were refused, {taken} taken");
}

/// A file with one to three changes: a line left out, doubled, or replaced by another file's; a piece put in; a part left out.
fn changed(rng: &mut fastrand::Rng, text: &str, other: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..rng.usize(1..=3) {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let at = rng.usize(..lines.len().max(1));
        match rng.u8(..5) {
            0 if !lines.is_empty() => drop(lines.remove(at)),
            1 if !lines.is_empty() => lines.insert(at, lines[at].clone()),
            2 if !lines.is_empty() => {
                let others: Vec<_> = other.lines().collect();
                lines[at] = others[rng.usize(..others.len())].to_owned();
            }
            3 if !lines.is_empty() => {
                let place = lines[at].floor_char_boundary(rng.usize(..=lines[at].len()));
                lines[at].insert_str(place, PIECES[rng.usize(..PIECES.len())]);
            }
            _ => {
                let whole = lines.join("\n");
                let from = whole.floor_char_boundary(rng.usize(..=whole.len()));
                let to = whole.floor_char_boundary(from + rng.usize(..=(whole.len() - from).min(40)));
                text = format!("{}{}", &whole[..from], &whole[to.max(from)..]);
                continue;
            }
        }
        text = lines.join("\n");
    }
    text
}

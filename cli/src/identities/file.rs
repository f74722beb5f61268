//! A file of people: `idp_id,email` and, if it is known, `external_id`.

use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
};

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use offboard::{
    ledger::MAX_EMAILS,
    person::{Email, Person},
};

const COLUMNS: [&str; 3] = ["idp_id", "email", "external_id"];
/// The longest id that an event may have, in bytes.
const LONGEST_ID: usize = 512;

/// The people of a file, and the lines that cannot be used.
#[derive(Default)]
pub struct People {
    /// The people, each once, by their ids. The first address of each is the main one.
    pub by_id: BTreeMap<String, Person>,
    /// The lines that cannot be used, by their numbers, and why.
    pub errors: Vec<(u64, String)>,
    /// Id and line of the first use of an e-mail address.
    addresses: HashMap<String, (String, u64)>,
    /// Line of an id's external id.
    external_ids: HashMap<String, u64>,
}

/// Reads a file. No error quotes its content.
///
/// # Errors
/// If it cannot be read, or a column is missing.
pub fn read(file: impl Read) -> Result<People, String> {
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(file);
    let header = reader.headers().map_err(|error| unreadable(&error).1)?.clone();
    if let Some(unknown) = header.iter().position(|name| !COLUMNS.contains(&name)) {
        return Err(format!("column {} of the header is none of {}", unknown + 1, COLUMNS.join(", ")));
    }
    let column = |name: &str| header.iter().position(|column| column == name);
    let missing =
        |name: &str| format!("the first line names no column {name}: it is idp_id,email or idp_id,email,external_id");
    let idp_id = column("idp_id").ok_or_else(|| missing("idp_id"))?;
    let email = column("email").ok_or_else(|| missing("email"))?;
    let external_id = column("external_id");
    let mut people = People::default();
    for record in reader.records() {
        let line = match record {
            Ok(record) if record.len() == header.len() => {
                let field = |at: usize| record.get(at).unwrap_or_default();
                let fields = [field(idp_id), field(email), external_id.map(field).unwrap_or_default()];
                people.add(number(&record), fields).map_err(|why| (number(&record), why))
            }
            Ok(record) => {
                Err((number(&record), format!("has {} fields, the header has {}", record.len(), header.len())))
            }
            Err(error) if matches!(error.kind(), ErrorKind::Io(_)) => return Err(unreadable(&error).1),
            Err(error) => Err(unreadable(&error)),
        };
        people.errors.extend(line.err());
    }
    if people.by_id.is_empty() && people.errors.is_empty() {
        return Err("the file has no people".to_owned());
    }
    Ok(people)
}

impl People {
    /// Returns the number of e-mail addresses.
    pub fn addresses(&self) -> usize {
        self.by_id.values().map(|person| person.emails().count()).sum()
    }

    fn add(&mut self, line: u64, [idp_id, email, external_id]: [&str; 3]) -> Result<(), String> {
        let is_id = |text: &str| text.len() <= LONGEST_ID && !text.chars().any(char::is_control);
        if idp_id.is_empty() {
            return Err("has no idp_id".to_owned());
        }
        if !is_id(idp_id) || !is_id(external_id) {
            return Err("has an id that no event can have".to_owned());
        }
        let email = Email::parse(email).ok_or("has no e-mail address")?;
        let address = email.canonical();
        let (owner, first) = self.addresses.entry(address).or_insert_with(|| (idp_id.to_owned(), line));
        if owner != idp_id {
            return Err(format!("has the address of line {first}, and another idp_id"));
        }
        let is_new = *first == line;
        let person = self.by_id.entry(idp_id.to_owned()).or_default();
        person.idp_id = Some(idp_id.to_owned());
        if !external_id.is_empty() {
            let first = *self.external_ids.entry(idp_id.to_owned()).or_insert(line);
            let known = person.external_id.get_or_insert_with(|| external_id.to_owned());
            if known != external_id {
                return Err(format!("has another external_id than line {first}"));
            }
        }
        match &person.email {
            None => person.email = Some(email),
            Some(_) if !is_new => {}
            Some(_) if person.emails().count() == MAX_EMAILS => {
                return Err(format!("is one too many: {MAX_EMAILS} addresses are kept of an id"));
            }
            Some(_) => person.other_emails.push(email),
        }
        Ok(())
    }
}

fn number(record: &StringRecord) -> u64 {
    record.position().map_or(0, csv::Position::line)
}

/// Returns the line of an error, and what is wrong. The library's own text may quote the line.
fn unreadable(error: &csv::Error) -> (u64, String) {
    let line = error.position().map_or(0, csv::Position::line);
    let why = match error.kind() {
        ErrorKind::Utf8 { .. } => "is not UTF-8".to_owned(),
        ErrorKind::Io(error) => format!("the file cannot be read: {error}"),
        _ => "cannot be read".to_owned(),
    };
    (line, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<(u64, String)> {
        read(text.as_bytes()).unwrap().errors
    }

    #[test]
    fn person_is_read_from_one_line_or_several() {
        let text = "\u{feff}idp_id, email ,external_id\r\nu1,ann.jones@example.com,8931\r\n\
                    u2,\"bob@example.com\",\r\n\r\nu1,ann.smith@example.com,8931\r\nu1,Ann.Smith@example.com,\r\n";
        let people = read(text.as_bytes()).unwrap();
        assert_eq!(people.errors, []);
        let email = |address: &str| Email::parse(address).unwrap();
        let ann = Person {
            idp_id: Some("u1".into()),
            external_id: Some("8931".into()),
            email: Some(email("ann.jones@example.com")),
            other_emails: vec![email("ann.smith@example.com")],
        };
        let bob = Person { idp_id: Some("u2".into()), email: Some(email("bob@example.com")), ..Person::default() };
        assert_eq!(people.by_id.into_values().collect::<Vec<_>>(), [ann, bob]);
    }

    #[test]
    fn columns_may_come_in_any_order_and_the_external_id_may_be_missing() {
        let people = read(&b"email,idp_id\nann@example.com,u1\n"[..]).unwrap();
        assert_eq!((people.by_id["u1"].email.clone(), people.addresses()), (Email::parse("ann@example.com"), 1));
    }

    #[test]
    fn every_unusable_line_is_reported_by_its_number() {
        let text = "idp_id,email,external_id\n,ann@example.com,\nu1,ann,\nu2,bob@example.com\nu3,eve@example.com,1\n\
                    u3,eva@example.com,2\nu4,EVE@example.com,\nu\u{7}5,joe@example.com,\n";
        let expected = [
            (2, "has no idp_id"),
            (3, "has no e-mail address"),
            (4, "has 2 fields, the header has 3"),
            (6, "has another external_id than line 5"),
            (7, "has the address of line 5, and another idp_id"),
            (8, "has an id that no event can have"),
        ];
        assert_eq!(errors(text), expected.map(|(line, why)| (line, why.to_owned())));
        let bytes = [&b"idp_id,email\nu1,ann@example.com\nu2,\xff@example.com\n"[..]].concat();
        assert_eq!(read(&bytes[..]).unwrap().errors, [(3, "is not UTF-8".to_owned())]);
        let lines: String = (0..=MAX_EMAILS).map(|n| format!("u1,ann{n}@example.com\n")).collect();
        let found = errors(&format!("idp_id,email\n{lines}"));
        let why = format!("is one too many: {MAX_EMAILS} addresses are kept of an id");
        assert_eq!(found, [(MAX_EMAILS as u64 + 2, why)]);
    }

    #[test]
    fn file_of_another_kind_is_refused() {
        for (text, why) in [
            ("", "the first line names no column idp_id: it is idp_id,email or idp_id,email,external_id"),
            (
                "idp_id,external_id\nu1,1\n",
                "the first line names no column email: it is idp_id,email or idp_id,email,external_id",
            ),
            ("idp_id,email,name\n", "column 3 of the header is none of idp_id, email, external_id"),
            ("u1,ann@example.com\n", "column 1 of the header is none of idp_id, email, external_id"),
            ("idp_id,email\n", "the file has no people"),
        ] {
            assert_eq!(read(text.as_bytes()).map(|people| people.by_id).unwrap_err(), why, "{text:?}");
        }
    }
}

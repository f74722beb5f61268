//! One input, and the file in which one that failed is kept.

use std::{fs, path::Path};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::doors::{DOORS, Door};

/// What arrives at a door: headers and a body, signed already (`verifiers`) or signed by the target (`readers`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub door: &'static Door,
    /// The delivery's id, where the target signs one.
    pub id: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Whether values may have come to other members than they were planted in.
    pub moved: bool,
}

impl PartialEq for Door {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Door {}

impl Case {
    /// The headers that HTTP can carry.
    pub fn header_map(&self) -> HeaderMap {
        let pair = |(name, value): &(String, Vec<u8>)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(value).ok()?))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.iter().filter_map(pair) {
            headers.append(name, value);
        }
        headers
    }

    /// As a file: a line for each of door, id, `moved` and header, an empty one, and the body.
    pub fn write(&self, path: &Path) {
        let mut file = format!("door {}\nid {}\nmoved {}\n", self.door.name, hex::encode(&self.id), self.moved);
        for (name, value) in &self.headers {
            file += &format!("header {name} {}\n", hex::encode(value));
        }
        let folder = path.parent().expect("a folder");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(path, [file.as_bytes(), b"\n", &self.body].concat()))
            .expect("a file");
    }

    pub fn read(path: &Path) -> Self {
        let file = fs::read(path).expect("a file");
        let end = file.windows(2).position(|two| two == b"\n\n").expect("an empty line");
        let body = file[end + 2..].to_vec();
        let mut case = Self { door: &DOORS[0], id: String::new(), headers: Vec::new(), body, moved: false };
        for line in std::str::from_utf8(&file[..end]).expect("text").lines() {
            match line.split_once(' ').expect("a name and a value") {
                ("door", name) => case.door = DOORS.iter().find(|door| door.name == name).expect("a door of today"),
                ("id", id) => case.id = String::from_utf8(hex::decode(id).expect("hex")).expect("text"),
                ("moved", moved) => case.moved = moved == "true",
                ("header", header) => {
                    let (name, value) = header.split_once(' ').expect("a value");
                    case.headers.push((name.to_owned(), hex::decode(value).expect("hex")));
                }
                (other, _) => panic!("{}: {other}", path.display()),
            }
        }
        case
    }
}

//! Changes of an input: of the structure of its JSON, of its text, and of its headers.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::case::Case;

/// Texts that mean something somewhere, or that are hard to read. None names anybody who stands in the corpus.
const TEXTS: [&str; 41] = [
    "",
    " ",
    "\u{0}",
    "\u{7f}",
    "a\nb",
    "a\tb",
    "\t",
    "\u{202e}gpj",
    "\u{feff}",
    "\u{200b}",
    "é",
    "e\u{301}",
    "\u{1f5d1}",
    "ß",
    "\u{ffff}",
    "true",
    "false",
    "null",
    "0",
    "-1",
    "1e9",
    "17",
    "{}",
    "[]",
    "\"",
    "%00",
    "../x",
    "users/x",
    "users/",
    "users/x/y",
    "user",
    "SUCCESS",
    "User",
    "USER",
    "verified",
    "test",
    "access.DELETE_ACCOUNT",
    "2026-02-30T00:00:00Z",
    "9999-12-31T23:59:59+23:59",
    "-9999-01-01T00:00:00Z",
    "2026-01-31 18:42:00",
];
const ADDRESSES: [&str; 8] = [
    "new.name@example.com",
    " new.name@example.com ",
    "NEW.NAME@EXAMPLE.COM",
    "new@name@example.com",
    "<new.name@example.com>",
    "new.name@example.com,other@example.com",
    "n\u{200b}ew@example.com",
    "\"new name\"@example.com",
];
/// As JSON writes them; several fit into no number that a program knows.
const NUMBERS: [&str; 16] = [
    "0",
    "-0",
    "-1",
    "1",
    "1e400",
    "-1e400",
    "1e-400",
    "0.1",
    "1.0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "253402300800",
    "1769884920000",
    "00",
];

/// Changes a reader's input in one to four ways.
pub fn reading(rng: &mut Rng, case: &mut Case) {
    for _ in 0..rng.usize(1..=4) {
        match rng.u8(..12) {
            0 => bytes(rng, case),
            1 => header(rng, case),
            2 => text(rng, case),
            3 => id(rng, case),
            _ => structure(rng, case),
        }
    }
}

/// Changes a verifier's input; `other` is one for the same door.
pub fn verifying(rng: &mut Rng, case: &mut Case, other: &Case) {
    for _ in 0..rng.usize(1..=3) {
        match rng.u8(..8) {
            0 | 1 => edit(rng, &mut case.body),
            2 => case.body.clone_from(&other.body),
            3 => token(rng, case),
            _ if case.headers.is_empty() => case.headers.clone_from(&other.headers),
            4 => {
                let at = rng.usize(..case.headers.len());
                let name = case.headers[at].0.clone();
                case.headers.extend(other.headers.iter().find(|(theirs, _)| *theirs == name).cloned());
                case.headers.swap_remove(at);
            }
            5 => header(rng, case),
            _ => {
                let at = rng.usize(..case.headers.len());
                edit(rng, &mut case.headers[at].1);
            }
        }
    }
}

/// Changes a few bytes.
fn edit(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.usize(..=bytes.len());
    match rng.u8(..7) {
        0 => bytes.insert(at, rng.u8(..)),
        1 => bytes.insert(at, *rng.choice(b" ,=.;\"{}[]:\\v1t\xff").expect("some")),
        2 => bytes.truncate(at),
        3 => {
            let end = rng.usize(at..=bytes.len().min(at + 8));
            drop(bytes.drain(at..end));
        }
        4 => {
            let end = rng.usize(at..=bytes.len());
            let part = bytes[at..end].to_vec();
            let to = rng.usize(..=bytes.len());
            drop(bytes.splice(to..to, part));
        }
        _ if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
        _ => bytes.push(rng.u8(..)),
    }
}

fn bytes(rng: &mut Rng, case: &mut Case) {
    edit(rng, &mut case.body);
    case.moved = true;
}

fn id(rng: &mut Rng, case: &mut Case) {
    let odd = rng.choice(["\t", " ", "/", "é", "@", "\u{0}", "\u{7f}"]).expect("some");
    case.id = match rng.u8(..3) {
        0 => (*rng.choice(TEXTS).expect("some")).to_owned(),
        1 => format!("evt{odd}1"),
        _ => "i".repeat(rng.usize(1..700)),
    };
}

fn header(rng: &mut Rng, case: &mut Case) {
    if case.headers.is_empty() {
        return;
    }
    let at = rng.usize(..case.headers.len());
    match rng.u8(..4) {
        0 => drop(case.headers.remove(at)),
        1 => case.headers.push(case.headers[at].clone()),
        2 => case.headers[at].1 = rng.choice(TEXTS).expect("some").as_bytes().to_vec(),
        _ => edit(rng, &mut case.headers[at].1),
    }
}

/// Changes the header of a token, where there is one.
fn token(rng: &mut Rng, case: &mut Case) {
    let texts = case.headers.iter_mut().map(|(_, value)| value).chain([&mut case.body]);
    for bytes in texts {
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        let (lead, token) = text.split_at(text.find("eyJ").unwrap_or(text.len()));
        let Some((head, rest)) = token.split_once('.') else { continue };
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(head).ok().and_then(|head| serde_json::from_slice(&head).ok());
        let Some(Value::Object(mut fields)) = decoded else { continue };
        let name = rng.choice(["alg", "typ", "kid", "crit", "b64", "jwk", "jku", "x5c", "enc", "zip"]).expect("some");
        let values = [
            json!("none"),
            json!("HS256"),
            json!("RS256"),
            json!("ES256"),
            json!("EdDSA"),
            json!("a"),
            json!(["exp"]),
            json!(null),
        ];
        fields.insert(name.to_owned(), rng.choice(values).expect("some"));
        *bytes =
            format!("{lead}{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(Value::from(fields).to_string())).into_bytes();
    }
}

/// Changes what a JSON value cannot hold: members that stand twice, numbers beyond all bounds, several documents.
fn text(rng: &mut Rng, case: &mut Case) {
    let Ok(body) = String::from_utf8(std::mem::take(&mut case.body)) else { return };
    let places: Vec<_> = body.match_indices(['{', '}']).collect();
    let keys: Vec<_> = body.split('"').filter(|text| text.len() < 40 && !text.contains([':', ',', '{', '@'])).collect();
    let (key, value) = (*rng.choice(&keys).unwrap_or(&"id"), plain(rng));
    let number = body.find(|c: char| c.is_ascii_digit());
    case.body = match (rng.u8(..4), rng.choice(&places), number) {
        (0, Some((at, "{")), _) => format!("{}\"{key}\":{value},{}", &body[..=*at], &body[at + 1..]),
        (0, Some((at, _)), _) => format!("{},\"{key}\":{value}{}", &body[..*at], &body[*at..]),
        (1, _, Some(at)) => {
            let end = body[at..].find(|c: char| !c.is_ascii_digit()).map_or(body.len(), |end| at + end);
            format!("{}{}{}", &body[..at], rng.choice(NUMBERS).expect("some"), &body[end..])
        }
        (2, ..) => [body.as_str()].repeat(rng.usize(1..20)).join("\n"),
        _ => format!("{}{body}", rng.choice(["\u{feff}", "\n", " ", "[]", "null\n"]).expect("some")),
    }
    .into_bytes();
}

/// A value that was nowhere in the input.
fn plain(rng: &mut Rng) -> Value {
    match rng.u8(..9) {
        0 => json!(rng.bool()),
        1 => Value::Null,
        2 => json!(rng.i64(..)),
        3 => json!(rng.f64() * 1e300),
        4 => (*rng.choice(ADDRESSES).expect("some")).into(),
        5 => json!([]),
        6 => json!({}),
        7 => rng.choice(["x", "\u{1f5d1}", "\u{0}", "@", "\\"]).expect("some").repeat(rng.usize(200..700)).into(),
        _ => (*rng.choice(TEXTS).expect("some")).into(),
    }
}

/// Changes one value somewhere in the body.
fn structure(rng: &mut Rng, case: &mut Case) {
    let Ok(mut document) = serde_json::from_slice::<Value>(&case.body) else { return text(rng, case) };
    let mut places = Vec::new();
    pointers(&document, &mut String::new(), &mut places);
    let (place, other) = (&places[rng.usize(..places.len())], &places[rng.usize(..places.len())]);
    if rng.u8(..16) == 0 {
        let value = document.pointer(other).cloned().unwrap_or_default();
        *document.pointer_mut(place).expect("a place in it") = value;
        case.moved = true;
    } else {
        case.moved |= change(rng, document.pointer_mut(place).expect("a place in it"));
    }
    case.body = document.to_string().into_bytes();
}

/// The places of all values, or of so many that it does not matter.
fn pointers(value: &Value, at: &mut String, places: &mut Vec<String>) {
    if places.len() > 500 {
        return;
    }
    places.push(at.clone());
    let length = at.len();
    let mut below = |name: &str, value: &Value| {
        *at += &format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        pointers(value, at, places);
        at.truncate(length);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| below(name, value)),
        Value::Array(list) => list.iter().enumerate().for_each(|(index, value)| below(&index.to_string(), value)),
        _ => {}
    }
}

/// Changes a value in its place; whether what stands in it may have come to another member.
fn change(rng: &mut Rng, value: &mut Value) -> bool {
    match (rng.u8(..8), &mut *value) {
        (0..=2, Value::Object(fields)) if !fields.is_empty() => return members(rng, fields),
        (0..=2, Value::Array(list)) if !list.is_empty() => elements(rng, list),
        (0..=2, Value::String(text)) => {
            let places: Vec<_> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let at = places[rng.usize(..places.len())];
            text.insert_str(at, rng.choice(TEXTS).expect("some"));
        }
        (0..=2, Value::Number(_)) => {
            *value = serde_json::from_str(rng.choice(NUMBERS).expect("some")).unwrap_or_default()
        }
        (3, value) => *value = value.to_string().into(),
        (4, value) => *value = BASE64_STANDARD.encode(value.to_string()).into(),
        (5, value) => *value = json!([value.take()]),
        (6, value) if rng.u8(..8) == 0 => {
            for depth in 0..rng.usize(1..200) {
                *value = if depth % 2 == 0 { json!([value.take()]) } else { json!({ "id": value.take() }) };
            }
        }
        (_, value) => *value = plain(rng),
    }
    false
}

fn members(rng: &mut Rng, fields: &mut Map<String, Value>) -> bool {
    let names: Vec<String> = fields.keys().cloned().collect();
    let (name, other) = (&names[rng.usize(..names.len())], &names[rng.usize(..names.len())]);
    let value = fields.remove(name).unwrap_or_default();
    match rng.u8(..5) {
        0 => return fields.insert(other.clone(), value).is_some() || name != other,
        1 => drop(fields.insert(name.to_uppercase(), value)),
        2 => {
            let added =
                rng.choice(["error", "user", "email", "items", "representation", "aud", "sub_id"]).expect("some");
            fields.insert(added.to_owned(), plain(rng));
            fields.insert(name.clone(), value);
        }
        _ => {}
    }
    false
}

fn elements(rng: &mut Rng, list: &mut Vec<Value>) {
    let at = rng.usize(..list.len());
    match rng.u8(..4) {
        0 => drop(list.remove(at)),
        1 => list.rotate_left(at),
        // Thousands of small ones.
        2 if rng.u8(..64) == 0 && list[at].to_string().len() < 64 => {
            list.extend(vec![list[at].clone(); rng.usize(1000..5000)])
        }
        _ => list.insert(at, list[at].clone()),
    }
}

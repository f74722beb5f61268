//! What must hold of every door, whatever arrives: only what its sender signed is taken, in time and unchanged.
//!
//! A kind of source that is added is here by itself: see `tests/it/doors`.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use offboard::{
    source::KINDS,
    webhook::{Keys, Refusal, Scheme},
};
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::FileFailurePersistence};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use time::Duration;

use crate::doors::{
    DOORS, Door, KEY, NOW, Sent,
    edit::{Edit, means_the_same},
};

fn cases(cases: u32) -> ProptestConfig {
    let persistence = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(persistence)), ..ProptestConfig::default() }
}

/// Why a door refuses this; the test ends if it does not.
fn refusal(door: &Door, sent: &Sent, what: &str) -> Refusal {
    match door.verify(sent, NOW) {
        Err(refusal) => refusal,
        Ok(_) => panic!("{}: {what} was taken", door.name),
    }
}

/// Judges a delivery whose body was changed. Where the body is the token, white space at its end is no change.
fn changed_body(door: &Door, good: &Sent, edit: Edit) {
    let sent = Sent { body: edit.of(&good.body), ..good.clone() };
    if !door.covers_body {
        return assert_eq!(
            door.verify(&sent, NOW).map(|verified| verified.body().to_vec()),
            Ok(sent.body),
            "{}",
            door.name
        );
    }
    if door.body_is_token() && sent.body.trim_ascii_end() == good.body {
        return;
    }
    let refusal = refusal(door, &sent, &format!("a body after {edit:?}"));
    match (&door.source.scheme, door.body_is_token()) {
        (Scheme::Jwt(_), false) => assert_eq!(refusal, Refusal::BodyHash, "{}", door.name),
        (Scheme::Jwt(_), true) => assert!(of_a_token(&refusal), "{}: {refusal:?} after {edit:?}", door.name),
        _ => assert_eq!(refusal, Refusal::Mismatch, "{}", door.name),
    }
}

/// Whether a token is refused for what it is, and not for what is around it.
fn of_a_token(refusal: &Refusal) -> bool {
    use Refusal::{Malformed, Mismatch, Missing, NotAToken, NotAllowed, UnknownKey};
    matches!(refusal, NotAToken | NotAllowed(_) | UnknownKey | Mismatch | Malformed(_) | Missing(_))
}

/// Judges a delivery of which a header was changed.
fn changed_header(door: &Door, good: &Sent, name: &HeaderName, edit: Edit) {
    let text = good.headers[name].to_str().unwrap();
    let bytes = edit.of(text.as_bytes());
    // What no header can hold does not arrive.
    let Ok(value) = HeaderValue::from_bytes(&bytes) else { return };
    let mut sent = good.clone();
    sent.headers.insert(name, value);
    match door.verify(&sent, NOW) {
        Ok(_) => {
            let taken = String::from_utf8_lossy(&bytes);
            assert!(means_the_same(text, &taken), "{}: {name} was taken after {edit:?}: {taken}", door.name);
        }
        Err(refusal) => {
            let expected = of_a_token(&refusal) || refusal == Refusal::OutsideTolerance;
            assert!(expected, "{}: {refusal:?} of {name} after {edit:?}", door.name);
        }
    }
}

#[test]
fn every_kind_stands_at_its_door() {
    let kinds: BTreeSet<_> = DOORS.iter().map(|door| door.source.kind.name).collect();
    assert_eq!(kinds, KINDS.iter().map(|kind| kind.name).collect());
    for door in DOORS.iter() {
        let body = door.body(b"{}");
        let verified =
            door.verify(&door.sign("evt_1", NOW, &body), NOW).unwrap_or_else(|why| panic!("{}: {why}", door.name));
        assert!(door.body_is_token() || verified.body() == body, "{}", door.name);
    }
}

#[test]
fn no_byte_of_a_body_can_be_changed() {
    for door in DOORS.iter() {
        let good = door.sign("evt_1", NOW, &door.body(br#"{"id":1}"#));
        // A token is long, and changing any part of it is the next test's.
        let step = if door.body_is_token() { 97 } else { 1 };
        Edit::all(&good.body).step_by(step).for_each(|edit| changed_body(door, &good, edit));
    }
}

#[test]
fn no_byte_of_a_header_can_be_changed() {
    for door in DOORS.iter() {
        let good = door.sign("evt_1", NOW, &door.body(br#"{"id":1}"#));
        let step = if matches!(door.source.scheme, Scheme::Jwt(_)) { 97 } else { 1 };
        for (name, value) in &good.headers {
            // The type of a body that is a token is nobody's proof.
            if name != "content-type" {
                Edit::all(value.as_bytes()).step_by(step).for_each(|edit| changed_header(door, &good, name, edit));
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn one_changed_byte_anywhere_is_refused(
        bytes in vec(any::<u8>(), 1..600),
        id in "[!-~]{1,40}",
        changes in vec(any::<(Index, u8, u8)>(), 4),
    ) {
        for door in DOORS.iter() {
            let good = door.sign(&id, NOW, &door.body(&bytes));
            for change in &changes {
                changed_body(door, &good, Edit::any(&good.body, *change));
                for (name, value) in good.headers.iter().filter(|(name, _)| *name != "content-type") {
                    changed_header(door, &good, name, Edit::any(value.as_bytes(), *change));
                }
            }
        }
    }

    #[test]
    fn what_somebody_else_signed_is_refused(bytes in vec(any::<u8>(), 0..200), id in "[!-~]{1,40}", other in vec(any::<u8>(), 0..200)) {
        for door in DOORS.iter() {
            let body = door.body(&bytes);
            let refused = refusal(door, &door.sign_with(&door.stranger(), &id, NOW, &body), "a stranger's signature");
            let expected = if matches!(door.keys, Keys::Set(_)) { Refusal::UnknownKey } else { Refusal::Mismatch };
            let wrong_key = matches!((&door.keys, &refused), (Keys::Set(_), Refusal::NotAllowed("algorithm")));
            prop_assert!(refused == expected || wrong_key, "{}: {refused:?}", door.name);

            if door.covers_body && !door.body_is_token() && other != bytes {
                let sent = Sent { body: other.clone(), ..door.sign(&id, NOW, &body) };
                let expected = if matches!(door.source.scheme, Scheme::Jwt(_)) { Refusal::BodyHash } else { Refusal::Mismatch };
                prop_assert_eq!(refusal(door, &sent, "a signature of another body"), expected, "{}", &door.name);
            }
        }
    }

    #[test]
    fn what_is_signed_is_taken_in_time_and_at_no_other(
        bytes in vec(any::<u8>(), 0..200),
        id in "[!-~]{1,40}",
        share in -1.5..1.5f64,
        beyond in 0..100_000i64,
    ) {
        for door in DOORS.iter() {
            let body = door.body(&bytes);
            let sent = door.sign(&id, NOW, &body);
            let (first, last) = door.window.unwrap_or((i64::MIN, i64::MAX));
            let (earliest, latest) = (first.max(-4_000_000_000), last.min(4_000_000_000));
            let somewhere = (share * latest as f64) as i64;
            for at in [0, earliest, latest, earliest.saturating_sub(1 + beyond), latest + 1 + beyond, somewhere] {
                let judged = door.verify(&sent, NOW + Duration::milliseconds(at));
                if (first..=last).contains(&at) {
                    let verified = judged.unwrap_or_else(|why| panic!("{}: {why} after {at} ms", door.name));
                    prop_assert!(door.body_is_token() || verified.body() == body);
                    prop_assert!(verified.id().is_none_or(|signed| signed == id), "{}", &door.name);
                } else {
                    prop_assert_eq!(judged.err(), Some(Refusal::OutsideTolerance), "{} after {} ms", &door.name, at);
                }
            }
        }
    }

    /// Text like that of a signature, and any other.
    #[test]
    fn whatever_arrives_unsigned_is_refused_and_nothing_panics(
        body in vec(any::<u8>(), 0..200),
        values in vec("(v1,|t=1769884920(000)?, ?v1=|sha256=|Bearer )?([0-9a-f]{64}|[A-Za-z0-9+/]{43}=|[!-~\t ]{0,80}|(e30|eyJhbGciOiJub25lIn0)\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40})", 3),
        raw in vec(any::<u8>(), 0..40),
        numbers in any::<(bool, bool)>(),
    ) {
        for door in DOORS.iter() {
            let names: Vec<_> = door.sign("1", NOW, &door.body(b"")).headers.keys().cloned().collect();
            let mut headers = HeaderMap::new();
            for (index, name) in names.iter().enumerate() {
                let value = match index {
                    0 if numbers.0 => HeaderValue::from_bytes(&raw).ok(),
                    1.. if numbers.1 => Some(HeaderValue::from(NOW.unix_timestamp())),
                    _ => HeaderValue::from_str(&values[index]).ok(),
                };
                headers.extend(value.map(|value| (name.clone(), value)));
            }
            let sent = Sent { headers, body: body.clone() };
            let shown = format!("{:?}", refusal(door, &sent, "what nobody signed"));
            prop_assert!(!shown.contains(KEY), "{}", shown);
        }
    }

    #[test]
    fn no_reader_panics(bytes in vec(any::<u8>(), 0..300), id in "[!-~\t]{1,40}", name in "[a-z-]{1,20}") {
        for door in DOORS.iter() {
            let Ok(id_header) = HeaderValue::from_str(&id) else { continue };
            let mut sent = door.sign("1", NOW, &door.body(&bytes));
            sent.headers.entry(HeaderName::try_from(&name).unwrap()).or_insert(id_header);
            let verified = door.verify(&sent, NOW).map_err(|why| TestCaseError::fail(why.to_string()))?;
            let read = || door.source.delivery(&verified);
            prop_assert_eq!(read(), read());
        }
    }
}

#[test]
fn a_signature_of_another_kind_is_refused() {
    for theirs in DOORS.iter() {
        let body = theirs.body(b"{}");
        let sent = theirs.sign("evt_1", NOW, &body);
        let values: Vec<_> = sent.headers.values().cloned().collect();
        for ours in DOORS.iter().filter(|ours| ours.name != theirs.name) {
            let own = ours.sign("evt_1", NOW, &ours.body(b"{}"));
            // With their values under our names.
            let headers: HeaderMap = own.headers.keys().cloned().zip(values.clone()).collect();
            let forged = Sent { headers, body: sent.body.clone() };
            // Some sign alike, and one takes every token that is signed with its secret.
            let alike = own.headers.values().eq(forged.headers.values()) && own.body == forged.body;
            let any_token = ours.source.kind.name == "frontegg" && theirs.name == "fusionauth, shared";
            let same_key = matches!((&ours.source.scheme, &theirs.source.scheme), (Scheme::Token(_), Scheme::Token(_)));
            if !(alike || any_token || same_key) {
                refusal(ours, &forged, &format!("a signature of {}", theirs.name));
            }
        }
    }
}

#[test]
fn an_empty_signature_is_refused() {
    for door in DOORS.iter() {
        let good = door.sign("evt_1", NOW, &door.body(b"{}"));
        for name in good.headers.keys().filter(|name| *name != "content-type") {
            let text = good.headers[name].to_str().unwrap();
            let starts = text.match_indices([',', '=', ' ', '.']).map(|(at, _)| at + 1).chain([0]);
            for start in starts.filter(|start| !text[*start..].chars().all(|c| c == '=') && *start < text.len()) {
                let mut sent = good.clone();
                sent.headers.insert(name, HeaderValue::from_str(&text[..start]).unwrap());
                refusal(door, &sent, &format!("{name}: {}", &text[..start]));
            }
        }
    }
}

/// `{body}{ts}` has nothing between its parts: a digit that moves from one to the other is signed as well.
#[test]
fn what_slides_between_the_body_and_the_time_is_too_old_or_too_new() {
    let door = DOORS.iter().find(|door| door.source.kind.name == "bamboohr").unwrap();
    let good = door.sign("", NOW, b"[1]7");
    let stamp = good.headers["x-bamboohr-timestamp"].to_str().unwrap().to_owned();
    let slid = [(&b"[1]"[..], format!("7{stamp}")), (b"[1]71", stamp[1..].to_owned())];
    for (body, stamp) in slid {
        let mut sent = Sent { body: body.to_vec(), ..good.clone() };
        sent.headers.insert("x-bamboohr-timestamp", HeaderValue::from_str(&stamp).unwrap());
        assert_eq!(refusal(door, &sent, "what slid"), Refusal::OutsideTolerance);
    }
}

/// The ways to forge a token that others fell for: RFC 8725 2.1 and 3.2.
#[test]
fn no_token_is_believed_that_chooses_its_own_proof() {
    for door in DOORS.iter().filter(|door| matches!(door.source.scheme, Scheme::Jwt(_))) {
        let good = door.sign("evt_1", NOW, &door.body(b"{}"));
        let name = good.headers.keys().find(|name| *name != "content-type" || !door.body_is_token());
        let whole = match door.body_is_token() {
            true => String::from_utf8(good.body.clone()).unwrap(),
            false => good.headers[name.unwrap()].to_str().unwrap().to_owned(),
        };
        let (lead, token) =
            whole.split_once(' ').map_or((String::new(), &*whole), |(lead, token)| (format!("{lead} "), token));
        let parts: Vec<_> = token.split('.').collect();
        for forged in forgeries(door, &parts) {
            let text = format!("{lead}{forged}");
            let mut sent = good.clone();
            match (name, door.body_is_token()) {
                (Some(name), false) => drop(sent.headers.insert(name.clone(), HeaderValue::from_str(&text).unwrap())),
                _ => sent.body = text.into_bytes(),
            }
            let refusal = refusal(door, &sent, &forged);
            let expected = matches!(refusal, Refusal::NotAToken | Refusal::NotAllowed("algorithm") | Refusal::Mismatch);
            assert!(expected, "{}: {refusal:?} for {forged}", door.name);
        }
    }
}

fn forgeries(door: &Door, parts: &[&str]) -> Vec<String> {
    let [header, claims, signature] = parts else { panic!("{} has no token", door.name) };
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let named: serde_json::Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    let with = |algorithm: &str| {
        let mut header = named.clone();
        header["alg"] = algorithm.into();
        encode(header.to_string().as_bytes())
    };
    let mut forged =
        vec![format!("{header}.{claims}."), format!("{header}.{claims}"), format!("{header}..{signature}")];
    for none in ["none", "None", "NONE", "nOnE", ""] {
        forged.extend(["", signature, "AA"].map(|signature| format!("{}.{claims}.{signature}", with(none))));
    }
    // What everybody knows, taken for a shared secret.
    let Scheme::Jwt(jwt) = &door.source.scheme else { return forged };
    let mut known = vec![Vec::new(), b"null".to_vec()];
    if let Some(set) = jwt.key_set(&door.secret) {
        let key = &set["keys"][0];
        known.extend([set.to_string(), key.to_string()].map(String::into_bytes));
        let texts = ["n", "x", "y", "kid"].into_iter().filter_map(|member| key[member].as_str());
        known.extend(texts.flat_map(|text| [text.as_bytes().to_vec(), BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()]));
    }
    for key in known {
        let input = format!("{}.{claims}", with("HS256"));
        let code = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(&input).finalize().into_bytes();
        forged.push(format!("{input}.{}", encode(&code)));
    }
    forged
}

#[test]
fn a_shared_secret_is_not_taken_for_a_public_key_nor_the_other_way() {
    let rsa = DOORS.iter().find(|door| door.name == "fusionauth, RSA").unwrap();
    let shared = DOORS.iter().find(|door| door.name == "fusionauth, shared").unwrap();
    for (ours, theirs) in [(rsa, shared), (shared, rsa)] {
        let refused = refusal(ours, &theirs.sign("evt_1", NOW, b"{}"), "the other's token");
        assert_eq!(refused, Refusal::NotAllowed("algorithm"));
    }
    assert!(shared.source.scheme.sign(&SecretString::from(""), "evt_1", NOW, b"{}").is_none());
    assert_ne!(rsa.secret.expose_secret(), shared.secret.expose_secret());
}

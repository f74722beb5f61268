//! What is no token, and what a token's header may not ask for.

use super::*;

#[test]
fn a_change_of_any_letter_of_a_token_is_refused() {
    let keys = set(&[jwk("rsa")]);
    let token = forged(&header(json!({})), &claims(json!({})), rsa());
    let of_header = token.find('.').unwrap();
    for index in 0..token.len() {
        let mut letters = token.clone().into_bytes();
        letters[index] = if letters[index] == b'A' { b'B' } else { b'A' };
        let refusal = judge(std::str::from_utf8(&letters).unwrap(), &keys).unwrap_err();
        let expected = match refusal {
            Refusal::Mismatch | Refusal::NotAToken => true,
            Refusal::UnknownKey | Refusal::NotAllowed(_) => index < of_header,
            _ => false,
        };
        assert!(expected, "letter {index}: {refusal}");
    }
}

#[test]
fn a_header_may_not_ask_for_what_we_do_not_do() {
    let keys = set(&[jwk("rsa")]);
    let mut theirs = jwk("rsa");
    theirs["kid"] = json!("theirs");
    for (changes, expected) in [
        (json!({ "crit": ["exp"], "exp": 1 }), Err(Refusal::NotAllowed("critical extension"))),
        (json!({ "crit": ["b64"], "b64": false }), Err(Refusal::NotAllowed("critical extension"))),
        (json!({ "crit": [] }), Err(Refusal::NotAllowed("critical extension"))),
        (json!({ "crit": "b64" }), Err(Refusal::NotAToken)),
        (json!({ "enc": "A128GCM" }), Err(Refusal::NotAllowed("encryption"))),
        (json!({ "zip": "DEF" }), Err(Refusal::NotAllowed("encryption"))),
        (json!({ "kid": 7 }), Err(Refusal::NotAToken)),
        // Where the token says that its key is to be found, nobody looks.
        (json!({ "kid": "theirs", "jwk": theirs, "jku": "https://evil.example.com" }), Err(Refusal::UnknownKey)),
        (json!({ "kid": "../../dev/null" }), Err(Refusal::UnknownKey)),
        (json!({ "typ": null }), Ok(())),
    ] {
        let token = forged(&header(changes.clone()), &claims(json!({})), rsa());
        assert_eq!(judge(&token, &keys), expected, "{changes}");
    }
}

#[test]
fn what_is_no_compact_token_is_refused() {
    let keys = set(&[jwk("rsa")]);
    let of = |header: &str, claims: &str| forged(header, claims, rsa());
    let (header, claims) = (header(json!({})), claims(json!({})));
    let good = of(&header, &claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (first, _) = message.split_once('.').unwrap();
    for (token, expected) in [
        (message.to_owned(), Refusal::NotAToken),
        (format!("{message}."), Refusal::Mismatch),
        (format!("{good}."), Refusal::NotAToken),
        (format!("{good}.e30"), Refusal::NotAToken),
        // A JWE has five parts.
        (format!("{good}.e30.e30"), Refusal::NotAToken),
        (format!("{first}..{signature}"), Refusal::Mismatch),
        (format!("{good}="), Refusal::NotAToken),
        (format!("{first} .{}", &good[first.len() + 1..]), Refusal::NotAToken),
        (format!("{good} {good}"), Refusal::NotAToken),
        (format!("{good},{good}"), Refusal::NotAToken),
        (".".repeat(1000), Refusal::NotAToken),
        ("A".repeat(70_000), Refusal::NotAToken),
        // Good, but for its size.
        (of(&header, &format!("{}{claims}", " ".repeat(64 * 1024))), Refusal::NotAToken),
        (of(&"[".repeat(10_000), &claims), Refusal::NotAToken),
        (of(&header, &"[".repeat(10_000)), Refusal::NotAToken),
        (of(&header, "[]"), Refusal::NotAToken),
        (of(&header, "null"), Refusal::NotAToken),
        (of(&header, "not JSON"), Refusal::NotAToken),
        (of(&header, "{} {}"), Refusal::NotAToken),
        (of(&header, "{\"exp\":1e999}"), Refusal::NotAToken),
    ] {
        assert_eq!(judge(&token, &keys), Err(expected), "{} bytes: {token:.60}", token.len());
    }
    for body in ["", "{}", "secevent", "\u{e9}.\u{e9}.\u{e9}", ".."] {
        let verdict = expecting(table(SHARED_SIGNALS)).verify(&HeaderMap::new(), body.as_bytes(), &keys, NOW);
        assert_eq!(verdict.unwrap_err(), Refusal::NotAToken, "{body}");
    }
}

#[test]
fn a_header_that_is_missing_or_doubled_or_unreadable_is_refused() {
    let token = forged(&header(json!({})), &claims(json!({})), rsa());
    let judge = |headers: &HeaderMap| keycloak().verify(headers, BODY, &set(&[jwk("rsa")]), NOW).unwrap_err();
    let name = || "authorization".to_owned();
    assert_eq!(judge(&HeaderMap::new()), Refusal::Missing(name()));
    assert_eq!(judge(&headers([("authorization", token.as_str())])), Refusal::Malformed(name()));
    assert_eq!(judge(&headers([("authorization", "Basic YTpi")])), Refusal::Malformed(name()));
    let mut spoiled = bearer(&token);
    spoiled.append("authorization", spoiled["authorization"].clone());
    assert_eq!(judge(&spoiled), Refusal::Doubled(name()));
    spoiled.insert("authorization", HeaderValue::from_bytes("Bearer é.é.é".as_bytes()).unwrap());
    assert_eq!(judge(&spoiled), Refusal::Malformed(name()));
}

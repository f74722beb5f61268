//! What a token says: who issued it, for whom, when, and for which body.

use super::*;

#[test]
fn a_token_is_taken_from_its_issuer_for_us_and_in_its_time_alone() {
    let now = NOW.unix_timestamp();
    let keys = set(&[jwk("rsa")]);
    let (late, claim) = (Err(Refusal::OutsideTolerance), |name| Err(Refusal::Claim(name)));
    for (changes, expected) in [
        (json!({}), Ok(())),
        (json!({ "iss": null }), Err(Refusal::Issuer)),
        (json!({ "iss": format!("{ISSUER}/") }), Err(Refusal::Issuer)),
        (json!({ "iss": ISSUER.to_uppercase() }), Err(Refusal::Issuer)),
        (json!({ "iss": [ISSUER] }), claim("iss")),
        (json!({ "iss": "" }), claim("iss")),
        (json!({ "aud": null }), Err(Refusal::Audience)),
        (json!({ "aud": [] }), Err(Refusal::Audience)),
        (json!({ "aud": format!("{AUDIENCE}.evil.example.com") }), Err(Refusal::Audience)),
        (json!({ "aud": ["https://other.example.com"] }), Err(Refusal::Audience)),
        (json!({ "aud": { "a": AUDIENCE } }), Err(Refusal::Audience)),
        (json!({ "aud": ["https://other.example.com", 7, AUDIENCE] }), Ok(())),
        (json!({ "exp": now - 59 }), Ok(())),
        (json!({ "exp": now as f64 - 59.5 }), Ok(())),
        (json!({ "exp": now - 60 }), late.clone()),
        (json!({ "exp": -1 }), late.clone()),
        (json!({ "exp": null }), claim("exp")),
        (json!({ "exp": (now + 300).to_string() }), claim("exp")),
        (json!({ "exp": true }), claim("exp")),
        (json!({ "nbf": now + 60 }), Ok(())),
        (json!({ "nbf": now + 61 }), late.clone()),
        (json!({ "nbf": "soon" }), claim("nbf")),
        (json!({ "iat": now + 60 }), Ok(())),
        (json!({ "iat": now + 61 }), late.clone()),
        (json!({ "iat": 1e300 }), late),
        (json!({ "iat": null }), claim("iat")),
        (json!({ "jti": null }), claim("jti")),
        (json!({ "jti": "" }), claim("jti")),
        (json!({ "jti": 7 }), claim("jti")),
    ] {
        let token = forged(&header(json!({})), &claims(changes.clone()), rsa());
        assert_eq!(judge(&token, &keys), expected, "{changes}");
    }
}

#[test]
fn a_row_that_expects_no_audience_does_not_take_what_is_meant_for_somebody() {
    let now = NOW.unix_timestamp();
    let hash = BASE64_STANDARD.encode(Sha256::digest(BODY));
    for (claims, expected) in [
        (json!({ "request_body_sha256": hash }), Ok(())),
        (json!({ "request_body_sha256": hash, "iss": "anybody" }), Ok(())),
        (json!({ "request_body_sha256": hash, "aud": AUDIENCE }), Err(Refusal::Audience)),
        (json!({ "request_body_sha256": hash, "exp": now - 60 }), Err(Refusal::OutsideTolerance)),
    ] {
        let token = forged(&header(json!({})), &claims.to_string(), rsa());
        let headers = headers([("x-fusionauth-signature-jwt", token.as_str())]);
        let verdict = table(FUSIONAUTH).verify(&headers, BODY, &set(&[jwk("rsa")]), NOW);
        assert_eq!(verdict.map(|_| ()), expected, "{claims}");
    }
}

#[test]
fn a_token_is_for_one_body() {
    let keys = set(&[jwk("rsa")]);
    let hash = hex::encode(Sha256::digest(BODY));
    for (told, expected) in [
        (json!(hash.to_uppercase()), Ok(())),
        (json!(null), Err(Refusal::Claim("body hash"))),
        (json!(7), Err(Refusal::Claim("body hash"))),
        (json!(BASE64_STANDARD.encode(Sha256::digest(BODY))), Err(Refusal::Claim("body hash"))),
        (json!(""), Err(Refusal::BodyHash)),
        (json!(hash[..62]), Err(Refusal::BodyHash)),
        (json!(format!("{hash}00")), Err(Refusal::BodyHash)),
        (json!(hex::encode(Sha256::digest(b""))), Err(Refusal::BodyHash)),
    ] {
        let token = forged(&header(json!({})), &claims(json!({ "request_body_sha256": told })), rsa());
        assert_eq!(judge(&token, &keys), expected, "{told}");
    }
    let good = bearer(&forged(&header(json!({})), &claims(json!({})), rsa()));
    for index in 0..BODY.len() {
        let mut body = BODY.to_vec();
        body[index] ^= 1;
        let refusal = keycloak().verify(&good, &body, &keys, NOW).unwrap_err();
        assert_eq!(refusal, Refusal::BodyHash, "byte {index}");
    }
    // FusionAuth's base64, with and without its padding.
    let standard = BASE64_STANDARD.encode(Sha256::digest(BODY));
    for told in [standard.as_str(), standard.trim_end_matches('=')] {
        let token = forged(&header(json!({})), &json!({ "request_body_sha256": told }).to_string(), rsa());
        let headers = headers([("x-fusionauth-signature-jwt", token.as_str())]);
        assert_eq!(table(FUSIONAUTH).verify(&headers, BODY, &keys, NOW).unwrap().payload(), BODY);
    }
}

#[test]
fn an_event_token_says_that_it_is_one() {
    let (jwt, keys) = (expecting(table(SHARED_SIGNALS)), set(&[jwk("rsa")]));
    let not_allowed = Err(Refusal::NotAllowed("type"));
    for (typ, expected) in [
        (json!("secevent+jwt"), Ok(())),
        (json!("application/secevent+jwt"), Ok(())),
        (json!("SecEvent+JWT"), Ok(())),
        (json!("JWT"), not_allowed.clone()),
        (json!("at+jwt"), not_allowed.clone()),
        (json!("secevent+jwt "), not_allowed.clone()),
        (json!(null), not_allowed),
    ] {
        let token = forged(&header(json!({ "typ": typ })), &claims(json!({ "exp": null })), rsa());
        let verdict = jwt.verify(&HeaderMap::new(), token.as_bytes(), &keys, NOW);
        assert_eq!(verdict.map(|_| ()), expected, "{typ}");
    }
    let payload = format!("{{ \"events\" : {{}}, {}", &claims(json!({}))[1..]);
    let token = forged(&header(json!({ "typ": "secevent+jwt" })), &payload, rsa());
    let proven = jwt.verify(&HeaderMap::new(), format!("{token}\r\n").as_bytes(), &keys, NOW).unwrap();
    assert_eq!((proven.payload(), proven.id()), (payload.as_bytes(), Some("evt-1")));
}

//! A row of the table of senders, and signing as it says.

use super::*;

#[test]
fn a_row_that_would_take_too_much_is_a_fault() {
    let beside = "header = \"x-jwt\"\nalgorithms =";
    for (row, expected) in [
        (format!("{beside} []"), "`algorithms` names none"),
        (format!("{beside} [\"none\"]"), "unknown variant `none`"),
        (format!("{beside} [\"HS256\", \"RS256\"]"), "without a `body_hash` only a shared secret"),
        (format!("{beside} [\"HS256\"]\nrequire = [\"sub\"]"), "unknown variant `sub`"),
        ("header = \"x jwt\"\nalgorithms = [\"HS256\"]".to_owned(), "`x jwt` is no header name"),
        ("algorithms = [\"RS256\"]".to_owned(), "a body that is a token needs its `typ`"),
        ("algorithms = [\"RS256\"]\ntyp = \"a\"\nprefix = \"b\"".to_owned(), "`prefix` goes with a `header`"),
        (
            "algorithms = [\"RS256\"]\ntyp = \"a\"\nbody_hash = { claim = \"b\", encoding = \"hex\" }".to_owned(),
            "`body_hash` goes with a `header`",
        ),
    ] {
        let fault = toml::from_str::<Jwt>(&row).unwrap_err().to_string();
        assert!(fault.contains(expected), "{row}: {fault}");
    }
}

#[test]
fn a_row_that_checks_a_party_must_be_told_which() {
    let text = |text: &str| Some(text.to_owned());
    for (issuer, audience, expected) in [
        (None, text(AUDIENCE), "`issuer` must say whose tokens to take"),
        (text(""), text(AUDIENCE), "`issuer` must say whose tokens to take"),
        (text(ISSUER), None, "`audience` must say for whom they are"),
    ] {
        assert_eq!(table(KEYCLOAK).expecting(issuer, audience).unwrap_err(), expected);
    }
    assert_eq!(table(FUSIONAUTH).expecting(None, None).map(|_| ()), Ok(()));
    // Where nobody asked, nothing is taken.
    let token = forged(&header(json!({})), &claims(json!({})), rsa());
    let refusal = table(KEYCLOAK).verify(&bearer(&token), BODY, &set(&[jwk("rsa")]), NOW).unwrap_err();
    assert_eq!(refusal, Refusal::Issuer);
}

#[test]
fn what_we_sign_as_a_sender_is_taken_with_the_keys_that_it_publishes() {
    let only =
        |algorithm: &str| expecting(toml::from_str(&format!("algorithms = [\"{algorithm}\"]\n{KEYCLOAK}")).unwrap());
    let verify = |jwt: &Jwt, secret: &SecretString, keys: &JwtKeys| -> Result<VerifiedToken, Refusal> {
        let signed = jwt.sign(secret, "evt-7", NOW, BODY).unwrap();
        assert_eq!(signed.body, BODY);
        let pairs = signed.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        jwt.verify(&headers(pairs), &signed.body, keys, NOW)
    };
    for (name, algorithms) in [
        ("rsa", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].as_slice()),
        ("p256", &["ES256"]),
        ("p384", &["ES384"]),
        ("ed25519", &["EdDSA"]),
    ] {
        for algorithm in algorithms {
            let (jwt, key) = (only(algorithm), private_key(name));
            let published = jwt.key_set(&key).unwrap()["keys"][0].take();
            // The recorded key's id is the thumbprint that another library computed.
            let mut expected = jwk(name);
            (expected["use"], expected["alg"]) = (json!("sig"), json!(algorithm));
            assert_eq!(published, expected);
            let proven = verify(&jwt, &key, &set(&[published])).unwrap();
            assert_eq!((proven.id(), proven.payload()), (Some("evt-7"), BODY), "{algorithm}");
            assert_eq!(verify(&jwt, &key, &set(&[])).unwrap_err(), Refusal::UnknownKey);
        }
    }
    for algorithm in ["HS256", "HS384", "HS512"] {
        let (jwt, secret) = (only(algorithm), SecretString::from(SHARED));
        assert_eq!(verify(&jwt, &secret, &shared(&jwt, SHARED)).unwrap().id(), Some("evt-7"), "{algorithm}");
        assert_eq!(verify(&jwt, &secret, &shared(&jwt, "another shared secret")).unwrap_err(), Refusal::Mismatch);
    }
    let pkcs1 = SecretString::from(recorded()["keys"]["rsa"]["private_pem_pkcs1"].as_str().unwrap());
    assert_eq!(verify(&only("RS256"), &pkcs1, &set(&[jwk("rsa")])).unwrap().id(), Some("evt-7"));
}

#[test]
fn an_event_token_is_signed_as_the_body() {
    let jwt = expecting(table(SHARED_SIGNALS));
    let signed = jwt.sign(&private_key("p256"), "evt-7", NOW, br#"{"events":{"a":{}}}"#).unwrap();
    assert_eq!(signed.headers, [("content-type".to_owned(), "application/secevent+jwt".to_owned())]);
    let proven = jwt.verify(&HeaderMap::new(), &signed.body, &set(&[jwk("p256")]), NOW).unwrap();
    let claims: Value = serde_json::from_slice(proven.payload()).unwrap();
    let iat = NOW.unix_timestamp();
    let expected = json!({ "events": { "a": {} }, "iss": ISSUER, "aud": AUDIENCE, "iat": iat, "jti": "evt-7" });
    assert_eq!(claims, expected);
}

#[test]
fn what_the_sender_could_not_sign_is_not_signed() {
    let rsa_alone = "algorithms = [\"RS256\"]\ntyp = \"secevent+jwt\"";
    let cannot = |jwt: &Jwt, secret: &SecretString, body: &[u8]| jwt.sign(secret, "evt-7", NOW, body).is_none();
    let jwt: Jwt = toml::from_str(rsa_alone).unwrap();
    assert!(!cannot(&jwt, &private_key("rsa"), b"{}"));
    assert!(cannot(&jwt, &private_key("rsa"), b"no JSON"));
    assert!(cannot(&jwt, &private_key("p256"), b"{}"));
    assert!(cannot(&jwt, &SecretString::from(SHARED), b"{}"));
    assert!(cannot(&jwt, &SecretString::from("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"), b"{}"));
    assert!(cannot(&jwt, &SecretString::from(recorded()["weak_rsa"]["private_pem"].as_str().unwrap()), b"{}"));
    // Nobody told who issues it.
    let unnamed: Jwt = toml::from_str(&format!("{rsa_alone}\nrequire = [\"iss\"]")).unwrap();
    assert!(cannot(&unnamed, &private_key("rsa"), b"{}"));
    assert_eq!(jwt.key_set(&SecretString::from(SHARED)), None);
}

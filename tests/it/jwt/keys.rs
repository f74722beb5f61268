//! Which key may check a token, and by which algorithm.

use super::*;

#[test]
fn a_public_key_is_never_taken_for_a_shared_secret() {
    let recorded = recorded();
    let key = &recorded["keys"]["rsa"];
    let pem = key["public_pem"].as_str().unwrap();
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec();
    let modulus = key["jwk"]["n"].as_str().unwrap();
    let public = [
        pem.as_bytes().to_vec(),
        pem.trim().as_bytes().to_vec(),
        der.clone(),
        // The PKCS#1 inside of it.
        der[24..].to_vec(),
        modulus.as_bytes().to_vec(),
        BASE64_URL_SAFE_NO_PAD.decode(modulus).unwrap(),
        key["jwk"].to_string().into_bytes(),
        Vec::new(),
    ];
    let not_allowed = Err(Refusal::NotAllowed("algorithm"));
    for secret in public {
        let token = forged(&header(json!({ "alg": "HS256" })), &claims(json!({})), hs256(&secret));
        assert_eq!(judge(&token, &set(&[jwk("rsa")])), not_allowed);
    }
    // The set hands out a secret of its own.
    let oct = json!({ "kty": "oct", "kid": "o", "alg": "HS256", "k": BASE64_URL_SAFE_NO_PAD.encode(SHARED) });
    let token = forged(&header(json!({ "alg": "HS256", "kid": "o" })), &claims(json!({})), hs256(SHARED.as_bytes()));
    assert_eq!(judge(&token, &set(&[oct, jwk("rsa")])), not_allowed);
    // The other way round: a shared secret that looks like a public key.
    let token = forged(&header(json!({})), &claims(json!({})), rsa());
    assert_eq!(judge(&token, &shared(&keycloak(), pem)), not_allowed);
    assert_eq!(judge(&token, &set(&[jwk("rsa")])), Ok(()));
}

#[test]
fn an_algorithm_that_is_not_on_the_list_or_not_the_keys_is_refused() {
    let narrow = expecting(toml::from_str(&format!("algorithms = [\"ES256\"]\n{KEYCLOAK}")).unwrap());
    let token = forged(&header(json!({})), &claims(json!({})), rsa());
    let refusal = narrow.verify(&bearer(&token), BODY, &set(&[jwk("rsa")]), NOW).unwrap_err();
    assert_eq!(refusal, Refusal::NotAllowed("algorithm"));
    let mut for_rs512 = jwk("rsa");
    for_rs512["alg"] = json!("RS512");
    assert_eq!(judge(&token, &set(&[for_rs512])), Err(Refusal::UnknownKey));
    // Signed by the RSA key, said to be by the key on a curve, and the reverse.
    let token = forged(&header(json!({ "kid": jwk("p256")["kid"] })), &claims(json!({})), rsa());
    assert_eq!(judge(&token, &set(&["rsa", "p256"].map(jwk))), Err(Refusal::UnknownKey));
    let token = forged(&header(json!({ "alg": "ES256" })), &claims(json!({})), rsa());
    assert_eq!(judge(&token, &set(&["rsa", "p256"].map(jwk))), Err(Refusal::UnknownKey));
    // PKCS#1 v1.5 said to be PSS.
    let token = forged(&header(json!({ "alg": "PS256" })), &claims(json!({})), rsa());
    assert_eq!(judge(&token, &set(&[jwk("rsa")])), Err(Refusal::Mismatch));
}

#[test]
fn a_token_without_an_algorithm_is_none() {
    let algorithms = ["none", "None", "NONE", "nOnE", "none ", ""].map(|name| json!(name));
    for algorithm in algorithms.into_iter().chain([json!(null), json!(0), json!(["RS256"])]) {
        for keys in [set(&[jwk("rsa")]), shared(&keycloak(), SHARED)] {
            let header = header(json!({ "alg": algorithm }));
            let unsigned = forged(&header, &claims(json!({})), |_| Vec::new());
            assert_eq!(judge(&unsigned, &keys), Err(Refusal::NotAToken), "{algorithm}");
            assert_eq!(judge(&forged(&header, &claims(json!({})), rsa()), &keys), Err(Refusal::NotAToken));
        }
    }
    let twice = r#"{"alg":"none","alg":"RS256"}"#;
    assert_eq!(judge(&forged(twice, &claims(json!({})), rsa()), &set(&[jwk("rsa")])), Err(Refusal::NotAToken));
}

#[test]
fn the_key_id_chooses_the_key_and_without_one_there_is_but_one_key() {
    let vectors: Value = serde_json::from_str(include_str!("../../data/vectors/fusionauth_jose.json")).unwrap();
    let second = &vectors[1]["jwks"]["keys"][0];
    let mut same_id = jwk("rsa");
    same_id["n"] = second["n"].clone();
    let token = |kid: &Value| forged(&header(json!({ "kid": kid })), &claims(json!({})), rsa());
    for (kid, keys, expected) in [
        (json!(null), vec![jwk("rsa")], Ok(())),
        (json!(null), vec![jwk("p256"), jwk("rsa"), jwk("ed25519")], Ok(())),
        (json!(null), vec![jwk("rsa"), second.clone()], Err(Refusal::UnknownKey)),
        (json!(null), vec![], Err(Refusal::UnknownKey)),
        (json!("another"), vec![jwk("rsa")], Err(Refusal::UnknownKey)),
        (json!(""), vec![jwk("rsa")], Err(Refusal::UnknownKey)),
        (second["kid"].clone(), vec![jwk("rsa"), second.clone()], Err(Refusal::Mismatch)),
        // Two keys may have one id (RFC 7517 4.5).
        (jwk("rsa")["kid"].clone(), vec![same_id, jwk("rsa")], Ok(())),
    ] {
        assert_eq!(judge(&token(&kid), &set(&keys)), expected, "{kid} of {}", keys.len());
    }
}

/// A recorded key with another member.
fn with(name: &str, member: &str, value: Value) -> Value {
    let mut jwk = jwk(name);
    jwk[member] = value;
    jwk
}

#[test]
fn a_key_that_is_not_for_signatures_or_too_weak_is_not_there() {
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(jwk("rsa")["n"].as_str().unwrap()).unwrap();
    let zero_in_front = BASE64_URL_SAFE_NO_PAD.encode([[0].as_slice(), &modulus].concat());
    let token = forged(&header(json!({})), &claims(json!({})), rsa());
    for (key, expected) in [
        (with("rsa", "use", json!("sig")), Ok(())),
        (with("rsa", "key_ops", json!(["verify"])), Ok(())),
        (with("rsa", "n", json!(zero_in_front)), Ok(())),
        (with("rsa", "use", json!("enc")), Err(Refusal::UnknownKey)),
        (with("rsa", "use", json!("tls")), Err(Refusal::UnknownKey)),
        (with("rsa", "key_ops", json!(["encrypt"])), Err(Refusal::UnknownKey)),
        (with("rsa", "alg", json!("RSA-OAEP")), Err(Refusal::UnknownKey)),
        (with("rsa", "alg", json!("RS256K")), Err(Refusal::UnknownKey)),
        (with("rsa", "kty", json!("EC")), Err(Refusal::UnknownKey)),
        (with("rsa", "n", json!("")), Err(Refusal::UnknownKey)),
        (with("rsa", "n", json!("AAAA")), Err(Refusal::UnknownKey)),
        (with("rsa", "e", json!("AQ")), Err(Refusal::Mismatch)),
        (with("rsa", "e", json!("")), Err(Refusal::Mismatch)),
    ] {
        assert_eq!(judge(&token, &set(std::slice::from_ref(&key))), expected, "{key}");
    }
    let weak = &recorded()["weak_rsa"];
    assert_eq!(judge(weak["token"].as_str().unwrap(), &set(&[weak["jwk"].clone()])), Err(Refusal::UnknownKey));
}

#[test]
fn a_point_that_is_on_no_curve_of_ours_is_no_key() {
    let (unknown, mismatch) = (Err(Refusal::UnknownKey), Err(Refusal::Mismatch));
    for (algorithm, key, expected) in [
        ("ES256", with("p256", "x", json!("AA")), unknown.clone()),
        ("ES256", with("p256", "crv", json!("P-521")), unknown.clone()),
        ("ES256", with("p256", "crv", json!("secp256k1")), unknown.clone()),
        ("EdDSA", with("ed25519", "x", json!("AA")), unknown.clone()),
        ("EdDSA", with("ed25519", "crv", json!("X25519")), unknown.clone()),
        ("EdDSA", with("ed25519", "crv", json!("P-256")), unknown),
        ("ES256", with("p256", "y", jwk("p256")["x"].clone()), mismatch.clone()),
        // Good keys, and the signature of zeros that passed elsewhere (CVE-2022-21449).
        ("ES256", jwk("p256"), mismatch.clone()),
        ("EdDSA", jwk("ed25519"), mismatch),
    ] {
        let header = header(json!({ "alg": algorithm, "kid": key["kid"] }));
        let token = forged(&header, &claims(json!({})), |_| vec![0; 64]);
        assert_eq!(judge(&token, &set(std::slice::from_ref(&key))), expected, "{key}");
    }
}

#[test]
fn one_of_several_shared_secrets_will_do_and_none_is_shown() {
    let jwt: Jwt = toml::from_str("header = \"x-webhook-secret\"\nalgorithms = [\"HS256\"]").unwrap();
    let judge = |secret: Value, token: &str| {
        let keys = jwt.keys(&Secret::parse("s", &secret.to_string()).unwrap()).unwrap();
        let shown = format!("{keys:?}");
        assert!(["Shared([Key])", "Shared([Key, Key])"].contains(&shown.as_str()), "{shown}");
        jwt.verify(&headers([("x-webhook-secret", token)]), BODY, &keys, NOW).map(|_| ())
    };
    let token = forged(r#"{"alg":"HS256","kid":"any"}"#, "{}", hs256(SHARED.as_bytes()));
    assert_eq!(judge(json!({ "signing_secret": SHARED }), &token), Ok(()));
    assert_eq!(judge(json!({ "signing_secrets": ["another shared secret", SHARED] }), &token), Ok(()));
    assert_eq!(judge(json!({ "signing_secret": "another shared secret" }), &token), Err(Refusal::Mismatch));
    let stripped = &token[..=token.rfind('.').unwrap()];
    assert_eq!(judge(json!({ "signing_secret": SHARED }), stripped), Err(Refusal::Mismatch));
    let longer = forged(r#"{"alg":"HS512"}"#, "{}", hs256(SHARED.as_bytes()));
    assert_eq!(judge(json!({ "signing_secret": SHARED }), &longer), Err(Refusal::NotAllowed("algorithm")));
    for (value, expected) in [
        (json!({}), "secret `s`: key `signing_secret` is missing"),
        (json!({ "signing_secret": "" }), "secret `s`: key `signing_secret` is empty"),
    ] {
        let secret = Secret::parse("s", &value.to_string()).unwrap();
        assert_eq!(jwt.keys(&secret).unwrap_err().to_string(), expected);
    }
}

//! Tokens made and judged by other libraries.

use super::*;

/// How many verdicts there were, by who made the token.
type Counts = BTreeMap<String, usize>;

fn check(
    jwt: &Jwt,
    vector: &Value,
    keys: &JwtKeys,
    refusal: Option<Refusal>,
    counts: &mut Counts,
) -> Option<VerifiedToken> {
    let pairs = vector["headers"].as_object().unwrap().iter();
    let headers = headers(pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
    let now = vector["now"].as_i64().map_or(NOW, |now| OffsetDateTime::from_unix_timestamp(now).unwrap());
    let verdict = jwt.verify(&headers, vector["body"].as_str().unwrap().as_bytes(), keys, now);
    let id = vector["id"].as_str().unwrap();
    assert_eq!(verdict.as_ref().err(), refusal.as_ref(), "{id}");
    assert_eq!(if verdict.is_ok() { "accept" } else { "reject" }, vector["expect"], "{id}");
    let made_by = id.split_once('/').unwrap().0;
    *counts.entry(format!("{made_by} {}", vector["expect"].as_str().unwrap())).or_default() += 1;
    verdict.ok()
}

#[test]
fn every_recorded_token_gets_its_recorded_verdict() {
    let mut counts = Counts::new();
    let fusionauth = table(&format!("{FUSIONAUTH}\nsecret = \"whsec\""));
    for vector in serde_json::from_str::<Vec<Value>>(include_str!("../../data/vectors/fusionauth_jose.json")).unwrap() {
        let keys = match vector["key_base64"].as_str() {
            Some(secret) => shared(&fusionauth, secret),
            None => set(vector["jwks"]["keys"].as_array().unwrap()),
        };
        let proven = check(&fusionauth, &vector, &keys, None, &mut counts).unwrap();
        assert_eq!((proven.payload(), proven.id()), (vector["body"].as_str().unwrap().as_bytes(), None));
    }
    let (recorded, keycloak) = (recorded(), expecting(table(&format!("{KEYCLOAK}\nsecret = \"whsec\""))));
    for vector in recorded["vectors"].as_array().unwrap() {
        let keys = match vector["key"].as_str() {
            Some(_) => set(&["rsa", "p256", "p384", "ed25519"].map(jwk)),
            None => shared(&keycloak, recorded["secret_base64"].as_str().unwrap()),
        };
        let proven = check(&keycloak, vector, &keys, None, &mut counts).unwrap();
        assert_eq!(proven.id(), Some(format!("jti-{}", vector["alg"].as_str().unwrap()).as_str()));
    }
    for vector in serde_json::from_str::<Vec<Value>>(include_str!("../../data/vectors/ssf_set_jose.json")).unwrap() {
        let told = |name| vector[name].as_str().map(str::to_owned);
        let jwt = table(SHARED_SIGNALS).expecting(told("issuer"), told("audience")).unwrap();
        let refusal = match vector["id"].as_str().unwrap() {
            "ssf-set/wrong_aud" => Some(Refusal::Audience),
            "ssf-set/wrong_typ" => Some(Refusal::NotAllowed("type")),
            _ => None,
        };
        let keys = set(vector["jwks"]["keys"].as_array().unwrap());
        if let Some(proven) = check(&jwt, &vector, &keys, refusal, &mut counts) {
            assert_eq!(proven.id(), vector["claims"]["jti"].as_str());
            assert_eq!(serde_json::from_slice::<Value>(proven.payload()).unwrap(), vector["claims"]);
        }
    }
    let counts: Vec<_> = counts.iter().map(|(verdict, count)| format!("{verdict} {count}")).collect();
    assert_eq!(counts, ["fusionauth-jwt accept 3", "pyjwt accept 12", "ssf-set accept 3", "ssf-set reject 2"]);
}

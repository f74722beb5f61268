//! Senders that sign with a JSON Web Token.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName};
use offboard::secrets::Secret;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{check, tells, with, without};
use crate::signing::{KEY, NOW, source};

#[test]
fn fusionauth_decides_by_the_type_and_not_by_the_user() {
    let event = |kind: &str| {
        json!({ "event": { "id": "e1", "type": kind, "createInstant": 1_769_884_919_056_u64, "tenantId": "t1",
            "info": { "userId": "actor" },
            "user": { "id": "u1", "active": true, "email": "ann@example.com", "verified": true } } })
    };
    let gone = event("user.delete.complete");
    let unproven = |at: &str| format!("left #u1; fault: field {at} does not say that the e-mail address is verified");
    let identity = json!([{ "type": "phoneNumber", "verified": false }, { "type": "email", "verified": false }]);
    let (active, inactive) = (event("user.registration.delete"), event("user.delete"));
    for table in ["kind = \"fusionauth\"", "kind = \"fusionauth\"\njwks = \"https://idp.example.com/jwks.json\""] {
        check(
            table,
            [
                (gone.clone(), "left #u1 ann@example.com"),
                (event("user.deactivate"), "left #u1 ann@example.com"),
                (without(&gone, "/event/user/email"), "left #u1"),
                (with(&gone, "/event/user/verified", json!(false)), &unproven("/event/user/verified")),
                (
                    with(&gone, "/event/user/identities", identity.clone()),
                    &unproven("/event/user/identities/[type=email]/verified"),
                ),
                (active.clone(), "user.registration.delete: left a group or an organization"),
                (inactive.clone(), "user.delete: not a departure"),
                (event("user.email.update"), "proven #u1 ann@example.com; user.email.update: not a departure"),
            ],
        );
    }
    check("kind = \"fusionauth\"\nalso = [\"user.delete\"]", [(inactive, "left #u1 ann@example.com")]);
}

#[test]
fn frontegg_writes_null_of_an_address_that_nobody_proved() {
    let event = |kind: &str, verified: Value| {
        json!({ "eventKey": kind, "eventContext": { "tenantId": "t1", "userId": "actor" },
            "user": { "id": "u1", "email": "ann@example.com", "verified": verified, "tenantId": "t1" } })
    };
    let (deleted, created) = ("frontegg.user.deleted", "frontegg.user.created");
    let gone = event(deleted, json!(null));
    let not = "not a departure";
    check(
        "kind = \"frontegg\"",
        [
            (event(deleted, json!(true)), "left #u1 ann@example.com"),
            (without(&gone, "/user/verified"), "left #u1 ann@example.com"),
            (gone.clone(), "left #u1; fault: field /user/verified does not say that the e-mail address is verified"),
            (event("frontegg.user.removedFromTenant", json!(true)), {
                "frontegg.user.removedFromTenant: left a group or an organization"
            }),
            (event(created, json!(null)), &format!("active, claimed #u1 ann@example.com; {created}: {not}")),
        ],
    );
    check("kind = \"frontegg\"\naccept_unverified = true", [(gone, "left #u1 ann@example.com")]);
}

#[test]
fn frontegg_signs_no_body_and_its_token_names_no_event() {
    let source = source("kind = \"frontegg\"");
    let keys = source.scheme.keys(&Secret::parse("s", &json!({ "signing_secret": KEY }).to_string()).unwrap()).unwrap();
    let parts = [r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"jti":"always the same"}"#]
        .map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let signed = parts.join(".");
    let mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap().chain_update(&signed).finalize();
    let token = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.into_bytes()));
    let headers = HeaderMap::from_iter([(HeaderName::from_static("x-webhook-secret"), token.parse().unwrap())]);
    let id = |user: &str| {
        let body = json!({ "eventKey": "frontegg.user.deleted", "user": { "id": user } }).to_string();
        let verified = source.scheme.verify(&headers, body.as_bytes(), &keys, NOW).unwrap();
        source.delivery(&verified).unwrap().departures[0].id.clone()
    };
    assert!(id("u1") == id("u1") && id("u1") != id("u2"));
}

#[test]
fn a_security_event_token_names_its_subject_in_several_forms() {
    let purged = "https://schemas.openid.net/secevent/risc/event-type/account-purged";
    let disabled = "https://schemas.openid.net/secevent/risc/event-type/account-disabled";
    let revoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
    let table = "kind = \"shared_signals\"\njwks = \"https://idp.example.com/jwks.json\"\n\
                 issuer = \"https://idp.example.com\"\naudience = \"us\"";
    let token = |subject: Value, event: &str| json!({ "sub_id": subject, "events": { event: {} } });
    let email = json!({ "format": "email", "email": "ann@example.com" });
    let iss_sub = json!({ "format": "iss_sub", "iss": "https://idp.example.com", "sub": "u1" });
    let complex = json!({ "format": "complex", "user": email, "session": { "format": "opaque", "id": "s1" },
        "tenant": { "format": "iss_sub", "iss": "https://idp.example.com", "sub": "t1" } });
    let older = json!({ "events": { purged: { "subject": { "subject_type": "iss-sub", "sub": "u1" } } } });
    let several =
        json!({ "sub_id": email, "events": { revoked: {}, purged: {}, disabled: { "reason": "hijacking" } } });
    check(
        table,
        [
            (token(email.clone(), purged), "left ann@example.com"),
            (token(iss_sub, purged), "left #u1"),
            (token(json!({ "format": "opaque", "id": "u1" }), purged), "left #u1"),
            (token(complex.clone(), purged), "left ann@example.com"),
            (token(without(&complex, "/user"), purged), "left nobody"),
            (token(json!({ "format": "phone_number", "phone_number": "+12065550100" }), purged), "left nobody"),
            (older, "left #u1"),
            (token(email.clone(), revoked), &format!("{revoked}: not a departure")),
            (token(email, disabled), &format!("{disabled}: a suspension")),
            (several, &format!("left ann@example.com; {revoked}: not a departure; {disabled}: a suspension")),
            (json!({ "events": {} }), ""),
            (json!({ "sub_id": {} }), "400: field /events is missing"),
        ],
    );
    let verification = "https://schemas.openid.net/secevent/ssf/event-type/verification";
    let body =
        json!({ "sub_id": { "format": "opaque", "id": "stream" }, "events": { verification: { "state": "x" } } });
    assert_eq!(tells(table, &[], &body.to_string()), format!("{verification}: not a departure"));
}

#[test]
fn keycloak_may_sign_by_the_realms_key() {
    let table = "kind = \"keycloak\"\njwks = \"https://sso.example.com/realms/r/protocol/openid-connect/certs\"\n\
                 issuer = \"https://sso.example.com/realms/r\"\naudience = \"us\"";
    let event = json!({ "uid": "1", "type": "admin.USER-DELETE", "resourcePath": "users/u1",
        "authDetails": { "userId": "actor" } });
    check(table, [(event, "left #u1")]);
}

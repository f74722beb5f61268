"""What may be in a token and what may not, keys that change, and a sender whose published keys cannot be read."""

import json
import time

from senders import (
    ADA,
    AUDIENCE,
    PARTIES,
    PURGED_BY_ADDRESS,
    Key,
    account_purged,
    event_token,
    fusionauth_signer,
    keycloak_signer,
    pairs,
    recorded,
    shared,
)

DELETED = recorded("keycloak.admin.USER-DELETE.json")
BY_FUSIONAUTH = recorded("fusionauth.user.delete.complete.json")
UNKNOWN_KEY = "the key set has no key for the token"
OTHER_AUDIENCE = "the token is for another audience"
TOO_OLD = "the timestamp is outside the tolerance"
NOT_ALLOWED = "the token's algorithm is not allowed"
SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"


def checks(world, node):
    yield from of_keycloak(world, node)
    yield from of_fusionauth(world, node)
    yield from of_shared_signals(world, node)
    yield from new_keys(world, node)
    yield from no_keys(world, node)


def of_keycloak(world, node):
    published, (key, _) = pairs(node, "RS256")
    world.key_sets.publish("keycloak", published)
    world.source("keycloak", "keycloak", **PARTIES)

    def deliver(key, sign):
        return world.deliver("keycloak", *sign(key, DELETED.body, int(time.time())))

    def taken(name, key=key, **claims):
        return f"keycloak: {name}", lambda: deliver(key, keycloak_signer(node, **claims)).left(DELETED.leaver)

    def refused(name, why, key=key, **claims):
        return f"keycloak: {name}", lambda: deliver(key, keycloak_signer(node, **claims)).refused(why)

    bare = {"alg": "RS256"}
    public_as_secret = json.dumps({name: value for name, value in published.items() if name in ("kty", "n", "e")})
    yield taken("our audience among others", aud=["https://other.example.com", AUDIENCE])
    yield taken("no key id, and one published key", key=key._replace(header=bare))
    yield refused("another audience", OTHER_AUDIENCE, aud="https://other.example.com")
    yield refused("no audience", OTHER_AUDIENCE, without=["aud"])
    yield refused("another issuer", "the token is from another issuer", iss="https://other.example.com/realms/acme")
    yield refused("expired", TOO_OLD, exp=int(time.time()) - 120)
    yield refused("not valid yet", TOO_OLD, nbf=int(time.time()) + 3600)
    yield refused("never expires", "the token's claim exp is missing or cannot be read", without=["exp"])
    yield refused("no id", "the token's claim jti is missing or cannot be read", without=["jti"])
    for_body = "the token's claim body hash is missing or cannot be read"
    yield refused("not bound to the body", for_body, without=["request_body_sha256"])
    yield refused("unknown key", UNKNOWN_KEY, key=key._replace(header=key.header | {"kid": "other"}))
    yield refused("algorithm none", "the token cannot be read", key=Key({"alg": "none"}, None))
    for alg in ("HS256", "HS512"):
        forged = Key(key.header | {"alg": alg}, public_as_secret)
        yield refused(f"the public key as a secret for {alg}", NOT_ALLOWED, key=forged)


def of_fusionauth(world, node):
    published, (key, _) = pairs(node, "ES256")
    world.key_sets.publish("fusionauth_set", published)
    world.source("fusionauth_set", "fusionauth")
    secret, stranger = shared("HS256")
    world.source("fusionauth_secret", "fusionauth", {"signing_secret": secret.secret})

    def deliver(source, key, **claims):
        return world.deliver(source, *fusionauth_signer(node, **claims)(key, BY_FUSIONAUTH.body, 0))

    def refused(name, why, source, key, **claims):
        return f"fusionauth: {name}", lambda: deliver(source, key, **claims).refused(why)

    yield refused("expired", TOO_OLD, "fusionauth_set", key, exp=int(time.time()) - 120)
    yield refused("for an audience, and we are none", OTHER_AUDIENCE, "fusionauth_set", key, aud=AUDIENCE)
    unknown = key._replace(header=key.header | {"kid": "other"})
    yield refused("unknown key", UNKNOWN_KEY, "fusionauth_set", unknown)
    yield refused("a secret where keys are published", NOT_ALLOWED, "fusionauth_set", stranger)
    yield refused("a key pair where a secret is shared", NOT_ALLOWED, "fusionauth_secret", key)


def of_shared_signals(world, node):
    published, (key, _) = pairs(node, "RS256", "secevent+jwt")
    world.key_sets.publish("signals", published)
    world.source("signals", "shared_signals", **PARTIES)
    by_id = {"format": "iss_sub", "iss": PARTIES["issuer"], "sub": "00u3m90rxKjGQ0G6L1d6"}
    by_address = {"format": "email", "email": ADA.email}

    def deliver(payload, key):
        return world.deliver("signals", *event_token(node)(key, payload.body, int(time.time())))

    def taken(name, email, payload):
        return f"shared_signals: {name}", lambda: deliver(payload, key).empty(202, email)

    def refused(name, why, payload=PURGED_BY_ADDRESS, key=key):
        return f"shared_signals: {name}", lambda: deliver(payload, key).refused(why)

    yield taken("a subject without an address", None, account_purged(by_id, ADA))
    complex_subject = {"format": "complex", "user": by_address}
    another = ADA._replace(event="756E69717566")
    yield taken("a user as a part of the subject", ADA.email, account_purged(complex_subject, another))
    yield taken("a session that was revoked", None, account_purged(by_address, ADA, events={SESSION_REVOKED: {}}))
    wrong_audience = account_purged(by_address, ADA, aud="https://other.example.com")
    yield refused("another audience", OTHER_AUDIENCE, wrong_audience)
    wrong_issuer = account_purged(by_address, ADA, iss="https://other.example.com")
    yield refused("another issuer", "the token is from another issuer", wrong_issuer)
    yield refused("expired", TOO_OLD, account_purged(by_address, ADA, exp=int(time.time()) - 120))
    yield refused("unknown key", UNKNOWN_KEY, key=key._replace(header=key.header | {"kid": "other"}))
    an_access_token = key._replace(header=key.header | {"typ": "at+jwt"})
    yield refused("an access token of the same issuer", "the token's type is not allowed", key=an_access_token)


def new_keys(world, node):
    """A sender publishes its next key beside the last one, and withdraws that one later."""
    (first, (one, _)), (second, (two, _)), (_, (three, _)) = (pairs(node, "ES256") for _ in range(3))
    world.source("rotating", "keycloak", **PARTIES)
    world.key_sets.publish("rotating", first)

    def deliver(key):
        return world.deliver("rotating", *keycloak_signer(node)(key, DELETED.body, int(time.time())))

    def rotated():
        fetches = world.key_sets.fetches
        deliver(one).left(DELETED.leaver)
        deliver(one).left(DELETED.leaver)
        assert fetches["rotating"] == 1, fetches
        world.key_sets.publish("rotating", second)
        deliver(two).left(DELETED.leaver)
        assert fetches["rotating"] == 2, fetches
        deliver(one).refused(UNKNOWN_KEY)
        deliver(three).refused(UNKNOWN_KEY)
        deliver(two).left(DELETED.leaver)
        assert fetches["rotating"] == 2, fetches

    yield "keycloak: a new key costs one fetch, a key that nobody has none within a minute", rotated


def no_keys(world, node):
    published, (key, _) = pairs(node, "ES256")
    unknown = key._replace(header=key.header | {"kid": "other"})
    html = 200, {"content-type": "text/html"}, b"<html>be right back</html>"
    states = {"down": "down", "hanging": "hanging", "failing": (500, {}, b""), "not_json": html}
    states["moved"] = 301, {"location": "/elsewhere"}, b""
    for state, answer in states.items():
        world.source(f"set_{state}", "keycloak", **PARTIES)
        world.key_sets.published[f"set_{state}"] = answer

    def deliver(source, key=key):
        return world.deliver(source, *keycloak_signer(node)(key, DELETED.body, int(time.time())))

    def later(source):
        def check():
            deliver(source).later(6)
            fetched = world.key_sets.fetches[source]
            deliver(source).later(3)
            assert 1 <= world.key_sets.fetches[source] == fetched <= 2, world.key_sets.fetches

        return check

    for state in states:
        yield f"keycloak: key set {state.replace('_', ' ')}: later, and not asked again at once", later(f"set_{state}")

    world.source("set_lost", "keycloak", **PARTIES)
    world.key_sets.publish("set_lost", published)

    def lost():
        deliver("set_lost").left(DELETED.leaver)
        world.key_sets.published["set_lost"] = "down"
        deliver("set_lost").left(DELETED.leaver)
        deliver("set_lost", unknown).later(6)

    yield "keycloak: key set down after it was read: known keys hold, of others nothing is known", lost

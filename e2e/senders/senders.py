"""The senders whose own libraries sign: what each sends, and how."""

import base64
import datetime
import hashlib
import json
import pathlib
import secrets
import uuid
from dataclasses import dataclass, field
from typing import Callable, NamedTuple

import standardwebhooks
import svix.webhooks

from world import Delivery

PAYLOADS = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data" / "payloads"
INDEX = {entry["file"]: entry for entry in json.loads((PAYLOADS / "INDEX.json").read_text())}
ISSUER, AUDIENCE = "https://sso.example.com/realms/acme", "https://offboard.example.com"
PARTIES = {"issuer": ISSUER, "audience": AUDIENCE}
OTHER_BODY = "the token is for another body"
PURGED = "https://schemas.openid.net/secevent/risc/event-type/account-purged"


class Leaver(NamedTuple):
    idp_id: str | None
    external_id: str | None
    email: str | None
    event: str | None  # the event's id, where the body has one

    def shown(self):
        """As the report shows a person: the address masked."""
        fields = {"idp_id": self.idp_id, "external_id": self.external_id}
        if self.email:
            fields["email"] = f"{self.email[0]}…@{self.email.partition('@')[2]}"
        return {name: value for name, value in fields.items() if value is not None}


class Payload(NamedTuple):
    """A recorded delivery, and who leaves by it."""

    body: bytes
    headers: dict
    leaver: Leaver


def recorded(name):
    entry = INDEX[name]
    [expect] = entry["expect"]
    event = expect["event_id"] if expect["event_id"] and "<" not in expect["event_id"] else None
    leaver = Leaver(expect["provider_user_id"], expect["external_id"] or None, expect["email"], event)
    return Payload((PAYLOADS / name).read_bytes(), entry["headers"], leaver)


def written(leaver, **fields):
    return Payload(json.dumps(fields, indent=1).encode(), {}, leaver)


# As the specification writes one; anybody who uses it adds what they like.
USER_DELETED = written(
    Leaver("user_2f1c", "emp-1042", "ada.leaver@example.com", None),
    type="user.deleted",
    timestamp="2026-01-31T18:42:00.000000Z",
    data={"id": "user_2f1c", "external_id": "emp-1042", "email": "ada.leaver@example.com", "name": "Ada 🦀 Leaver"},
)
# https://stytch.com/docs/b2b/guides/webhooks: a deletion has no address.
STYTCH = written(
    Leaver("member-live-11f02bd7", None, None, "event-live-70b8a2d5"),
    action="DELETE",
    event_id="event-live-70b8a2d5",
    id="member-live-11f02bd7",
    object_type="member",
    project_id="project-live-1",
    source="SCIM",
    timestamp="2026-01-31T18:42:00Z",
)


class Key(NamedTuple):
    """What a token is signed with: its header names the key, for those who publish theirs."""

    header: dict
    secret: object


@dataclass
class Sender:
    name: str
    kind: str
    signer: str
    payload: Payload
    sign: Callable  # (key, body, moment) -> Delivery
    keys: tuple  # the configured one, and another
    settings: dict = field(default_factory=dict)
    published: dict | None = None
    timed: bool = True  # whether a delivery ages
    why_changed: str | None = "no signature matches"  # None: the body is not covered
    why_other: str = "no signature matches"

    def configure(self, world):
        if self.published:
            world.key_sets.publish(self.name, self.published)
            world.source(self.name, self.kind, **self.settings)
        else:
            key = self.keys[0]
            secret = key.secret if isinstance(key, Key) else key
            world.hidden.add(secret)
            world.source(self.name, self.kind, {"signing_secret": secret}, **self.settings)

    def signed(self, at, key=0):
        return self.sign(self.keys[key], self.payload.body, int(at))

    def changed(self, delivery):
        """The same with one byte changed, where it says who leaves."""
        who = self.payload.leaver.email or self.payload.leaver.idp_id
        return delivery._replace(body=nudged(delivery.body, who))


def nudged(text, who):
    """Somebody else instead: the name's first letter is the next one of the alphabet."""
    at = text.index(who.encode())
    return text[:at] + bytes([text[at] + 1]) + text[at + 1 :]


# ---- How each signs ------------------------------------------------------------------------------------------------


def listed(library, prefix):
    """Standard Webhooks and Svix: the same signatures under other header names, one for each secret."""

    def sign(keys, body, at):
        id, moment = f"msg_{uuid.uuid4().hex}", datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
        keys = [keys] if isinstance(keys, str) else keys
        signatures = " ".join(library(key).sign(id, moment, body.decode()) for key in keys)
        return Delivery({f"{prefix}-id": id, f"{prefix}-timestamp": str(at), f"{prefix}-signature": signatures}, body)

    return sign


def octokit(node, headers):
    def sign(secret, body, _):
        signature = node("octokit sign", secret=secret, body=body.decode())
        return Delivery(headers | {"X-Hub-Signature-256": signature}, body)

    return sign


def workos(node):
    def sign(secret, body, at):
        signed = node("workos sign", secret=secret, body=body.decode(), timestamp=at * 1000)
        return Delivery({"WorkOS-Signature": signed["header"]}, signed["body"].encode())

    return sign


def token(node, header, claims, prefix=""):
    """A JSON Web Token in a header."""

    def sign(key, body, at):
        signed = node("jose sign", header=key.header, claims=claims(body, at), secret=key.secret)
        return Delivery({header: prefix + signed}, body)

    return sign


def event_token(node):
    """A Security Event Token: the body is the claims that it signs."""

    def sign(key, body, at):
        claims = json.loads(body) | {"iat": at}
        signed = node("jose sign", header=key.header, claims=claims, secret=key.secret)
        return Delivery({"Content-Type": "application/secevent+jwt"}, signed.encode())

    return sign


class EventTokenSender(Sender):
    def changed(self, delivery):
        header, claims, signature = delivery.body.split(b".")
        claims = base64.urlsafe_b64decode(claims + b"==")
        claims = base64.urlsafe_b64encode(nudged(claims, self.payload.leaver.email)).rstrip(b"=")
        return delivery._replace(body=b".".join([header, claims, signature]))


def fusionauth_signer(node, **more):
    def claims(body, _):
        return {"request_body_sha256": base64.b64encode(hashlib.sha256(body).digest()).decode()} | more

    return token(node, "X-FusionAuth-Signature-JWT", claims)


def keycloak_signer(node, without=(), **more):
    def claims(body, at):
        made = {"iss": ISSUER, "aud": AUDIENCE, "iat": at, "exp": at + 300, "jti": str(uuid.uuid4())}
        made |= {"request_body_sha256": hashlib.sha256(body).hexdigest()} | more
        return {name: value for name, value in made.items() if name not in without}

    return token(node, "Authorization", claims, "Bearer ")


def frontegg_claims(_, at):
    return {"iat": at, "exp": at + 300}


def account_purged(subject, leaver, **claims):
    """https://openid.net/specs/openid-risc-1_0.html: the account is gone for good."""
    claims = {"iss": ISSUER, "aud": [AUDIENCE], "jti": leaver.event, "sub_id": subject, "events": {PURGED: {}}} | claims
    return Payload(json.dumps(claims).encode(), {}, leaver)


ADA = Leaver(None, None, "ada.leaver@example.com", "756E69717565")
PURGED_BY_ADDRESS = account_purged({"format": "email", "email": ADA.email}, ADA)


# ---- Everybody -----------------------------------------------------------------------------------------------------


def whsec():
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def two(make):
    return make(), make()


def shared(alg):
    """Two secrets of 64 letters, which is enough for each HMAC."""
    return two(lambda: Key({"alg": alg, "kid": "1"}, secrets.token_hex(32)))


def pairs(node, alg, typ="JWT"):
    """A published key, and the keys of the sender and of somebody who takes its name."""
    own, other = node("jose keys", alg=alg), node("jose keys", alg=alg)
    header = {"alg": alg, "typ": typ, "kid": own["public"]["kid"]}
    return own["public"], (Key(header, own["private"]), Key(header, other["private"]))


def senders(node):
    std, svx = (standardwebhooks.Webhook, "webhook"), (svix.webhooks.Webhook, "svix")
    for name, library, payload in [
        ("standard_webhooks", std, USER_DELETED),
        ("scalekit", std, recorded("scalekit.directory.user_deleted.json")),
        ("svix", svx, USER_DELETED),
        ("clerk", svx, recorded("clerk.user.deleted.json")),
        ("stytch", svx, STYTCH),
    ]:
        by = library[0].__module__.partition(".")[0]
        yield Sender(name, name, by, payload, listed(*library), two(whsec))
    for event in ("workos.dsync.user.deleted", "workos.dsync.user.updated.inactive"):
        payload, name = recorded(f"{event}.json"), event.replace(".", "_")
        yield Sender(name, "workos", "@workos-inc/node", payload, workos(node), two(secrets.token_hex))
    removed = recorded("github.organization.member_removed.json")
    sign, keys = octokit(node, removed.headers), two(secrets.token_hex)
    yield Sender("github", "github", "@octokit/webhooks-methods", removed, sign, keys, timed=False)
    yield from token_senders(node)


def token_senders(node):
    payload, sign = recorded("frontegg.user.deleted.json"), token(node, "X-Webhook-Secret", frontegg_claims)
    yield Sender("frontegg", "frontegg", "jose", payload, sign, shared("HS256"), why_changed=None)
    for alg in ("HS256", "HS512"):
        yield fusionauth(node, alg, shared(alg))
    for alg in ("RS256", "ES256", "EdDSA"):
        published, keys = pairs(node, alg)
        yield fusionauth(node, alg, keys, published)
        if alg != "EdDSA":
            yield keycloak(node, alg, keys, published)
        keys = tuple(key._replace(header=key.header | {"typ": "secevent+jwt"}) for key in keys)
        yield shared_signals(node, alg, keys, published)


def fusionauth(node, alg, keys, published=None):
    payload, sign = recorded("fusionauth.user.delete.complete.json"), fusionauth_signer(node)
    more = dict(published=published, timed=False, why_changed=OTHER_BODY)
    return Sender(f"fusionauth_{alg.lower()}", "fusionauth", "jose", payload, sign, keys, **more)


def keycloak(node, alg, keys, published):
    payload, sign = recorded("keycloak.admin.USER-DELETE.json"), keycloak_signer(node)
    more = dict(settings=PARTIES, published=published, why_changed=OTHER_BODY)
    return Sender(f"keycloak_{alg.lower()}", "keycloak", "jose", payload, sign, keys, **more)


def shared_signals(node, alg, keys, published):
    more = dict(settings=PARTIES, published=published, timed=False)
    name, payload = f"shared_signals_{alg.lower()}", PURGED_BY_ADDRESS
    return EventTokenSender(name, "shared_signals", "jose", payload, event_token(node), keys, **more)

"""What `offboard send` signs is taken by the senders' own verifiers, and refused by them with another key."""

import base64
import hashlib
import json
import secrets
import subprocess

import standardwebhooks
import svix.webhooks

from libraries import Refused
from senders import AUDIENCE, ISSUER, PARTIES, two, whsec

EMAIL = "sample.leaver@example.com"
# What each says to a signature by another key; Octokit's says nothing but no.
MISMATCH = "No matching signature found"
BY_SCALEKIT = "Invalid Signature"
BY_CLERK = f"@clerk/backend: Unable to verify incoming webhook: {MISMATCH}"
BY_WORKOS = "Signature hash does not match the expected signature hash for payload"
BY_JOSE = "signature verification failed"
NOT_IN_THE_SET = "no applicable key found in the JSON Web Key Set"


class Sent:
    """One event, as `offboard send --print-event` prints it."""

    def __init__(self, event):
        self.headers = event["headers"]
        encoded, body = event["isBase64Encoded"], event["body"]
        self.body = base64.b64decode(body).decode() if encoded else body


class Command:
    """The operator's command line."""

    def __init__(self, binary, folder):
        self.binary, self.config = binary, folder / "send.toml"

    def send(self, kind, secret, **settings):
        lines = ['[providers.instaply]\nkind = "instaply"', f'[sources.sample]\nkind = "{kind}"']
        self.config.write_text("\n".join(lines + [f"{key} = {json.dumps(value)}" for key, value in settings.items()]))
        ended = subprocess.run(
            [self.binary, "send", "sample", EMAIL, "--print-event", "--config", self.config],
            env={"OFFBOARD_SIGNING_SECRET": secret},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert ended.returncode == 0, ended.stderr
        return Sent(json.loads(ended.stdout))


def checks(command, node):
    for kind, library, verify, keys, refusal in by_secret(node):
        yield f"offboard send {kind}, verified by {library}", taken(command, kind, verify, keys, refusal)
    yield from by_token(command, node)


def taken(command, kind, verify, keys, refusal):
    def check():
        sent = command.send(kind, keys[0])
        assert judged(verify, sent, keys[0]) == "taken", judged(verify, sent, keys[0])
        assert judged(verify, sent, keys[1]) == refusal, judged(verify, sent, keys[1])

    return check


def judged(verify, *given):
    """What the verifier says: `taken`, `refused`, or the text of what it throws."""
    try:
        return "taken" if verify(*given) else "refused"
    except (standardwebhooks.WebhookVerificationError, Refused) as error:
        return str(error)


def by_secret(node):
    def python(library):
        def verify(sent, key):
            library(key).verify(sent.body, sent.headers)
            return True

        return verify

    def clerk(sent, key):
        return node("clerk verify", secret=key, body=sent.body, headers=sent.headers) == "user.deleted"

    def scalekit(sent, key):
        return node("scalekit verify", secret=key, body=sent.body, headers=sent.headers)

    def octokit(sent, key):
        return node("octokit verify", secret=key, body=sent.body, signature=sent.headers["x-hub-signature-256"])

    def workos(sent, key):
        given = {"secret": key, "body": sent.body, "signature": sent.headers["workos-signature"]}
        return node("workos verify", **given) == "dsync.user.deleted"

    std, svx = python(standardwebhooks.Webhook), python(svix.webhooks.Webhook)
    yield "standard_webhooks", "standardwebhooks", std, two(whsec), MISMATCH
    yield "scalekit", "standardwebhooks", std, two(whsec), MISMATCH
    yield "scalekit", "@scalekit-sdk/node", scalekit, two(whsec), BY_SCALEKIT
    for kind in ("svix", "clerk", "stytch"):
        yield kind, "svix", svx, two(whsec), MISMATCH
    yield "clerk", "@clerk/backend", clerk, two(whsec), BY_CLERK
    yield "github", "@octokit/webhooks-methods", octokit, two(secrets.token_hex), "refused"
    yield "workos", "@workos-inc/node", workos, two(secrets.token_hex), BY_WORKOS


# ---- JSON Web Tokens -----------------------------------------------------------------------------------------------


def by_token(command, node):
    def verified(token, keys, **options):
        given = {"secret": keys} if isinstance(keys, str) else {"keys": keys}
        return node("jose verify", token=token, options=options, **given)

    def fusionauth(alg):
        def verify(sent, keys):
            said = verified(sent.headers["x-fusionauth-signature-jwt"], keys, algorithms=[alg])
            return said["claims"]["request_body_sha256"] == base64.b64encode(sha256(sent.body)).decode()

        return verify

    def keycloak(sent, keys):
        scheme, token = sent.headers["authorization"].split(" ")
        required = ["exp", "iat", "jti"]
        said = verified(token, keys, algorithms=["RS256"], issuer=ISSUER, audience=AUDIENCE, requiredClaims=required)
        return scheme == "Bearer" and said["claims"]["request_body_sha256"] == sha256(sent.body).hex()

    def shared_signals(sent, keys):
        required = ["jti", "iat"]
        said = verified(sent.body, keys, typ="secevent+jwt", issuer=ISSUER, audience=AUDIENCE, requiredClaims=required)
        return said["claims"]["sub_id"] == {"format": "email", "email": EMAIL}

    def frontegg(sent, keys):
        verified(sent.headers["x-webhook-secret"], keys, algorithms=["HS256"])
        return True

    for kind, verify in [("fusionauth", fusionauth("HS256")), ("frontegg", frontegg)]:
        check = taken(command, kind, verify, two(lambda: secrets.token_hex(32)), BY_JOSE)
        yield f"offboard send {kind}, verified by jose with HS256", check
    for kind, alg, verify, settings in [
        ("fusionauth", "RS256", fusionauth("RS256"), {}),
        ("fusionauth", "ES256", fusionauth("ES256"), {}),
        ("fusionauth", "EdDSA", fusionauth("EdDSA"), {}),
        ("keycloak", "RS256", keycloak, PARTIES),
        ("shared_signals", "RS256", shared_signals, PARTIES),
        ("shared_signals", "ES256", shared_signals, PARTIES),
        ("shared_signals", "EdDSA", shared_signals, PARTIES),
    ]:
        check = taken_by_set(command, node, kind, alg, verify, settings)
        yield f"offboard send {kind}, verified by jose with {alg}", check


def taken_by_set(command, node, kind, alg, verify, settings):
    """The key's id is its thumbprint, so jose finds it in the set that it makes itself."""

    def check():
        own, other = node("jose keys", alg=alg), node("jose keys", alg=alg)
        sent = command.send(kind, own["pem"], jwks="https://sso.example.com/jwks.json", **settings)
        named_alike = other["public"] | {"kid": own["public"]["kid"]}
        for keys, verdict in [
            ([other["public"], own["public"]], "taken"),
            ([other["public"]], NOT_IN_THE_SET),
            ([named_alike], BY_JOSE),
        ]:
            assert judged(verify, sent, keys) == verdict, judged(verify, sent, keys)

    return check


def sha256(text):
    return hashlib.sha256(text.encode()).digest()

"""What the senders' own libraries sign is taken; the same changed, signed by somebody else, or too old is not."""

import time

import svix.webhooks

from senders import USER_DELETED, listed, senders, whsec
from world import SHOWN

TEN_MINUTES = 600
TOO_FAR = "the timestamp is outside the tolerance"


def checks(world, node):
    for sender in senders(node):
        sender.configure(world)
        yield from of(world, sender)
    yield from rotation(world)


def of(world, sender):
    """What must hold for one sender."""

    def deliver(delivery):
        return world.deliver(sender.name, *delivery)

    def taken():
        answer = deliver(sender.signed(time.time()))
        if sender.kind == "shared_signals":
            answer.empty(202, sender.payload.leaver.email)
        else:
            answer.left(sender.payload.leaver)

    def changed():
        delivery = sender.changed(sender.signed(time.time()))
        if sender.why_changed:
            return deliver(delivery).refused(sender.why_changed)
        # Its kind says so: nothing binds the body.
        leaver = sender.payload.leaver
        email = chr(ord(leaver.email[0]) + 1) + leaver.email[1:]
        deliver(delivery).left(leaver._replace(email=email))

    def by_another():
        deliver(sender.signed(time.time(), key=1)).refused(sender.why_other)

    def old():
        deliver(sender.signed(time.time() - TEN_MINUTES)).refused(TOO_FAR)

    def early():
        deliver(sender.signed(time.time() + TEN_MINUTES)).refused(TOO_FAR)

    def unsigned():
        headers, _ = sender.signed(time.time())
        bare = {name: value for name, value in headers.items() if not SHOWN.search(name)}
        answer = world.deliver(sender.name, bare, sender.payload.body)
        assert answer.status == 401 and not answer.asked and len(answer.reasons) == 1, answer
        assert "is missing" in answer.reasons[0] or answer.reasons[0] == "the token cannot be read", answer

    by = f"{sender.name}, signed by {sender.signer}"
    yield f"{by}: taken", taken
    yield f"{by}: {'one byte changed' if sender.why_changed else 'its body is not covered'}", changed
    yield f"{by}: with another key", by_another
    if sender.timed:
        yield f"{by}: ten minutes old", old
        yield f"{by}: ten minutes early", early
    yield f"{sender.name}: not signed", unsigned


def rotation(world):
    """Svix signs with the old secret and the new one for a day; we may have either, or both."""
    old, new, stranger = whsec(), whsec(), whsec()
    world.hidden |= {old, new, stranger}
    sign = listed(svix.webhooks.Webhook, "svix")
    world.source("svix_list", "svix", {"signing_secrets": [old, new]})
    world.source("svix_staged", "svix", {"signing_secret": new})
    world.secrets.put("offboard/sources/svix_staged", {"signing_secret": old}, "AWSPREVIOUS")
    world.source("svix_new", "svix", {"signing_secret": new})
    world.source("svix_old", "svix", {"signing_secret": old})

    def deliver(source, *secrets):
        return world.deliver(source, *sign(secrets, USER_DELETED.body, int(time.time())))

    def taken(source, *secrets):
        return lambda: deliver(source, *secrets).left(USER_DELETED.leaver)

    def refused(source, *secrets):
        return lambda: deliver(source, *secrets).refused("no signature matches")

    for name, source in [("both", "svix_list"), ("the new one, and the old one as AWSPREVIOUS", "svix_staged")]:
        yield f"svix, we have {name}: signed with the old", taken(source, old)
        yield f"svix, we have {name}: signed with the new", taken(source, new)
        yield f"svix, we have {name}: signed with a third", refused(source, stranger)
    yield "svix, we have the new: signed with old and new", taken("svix_new", old, new)
    yield "svix, we have the old: signed with old and new", taken("svix_old", old, new)
    yield "svix, we have the old: signed with the new and a third", refused("svix_old", new, stranger)

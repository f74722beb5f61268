"""Checks golden exchanges by the vendors' SDKs: each is played to the SDK, which has to send and read what offboard does."""

import exchange
from exchange import Case, Kind, Replay
from products import PRODUCTS

# Cases in which the SDK only looks up.
LOOK_UPS = ("already_inactive", "case_differs", "one_among_neighbours", "only_neighbours", "several_matches", "nobody_there")


def check(tally):
    for product in PRODUCTS:
        kind, differences = Kind(product.kind), set()

        def played(name, part):
            case = Case(product.kind, name, invitations=part is invitation_removed)
            replay = Replay(case, kind, product)
            try:
                part(tally, product, kind, case, replay)
            except Exception as error:  # the others are checked all the same
                tally.equal(f"{case.name}: the SDK", repr(error)[:600], "no error")
            finally:
                replay.end()
            differences.update(replay.differences)

        played("deleted", removed)
        if hasattr(product, "invitations"):
            played("invitation", invitation_removed)
        for name in (*LOOK_UPS, *product.pages):
            if name in product.pages or exchange.exists(product.kind, name):
                played(name, looked_up)
        for name in product.refusals:
            played(name, refused)
        if product.hosts:
            tally.equal(f"{product.kind}: the SDK's hosts", sorted(set(product.hosts) - set(kind.hosts())), [])
            tally.equal(f"{product.kind}: the SDK's default host", product.hosts[0], kind.hosts()[0])
        tally.equal(f"{product.kind}: what the SDK sends in another way", sorted(differences), sorted(product.allowed))


def find(product, kind, replay, sdk, email):
    """What the SDK finds, and what offboard reads in the same answers."""
    begun = replay.next
    found = sdk.find(email)
    return sorted(found), sorted(kind.accounts(replay.case.exchanges[begun : replay.next]))


def removed(tally, product, kind, case, replay):
    sdk = product(replay.server.url, case)
    found, read = find(product, kind, replay, sdk, case.email)
    tally.equal(f"{case.name}: found", found, read)
    [leaver] = [account for account in found if account.email == case.email]
    tally.equal(f"{case.name}: removed", sdk.remove(leaver.id), True)
    after, read = find(product, kind, replay, sdk, case.email)
    tally.equal(f"{case.name}: found afterwards", after, read)
    tally.equal(f"{case.name}: in effect", [account.inactive for account in after], [True] * len(after))
    if not replay.is_over():
        found, read = find(product, kind, replay, sdk, case.settings["canary"])
        tally.equal(f"{case.name}: canary", found, read)
    tally.equal(f"{case.name}: exchanges", replay.next, len(case.exchanges))


def invitation_removed(tally, product, kind, case, replay):
    sdk = product(replay.server.url, case)
    found, read = sdk.invitations(case.email), kind.accounts(case.exchanges[:1])
    tally.equal(f"{case.name}: found", found, read)
    tally.equal(f"{case.name}: removed", sdk.remove_invitation(found[0].id), True)
    tally.equal(f"{case.name}: found afterwards", sdk.invitations(case.email), [])
    tally.equal(f"{case.name}: exchanges", replay.next, len(case.exchanges))


def looked_up(tally, product, kind, case, replay):
    found, read = find(product, kind, replay, product(replay.server.url, case), case.email)
    tally.equal(f"{case.name}: found", found, read)


def refused(tally, product, kind, case, replay):
    sdk = product(replay.server.url, case)

    def look_up_and_remove():
        for account in sdk.find(case.email):
            sdk.remove(account.id)

    error = tally.raises(f"{case.name}: the SDK's error", product.error, look_up_and_remove)
    last = case.exchanges[replay.next - 1]
    tally.equal(f"{case.name}: status", error and product.status(error), last.status)
    assert last.status >= 400 or "errors" in last.answer, last

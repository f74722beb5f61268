"""What a departure costs: calls to AWS, in a table for the documentation."""

from suite import NAMES, check, event
from world import is_aws

MOST = 7  # calls to DynamoDB for a plain departure


class Costs:
    def __init__(self):
        self.rows = []

    def add(self, name, world, since):
        points = world.points[since:]
        counts = world.counts(since)
        self.rows.append((name, counts, sum(not is_aws(point) for point in points)))

    def lines(self):
        yield "| what | DynamoDB | SQS | providers | which |"
        yield "| --- | --- | --- | --- | --- |"
        for name, counts, providers in self.rows:
            ledger, queue = (sum(n for call, n in counts.items() if call.startswith(of)) for of in ("ledger", "queue"))
            which = ", ".join(f"{n} × {call.partition(' ')[2]}" for call, n in sorted(counts.items()))
            yield f"| {name} | {ledger} | {queue} | {providers} | {which} |"


def calls(counts, service):
    return sum(count for call, count in counts.items() if call.startswith(service))


@check
async def a_plain_departure_makes_at_most_seven_calls_to_dynamodb_and_none_to_sqs(suite):
    costs = Costs()
    async with suite.world(attempts=1, policy='protected = ["root@example.com"]') as world:
        function = await world.function()

        async def delivered(name, departure, expected, **also):
            since = len(world.points)
            reply = await world.deliver(function, departure)
            assert (reply.status, reply.state) == (200, expected), str(reply)
            costs.add(name, world, since)
            return world.counts(since)

        email = world.person()
        counts = await delivered("a departure", event("1", email), "done")
        assert calls(counts, "ledger") <= MOST and not calls(counts, "queue"), counts
        counts = await delivered("the same delivery again", event("1", email), "done")
        assert calls(counts, "ledger") <= 3 and not calls(counts, "queue"), counts

        # Its address and id were said before.
        email, since = world.person(), len(world.points)
        reply = await world.deliver(function, event("2", email, "hired", at="2026-01-01T00:00:00Z"))
        assert (reply.status, reply.report["status"]) == (200, "ignored"), str(reply)
        costs.add("an identity fact", world, since)
        counts = await delivered("a departure of a known person", event("3", email), "done")
        assert calls(counts, "ledger") <= MOST and not calls(counts, "queue"), counts

        email = world.person()
        departure = event("4", email)
        del departure["at"]
        counts = await delivered("a departure without a time", departure, "done")
        assert calls(counts, "ledger") <= MOST + 1 and not calls(counts, "queue"), counts
        await delivered("a protected person", event("5", "root@example.com"), "needs_attention")

        world.providers.failing, email = set(NAMES), world.person()
        await delivered("a departure that meets an outage", event("6", email), "pending")
        for name in ("a message in the outage", "a message after the outage"):
            await world.end(function)
            await world.lose_messages()
            world.move_to((await world.record("hr/6"))["due_at"])
            function, since = await world.function(), len(world.points)
            await world.tick(function)
            costs.add("a tick that finds it", world, since)
            since = len(world.points)
            assert await world.work(function) == 1
            costs.add(name, world, since)
            assert calls(world.counts(since), "ledger") <= MOST, world.counts(since)
            world.providers.failing = set()
        since = len(world.points)
        await world.tick(function)
        costs.add("a tick that finds nothing", world, since)
    for line in costs.lines():
        suite.figure(line)

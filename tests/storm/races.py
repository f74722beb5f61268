"""One delivery many times at once, over many processes, whose clocks differ."""

import asyncio
import collections

from delivery import messages as batch
from suite import NAMES, check, event, finished


async def raced(suite, clocks, deliveries=50):
    """One delivery many times at once, and messages with it, over processes whose clocks are not the same."""
    async with suite.world() as world:
        email, departure = world.person(), None
        departure = event("1", email)
        # Slow enough for all deliveries to come while the first is worked on.
        world.delays = dict.fromkeys(NAMES, 0.15)
        functions = [await world.function(clock) for clock in clocks]
        workers = [await world.function(clock) for clock in (clocks[0], clocks[-1])]
        delivering = True
        message = {"MessageId": "1", "ReceiptHandle": "1", "Body": '{"departure": "hr/1"}'}
        message["Attributes"] = {"ApproximateReceiveCount": "1"}

        async def advancing(function):
            while delivering:
                assert await function.invoke(batch([message])) == {"batchItemFailures": []}

        advancing_all = [asyncio.ensure_future(advancing(function)) for function in workers]
        work = (world.deliver(functions[n % len(functions)], departure) for n in range(deliveries))
        replies = await asyncio.gather(*work)
        delivering = False
        await asyncio.gather(*advancing_all)
        counts = collections.Counter((reply.status, reply.state, reply.duplicate) for reply in replies)
        suite.figure(", ".join(f"{count} × {state}" for (_, state, _), count in counts.items()))
        assert {(status, state) for status, state, _ in counts} <= {(200, "done"), (200, "pending")}, counts
        assert sum(count for (_, _, duplicate), count in counts.items() if not duplicate) == 1, counts
        assert counts[200, "pending", True] > 0, counts
        assert "changed concurrently" not in world.log.read_text(), "two workers held it at once"
        calls = collections.Counter(point.call for point in world.points)
        removals = {call: count for call, count in calls.items() if " DELETE " in call or "delete" in call}
        # Instaply has no look-up: its proof is a second removal.
        twice = "instaply POST delete-by-email"
        assert len(removals) == 5 and all(count == 1 + (call == twice) for call, count in removals.items()), removals
        await finished(world, [departure])


@check
async def a_delivery_fifty_times_at_once_is_carried_out_once(suite):
    await raced(suite, [0] * 8)


@check
async def clocks_that_are_a_minute_apart_change_nothing(suite):
    for clocks in ([0, 60], [60, 0], [-60, 0], [-60, 60], [-30, 30]):
        await raced(suite, clocks, deliveries=12)


@check
async def two_ticks_at_once_are_harmless(suite):
    async with suite.world(attempts=1) as world:
        world.providers.failing, count = set(NAMES), 30
        events = [event(str(n), world.person()) for n in range(count)]
        function = await world.function()
        reply = await world.deliver(function, *events)
        assert (reply.status, reply.report["status"]) == (200, "pending"), str(reply)
        await world.end(function)
        await world.lose_messages()
        world.providers.failing = set()
        world.move_to(max(record["due_at"] for record in (await world.records()).values()))
        functions = [await world.function() for _ in range(4)]
        await asyncio.gather(*map(world.tick, functions))
        assert await world.message_count() > count
        await asyncio.gather(*map(world.work, functions))
        await finished(world, events)

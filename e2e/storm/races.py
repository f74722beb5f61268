"""One delivery many times at once, over many processes, whose clocks differ."""

import asyncio
import collections
import datetime
import os
import signal

from delivery import messages as batch
from suite import NAMES, check, event, finished
from wire import Answer


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


def freezing(world, call):
    """Stops the process that works as soon as this call was carried out, before it has the answer."""
    frozen = asyncio.Event()

    async def interfere(point, moment):
        if (point.call, moment) == (call, "after"):
            world.interfere = None
            for function in world.functions:
                os.kill(function.process.pid, signal.SIGSTOP)
            frozen.set()
        return False

    world.interfere = interfere
    return frozen


def stamp(**ahead):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")


@check
async def a_worker_that_was_frozen_reads_the_facts_again(suite):
    """An environment may be frozen at any point, and the person come back meanwhile."""

    async def run(case):
        async with suite.world() as world:
            email, worker = world.person(), await world.function()
            frozen = freezing(world, f"ledger {case[0]}")
            delivery = asyncio.ensure_future(world.deliver(worker, event("1", email)))
            await frozen.wait()
            other = await world.function()
            reply = await world.deliver(other, event("2", email, "hired", at=stamp(minutes=1)))
            assert reply.status == 200, str(reply)
            await asyncio.sleep(6)
            os.kill(worker.process.pid, signal.SIGCONT)
            reply = await delivery
            assert reply.status == 200 and reply.state in ("held", "pending"), str(reply)
            assert world.providers.has(email) == set(NAMES) and not world.providers.removed
            await world.finish()
            record = await world.record("hr/1")
            assert (record["state"], record["vetoes"][0]["veto"]) == ("held", "person_returned"), record
            assert world.providers.has(email) == set(NAMES) and not world.providers.removed

    # While the facts are read, and while the intent is noted.
    await suite.each([("BatchGetItem",), ("UpdateItem",)], run)


@check
async def a_worker_that_was_frozen_while_another_finished_changes_nothing(suite):
    async with suite.world() as world:
        email, worker = world.person(), await world.function()
        # The intent is noted, and the removals are about to begin.
        frozen = freezing(world, "ledger UpdateItem")
        delivery = asyncio.ensure_future(world.deliver(worker, event("1", email)))
        await frozen.wait()
        await world.finish()
        await world.all_done(["hr/1"])
        before = await world.record("hr/1")

        async def interfere(point, moment):
            late = point.call == "cloudflare DELETE ID" and moment == "before"
            return late and Answer.json(400, {"success": False, "errors": [{"code": 1, "message": "no such user"}]})

        world.interfere = interfere
        os.kill(worker.process.pid, signal.SIGCONT)
        reply = await delivery
        assert reply.status == 200 and reply.state in ("done", "pending"), str(reply)
        after = await world.record("hr/1")
        assert (after["state"], after["due_at"]) == ("done", None), after
        outcomes = [{name: (one["outcome"], one.get("reason")) for name, one in record["providers"].items()} for record in (before, after)]
        assert outcomes[0] == outcomes[1], outcomes
        await world.all_done(["hr/1"])

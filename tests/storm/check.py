#!/usr/bin/env python3
"""Shows that nothing is lost and nothing is done twice: the compiled function is killed, raced, cut off and flooded.

    pip install -r tests/aws/requirements.txt      # and Debian's faketime
    cargo build && python tests/storm/check.py target/debug/offboard-lambda

The ledger and the queue are moto's, called by the function through the real AWS SDK. The providers, the Lambda runtime
and the event source mapping are doubles in here. Everything is on loopback.
"""

import argparse
import asyncio
import collections
import contextlib
import pathlib
import tempfile
import time
import traceback

from providers import NAMES
from world import Moto, World

# Seconds before each answer of a provider: so they end one after the other, and each end is written by itself.
ONE_BY_ONE = {"aerospike": 0.01, "cloudflare": 0.07, "flashduty": 0.14, "instaply": 0.31, "stytch": 0.28}
AT_ONCE = 4  # worlds
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class Suite:
    def __init__(self, moto, binary, folder, sizes):
        self.moto, self.binary, self.folder, self.figures = moto, binary, folder, []
        self.size, self.large = sizes

    @contextlib.asynccontextmanager
    async def world(self, **settings):
        world = await World(self.moto, self.binary, self.folder, **settings).start()
        try:
            yield world
        except Exception as fault:
            log = world.log.read_text()[-3000:] if world.log.exists() else ""
            calls = "\n".join(map(str, world.points[-40:]))
            raise AssertionError(f"{fault!r}\n{traceback.format_exc()}\n{calls}\n{log}") from None
        finally:
            await world.stop()

    async def each(self, cases, run):
        """Runs a case for each of many, a few at once. All faults are told."""
        turns, faults = asyncio.Semaphore(AT_ONCE), []

        async def one(case):
            async with turns:
                try:
                    await run(case)
                except Exception as fault:
                    faults.append(f"{' '.join(map(str, case))}: {fault}")

        await asyncio.gather(*(one(case) for case in cases))
        assert not faults, f"{len(faults)} of {len(cases)} failed:\n" + "\n".join(faults[:3])
        self.tell(f"{len(cases)} cases")

    def tell(self, text):
        self.figures.append(text)


# ---- Killed ---------------------------------------------------------------------------------------------------------


def killing(world, point, moment):
    """Kills the process that works when `point` is reached: before the call is passed on, or before its answer is."""

    async def interfere(reached, now):
        if (reached, now) != (point, moment):
            return False
        world.interfere = None
        for function in world.functions:
            function.strike()
        return True

    world.interfere = interfere


async def finished(world, id, email, since, settled):
    """What must hold after whatever happened: done once, and a settled provider was left alone."""
    again = {point.call.partition(" ")[0] for point in world.points[since:]} & settled
    assert not again, f"settled, and called again: {again}"
    await world.all_done([f"hr/{id}"])
    calls = len(world.points)
    function = await world.function(world.ahead)
    reply = await world.deliver(function, id, email)
    assert (reply.status, reply.state, reply.duplicate) == (200, "done", True), str(reply)
    more = {point.call for point in world.points[calls:]}
    assert all(call.startswith("ledger ") for call in more), more


async def undisturbed(suite):
    """The calls of one departure to which nothing happens."""
    async with suite.world() as world:
        world.delays, email = ONE_BY_ONE, world.person()
        reply = await world.deliver(await world.function(), "1", email)
        assert (reply.status, reply.state, reply.duplicate) == (200, "done", False), str(reply)
        points, world.delays = list(world.points), {}
        await world.drain()
        await finished(world, "1", email, len(points), set(NAMES))
        return points


@check
async def killed_at_every_call_of_the_delivery(suite):
    points = await undisturbed(suite)
    counts = collections.Counter(point.call.partition(" ")[0] for point in points)
    aws = ", ".join(f"{counts[name]} to the {name}" for name in ("ledger", "queue"))
    suite.tell(f"a departure makes {len(points)} calls: {aws}, {sum(counts[name] for name in NAMES)} to providers")

    async def run(case):
        point, moment = case
        for _ in range(3):
            async with suite.world() as world:
                world.delays, email = ONE_BY_ONE, world.person()
                killing(world, point, moment)
                reply = await world.deliver(await world.function(), "1", email)
                if world.interfere:
                    continue  # On a slow machine two ends came into one write, and there was one write less.
                assert reply is None, str(reply)
                # The sender was not answered, and comes again at once.
                settled, since, known = await world.settled(), len(world.points), bool(await world.records())
                reply = await world.deliver(await world.function(), "1", email)
                allowed = ("pending", True) if known else ("done", False)
                if known and (await world.records())["hr/1"]["state"] == "done":
                    allowed = ("done", True)
                assert reply.status == 200 and (reply.state, reply.duplicate) == allowed, (allowed, str(reply))
                await world.drain()
                return await finished(world, "1", email, since, settled)
        raise AssertionError("this point was not reached")

    await suite.each([(point, moment) for point in points for moment in ("before", "after")], run)


async def orphaned(world):
    """A departure whose worker died as soon as the queue had taken the reminder."""
    email = world.person()
    killing(world, ("queue SendMessage", 1), "after")
    assert await world.deliver(await world.function(), "1", email) is None
    world.points.clear()
    world.nth.clear()
    world.delays = ONE_BY_ONE
    return email


@check
async def killed_at_every_call_of_the_reminder(suite):
    async with suite.world() as world:
        email = await orphaned(world)
        await world.drain()
        points, world.delays = list(world.points), {}
        assert world.ahead >= 90, world.ahead
        await finished(world, "1", email, len(points), set(NAMES))

    async def run(case):
        point, moment = case
        for _ in range(3):
            async with suite.world() as world:
                email = await orphaned(world)
                killing(world, point, moment)
                # Its first process is killed; the queue delivers again to others.
                died = {}

                async def remember():
                    while world.interfere:
                        await asyncio.sleep(0.005)
                    died.update(since=len(world.points), settled=await world.settled())

                watch = asyncio.ensure_future(remember())
                await world.drain()
                if world.interfere:
                    watch.cancel()
                    continue
                await watch
                return await finished(world, "1", email, died["since"], died["settled"])
        raise AssertionError("this point was not reached")

    await suite.each([(point, moment) for point in points for moment in ("before", "after")], run)


# ---- Cut off --------------------------------------------------------------------------------------------------------


def cutting(world, services, first, moment, most=None, silence=0):
    """From its `first` call to AWS on, these services give no answer, `most` times, and hang up after some silence."""
    count, cut = 0, 0

    async def interfere(point, now):
        nonlocal count, cut
        service = point.call.partition(" ")[0]
        if service not in ("ledger", "queue"):
            return False
        count += now == "before"
        if now != moment or count < first or service not in services or cut == most:
            return False
        cut += 1
        await asyncio.sleep(silence)
        return True

    world.interfere = interfere


@check
async def an_answer_of_aws_that_is_lost_is_no_loss(suite):
    """Every call to AWS in turn is carried out and its answer lost, once: the SDK sends it again."""

    points = [point for point in await undisturbed(suite) if point.call.partition(" ")[0] in ("ledger", "queue")]

    async def run(case):
        async with suite.world() as world:
            world.delays, email = ONE_BY_ONE, world.person()
            cutting(world, ("ledger", "queue"), case[0], "after", most=1)
            reply = await world.deliver(await world.function(), "1", email)
            assert (reply.status, reply.state, reply.duplicate) == (200, "done", False), str(reply)
            world.interfere, world.delays = None, {}
            await world.drain()
            await finished(world, "1", email, len(world.points), set(NAMES))

    await suite.each([(first,) for first in range(1, len(points) + 1)], run)


@check
async def without_ledger_or_queue_nobody_is_removed(suite):
    async def run(case):
        async with suite.world() as world:
            email = world.person()
            silence, *services = case
            cutting(world, services, 1, "before", silence=silence)
            function = await world.function()
            reply = await world.deliver(function, "1", email)
            assert reply.status == 503 and int(reply.headers["retry-after"]) > 0, str(reply)
            assert world.providers.has(email) == set(NAMES) and not world.providers.removed
            world.interfere = None
            reply = await world.deliver(function, "1", email)
            assert reply.status == 200 and reply.state in ("done", "pending"), str(reply)
            await world.drain()
            await finished(world, "1", email, len(world.points), set())

    services = ("ledger",), ("queue",), ("ledger", "queue")
    await suite.each([(silence, *some) for silence in (0, 20) for some in services], run)


@check
async def ledger_or_queue_lost_half_way(suite):
    """From the k-th call on, for each k: nothing reaches AWS any more, or nothing comes back."""
    points = [point for point in await undisturbed(suite) if point.call.partition(" ")[0] in ("ledger", "queue")]

    async def run(case):
        first, moment, *services = case
        async with suite.world() as world:
            world.delays, email = ONE_BY_ONE, world.person()
            cutting(world, services, first, moment)
            function = await world.function()
            reply = await world.deliver(function, "1", email)
            world.interfere, world.delays = None, {}
            records, messages = await world.records(), await world.messages()
            removed = [name for name, _ in world.providers.removed]
            if reply.status == 200:
                held = records.get("hr/1", {}).get("state")
                assert held == "done" or held == "open" and messages, f"200, and nothing holds it: {held} {reply}"
            else:
                assert reply.status == 503 and int(reply.headers["retry-after"]) > 0, str(reply)
                assert not removed, f"503, and removed at {removed}"
                reply = await world.deliver(await world.function(), "1", email)
                assert reply.status == 200 and reply.state in ("done", "pending"), str(reply)
            settled, since = await world.settled(), len(world.points)
            await world.drain()
            await finished(world, "1", email, since, settled)

    cases = []
    for first, point in enumerate(points, 1):
        for services in (["ledger", "queue"], [point.call.partition(" ")[0]]):
            cases += [(first, moment, *services) for moment in ("before", "after")]
    await suite.each(cases, run)


# ---- Raced ----------------------------------------------------------------------------------------------------------


async def raced(suite, clocks, deliveries=50):
    """One delivery many times at once, and its reminder with it, over processes whose clocks are not the same."""
    async with suite.world() as world:
        email = world.person()
        # Slow enough for all deliveries to come while the first is worked on.
        world.delays = dict.fromkeys(NAMES, 0.15)
        functions = [await world.function(clock) for clock in clocks]
        reminded = [await world.function(clock) for clock in (clocks[0], clocks[-1])]
        delivering = True

        async def reminding(function):
            while delivering or await world.messages():
                messages = await world.receive(1)
                for message in await world.remind(function, messages) if messages else []:
                    # It shall come again at once, whatever was asked: that is the race.
                    visible = {"ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
                    await world.moto.call("AmazonSQS.ChangeMessageVisibility", {"QueueUrl": world.queue} | visible)
                await asyncio.sleep(0.01)

        reminding_all = [asyncio.ensure_future(reminding(function)) for function in reminded]
        work = (world.deliver(functions[n % len(functions)], "1", email) for n in range(deliveries))
        replies = await asyncio.gather(*work)
        delivering = False
        await asyncio.gather(*reminding_all)
        told = collections.Counter((reply.status, reply.state, reply.duplicate) for reply in replies)
        suite.tell(", ".join(f"{count} × {state}" for (_, state, _), count in told.items()))
        assert {(status, state) for status, state, _ in told} <= {(200, "done"), (200, "pending")}, told
        assert sum(count for (_, _, duplicate), count in told.items() if not duplicate) == 1, told
        assert told[200, "pending", True] > 0, told
        assert "somebody else changed" not in world.log.read_text(), "two workers held it at once"
        once = collections.Counter(point.call for point in world.points if point.call.partition(" ")[0] in NAMES)
        removals = {call: count for call, count in once.items() if " DELETE " in call or "delete" in call}
        # Instaply has no look-up: its proof is a second removal.
        twice = "instaply POST delete-by-email"
        assert len(removals) == 5 and all(count == 1 + (call == twice) for call, count in removals.items()), removals
        await finished(world, "1", email, len(world.points), set(NAMES))


@check
async def one_delivery_fifty_times_at_once_and_its_reminder(suite):
    await raced(suite, [0] * 8)


@check
async def clocks_that_are_a_minute_apart(suite):
    for clocks in ([0, 60], [60, 0], [-60, 0], [-30, 30]):
        await raced(suite, clocks, deliveries=12)


@check
async def a_killed_worker_whose_clock_was_a_minute_wrong(suite):
    async def run(case):
        clock, skew = case
        async with suite.world() as world:
            email = world.person()
            killing(world, ("stytch DELETE ID", 1), "after")
            assert await world.deliver(await world.function(clock), "1", email) is None
            settled, since = await world.settled(), len(world.points)
            await world.drain(skew=skew)
            await finished(world, "1", email, since, settled)

    await suite.each([(60, 0), (-60, 0), (0, 60), (0, -60), (30, -30), (-30, 30)], run)


# ---- Flooded --------------------------------------------------------------------------------------------------------


async def flood(world, functions, count, told):
    """So many departures of as many people. A sender that is told to come again does."""
    numbers = iter(range(1, count + 1))

    async def send(function):
        for number in numbers:
            email = world.person()
            for _ in range(20):
                reply = await world.deliver(function, str(number), email)
                told[reply.status, reply.state] += 1
                if reply.status == 200:
                    break
            assert reply.status == 200, str(reply)

    await asyncio.gather(*(send(function) for function in functions))


@check
async def a_storm_of_departures_while_providers_fail(suite):
    count, told = suite.size, collections.Counter()
    # One try each: what a second would mend is left to the queue, which is what is looked at here.
    async with suite.world(attempts=1) as world:
        # moto takes the longer for every call the more messages a queue has: several short ones instead of one.
        queues = [world.queue] + [await world.new_queue() for _ in range(7)]
        fronts = [await world.function(queue=queue) for queue in queues]
        # A reminder comes when its lease is over: some moments from now, by a clock that is as far ahead as was asked.
        world.pace = lambda seconds: 5 if seconds < 100 else min(max(seconds // 30, 1), 8)
        behind = [await world.function(130, queue=queue) for queue in queues]
        world.providers.failing, world.providers.rate = {"cloudflare", "stytch"}, {"flashduty": 30}
        start, over = time.monotonic(), False

        async def recover():
            # Not longer: hours of pauses pass in moments here, and after the last try a person would have to act.
            while len(world.people) < count // 2 and time.monotonic() - start < 40:
                await asyncio.sleep(0.1)
            world.providers.failing = set()

        async def reminding(function):
            while not over or await world.messages(function.queue):
                messages = await world.receive(queue=function.queue)
                if messages:
                    await world.remind(function, messages)
                else:
                    await asyncio.sleep(1)

        behind_all = [asyncio.ensure_future(reminding(function)) for function in behind]
        recovering = asyncio.ensure_future(recover())
        await flood(world, fronts, count, told)
        delivered, over = time.monotonic() - start, True
        await asyncio.gather(recovering, *behind_all)
        taken = time.monotonic() - start
        aws = sum(1 for point in world.points if point.call.partition(" ")[0] in ("ledger", "queue"))
        suite.tell(f"{count} departures, {dict(told)}, delivered in {delivered:.0f} s, settled in {taken:.0f} s")
        refused = world.providers.refused
        suite.tell(f"{aws} calls to AWS, {len(world.points) - aws} to providers; {dict(refused)} refused")
        assert set(refused) == {"cloudflare", "stytch", "flashduty"}, refused
        await world.all_done([f"hr/{number}" for number in range(1, count + 1)])


@check
async def a_storm_on_one_process_with_the_embedded_ledger(suite):
    """Without a queue a sender is told to come again, until all is done."""
    count, told = suite.large, collections.Counter()
    async with suite.world(attempts=1) as world:
        function = await world.function(ledger=":memory:", queue="")
        world.providers.failing, world.providers.rate = {"cloudflare", "stytch"}, {"flashduty": 250}
        start, waiting = time.monotonic(), []
        for number in range(1, count + 1):
            if number == count // 5:
                world.providers.failing = set()
            waiting += await again(world, function, [(number, world.person())], told)
            if number % 500 == 0:
                waiting = await again(world, function, waiting, told)
        while waiting:
            waiting = await again(world, function, waiting, told)
        taken = time.monotonic() - start
        suite.tell(f"{count} departures in {taken:.0f} s, {dict(told)}, {dict(world.providers.refused)} refused")
        assert set(told) == {(200, "done"), (503, "incomplete")} and told[200, "done"] == count, told
        assert set(world.providers.refused) == {"cloudflare", "stytch", "flashduty"}, world.providers.refused
        wrong = {key: count for key, count in world.providers.removed.items() if count != 1}
        assert not wrong and len(world.providers.removed) == 5 * count, (wrong, len(world.providers.removed))
        world.nobody_next_door()
        calls = len(world.points)
        for number in range(1, count + 1, max(count // 50, 1)):
            reply = await world.deliver(function, str(number), world.people[number - 1])
            assert (reply.status, reply.state, reply.duplicate) == (200, "done", True), str(reply)
        assert len(world.points) == calls, "somebody was called"


async def again(world, function, waiting, told):
    """Delivers each once. Says which shall come again."""
    left = []
    for number, email in waiting:
        reply = await world.deliver(function, str(number), email)
        told[reply.status, reply.state] += 1
        if reply.status != 200:
            left.append((number, email))
    return left


@check
async def more_departures_than_the_breaker_lets_through(suite):
    count, limit, told = suite.size * 2, 50, collections.Counter()
    async with suite.world(policy=f'max_departures = {{ count = {limit}, per = "1h" }}') as world:
        start = time.monotonic()
        await flood(world, [await world.function() for _ in range(8)], count, told)
        suite.tell(f"{count} departures in {time.monotonic() - start:.0f} s, {dict(told)}")
        await world.drain()
        records = await world.records()
        assert len(records) == count, len(records)
        states = collections.Counter((record["state"], record.get("reason")) for record in records.values())
        executed = {email for _, email in world.providers.removed}
        assert states[("done", None)] == len(executed) <= limit, states
        assert states[("held", "too_many_departures")] == count - len(executed), states
        assert len(executed) == limit, f"only {len(executed)} were let through"
        untouched = [email for email in world.people if world.providers.has(email) == set(NAMES)]
        assert len(untouched) == count - len(executed) and not set(untouched) & executed
        world.nobody_next_door()
        assert await world.messages() == 0


@check
async def what_the_breaker_held_is_released_by_one_command_and_finished_by_the_queue(suite):
    count, limit = 25, 5
    async with suite.world(policy=f'max_departures = {{ count = {limit}, per = "1h" }}') as world:
        function = await world.function()
        departures = []
        for n in range(count):
            departures.append(f"hr/evt-{n}")
            reply = await world.deliver(function, f"evt-{n}", world.person())
            assert (reply.state == "done") == (n < limit), (n, reply)
        await function.kill()
        await world.operate("departures", "release", "--all", "--reason", "too_many_departures", "--yes")
        await world.drain()
        await world.all_done(departures)
        released = [record for record in (await world.records()).values() if record["history"]]
        assert len(released) == count - limit, len(released)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", type=lambda path: pathlib.Path(path).resolve(strict=True))
    parser.add_argument("--size", type=int, default=400, help="departures in a storm against moto, which is slow")
    parser.add_argument("--large", type=int, default=5000, help="departures in a storm with the embedded ledger")
    parser.add_argument("--only", default="", help="part of the checks' names")
    asked = parser.parse_args()
    moto, passed, failed = await Moto().start(), 0, 0
    try:
        for function in CHECKS:
            name = function.__name__.replace("_", " ")
            if asked.only not in name:
                continue
            with tempfile.TemporaryDirectory() as folder:
                sizes = asked.size, asked.large
                suite, fault, start = Suite(moto, asked.binary, pathlib.Path(folder), sizes), None, time.monotonic()
                try:
                    await function(suite)
                except Exception:
                    fault = traceback.format_exc()
                passed, failed = passed + (fault is None), failed + (fault is not None)
                print(f"{'ok    ' if fault is None else 'FAILED'} {name}, {time.monotonic() - start:.0f} s", flush=True)
                for figure in suite.figures:
                    print(f"         {figure}")
                if fault:
                    print(fault, flush=True)
    finally:
        await moto.stop()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))

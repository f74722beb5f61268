"""More than fits: large deliveries, many deliveries, many facts, and the safeguard."""

import asyncio
import collections
import json
import time

import delivery
from suite import NAMES, check, event, finished
from world import PINGONE, STARTED

MANY = 'max_departures = { count = 5000, per = "1h" }'
LARGEST = 1 << 20  # bytes of an answer


async def repeated(world, function, *events, most=40):
    """Delivers until the sender is answered 200. Returns the reply, the number of deliveries, and the longest time."""
    longest = 0
    for count in range(1, most + 1):
        start = time.monotonic()
        reply = await world.deliver(function, *events)
        longest = max(longest, time.monotonic() - start)
        if reply.status == 200:
            return reply, count, longest
        assert reply.status == 503 and int(reply.headers["retry-after"]) > 0, str(reply)
    raise AssertionError(f"after {most} deliveries: {reply}")


async def worked_off(world, processes=4, most=30, pace=0):
    """Ticks and their messages over several processes, until nothing is pending. `pace` seconds pass between them: a limited
    rate counts real seconds, while the function's clock is moved by hours."""
    for _ in range(most):
        records = (await world.records()).values()
        due = [record["due_at"] for record in records if record["state"] == "pending"]
        if not due:
            return
        world.move_to(min(due))
        functions = [await world.function() for _ in range(processes)]
        await world.tick(functions[0])
        await asyncio.gather(*map(world.work, functions))
        for function in functions:
            await world.end(function)
        await asyncio.sleep(pace)
    raise AssertionError(f"still pending after {most} ticks: {await world.states()}")


@check
async def a_delivery_of_150_departures_holds_none_below_the_limit(suite):
    async with suite.world(policy=MANY) as world:
        events = [event(str(n), world.person()) for n in range(150)]
        function = await world.function()
        reply, count, longest = await repeated(world, function, *events)
        states = reply.report["departures"]
        suite.figure(f"{count} deliveries, {longest:.1f} s the longest, {len(reply.text)} bytes, {states}")
        assert longest < 15 and sum(states.values()) == len(events) and not states.get("held"), states
        assert set(states) <= {"done", "pending"} and reply.report["status"] in states, str(reply)
        await world.end(function)
        await worked_off(world)
        await world.all_done([f"hr/{n}" for n in range(150)])


@check
async def a_delivery_of_100_departures_reports_each(suite):
    async with suite.world(policy=MANY) as world:
        events = [event(str(n), world.person()) for n in range(100)]
        function = await world.function()
        reply, _, longest = await repeated(world, function, *events)
        assert [departure["id"] for departure in reply.report["departures"]] == [f"hr/{n}" for n in range(100)]
        assert all(len(departure["providers"]) == 5 for departure in reply.report["departures"])
        suite.figure(f"{longest:.1f} s, {len(reply.text)} bytes")
        assert longest < 15 and len(reply.text) < LARGEST
        await world.end(function)
        await worked_off(world)
        await world.all_done([f"hr/{n}" for n in range(100)])


@check
async def a_mass_departure_above_the_safeguard_removes_nobody(suite):
    """A directory that was emptied by mistake: batches of 500."""
    async with suite.world(policy='max_departures = { count = 50, per = "1h" }') as world:
        start, size, biggest = time.monotonic(), suite.size * 5, 0
        events = [event(str(n), world.person()) for n in range(size)]
        functions = [await world.function() for _ in range(2)]
        batches = [events[n : n + 500] for n in range(0, size, 500)]
        totals = collections.Counter()

        async def send(function, mine):
            nonlocal biggest
            for batch in mine:
                reply, count, longest = await repeated(world, function, *batch)
                totals.update(deliveries=count)
                biggest = max(biggest, len(reply.text))
                # The sender waits 10 seconds; here its client, the emulator and two functions share the machine.
                assert longest < 15, longest

        await asyncio.gather(send(functions[0], batches[::2]), send(functions[1], batches[1::2]))
        suite.figure(f"{size} departures in {totals['deliveries']} deliveries, {time.monotonic() - start:.0f} s")
        suite.figure(f"the largest answer has {biggest} bytes; {await world.states()}")
        assert biggest < LARGEST
        await worked_off(world, most=200)
        suite.figure(f"all judged after {time.monotonic() - start:.0f} s, {dict(world.counts())}")
        assert await world.states() == {"held": size} and not world.providers.removed, world.providers.removed
        world.nobody_else_was_removed()
        for function in list(world.functions):
            await world.end(function)
        start = time.monotonic()
        await world.operate("departures", "dismiss", "--all", "--yes")
        suite.figure(f"dismissed by one command in {time.monotonic() - start:.0f} s")
        assert await world.states() == {"dismissed": size} and not world.providers.removed


@check
async def a_flood_of_single_departures_removes_at_most_the_limit(suite):
    count, limit = max(suite.size // 5, 80), 50
    async with suite.world(policy=f'max_departures = {{ count = {limit}, per = "1h" }}') as world:
        functions, numbers = [await world.function() for _ in range(4)], iter(range(count))
        events = [event(str(n), world.person()) for n in range(count)]

        async def send(function):
            for n in numbers:
                await repeated(world, function, events[n])

        start = time.monotonic()
        await asyncio.gather(*map(send, functions))
        for function in functions:
            await world.end(function)
        suite.figure(f"{count} departures in {time.monotonic() - start:.0f} s, {dict(await world.states())}")
        removed = {email for _, email in world.providers.removed}
        states = await world.states()
        # Those that came first; more of them meet a list that changes while it is read, and go on later.
        assert limit - 8 <= len(removed) <= states["done"] + states["pending"] <= limit, (len(removed), states)
        assert states["held"] >= count - limit, states
        untouched = [email for email in world.people if world.providers.has(email) == set(NAMES)]
        assert len(untouched) == count - len(removed) and not set(untouched) & removed
        # One command settles the rest.
        await world.operate("departures", "release", "--all", "--reason", "too_many_departures", "--yes")
        await worked_off(world)
        await world.all_done([f"hr/{n}" for n in range(count)])
        released = [record for record in (await world.records()).values() if record["history"]]
        assert len(released) == states["held"], len(released)


@check
async def a_storm_while_providers_fail_is_carried_out(suite):
    count = max(suite.size // 5, 80)
    async with suite.world(attempts=1, policy=MANY) as world:
        functions, numbers = [await world.function() for _ in range(4)], iter(range(count))
        events = [event(str(n), world.person()) for n in range(count)]
        world.providers.failing, world.providers.rate = {"cloudflare", "stytch"}, {"flashduty": 30}
        replies, start = collections.Counter(), time.monotonic()

        async def send(function):
            for n in numbers:
                reply, _, _ = await repeated(world, function, events[n])
                replies[reply.state] += 1
                if n == count // 2:
                    world.providers.failing = set()

        await asyncio.gather(*map(send, functions))
        for function in functions:
            await world.end(function)
        delivered = time.monotonic() - start
        await worked_off(world, pace=1)
        suite.figure(f"{count} departures, {dict(replies)}, delivered in {delivered:.0f} s")
        suite.figure(f"done in {time.monotonic() - start:.0f} s; {dict(world.providers.refused)} refused")
        assert set(world.providers.refused) == {"cloudflare", "stytch", "flashduty"}, world.providers.refused
        await world.all_done([f"hr/{n}" for n in range(count)])


@check
async def three_thousand_facts_and_a_departure_get_through(suite):
    """A repetition goes on where the delivery stopped; the departure is not carried out before all facts are stored."""
    async with suite.world() as world:
        email, function = world.person(), await world.function()
        facts = [event(f"f{n}", f"colleague-{n}@example.com", "hired", at="2026-01-01T00:00:00Z") for n in range(3000)]
        # The last fact says that the leaver is active elsewhere: what is not stored yet counts.
        events = [*facts, event("1", email)]
        body = delivery.signed(events)["body"]
        assert len(body) < LARGEST, len(body)
        start, count = time.monotonic(), 0
        while True:
            begun, count = time.monotonic(), count + 1
            reply = await world.deliver(function, *events)
            assert time.monotonic() - begun < 10, f"the sender waits for {time.monotonic() - begun:.0f} s"
            if reply.status == 200:
                break
            assert reply.status == 503 and not world.providers.removed and count < 40, str(reply)
        suite.figure(f"{count} deliveries, {time.monotonic() - start:.0f} s, {dict(world.counts())}")
        await world.end(function)
        await world.finish()
        await finished(world, [events[-1]])
        identities = sum(id.startswith("#identity") for id in await world.items())
        assert identities >= 3000, identities


@check
async def five_hundred_events_of_pingone_are_answered_in_time(suite):
    async with suite.world(policy=MANY, more='[sources.pingone]\nkind = "pingone"\n') as world:
        function, events = await world.function(), [pingone(n, world.person()) for n in range(501)]
        headers, count = {"authorization": PINGONE["token"]}, 0
        while True:
            begun, count = time.monotonic(), count + 1
            answer = await function.invoke(delivery.envelope("pingone", headers, json.dumps(events)))
            reply, taken = delivery.Reply(answer), time.monotonic() - begun
            assert taken < 10, f"the sender waits for {taken:.0f} s"
            if reply.status == 200:
                break
            assert reply.status == 503 and count < 20, str(reply)
        suite.figure(f"{count} deliveries, the last in {taken:.1f} s, {len(reply.text)} bytes: {reply.text[:200]}")
        assert sum(reply.report["departures"].values()) == len(events) and len(reply.text) < LARGEST, str(reply)
        await world.end(function)
        await worked_off(world)
        await world.all_done([f"pingone/{n}" for n in range(501)])


def pingone(n, email):
    """Like the sample of src/source/kinds/pingone.toml."""
    return {
        "id": str(n),
        "recordedAt": STARTED.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "action": {"type": "USER.DELETED"},
        "actors": {"user": {"id": "admin", "type": "USER"}},
        "resources": [{"type": "USER", "id": f"user-{n}", "name": email, "environment": {"id": "production"}}],
        "result": {"status": "SUCCESS"},
    }

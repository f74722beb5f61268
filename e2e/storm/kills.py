"""The process is killed at every call that it makes."""

from delivery import messages as batch
from suite import NAMES, ONE_BY_ONE, check, event, finished, is_aws, killing, undisturbed
from world import Point

MOMENTS = ("before", "after")


def at_each(points):
    return [(point, moment) for point in points for moment in MOMENTS]


@check
async def killed_at_every_call_of_a_delivery(suite):
    async with suite.world() as world:
        points = await undisturbed(world)

    async def run(case):
        point, moment = case
        async with suite.world() as world:
            world.delays, email = ONE_BY_ONE, world.person()
            departure = event("1", email)
            killing(world, point, moment)
            reply = await world.deliver(await world.function(), departure)
            assert reply is None, f"this point was not reached: {reply}"
            world.functions.clear()
            settled, since, known = await world.settled(), len(world.points), bool(await world.records())
            if not known or moment == "after":
                # The sender was not answered, and repeats the delivery at once.
                function = await world.function()
                reply = await world.deliver(function, departure)
                expected = [("pending", True), ("done", True)] if known else [("done", False)]
                assert reply.status == 200 and (reply.state, reply.duplicate) in expected, (expected, str(reply))
                await world.end(function)
            # Or never; then the tick alone goes on.
            await world.finish()
            await finished(world, [departure], since, settled)

    await suite.each(at_each(points), run)


async def postponed(world):
    """A departure whose providers were all down when it was delivered, so that a message has all the work."""
    email = world.person()
    world.providers.failing = set(NAMES)
    function = await world.function()
    reply = await world.deliver(function, event("1", email))
    assert (reply.status, reply.state) == (200, "pending"), str(reply)
    await world.end(function)
    world.providers.failing = set()
    world.points.clear()
    world.nth.clear()
    world.move_to((await world.record("hr/1"))["due_at"])
    return event("1", email)


@check
async def killed_at_every_call_of_a_message(suite):
    async with suite.world(attempts=1) as world:
        world.delays, departure = ONE_BY_ONE, await postponed(world)
        function = await world.function()
        assert await world.work(function) == 1
        points, world.delays = list(world.points), {}
        await world.end(function)
        await finished(world, [departure])

    async def run(case):
        point, moment = case
        async with suite.world(attempts=1) as world:
            world.delays, departure = ONE_BY_ONE, await postponed(world)
            killing(world, point, moment)
            await world.work(await world.function())
            assert world.interfere is None, "this point was not reached"
            world.functions.clear()
            settled, since = await world.settled(), len(world.points)
            await world.lose_messages()
            await world.finish()
            await finished(world, [departure], since, settled)

    await suite.each(at_each(points), run)


@check
async def killed_at_every_call_of_a_tick(suite):
    async with suite.world(attempts=1) as world:
        await postponed(world)
        await world.tick(await world.function())
        points = list(world.points)
        assert points and all(map(is_aws, points)), points
        suite.figure(f"a tick makes {', '.join(f'{count} × {call}' for call, count in world.counts().items())}")

    async def run(case):
        async with suite.world(attempts=1) as world:
            departure = await postponed(world)
            await world.lose_messages()
            killing(world, *case)
            assert await world.tick(await world.function()) is None and world.interfere is None, case
            world.functions.clear()
            await world.finish()
            await finished(world, [departure])

    await suite.each(at_each(points), run)


@check
async def a_killed_worker_whose_clock_was_a_minute_wrong(suite):
    async def run(case):
        clock, skew = case
        async with suite.world() as world:
            email = world.person()
            killing(world, Point("stytch DELETE ID", 1), "after")
            assert await world.deliver(await world.function(clock), event("1", email)) is None
            world.functions.clear()
            settled, since = await world.settled(), len(world.points)
            await world.finish(skew=skew)
            await finished(world, [event("1", email)], since, settled)

    await suite.each([(60, 0), (-60, 0), (0, 60), (0, -60), (30, -30), (-30, 30)], run)


@check
async def a_departure_that_kills_its_worker_goes_behind_the_others(suite):
    """Its attempt and when it is due again are written before it is worked on."""
    async with suite.world(attempts=1) as world:
        world.providers.failing = set(NAMES)
        people = [world.person() for _ in range(3)]
        function = await world.function()
        for n, email in enumerate(people):
            reply = await world.deliver(function, event(str(n), email))
            assert (reply.status, reply.state) == (200, "pending"), str(reply)
        await world.end(function)
        world.providers.failing = set()
        await world.lose_messages()
        for crash in range(1, 4):
            before = await world.records()
            first = min(before.values(), key=lambda record: record["due_at"])
            world.move_to(first["due_at"])
            function = await world.function()
            await world.tick(function)
            messages = await world.receive()
            killing(world, Point("cloudflare GET users", world.nth["cloudflare GET users"] + 1), "before")
            [message, *_] = [one for one in messages if first["id"] in one["Body"]]
            assert await function.invoke(batch([message])) is None
            world.functions.clear()
            await world.lose_messages()
            after = await world.record(first["id"])
            assert after["attempts"] == first["attempts"] + 1, (first, after)
            others = [record["due_at"] for id, record in (await world.records()).items() if id != first["id"]]
            assert after["due_at"] > max(others) or crash > 1, (after["due_at"], others)
            world.ahead += 60
        await world.finish()
        await finished(world, [event(str(n), email) for n, email in enumerate(people)])

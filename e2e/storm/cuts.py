"""AWS is out of reach: from a call on, for one call, for a while; or it answers and the answer is lost."""

import asyncio

from suite import NAMES, ONE_BY_ONE, check, event, finished, is_aws, undisturbed
from wire import Answer
from world import FunctionError

SERVICES = ("ledger", "queue")
DOWN = Answer.json(503, {"__type": "com.amazonaws.dynamodb.v20120810#ServiceUnavailable", "message": "down"})


def cutting(world, services, first=1, moment="before", most=None, silence=0, answer=True):
    """From its `first` call to AWS on, these services answer `answer` (nothing by default), `most` times."""
    count, cut = 0, 0

    async def interfere(point, now):
        nonlocal count, cut
        if not is_aws(point):
            return False
        count += now == "before"
        if now != moment or count < first or point.call.partition(" ")[0] not in services or cut == most:
            return False
        cut += 1
        await asyncio.sleep(silence)
        return answer

    world.interfere = interfere


@check
async def an_answer_of_aws_that_is_lost_loses_nothing(suite):
    """Every call to AWS in turn is carried out and its answer lost, once: the SDK sends it again."""
    async with suite.world() as world:
        points = [point for point in await undisturbed(world) if is_aws(point)]

    async def run(case):
        async with suite.world() as world:
            world.delays, email = ONE_BY_ONE, world.person()
            cutting(world, SERVICES, case[0], "after", most=1)
            reply = await world.deliver(await world.function(), event("1", email))
            assert (reply.status, reply.state, reply.duplicate) == (200, "done", False), str(reply)
            world.interfere, world.delays = None, {}
            await finished(world, [event("1", email)])

    await suite.each([(first,) for first in range(1, len(points) + 1)], run)


@check
async def nobody_is_removed_without_the_ledger(suite):
    async def run(case):
        silence, answer = case
        async with suite.world() as world:
            email = world.person()
            cutting(world, ["ledger"], silence=silence, answer=DOWN if answer == "503" else True)
            function = await world.function()
            reply = await world.deliver(function, event("1", email))
            assert reply.status == 503 and int(reply.headers["retry-after"]) > 0, str(reply)
            assert world.providers.has(email) == set(NAMES) and not world.providers.removed
            world.interfere = None
            reply = await world.deliver(function, event("1", email))
            assert (reply.status, reply.state) == (200, "done"), str(reply)
            await finished(world, [event("1", email)])

    await suite.each([(0, "nothing"), (20, "nothing"), (0, "503")], run)


@check
async def a_departure_needs_no_queue(suite):
    async def run(case):
        async with suite.world(attempts=1) as world:
            people = [world.person() for _ in range(2)]
            cutting(world, ["queue"], silence=case[0])
            function = await world.function()
            reply = await world.deliver(function, event("0", people[0]))
            assert (reply.status, reply.state) == (200, "done"), str(reply)
            # Work is left, and no message can be sent: the tick finds it.
            world.providers.failing = {"stytch"}
            reply = await world.deliver(function, event("1", people[1]))
            assert (reply.status, reply.state) == (200, "pending"), str(reply)
            world.providers.failing = set()
            world.ahead = 120
            late = await world.function()
            try:
                await world.tick(late)
                raise AssertionError("a tick that reached no queue said that all is well")
            except FunctionError:
                pass
            await world.end(late)
            world.interfere = None
            await world.finish()
            await finished(world, [event(str(n), email) for n, email in enumerate(people)])

    await suite.each([(0,), (20,)], run)


@check
async def aws_is_lost_half_way(suite):
    """From the k-th call on, for each k: nothing reaches AWS any more, or nothing comes back."""
    async with suite.world() as world:
        points = [point for point in await undisturbed(world) if is_aws(point)]

    async def run(case):
        first, moment = case
        async with suite.world() as world:
            world.delays, email = ONE_BY_ONE, world.person()
            departure = event("1", email)
            cutting(world, SERVICES, first, moment)
            reply = await world.deliver(await world.function(), departure)
            world.interfere, world.delays = None, {}
            records = await world.records()
            if reply.status == 200:
                assert records["hr/1"]["state"] in ("done", "pending"), (records, str(reply))
            else:
                assert reply.status == 503 and int(reply.headers["retry-after"]) > 0, str(reply)
                assert not world.providers.removed, f"503, and removed at {world.providers.removed}"
                function = await world.function()
                reply = await world.deliver(function, departure)
                assert reply.status == 200 and reply.state in ("done", "pending"), str(reply)
                await world.end(function)
            settled, since = await world.settled(), len(world.points)
            await world.finish()
            await finished(world, [departure], since, settled)

    cases = [(first, moment) for first in range(1, len(points) + 1) for moment in ("before", "after")]
    await suite.each(cases, run)


@check
async def a_message_or_a_tick_meets_a_ledger_that_is_lost(suite):
    """From the k-th call on. The message is acknowledged all the same, and a later tick goes on."""

    async def pending(world):
        email, function = world.person(), await world.function()
        world.providers.failing = set(NAMES)
        await world.deliver(function, event("1", email))
        await world.end(function)
        world.providers.failing = set()
        world.move_to((await world.record("hr/1"))["due_at"])
        return event("1", email)

    async def run(case):
        first, moment = case
        async with suite.world(attempts=1) as world:
            departure = await pending(world)
            cutting(world, ["ledger"], first, moment)
            function = await world.function()
            assert await world.work(function) == 1
            try:
                await world.tick(function)
            except FunctionError:
                pass
            await world.end(function)
            world.interfere = None
            await world.finish()
            await finished(world, [departure])

    await suite.each([(first, moment) for first in range(1, 8) for moment in ("before", "after")], run)


@check
async def a_ledger_that_is_down_for_41_minutes_delays_and_loses_nothing(suite):
    async with suite.world(attempts=1) as world:
        world.providers.failing, email = {"stytch"}, world.person()
        function = await world.function()
        reply = await world.deliver(function, event("1", email))
        assert (reply.status, reply.state) == (200, "pending"), str(reply)
        await world.end(function)
        world.providers.failing = set()
        cutting(world, ["ledger"], answer=DOWN)
        for minute in range(1, 42, 8):
            world.ahead = 60 * minute
            function = await world.function()
            await world.work(function)
            try:
                await world.tick(function)
                raise AssertionError("a tick without the ledger said that all is well")
            except FunctionError:
                pass
            await world.end(function)
        world.interfere = None
        assert await world.message_count() == 0, "a message was not acknowledged"
        await world.finish()
        await finished(world, [event("1", email)])

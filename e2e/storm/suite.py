"""What the checks share: worlds, many cases at once, and what must hold in the end."""

import asyncio
import contextlib
import traceback

from world import NAMES, World, event, is_aws

# Seconds before each answer of a provider, so that they end one after the other.
ONE_BY_ONE = {"aerospike": 0.01, "cloudflare": 0.07, "flashduty": 0.14, "instaply": 0.31, "stytch": 0.28}
AT_ONCE = 4  # worlds
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class Suite:
    def __init__(self, emulator, binaries, folder, size):
        self.emulator, self.binaries, self.folder, self.size = emulator, binaries, folder, size
        self.figures = []

    @contextlib.asynccontextmanager
    async def world(self, **settings):
        world = await World(self.emulator, self.binaries, self.folder, **settings).start()
        try:
            yield world
        except Exception as error:
            log = world.log.read_text()[-3000:] if world.log.exists() else ""
            calls = "\n".join(map(str, world.points[-40:]))
            raise AssertionError(f"{error!r}\n{traceback.format_exc()}\n{calls}\n{log}") from None
        finally:
            await world.stop()

    async def each(self, cases, run):
        """Runs a case for each of many, a few at once. All errors are shown."""
        turns, errors = asyncio.Semaphore(AT_ONCE), []

        async def guarded(case):
            async with turns:
                try:
                    await run(case)
                except Exception as error:
                    errors.append(f"{' '.join(map(str, case))}: {error}")

        await asyncio.gather(*(guarded(case) for case in cases))
        assert cases and not errors, f"{len(errors)} of {len(cases)} failed:\n" + "\n".join(errors[:3])
        self.figure(f"{len(cases)} cases")

    def figure(self, text):
        self.figures.append(text)


def killing(world, point, moment):
    """Kills the processes when `point` is reached: before the call is passed on, or before its answer is."""

    async def interfere(reached, now):
        if (reached, now) != (point, moment):
            return False
        world.interfere = None
        for function in world.functions:
            function.strike()
        return True

    world.interfere = interfere


async def undisturbed(world, id="1"):
    """The calls of one departure to which nothing happens."""
    world.delays, email = ONE_BY_ONE, world.person()
    function = await world.function()
    reply = await world.deliver(function, event(id, email))
    assert (reply.status, reply.state, reply.duplicate) == (200, "done", False), str(reply)
    points, world.delays = list(world.points), {}
    await world.end(function)
    await finished(world, [event(id, email)])
    return points


async def finished(world, events, since=None, settled=()):
    """Whatever happened, each departure was carried out once, and a repetition of its delivery does nothing."""
    if since is not None:
        again = {point.call.partition(" ")[0] for point in world.points[since:]} & set(settled)
        assert not again, f"settled, and called again: {again}"
    await world.all_done([f"hr/{one['id']}" for one in events])
    calls, function = len(world.points), await world.function()
    for repeated in events:
        reply = await world.deliver(function, repeated)
        assert (reply.status, reply.state, reply.duplicate) == (200, "done", True), str(reply)
    await world.end(function)
    called = {point.call for point in world.points[calls:] if not is_aws(point)}
    assert not called, called


__all__ = ["CHECKS", "NAMES", "ONE_BY_ONE", "Suite", "check", "event", "finished", "is_aws", "killing", "undisturbed"]

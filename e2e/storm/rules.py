"""What the record and the rules promise, seen from outside: nothing waits in silence, nobody is removed by a slip."""

import datetime
import json
import time

import delivery
from suite import NAMES, check, event, finished
from wire import Answer


def stamp(**ahead):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")


@check
async def an_event_id_that_is_reused_for_another_person_is_held_under_its_own_id(suite):
    async with suite.world() as world:
        first, second = world.person(), world.person()
        function = await world.function()
        assert (await world.deliver(function, event("1", first))).state == "done"
        reply = await world.deliver(function, event("1", second))
        assert (reply.status, reply.state, reply.duplicate) == (200, "held", False), str(reply)
        assert reply.reasons == ["event_id_reused"] and reply.id.startswith("hr/1~"), str(reply)
        assert world.providers.has(second) == set(NAMES) and not world.providers.has(first)
        again = await world.deliver(function, event("1", second))
        assert (again.id, again.state, again.duplicate) == (reply.id, "held", True), str(again)
        # Another time of the same person is another event as well.
        third = await world.deliver(function, event("1", first, at=stamp(minutes=-1)))
        assert (third.state, third.reasons) == ("held", ["event_id_reused"]) and third.id != reply.id, str(third)
        await world.operate("departures", "release", reply.id)
        await world.finish()
        assert (await world.record(reply.id))["state"] == "done" and not world.providers.has(second)


@check
async def a_retry_after_of_a_day_is_respected(suite):
    async with suite.world(attempts=1) as world:
        email = world.person()
        refusal = {"success": False, "errors": [{"code": 971, "message": "slow down"}], "messages": [], "result": None}

        async def interfere(point, moment):
            limited = point.call.startswith("cloudflare") and moment == "before"
            return limited and Answer.json(429, refusal, **{"retry-after": "86400"})

        world.interfere = interfere
        function = await world.function()
        reply = await world.deliver(function, event("1", email))
        assert (reply.status, reply.state) == (200, "pending"), str(reply)
        wait = (await world.record("hr/1"))["due_at"] - time.time()
        assert 86390 < wait < 86410, wait
        assert await world.message_count() == 0, "a message cannot wait for a day"
        await world.end(function)
        calls, world.ahead = len(world.points), 86000
        early = await world.function()
        await world.tick(early)
        assert await world.work(early) == 0
        assert not [point for point in world.points[calls:] if point.call.startswith("cloudflare")]
        await world.end(early)
        world.interfere = None
        await world.finish()
        await finished(world, [event("1", email)])


@check
async def redeliveries_do_not_use_up_the_safeguard(suite):
    async with suite.world(policy='max_departures = { count = 3, per = "1h" }') as world:
        function, people = await world.function(), [world.person() for _ in range(4)]
        for n in range(3):
            for time_ in range(8):
                reply = await world.deliver(function, event(str(n), people[n]))
                assert (reply.state, reply.duplicate) == ("done", time_ > 0), str(reply)
        reply = await world.deliver(function, event("3", people[3]))
        assert (reply.state, reply.reasons) == ("held", ["too_many_departures"]), str(reply)
        assert world.providers.has(people[3]) == set(NAMES)


@check
async def a_release_without_the_queue_is_carried_out_by_the_tick(suite):
    async with suite.world() as world:
        email, function = world.person(), await world.function()
        reply = await world.deliver(function, event("1", email, at=stamp(days=-30)))
        assert (reply.state, reply.reasons) == ("held", ["event_too_old"]), str(reply)
        await world.end(function)
        nowhere = f"{world.emulator.url}/000000000000/nowhere"
        await world.operate("departures", "release", "hr/1", OFFBOARD_QUEUE_URL=nowhere)
        assert (await world.record("hr/1"))["state"] == "pending" and await world.message_count() == 0
        await world.finish()
        await world.all_done(["hr/1"])


@check
async def a_pause_stops_every_removal_and_a_resume_goes_on(suite):
    async with suite.world() as world:
        email, function = world.person(), await world.function()
        await world.operate("pause", "--reason", "the directory is wrong")
        reply = await world.deliver(function, event("1", email))
        assert (reply.status, reply.state, reply.reasons) == (200, "held", ["paused"]), str(reply)
        await world.end(function)
        for minutes in (2, 180):
            world.ahead = 60 * minutes
            function = await world.function()
            await world.tick(function)
            assert await world.work(function) == 0, "a message for what is paused"
            await world.end(function)
        assert world.providers.has(email) == set(NAMES)
        await world.operate("resume")
        world.ahead += 60
        function = await world.function()
        await world.tick(function)
        assert await world.work(function) == 1
        await finished(world, [event("1", email)])


@check
async def what_the_facts_say_before_a_removal_counts(suite):
    """The person comes back while the departure waits for an outage to end."""
    async with suite.world(attempts=1) as world:
        email, function = world.person(), await world.function()
        world.providers.failing = set(NAMES)
        reply = await world.deliver(function, event("1", email))
        assert (reply.status, reply.state) == (200, "pending"), str(reply)
        reply = await world.deliver(function, event("2", email, "hired", at=stamp(minutes=1)))
        assert reply.status == 200, str(reply)
        await world.end(function)
        world.providers.failing = set()
        await world.finish()
        record = await world.record("hr/1")
        assert record["state"] == "held" and record["vetoes"][0]["veto"] == "person_returned", record
        assert world.providers.has(email) == set(NAMES)
        world.nobody_else_was_removed()


@check
async def a_departure_waits_for_the_other_source(suite):
    async def run(case):
        follows = case[0] == "follows"
        async with suite.world(sources=("hr", "contractors")) as world:
            email, function = world.person(), await world.function()
            active = event("c1", email, "hired", at=stamp(days=-100), user="c-1")
            assert (await world.deliver(function, active, source="contractors")).status == 200
            reply = await world.deliver(function, event("1", email))
            assert (reply.status, reply.state, reply.reasons) == (200, "pending", ["active_elsewhere"]), str(reply)
            assert world.providers.has(email) == set(NAMES)
            if follows:
                left = event("c2", email, user="c-1")
                assert (await world.deliver(function, left, source="contractors")).status == 200
            await world.end(function)
            await world.finish(most=20)
            if follows:
                assert {record["state"] for record in (await world.records()).values()} == {"done"}
                assert not world.providers.has(email) and set(world.providers.removed.values()) == {1}
            else:
                # The hour, less what passed by the real clock while this ran.
                assert (await world.record("hr/1"))["state"] == "held" and world.ahead >= 3540, world.ahead
                assert world.providers.has(email) == set(NAMES)

    await suite.each([("follows",), ("never",)], run)


@check
async def a_departure_ahead_is_carried_out_at_its_time(suite):
    async with suite.world() as world:
        email, function = world.person(), await world.function()
        ahead = event("1", email, at=stamp(hours=23))
        reply = await world.deliver(function, ahead)
        assert (reply.status, reply.state, reply.reasons) == (200, "pending", ["event_in_future"]), str(reply)
        await world.end(function)
        world.ahead = 22 * 3600
        function = await world.function()
        await world.tick(function)
        await world.work(function)
        assert world.providers.has(email) == set(NAMES)
        await world.end(function)
        await world.finish()
        await finished(world, [ahead])
        assert world.ahead > 22.8 * 3600


@check
async def what_fails_for_three_days_is_given_to_a_person(suite):
    async with suite.world(attempts=1) as world:
        email, function = world.person(), await world.function()
        world.providers.failing = {"stytch"}
        reply = await world.deliver(function, event("1", email))
        assert (reply.status, reply.state) == (200, "pending"), str(reply)
        await world.end(function)
        await world.finish(most=60)
        record = await world.record("hr/1")
        assert (record["state"], record["providers"]["stytch"]["outcome"]) == ("needs_attention", "unavailable"), record
        assert 3 * 86400 - 60 <= world.ahead <= 3.3 * 86400 and record["attempts"] < 30, (world.ahead, record["attempts"])
        suite.figure(f"{record['attempts']} attempts in {world.ahead / 86400:.1f} days")
        world.providers.failing = set()
        await world.operate("departures", "replay", "hr/1")
        await world.finish()
        await finished(world, [event("1", email)])


@check
async def a_message_that_cannot_be_followed_is_acknowledged(suite):
    async with suite.world() as world:
        function = await world.function()
        for body in ("hello", "{}", '{"departure": "hr/unknown"}', '{"departure": "#pause"}', '{"departure": ""}'):
            message = {"MessageId": "1", "ReceiptHandle": "1", "Body": body}
            message["Attributes"] = {"ApproximateReceiveCount": "1"}
            assert await function.invoke(delivery.messages([message])) == {"batchItemFailures": []}, body


@check
async def a_tick_publishes_what_waits(suite):
    async with suite.world(attempts=1) as world:
        function = await world.function()
        await world.deliver(function, event("1", world.person(), at=stamp(days=-30)))
        world.providers.failing = {"stytch"}
        await world.deliver(function, event("2", world.person()))
        await world.end(function)
        send = {"QueueUrl": world.dead_letters, "MessageBody": '{"departure": "hr/2"}'}
        await world.emulator.call("AmazonSQS.SendMessage", send)
        world.ahead = 1000
        function = await world.function()
        await world.tick(function)
        lines = [json.loads(line) for line in world.log.read_text().splitlines() if '"Tick"' in line]
        gauges = {name: value for name, value in lines[-1].items() if name != "_aws"}
        overdue = gauges.pop("OldestOverdueSeconds")
        expected = {"Tick": 1, "Pending": 1, "Held": 1, "NeedsAttention": 0, "DeadLetters": 1, "function": "offboard"}
        assert gauges == expected and 900 < overdue <= 1000, (gauges, overdue)
        counted = sum('"NewlyHeld":1' in line for line in world.log.read_text().splitlines())
        assert counted == 1, counted


@check
async def a_table_without_a_queue_and_a_queue_without_a_table_are_refused(suite):
    async with suite.world() as world:
        for name in ("OFFBOARD_LEDGER_TABLE", "OFFBOARD_QUEUE_URL"):
            try:
                await world.function(**{name: ""})
                raise AssertionError(f"it started without {name}")
            except AssertionError as error:
                assert "the function ended" in str(error), error
        assert "OFFBOARD_LEDGER_TABLE and OFFBOARD_QUEUE_URL go together" in world.log.read_text()


@check
async def a_blocked_deletion_with_thousands_of_references_is_recorded(suite):
    async with suite.world() as world:
        email, count = world.person(), 4000
        name = "a schedule with quite a long name, as people give it to their schedules"
        data = {"refs": [{"kind": "schedule", "name": f"{name} {n}", "href": f"/schedules/{n}"} for n in range(count)]}
        error = {"code": "ReferenceExist", "message": "the member is referenced"}

        async def interfere(point, moment):
            blocked = point.call == "flashduty POST delete" and moment == "before"
            return blocked and Answer.json(400, {"request_id": "1", "error": error, "data": data})

        world.interfere = interfere
        function = await world.function()
        reply = await world.deliver(function, event("1", email))
        assert (reply.status, reply.state) == (200, "needs_attention"), str(reply)
        record = await world.record("hr/1")
        assert record["state"] == "needs_attention" and len(json.dumps(record)) < 300_000, len(json.dumps(record))
        blocked = record["providers"]["flashduty"]
        assert blocked["outcome"] == "blocked" and 10 < len(blocked["references"]) < count, blocked
        assert f"{count - len(blocked['references'])} more references" in blocked["detail"], blocked


@check
async def without_a_table_the_sender_repeats_until_all_is_done(suite):
    async with suite.world(attempts=1, in_memory=True) as world:
        world.providers.failing, function = {"stytch"}, await world.function()
        people = [world.person() for _ in range(20)]
        for n, email in enumerate(people):
            reply = await world.deliver(function, event(str(n), email))
            assert (reply.status, reply.state) == (503, "incomplete"), str(reply)
            assert int(reply.headers["retry-after"]) > 0
        world.providers.failing = set()
        for duplicate in (False, True):
            for n, email in enumerate(people):
                reply = await world.deliver(function, event(str(n), email))
                assert (reply.status, reply.state) == (200, "done"), (duplicate, str(reply))
        wrong = {key: count for key, count in world.providers.removed.items() if count != 1}
        assert not wrong and len(world.providers.removed) == 5 * len(people), wrong
        assert not world.counts(), world.counts()
        world.nobody_else_was_removed()

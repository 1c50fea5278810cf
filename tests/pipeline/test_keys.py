"""Several keys in the flow: refused, rotated, spent, resting, and outside their hours."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from batcher.errors import ConfigError, Exit
from batcher.events import KeyBenched, KeyRotated, KeyStale, Paused, SharedQuotaSuspected
from batcher.job import Patience
from batcher.policy.window import parse
from batcher.records import Failure, FailureKind, Status
from batcher.secret import Secret
from tests.support.builders import a_reply
from tests.support.fakes import Answer, House

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def prompts(count: int) -> list[str]:
    return [f"p{number}" for number in range(1, count + 1)]


def loop_s() -> float:
    return asyncio.get_running_loop().time()


def wall() -> datetime:
    """Noon when the loop began; goes with the virtual clock."""
    return NOON + timedelta(seconds=loop_s())


class Source:
    """A key's source that changes when told, may fail and may take its time."""

    def __init__(self, *values: str, takes_s: float = 0.0) -> None:
        self.values = list(values)
        self.takes_s = takes_s
        self.reads = 0
        self.broken = False
        self.name, self.is_fixed = "the vault", False

    async def get(self) -> Secret:
        self.reads += 1
        await asyncio.sleep(self.takes_s)
        if self.broken:
            raise ConfigError("the vault is sealed")
        return Secret(self.values[0] if len(self.values) == 1 else self.values.pop(0))


class Server:
    """Accepts some key values and refuses others, in ways a test chooses."""

    def __init__(self, *accepted: str) -> None:
        self.accepted = set(accepted)
        self.kind, self.status = FailureKind.AUTH, 401
        self.house: House
        self.served: Counter[str] = Counter()

    def __call__(self, prompt: str, tries: int) -> Answer:
        alias = self.aliases[prompt]
        value = self.house.values[alias].reveal()
        if value not in self.accepted:
            return Failure(kind=self.kind, message="not this key", status=self.status)
        self.served[alias] += 1
        return a_reply()

    @property
    def aliases(self) -> dict[str, str]:
        transport = self.house.transport
        return {
            prompt: key for (_, prompt), key in zip(transport.sent, transport.keys, strict=True)
        }


def a_house(server: Server, rows: int, **more) -> House:
    server.house = House(prompts(rows), server, **more)
    return server.house


async def at(when_s: float, do: Callable[[], None]) -> None:
    await asyncio.sleep(when_s)
    do()


class TestRotation:
    @pytest.mark.parametrize("refresh_s", [0.0, 300.0])
    @pytest.mark.parametrize(("late_s", "found_s"), [(3, 6), (10, 14), (25, 30), (100, 122)])
    async def test_a_refused_key_comes_back_when_its_source_changes_later(
        self, late_s: float, found_s: float, refresh_s: float
    ) -> None:
        server = Server("one", "two")
        source = Source("one")
        house = a_house(
            server,
            1600,
            workers=4,
            sources={"a": source, "b": Source("two")},
            refresh_s={"a": refresh_s},
            patience=Patience(max_attempts=1),
        )

        def rotate() -> None:
            source.values = ["three"]
            server.accepted.add("three")

        async with asyncio.TaskGroup() as group:
            group.create_task(house.go())
            group.create_task(at(50, lambda: server.accepted.discard("one")))
            group.create_task(at(51 + late_s, rotate))

        assert {outcome.status for outcome in house.sink.outcomes} == {Status.OK}
        assert len(house.sink.outcomes) == 1600
        assert house.names().count("key.benched") == 1
        assert house.names().count("key.returned") == 1
        returned_s = min(
            s
            for (s, _), key in zip(house.transport.sent, house.transport.keys, strict=True)
            if key == "a" and s > 52
        )
        assert returned_s == pytest.approx(51 + found_s, abs=1.5)

    async def test_a_refused_key_is_looked_at_ever_less_often(self) -> None:
        server, source = Server("two"), Source("one")
        house = a_house(server, 1000, workers=4, sources={"a": source, "b": Source("two")})
        await house.go()

        assert loop_s() > 200
        assert 7 <= source.reads <= 10

    async def test_a_key_without_credit_is_not_looked_at(self) -> None:
        server, source = Server("two"), Source("one")
        server.kind, server.status = FailureKind.BILLING, 402
        house = a_house(server, 1000, workers=4, sources={"a": source, "b": Source("two")})
        await house.go()

        assert source.reads == 1

    async def test_the_last_key_is_waited_for_a_moment_when_it_worked_until_now(self) -> None:
        server, source = Server("one"), Source("one")
        house = a_house(server, 400, workers=8, sources={"a": source})

        def rotate() -> None:
            source.values = ["two"]
            server.accepted.add("two")

        async with asyncio.TaskGroup() as group:
            group.create_task(house.go())
            group.create_task(at(20.5, lambda: server.accepted.discard("one")))
            group.create_task(at(24.5, rotate))

        assert house.run.exit_code is None
        assert {outcome.status for outcome in house.sink.outcomes} == {Status.OK}
        assert len(house.transport.sent) == 400 + 8
        assert "key.benched" not in house.names()

    async def test_it_is_not_waited_for_longer(self) -> None:
        server, source = Server("one"), Source("one")
        house = a_house(server, 400, workers=8, sources={"a": source})

        async with asyncio.TaskGroup() as group:
            group.create_task(house.go())
            group.create_task(at(20.5, lambda: server.accepted.discard("one")))

        assert house.run.exit_code is Exit.HALTED
        assert house.run.reason == "the key a (the vault) was refused: not this key"
        assert loop_s() == pytest.approx(21 + 5, abs=0.5)
        assert len(house.transport.sent) == 20 * 8 + 8
        assert all(outcome.status is Status.OK for outcome in house.sink.outcomes)

    async def test_it_is_not_waited_for_when_the_run_is_stopped(self) -> None:
        server, source = Server("one"), Source("one")
        house = a_house(server, 400, workers=8, sources={"a": source})

        async with asyncio.TaskGroup() as group:
            group.create_task(house.go())
            group.create_task(at(20.5, lambda: server.accepted.discard("one")))
            group.create_task(at(22.2, lambda: house.run.drain("enough", Exit.INTERRUPTED)))

        assert house.run.exit_code is Exit.INTERRUPTED
        assert loop_s() == pytest.approx(22.2, abs=0.1)

    @pytest.mark.parametrize("works_s", [0.0, 20.5])
    async def test_what_cannot_change_or_never_worked_is_not_waited_for(
        self, works_s: float
    ) -> None:
        server, source = Server("one"), Source("one")
        source.is_fixed = works_s > 0.0
        house = a_house(server, 400, workers=8, sources={"a": source})

        async with asyncio.TaskGroup() as group:
            group.create_task(house.go())
            group.create_task(at(works_s, lambda: server.accepted.discard("one")))

        assert house.run.exit_code is Exit.HALTED
        assert loop_s() <= works_s + 1.1

    async def test_a_source_of_bad_values_is_not_looked_at_beside_a_good_key(self) -> None:
        server, source = Server("good"), Source(*[f"token-{number}" for number in range(100)])
        house = a_house(server, 1000, workers=4, sources={"a": source, "b": Source("good")})
        await house.go()

        assert {outcome.status for outcome in house.sink.outcomes} == {Status.OK}
        assert source.reads <= 5

    async def test_a_new_value_is_taken_on_the_interval_before_anything_is_refused(self) -> None:
        server = Server("one", "two")
        source = Source("one")
        house = a_house(server, 400, sources={"a": source}, refresh_s={"a": 20.0})

        async with asyncio.TaskGroup() as group:
            group.create_task(house.go())
            group.create_task(at(30, lambda: setattr(source, "values", ["two"])))
            group.create_task(at(45, lambda: server.accepted.discard("one")))

        assert {outcome.status for outcome in house.sink.outcomes} == {Status.OK}
        assert "attempt.failed" not in house.names()
        assert [e for e in house.events if isinstance(e, KeyRotated)] == [KeyRotated(key="a")]

    async def test_refresh_zero_reads_once(self) -> None:
        source = Source("one")
        await a_house(Server("one"), 400, sources={"a": source}, refresh_s={"a": 0.0}).go()

        assert source.reads == 1

    async def test_a_source_that_fails_for_a_while_costs_one_line_of_log(self) -> None:
        source = Source("one")
        house = a_house(Server("one"), 400, sources={"a": source}, refresh_s={"a": 10.0})

        async with asyncio.TaskGroup() as group:
            group.create_task(house.go())
            group.create_task(at(15, lambda: setattr(source, "broken", True)))
            group.create_task(at(75, lambda: setattr(source, "broken", False)))

        assert len(house.sink.outcomes) == 400
        told = [e for e in house.events if isinstance(e, KeyStale)]
        assert told == [KeyStale(key="a", reason="the vault is sealed")]
        assert source.reads == 11

    async def test_a_refused_key_is_read_once_however_many_were_in_flight(self) -> None:
        server = Server("two")
        source = Source("one", takes_s=5.0)
        source.is_fixed = True
        house = a_house(server, 200, workers=32, sources={"a": source, "b": Source("two")})
        await house.go()

        assert {outcome.status for outcome in house.sink.outcomes} == {Status.OK}
        assert source.reads == 2

    async def test_while_a_key_is_read_anew_nothing_is_sent_with_it(self) -> None:
        server = Server("two")
        source = Source("one", "two", takes_s=30.0)
        house = a_house(server, 50, workers=5, sources={"a": source})
        await house.go()

        assert {outcome.status for outcome in house.sink.outcomes} == {Status.OK}
        assert len(house.transport.sent) == 50 + 5

    async def test_a_source_with_ever_new_bad_values_does_not_keep_a_run_alive(self) -> None:
        source = Source(*[f"token-{number}" for number in range(100)])
        house = a_house(Server(), 50, sources={"a": source})
        await house.go()

        assert house.run.exit_code is Exit.HALTED
        assert source.reads <= 5

    async def test_when_no_key_is_left_the_run_halts_and_rows_wait(self) -> None:
        house = a_house(Server(), 50, sources={"a": Source("x"), "b": Source("y")})
        await house.go()

        assert house.run.exit_code is Exit.HALTED
        assert house.sink.outcomes == []
        assert house.names().count("key.benched") == 2
        assert "the key" in str(house.run.reason)

    async def test_a_key_that_loses_its_permissions_is_replaced_like_a_refused_one(self) -> None:
        server, source = Server("one", "two"), Source("one")
        server.kind, server.status = FailureKind.PERMISSION, 403
        house = a_house(server, 400, workers=8, sources={"a": source})

        def rotate() -> None:
            source.values = ["two"]
            server.accepted.discard("one")

        async with asyncio.TaskGroup() as group:
            group.create_task(house.go())
            group.create_task(at(10, rotate))

        assert {outcome.status for outcome in house.sink.outcomes} == {Status.OK}
        assert len(house.sink.outcomes) == 400
        assert len(house.transport.sent) <= 400 + 2 * 8

    @pytest.mark.parametrize("workers", [1, 8])
    async def test_without_another_value_it_stops_the_run_and_fails_no_row(
        self, workers: int
    ) -> None:
        server = Server("one")
        server.kind, server.status = FailureKind.PERMISSION, 403
        house = a_house(server, 400, workers=workers, sources={"a": Source("one")})

        async with asyncio.TaskGroup() as group:
            group.create_task(house.go())
            group.create_task(at(10, server.accepted.clear))

        assert house.run.exit_code is Exit.HALTED
        assert {outcome.status for outcome in house.sink.outcomes} == {Status.OK}

    async def test_a_source_that_breaks_in_an_unheard_of_way_costs_no_more_than_news(self) -> None:
        class Odd(Source):
            async def get(self) -> Secret:
                if self.reads:
                    raise AttributeError("'list' object has no attribute 'get'")
                return await super().get()

        house = a_house(Server("one"), 100, sources={"a": Odd("one")}, refresh_s={"a": 5.0})
        await house.go()

        assert {outcome.status for outcome in house.sink.outcomes} == {Status.OK}
        assert "keys.stale" in house.names() or "key.stale" in house.names()

    async def test_a_run_may_be_stopped_while_its_keys_are_being_read(self) -> None:
        house = a_house(Server("one"), 5, sources={"a": Source("one", takes_s=1e9)})

        async with asyncio.TaskGroup() as group:
            group.create_task(house.go())
            group.create_task(at(5, lambda: house.run.drain("interrupted", Exit.INTERRUPTED)))

        assert loop_s() < 10
        assert house.run.exit_code is Exit.INTERRUPTED
        assert house.transport.sent == []

    async def test_the_sources_of_all_keys_are_read_at_once(self) -> None:
        sources = {alias: Source(alias, takes_s=30.0) for alias in "abc"}
        house = a_house(Server(*"abc"), 3, sources=sources)
        await house.go()

        assert min(sent_s for sent_s, _ in house.transport.sent) == pytest.approx(30, abs=1)

    async def test_every_key_that_cannot_be_read_at_the_start_is_named(self) -> None:
        sources = {"a": Source("x"), "b": Source("y"), "c": Source("z")}
        sources["a"].broken = sources["c"].broken = True

        with pytest.raises(ConfigError) as caught:
            await a_house(Server(), 5, sources=sources).go()

        assert len(str(caught.value).splitlines()) == 2

    async def test_the_same_key_given_twice_is_told(self) -> None:
        house = a_house(Server("x"), 5, sources={"a": Source("x"), "b": Source("x")})
        await house.go()

        (told,) = [e for e in house.events if isinstance(e, SharedQuotaSuspected)]
        assert told.keys == ("a", "b")


class TestSpentMoney:
    def server(self, *accepted: str) -> Server:
        server = Server(*accepted)
        server.kind, server.status = FailureKind.BILLING, 402
        return server

    async def test_all_keys_of_the_scope_are_out_and_the_others_go_on(self) -> None:
        server = self.server("three")
        house = a_house(
            server,
            200,
            sources={"a": Source("one"), "b": Source("two"), "c": Source("three")},
            scopes={"a": "org", "b": "org", "c": "other"},
            patience=Patience(max_attempts=1),
        )
        await house.go()

        assert {outcome.status for outcome in house.sink.outcomes} == {Status.OK}
        assert {e.key for e in house.events if isinstance(e, KeyBenched)} == {"a", "b"}
        assert len(house.transport.sent) <= 200 + 4

    async def test_without_another_scope_the_run_halts_within_what_is_in_flight(self) -> None:
        house = a_house(
            self.server(),
            200,
            workers=8,
            sources={"a": Source("one"), "b": Source("two")},
            scopes={"a": "org", "b": "org"},
        )
        await house.go()

        assert house.run.exit_code is Exit.HALTED
        assert house.run.reason == "not this key"
        assert len(house.transport.sent) == 8
        assert house.sink.outcomes == []


class TestForbidden:
    def server(self, *accepted: str) -> Server:
        server = Server(*accepted)
        server.kind, server.status = FailureKind.PERMISSION, 403
        return server

    async def test_a_key_that_never_worked_is_out(self) -> None:
        server = self.server("two")
        house = a_house(server, 100, sources={"a": Source("one"), "b": Source("two")})
        await house.go()

        assert {outcome.status for outcome in house.sink.outcomes} == {Status.OK}
        assert [e.key for e in house.events if isinstance(e, KeyBenched)] == ["a"]

    async def test_a_key_that_loses_its_rights_midway_costs_no_row(self) -> None:
        server = self.server("one", "two")
        house = a_house(server, 2000, workers=8, sources={"a": Source("one"), "b": Source("two")})
        async with asyncio.TaskGroup() as group:
            group.create_task(house.go())
            group.create_task(at(20, lambda: server.accepted.discard("one")))

        assert {outcome.status for outcome in house.sink.outcomes} == {Status.OK}
        assert "key.benched" in house.names()
        assert len(house.transport.sent) < 2000 + 60

    async def test_a_forbidden_row_costs_itself_and_no_key(self) -> None:
        server = self.server("one", "two")
        house = a_house(server, 200, sources={"a": Source("one"), "b": Source("two")})

        def script(prompt: str, tries: int) -> Answer:
            if prompt in {"p50", "p51", "p52"}:
                return Failure(kind=FailureKind.PERMISSION, message="no", status=403)
            return a_reply()

        house.transport._script = script
        outcomes = await house.go()

        failed = sorted(o.line for o in outcomes if o.status is Status.FAILED)
        assert failed == [50, 51, 52]
        assert len(outcomes) == 200
        assert len(house.transport.sent) == 200 + 3 * 2


class TestCooling:
    async def test_when_all_keys_cool_down_the_run_waits_and_fails_no_row(self) -> None:
        house = a_house(Server("one", "two"), 20, sources={"a": Source("one"), "b": Source("two")})
        house.controller.wait_s = lambda need, *, now: max(0.0, 4000.0 - now)  # type: ignore[method-assign]
        outcomes = await house.go()

        assert {outcome.status for outcome in outcomes} == {Status.OK}
        assert min(s for s, _ in house.transport.sent) == pytest.approx(4000, abs=1)


class TestHours:
    async def test_a_key_is_used_within_its_hours_only(self) -> None:
        house = a_house(
            Server("one", "two"),
            400,
            sources={"all-day": Source("one"), "evening": Source("two")},
            windows={"evening": parse("12:01-12:02", UTC)},
            wall=wall,
        )
        await house.go()

        used_s = [
            s
            for (s, _), key in zip(house.transport.sent, house.transport.keys, strict=True)
            if key == "evening"
        ]
        assert used_s
        assert min(used_s) >= 60
        assert max(used_s) <= 120.1
        assert "dispatch.paused" not in house.names()

    async def test_when_none_is_active_the_run_waits_and_says_until_when(self) -> None:
        house = a_house(
            Server("one", "two"),
            30,
            sources={"a": Source("one"), "b": Source("two")},
            windows={"a": parse("22:00-06:00", UTC), "b": parse("23:00-06:00", UTC)},
            wall=wall,
        )
        outcomes = await house.go()

        assert {outcome.status for outcome in outcomes} == {Status.OK}
        assert min(s for s, _ in house.transport.sent) == pytest.approx(36_000, abs=1)
        (told,) = [e for e in house.events if isinstance(e, Paused)]
        assert told.reason == "outside the hours of every key until 2026-11-22 22:00 UTC"
        assert told.wait_s == pytest.approx(36_000, abs=1)

    async def test_hours_that_end_in_the_middle_stop_sending_until_the_next_day(self) -> None:
        house = a_house(
            Server("one"),
            400,
            workers=4,
            sources={"a": Source("one")},
            windows={"a": parse("11:00-12:01", UTC)},
            wall=wall,
        )
        outcomes = await house.go()

        assert len(outcomes) == 400
        day_s = 24 * 3600
        pauses = [s for s, _ in house.transport.sent if 60.1 < s < day_s - 3600]
        assert pauses == []
        assert house.names().count("dispatch.paused") == 1

    async def test_the_last_key_refused_outside_the_others_hours_is_waited_out(self) -> None:
        server = Server("two")
        house = a_house(
            server,
            30,
            sources={"day": Source("one"), "night": Source("two")},
            windows={"night": parse("22:00-06:00", UTC)},
            wall=wall,
        )
        outcomes = await house.go()

        assert {outcome.status for outcome in outcomes} == {Status.OK}
        assert "dispatch.paused" in house.names()

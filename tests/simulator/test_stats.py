"""The counters: what a test or another process may rely on."""

import asyncio

import orjson

from batcher.job import Simulator as Settings
from batcher.simulator.answers import prompt_hash
from batcher.simulator.server import Simulator
from tests.simulator.client import ask, send


async def control(simulator: Simulator, **orders: object) -> tuple[int | None, dict[str, object]]:
    seen = await send(simulator, "POST", "/_simulator/control", orjson.dumps(orders))
    return seen.status, seen.json()


async def test_every_answer_is_counted_for_its_prompt() -> None:
    async with Simulator(Settings(latency_ms=0)) as simulator:
        for prompt in ("a", "b", "a"):
            await ask(simulator, prompt=prompt)
        stats = simulator.stats

    assert stats.delivered == {prompt_hash("a"): 2, prompt_hash("b"): 1}
    assert (stats.requests, stats.admitted, stats.answers) == (3, 3, 3)
    assert stats.by_status == {200: 3}
    assert stats.connections_made == 3


async def test_an_answer_nobody_waited_for_is_not_delivered() -> None:
    async with Simulator(Settings(latency_ms=1000)) as simulator:
        await ask(simulator, patience_s=0.1)
        await asyncio.sleep(5)
        stats = simulator.stats

    assert (stats.admitted, stats.answers, stats.in_flight) == (1, 0, 0)


async def test_counting_per_prompt_can_be_switched_off() -> None:
    async with Simulator(Settings(latency_ms=0), deliveries=False) as simulator:
        await ask(simulator)

    assert simulator.stats.answers == 1
    assert not simulator.stats.delivered


async def test_times_of_admission_are_kept_when_asked_for() -> None:
    settings = Settings(latency_ms=0, requests_per_minute=60, burst_s=1)
    async with Simulator(settings, times=True) as simulator:
        for _ in range(2):
            await ask(simulator, headers={"x-api-key": "k"})
            await ask(simulator, headers={"x-api-key": "k"})
            await asyncio.sleep(1)
        stats = simulator.stats

    assert len(stats.admissions) == len(stats.refusals) == 2
    assert {mark.key for mark in stats.admissions} == {"k"}
    assert 0.99 < stats.admissions[1].at_s - stats.admissions[0].at_s < 1.1


async def test_stats_can_be_read_from_outside() -> None:
    async with Simulator(Settings(latency_ms=0), times=True) as simulator:
        await ask(simulator)
        short = (await send(simulator, "GET", "/_simulator/stats")).json()
        long = (await send(simulator, "GET", "/_simulator/stats?delivered=1&times=1")).json()

    assert (short["requests"], short["by_status"]) == (1, {"200": 1})
    assert "delivered" not in short
    assert "admissions" not in short
    assert long["delivered"] == {prompt_hash("Hello there"): 1}
    assert len(long["admissions"][0]) == 4
    assert long["requests"] == 1  # questions to the simulator itself do not count


async def test_everything_can_be_steered_from_outside() -> None:
    settings = Settings(latency_ms=0, requests_per_minute=60)
    async with Simulator(settings, keys={"old": "s"}) as simulator:
        await control(simulator, scale=0.5, add={"new": "t", "other": None}, revoke=["old"])
        seen = {
            key: await ask(simulator, headers={"x-api-key": key}) for key in ("old", "new", "other")
        }
        assert [s.status for s in seen.values()] == [401, 200, 200]
        assert seen["new"].headers["anthropic-ratelimit-requests-limit"] == "30"

        await control(simulator, down="529", for_s=10)
        assert (await ask(simulator, headers={"x-api-key": "new"})).status == 529
        await control(simulator, up=True)
        assert (await ask(simulator, headers={"x-api-key": "new"})).status == 200

        status, stats = await control(simulator, reset=True)
        assert (status, stats["requests"]) == (200, 0)


async def test_a_wrong_order_is_refused_with_what_is_wrong() -> None:
    async with Simulator(Settings(latency_ms=0)) as simulator:
        unknown = await control(simulator, slow=True)
        negative = await control(simulator, scale=-1)
        fault = await control(simulator, down="flood")
        path = await send(simulator, "GET", "/_simulator/else")

    assert [unknown[0], negative[0], fault[0], path.status] == [400, 400, 400, 404]
    assert "slow" in str(unknown[1])
    assert "no fault is called 'flood'" in str(fault[1])


async def test_counting_starts_anew_and_what_is_open_stays() -> None:
    async with Simulator(Settings(latency_ms=10_000)) as simulator:
        waiting = asyncio.ensure_future(ask(simulator, patience_s=60))
        await asyncio.sleep(1)
        simulator.stats.reset()
        assert (simulator.stats.requests, simulator.stats.in_flight) == (0, 1)
        await waiting

    assert (simulator.stats.answers, simulator.stats.in_flight) == (1, 0)

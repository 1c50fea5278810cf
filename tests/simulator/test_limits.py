"""Quotas as a client meets them: headers, Retry-After, and text of the 429."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from batcher import clock
from batcher.job import Simulator as Settings
from batcher.simulator.openai import duration
from batcher.simulator.server import Simulator
from tests.simulator.client import Seen, ask


def limited(**settings: Any) -> Simulator:
    return Simulator(Settings(latency_ms=0, output_sigma=0, output_tokens=100, **settings))


def ratelimits(seen: Seen, dimension: str) -> tuple[int, int, float]:
    """Limit, remaining, seconds until reset."""
    name = f"anthropic-ratelimit-{dimension}"
    reset = datetime.strptime(seen.headers[f"{name}-reset"].upper(), "%Y-%m-%dT%H:%M:%SZ").replace(
        tzinfo=UTC
    )
    return (
        int(seen.headers[f"{name}-limit"]),
        int(seen.headers[f"{name}-remaining"]),
        reset.timestamp() - clock.epoch(),
    )


async def test_anthropic_headers_tell_limit_remaining_and_the_time_of_full_refill() -> None:
    async with limited(
        requests_per_minute=60, input_tokens_per_minute=20_000, output_tokens_per_minute=10_000
    ) as simulator:
        for n in range(9):
            await ask(simulator, prompt=f"{n}" * 4000)
        seen = await ask(simulator, prompt="x" * 4000)

    limit, remaining, reset_s = ratelimits(seen, "requests")
    assert (limit, remaining) == (60, 50)
    assert 8 < reset_s <= 12
    limit, remaining, reset_s = ratelimits(seen, "input-tokens")
    assert (limit, remaining) == (20_000, 10_000)
    assert 28 < reset_s <= 32
    assert ratelimits(seen, "output-tokens")[:2] == (10_000, 9_000)
    assert ratelimits(seen, "tokens")[:2] == (30_000, 19_000)


async def test_tokens_left_are_rounded_to_thousands() -> None:
    async with limited(input_tokens_per_minute=40_000) as simulator:
        seen = await ask(simulator, prompt="x" * 1600)

    assert ratelimits(seen, "input-tokens")[1] == 40_000


async def test_openai_headers_tell_requests_and_tokens_with_durations() -> None:
    async with limited(requests_per_minute=600, tokens_per_minute=6000) as simulator:
        await ask(simulator, "chat")
        seen = await ask(simulator, "chat")

    assert seen.headers["x-ratelimit-limit-requests"] == "600"
    assert seen.headers["x-ratelimit-remaining-requests"] == "598"
    assert seen.headers["x-ratelimit-reset-requests"] == "200ms"
    assert seen.headers["x-ratelimit-limit-tokens"] == "6000"
    assert seen.headers["x-ratelimit-remaining-tokens"] == "5794"
    assert seen.headers["x-ratelimit-reset-tokens"] == "2.06s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.012, "12ms"),
        (0.0001, "1ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (60, "1m0s"),
        (360, "6m0s"),
        (3723, "1h2m3s"),
        (3600.25, "1h0m0.25s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("dialect", ["messages", "complete", "chat"])
async def test_retry_after_is_told_as_the_settings_say(dialect: str) -> None:
    said = {}
    for told in ("seconds", "exact", "none"):
        async with limited(requests_per_minute=60 / 5.5, burst_s=1, retry_after=told) as simulator:
            assert (await ask(simulator, dialect)).status == 200
            seen = await ask(simulator, dialect)
            assert seen.status == 429
            said[told] = seen.headers.get("retry-after")

    assert said["seconds"] == "6"
    assert float(said["exact"] or 0) == pytest.approx(5.5, abs=0.01)
    assert said["none"] is None


@pytest.mark.parametrize("told", ["seconds", "exact"])
async def test_who_waits_as_told_is_let_in(told: str) -> None:
    async with limited(
        requests_per_minute=37, input_tokens_per_minute=1000, burst_s=3, retry_after=told
    ) as simulator:
        refused = 0
        for n in range(60):
            while (seen := await ask(simulator, prompt=f"{n}" * 150)).status == 429:
                refused += 1
                await asyncio.sleep(float(seen.headers["retry-after"]))

        assert refused == simulator.stats.rejected_429 > 30
        assert simulator.stats.admitted == 60
        assert simulator.stats.early == 0


async def test_a_429_names_its_limit_or_not() -> None:
    for names_limit in (True, False):
        async with limited(
            input_tokens_per_minute=40_000, burst_s=0.1, names_limit=names_limit
        ) as simulator:
            await ask(simulator, prompt="x" * 4000)
            anthropic = await ask(simulator, prompt="x" * 4000)
            openai = await ask(simulator, "chat", prompt="x" * 4000)

        assert anthropic.status == openai.status == 429
        assert ("40,000 input tokens per minute" in anthropic.error["message"]) == names_limit
        assert ("(TPM): Limit 40000" in openai.error["message"]) == names_limit
        assert anthropic.error["type"] == "rate_limit_error"
        assert (openai.error["type"], openai.error["code"]) == ("tokens", "rate_limit_exceeded")
        assert anthropic.headers["x-should-retry"] == "true"


async def test_headers_can_be_left_out() -> None:
    async with limited(requests_per_minute=1, headers=False) as simulator:
        seen = [await ask(simulator, "messages"), await ask(simulator, "chat")]

    assert [s.status for s in seen] == [200, 429]
    assert not [name for s in seen for name in s.headers if "ratelimit" in name]


async def test_a_server_without_limits_tells_none() -> None:
    async with limited() as simulator:
        seen = await ask(simulator)

    assert not [name for name in seen.headers if "ratelimit" in name]


async def test_a_sharp_quota_admits_its_rate_and_no_more() -> None:
    """One second of burst at 60 a minute, offered 10 a second for a minute."""
    async with limited(requests_per_minute=60, burst_s=1) as simulator:
        async with asyncio.TaskGroup() as group:

            async def one(after_s: float) -> None:
                await asyncio.sleep(after_s)
                await ask(simulator)

            for n in range(600):
                group.create_task(one(n * 0.1))
        stats = simulator.stats

    assert 59 <= stats.admitted <= 61
    assert stats.admitted + stats.rejected_429 == stats.requests == 600


async def test_quota_halves_and_doubles_while_it_runs() -> None:
    async with limited(requests_per_minute=60, burst_s=1) as simulator:
        admitted = []
        for multiplier in (1, 0.5, 2):
            simulator.scale(multiplier)
            before = simulator.stats.admitted
            for _ in range(200):
                await ask(simulator)
                await asyncio.sleep(0.5)
            admitted.append(simulator.stats.admitted - before)

    assert admitted == pytest.approx([100, 50, 200], abs=3)


async def test_keys_of_one_scope_share_its_quota_and_others_have_their_own() -> None:
    keys = {"a1": "a", "a2": "a", "b": "b", "c": "c"}
    async with Simulator(
        Settings(latency_ms=0, requests_per_minute=12), keys=keys, scopes={"b": 2.0}
    ) as simulator:
        admitted = dict.fromkeys(keys, 0)
        for _ in range(26):
            for key in keys:
                seen = await ask(simulator, headers={"x-api-key": key})
                admitted[key] += seen.status == 200
        by_key = dict(simulator.stats.by_key)

    assert admitted["a1"] + admitted["a2"] == 12
    assert admitted["b"] == 24
    assert admitted["c"] == 12
    assert by_key == dict.fromkeys(keys, 26)


async def test_one_scope_alone_can_be_scaled() -> None:
    async with Simulator(
        Settings(latency_ms=0, requests_per_minute=600), keys={"a": "a", "b": "b"}
    ) as simulator:
        simulator.scale(0.5, scope="a")
        seen = {key: await ask(simulator, headers={"x-api-key": key}) for key in ("a", "b")}

    assert ratelimits(seen["a"], "requests")[0] == 300
    assert ratelimits(seen["b"], "requests")[0] == 600


async def test_coming_before_the_told_time_is_counted() -> None:
    async with limited(requests_per_minute=6, burst_s=1) as simulator:
        await ask(simulator)
        await ask(simulator)  # told to wait 10 s
        await ask(simulator)  # under way at the same time: no fault of the client's
        assert simulator.stats.early == 0
        await asyncio.sleep(5)
        await ask(simulator)
        assert simulator.stats.early == 1
        await asyncio.sleep(20)
        await ask(simulator)

        assert simulator.stats.early == 1


async def test_reserved_output_comes_back_when_the_answer_is_over() -> None:
    settings = Settings(
        latency_ms=1000,
        latency_sigma=0,
        output_tokens=100,
        output_sigma=0,
        output_tokens_per_minute=1000,
        burst_s=60,
        reserve_output=True,
    )
    async with Simulator(settings) as simulator:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(simulator, max_tokens=500)) for _ in range(3)]
        seen = await ask(simulator, max_tokens=500)

    assert sorted(task.result().status or 0 for task in tasks) == [200, 200, 429]
    assert seen.status == 200

"""Scripts come first, and the log keeps what came."""

import asyncio
from typing import Any

import pytest

from batcher.job import Simulator as Settings
from batcher.simulator.answers import expected_answer
from batcher.simulator.script import Received, Say, Script, ok, say
from batcher.simulator.server import Simulator
from tests.simulator.client import ask

FAST = Settings(latency_ms=0)


def text(seen: Any) -> str:
    answer: str = seen.json()["content"][0]["text"]
    return answer


async def test_what_is_laid_down_is_said_in_turn_and_then_the_usual() -> None:
    async with Simulator(FAST) as simulator:
        simulator.says(429, retry_after=30).then("reset").then(503, times=2).then(ok("hi"))
        seen = [await ask(simulator) for _ in range(6)]

    assert [s.status for s in seen] == [429, None, 503, 503, 200, 200]
    assert seen[0].headers["retry-after"] == "30"
    assert seen[0].error["type"] == "rate_limit_error"
    assert text(seen[4]) == "hi"
    assert text(seen[5]) == expected_answer("Hello there")


async def test_a_prompt_has_its_own_line() -> None:
    async with Simulator(FAST) as simulator:
        simulator.says(500, prompt="poison", times=None)
        simulator.says(529)
        seen = [await ask(simulator, prompt=p) for p in ("poison", "a", "poison", "b", "poison")]

    assert [s.status for s in seen] == [500, 529, 500, 200, 500]


async def test_a_hook_may_decide_by_what_came() -> None:
    def second_try_of_a(received: Received) -> Say | None:
        tries = sum(r.prompt == "a" for r in simulator.received)
        return say(500) if received.prompt == "a" and tries < 2 else None

    script = Script()
    script.hook = second_try_of_a
    async with Simulator(FAST, script=script) as simulator:
        seen = [await ask(simulator, prompt=p) for p in ("a", "b", "a")]

    assert [s.status for s in seen] == [500, 200, 200]


@pytest.mark.parametrize("dialect", ["messages", "complete", "chat"])
async def test_the_log_keeps_what_the_server_received(dialect: str) -> None:
    async with Simulator(FAST, script=Script()) as simulator:
        await ask(simulator, dialect, "what?", headers={"Authorization": "Bearer k", "X-B": "1"})

    (received,) = simulator.received
    assert received.prompt == "what?"
    assert received.key == "k"
    assert received.headers["x-b"] == "1"
    assert isinstance(received.json(), dict)


async def test_without_a_script_nothing_is_kept() -> None:
    async with Simulator(FAST) as simulator:
        await ask(simulator)

    assert simulator.received == ()


async def test_raw_bodies_headers_messages_and_delays_are_as_laid_down() -> None:
    async with Simulator(FAST) as simulator:
        simulator.says(200, body=b"\x00\x01", headers={"x-odd": "yes"})
        simulator.says(418, message="a teapot", retry_after="Wed, 21 Oct 2026 07:28:00 GMT")
        simulator.says(ok("late", delay_s=50))
        raw, teapot = await ask(simulator), await ask(simulator)
        began = simulator._loop.time()
        late = await ask(simulator, patience_s=100)
        took = simulator._loop.time() - began

    assert (raw.body, raw.headers["x-odd"]) == (b"\x00\x01", "yes")
    assert (teapot.status, teapot.error["message"]) == (418, "a teapot")
    assert teapot.headers["retry-after"].startswith("wed, 21 oct")
    assert text(late) == "late"
    assert took == pytest.approx(50, abs=0.1)


async def test_a_script_speaks_before_keys_and_quota() -> None:
    settings = Settings(latency_ms=0, requests_per_minute=1, reserve_output=True)
    async with Simulator(settings, keys={}) as simulator:
        simulator.says(200, times=3)
        seen = [await ask(simulator) for _ in range(4)]

    assert [s.status for s in seen] == [200, 200, 200, 401]


async def test_coming_before_a_scripted_time_is_counted_too() -> None:
    async with Simulator(FAST) as simulator:
        simulator.says(429, retry_after=30)
        for pause_s in (10, 25, 0):
            await ask(simulator)
            await asyncio.sleep(pause_s)

    assert simulator.stats.early == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_faults_can_be_laid_down_too(stream: bool) -> None:
    async with Simulator(FAST) as simulator:
        simulator.says("cut_body").then("truncated").then("html")
        seen = [await ask(simulator, stream=stream) for _ in range(3)]

    assert [s.end for s in seen] == ["eof", "whole", "whole"]
    assert b"max_tokens" in seen[1].body
    assert seen[2].body.startswith(b"<!DOCTYPE")
    assert simulator.stats.by_fault == {"cut_body": 1, "truncated": 1, "html": 1}

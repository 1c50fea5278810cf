"""Every fault is on the wire what it claims to be, in every dialect, streamed and not."""

import asyncio

import orjson
import pytest

from batcher.job import Simulator as Settings
from batcher.simulator.answers import expected_answer
from batcher.simulator.faults import FaultKind
from batcher.simulator.server import Simulator
from tests.simulator.client import DIALECTS, Seen, ask

STATUSES = [kind for kind in FaultKind if kind.value.isdecimal()]
dialects = pytest.mark.parametrize("dialect", DIALECTS)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


async def meet(kind: str, dialect: str, *, stream: bool = False, patience_s: float = 10) -> Seen:
    """What a client sees of a fault that everybody meets."""
    async with Simulator(Settings(latency_ms=0, faults={kind: 1.0})) as simulator:
        seen = await ask(
            simulator,
            dialect,
            stream=stream,
            headers={"x-api-key": "sk-echoed"},
            patience_s=patience_s,
        )
        assert simulator.stats.by_fault == {kind: 1}
        if kind not in {"truncated", "refused", "paused", "empty_text"}:
            assert simulator.stats.answers == 0
        return seen


def stops(seen: Seen, dialect: str) -> tuple[str, str]:
    """Why a plain answer ended, and its text."""
    body = seen.json()
    if dialect == "messages":
        text = "".join(b["text"] for b in body["content"] if b["type"] == "text")
        return body["stop_reason"], text
    if dialect == "complete":
        return body["stop_reason"], body["completion"]
    (choice,) = body["choices"]
    return choice["finish_reason"], choice["message"]["content"] or ""


@pytest.mark.parametrize("kind", STATUSES)
@dialects
@streamed
async def test_an_error_status_comes_with_the_vendors_body(
    kind: FaultKind, dialect: str, stream: bool
) -> None:
    seen = await meet(kind, dialect, stream=stream)

    assert (seen.status, seen.end) == (int(kind), "whole")
    assert seen.headers["content-type"] == "application/json"
    assert seen.error["message"]
    assert seen.error["type"]
    assert ("retry-after" in seen.headers) == (kind is FaultKind.RATE)


@dialects
@streamed
async def test_reset_comes_before_any_byte(dialect: str, stream: bool) -> None:
    seen = await meet("reset", dialect, stream=stream)

    assert (seen.status, seen.end) == (None, "reset")


@dialects
@streamed
async def test_reset_body_comes_in_the_middle_of_the_body(dialect: str, stream: bool) -> None:
    seen = await meet("reset_body", dialect, stream=stream)

    assert (seen.status, seen.end) == (200, "reset")
    assert seen.raw


@pytest.mark.parametrize(
    ("kind", "stream"), [("cut_body", False), ("cut_body", True), ("stream_cut", False)]
)
@dialects
async def test_a_cut_body_ends_in_good_order_and_too_early(
    kind: str, dialect: str, stream: bool
) -> None:
    seen = await meet(kind, dialect, stream=stream)

    assert (seen.status, seen.end) == (200, "eof")
    assert seen.raw
    if not stream:
        assert len(seen.raw) < int(seen.headers["content-length"])


@dialects
async def test_a_cut_stream_is_a_whole_response_that_never_says_it_is_over(dialect: str) -> None:
    seen = await meet("stream_cut", dialect, stream=True)

    assert (seen.status, seen.end) == (200, "whole")
    assert seen.events()
    for sign in (b"message_stop", b"[DONE]", b'"stop_reason":"', b'"finish_reason":"'):
        assert sign not in seen.body


@dialects
@streamed
async def test_cut_json_is_a_whole_response_with_broken_json(dialect: str, stream: bool) -> None:
    seen = await meet("cut_json", dialect, stream=stream)

    assert (seen.status, seen.end) == (200, "whole")
    with pytest.raises(orjson.JSONDecodeError):
        seen.events() if stream else seen.json()


@pytest.mark.parametrize(("kind", "status"), [("html", 200), ("html_502", 502)])
@dialects
async def test_html_is_a_page(kind: str, status: int, dialect: str) -> None:
    seen = await meet(kind, dialect)

    assert (seen.status, seen.end) == (status, "whole")
    assert seen.headers["content-type"] == "text/html; charset=utf-8"
    assert seen.body.startswith(b"<!DOCTYPE html>")


@dialects
@streamed
async def test_invalid_utf8_is_in_the_answers_text(dialect: str, stream: bool) -> None:
    seen = await meet("invalid_utf8", dialect, stream=stream)

    assert (seen.status, seen.end) == (200, "whole")
    with pytest.raises(UnicodeDecodeError):
        seen.body.decode()
    assert b"Ans\xff\xfewer" in seen.body


@dialects
@streamed
async def test_empty_body_is_two_hundred_and_nothing(dialect: str, stream: bool) -> None:
    seen = await meet("empty_body", dialect, stream=stream)

    assert (seen.status, seen.end, seen.body) == (200, "whole", b"")


@dialects
@streamed
async def test_error_200_is_an_error_object_with_status_200(dialect: str, stream: bool) -> None:
    seen = await meet("error_200", dialect, stream=stream)

    assert (seen.status, seen.end) == (200, "whole")
    assert seen.error["message"]


@dialects
async def test_wrong_shape_is_json_that_is_no_answer(dialect: str) -> None:
    bodies = set()
    async with Simulator(Settings(latency_ms=0, faults={"wrong_shape": 1.0})) as simulator:
        for n in range(30):
            seen = await ask(simulator, dialect, f"prompt {n}")
            assert (seen.status, seen.end) == (200, "whole")
            bodies.add(seen.body)

    assert bodies == {b"[]", b"{}", b"null"}


@dialects
@streamed
async def test_hang_never_says_a_word(dialect: str, stream: bool) -> None:
    seen = await meet("hang", dialect, stream=stream, patience_s=3600)

    assert (seen.status, seen.end) == (None, "silence")


@dialects
@streamed
async def test_slow_loris_sends_a_byte_a_second_for_ever(dialect: str, stream: bool) -> None:
    seen = await meet("slow_loris", dialect, stream=stream, patience_s=600)

    assert (seen.status, seen.end) == (200, "silence")
    assert 598 <= len(seen.body) <= 602


@dialects
async def test_truncated_stops_at_the_limit(dialect: str) -> None:
    seen = await meet("truncated", dialect)
    reason, text = stops(seen, dialect)

    assert reason == ("length" if dialect == "chat" else "max_tokens")
    assert text.strip()
    assert expected_answer("Hello there").startswith(text.strip())
    if dialect != "complete":
        usage = seen.json()["usage"]
        assert usage.get("output_tokens", usage.get("completion_tokens")) == 200


@dialects
async def test_refused_is_two_hundred_without_text(dialect: str) -> None:
    seen = await meet("refused", dialect)

    assert seen.status == 200
    assert stops(seen, dialect) == ("content_filter" if dialect == "chat" else "refusal", "")
    if dialect == "messages":
        assert seen.json()["stop_details"]["type"] == "refusal"
        assert seen.json()["content"] == []


@dialects
async def test_paused_is_to_be_resumed(dialect: str) -> None:
    seen = await meet("paused", dialect)

    assert stops(seen, dialect)[0] == ("tool_calls" if dialect == "chat" else "pause_turn")


@dialects
async def test_empty_text_ends_well_and_says_nothing(dialect: str) -> None:
    seen = await meet("empty_text", dialect)

    ends = {"messages": "end_turn", "complete": "stop_sequence", "chat": "stop"}
    assert stops(seen, dialect) == (ends[dialect], "")


@pytest.mark.parametrize("kind", ["truncated", "refused", "paused", "empty_text"])
@dialects
async def test_an_answer_of_no_use_is_a_well_formed_stream_too(kind: str, dialect: str) -> None:
    seen = await meet(kind, dialect, stream=True)

    assert (seen.status, seen.end) == (200, "whole")
    assert seen.events()


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("balance_429", 429, "enforced_spend_limit_reached"),
        ("balance_400", 400, None),
        ("spend_400", 400, None),
        ("ramp_429", 429, "ramp_limit_exceeded"),
    ],
)
async def test_anthropic_tells_kinds_of_limits_apart(
    kind: str, status: int, code: str | None
) -> None:
    seen = await meet(kind, "messages")

    assert seen.status == status
    assert seen.error.get("details", {}).get("error_code") == code
    assert ("retry-after" in seen.headers) == (kind == "ramp_429")
    if kind == "balance_400":
        assert "credit balance is too low" in seen.error["message"]
    if kind == "spend_400":
        assert seen.error["message"].startswith("You have reached your specified API usage limits")


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("balance_429", 429, "insufficient_quota"),
        ("balance_400", 400, "billing_hard_limit_reached"),
        ("ramp_429", 429, "ramp_limit_exceeded"),
        ("401", 401, "invalid_api_key"),
    ],
)
async def test_openai_tells_kinds_of_limits_apart(kind: str, status: int, code: str) -> None:
    seen = await meet(kind, "chat")

    assert (seen.status, seen.error["code"]) == (status, code)
    assert seen.error["param"] is None


@dialects
async def test_echo_key_quotes_the_received_key(dialect: str) -> None:
    seen = await meet("echo_key", dialect)

    assert seen.status == 401
    assert "sk-echoed" in seen.error["message"]


@dialects
async def test_stream_error_comes_after_half_the_answer(dialect: str) -> None:
    seen = await meet("stream_error", dialect, stream=True)

    assert (seen.status, seen.end) == (200, "whole")
    events = seen.events()
    assert len(events) > 2
    name, data = events[-1]
    assert data["error"]["message"] == "Overloaded"
    if dialect != "chat":
        assert (name, data["type"]) == ("error", "error")
        assert data["error"]["type"] == "overloaded_error"


@dialects
async def test_a_fault_met_once_lets_the_second_try_through(dialect: str) -> None:
    faults = {"500": 0.3, "reset": 0.3, "cut_json": 0.4}
    async with Simulator(Settings(latency_ms=0, faults=faults, faults_once=True)) as simulator:
        for n in range(12):
            first = await ask(simulator, dialect, f"prompt {n}")
            second = await ask(simulator, dialect, f"prompt {n}")
            assert first.status != 200 or first.body[-1:] != b"}"
            assert (second.status, second.end) == (200, "whole")

        assert simulator.stats.answers == 12
        assert set(simulator.stats.delivered.values()) == {1}


async def test_a_fault_that_ends_one_connection_leaves_the_others_alone() -> None:
    async with Simulator(Settings(latency_ms=50)) as simulator:
        simulator.says("reset", prompt="bad")
        async with asyncio.TaskGroup() as group:
            good = group.create_task(ask(simulator, prompt="good"))
            bad = group.create_task(ask(simulator, prompt="bad"))

    assert bad.result().end == "reset"
    assert good.result().status == 200

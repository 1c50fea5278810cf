"""The three wire formats against the vendors' documented shapes."""

from typing import Any

import orjson
import pytest

from batcher.job import Simulator as Settings
from batcher.simulator.answers import expected_answer
from batcher.simulator.server import Simulator
from tests.simulator.client import DIALECTS, Seen, ask, send

EXACT = Settings(latency_ms=0, output_sigma=0, output_tokens=5)


async def answered(dialect: str, **fields: Any) -> Seen:
    async with Simulator(EXACT) as simulator:
        seen = await ask(simulator, dialect, "Capital of Peru?", **fields)
    assert (seen.status, seen.end) == (200, "whole")
    return seen


async def test_messages_answers_as_documented() -> None:
    seen = await answered("messages", model="claude-haiku-5-5")
    body = seen.json()

    assert body.pop("id").startswith("msg_")
    assert body == {
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": expected_answer("Capital of Peru?")}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 4,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 0},
            "service_tier": "standard",
            "inference_geo": "global",
        },
    }
    assert seen.headers["request-id"].startswith("req_")
    assert seen.headers["anthropic-organization-id"]
    assert seen.headers["anthropic-workspace-id"].startswith("wrkspc_")


async def test_complete_answers_as_documented() -> None:
    body = (await answered("complete", model="claude-2.1")).json()

    assert body.pop("id").startswith("compl_")
    assert body == {
        "type": "completion",
        "completion": f" {expected_answer('Capital of Peru?')}",
        "model": "claude-2.1",
        "stop_reason": "stop_sequence",
    }


async def test_chat_answers_as_documented() -> None:
    seen = await answered("chat")
    body = seen.json()

    assert body.pop("id").startswith("chatcmpl-")
    assert isinstance(body.pop("created"), int)
    answer = {"role": "assistant", "content": expected_answer("Capital of Peru?"), "refusal": None}
    assert body == {
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": answer, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 4,
            "completion_tokens": 5,
            "total_tokens": 9,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }
    assert seen.headers["x-request-id"].startswith("req_")


async def test_messages_streams_events_in_the_documented_order() -> None:
    events = (await answered("messages", stream=True)).events()
    names = [name for name, _ in events]
    data = [data for _, data in events]

    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(names[3:-3]) == {"content_block_delta"}
    assert [d["type"] for d in data] == names
    assert data[0]["message"]["usage"]["input_tokens"] == 4
    text = "".join(d["delta"]["text"] for d in data[3:-3])
    assert text == expected_answer("Capital of Peru?")
    assert data[-2]["delta"]["stop_reason"] == "end_turn"
    assert data[-2]["usage"] == {"output_tokens": 5}


async def test_complete_streams_what_is_new_in_each_event() -> None:
    events = (await answered("complete", stream=True)).events()
    parts = [data for name, data in events if name == "completion"]

    assert {name for name, _ in events} == {"completion", "ping"}
    assert "".join(p["completion"] for p in parts) == f" {expected_answer('Capital of Peru?')}"
    assert [p["stop_reason"] for p in parts] == [None] * (len(parts) - 1) + ["stop_sequence"]


@pytest.mark.parametrize("wants_usage", [False, True])
async def test_chat_streams_chunks_and_says_when_it_is_done(wants_usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if wants_usage else {}
    events = (await answered("chat", stream=True, **options)).events()
    chunks = [data for _, data in events[:-1]]

    assert events[-1] == (None, "[DONE]")
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert ([c.get("usage") for c in chunks if not c["choices"]] != []) == wants_usage
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    assert choices[0]["delta"]["role"] == "assistant"
    text = "".join(choice["delta"].get("content", "") for choice in choices)
    assert text == expected_answer("Capital of Peru?")
    assert choices[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("dialect", "change", "says"),
    [
        ("messages", {"model": None}, "model: Field required"),
        ("messages", {"max_tokens": None}, "max_tokens: Field required"),
        ("messages", {"messages": []}, "at least one message"),
        ("messages", {"messages": [{"role": "bot", "content": "x"}]}, "messages.0.role"),
        ("messages", {"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
        ("messages", {"messages": [{"role": "assistant", "content": "x"}]}, "user turn"),
        ("messages", {"system": 7}, "system"),
        ("complete", {"model": 7}, "model: Field required"),
        ("complete", {"max_tokens_to_sample": 0}, "max_tokens_to_sample"),
        ("chat", {"model": ""}, "model parameter"),
        ("chat", {"max_tokens": "many"}, "max_tokens"),
    ],
)
async def test_a_body_that_lacks_something_is_refused(
    dialect: str, change: dict[str, Any], says: str
) -> None:
    async with Simulator(EXACT) as simulator:
        fields = {k: v for k, v in change.items() if k != "max_tokens"}
        if "max_tokens" in change:
            fields["max_tokens"] = change["max_tokens"]
        seen = await ask(simulator, dialect, **fields)

    assert seen.status == 400
    assert seen.error["type"] == "invalid_request_error"
    assert says in seen.error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"a":"\xff"}', b'{"p":"\\ud800"}'])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_body_that_is_no_json_object_is_refused(dialect: str, body: bytes) -> None:
    async with Simulator(EXACT) as simulator:
        paths = {"messages": "/v1/messages", "complete": "/v1/complete"}
        seen = await send(simulator, "POST", paths.get(dialect, "/v1/chat/completions"), body)

    assert seen.status == 400
    assert "body" in seen.error["message"]


async def test_the_error_body_names_the_request_of_the_header() -> None:
    async with Simulator(EXACT) as simulator:
        seen = await ask(simulator, "messages", max_tokens=None)

    assert seen.json()["type"] == "error"
    assert seen.json()["request_id"] == seen.headers["request-id"]


async def test_the_prompt_is_the_last_user_turns_text() -> None:
    turns = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "well"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "second "},
                {"type": "image", "source": {"type": "base64", "data": "AAAA"}},
                {"type": "text", "text": "half"},
            ],
        },
    ]
    async with Simulator(EXACT) as simulator:
        seen = await ask(simulator, messages=turns, system=[{"type": "text", "text": "Be brief."}])

    body = seen.json()
    assert body["content"][0]["text"] == expected_answer("second half")
    assert body["usage"]["input_tokens"] == 1500 + 8  # an image, and 29 characters


async def test_complete_answers_the_last_human_turn() -> None:
    prompt = "Be brief.\n\nHuman: one\n\nAssistant: well\n\nHuman: two \n\nAssistant: It"
    async with Simulator(EXACT) as simulator:
        seen = await ask(simulator, "complete", prompt=prompt)

    assert seen.json()["completion"] == f" {expected_answer('two')}"


async def test_warming_a_cache_answers_nothing() -> None:
    body = (await answered("messages", max_tokens=0)).json()

    assert (body["content"], body["stop_reason"]) == ([], "max_tokens")
    assert body["usage"]["output_tokens"] == 0


async def test_output_never_exceeds_max_tokens_and_repeats() -> None:
    async def lengths() -> list[int]:
        async with Simulator(Settings(latency_ms=0, output_tokens=50, output_sigma=1)) as simulator:
            seen = [await ask(simulator, prompt=f"p {n}", max_tokens=80) for n in range(40)]
        return [s.json()["usage"]["output_tokens"] for s in seen]

    first = await lengths()

    assert first == await lengths()
    assert max(first) == 80
    assert len(set(first)) > 15


async def test_tokens_are_counted_without_being_asked() -> None:
    question = {"model": "m", "messages": [{"role": "user", "content": "x" * 84}]}
    async with Simulator(EXACT) as simulator:
        seen = await send(simulator, "POST", "/v1/messages/count_tokens", orjson.dumps(question))

    assert (seen.status, seen.json()) == (200, {"input_tokens": 21})
    assert simulator.stats.admitted == 0


async def test_models_are_listed_in_the_tongue_of_the_caller() -> None:
    async with Simulator(Settings(models=["a", "b"])) as simulator:
        openai = await send(simulator, "GET", "/v1/models")
        anthropic = await send(
            simulator, "GET", "/v1/models", headers={"anthropic-version": "2023-06-01"}
        )

    assert openai.json()["object"] == "list"
    assert [m["id"] for m in openai.json()["data"]] == ["a", "b"]
    assert anthropic.json()["has_more"] is False
    assert [m["type"] for m in anthropic.json()["data"]] == ["model", "model"]


async def test_an_unknown_path_is_not_found() -> None:
    async with Simulator(EXACT) as simulator:
        seen = [
            await send(simulator, "POST", "/v2/messages", b"{}"),
            await send(simulator, "GET", "/v1/messages"),
        ]

    assert [s.status for s in seen] == [404, 404]


async def test_health_answers_anybody() -> None:
    async with Simulator(EXACT, keys={}) as simulator:
        seen = await send(simulator, "GET", "/health")

    assert (seen.status, seen.json()) == (200, {"status": "ok"})

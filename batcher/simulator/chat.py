"""POST /v1/chat/completions: OpenAI's chat completions from the server's side.

Source: the vendor's SDK types (openai 3.54), 2026-11.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from batcher.clock import epoch
from batcher.simulator.dialects import count, pieces, read_turns, whole_number
from batcher.simulator.exchange import Answer, Ask, Stop
from batcher.simulator.legality import chat_objection
from batcher.simulator.openai import OpenAI, data_event

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_UNNAMED_MAX_TOKENS = 4096  # the request may name none; what a server would reserve then
_STOPS = {
    Stop.END: "stop",
    Stop.LENGTH: "length",
    Stop.REFUSED: "content_filter",
    Stop.PAUSED: "tool_calls",  # the nearest this vendor has to a turn that must be resumed
}
_CALL = {
    "id": "call_sim",
    "type": "function",
    "function": {"name": "search", "arguments": "{}"},
}
_CALL_DELTA = {"index": 0, **_CALL}


class Chat(OpenAI):
    """Chat completions."""

    def read(
        self,
        body: Mapping[str, Any],
        headers: Mapping[str, str],  # noqa: ARG002 - this vendor has no version header
        strict: bool,
    ) -> Ask | str:
        """What a body asks, or why it is refused; see Dialect."""
        model = body.get("model")
        if not isinstance(model, str) or not model:
            return "you must provide a model parameter"
        turns = read_turns(body.get("messages"), _ROLES)
        if isinstance(turns, str):
            return turns
        max_tokens: int | None = _UNNAMED_MAX_TOKENS
        for name in ("max_tokens", "max_completion_tokens"):
            if body.get(name) is not None:
                max_tokens = whole_number(body, name, 1)
                if max_tokens is None:
                    return f"{name}: expected a whole number of at least 1"
        if strict and (objection := chat_objection(body)):
            return objection
        options = body.get("stream_options")
        return Ask(
            model=model,
            prompt=turns[0],
            input_tokens=count(turns[1]),
            max_tokens=max_tokens or 1,
            stream=body.get("stream") is True,
            usage_in_stream=isinstance(options, dict) and options.get("include_usage") is True,
        )

    def answer(self, answer: Answer) -> bytes:
        """A whole chat completion."""
        refused = answer.stop is Stop.REFUSED
        message: dict[str, object] = {
            "role": "assistant",
            "content": None if refused else answer.text,
            "refusal": "I can't help with that." if refused else None,
        }
        if answer.stop is Stop.PAUSED:
            message |= {"content": None, "tool_calls": [_CALL]}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _STOPS[answer.stop],
        }
        return orjson.dumps(
            {**_head(answer, "chat.completion"), "choices": [choice], "usage": _usage(answer)}
        )

    def events(self, answer: Answer) -> list[bytes]:
        """The chat completion as server-sent events, closed by [DONE]."""
        head = _head(answer, "chat.completion.chunk")
        deltas: list[dict[str, object]] = [{"role": "assistant", "content": "", "refusal": None}]
        if answer.stop is Stop.PAUSED:
            deltas.append({"tool_calls": [_CALL_DELTA]})
        elif answer.stop is not Stop.REFUSED:
            deltas.extend({"content": piece} for piece in pieces(answer.text))
        events = [data_event({**head, "choices": [_choice(delta, None)]}) for delta in deltas]
        events.append(data_event({**head, "choices": [_choice({}, _STOPS[answer.stop])]}))
        if answer.usage_in_stream:
            events.append(data_event({**head, "choices": [], "usage": _usage(answer)}))
        events.append(b"data: [DONE]\n\n")
        return events


def _head(answer: Answer, kind: str) -> dict[str, object]:
    return {
        "id": f"chatcmpl-sim{answer.number:012d}",
        "object": kind,
        "created": int(epoch()),
        "model": answer.model,
    }


def _usage(answer: Answer) -> dict[str, object]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _choice(delta: Mapping[str, object], finish: str | None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}

"""POST /v1/messages: Anthropic's Messages API from the server's side.

Source: the vendor's API reference and SDK types, version 2026-10-21 and 2023-06-01.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from batcher.simulator.anthropic import Anthropic
from batcher.simulator.dialects import count, event, pieces, read_turns, text_of, whole_number
from batcher.simulator.exchange import Answer, Ask, Stop
from batcher.simulator.legality import messages_objection

_ROLES = frozenset({"user", "assistant", "system"})
_STOPS = {
    Stop.END: "end_turn",
    Stop.LENGTH: "max_tokens",
    Stop.REFUSED: "refusal",
    Stop.PAUSED: "pause_turn",
}
_REFUSAL = {"type": "refusal", "category": "general_harms", "explanation": None}


class Messages(Anthropic):
    """The Messages API."""

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str], strict: bool) -> Ask | str:
        """What a body asks, or why it is refused; see Dialect."""
        max_tokens = whole_number(body, "max_tokens", 0)  # 0 is legal: it warms a cache
        if max_tokens is None:
            return "max_tokens: Field required"
        return self._read(body, headers, strict, max_tokens)

    def read_to_count(self, body: Mapping[str, Any]) -> Ask | str:
        """The same for count_tokens, which takes no max_tokens."""
        return self._read(body, {}, False, 0)

    def _read(
        self, body: Mapping[str, Any], headers: Mapping[str, str], strict: bool, max_tokens: int
    ) -> Ask | str:
        model = body.get("model")
        if not isinstance(model, str) or not model:
            return "model: Field required"
        turns = read_turns(body.get("messages"), _ROLES)
        if isinstance(turns, str):
            return turns
        prompt, chars = turns
        if (system := body.get("system")) is not None:
            found = text_of(system)
            if found is None:
                return "system: Input should be a string or a list of text blocks"
            chars += found[1]
        if strict and (objection := messages_objection(body, headers, model)):
            return objection
        return Ask(
            model=model,
            prompt=prompt,
            input_tokens=count(chars),
            max_tokens=max_tokens,
            stream=body.get("stream") is True,
        )

    def answer(self, answer: Answer) -> bytes:
        """A whole message."""
        content = [{"type": "text", "text": answer.text}] if answer.text else []
        return orjson.dumps(_message(answer, content, _STOPS[answer.stop], answer.output_tokens))

    def events(self, answer: Answer) -> list[bytes]:
        """The message as server-sent events; see Dialect."""
        start = _message(answer, [], None, 1)
        events = [event("message_start", {"type": "message_start", "message": start})]
        if answer.text:
            block = {"type": "text", "text": ""}
            opening = {"type": "content_block_start", "index": 0, "content_block": block}
            events.append(event("content_block_start", opening))
        events.append(event("ping", {"type": "ping"}))
        if answer.text:
            events.extend(_delta(piece) for piece in pieces(answer.text))
            closing = {"type": "content_block_stop", "index": 0}
            events.append(event("content_block_stop", closing))
        end = {
            "type": "message_delta",
            "delta": {
                "stop_reason": _STOPS[answer.stop],
                "stop_sequence": None,
                "stop_details": _REFUSAL if answer.stop is Stop.REFUSED else None,
            },
            "usage": {"output_tokens": answer.output_tokens},
        }
        events.append(event("message_delta", end))
        events.append(event("message_stop", {"type": "message_stop"}))
        return events


def _delta(text: str) -> bytes:
    delta = {"type": "text_delta", "text": text}
    return event("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta})


def _message(
    answer: Answer, content: list[dict[str, str]], stop: str | None, output_tokens: int
) -> dict[str, object]:
    return {
        "id": f"msg_sim{answer.number:012d}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "stop_details": _REFUSAL if stop == "refusal" else None,
        "usage": {
            "input_tokens": answer.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": output_tokens,
            "output_tokens_details": {"thinking_tokens": 0},
            "service_tier": "standard",
            "inference_geo": "global",
        },
    }

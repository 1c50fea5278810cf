r"""POST /v1/complete: the legacy Text Completions API from the server's side.

A prompt is `\n\nHuman: ...\n\nAssistant:`; the answer begins with a space and has no usage.
Source: SDK types of the last release that had it (0.125.0) and its prompt-validation page.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from batcher.simulator.anthropic import Anthropic
from batcher.simulator.dialects import count, event, pieces, whole_number
from batcher.simulator.exchange import Answer, Ask, Stop
from batcher.simulator.legality import complete_objection

_HUMAN = "\n\nHuman:"
_ASSISTANT = "\n\nAssistant:"
# It knew only the first two; the others are what a server that kept the endpoint would say.
_STOPS = {
    Stop.END: "stop_sequence",
    Stop.LENGTH: "max_tokens",
    Stop.REFUSED: "refusal",
    Stop.PAUSED: "pause_turn",
}


class Complete(Anthropic):
    """The legacy API."""

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str], strict: bool) -> Ask | str:
        """What a body asks, or why it is refused; see Dialect."""
        model = body.get("model")
        if not isinstance(model, str) or not model:
            return "model: Field required"
        prompt = body.get("prompt")
        if not isinstance(prompt, str):
            return "prompt: Field required"
        max_tokens = whole_number(body, "max_tokens_to_sample", 1)
        if max_tokens is None:
            return "max_tokens_to_sample: Field required"
        if strict and (objection := complete_objection(body, headers, model, prompt)):
            return objection
        return Ask(
            model=model,
            prompt=last_human_turn(prompt),
            input_tokens=count(len(prompt)),
            max_tokens=max_tokens,
            stream=body.get("stream") is True,
        )

    def answer(self, answer: Answer) -> bytes:
        """A whole completion."""
        text = f" {answer.text}" if answer.text else ""
        return orjson.dumps(_completion(answer, text, _STOPS[answer.stop]))

    def events(self, answer: Answer) -> list[bytes]:
        """The completion as server-sent events; each holds what is new."""
        text = f" {answer.text}" if answer.text else ""
        events = [event("completion", _completion(answer, piece, None)) for piece in pieces(text)]
        events.insert(1, event("ping", {"type": "ping"}))
        events.append(event("completion", _completion(answer, "", _STOPS[answer.stop])))
        return events


def last_human_turn(prompt: str) -> str:
    """Text of the last Human turn, stripped; the whole prompt when it has none."""
    _, human, turn = prompt.rpartition(_HUMAN)
    return turn.partition(_ASSISTANT)[0].strip() if human else prompt.strip()


def _completion(answer: Answer, text: str, stop: str | None) -> dict[str, object]:
    return {
        "id": f"compl_sim{answer.number:012d}",
        "type": "completion",
        "completion": text,
        "model": answer.model,
        "stop_reason": stop,
    }

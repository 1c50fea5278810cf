"""The Messages API's event stream, put back together as the message it would have been.

Source: the API's streaming page (2026-08): message_start, content_block_start, _delta and
_stop, message_delta, message_stop; pings and events of a later date are passed over.
"""

from collections.abc import Iterable
from typing import Any

from batcher.providers.anthropic.failures import TABLE
from batcher.providers.faults import fault_in, told_status
from batcher.providers.sse import Assembled, Happening, read_event, whole_events
from batcher.providers.wire import read_json

# Kind of delta -> its field, which is also the block's field it is appended to.
_APPENDED = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}
_STOP, _ERROR = "message_stop", "error"


def is_over(tail: bytes) -> bool:
    """Whether a tail of the stream holds its end event, or the error it broke off with, whole."""
    if b"message_stop" not in tail and b"error" not in tail:
        return False
    found = ((event, read_event(event.data)) for event in whole_events(tail))
    return any(data is not None and _kind(event, data) in (_STOP, _ERROR) for event, data in found)


def assembled(events: Iterable[Happening]) -> Assembled:
    """The message the events of one stream make."""
    message = _Message()
    garbled = False
    for event in events:
        data = read_event(event.data)
        if data is None:
            garbled = True
            continue
        kind = _kind(event, data)
        if kind == _ERROR:
            status = told_status(fault_in(data), TABLE) or 500
            return Assembled(body={}, ended=True, error=(data, status))
        if kind == _STOP:
            return Assembled(body=message.whole(), ended=True, garbled=garbled)
        message.take(kind, data)
    return Assembled(body=message.whole(), ended=False, garbled=garbled)


def _kind(event: Happening, data: dict[str, Any]) -> object:
    return _ERROR if event.name == _ERROR else data.get("type") or event.name


class _Message:
    """A message while its events come in."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, dict[str, list[str]]] = {}

    def take(self, kind: object, data: dict[str, Any]) -> None:
        """Add what one event says; what has another shape than expected says nothing."""
        if kind == "message_start" and isinstance(data.get("message"), dict):
            self._fields = data["message"]
        elif kind == "message_delta":
            self._update(data)
        index = data.get("index")
        if type(index) is not int:
            return
        if kind == "content_block_start" and isinstance(data.get("content_block"), dict):
            self._blocks[index] = data["content_block"]
        elif kind == "content_block_delta" and isinstance(data.get("delta"), dict):
            self._append(index, data["delta"])

    def _update(self, data: dict[str, Any]) -> None:
        delta, usage = data.get("delta"), data.get("usage")
        if isinstance(delta, dict):
            self._fields.update(delta)
        if isinstance(usage, dict):
            known = self._fields.get("usage")
            # Counts that the last event does not repeat keep the value of the first.
            told = {name: value for name, value in usage.items() if value is not None}
            self._fields["usage"] = {**known, **told} if isinstance(known, dict) else told

    def _append(self, index: int, delta: dict[str, Any]) -> None:
        block = self._blocks.setdefault(index, {"type": "text", "text": ""})
        kind = delta.get("type")
        field = _APPENDED.get(kind) if isinstance(kind, str) else None
        if field is not None and isinstance(delta.get(field), str):
            self._pieces.setdefault(index, {}).setdefault(field, []).append(delta[field])
        elif kind == "citations_delta":
            known = block.get("citations")
            block["citations"] = [
                *(known if isinstance(known, list) else ()),
                delta.get("citation"),
            ]

    def whole(self) -> dict[str, Any]:
        """The message so far, in the shape it has without streaming."""
        for index, pieces in self._pieces.items():
            block = self._blocks[index]
            for field, parts in pieces.items():
                text = "".join(parts)
                if field != "partial_json":
                    begun = block.get(field)
                    block[field] = begun + text if isinstance(begun, str) else text
                elif text:  # a tool without arguments sends an empty piece
                    value = read_json(text.encode("utf-8", "replace"))
                    # Cut off by max_tokens it is no JSON; the text is kept as it came.
                    block["input"] = text if value is None else value
        content = [self._blocks[index] for index in sorted(self._blocks)]
        return {"type": "message", "role": "assistant", **self._fields, "content": content}

"""Chat completion chunks, put back together as the completion they would have been.

Source: the API's streaming reference; `data: [DONE]` is the end, the usage chunk before it
has no choices.
"""

from collections.abc import Iterable
from typing import Any

from batcher.providers.sse import Assembled, Happening, read_event, whole_events

_DONE = b"[DONE]"


def is_over(tail: bytes) -> bool:
    """Whether a tail of the stream holds its end event, or the error it broke off with, whole."""
    if _DONE not in tail and b"error" not in tail:
        return False
    return any(_ends(event) for event in whole_events(tail))


def _ends(event: Happening) -> bool:
    if event.data.strip() == _DONE:
        return True
    chunk = read_event(event.data)
    return chunk is not None and _is_error(event, chunk)


def _is_error(event: Happening, chunk: dict[str, Any]) -> bool:
    return bool(chunk.get("error") or event.name == "error")


def assembled(events: Iterable[Happening]) -> Assembled:
    """The completion the chunks of one stream make."""
    whole = _Completion()
    garbled = False
    for event in events:
        if event.data.strip() == _DONE:
            return Assembled(body=whole.body(), ended=True, garbled=garbled)
        chunk = read_event(event.data)
        if chunk is None:
            garbled = True
        elif _is_error(event, chunk):
            # With its own 200: decoding looks for the error's code, as in any other body.
            return Assembled(body={}, ended=True, error=(chunk, 200))
        else:
            whole.take(chunk)
    return Assembled(body=whole.body(), ended=False, garbled=garbled)


class _Completion:
    """A completion while its chunks come in."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    def take(self, chunk: dict[str, Any]) -> None:
        """Add what one chunk says; what has another shape than expected says nothing."""
        choices = chunk.pop("choices", None)
        self._fields.update((name, value) for name, value in chunk.items() if value is not None)
        for each in choices if isinstance(choices, list) else ():
            if isinstance(each, dict):
                index = each.get("index")
                place = index if type(index) is int else 0
                self._choices.setdefault(place, _Choice(place)).take(each)

    def body(self) -> dict[str, Any]:
        """The completion so far, in the shape it has without streaming."""
        choices = [self._choices[index].body() for index in sorted(self._choices)]
        return {**self._fields, "object": "chat.completion", "choices": choices}


class _Choice:
    """One of the answers of a completion."""

    def __init__(self, index: int) -> None:
        self._fields: dict[str, Any] = {"index": index, "finish_reason": None}
        self._message: dict[str, Any] = {"role": "assistant", "content": None}
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, _ToolCall] = {}

    def take(self, part: dict[str, Any]) -> None:
        """Add what one chunk says of this answer."""
        delta = part.pop("delta", None)
        self._fields.update((name, value) for name, value in part.items() if value is not None)
        if not isinstance(delta, dict):
            return
        for name, value in delta.items():
            if name == "tool_calls":
                self._take_calls(value)
            elif name != "role" and isinstance(value, str):
                self._texts.setdefault(name, []).append(value)
            elif value is not None:
                self._message[name] = value

    def _take_calls(self, calls: object) -> None:
        for each in calls if isinstance(calls, list) else ():
            if isinstance(each, dict):
                index = each.get("index")
                place = index if type(index) is int else len(self._calls)
                self._calls.setdefault(place, _ToolCall()).take(each)

    def body(self) -> dict[str, Any]:
        """This answer so far."""
        message = {**self._message, **{name: "".join(t) for name, t in self._texts.items()}}
        if self._calls:
            message["tool_calls"] = [self._calls[index].body() for index in sorted(self._calls)]
        return {**self._fields, "message": message}


class _ToolCall:
    """A call of a tool, whose arguments come in pieces."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {"type": "function"}
        self._function: dict[str, Any] = {}
        self._arguments: list[str] = []

    def take(self, part: dict[str, Any]) -> None:
        """Add what one chunk says of this call."""
        for name, value in part.items():
            if name == "function" and isinstance(value, dict):
                arguments = value.get("arguments")
                if isinstance(arguments, str):
                    self._arguments.append(arguments)
                self._function.update(
                    (key, item)
                    for key, item in value.items()
                    if key != "arguments" and item is not None
                )
            elif name != "index" and value is not None:
                self._fields[name] = value

    def body(self) -> dict[str, Any]:
        """This call so far."""
        return {
            **self._fields,
            "function": {**self._function, "arguments": "".join(self._arguments)},
        }

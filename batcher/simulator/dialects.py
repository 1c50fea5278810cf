"""What a dialect is: one vendor's wire format, from the server's side.

Also the readers all three share. The dialects are messages.py, complete.py and chat.py.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from batcher.simulator.exchange import Answer, Ask, Denial, Reading, Trouble
from batcher.simulator.faults import FaultKind

BLOCK_TOKENS = 1_500  # an image or another block without text: about that of a 1.1-megapixel image
CHARS_PER_TOKEN = 4

_PIECE = re.compile(r"\s*\S+|\s+$")


class Dialect(Protocol):
    """One wire format. Errors are values; nothing here knows time, quota or sockets."""

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str], strict: bool) -> Ask | str:
        """What a body asks, or in words why it is refused with 400."""
        ...

    def answer(self, answer: Answer) -> bytes:
        """A whole response body."""
        ...

    def events(self, answer: Answer) -> list[bytes]:
        """The same answer as server-sent events, in order, each with its blank line."""
        ...

    def trouble(self, kind: FaultKind, message: str | None = None) -> Trouble:
        """How this vendor words a fault that is an error response."""
        ...

    def over(self, denial: Denial, model: str, *, names_limit: bool) -> Trouble:
        """How this vendor words a broken limit."""
        ...

    def error(self, trouble: Trouble, request_id: str) -> bytes:
        """An error body."""
        ...

    def error_event(self, trouble: Trouble) -> bytes:
        """An error in the middle of a stream."""
        ...

    def error_200(self) -> bytes:
        """An error body as it comes with status 200."""
        ...

    def lines(self, request_id: str, *, scope: str | None) -> bytes:
        """Header lines that name the exchange and, for a key that is known, its quota's owner."""
        ...

    def limit_lines(self, readings: Sequence[Reading], *, epoch_s: float) -> bytes:
        """Header lines that tell the limits."""
        ...

    def models(self, names: Sequence[str]) -> bytes:
        """Answer to a question for the models."""
        ...


def count(chars: int) -> int:
    """Tokens of so many characters, at least one."""
    return max(1, -(-chars // CHARS_PER_TOKEN))


def text_of(content: object) -> tuple[str, int] | None:
    """Text of a message's content and its size in characters, other blocks reckoned in.

    None when it is neither text nor a list of blocks.
    """
    if isinstance(content, str):
        return content, len(content)
    if not isinstance(content, list):
        return None
    texts: list[str] = []
    other = 0
    for block in content:
        if not isinstance(block, dict):
            return None
        text = block.get("text")
        if isinstance(text, str):
            texts.append(text)
        else:
            other += 1
    joined = "".join(texts)
    return joined, len(joined) + other * BLOCK_TOKENS * CHARS_PER_TOKEN


def read_turns(turns: object, roles: frozenset[str]) -> tuple[str, int] | str:
    """The last user turn's text and the characters of all turns, or what is wrong with them."""
    if not isinstance(turns, list) or not turns:
        return "messages: at least one message is required"
    prompt: str | None = None
    chars = 0
    for i, turn in enumerate(turns):
        if not isinstance(turn, dict):
            return f"messages.{i}: Input should be an object"
        role = turn.get("role")
        if role not in roles:
            return f"messages.{i}.role: Input should be one of {', '.join(sorted(roles))}"
        content = turn.get("content")
        found = text_of("" if content is None and role == "assistant" else content)
        if found is None:
            return f"messages.{i}.content: Input should be a string or a list of blocks"
        chars += found[1]
        if role == "user":
            prompt = found[0]
    return "messages: a user turn is required" if prompt is None else (prompt, chars)


def whole_number(body: Mapping[str, Any], name: str, least: int) -> int | None:
    """A field that must be a whole number of at least `least`; None when it is not."""
    value = body.get(name)
    return value if type(value) is int and value >= least else None


def pieces(text: str) -> list[str]:
    """The text as a stream delivers it, a word a piece; joined they are the text again."""
    return _PIECE.findall(text)


def event(name: str, data: object) -> bytes:
    """One named server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))

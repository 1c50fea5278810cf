"""One request at the door: which dialect it speaks, which key it brings, what its body is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from batcher.simulator.chat import Chat
from batcher.simulator.complete import Complete
from batcher.simulator.dialects import Dialect
from batcher.simulator.exchange import Ask, Request
from batcher.simulator.messages import Messages
from batcher.simulator.script import Received

_MESSAGES = Messages()
_CHAT = Chat()
_DIALECTS: dict[str, Dialect] = {
    "/v1/messages": _MESSAGES,
    "/v1/complete": Complete(),
    "/v1/chat/completions": _CHAT,
}


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request and what is known of it; filled in on its way through vendor.py.

    Attributes:
        asks: Whether it is a question to a model.
        key: What it brings, "" for none; None when it brings two at once.
        at_s: When it came.
        scope: The quota scope of its key; None when the key is not accepted.
        limit_lines: Rate-limit header lines, once known.
    """

    request: Request
    at_s: float
    number: int
    dialect: Dialect
    asks: bool
    key: str | None
    request_id: str
    scope: str | None = None
    limit_lines: bytes = field(default=b"", repr=False)

    def read(self, *, strict: bool) -> Ask | str:
        """What it asks, or why that is refused with 400."""
        body = _parsed(self.request.body)
        if isinstance(body, str):
            return body
        return self.dialect.read(body, self.request.headers, strict)

    def read_to_count(self) -> Ask | str:
        """The same for a question for the number of tokens."""
        body = _parsed(self.request.body)
        return body if isinstance(body, str) else _MESSAGES.read_to_count(body)

    def received(self) -> Received:
        """The request as a test's log keeps it."""
        ask = self.read(strict=False)
        return Received(
            at_s=self.at_s,
            path=self.request.path,
            headers=self.request.headers,
            body=self.request.body,
            key=self.key or "",
            prompt=None if isinstance(ask, str) else ask.prompt,
        )

    def lines(self, *, known_key: bool = True) -> bytes:
        """Header lines of its response."""
        return (
            self.dialect.lines(self.request_id, scope=self.scope if known_key else None)
            + self.limit_lines
        )


def visit_of(request: Request, number: int, *, now: float) -> Visit:
    """What is known of a request before anybody decides anything."""
    dialect = _DIALECTS.get(request.path)
    asks = dialect is not None and request.method == "POST"
    if dialect is None:
        # Paths both vendors have, and unknown ones, are answered in the tongue of the caller.
        dialect = _MESSAGES if "anthropic-version" in request.headers else _CHAT
    return Visit(
        request=request,
        at_s=now,
        number=number,
        dialect=dialect,
        asks=asks,
        key=_brought(request.headers),
        request_id=f"req_sim{number:012d}",
    )


def _brought(headers: Mapping[str, str]) -> str | None:
    plain = headers.get("x-api-key")
    authorization = headers.get("authorization")
    if authorization is None:
        return plain or ""
    if plain is not None:
        return None
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _parsed(data: bytes) -> dict[str, object] | str:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as fault:
        return f"The request body is not valid JSON: {fault}"
    return body if isinstance(body, dict) else "The request body must be a JSON object"

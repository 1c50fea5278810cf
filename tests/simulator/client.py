"""A raw client: says what really came over the wire, down to how the connection ended."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from batcher.simulator.server import Simulator

PATHS = {
    "messages": "/v1/messages",
    "complete": "/v1/complete",
    "chat": "/v1/chat/completions",
}
DIALECTS = tuple(PATHS)


@dataclass
class Seen:
    """One exchange.

    `end`: "whole" (framing complete, connection open), "eof", "reset" or "silence" (nothing
    more within the deadline).
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""  # everything after the head, as it came
    body: bytes = b""  # the same without chunk framing
    end: str = "silence"

    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json()["error"]
        return error

    def events(self) -> list[tuple[str | None, Any]]:
        """Server-sent events as (name, parsed data); [DONE] stays text."""
        found = []
        for block in self.body.decode().split("\n\n"):
            if not block:
                continue
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            data = lines["data"]
            found.append((lines.get("event"), data if data == "[DONE]" else orjson.loads(data)))
        return found


def question(dialect: str, prompt: str = "Hello there", **fields: Any) -> dict[str, Any]:
    """A request body that asks `prompt`; `max_tokens` is named as the dialect names it."""
    max_tokens = fields.pop("max_tokens", 200)
    body: dict[str, Any] = {"model": "m", **fields}
    if dialect == "complete":
        return {
            "prompt": f"\n\nHuman: {prompt}\n\nAssistant:",
            "max_tokens_to_sample": max_tokens,
            **body,
        }
    return {
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        **body,
    }


async def ask(
    simulator: Simulator,
    dialect: str = "messages",
    prompt: str = "Hello there",
    *,
    headers: Mapping[str, str] | None = None,
    patience_s: float = 10,
    **fields: Any,
) -> Seen:
    """Ask one question on a connection of its own."""
    body = orjson.dumps(question(dialect, prompt, **fields))
    return await send(
        simulator, "POST", PATHS[dialect], body, headers=headers, patience_s=patience_s
    )


async def send(
    simulator: Simulator,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    patience_s: float = 10,
) -> Seen:
    """Send one request on a connection of its own and read whatever comes."""
    lines = {"host": "sim", "content-length": str(len(body)), **(headers or {})}
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    try:
        writer.write(head.encode() + b"\r\n" + body)
        return await read(reader, patience_s=patience_s)
    finally:
        writer.close()


async def read(reader: asyncio.StreamReader, *, patience_s: float = 10) -> Seen:
    """Read one response, however it ends."""
    seen = Seen()
    data = b""
    try:
        async with asyncio.timeout(patience_s):
            while not _understood(seen, data):
                more = await reader.read(65536)
                if not more:
                    seen.end = "eof"
                    return seen
                data += more
            seen.end = "whole"
    except TimeoutError:
        pass
    except ConnectionResetError:
        seen.end = "reset"
    return seen


def _understood(seen: Seen, data: bytes) -> bool:
    """Fill in what can be told from `data`; True when the framing says it is all."""
    head, gap, seen.raw = data.partition(b"\r\n\r\n")
    if not gap:
        return False
    first, *lines = head.decode().split("\r\n")
    seen.status = int(first.split(" ")[1])
    seen.headers = dict(line.lower().split(": ", 1) for line in lines)
    if "content-length" in seen.headers:
        seen.body = seen.raw
        return len(seen.raw) >= int(seen.headers["content-length"])
    seen.body, rest = b"", seen.raw
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return True
        seen.body += rest[:length]
        rest = rest[length + 2 :]
    return False

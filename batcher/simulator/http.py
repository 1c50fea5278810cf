"""HTTP/1.1 without a socket: bytes in, requests out; answers framed.

By hand, because a whole request must cost a few microseconds: a benchmark's server has to be
far cheaper than the client it measures.
"""

from functools import lru_cache
from typing import NamedTuple

from batcher.simulator.exchange import Request

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 32 * 1024 * 1024  # what the Messages API takes before it says 413

JSON = b"application/json"
HTML = b"text/html; charset=utf-8"
EVENTS = b"text/event-stream; charset=utf-8"
LAST_CHUNK = b"0\r\n\r\n"

_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    403: b"Forbidden",
    404: b"Not Found",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Request Entity Too Large",
    429: b"Too Many Requests",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    529: b"Overloaded",
}


class MalformedError(Exception):
    """What came is not HTTP this server reads, or too large; carries the status to answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Head(NamedTuple):
    """A request's head, read; `length` is that of its body, None when it comes in chunks."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    keep_alive: bool
    length: int | None
    wants_continue: bool


class Parser:
    """Turns the bytes of one connection into requests, however they are cut or joined."""

    __slots__ = ("_chunks", "_head", "_rest", "wants_continue")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._head: _Head | None = None
        self._chunks = bytearray()
        self.wants_continue = False

    def feed(self, data: bytes) -> list[Request]:
        """Requests that are whole now.

        Sets `wants_continue` when the client waits for leave to send its body.

        Raises:
            MalformedError: Nothing more can be read from this connection.
        """
        if not self._rest and self._head is None and (request := _whole_request(data)) is not None:
            return [request]
        self._rest += data
        found = []
        while (request := self._take()) is not None:
            found.append(request)
        return found

    def _take(self) -> Request | None:
        if self._head is None and not self._take_head():
            return None
        head = self._head
        if head is None:  # for the type checker; _take_head has set it
            return None
        body = self._take_chunks() if head.length is None else self._take_length(head.length)
        if body is None:
            return None
        self._head = None
        self.wants_continue = False
        return _request(head, body)

    def _take_head(self) -> bool:
        end = self._rest.find(b"\r\n\r\n")
        if end < 0:
            if len(self._rest) > MAX_HEAD_BYTES:
                raise MalformedError(400, "request head too large")
            return False
        self._head = head = _read_head(bytes(self._rest[:end]))
        del self._rest[: end + 4]
        self._chunks = bytearray()
        self.wants_continue = head.wants_continue
        return True

    def _take_length(self, need: int) -> bytes | None:
        if len(self._rest) < need:
            return None
        body = bytes(self._rest[:need])
        del self._rest[:need]
        return body

    def _take_chunks(self) -> bytes | None:
        rest = self._rest
        while True:
            end = rest.find(b"\r\n")
            if end < 0:
                return None
            size = _chunk_size(rest[:end])
            if size == 0:
                # An empty trailer ends with the line's own break; a filled one with a blank line.
                if rest[end : end + 4] == b"\r\n\r\n":
                    last = end
                elif (last := rest.find(b"\r\n\r\n", end)) < 0:
                    return None
                del rest[: last + 4]
                return bytes(self._chunks)
            if len(rest) < end + 2 + size + 2:
                return None
            self._chunks += rest[end + 2 : end + 2 + size]
            if len(self._chunks) > MAX_BODY_BYTES:
                raise MalformedError(413, "request exceeds the maximum size")
            del rest[: end + 2 + size + 2]


def _whole_request(data: bytes) -> Request | None:
    """The request that `data` is and nothing else, as nearly always; None when it is not so."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = _read_head(data[:end])
    if head.length is None or len(data) != end + 4 + head.length:
        return None
    return _request(head, data[end + 4 :])


def _request(head: _Head, body: bytes) -> Request:
    return Request(
        method=head.method,
        path=head.path,
        query=head.query,
        headers=head.headers,
        body=body,
        keep_alive=head.keep_alive,
    )


# A client repeats itself: with equal lengths of body its heads are equal bytes. Reading one anew
# is a fifth of an instant answer's cost (6 of 31 us, 2026-11).
@lru_cache(maxsize=4096)
def _read_head(data: bytes) -> _Head:
    lines = data.decode("latin-1").split("\r\n")
    try:
        method, target, version = lines[0].split(" ")
    except ValueError:
        raise MalformedError(400, "malformed request line") from None
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise MalformedError(400, "malformed header line")
        name = name.lower()
        value = value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    path, _, query = target.partition("?")
    wish = headers.get("connection", "").lower()
    return _Head(
        method=method,
        path=path,
        query=query,
        headers=headers,
        keep_alive=wish != "close" if version == "HTTP/1.1" else wish == "keep-alive",
        length=_body_length(headers),
        wants_continue=headers.get("expect", "").lower() == "100-continue",
    )


def _body_length(headers: dict[str, str]) -> int | None:
    if "chunked" in headers.get("transfer-encoding", ""):
        return None
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise MalformedError(400, "content-length is not a number")
    if int(length) > MAX_BODY_BYTES:
        raise MalformedError(413, "request exceeds the maximum size")
    return int(length)


def _chunk_size(line: bytes | bytearray) -> int:
    digits = line.split(b";")[0].strip()
    if not digits or digits.strip(b"0123456789abcdefABCDEF"):
        raise MalformedError(400, "malformed chunk size")
    return int(digits, 16)


def whole(status: int, body: bytes, *, lines: bytes = b"", kind: bytes = JSON) -> bytes:
    """A response with its length; `lines` are more header lines, `kind` is the content type."""
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b" % (
        status,
        _REASONS.get(status, b"Status"),
        kind,
        len(body),
        lines,
        body,
    )


def chunked_head(status: int, *, lines: bytes = b"", kind: bytes = EVENTS) -> bytes:
    """The head of a response whose chunks follow."""
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n%b\r\n" % (
        status,
        _REASONS.get(status, b"Status"),
        kind,
        lines,
    )


def chunk(data: bytes) -> bytes:
    """One chunk; data must not be empty, an empty chunk is the end."""
    return b"%x\r\n%b\r\n" % (len(data), data)

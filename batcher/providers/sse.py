"""A whole body of server-sent events, made into the response it would have been without.

Which events mean what is each wire format's matter: this file splits the body, calls the
format's `assemble` and turns its verdict into a Response or a Failure.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from batcher.providers.wire import read_json, request_id_of, write_json
from batcher.records import Failure, FailureKind, Response, record

_BOM = b"\xef\xbb\xbf"
_STARTS = (b"event:", b"data:", b"id:", b"retry:", b":")


class Happening(NamedTuple):
    """One server-sent event: its name ("" when it has none) and its data."""

    name: str
    data: bytes


@record
class Assembled:
    """What the events of one body came to.

    Attributes:
        body: The answer in its non-streaming shape, as far as it came.
        ended: The end event was there.
        garbled: An event on the way could not be read, so something is missing.
        error: The error object a stream broke off with, and the HTTP status it stands for.
    """

    body: dict[str, Any]
    ended: bool
    garbled: bool = False
    error: tuple[dict[str, Any], int] | None = None


def unstreamed(
    response: Response, assemble: Callable[[Iterable[Happening]], Assembled]
) -> Response | Failure:
    """The response a stream stands for; a response that is no stream comes back as it is.

    An error event becomes the response with the status that error stands for, so that
    decoding classifies it like any other.
    """
    if not is_stream(response):
        return response
    whole = assemble(happenings(response.body))
    if whole.error is not None:
        error, status = whole.error
        return _with_body(response, error, status)
    if not whole.ended:
        return _failure(response, FailureKind.CONNECTION, "the stream ended before its end event")
    if whole.garbled:
        return _failure(response, FailureKind.BAD_RESPONSE, "an event of the stream is no JSON")
    return _with_body(response, whole.body, response.status)


def is_stream(response: Response) -> bool:
    """Whether a successful response holds events rather than JSON, whatever was asked for."""
    if not 200 <= response.status < 300:
        return False
    head = response.body[:64].removeprefix(_BOM).lstrip()
    if head.startswith(_STARTS):
        return True
    # Cut off within its first line it still is one; JSON and pages are not, whatever they say.
    said = "event-stream" in response.headers.get("content-type", "").lower()
    return said and not head.startswith((b"{", b"[", b"<"))


def happenings(body: bytes) -> Iterator[Happening]:
    """The events of a body, in order; comments and events without data are left out.

    The last one is given even when the blank line after it is missing.

    Source: WHATWG HTML, "Parsing an event stream".
    """
    body = _with_plain_line_ends(body.removeprefix(_BOM))
    for block in body.split(b"\n\n"):
        name, data = "", None
        for line in block.split(b"\n"):
            if line.startswith(b"data:"):
                piece = line[5:].removeprefix(b" ")
                data = piece if data is None else data + b"\n" + piece
            elif line.startswith(b"event:"):
                name = line[6:].strip().decode("ascii", "replace")
        if data is not None:
            yield Happening(name, data)


def _with_plain_line_ends(body: bytes) -> bytes:
    if b"\r" in body:  # JSON escapes it inside texts, so a bare one ends a line
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return body


def whole_events(tail: bytes) -> Iterator[Happening]:
    """The events of a stream's tail whose blank line is there too."""
    return happenings(_with_plain_line_ends(tail).rpartition(b"\n\n")[0])


def read_event(data: bytes) -> dict[str, Any] | None:
    """An event's JSON object; None when it is none."""
    value = read_json(data)
    return value if isinstance(value, dict) else None


def _with_body(response: Response, body: object, status: int) -> Response | Failure:
    data = write_json(body)
    if data is None:
        return _failure(response, FailureKind.BAD_RESPONSE, "the stream's JSON is nested too deep")
    return replace(response, status=status, body=data)


def _failure(response: Response, kind: FailureKind, message: str) -> Failure:
    return Failure(
        kind=kind,
        message=message,
        status=response.status,
        request_id=request_id_of(response.headers),
    )

"""What every wire format does alike on the way out: extra fields, JSON bytes, headers."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from batcher.errors import InvalidRow
from batcher.job import Request
from batcher.records import Prompt, Wire

_JSON_HEADERS: Mapping[str, str] = {"content-type": "application/json"}
_SECRET_HEADERS = ("authorization", "x-api-key", "api-key", "proxy-authorization", "cookie")
# What the row or the job says elsewhere; a second word on it would be a contradiction.
_OWNED: Mapping[str, str] = {
    "model": "set request.model, or `model` in the row",
    "messages": "each row brings its own",
    "prompt": "each row brings its own",
    "stream": "set request.stream",
}


def base_headers(**more: str) -> Mapping[str, str]:
    """Headers every request of a format has, made once and shared."""
    return {**_JSON_HEADERS, **{name.replace("_", "-"): value for name, value in more.items()}}


def add_extra(body: dict[str, Any], prompt: Prompt, request: Request) -> None:
    """Merge the job's extra body fields, then the row's, into the body.

    Raises:
        InvalidRow: One of them names what is settled elsewhere, such as the model.
    """
    for extra in (request.extra, prompt.extra):
        if extra:
            for name, fix in _OWNED.items():
                if name in extra:
                    raise InvalidRow(f"`{name}` is among the extra fields", hint=fix)
            body.update(extra)


class Pattern:
    """Wire forms of plain prompts, made after the first one's: only `messages` differ.

    Holds for one Request object at a time; most rows of a job share one.
    """

    __slots__ = ("_body", "_request", "_wire")

    def __init__(self) -> None:
        self._request: Request | None = None

    def wire(self, prompt: Prompt, request: Request, encode: Callable[..., Wire]) -> Wire:
        """What `encode` gives for a plain prompt whose body holds `messages` as they are.

        Raises:
            InvalidRow: As `encode` does.
        """
        if self._request is not request:
            self._wire = encode(prompt, request)
            self._body = orjson.loads(self._wire.body)
            self._request = request
        first, body = self._wire, self._body
        body["messages"] = prompt.messages
        return Wire(path=first.path, headers=first.headers, body=_json(body), stream=first.stream)


def _json(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body, default=_plain)
    except orjson.JSONEncodeError as error:
        raise InvalidRow(
            f"the request cannot be written as JSON: {error}",
            hint="texts must be whole characters (no half surrogate pairs), numbers 64 bits wide",
        ) from error


def wire(
    path: str, base: Mapping[str, str], body: dict[str, Any], request: Request, *, stream: bool
) -> Wire:
    """The request as bytes.

    Raises:
        InvalidRow: The body holds what JSON cannot.
    """
    headers = base
    if request.headers:
        given = {name.lower(): value for name, value in request.headers.items()}
        for name in _SECRET_HEADERS:
            if name in given:
                raise InvalidRow(f"request.headers names {name}", hint=_HEADER_FIX)
        headers = {**base, **given}
    return Wire(path=path, headers=headers, body=_json(body), stream=stream)


_HEADER_FIX = "keys go into [[keys]] and request.auth, never into headers"


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def settled(request: Request) -> None:
    """Check the two settings every request needs.

    Raises:
        InvalidRow: No model is named, or max_tokens is no whole number above 0.
    """
    if not request.model:
        raise InvalidRow("no model is named", hint=_OWNED["model"])
    if type(request.max_tokens) is not int or request.max_tokens < 1:
        raise InvalidRow(f"max_tokens is {request.max_tokens!r}", hint="write a number of tokens")


def job_problems(request: Request) -> Iterable[str]:
    """What is wrong with a job's settings in every wire format, each with field and fix.

    The model may be missing: rows may name it.
    """
    for name in request.headers:
        if name.lower() in _SECRET_HEADERS:
            yield f"request.headers names {name}: {_HEADER_FIX}"
    for name, fix in _OWNED.items():
        if name in request.extra:
            yield f"request.extra names {name}: {fix}"

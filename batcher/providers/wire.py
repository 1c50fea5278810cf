"""What every wire format shares about HTTP bytes: JSON read with patience, headers, short texts.

A body that holds an answer is paid for, so reading is more patient than the JSON grammar:
half a surrogate pair, a byte order mark, NaN and control characters do not cost the answer.
Waiting times are read in waits.py, event streams in sse.py.

Header names are looked up in lower case: `Response.headers` is a case-insensitive mapping,
or one whose keys are lower case.
"""

import json  # noqa: TID251 - only for what orjson refuses: NaN, control characters, huge numbers
import re
from collections.abc import Mapping

import orjson

from batcher.errors import ConfigError
from batcher.records import Prompt, Response

MESSAGE_CHARS = 500
IMAGE_CHARS = 6000  # about 1,600 tokens, what a large image costs
_ID_CHARS = 200
_SNIPPET_CHARS = 80
_TITLE = re.compile(rb"<title[^>]*>([^<]*)", re.IGNORECASE)
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # for a terminal, or for UTF-8
# An escaped backslash, a surrogate pair, or one half alone; only the last is replaced.
_ESCAPE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_HALF_ESCAPE_BYTES = 6  # backslash, u, four hex digits
_LEAST_TOO_DEEP_BYTES = 2 * 1024  # brackets of the 1024 levels that orjson reads
_LONGEST_INT = 18  # digits; longer ones would not fit the 64 bits JSON writers agree on
_HEAVY = ("image", "image_url", "document", "file")
_ENDPOINTS = ("/v1/chat/completions", "/chat/completions", "/v1/messages", "/v1/complete")


def read_json(body: bytes) -> object:
    """The JSON value a body holds; None when there is none to be had.

    Half a surrogate pair (an emoji cut in two) becomes U+FFFD.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _read_odd_json(body)


def read_body(body: bytes) -> tuple[object, bytes | None]:
    """The JSON value a body holds, and the body where a strict parser reads it in a record too.

    What only patience can read, or what is nested so deep that one level more is too much, comes
    without its body: such bytes in a record would make it a record nobody can read.
    """
    try:
        if len(body) < _LEAST_TOO_DEEP_BYTES:
            return orjson.loads(body), body
        values = orjson.loads(b"[%b]" % body)
    except orjson.JSONDecodeError:
        return read_json(body), None
    return (values[0], body) if len(values) == 1 else (None, None)


def _read_odd_json(body: bytes) -> object:
    """JSON that orjson refuses and other servers' parsers do not."""
    try:
        return json.loads(
            _ESCAPE.sub(_whole_escape, body).decode("utf-8-sig"),
            strict=False,
            parse_int=_bounded_int,
        )
    except (ValueError, RecursionError):
        return None


def _whole_escape(found: re.Match[bytes]) -> bytes:
    text = found.group()
    return rb"\ufffd" if len(text) == _HALF_ESCAPE_BYTES else text


def _bounded_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INT else float(digits)


def write_json(value: object) -> bytes | None:
    """JSON bytes of what read_json gave; None when it is nested too deep to be written."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return None


def text_of(value: object) -> str | None:
    """The value when it is a text that says something, else None."""
    return value if isinstance(value, str) and value else None


def count_of(value: object) -> int:
    """The value when it is a believable count of tokens, else 0."""
    return value if type(value) is int and 0 <= value < 2**53 else 0


def one_line(text: str, limit: int = MESSAGE_CHARS) -> str:
    """Text for a message: whitespace folded, at most `limit` characters, safe to show."""
    folded = _UNFIT.sub("\ufffd", " ".join(text[: 8 * limit].split()))
    return folded if len(folded) <= limit else f"{folded[: limit - 3]}..."


def request_id_of(headers: Mapping[str, str], body: object = None) -> str | None:
    """The provider's name for the exchange, from its headers, else from its body."""
    found: object = headers.get("request-id") or headers.get("x-request-id")
    if found is None and isinstance(body, dict):
        found = body.get("request_id") or body.get("id")
    if not isinstance(found, str) or not found:
        return None
    # Usual ids need no cleaning; anything may stand in a header.
    usual = len(found) <= _ID_CHARS and found.isascii() and found.isprintable()
    return found if usual else one_line(found, _ID_CHARS)


def what_came(response: Response) -> str:
    """What a response without an answer looked like, for a person: never the whole body."""
    return f"{_looks_like(response.body)} with status {response.status}"


def _looks_like(body: bytes) -> str:
    head = body[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head:
        return "an empty body"
    if head[:1] == b"<" and any(tag in head.lower() for tag in (b"<!doctype html", b"<html")):
        title = _TITLE.search(body[:65536])
        named = f' ("{_snippet(title.group(1))}")' if title and title.group(1).strip() else ""
        return f"an HTML page{named}, perhaps from a proxy,"
    value = read_json(body)
    if isinstance(value, dict):
        return f"JSON without an answer ({_snippet(body)})"
    if value is not None:
        return f"JSON that is no object ({_snippet(body)})"
    try:
        body.decode()
    except UnicodeDecodeError:
        return f"{len(body)} bytes that are not UTF-8 text"
    if head[:1] in {b"{", b"["}:
        return f"JSON that is broken or cut off after {len(body)} bytes"
    return f'text that is no JSON ("{_snippet(body)}")'


def _snippet(body: bytes) -> str:
    return one_line(body[: 8 * _SNIPPET_CHARS].decode("utf-8", "replace"), _SNIPPET_CHARS)


def normal_base_url(url: str) -> str:
    """A base URL to which `/v1/...` can be appended: no trailing slash, `/v1` or endpoint.

    Raises:
        ConfigError: It does not begin with http:// or https://, or holds a user, a password or
            a query, which would be stored and shown with it.
    """
    text = url.strip()
    if "@" in text:
        raise ConfigError(
            "request.base_url holds a user name or password: take it out, and name the key "
            'under [[keys]]; an "@" that belongs to the path is written as %40'
        )
    refuse_query(text)
    if not text.lower().startswith(("http://", "https://")):
        raise ConfigError(
            f"request.base_url is {url!r}, which is no web address; write e.g. "
            '"http://localhost:8000" or "https://api.anthropic.com"'
        )
    text = text.rstrip("/")
    for endpoint in _ENDPOINTS:
        text = text.removesuffix(endpoint)
    return text.rstrip("/").removesuffix("/v1").rstrip("/")


def refuse_query(url: str) -> None:
    """Take no base URL that could not be appended to, or that would bring a key into the records.

    Raises:
        ConfigError: There is a query or a fragment in it, which is not repeated.
    """
    if "?" in url or "#" in url:
        raise ConfigError(
            'request.base_url goes on behind its path with a "?" or "#"; leave that out. A key is '
            "named by where it is kept ([[keys]]), and what else goes with each request by "
            "request.headers or request.extra"
        )


def input_chars(prompt: Prompt, default_system: str | None = None) -> int:
    """Characters of text a prompt sends, for estimating its tokens; an image counts as 6,000.

    Args:
        prompt: Of any shape; what is no text counts nothing.
        default_system: The job's system text, counted when the row brings none.
    """
    count = 0
    for turn in prompt.messages:
        content = turn.get("content")
        count += len(content) if type(content) is str else _chars(content)
    system = prompt.system or default_system
    return count + _chars(system) if system else count


def _chars(content: object) -> int:
    if isinstance(content, str):
        return len(content)
    if not isinstance(content, list | tuple):
        return 0
    count = 0
    for block in content:
        if isinstance(block, Mapping):
            kind = block.get("type")
            if kind in _HEAVY:
                count += IMAGE_CHARS
            else:
                count += _chars(block.get("text")) + _chars(block.get("content"))
    return count

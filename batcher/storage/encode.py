"""Any value as one line of JSON without secrets, whatever is in it.

The fast path is orjson. The slow one is for what orjson refuses (half characters, integers
over 64 bits, keys that are not text) and for secrets that are also plain numbers: a record
that is not written is worse than one with a replacement character.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

_LF, _CR = b"\n\r"  # numbers are found five times as fast as bytes of length one
_DEEPEST = 200  # orjson writes 254 levels and reads 1024
_INT_BITS = 64


def json_line(value: Mapping[str, Any], clean: Callable[[bytes], bytes]) -> bytes:
    """The value as one JSON line, its newline included, secrets masked; never fails.

    Args:
        value: What JSON can hold; orjson.Fragment too, where it holds no raw line break.
        clean: Masks secrets in bytes.
    """
    try:
        line = orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        line = orjson.dumps(_tame(value, _sound), option=orjson.OPT_APPEND_NEWLINE)
    masked = clean(line)
    if masked is not line and masked != line:
        # A secret such as 123456 may also be part of a number; then only texts are masked.
        try:
            orjson.loads(masked)
        except orjson.JSONDecodeError:
            return _masked_texts(line, clean)
    return masked


def embedded(body: bytes, *, parsed: bool) -> Any:
    """A server's body as part of a record: JSON as it came, anything else as text.

    Raw line breaks in JSON stand between its tokens only, so dropping them changes nothing.

    Args:
        body: As it came.
        parsed: A strict parser has read the whole of it already, and would so one level deeper.
            A patient one takes what makes the record unreadable: NaN, half a character, a tab.
    """
    if not parsed:
        try:
            orjson.loads(body)
            orjson.loads(b"[%b]" % body)  # one level deeper, as it will stand in the record
        except orjson.JSONDecodeError:
            return body.decode("utf-8", "replace")
    if _LF in body or _CR in body:
        body = body.translate(None, b"\r\n")
    return orjson.Fragment(body)


def _masked_texts(line: bytes, clean: Callable[[bytes], bytes]) -> bytes:
    def mask(text: str) -> str:
        return clean(text.encode()).decode("utf-8", "replace")

    value: Any = line.decode()
    with suppress(orjson.JSONDecodeError):  # nested deeper than it can be read again
        value = orjson.loads(line)
    return orjson.dumps(_tame(value, mask), option=orjson.OPT_APPEND_NEWLINE)


def _sound(text: str) -> str:
    """Half a surrogate pair cannot be written as UTF-8."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _tame(value: object, text: Callable[[str], str], depth: int = 0) -> Any:
    """A copy that orjson can write, with every text passed through `text`."""
    if isinstance(value, str):
        return text(str(value))
    if value is None or isinstance(value, bool | float | orjson.Fragment):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < _INT_BITS else text(str(value))
    if depth >= _DEEPEST:
        return "[nested too deep to be copied]"
    if isinstance(value, Mapping):
        return {text(str(k)): _tame(v, text, depth + 1) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_tame(v, text, depth + 1) for v in value]
    return text(str(value))

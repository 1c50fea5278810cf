"""A record handed to another row that asks the same: its id, its line, its kept input fields.

Everything else stays byte for byte, the provider's body above all: read and written again, a
number of twenty digits would come out as another.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from batcher.records import Fingerprint
from batcher.storage.encode import json_line
from batcher.storage.results import OWN_KEYS

_PRINT = b'"fingerprint":"'
_DIGITS = 32
_RESPONSE = b',"response":'
_HEAD = re.compile(rb'\{"id":("(?:[^"\\]|\\.)*"),"line":([1-9]\d*),"status":')


def fingerprint_of(raw: bytes) -> Fingerprint | None:
    """The fingerprint in a record; None in that of a row that was never asked."""
    # The first such key is the record's own: inside a text its quotes would be escaped.
    at = raw.find(_PRINT)
    if at < 0:
        return None
    digits = raw[at + len(_PRINT) : at + len(_PRINT) + _DIGITS + 1]
    if not digits.endswith(b'"') or len(digits) <= _DIGITS:
        return None
    return Fingerprint(digits[:-1].decode("ascii", "replace"))


def rekeyed(
    raw: bytes,
    *,
    row_id: str,
    line: int,
    kept: Mapping[str, Any],
    clean: Callable[[bytes], bytes] = bytes,
) -> bytes:
    """The record as it would be, had this row been asked.

    Args:
        raw: A whole line of a record file, its newline included.
        row_id: The row's id.
        line: The row's line in the input.
        kept: Input fields copied into the record.
        clean: Masks secrets.
    """
    record = orjson.loads(raw)
    fields = _named(kept)
    if {name: value for name, value in record.items() if name not in OWN_KEYS} == fields:
        if record["id"] == row_id and record["line"] == line:
            return raw
        if head := _HEAD.match(raw):
            rest = raw[head.end() :]
            return clean(b'{"id":%b,"line":%d,"status":%b' % (orjson.dumps(row_id), line, rest))
    return _rebuilt(raw, record | {"id": row_id, "line": line}, fields, clean)


def _named(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Kept fields under the names they have in a record, as RecordSink gives them."""
    fields: dict[str, Any] = {}
    for name, value in kept.items():
        own = name
        while own in OWN_KEYS or own in fields:
            own = f"input.{own}"
        fields[own] = value
    return fields


def _rebuilt(
    raw: bytes,
    record: Mapping[str, Any],
    fields: Mapping[str, Any],
    clean: Callable[[bytes], bytes],
) -> bytes:
    """A record written anew with other kept fields; the body is taken over as it stands."""
    own = {name: value for name, value in record.items() if name in OWN_KEYS}
    had_body = "response" in own
    body = own.pop("response", None)
    rest = {"response": _body(raw, len(record)) or body} if had_body else {}
    return json_line({**own, **fields, **rest}, clean)


def _body(raw: bytes, keys: int) -> orjson.Fragment | None:
    """The bytes of the body, which is a record's last field; None when it is not."""
    at = raw.find(_RESPONSE)
    while at >= 0:
        try:
            head = orjson.loads(raw[:at] + b"}")
        except orjson.JSONDecodeError:
            at = raw.find(_RESPONSE, at + 1)  # this one stands inside a kept field
            continue
        if len(head) != keys - 1:
            return None
        return orjson.Fragment(raw[at + len(_RESPONSE) :].rstrip()[:-1])
    return None

"""What makes a line of results.jsonl or failures.jsonl a record."""

from typing import NamedTuple

import orjson

from batcher.records import Status

_STATUSES = {status.value: status for status in Status}


class Head(NamedTuple):
    """What a record says of its row.

    Attributes:
        line: The row's line in the input, from 1.
    """

    line: int
    id: str
    status: Status


def head_of(raw: bytes) -> Head | str:
    """What the record in these bytes says of its row, or why they hold none."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return f"not valid JSON: {error.msg}" if raw.strip() else "blank"
    if not isinstance(value, dict):
        return "not a JSON object"
    line, status, row_id = value.get("line"), value.get("status"), value.get("id")
    if type(line) is not int or line < 1:
        return "without a line number"
    if not isinstance(status, str) or status not in _STATUSES:
        return "without a known status"
    if not isinstance(row_id, str):
        return "without an id"
    return Head(line, row_id, _STATUSES[status])

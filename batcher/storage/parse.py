"""One input line as a Row, or what is wrong with it in words for the file's owner."""

import orjson

from batcher.records import Row

_BOM = "\ufeff"
UNWRITABLE = "cannot be written as JSON: "
"""How a text begins that stands in the spool for an item that is no JSON (spool.py)."""
_EXCERPT = 30
_KINDS = {list: "an array", str: "a string", bool: "true or false", int: "a number"}


def parse(line: int, raw: bytes) -> Row:
    """The row of a line that holds something; never fails.

    Args:
        line: Its number, from 1.
        raw: Its bytes, with or without line end.
    """
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return Row(line=line, problem=_problem(raw, error))
    if type(data) is dict:
        return Row(line=line, data=data)
    if isinstance(data, str) and data.startswith(UNWRITABLE):
        return Row(line=line, problem=data)
    kind = "null" if data is None else _KINDS.get(type(data), "a number")
    return Row(line=line, problem=f"the line is {kind}; each line must be one JSON object {{...}}")


def too_long(line: int, limit_bytes: int) -> Row:
    """The row of a line longer than can be held."""
    megabytes = limit_bytes / (1 << 20)
    return Row(
        line=line,
        problem=f"the line is longer than {megabytes:g} MB, more than any provider takes; "
        "split it, or check that line ends are not missing",
    )


def _problem(raw: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as fault:
        return (
            f"not UTF-8: byte 0x{raw[fault.start]:02x} at byte {fault.start + 1}; "
            "save the file as UTF-8"
        )
    if text.startswith(_BOM):
        return "begins with a byte order mark in the middle of the file; remove it (U+FEFF)"
    if "\0" in text:
        return f"holds a NUL byte at character {text.index(chr(0)) + 1}; remove it or write \\u0000"
    if "surrogate" in error.msg:
        return (
            f"holds half a character, a lone \\ud800-\\udfff escape, near {_where(text, error)}; "
            "write the whole pair or remove it"
        )
    if "\r" in text.strip() and text.strip().startswith("{"):
        return f"not valid JSON: {error.msg} at {_where(text, error)}; are the line ends CR only?"
    return f"not valid JSON: {error.msg} at {_where(text, error)}"


def _where(text: str, error: orjson.JSONDecodeError) -> str:
    around = text[max(0, error.pos - _EXCERPT // 2) : error.pos + _EXCERPT // 2].strip()
    return f"character {error.pos + 1} (...{around}...)" if around else f"character {error.pos + 1}"

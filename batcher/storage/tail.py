"""What to do with the end of a file whose writer was cut off in the middle of a line."""

import os
from contextlib import suppress
from pathlib import Path

import orjson

from batcher.records import record
from batcher.storage.faults import storage_error
from batcher.storage.quarantine import quarantine

_BLOCK = 1 << 20


@record
class Repair:
    """What was done to the end of one file.

    Attributes:
        file: Its name.
        offset: Where the odd bytes began.
        cut_bytes: How many were moved to quarantine.jsonl; 0 when only a newline was missing.
    """

    file: str
    offset: int
    cut_bytes: int


def repair_tail(path: Path) -> Repair | None:
    """Make a file of JSON objects end in a whole line, losing nothing that is whole.

    A last object that only lacks its newline gets it. Anything else after the last whole
    line (half a record, NULs after power loss, garbage) is moved to quarantine.jsonl beside
    the file; so are whole lines at the very end that are not JSON objects.

    Returns:
        What was done, or None when there was nothing to do.

    Raises:
        StorageError: The file cannot be read or written.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise storage_error(path, "open", fault) from fault
    try:
        return _repair(fd, path)
    except OSError as fault:
        raise storage_error(path, "repair", fault) from fault
    finally:
        os.close(fd)


def _repair(fd: int, path: Path) -> Repair | None:
    end = os.fstat(fd).st_size
    start = size = 0
    before = end
    while before and not size:  # walk back over whatever is no record
        start = _line_start(fd, before)
        size = _object_size(os.pread(fd, before - start, start))
        before = start
    keep = start + size
    rest = os.pread(fd, end - keep, keep)
    newline = rest.find(b"\n") + 1 if size and not rest.partition(b"\n")[0].strip() else 0
    keep, odd = keep + newline, rest[newline:]
    if not odd and (newline or not size):
        return None
    if odd.strip():
        quarantine(path.parent, path.name, keep, odd, why="torn end of the file")
    os.ftruncate(fd, keep)
    if size and not newline:
        os.pwrite(fd, b"\n", keep)
    os.fsync(fd)
    return Repair(file=path.name, offset=keep, cut_bytes=len(odd))


def _line_start(fd: int, end: int) -> int:
    """Offset of the line that holds the byte at end - 1."""
    at = end - 1
    while at > 0:
        step = min(_BLOCK, at)
        found = os.pread(fd, step, at - step).rfind(b"\n")
        if found >= 0:
            return at - step + found + 1
        at -= step
    return 0


def _object_size(line: bytes) -> int:
    """Length of the JSON object these bytes begin with; 0 for none.

    What follows the object may be anything: a record that lost its newline and has garbage
    after it is still a whole record.
    """
    if not line.startswith(b"{"):
        return 0
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return _leading_object_size(line)
    return len(line.rstrip())


def _leading_object_size(line: bytes) -> int:
    text = line.decode("utf-8", "replace")
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        head = text[: error.pos].encode()  # the parser stops right after a whole document
        with suppress(orjson.JSONDecodeError):
            if line.startswith(head) and orjson.loads(head) is not None:
                return len(head.rstrip())
    return 0

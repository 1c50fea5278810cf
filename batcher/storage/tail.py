"""What to do with the end of a file whose writer was cut off in the middle of a line."""

import os
from pathlib import Path

import orjson

from batcher.records import record
from batcher.storage.faults import storage_error
from batcher.storage.quarantine import quarantine
from batcher.storage.record_line import head_of

_BLOCK = 1 << 17


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
    """Make a file of records end in a whole one, losing nothing that is whole.

    A last record that only lacks its newline gets it. Anything after the last whole record
    (half of one, NULs after power loss, garbage, JSON that is none) is moved to
    quarantine.jsonl beside the file.

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


def sound_end(path: Path) -> int:
    """Where `repair_tail` would let this file end, its missing newline not counted.

    Raises:
        OSError: It cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _sound_end(fd)[0]
    finally:
        os.close(fd)


def _sound_end(fd: int) -> tuple[int, bool]:
    """Offset after the last record and its newline, and whether it has that newline."""
    end = before = os.fstat(fd).st_size
    start = size = 0
    while before and not size:  # walk back over whatever is no record
        start = _line_start(fd, before)
        size = _record_size(os.pread(fd, before - start, start))
        before = start
    if not size:
        return 0, True
    after = os.pread(fd, min(end - start - size, _BLOCK), start + size)
    head, newline, _ = after.partition(b"\n")
    if newline and not head.strip():
        return start + size + len(head) + 1, True
    return start + size, False


def _repair(fd: int, path: Path) -> Repair | None:
    end = os.fstat(fd).st_size
    keep, has_newline = _sound_end(fd)
    if keep == end and has_newline:
        return None
    odd = os.pread(fd, end - keep, keep)
    if odd.strip():
        quarantine(path.parent, path.name, keep, odd, why="torn end of the file")
    os.ftruncate(fd, keep)
    if not has_newline:
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


def _record_size(line: bytes) -> int:
    """Length of the record these bytes begin with; 0 for none.

    What follows it may be anything: a record that lost its newline and has garbage after it is
    still a whole record.
    """
    if not line.startswith(b"{"):
        return 0
    whole = line.rstrip()
    if isinstance(head_of(whole), str):
        whole = _leading_document(line)
    return 0 if isinstance(head_of(whole), str) else len(whole)


def _leading_document(line: bytes) -> bytes:
    text = line.decode("utf-8", "replace")
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        head = text[: error.pos].encode()  # the parser stops right after a whole document
        if line.startswith(head):
            return head.rstrip()
    return b""

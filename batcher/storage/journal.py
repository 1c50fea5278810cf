"""Notes of attempts begun and ended, so that a crash can be accounted for.

journal.jsonl, one short line a note: `{"b":[line,attempt,key,sent_at,id]}` when an attempt is
about to be sent, `{"e":line}` when its answer or fault has been dealt with. Nothing is settled
by it, and it is never synced: it tells which requests a killed run had in flight.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from batcher import clock
from batcher.ports import Settled
from batcher.records import Call, record
from batcher.storage.durable import AppendFile, write_atomic
from batcher.storage.faults import storage_error

NAME = "journal.jsonl"
_ROTATE_BYTES = 8 << 20
_MOST_HELD = 32  # end notes, when nothing new begins


@record
class InDoubt:
    """An attempt of an earlier run that was sent, or about to be, and may have been billed.

    Attributes:
        line: Its row's line in the input.
        id: Its row's id.
        attempt: Its number, from 1.
        key: Alias of the key it used.
        sent_at: UTC, ISO 8601.
    """

    line: int
    id: str
    attempt: int
    key: str
    sent_at: str


class Journal:
    """Begins empty and stays small; implements ports.Journal.

    What an earlier run left must be read (`scan`) and kept elsewhere before.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clean: Callable[[bytes], bytes] | None = None,
        rotate_bytes: int = _ROTATE_BYTES,
    ) -> None:
        """Start an empty journal.

        Args:
            directory: The output directory, which exists and is locked.
            clean: Masks secrets.
            rotate_bytes: Above this size it is rewritten with the open notes only.

        Raises:
            StorageError: It cannot be written.
        """
        self._path = directory / NAME
        self._clean = clean
        self._rotate_bytes = self._limit = rotate_bytes
        self._open: dict[int, bytes] = {}  # line -> its note, for what is in flight
        self._ended: list[bytes] = []  # notes not written yet
        write_atomic(self._path, b"")
        self._file = AppendFile(self._path, clean=clean)

    def began(self, call: Call, *, attempt: int, key: str, sent_at: str = "") -> None:
        """Note that this call is about to be sent; in the kernel's hands on return.

        Args:
            call: What will be sent.
            attempt: Which try it is, from 1.
            key: Alias of the key.
            sent_at: UTC stamp; now, when left out.

        Raises:
            StorageError: It could not be noted, so the call must not be sent.
        """
        note = orjson.dumps(
            {"b": (call.line, attempt, key, sent_at or clock.stamp(), call.id)},
            option=orjson.OPT_APPEND_NEWLINE,
        )
        self._file.append(b"".join((*self._ended, note)))
        self._ended.clear()
        self._open[call.line] = note

    def ended(self, call: Call) -> None:
        """Note that its answer or fault has been dealt with: after the record, where there is one.

        Written together with the next `began`, which saves a write a request. What a kill takes
        with it is an attempt that ended without a record; it is counted as in doubt then.

        Raises:
            StorageError: It could not be noted.
        """
        self._ended.append(b'{"e":%d}\n' % call.line)
        self._open.pop(call.line, None)
        if len(self._ended) >= _MOST_HELD:
            self._file.append(b"".join(self._ended))
            self._ended.clear()
        if self._file.size > self._limit:
            self._rotate()

    def _rotate(self) -> None:
        self._file.close()
        self._ended.clear()
        write_atomic(self._path, b"".join(self._open.values()))
        self._file = AppendFile(self._path, clean=self._clean)
        # With many in flight the open notes alone may be large.
        self._limit = max(self._rotate_bytes, 2 * self._file.size)

    def close(self) -> None:
        """Close; may be called twice.

        Raises:
            StorageError: The last notes could not be written; the file is closed all the same.
        """
        try:
            if self._ended:
                self._file.append(b"".join(self._ended))
                self._ended.clear()
        finally:
            self._file.close()


def scan(directory: Path, settled: Settled | None = None) -> list[InDoubt]:
    """Attempts that were begun and neither ended nor left a record, in order of sending.

    A torn or odd line of the journal is passed over: it is a note, not a record.

    Args:
        directory: The output directory.
        settled: Lines that have their record.

    Raises:
        StorageError: The journal cannot be read.
    """
    path = directory / NAME
    begun: dict[int, InDoubt] = {}
    try:
        with path.open("rb") as file:
            for text in file:
                note = _note(text)
                if isinstance(note, InDoubt):
                    begun.pop(note.line, None)
                    begun[note.line] = note
                elif note is not None:
                    begun.pop(note, None)
    except FileNotFoundError:
        return []
    except OSError as fault:
        raise storage_error(path, "read", fault) from fault
    return [each for line, each in begun.items() if settled is None or line not in settled]


def _note(text: bytes) -> InDoubt | int | None:
    """An attempt begun, the line of one that ended, or None for neither."""
    try:
        note: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    match note:
        case {"b": [int(line), int(attempt), str(key), str(sent_at), str(id_)]}:
            return InDoubt(line=line, id=id_, attempt=attempt, key=key, sent_at=sent_at)
        case {"e": int(line)}:
            return line
        case _:
            return None

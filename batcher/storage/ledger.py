"""Which rows are settled: an index over results.jsonl and failures.jsonl, rebuilt from them.

Reads only the beginning of each line (`{"id":...,"line":N,"status":"..."`), because resuming a
run of ten million rows means reading ten gigabytes. A line that does not begin like that is
parsed whole, and counted as odd when it is no record. verify.py proves more, and names lines.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from batcher.records import Fingerprint, Status
from batcher.storage.faults import storage_error
from batcher.storage.record_line import head_of
from batcher.storage.results import FAILURES, RESULTS
from batcher.storage.tail import sound_end

_BUFFER = 1 << 18
_AHEAD = 1 << 24  # a line number further beyond the rest than this is kept apart
_CLOSING_BRACE = ord("}")
_PRINT = b'"fingerprint":'
_STATUSES = tuple(Status)
_CODE_OF = {status: code for code, status in enumerate(_STATUSES, 1)}
_CODES = {status.encode(): code for code, status in enumerate(_STATUSES, 1)}
_UNCERTAIN_BYTES = 64 << 20  # more than is written between two forced writes

_BACKSLASH = ord("\\")


class Ledger:
    """The settled lines of one output directory and their status; implements ports.Settled.

    A byte a line: ten million rows take 10 MB.

    Attributes:
        duplicates: Records found beyond a line's first.
        odd: Lines of the files that are no records.
    """

    def __init__(self, *, fingerprints: bool = False) -> None:
        self.duplicates = 0
        self.odd = 0
        self._marks = bytearray()  # line number -> status code, 0 for none
        self._far: dict[int, int] = {}  # the same for stray numbers, so that none costs gigabytes
        self._prints: array[int] | None = array("Q") if fingerprints else None

    @property
    def counts(self) -> Mapping[str, int]:
        """Settled lines by status; statuses without any are left out."""
        far = Counter(self._far.values())
        found = {s.value: self._marks.count(c) + far[c] for c, s in enumerate(_STATUSES, 1)}
        return {status: count for status, count in found.items() if count}

    @property
    def settled(self) -> int:
        """How many lines have their record."""
        return len(self._marks) - self._marks.count(0) + len(self._far)

    @property
    def max_line(self) -> int:
        """The highest settled line; 0 for none."""
        near = len(self._marks.rstrip(b"\0")) - 1
        return max(near, 0, *self._far)

    def __contains__(self, line: int) -> bool:
        marks = self._marks
        return marks[line] != 0 if line < len(marks) else line in self._far

    def has_all(self, first: int, last: int) -> bool:
        """Whether each of these lines has its record."""
        return last < len(self._marks) and self._marks.find(0, first, last + 1) < 0

    def status(self, line: int) -> Status | None:
        """The status of this line's record, or None while it has none."""
        code = self._marks[line] if line < len(self._marks) else self._far.get(line, 0)
        return _STATUSES[code - 1] if code else None

    def add(self, line: int, status: Status = Status.OK) -> None:
        """Note a record just written; the first one counts."""
        marks = self._marks
        if line < len(marks):
            marks[line] = marks[line] or _CODE_OF[status]
        elif line not in self._far:
            self._mark(line, _CODE_OF[status])

    def fingerprint(self, line: int) -> int:
        """First 8 bytes of the fingerprint in this line's record; 0 when it has none."""
        prints = self._prints
        return prints[line] if prints and line < len(prints) else 0

    def _mark(self, line: int, code: int) -> None:
        """Set a line's mark, making room where there is none."""
        if line >= len(self._marks):
            if line > 2 * len(self._marks) + _AHEAD:
                self._far[line] = code
                return
            room = line + line // 8 + 4096
            self._marks.extend(bytes(room - len(self._marks)))
            for known in [each for each in self._far if each < room]:
                self._marks[known] = self._far.pop(known)
        self._marks[line] = code

    def read(self, path: Path) -> None:
        """Take in the records of one file; a file that is not there holds none.

        Raises:
            StorageError: It cannot be read.
        """
        try:
            self._read(path, careful=_has_holes(path))
        except FileNotFoundError:
            return
        except OSError as fault:
            raise storage_error(path, "read", fault) from fault

    def _read(self, path: Path, *, careful: bool) -> None:
        """One microsecond a line; `careful` looks for NULs in each.

        Cut at its first ten quotes, a record is `{ id : ID , line :N, status : STATUS ...`. That
        needs half the time of a regular expression. An id with a backslash is left to the
        parser: only then could it hold a quote.
        """
        marks, code_of = self._marks, _CODES.get
        end = sound_end(path)
        with path.open("rb", buffering=_BUFFER) as file:
            torn = file.seek(0, 2) > end
            file.seek(0)
            for line in self._lines_before(file, end) if torn else file:
                try:
                    _, _, _, name, _, key, digits, word, _, status, _ = line.split(b'"', 10)
                    number, code = int(digits[1:-1]), code_of(status, 0)
                    is_plain = (
                        key == b"line"
                        and word == b"status"
                        and _BACKSLASH not in name
                        and line[-2] == _CLOSING_BRACE
                    )
                except ValueError:
                    is_plain = False
                    number = code = 0
                if not is_plain or (careful and 0 in line):
                    number, code = _parsed(line)
                if not code or number < 1:
                    self.odd += 1 if line.strip() else 0
                    continue
                try:
                    settled = marks[number]
                    marks[number] = settled or code
                except IndexError:
                    settled = number in self
                    self.add(number, _STATUSES[code - 1])
                if settled:
                    self.duplicates += 1
                elif self._prints is not None:
                    self._note_print(self._prints, number, line)

    def _lines_before(self, file: BinaryIO, end: int) -> Iterator[bytes]:
        """The lines of a file whose end is torn, without that end."""
        while end > 0:
            line = file.readline(end)
            end -= len(line)
            yield line
        self.odd += sum(1 for line in file if line.strip())

    def _note_print(self, prints: "array[int]", number: int, line: bytes) -> None:
        if len(prints) < len(self._marks):
            prints.frombytes(bytes(8 * (len(self._marks) - len(prints))))
        # The first such key is the record's own: before it come only keys of other names, and
        # inside a text its quotes would be escaped.
        at = line.find(_PRINT) + len(_PRINT)
        if number < len(prints) and line[at] == ord('"'):
            prints[number] = _short(line[at + 1 : at + 17])


def scan(directory: Path, *, fingerprints: bool = False) -> Ledger:
    """Read what is settled from the two output files. Blocking: about a second a million lines.

    An end that a killed run left torn is not settled, whether it was repaired yet or not.

    Args:
        directory: The output directory; where it or a file is missing, nothing is settled.
        fingerprints: Also keep 8 bytes of each record's fingerprint (8 bytes a line).

    Raises:
        StorageError: A file cannot be read.
    """
    ledger = Ledger(fingerprints=fingerprints)
    for name in (RESULTS, FAILURES):
        ledger.read(directory / name)
    return ledger


def short_fingerprint(fingerprint: Fingerprint) -> int:
    """The first 8 bytes of a fingerprint, as Ledger.fingerprint gives them."""
    return _short(fingerprint[:16].encode())


def _short(digits: bytes) -> int:
    try:
        return int(digits, 16)
    except ValueError:
        return 0


def _parsed(line: bytes) -> tuple[int, int]:
    """Line number and status code of a record read whole; code 0 when it is none."""
    head = head_of(line)
    return (0, 0) if isinstance(head, str) else (head.line, _CODE_OF[head.status])


def _has_holes(path: Path) -> bool:
    """Whether the part that power loss can have reached holds NULs.

    Some file systems leave them where data was not yet on the disk.
    """
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _UNCERTAIN_BYTES))
        while block := file.read(1 << 20):
            if 0 in block:
                return True
    return False

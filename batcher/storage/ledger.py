"""Which rows are settled: an index over results.jsonl and failures.jsonl, rebuilt from them.

Reads only the beginning of each line (`{"id":...,"line":N,"status":"..."`), because resuming a
run of ten million rows means reading ten gigabytes. A line that does not begin like that is
parsed whole, and counted as odd when it is no record. verify.py proves more, and names lines.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from batcher.records import Status
from batcher.storage.faults import storage_error
from batcher.storage.marks import PAGE, Marks
from batcher.storage.record_line import head_of
from batcher.storage.results import FAILURES, RESULTS
from batcher.storage.tail import sound_end

_BUFFER = 1 << 18
_CLOSING_BRACE = ord("}")
_STATUSES = tuple(Status)
_CODE_OF = {status: code for code, status in enumerate(_STATUSES, 1)}
_CODES = {status.encode(): code for code, status in enumerate(_STATUSES, 1)}
_UNCERTAIN_BYTES = 64 << 20  # more than is written between two forced writes

_BACKSLASH = ord("\\")
_LINE = b'","line":'
_OK = b',"status":"ok"'
_OK_CODE = _CODE_OF[Status.OK]
_QUOTES_BEFORE = 3  # in `{"id":"ID`


class Ledger:
    """The settled lines of one output directory and their status; implements ports.Settled.

    At most a byte a line, and next to nothing where all went well.

    Attributes:
        duplicates: Records found beyond a line's first.
        odd: Lines of the files that are no records.
    """

    def __init__(self) -> None:
        self.duplicates = 0
        self.odd = 0
        self._marks = Marks()  # line number -> status code

    @property
    def counts(self) -> Mapping[str, int]:
        """Settled lines by status; statuses without any are left out."""
        found = {s.value: self._marks.count_of(c) for c, s in enumerate(_STATUSES, 1)}
        return {status: count for status, count in found.items() if count}

    @property
    def settled(self) -> int:
        """How many lines have their record."""
        return self._marks.count

    @property
    def max_line(self) -> int:
        """The highest settled line; 0 for none."""
        return self._marks.last

    def __contains__(self, line: int) -> bool:
        return self._marks[line] != 0

    def has_all(self, first: int, last: int) -> bool:
        """Whether each of these lines has its record."""
        return self._marks.has_all(first, last)

    def status(self, line: int) -> Status | None:
        """The status of this line's record, or None while it has none."""
        code = self._marks[line]
        return _STATUSES[code - 1] if code else None

    def add(self, line: int, status: Status = Status.OK) -> None:
        """Note a record just written; the first one counts."""
        page = self._marks.page(line)
        if not page[line % PAGE]:
            page[line % PAGE] = _CODE_OF[status]
            self._marks.filled(line, 1)

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
        """Less than a microsecond a line; `careful` looks for NULs in each.

        Nothing of a line but what is needed becomes an object of its own, and an id with a
        backslash is left to the parser: only then could it hold a quote.
        """
        marks = self._marks
        first = size = new = 0  # the page of the last record, and how many of it were not known
        page = bytearray()
        end = sound_end(path)
        with path.open("rb", buffering=_BUFFER) as file:
            torn = file.seek(0, 2) > end
            file.seek(0)
            for line in self._lines_before(file, end) if torn else file:
                name, _, rest = line.partition(_LINE)
                digits, _, rest = rest.partition(_OK)
                if (
                    rest
                    and name.count(b'"') == _QUOTES_BEFORE
                    and _BACKSLASH not in name
                    and line[-2] == _CLOSING_BRACE
                    and not careful
                ):
                    try:
                        at = int(digits) - first
                    except ValueError:
                        at = 0
                    if 0 < at < size and not page[at]:
                        page[at] = _OK_CODE
                        new += 1
                        continue
                number, code = _number_and_code(line, careful=careful)
                if not code or number < 1:
                    self.odd += 1 if line.strip() else 0
                    continue
                at = number - first
                if not 0 <= at < size:
                    marks.filled(first, new)
                    page, size, new = marks.page(number), PAGE, 0
                    at = number % PAGE
                    first = number - at
                if page[at]:
                    self.duplicates += 1
                    continue
                page[at] = code
                new += 1
            marks.filled(first, new)

    def _lines_before(self, file: BinaryIO, end: int) -> Iterator[bytes]:
        """The lines of a file whose end is torn, without that end."""
        while end > 0:
            line = file.readline(end)
            end -= len(line)
            yield line
        self.odd += sum(1 for line in file if line.strip())


def scan(directory: Path) -> Ledger:
    """Read what is settled from the two output files. Blocking: about a second a million lines.

    An end that a killed run left torn is not settled, whether it was repaired yet or not.

    Args:
        directory: The output directory; where it or a file is missing, nothing is settled.

    Raises:
        StorageError: A file cannot be read.
    """
    ledger = Ledger()
    for name in (RESULTS, FAILURES):
        ledger.read(directory / name)
    return ledger


def _number_and_code(line: bytes, *, careful: bool) -> tuple[int, int]:
    """Line number and status code of a record; code 0 when it is none.

    Cut at its first ten quotes, a record is `{ id : ID , line :N, status : STATUS ...`. That
    needs half the time of a regular expression. What does not look like one is read whole.
    """
    try:
        _, _, _, name, _, key, digits, word, _, status, _ = line.split(b'"', 10)
        if (
            key == b"line"
            and word == b"status"
            and _BACKSLASH not in name
            and line[-2] == _CLOSING_BRACE
            and not (careful and 0 in line)
        ):
            return int(digits[1:-1]), _CODES[status]
    except (ValueError, KeyError):
        pass
    head = head_of(line)
    return (0, 0) if isinstance(head, str) else (head.line, _CODE_OF[head.status])


def _has_holes(path: Path) -> bool:
    """Whether the part that power loss can have reached holds NULs.

    Some file systems leave them where data was not yet on the disk.
    """
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _UNCERTAIN_BYTES))
        while block := file.read(_BUFFER):
            if 0 in block:
                return True
    return False

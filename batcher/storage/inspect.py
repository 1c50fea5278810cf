"""The lines of a record file, each read whole and judged."""

from collections.abc import Iterator
from pathlib import Path

from batcher.records import Status, record
from batcher.storage.faults import storage_error
from batcher.storage.record_line import head_of
from batcher.storage.results import FAILURES, RESULTS


@record
class Inspected:
    """One line of results.jsonl or failures.jsonl.

    Attributes:
        number: Of the line in its file, from 1.
        offset: Where it begins, in bytes.
        raw: Its bytes.
        line: The input line it is the record of; 0 when it is no record.
        id: The row's id.
        status: The row's status; None when it is no record.
        why_odd: Why it is no record.
    """

    number: int
    offset: int
    raw: bytes
    line: int = 0
    id: str = ""
    status: Status | None = None
    why_odd: str | None = None

    @property
    def home(self) -> str:
        """The file where a record of its status belongs."""
        return RESULTS if self.status is Status.OK else FAILURES


def inspect(path: Path) -> Iterator[Inspected]:
    """Every line of a record file, in order; none when there is no such file.

    Raises:
        StorageError: It cannot be read.
    """
    offset = 0
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                yield _judged(number, offset, raw)
                offset += len(raw)
    except FileNotFoundError:
        return
    except OSError as fault:
        raise storage_error(path, "read", fault) from fault


def _judged(number: int, offset: int, raw: bytes) -> Inspected:
    def odd(why: str) -> Inspected:
        return Inspected(number=number, offset=offset, raw=raw, why_odd=why)

    head = head_of(raw)
    if isinstance(head, str):
        return odd(head)
    if not raw.endswith(b"\n"):
        return odd("without its line end")
    return Inspected(
        number=number, offset=offset, raw=raw, line=head.line, id=head.id, status=head.status
    )

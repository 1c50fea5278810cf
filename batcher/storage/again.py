"""Failed rows set free to be asked again: their records move to failures.N.jsonl.

Which lines those are can be read from that file at any later time, so that a retry that was
killed goes on with the same rows.
"""

from collections.abc import Callable
from pathlib import Path

import orjson

from batcher.ports import Settled
from batcher.records import Status
from batcher.storage.inspect import Inspected, inspect
from batcher.storage.ledger import Ledger
from batcher.storage.results import FAILURES
from batcher.storage.reuse import first_free
from batcher.storage.swap import Swap


class OnlyThese:
    """Lets a run see only some lines as unsettled; implements ports.Settled."""

    def __init__(self, lines: Ledger, ledger: Settled) -> None:
        """Name the lines and the index of what is settled, which is told of every record."""
        self._lines = lines
        self._ledger = ledger

    def __contains__(self, line: int) -> bool:
        return line not in self._lines or line in self._ledger

    def has_all(self, first: int, last: int) -> bool:
        """Whether a run may leave out each of these lines."""
        return all(line in self for line in range(first, last + 1))

    def add(self, line: int, status: Status) -> None:
        """Note a record just written."""
        self._ledger.add(line, status)


def kind_of(each: Inspected) -> str | None:
    """Why a recorded row failed: its `error.kind`; None when the record does not say."""
    error = orjson.loads(each.raw).get("error")
    kind = error.get("kind") if isinstance(error, dict) else None
    return kind if isinstance(kind, str) else None


def set_aside(directory: Path, chosen: Callable[[Inspected], bool], swap: Swap) -> str | None:
    """Write failures.jsonl anew into `swap`, without the records that are chosen.

    Args:
        directory: The output directory, locked, its torn ends repaired.
        chosen: Whether a record's row is to be asked again.
        swap: Takes the new files; committing it is the caller's affair.

    Returns:
        The name of the file to which the chosen records move, or None when there are none.

    Raises:
        StorageError: The directory cannot be read or written.
    """
    stay = swap.file(FAILURES)
    name = None
    for each in inspect(directory / FAILURES):
        if each.why_odd is None and chosen(each):
            name = name or first_free(directory, "failures")
            swap.file(name)(each.raw)
        else:
            stay(each.raw)
    return name

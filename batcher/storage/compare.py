"""Whether recorded rows are still the rows of the input, told by what each of them asks.

For the cases in which the input file's digest does not settle it. Memory is 17 bytes a
recorded line.
"""

from array import array
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from batcher.records import Call, Outcome
from batcher.storage.inspect import inspect
from batcher.storage.rekey import fingerprint_of
from batcher.storage.results import FAILURES, RESULTS

What = Literal["gone", "other id", "other request"]
_HASH = (1 << 64) - 1
_PAGE_BITS = 16
_IN_PAGE = (1 << _PAGE_BITS) - 1
_SHOWN = 5


@dataclass(slots=True)
class Difference:
    """A recorded row that the input does not hold any more as it was.

    Attributes:
        line: Of the row in the input.
        what: `gone`: no row of the run stands there; `other id`; `other request`.
        old: The id in the record; empty where it was not looked for.
        new: The id of the row that stands there now; empty for none.
    """

    line: int
    what: What
    old: str = ""
    new: str = ""


@dataclass(slots=True)
class Differences:
    """How many recorded rows differ, and the first of them.

    Attributes:
        count: All of them.
        misplaced: Those that are gone or have another id.
        first: The first few, by line.
    """

    count: int = 0
    misplaced: int = 0
    _noted: Counter[str] = field(default_factory=Counter)
    first: list[Difference] = field(default_factory=list)

    def note(self, difference: Difference) -> None:
        """One more; of each sort the first few are kept."""
        self.count += 1
        self.misplaced += difference.what != "other request"
        if self._noted[difference.what] < _SHOWN:
            self._noted[difference.what] += 1
            self.first.append(difference)


class Recorded:
    """Which lines have a record, with hashes of its id and of what it asked."""

    def __init__(self, directory: Path) -> None:
        """Read both record files.

        Raises:
            StorageError: A file cannot be read.
        """
        self._directory = directory
        self._pages: dict[int, array[int]] = {}  # so that a stray line number costs one page
        for name in (RESULTS, FAILURES):
            for each in inspect(directory / name):
                if each.why_odd is None and each.line not in self:
                    self._note(each.line, each.id, fingerprint_of(each.raw))

    def __contains__(self, line: object) -> bool:
        if not isinstance(line, int):
            return False
        page = self._pages.get(line >> _PAGE_BITS)
        return page is not None and page[2 * (line & _IN_PAGE)] != 0

    def _note(self, line: int, row_id: str, fingerprint: str | None) -> None:
        number = line >> _PAGE_BITS
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = array("Q", bytes(16 << _PAGE_BITS))
        at = 2 * (line & _IN_PAGE)
        page[at], page[at + 1] = _hash(row_id), _hash(fingerprint)

    def differences(
        self,
        made: Iterable[Call | Outcome],
        *,
        requests: bool = True,
        apart: Container[int] = (),
    ) -> Differences:
        """What recorded rows are no longer as they were.

        Args:
            made: What the recorded rows of the input become now, in order; others may be left
                out.
            requests: Whether what they ask is compared too, and not only their ids.
            apart: Lines whose requests may differ.
        """
        found = Differences()
        left = {number: bytearray(1 << _PAGE_BITS) for number in self._pages}
        for each in made:
            if each.line not in self:
                continue
            left[each.line >> _PAGE_BITS][each.line & _IN_PAGE] = 1
            page, at = self._pages[each.line >> _PAGE_BITS], 2 * (each.line & _IN_PAGE)
            if page[at] != _hash(each.id):
                found.note(Difference(line=each.line, what="other id", new=each.id))
            elif requests and page[at + 1] != _hash(each.fingerprint) and each.line not in apart:
                found.note(Difference(line=each.line, what="other request", new=each.id))
        for number, seen in left.items():
            self._note_gone(number, seen, found)
        self._name(found)
        return found

    def _note_gone(self, number: int, seen: bytearray, found: Differences) -> None:
        page = self._pages[number]
        at = seen.find(0)
        while at >= 0:
            if page[2 * at]:
                found.note(Difference(line=number << _PAGE_BITS | at, what="gone"))
            at = seen.find(0, at + 1)

    def _name(self, found: Differences) -> None:
        """Look up the recorded ids of the differences that will be shown."""
        found.first.sort(key=lambda each: each.line)
        del found.first[_SHOWN:]
        wanted = {each.line: each for each in found.first}
        for name in (RESULTS, FAILURES) if wanted else ():
            for each in inspect(self._directory / name):
                if each.why_odd is None and (difference := wanted.pop(each.line, None)):
                    difference.old = each.id


def _hash(text: str | None) -> int:
    """Never 0, which marks a line without a record."""
    return hash(text) & _HASH or 1

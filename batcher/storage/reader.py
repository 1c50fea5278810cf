"""Blocks of text to rows: cut, chosen, not yet settled, parsed."""

from collections.abc import Iterator

from batcher.ports import Settled
from batcher.records import Row
from batcher.storage.choice import Picker
from batcher.storage.lines import LineCutter
from batcher.storage.parse import parse, too_long


class RowReader:
    """The rows of one reading of an input, block by block."""

    def __init__(
        self, settled: Settled, *, picker: Picker | None = None, max_line_bytes: int
    ) -> None:
        """Begin before the first line.

        Args:
            settled: Lines to skip without parsing them.
            picker: What chooses lines; None takes all.
            max_line_bytes: A longer line is a row with a problem.
        """
        self._settled = settled
        self._picker = picker
        self._max = max_line_bytes
        self._cutter = LineCutter(max_line_bytes=max_line_bytes)

    @property
    def is_done(self) -> bool:
        """Whether no further line can be chosen."""
        return self._picker is not None and self._picker.is_done

    @property
    def holds(self) -> bool:
        """Whether the text so far ends without a line end."""
        return self._cutter.holds

    def feed(self, block: bytes) -> Iterator[Row]:
        """Rows of the lines that this block completes."""
        if self._picker is not None:
            yield from self._picked(self._cutter.feed(block), self._picker)
            return
        for line, raw in self._cutter.feed(block, skip=self._settled):
            yield too_long(line, self._max) if raw is None else parse(line, raw)

    def end(self) -> Iterator[Row]:
        """The row of a last line without its line end."""
        if self._cutter.holds:
            yield from self._picked(self._cutter.flush(), self._picker or Picker.of_all())

    def _picked(self, lines: Iterator[tuple[int, bytes | None]], picker: Picker) -> Iterator[Row]:
        """A picker sees settled lines too, for they count against its limit."""
        for line, raw in lines:
            if picker.takes(line):
                if line not in self._settled:
                    yield too_long(line, self._max) if raw is None else parse(line, raw)
            elif picker.is_done:
                return

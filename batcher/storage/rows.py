"""Where rows come from: a file, or a stream that is spooled so that it can be resumed.

Packing is blocks.py's, cutting into lines lines.py's, judging a line parse.py's affair.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from batcher.ports import Settled
from batcher.records import Row
from batcher.storage.blocks import file_blocks
from batcher.storage.choice import Choice, Picker, sample_threshold
from batcher.storage.feed import Gather
from batcher.storage.identity import changed, identity
from batcher.storage.lines import MAX_LINE_BYTES, LineCutter
from batcher.storage.reader import RowReader
from batcher.storage.spool import SpooledSource

__all__ = [
    "Choice",
    "FileSource",
    "SpooledSource",
    "changed",
    "chosen_lines",
    "count_rows",
    "identity",
]


class FileSource:
    """Rows of a JSONL file, plain, .gz or .zst; implements ports.Source."""

    def __init__(
        self,
        path: Path,
        *,
        limit: int | None = None,
        choice: Choice | None = None,
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        """Name the file; it is opened by `rows`.

        Args:
            path: The file.
            limit: Only the first so many lines that hold something.
            choice: Which lines to take, where it is more than a limit.
            max_line_bytes: A longer line is a row with a problem.
        """
        self._path = path
        self._choice = choice or Choice(limit=limit)
        self._max_line_bytes = max_line_bytes

    async def rows(self, settled: Settled) -> AsyncGenerator[Row, None]:
        """Yield unsettled rows in input order; a bad line is a row with a problem.

        Raises:
            InputError: The file cannot be read, is damaged or no text; the rows before the
                damage were yielded.
            MissingExtraError: It is packed with zstd, and zstandard is not installed.
        """
        picker = None
        if not self._choice.is_all:
            picker = await asyncio.to_thread(_picker, self._path, self._choice)
        reader = RowReader(settled, picker=picker, max_line_bytes=self._max_line_bytes)
        text = Gather(file_blocks(self._path))
        try:
            while block := await text.next():
                for row in reader.feed(block):
                    yield row
                if reader.is_done:
                    return
            for row in reader.end():
                yield row
        finally:
            text.close()


def chosen_lines(
    path: Path, choice: Choice, *, complete: bool = True
) -> Iterator[tuple[int, bytes | None]]:
    """Number and bytes of each line of a file that a run with this choice takes. Blocking.

    Args:
        path: The file.
        choice: Which lines.
        complete: Whether a last line without its line end counts.

    Raises:
        InputError: The file cannot be read, is damaged or no text.
    """
    picker = _picker(path, choice)
    for number, raw in _lines(path, complete=complete):
        if picker is None or picker.takes(number):
            yield number, raw
        elif picker.is_done:
            return


def count_rows(path: Path, *, limit: int | None = None, choice: Choice | None = None) -> int:
    """How many rows a run over this file has. Blocking: reads it, up to the limit.

    Raises:
        InputError: The file cannot be read, is damaged or no text.
    """
    choice = choice or Choice(limit=limit)
    if not choice.is_all:
        return sum(1 for _ in chosen_lines(path, choice))
    cutter = LineCutter()
    rows = sum(cutter.count(block) for block in file_blocks(path))
    return rows + sum(1 for _ in cutter.flush())


def _lines(path: Path, *, complete: bool = True) -> Iterator[tuple[int, bytes | None]]:
    cutter = LineCutter()
    for block in file_blocks(path):
        yield from cutter.feed(block)
    if cutter.holds and complete:
        yield from cutter.flush()


def _picker(path: Path, choice: Choice) -> Picker | None:
    """What chooses the lines; None when all are taken. A sample reads the file once for it."""
    if choice.is_all:
        return None
    numbers = (number for number, _ in _lines(path)) if choice.sample is not None else ()
    return Picker(choice, threshold=sample_threshold(numbers, choice))

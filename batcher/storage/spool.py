"""Input that comes only once (standard input, an iterable), kept so that a run can be resumed.

`input.jsonl` in the output directory is a byte-for-byte copy of what came, written before any
of it is used. On resume it is replayed, compared with the stream when one is supplied again,
and the stream goes on where the copy ends.
"""

import asyncio
import os
import select
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import suppress
from functools import partial
from io import UnsupportedOperation
from pathlib import Path
from typing import BinaryIO

import orjson

from batcher.errors import BatcherError, InputError
from batcher.ports import Settled
from batcher.records import Row
from batcher.storage.blocks import BLOCK, Read, blocks
from batcher.storage.choice import Choice, Picker
from batcher.storage.durable import AppendFile
from batcher.storage.faults import input_error, storage_error
from batcher.storage.feed import Feed
from batcher.storage.lines import MAX_LINE_BYTES
from batcher.storage.parse import UNWRITABLE
from batcher.storage.reader import RowReader

SPOOL = "input.jsonl"
"""Name of the copy in the output directory."""

_SYNC_BYTES = 16 << 20
_FIRST_BYTE_S = 2.0  # a whole copy is not held up for longer by a stream that says nothing


class SpooledSource:
    """Rows of a stream or an iterable of dicts; implements ports.Source.

    Attributes:
        complete: Whether the copy holds the whole input: its end has been seen.
    """

    def __init__(
        self,
        stream: BinaryIO | Iterable[object] | None,
        spool_path: Path,
        *,
        complete: bool = False,
        name: str = "standard input",
        limit: int | None = None,
        choice: Choice | None = None,
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        """Name stream and copy; both are opened by `rows`.

        Args:
            stream: A binary stream (plain, gzip or zstd), an iterable of JSON objects, or None
                to use the copy alone.
            spool_path: Where the copy is, or will be.
            complete: What `complete` said when an earlier run ended.
            name: What errors call the stream.
            limit: Only the first so many lines that hold something.
            choice: Which lines to take, where it is more than a limit.
            max_line_bytes: A longer line is a row with a problem.

        Raises:
            InputError: The choice is a sample, for which the whole input must be known.
        """
        self._choice = choice or Choice(limit=limit)
        if self._choice.sample is not None:
            raise InputError(f"a sample cannot be taken of {name}; write it to a file first")
        self.complete = complete
        self._stream = stream
        self._path = spool_path
        self._name = name
        self._max_line_bytes = max_line_bytes
        self._synced_bytes = 0

    async def rows(self, settled: Settled) -> AsyncGenerator[Row, None]:
        """Yield unsettled rows in input order; a bad line is a row with a problem.

        Raises:
            InputError: The stream cannot be read, is no text, is not the one the copy was made
                of, or the iterable raised; or the end of the input has never been seen, and no
                stream was supplied to go on with. The rows before were yielded.
            StorageError: The copy cannot be written.
        """
        picker = None if self._choice.is_all else Picker(self._choice)
        reader = RowReader(settled, picker=picker, max_line_bytes=self._max_line_bytes)
        incoming = _Incoming(self._incoming())
        copy = await asyncio.to_thread(AppendFile, self._path)
        try:
            for text, is_new in ((self._replayed(incoming), False), (incoming.rest(), True)):
                feed = Feed(text)
                try:
                    while block := await feed.next():
                        if is_new:
                            await self._keep(copy, block)
                        for row in reader.feed(block):
                            yield row
                        if reader.is_done:
                            return
                finally:
                    feed.close()
            await asyncio.to_thread(copy.sync)
            self.complete = self.complete or incoming.came or not copy.size
            if not self.complete:  # the end of the last line may be still to come
                raise self._short(torn=reader.holds)
            for row in reader.end():
                yield row
        finally:
            copy.close()

    async def _keep(self, copy: AppendFile, block: bytes) -> None:
        copy.append(block)
        if copy.size - self._synced_bytes > _SYNC_BYTES:
            self._synced_bytes = copy.size
            await asyncio.to_thread(copy.sync)

    def _replayed(self, incoming: "_Incoming") -> Iterator[bytes]:
        """The copy as it was, each part compared with the stream before it is given."""
        lines = 0
        try:
            with self._path.open("rb") as copy:
                while old := copy.read(BLOCK):
                    new = incoming.exactly(len(old))
                    if incoming.came and new != old:
                        raise self._other_input(old, new, lines)
                    lines += old.count(b"\n")
                    yield old
        except OSError as fault:
            raise storage_error(self._path, "read", fault) from fault

    def _short(self, *, torn: bool) -> InputError:
        last = "in the middle of a line" if torn else "before the end of the input was seen"
        return InputError(
            f"{self._name} gave nothing to go on with, and {self._path}, the copy of what came "
            f"earlier, ends {last}. Its whole rows are taken; rows behind them may be missing. "
            f"Supply that input again to go on, or, if there is no more of it, the copy itself "
            f"(< {self._path})"
        )

    def _other_input(self, old: bytes, new: bytes, lines: int) -> InputError:
        pairs = enumerate(zip(old, new, strict=False))
        same = next((at for at, (a, b) in pairs if a != b), min(len(old), len(new)))
        line = lines + old[:same].count(b"\n") + 1
        what = f"differs from line {line} on" if same < len(new) else f"ends in line {line}"
        return InputError(
            f"{self._name} is not the input that this directory was begun with: it {what}. "
            f"Supply that input again, or none (< /dev/null) to use the copy {self._path} alone, "
            "or choose a new directory"
        )

    def _incoming(self) -> Iterator[bytes]:
        """What the stream or iterable gives, as text."""
        stream = self._stream
        if stream is None:
            return
        if not hasattr(stream, "read"):
            yield from _as_lines(stream, self._name)
            return
        fd = _descriptor(stream)
        if self.complete and fd is not None and not _speaks(fd):
            return
        read: Read = getattr(stream, "read1", stream.read) if fd is None else partial(os.read, fd)
        try:
            yield from blocks(read, self._name)
        except OSError as fault:
            raise input_error(Path(self._name), fault) from fault


class _Incoming:
    """Blocks that can be taken in other sizes."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._held = b""
        self.came = False

    def rest(self) -> Iterator[bytes]:
        """Everything that was not yet taken, as it comes."""
        if self._held:
            yield self._held
        while block := self._next():
            yield block

    def exactly(self, size: int) -> bytes:
        """The next bytes, fewer only at the end."""
        while len(self._held) < size and (block := self._next()):
            self._held += block
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def _next(self) -> bytes:
        block = next(self._source, b"")
        self.came = self.came or bool(block)
        return block


def _as_lines(items: Iterable[object], name: str) -> Iterator[bytes]:
    """Each item as a line of JSON; what cannot be one becomes a line that says so."""
    number = 0
    try:
        for number, item in enumerate(items, 1):  # noqa: B007 - named in the error below
            try:
                yield orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE)
            except TypeError as error:
                yield orjson.dumps(f"{UNWRITABLE}{error}", option=orjson.OPT_APPEND_NEWLINE)
    except BatcherError:
        raise
    except Exception as error:  # the user's own code: whatever it raises ends the input
        raise InputError(
            f"{name} failed after row {number}: {type(error).__name__}: {error}; the rows before "
            "it are kept. Mend it and run again"
        ) from error


def _descriptor(stream: object) -> int | None:
    """The file descriptor to read from directly, so that a waiting thread holds no lock."""
    with suppress(AttributeError, UnsupportedOperation, OSError):
        return int(stream.fileno())  # type: ignore[attr-defined]
    return None


def _speaks(fd: int) -> bool:
    return bool(select.select([fd], [], [], _FIRST_BYTE_S)[0])

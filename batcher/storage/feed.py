"""Blocking readers for the event loop: a thread reads, the loop takes what has come."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress

from batcher.errors import BatcherError

_AHEAD_BYTES = 1 << 20
_ENOUGH_BYTES = 1 << 17  # per visit to a thread, which costs as much as parsing 100 rows


class Gather:
    """Takes blocks that are always there (a file's), an eighth of a megabyte or more a visit."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._fault: BatcherError | None = None

    async def next(self) -> bytes:
        """The next bytes; none at the end.

        Raises:
            BatcherError: The source's own, after everything before it was given.
        """
        return await asyncio.to_thread(self._take)

    def _take(self) -> bytes:
        if self._fault:
            raise self._fault
        parts, size = [], 0
        try:
            for block in self._source:
                parts.append(block)
                size += len(block)
                if size >= _ENOUGH_BYTES:
                    break
        except BatcherError as fault:
            self._fault = fault
        return b"".join(parts) if parts else self._rest()

    def _rest(self) -> bytes:
        if self._fault:
            raise self._fault
        return b""

    def close(self) -> None:
        """Let the source go; may be called while a thread is still in it."""
        with suppress(ValueError, AttributeError):  # it runs still, or is a plain iterator
            self._source.close()  # type: ignore[attr-defined]


class Feed:
    """Takes blocks that may be long in coming (a pipe's), each as soon as it is there.

    The thread is a daemon: one that waits for a terminal for ever keeps no process alive.
    """

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._room = threading.Condition()
        self._parts: list[bytes] = []
        self._size = 0
        self._ended = False
        self._closed = False
        self._fault: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()

    async def next(self) -> bytes:
        """Everything that has come since the last time, waiting for something; none at the end.

        Raises:
            BatcherError: The source's own, after everything before it was given.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self._run, name="batcher-input", daemon=True).start()
        while True:
            self._news.clear()
            with self._room:
                parts, self._parts, self._size = self._parts, [], 0
                ended = self._ended
                self._room.notify()
            if parts:
                return b"".join(parts)
            if ended:
                break
            await self._news.wait()
        if self._fault:
            raise self._fault
        return b""

    def close(self) -> None:
        """Read no further."""
        with self._room:
            self._closed = True
            self._room.notify()

    def _run(self) -> None:
        try:
            for block in self._source:
                if not self._offer(block):
                    return
        except BaseException as fault:  # noqa: BLE001 - carried to the loop, raised there
            self._fault = fault
        finally:
            with self._room:
                self._ended = True
            self._tell()

    def _offer(self, block: bytes) -> bool:
        with self._room:
            while self._size >= _AHEAD_BYTES and not self._closed:
                self._room.wait()
            first = not self._parts
            self._parts.append(block)
            self._size += len(block)
            closed = self._closed
        if first:  # else the loop has been told already and not come yet
            self._tell()
        return not closed

    def _tell(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            if self._loop:
                self._loop.call_soon_threadsafe(self._news.set)

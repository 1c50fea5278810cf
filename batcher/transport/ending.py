"""Where an answer ends: where HTTP says so, or where the answer itself does.

A stream whose end event is here is whole and paid for, and so is JSON whose last bracket is,
whether or not the chunk that ends the body follows. A connection that breaks, or stays open,
after that must not cost the answer.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import aiohttp
import orjson
from aiohttp.http import HttpProcessingError

IsOver = Callable[[bytes], bool]
"""Whether whole events at the end of a stream include the one that ends it."""

_MOST_BODY_BYTES = 256 * 1024 * 1024  # an answer is kilobytes; an endless one must not fill memory
_BLANK_LINES = (b"\n\n", b"\n\r\n", b"\r\r")  # between two events
_LONGEST_BLANK_LINE = 3
# Servers that end the body in a write of its own do so within milliseconds. Nobody waits for
# it; it decides whether the connection, with its handshakes, can be used again.
_FORMAL_END_S = 1.0
_FAULTS = (aiohttp.ClientError, HttpProcessingError, OSError, EOFError, ValueError)


class _TooLargeError(ValueError):
    """More than any answer has."""


class Held(Protocol):
    """A connection as long as it is ours."""

    def release(self) -> object:
        """Let the next request use it."""
        ...

    def close(self) -> object:
        """Let nobody use it."""
        ...


async def whole(content: aiohttp.StreamReader, is_over: IsOver) -> bytes:
    """The rest of a body, up to its own end or that of an event stream in it.

    Raises:
        aiohttp.ClientError, HttpProcessingError, OSError, EOFError, ValueError: It broke off
            before either.
    """
    body = _Body(is_over)
    try:
        while chunk := await content.readany():
            body.add(chunk)
            if body.is_over():
                break
    except _TooLargeError:
        raise
    except _FAULTS:
        # A fault hides what came before it and has not been read; the public ways raise it again.
        body.add(content._read_nowait(-1))
        if not body.is_whole_without_end():
            raise
    return body.joined()


class _Body:
    """A body while it comes."""

    def __init__(self, is_over: IsOver) -> None:
        self._is_over = is_over
        self._chunks: list[bytes] = []
        self._size = 0
        self._unseen = 0  # the first chunk of events that were not looked at
        self._last = b""  # at least as much as a blank line has
        self._is_object = False

    def add(self, chunk: bytes) -> None:
        """Take in what came."""
        self._size += len(chunk)
        if self._size > _MOST_BODY_BYTES:
            raise _TooLargeError(f"the answer is larger than {_MOST_BODY_BYTES} bytes")
        if not self._chunks:
            self._is_object = chunk[:64].lstrip().startswith(b"{")
        self._chunks.append(chunk)
        is_long = len(chunk) >= _LONGEST_BLANK_LINE
        self._last = chunk if is_long else self._last[-_LONGEST_BLANK_LINE:] + chunk

    def is_over(self) -> bool:
        """Whether what came ends in whole events, the stream's end event among the new ones."""
        if self._is_object or not self._last.endswith(_BLANK_LINES):
            return False
        events = b"".join(self._chunks[self._unseen :])
        self._unseen = len(self._chunks)
        return self._is_over(events)

    def is_whole_without_end(self) -> bool:
        """Whether nothing of an answer can be missing, although the body's end is."""
        body = self.joined()
        if not body.lstrip().startswith(b"{"):  # blank lines may have kept the connection alive
            return self._is_over(body + b"\n\n")  # the last blank line may be missing as well
        try:
            orjson.loads(body)  # no beginning of an object is one
        except orjson.JSONDecodeError:
            return False
        return True

    def joined(self) -> bytes:
        """What has come so far."""
        return b"".join(self._chunks)


class Partings:
    """Connections whose answer is whole, until HTTP says so too."""

    def __init__(self) -> None:
        self._open: dict[Held, asyncio.TimerHandle] = {}

    def part(self, content: aiohttp.StreamReader, held: Held) -> None:
        """Give a connection back as soon as its answer has come to its formal end.

        Without that end it is closed, at once when the connection broke and soon otherwise: what
        comes late must not be taken for the next answer.
        """
        if content.is_eof():
            held.release()
        elif content.exception() is not None:
            held.close()
        else:
            loop = asyncio.get_running_loop()
            self._open[held] = loop.call_later(_FORMAL_END_S, self._close, held)
            content.on_eof(lambda: self._release(held))

    def close(self) -> None:
        """Wait for no end any longer."""
        for held in list(self._open):
            self._close(held)

    def _release(self, held: Held) -> None:
        timer = self._open.pop(held, None)
        if timer is not None:
            timer.cancel()
            held.release()

    def _close(self, held: Held) -> None:
        self._open.pop(held).cancel()
        held.close()

"""A run borrows the process's signals and gives them back."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from batcher.engines.local import drive, run_to_end
from batcher.errors import Exit
from batcher.pipeline.run import Run


class Work:
    """A run that signals itself and notes what it is told."""

    def __init__(self, number: signal.Signals) -> None:
        self.exit_code: Exit | None = None
        self.heard: list[str] = []
        self._number = number

    async def go(self) -> None:
        self._told = asyncio.Event()
        os.kill(os.getpid(), self._number)
        await self._told.wait()

    def drain(self, reason: str, code: Exit) -> None:
        self.exit_code = code
        self._hear(reason)

    def read_keys_again(self) -> None:
        self._hear("read the keys again")

    def _hear(self, what: str) -> None:
        self.heard.append(what)
        self._told.set()


@contextmanager
def handled(number: signal.Signals, handler: Any) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_signals_mean_afterwards_what_they_meant_before(number: signal.Signals) -> None:
    told: list[int] = []
    work = Work(number)

    def own(told_of: int, _: object) -> None:
        told.append(told_of)

    with handled(number, own):
        run_to_end(lambda: drive(cast("Run", work)))
        during = list(told)

        assert work.heard in (["read the keys again"], ["stopped by SIGTERM"])
        assert signal.getsignal(number) is own
        os.kill(os.getpid(), number)
        assert (during, told) == ([], [number])

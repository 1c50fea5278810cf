"""The terminal, or whatever stands in its place; its end is not the run's."""

import sys
from contextlib import suppress
from typing import IO, Any, cast

from rich.console import Console

from batcher.records import Summary
from batcher.watch.summary import print_summary
from batcher.watch.tally import Tally


class Screen(Console):
    """Writes to standard error; what cannot be written is not said.

    A nightly run must outlive the terminal or the pipe it was started from, and a full disk
    under its `2> log`.
    """

    def __init__(self, *, show: bool) -> None:
        file = cast("IO[str]", _Lenient())
        super().__init__(file=file, quiet=not show, highlight=False, markup=False, emoji=False)

    def finish(self, summary: Summary, tally: Tally) -> None:
        """Show the closing table.

        All it takes is loaded with this module: at the end there may be no file descriptor left
        to load it with.
        """
        print_summary(summary, tally, console=self)


class _Lenient:
    """Standard error as it is at the moment, but for what fails."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            return sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

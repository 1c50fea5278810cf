"""What is said on standard error, whose end is not the run's."""

import asyncio
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

from batcher.records import Summary
from batcher.watch.progress import Glance, Progress
from batcher.watch.summary import Line, closing_table, closing_words
from batcher.watch.tally import Tally

_HEARTBEAT_S = 15.0


class Screen:
    """Plain lines, for a pipe or a file; what cannot be written is not said.

    A nightly run must outlive the terminal or the pipe it was started from, and a full disk
    under its `2> log`.
    """

    def say(self, text: str) -> None:
        """Print it as it is: a directory may be called anything."""
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    async def show(self, progress: Progress, look: Callable[[], Glance]) -> None:
        """Keep showing how far it has come; cancel to end."""
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            self.say(progress.line(look()))

    def finish(self, summary: Summary, tally: Tally) -> None:
        """Show the closing table.

        All it takes is loaded with this module: at the end there may be no file descriptor left
        to load it with.
        """
        rows, work = closing_table(summary, tally)
        widths = [max(len(line[at]) for line in rows + work) for at in (0, 1)]
        where, why = closing_words(summary)
        for text in ("", *_aligned(rows, widths), "", *_aligned(work, widths), "", where):
            self.say(text)
        if why:
            self.say(why)


def _aligned(lines: Iterable[Line], widths: list[int]) -> list[str]:
    label, count = widths
    return [f" {a:<{label}}   {b:>{count}}   {c}".rstrip() for a, b, c in lines]

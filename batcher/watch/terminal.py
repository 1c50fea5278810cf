"""A run on a terminal: a bar while it works, and a table when it has ended."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, cast

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from batcher.records import Summary
from batcher.watch.progress import Glance, Progress
from batcher.watch.screen import Screen
from batcher.watch.summary import closing_table, closing_words, was_interrupted
from batcher.watch.tally import Tally

_FRAME_S = 0.25


class Terminal(Screen):
    """Standard error where a person looks at it.

    Args:
        console: Where to, for one that is not standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        file = cast("IO[str]", _Lenient())
        self._console = console or Console(file=file, highlight=False, markup=False, emoji=False)

    def say(self, text: str) -> None:
        """Print it above the bar."""
        self._console.print(text, highlight=False, markup=False, emoji=False)

    async def show(self, progress: Progress, look: Callable[[], Glance]) -> None:
        """Keep showing the bar; cancel to end."""
        bars = Bars(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            auto_refresh=False,
            transient=True,
        )
        with bars:
            task = bars.add_task("rows", total=None, detail="")
            while True:
                glance = look()
                done, detail = progress.done(glance), progress.detail(glance)
                bars.update(task, total=glance.total, completed=done, detail=detail)
                bars.refresh()
                await asyncio.sleep(_FRAME_S)

    def finish(self, summary: Summary, tally: Tally) -> None:
        """Show the closing table and, when something is left to do, what."""
        table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
        table.add_column(style="bold")
        table.add_column(justify="right")
        table.add_column(style="dim")
        for section in closing_table(summary, tally):
            for line in section:
                table.add_row(*line)
            table.add_section()
        where, why = closing_words(summary)
        words = Text(where)
        if why:
            words.append(f"\n{why}", style="yellow" if was_interrupted(summary) else "bold red")
        self._console.print(table)
        self._console.print(words, highlight=False)


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

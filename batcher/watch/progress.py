"""What a person sees while a run works: a bar on a terminal, a line now and then elsewhere."""

import asyncio
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from batcher import clock
from batcher.records import FailureKind, Status, record
from batcher.watch.tally import Tally

_FRAME_S = 0.25
_HEARTBEAT_S = 15.0
_RATE_MEMORY_S = 60.0


@record
class Glance:
    """What the run looks like from outside, right now.

    Attributes:
        total: Rows of the whole input, or None while unknown.
        settled_before: Rows that had their record when this run began.
    """

    in_flight: int
    requests: int
    total: int | None
    settled_before: int


class ProgressView:
    """Shows a tally until cancelled.

    Args:
        look: Gives the present glance.
        console: Where to; a terminal gets a bar, anything else a line every 15 s.
    """

    def __init__(self, tally: Tally, *, look: Callable[[], Glance], console: Console) -> None:
        self._tally = tally
        self._look = look
        self._console = console
        self._seen: list[tuple[float, int]] = []

    async def show(self) -> None:
        """Keep showing; cancel to end."""
        if self._console.is_terminal:
            await self._show_bar()
        else:
            await self._beat()

    async def _show_bar(self) -> None:
        progress = Progress(
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
        with progress:
            task = progress.add_task("rows", total=None, detail="")
            while True:
                glance = self._look()
                progress.update(
                    task,
                    total=glance.total,
                    completed=glance.settled_before + self._tally.rows,
                    detail=self._detail(glance),
                )
                progress.refresh()
                await asyncio.sleep(_FRAME_S)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            glance = self._look()
            done = glance.settled_before + self._tally.rows
            of = f" of {glance.total:,}" if glance.total is not None else ""
            self._console.print(f"{done:,}{of} rows · {self._detail(glance)}", highlight=False)

    def _detail(self, glance: Glance) -> str:
        tally = self._tally
        not_ok = tally.rows - tally.statuses[Status.OK]
        parts = [f"{self._rate():.1f}/s", f"{glance.in_flight} in flight"]
        if not_ok:
            parts.append(f"{not_ok:,} not ok")
        if limited := tally.failures[FailureKind.RATE] + tally.failures[FailureKind.RAMP]:
            parts.append(f"{limited:,} x 429")
        if down := tally.failures[FailureKind.OVERLOADED]:
            parts.append(f"{down:,} x overloaded")
        if tally.standstill is not None and tally.standstill[0] > clock.now():
            parts.append(tally.standstill[1])
        return " · ".join(parts)

    def _rate(self) -> float:
        now, rows = clock.now(), self._tally.rows
        self._seen.append((now, rows))
        while len(self._seen) > 2 and now - self._seen[1][0] > _RATE_MEMORY_S:
            del self._seen[0]
        then, rows_then = self._seen[0]
        return (rows - rows_then) / (now - then) if now > then else 0.0

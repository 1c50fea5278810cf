"""How fast a run is, in the words a person reads."""

import asyncio

from batcher.records import Status
from batcher.watch.progress import Glance, Progress
from batcher.watch.tally import Tally
from tests.support.virtual_clock import VirtualClockLoop

GLANCE = Glance(in_flight=3, requests=100, total=None, settled_before=0)


async def rates(*rows: int, every_s: float) -> list[str]:
    """What is shown after each step, with so many rows done by then."""
    tally = Tally()
    progress, shown = Progress(tally), []
    for count in rows:
        await asyncio.sleep(every_s)
        tally.statuses[Status.OK] = count
        shown.append(progress.detail(GLANCE).split(" · ")[0])
    return shown


def run(*rows: int, every_s: float) -> list[str]:
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(rates(*rows, every_s=every_s))


def test_the_first_line_counts_from_the_start() -> None:
    assert run(150, every_s=15.0) == ["10.0/s"]


def test_it_is_the_rate_of_the_last_minute() -> None:
    assert run(150, 300, 450, 600, 600, 600, 600, 600, 600, every_s=15.0)[-1] == "0.0/s"

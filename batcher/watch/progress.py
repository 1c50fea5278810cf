"""How far a run has come, in the words a person reads while it works."""

from batcher import clock
from batcher.records import FailureKind, Status, record
from batcher.watch.tally import Tally

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


class Progress:
    """A tally of a run in words, made when that begins."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._seen = [(clock.now(), tally.rows)]

    def done(self, glance: Glance) -> int:
        """Rows that have their record."""
        return glance.settled_before + self._tally.rows

    def line(self, glance: Glance) -> str:
        """All of it in one line."""
        of = f" of {glance.total:,}" if glance.total is not None else ""
        return f"{self.done(glance):,}{of} rows · {self.detail(glance)}"

    def detail(self, glance: Glance) -> str:
        """How fast it is, and what holds it up."""
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
        while len(self._seen) > 1 and now - self._seen[1][0] > _RATE_MEMORY_S:
            del self._seen[0]
        then, rows_then = self._seen[0]
        return (rows - rows_then) / (now - then) if now > then else 0.0

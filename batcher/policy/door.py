"""A limit that lets nothing in for a while, as one of fixed or sliding windows does.

A bucket refills all the time: what comes back a moment after a refusal gets in. A window
that is used up stays shut until it is over, and then all of it is there. So refusals with
nothing let in between them tell of no rate: they are one closing, looked at now and then.
What was let in during the length of a window before it closed is what it holds.
"""

from collections import deque
from collections.abc import Sequence

from batcher.policy.marks import Mark
from batcher.policy.ticket import Ticket

_WINDOWS_S = (10.0, 60.0)  # limits are per minute, some by six parts of it
_SHORTEST_S = 2.0  # windows of a second are next to buckets
_ROUNDED = 1.02
_SOONEST_S = 0.1
_LOOK_SHARE = 0.5  # of the time it has been shut for until it is tried again
_LATEST_S = 60.0
_LATE_S = 0.1  # clocks differ
_UNLIKELY = 3.5  # attempts' worth of the estimate, of which none was let in
_WORTH = 20.0  # attempts a window holds; and as many missed are due to no bucket
_BRIEF = 5  # closings in a row that were soon over: a bucket after all
_SAMPLE_S = 0.25
_SAMPLES = 260  # a minute's

_Sample = tuple[float, Sequence[float]]  # when an attempt was sent, and what was let in before
_NOTHING = (0.0, 0.0, 0.0, 0.0)
_NEVER: _Sample = (0.0, ())


class Door:
    """What is known of the present closing.

    Attributes:
        window_s: How long its windows are; 0 while it has not been shut for long.
    """

    __slots__ = (
        "_brief",
        "_is_tried",
        "_last",
        "_mark",
        "_opened",
        "_rate",
        "_samples",
        "_tried",
        "window_s",
    )

    def __init__(self) -> None:
        self.window_s = 0.0
        self._mark: Mark | None = None  # the refusal that found it shut
        self._rate = 0.0  # the estimate then
        self._brief = 0
        self._is_tried = False
        self._tried: _Sample = (0.0, _NOTHING)  # the first attempt, or the first after it was shut
        self._opened: _Sample = self._tried  # with which the time began that closed it
        self._last = 0.0
        self._samples: deque[_Sample] = deque(maxlen=_SAMPLES)

    def sent(self, ticket: Ticket) -> None:
        """An attempt goes."""
        if not self._is_tried:
            self._is_tried, self._tried = True, (ticket.sent, ticket.total)
        if ticket.sent - self._last >= _SAMPLE_S:
            self._last = ticket.sent
            self._samples.append((ticket.sent, ticket.total))

    def closed(self, mark: Mark, unit: int, rate: float) -> None:
        """It was found shut, for the first time since something was let in.

        Args:
            mark: The refusal.
            unit: What it counts.
            rate: The estimate, in units a second.
        """
        last = self._mark
        passed = mark.total[unit] - (0.0 if last is None else last.total[unit])
        if last is not None and passed < 0.99 * mark.cost[unit]:
            return
        self._mark, self._rate = mark, rate
        self._opened = self._tried
        self._brief += 1
        if self._brief > _BRIEF:
            self.window_s = 0.0

    def is_still_shut(self, ticket: Ticket, unit: int) -> bool:
        """Whether a refused attempt shows that nothing was let in meanwhile."""
        mark = self._mark
        if mark is None:
            return False
        cost = ticket.cost[unit]
        if (ticket.sent - mark.sent) * self._rate < _UNLIKELY * cost:
            return False
        return ticket.total[unit] - mark.total[unit] < 0.99 * cost

    def try_later(self, now: float) -> float:
        """Seconds until it is tried again: at the latest when a usual window is over."""
        since = now if self._mark is None else self._mark.sent
        until = now + min(_LATEST_S, max(_SOONEST_S, _LOOK_SHARE * (now - since)))
        over = (self._opened[0] + window_s + _LATE_S for window_s in _WINDOWS_S)
        self._is_tried = False
        return next((at for at in over if now < at < until), until) - now

    def shut_until(self, until: float, unit: int) -> bool:
        """It lets nothing in until then; returns whether only a window does that."""
        mark = self._mark
        if mark is None or (until - mark.sent) * self._rate < _WORTH * mark.cost[unit]:
            return False
        shut_s = until - mark.sent
        if not self.window_s and shut_s < _SHORTEST_S:
            return False
        if shut_s > self.window_s * _ROUNDED:
            self.window_s = next((w for w in _WINDOWS_S if shut_s <= w * _ROUNDED), shut_s)
        self._brief = 0
        return True

    def measure(self, unit: int) -> float:
        """Units a second: what was let in during a window's length before it closed.

        Returns 0 and is no window any more where that is next to nothing.
        """
        mark = self._mark
        if mark is None or not self.window_s:
            return 0.0
        since = mark.sent - self.window_s
        known = (sample for sample in (*self._samples, self._opened) if sample[0] >= since)
        _, before = min(known, key=lambda sample: sample[0], default=_NEVER)
        held = mark.total[unit] - before[unit] if before else 0.0
        if held < _WORTH * mark.cost[unit]:
            self.window_s = 0.0
        return held / self.window_s if self.window_s else 0.0

"""A limit that lets nothing in for a while, as one of fixed or sliding windows does.

A bucket refills all the time: what comes back a moment after a refusal gets in. A window
that is used up stays shut until it is over, and then all of it is there. So refusals with
nothing let in between them tell of no rate: they are one closing, looked at now and then.
What was let in during the length of a window before it closed is what it holds. A server may
refuse all for a while for any other reason as well: where a rate is known, one closing says
nothing against it.
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
_ALIKE = 0.8  # of what is known already, at least and the other way round
_BRIEF = 5  # closings in a row that were soon over: a bucket after all
_SAMPLE_S = 0.25
_SAMPLES = 260  # a minute's

_Sample = tuple[float, Sequence[float]]  # when an attempt was sent, and what was let in before
_NOTHING = (0.0, 0.0, 0.0, 0.0)
_NEVER: _Sample = (0.0, ())
_NO_WINDOW = (0.0, 0.0)


class Door:
    """What is known of the present closing.

    Attributes:
        rate: The estimate before it was found shut.
        window_s: How long its windows are; 0 while no closing has told, or, where the rate was
            known before, no two that tell the same.
    """

    __slots__ = (
        "_before",
        "_brief",
        "_is_sure",
        "_is_tried",
        "_known_s",
        "_last",
        "_long",
        "_mark",
        "_opened",
        "_samples",
        "_total",
        "_tried",
        "rate",
        "window_s",
    )

    def __init__(self) -> None:
        self.rate = self.window_s = 0.0
        self._mark: Mark | None = None  # the refusal that found it shut ...
        self._total: Sequence[float] = _NOTHING  # ... and what was let in by then
        self._is_sure = False
        self._known_s = 0.0  # the length of windows before this closing
        self._brief = 0
        self._long: tuple[float, float] | None = None  # how long windows are and what they hold ...
        self._before: tuple[float, float] | None = None  # ... by the long closing before
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

    def closed(self, mark: Mark, unit: int, rate: float, *, is_sure: bool) -> None:
        """It was found shut, for the first time since something was let in.

        Args:
            mark: The refusal.
            unit: What it counts.
            rate: The estimate before, in units a second.
            is_sure: That was told, or proven by what a bucket let in.
        """
        last = self._mark
        passed = mark.total[unit] - (0.0 if last is None else self._total[unit])
        if last is not None and passed < 0.99 * mark.cost[unit]:
            return
        self._mark, self._total = mark, tuple(mark.total)
        self.rate, self._is_sure = rate, is_sure
        self._opened = self._tried
        if self._long is not None:
            self._before, self._long = self._long, None
        self._brief += 1
        if self._brief > _BRIEF:
            self.window_s, self._before = 0.0, None
        self._known_s = self.window_s

    def is_still_shut(self, ticket: Ticket, unit: int) -> bool:
        """Whether a refused attempt shows that nothing was let in meanwhile."""
        mark = self._mark
        if mark is None:
            return False
        cost = ticket.cost[unit]
        if (ticket.sent - mark.sent) * self.rate < _UNLIKELY * cost:
            return False
        return ticket.total[unit] - self._total[unit] < 0.99 * cost

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
        if mark is None or (until - mark.sent) * self.rate < _WORTH * mark.cost[unit]:
            return False
        shut_s = until - mark.sent
        if not self.window_s and shut_s < _SHORTEST_S:
            return False
        length_s, _ = self._long or self._before or _NO_WINDOW
        if shut_s > length_s * _ROUNDED:
            length_s = next((w for w in _WINDOWS_S if shut_s <= w * _ROUNDED), shut_s)
        self._brief = 0
        held = self._held(length_s, unit)
        self._long = length_s, held
        is_believable = length_s == self._known_s or self._is_believable(length_s, held)
        self.window_s = length_s if is_believable else self._known_s
        return True

    def _is_believable(self, length_s: float, held: float) -> bool:
        """Whether windows explain it: all may be refused for a while for any reason."""
        if not self._is_sure:
            return True
        return self._before is not None and (
            self._before[0] == length_s and _are_alike(held, self._before[1])
        )

    def _held(self, length_s: float, unit: int) -> float:
        """Units let in during so many seconds before it closed."""
        assert self._mark is not None  # noqa: S101 - it is shut
        since = self._mark.sent - length_s
        known = (sample for sample in (*self._samples, self._opened) if sample[0] >= since)
        _, before = min(known, key=lambda sample: sample[0], default=_NEVER)
        return self._total[unit] - before[unit] if before else 0.0

    def measure(self, unit: int) -> float:
        """Units a second: what was let in during a window's length before it closed.

        Returns 0 and is no window any more where that is next to nothing.
        """
        mark = self._mark
        if mark is None or not self.window_s:
            return 0.0
        held = self._held(self.window_s, unit)
        if held < _WORTH * mark.cost[unit]:
            self.window_s = 0.0
        return held / self.window_s if self.window_s else 0.0


def _are_alike(one: float, other: float) -> bool:
    least, most = sorted((one, other))
    return least >= _ALIKE * most

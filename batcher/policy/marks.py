"""What refusals say of a rate: the bounds on which the newest of them agree."""

import math
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from batcher.policy.ticket import INPUT, TOTAL, Ticket

_MOST = 10
_ENOUGH = 8.0  # attempts between two refusals for their rate to be taken as it is
_JITTER_S = 0.02  # attempts overtake one another on the way
_SIZE_ERROR = 0.15  # of an estimated prompt


class Mark:
    """A refusal: when it was sent, its size, what had been admitted by then and what was left.

    Args:
        ticket: The refused attempt.
        left: Units then left, where the server has said so.
        least: So much of its cost was surely there.
    """

    __slots__ = ("cost", "least", "left", "sent", "total")

    def __init__(self, ticket: Ticket, left: float | None, least: float) -> None:
        self.left = left
        self.least = least
        self.sent = ticket.sent
        self.total = list(ticket.total)
        self.cost = ticket.cost

    def level(self, unit: int) -> float:
        """Units then left, in the middle of what is possible."""
        return 0.5 * (1.0 + self.least) * self.cost[unit] if self.left is None else self.left

    def doubt(self, unit: int) -> float:
        """By how much that may be off."""
        return (0.5 * (1.0 - self.least) if self.left is None else _SIZE_ERROR) * self.cost[unit]


class Bounds(NamedTuple):
    """What the newest refusals say.

    Attributes:
        low: The rate is at least this.
        high: It is at most this.
        best: What was let in over the longest span on which they agree.
        window_s: That span.
        agreeing: So many of them agree, besides the newest.
        newest_s: Seconds between the newest two; infinite where there are no two.
    """

    low: float
    high: float
    best: float
    window_s: float
    agreeing: int
    newest_s: float


class Marks:
    """The latest refusals, oldest first."""

    __slots__ = ("_all",)

    def __init__(self) -> None:
        self._all: deque[Mark] = deque(maxlen=_MOST)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def first(self) -> Mark:
        """The oldest."""
        return self._all[0]

    @property
    def last(self) -> Mark:
        """The newest."""
        return self._all[-1]

    def newest_first(self) -> Iterator[Mark]:
        """All, from the newest back."""
        return reversed(self._all)

    def add(self, mark: Mark) -> None:
        """Another refusal."""
        self._all.append(mark)

    def clear(self) -> None:
        """Forget all."""
        self._all.clear()

    def keep(self, newest: int) -> None:
        """Forget all but so many."""
        while len(self._all) > newest:
            self._all.popleft()

    def correct(self, ticket: Ticket, more_input: float) -> None:
        """An attempt took more input than thought; output is given back only later."""
        for mark in self._all:
            if mark.sent > ticket.sent:
                mark.total[INPUT] += more_input
                mark.total[TOTAL] += more_input

    def add_let_in(self, unit: int, amount: float) -> None:
        """So much more was refilled since the newest, and is gone."""
        for mark in self._all:
            mark.total[unit] -= amount

    def take_out(self, ticket: Ticket) -> None:
        """An attempt turned out not to have been let in."""
        for mark in self._all:
            if mark.sent > ticket.sent:
                mark.total = [a - b for a, b in zip(mark.total, ticket.cost, strict=True)]

    def shift(self, unit: int, per_s: float, at: float) -> None:
        """Our part of the rate grows by that from `at` on: as if it had always been so."""
        for mark in self._all:
            mark.total[unit] -= per_s * max(0.0, at - mark.sent)

    def bounds(
        self, ticket: Ticket, refusal: Mark, *, unit: int, mean: float, was: float
    ) -> Bounds:
        """Intersect what every pair of refusals says, from the newest back, while they agree.

        Args:
            ticket: The attempt refused now.
            refusal: The same as a mark.
            unit: What is counted.
            mean: Mean amount of an attempt.
            was: The estimate so far.
        """
        low, high, best, window_s = 0.0, math.inf, was, 0.0
        agreeing = 0
        newest_s = math.inf
        for mark in reversed(self._all):
            lasted = ticket.sent - mark.sent
            if lasted <= 0.0:
                continue
            passed = ticket.total[unit] - mark.total[unit]
            passed += refusal.level(unit) - mark.level(unit)
            rate = max(0.0, passed) / lasted
            half = refusal.doubt(unit) + mark.doubt(unit)
            slack = (half + _JITTER_S * was) / lasted
            if rate - slack > high or rate + slack < low:
                break
            low, high = max(low, rate - slack), min(high, rate + slack)
            if passed > _ENOUGH * mean:
                best = rate
            window_s = lasted
            newest_s = min(newest_s, lasted)
            agreeing += 1
        return Bounds(low, high, best, window_s, agreeing, newest_s)

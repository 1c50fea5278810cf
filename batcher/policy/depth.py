"""How many seconds of its rate a bucket of tokens holds, and what follows from that.

A shallow bucket that stands full for a while loses refill, and then what it let through
between two refusals says too little of its rate. Knowing its depth, replaying what was sent
tells how much ran over, and what the rate must be at least.
"""

from collections import deque
from typing import Protocol

from batcher.policy.ticket import Ticket

_LONGEST_TRAIL = 1000  # attempts
_AGREEING = 2  # refusals it takes to trust the first rate
SHALLOW_S = 5.0


class Level(Protocol):
    """A refusal: when it was sent, and the amount it was refused for."""

    sent: float

    def level(self, unit: int) -> float:
        """Units then left."""
        ...


class Depth:
    """Remembers what was sent of late, and at the start, when the bucket was full.

    Attributes:
        seconds: Of the rate, as the start has shown; 0.0 while it has not.
    """

    __slots__ = ("_agreeing", "_start", "_trail", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self._trail: deque[Ticket] = deque(maxlen=_LONGEST_TRAIL)
        self._start: list[Ticket] = []  # attempts up to the first refusal, while they tell
        self._agreeing = 0

    def sent(self, ticket: Ticket) -> None:
        """An attempt goes now."""
        self._trail.append(ticket)

    def first_refused(self, ticket: Ticket) -> None:
        """The start is over."""
        self._start = [sent for sent in self._trail if sent.sent <= ticket.sent]

    def forget(self) -> None:
        """The unit is another."""
        self.seconds = 0.0
        self._agreeing = 0

    def learn(self, agreeing: int, rate: float, unit: int) -> None:
        """Take the rate on which so many refusals agree; the first such tells of the start."""
        if not self._start:
            return
        if agreeing < self._agreeing:
            self._start.clear()  # the quota has changed since
        elif agreeing >= _AGREEING:
            self._agreeing = agreeing
            end = self._start[-1]
            passed = longest = 0.0
            for sent in reversed(self._start):
                if not sent.is_refused:
                    passed += sent.cost[unit] / rate
                    longest = max(longest, passed - end.sent + sent.sent)
            self.seconds = longest + 0.5 * end.cost[unit] / rate

    def least(self, ticket: Ticket, since: float, unit: int) -> float:
        """The rate it takes to let through what was sent since, even out of a full bucket."""
        most, passed = 0.0, 0.5 * ticket.cost[unit]
        for sent in reversed(self._trail):
            if sent.sent <= since:
                break  # earlier, the quota may have been another
            if sent.is_refused or sent.sent >= ticket.sent:
                continue
            passed += sent.cost[unit]
            most = max(most, passed / (ticket.sent - sent.sent + self.seconds))
        return most

    def ran_over_s(self, refusal: Level, until: Ticket, *, rate: float, unit: int) -> float:
        """Seconds of refill a full bucket could not take between two refusals."""
        full, lost, at = self.seconds * rate, 0.0, refusal.sent
        level = refusal.level(unit)
        for sent in self._trail:
            if sent.sent <= refusal.sent or sent.sent > until.sent or sent.is_refused:
                continue
            level += rate * (sent.sent - at)
            at = sent.sent
            if level > full:
                lost += level - full
                level = full
            level = max(0.0, level - sent.cost[unit])
        return lost / rate

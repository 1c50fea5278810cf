"""How many seconds of its rate a bucket holds, and what was sent of late.

The start, when the bucket was full, tells its depth. The trail of attempts is what a replay
(replay.py) judges a rate by.
"""

from collections import deque

from batcher.policy.ticket import Ticket

_LONGEST_TRAIL = 1000  # attempts
_LONGEST_START = 250
_AGREEING = 2  # refusals it takes to trust the first rate
SHALLOW_S = 5.0


class Depth:
    """Remembers what was sent of late, and at the start, when the bucket was full.

    Attributes:
        seconds: Of the rate, as the start has shown; 0.0 while it has not.
        is_over: The start tells nothing more.
    """

    __slots__ = ("_agreeing", "_start", "_trail", "is_over", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.is_over = False
        self._trail: deque[Ticket] = deque(maxlen=_LONGEST_TRAIL)
        self._start: list[Ticket] = []  # attempts up to the first refusal, while they tell
        self._agreeing = 0

    def sent(self, ticket: Ticket) -> None:
        """An attempt goes now."""
        self._trail.append(ticket)

    def gap_s(self, ticket: Ticket) -> float:
        """Seconds since the last attempt before this one that was let in."""
        for sent in reversed(self._trail):
            if sent.sent < ticket.sent and not sent.is_refused:
                return ticket.sent - sent.sent
        return 0.0

    def start(self, ticket: Ticket) -> list[Ticket]:
        """Everything up to this attempt, oldest first; empty when that is long past."""
        if self.is_over or len(self._trail) > _LONGEST_START:
            return []
        return [sent for sent in self._trail if sent.sent <= ticket.sent]

    def between(self, since: float, ticket: Ticket) -> list[Ticket]:
        """What was sent from then on up to this attempt, oldest first."""
        found = []
        for sent in reversed(self._trail):
            if sent.sent < since:
                break
            if sent.sent <= ticket.sent:
                found.append(sent)
        found.reverse()
        return found

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

"""How many seconds of its rate a bucket holds, and what was sent of late.

The start, when the bucket was full, tells its depth. The trail of attempts is what a replay
(replay.py) judges a rate by.
"""

from collections import deque
from itertools import islice

from batcher.policy.marks import Marks
from batcher.policy.replay import Fit, fit, fit_both, fit_start, refine
from batcher.policy.ticket import Ticket

_LONGEST_TRAIL = 1000  # attempts
_LONGEST_START = 250
_AGREEING = 2  # refusals it takes to trust the first rate
SHALLOW_S = 5.0
_MISFIT = 0.3  # mean attempts that may contradict a rate before it is another quota's
_AMISS = 0.1  # from here on the depth may be another
_LONGEST_SOUNDING = 200  # attempts
_LONGEST_REPLAY = 400
_ROOMY = 4.0  # attempts a bucket holds whose replay tells anything


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
        """What was sent first, oldest first, up to this attempt or a refusal before it.

        Empty when that is long past.
        """
        if self.is_over or len(self._trail) == _LONGEST_TRAIL:
            return []
        found = [sent for sent in islice(self._trail, _LONGEST_START) if sent.sent <= ticket.sent]
        while found and not found[-1].is_refused:
            found.pop()
        return found

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

    # -- replaying

    def explain(
        self, ticket: Ticket, marks: Marks, around: float, unit: int, mean: float
    ) -> Fit | None:
        """The rate that explains what was let in and refused; None when that tells nothing.

        Forgets the marks it does not explain.

        Args:
            ticket: The attempt refused now.
            marks: Refusals before it, at least one.
            around: The rate believed in.
            unit: What is counted.
            mean: Mean amount of an attempt.
        """
        start = self.start(ticket)
        if start:
            both = fit_start(start, unit)
            is_whole = start[-1] is ticket
            is_believed = both is not None and self._believe(both, mean)
            self.is_over = not is_whole or (both is not None and not is_believed)
            if both is None:
                return None
            if is_believed and is_whole:
                return both[0]
        elif self.is_over and not self.seconds:
            self._sound(ticket, marks, around, unit, mean)
        if not 0.0 < self.seconds < SHALLOW_S or self.seconds * around < 0.5 * _ROOMY * mean:
            return None
        return self._replay(ticket, marks, around, unit)

    def _believe(self, both: tuple[Fit, float], mean: float) -> bool:
        found, seconds = both
        is_good = found.misfit <= _MISFIT and seconds < SHALLOW_S
        if is_good and seconds * found.rate >= _ROOMY * mean:
            self.seconds = seconds
            return True
        return False

    def _sound(self, ticket: Ticket, marks: Marks, around: float, unit: int, mean: float) -> None:
        """Look for the depth in what was sent since the oldest refusal that is remembered."""
        trail = self.between(marks.first.sent, ticket)[-_LONGEST_SOUNDING:]
        while trail and not trail[0].is_refused:
            del trail[0]
        both = fit_both(trail, around, unit) if len(trail) > _ROOMY else None
        if both is not None:
            self._believe(both, mean)

    def _replay(self, ticket: Ticket, marks: Marks, around: float, unit: int) -> Fit | None:
        """Replay back to the oldest refusal that still fits."""
        found: Fit | None = None
        used: list[Ticket] = []
        keep = 0
        trails = self._trails(ticket, marks)
        for trail in trails:
            near = around if found is None else found.rate
            longer = fit(trail, near, self.seconds, unit, is_sure=keep > 0)
            if keep and longer.misfit > _MISFIT:
                break
            found, keep, used = longer, keep + 1, trail
        if found is None:
            return None
        if keep < len(trails):
            # What little has passed since an odd refusal may mislead: has anything changed?
            same, seconds = fit(trails[-1], around, self.seconds, unit, is_sure=True), self.seconds
            if same.misfit > _MISFIT:
                same, seconds = refine(trails[-1], same, seconds, unit)
            if same.misfit <= _MISFIT:
                found, keep, used = same, len(trails), trails[-1]
                self.seconds = seconds
        marks.keep(keep)
        if found.misfit > _AMISS:
            found, self.seconds = refine(used, found, self.seconds, unit)
        return found

    def _trails(self, ticket: Ticket, marks: Marks) -> list[list[Ticket]]:
        """What was sent since each refusal, the newest first."""
        found = []
        for mark in marks.newest_first():
            trail = self.between(mark.sent, ticket)
            if len(trail) > _LONGEST_REPLAY:
                break
            found.append(trail)
        return found

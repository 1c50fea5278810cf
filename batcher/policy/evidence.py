"""What was let in and what was refused, and the rate that tells of.

A bucket that refuses an attempt of size c holds between 0 and c. So between two refusals it
let through exactly what it was refilled with: amount over time is its rate, to within one
attempt. Every pair of refusals bounds the rate; the bounds are intersected from the newest
pair backwards, and where they contradict, the quota has changed and older refusals are
forgotten.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from batcher.policy.depth import SHALLOW_S, Depth
from batcher.policy.marks import Mark, Marks
from batcher.policy.overflow import Overflow
from batcher.policy.replay import Fit
from batcher.policy.ticket import INPUT, REQUESTS, Ticket
from batcher.policy.unit import Unit

_JITTER_S = 0.02  # attempts overtake one another on the way
_NEXT_TO_NOTHING = 1e-6  # a row without text takes no input tokens
_LEAST_DEPTH = 2.0  # attempts
_LEAST_KEPT = 0.5  # of the rate, after one refusal: a competitor comes in lumps
_LEAP = 1.6  # a probe that got this far has found a greater quota ...
_LEAP_SHARE = 0.6  # ... if it used so much of what the bucket holds
_BELOW = 0.97  # of half-way between what was let in and what was tried ...
_MOST_LEAP = 1.5  # ... or no more than this of it
_TRIAL = 30.0  # attempts a trial is held for
_STEADILY_S = 2.5
_ECHO_S = 0.2  # after a refusal another one says little, once
_TINY = 2.0
_TINY_DEPTH = 1.5  # attempts; a limit that fell may leave no more of a second's bucket
_PLAUSIBLE_S = 0.3  # a bucket that seems to hold less was not full at the start
_EARLY_S = 3.0  # later the start no longer tells bursts from rate
_TINY_BELOW = 0.96
_MINUTE_S = 60.0  # most limits are of a minute, and their buckets hold it
_WORTH_A_GUESS = 5.0  # attempts let in at first
_FIRST_SHARE = 0.5  # of what was sent of late ...
_DEEP = 0.4  # ... or towards what a bucket of a minute would refill at, on a scale of powers ...
_MANY = 300.0  # ... if so many were let in at first: few limits of a minute are less
_FIRST_PER_S = 0.5  # requests a second, when the very first are refused
_EXPLAINED = 4  # refusals that make the unit sure


class Found(NamedTuple):
    """What one more refusal says.

    Attributes:
        rate: The estimate, units a second.
        window_s: The seconds it rests upon.
        let_in: What was let in between refusals, units a second; None where that says nothing.
        is_tiny: The bucket holds a single attempt, and the rate is where to search by spacing.
    """

    rate: float
    window_s: float
    let_in: float | None = None
    is_tiny: bool = False


class Belief(NamedTuple):
    """What is believed when an attempt is refused.

    Attributes:
        unit: What is counted, as an index of DIMENSIONS.
        mean: Mean amount of an attempt.
        rate: The estimate, units a second.
        ceiling: No rate is greater.
        pace: What was being sent, by the estimate that it is told.
        is_shared: Others use the quota, known ones or strangers.
        has_rivals: Strangers do.
    """

    unit: int
    mean: float
    rate: float
    ceiling: float
    pace: Callable[[float], float]
    is_shared: bool
    has_rivals: bool


class Evidence:
    """Remembers refusals, and how the start and the probes went, and tells the rate from them.

    Attributes:
        marks: The latest refusals.
        depth: What the bucket holds, and what was sent of late.
        units: What the limit counts.
        agreeing: So many refusals tell of one rate, back from the newest.
        is_proven: Enough was let in between two refusals to trust the rate.
        is_shallow: The bucket is known to hold no more than a few attempts.
        fit: The replay that gave the rate, if one did.
    """

    __slots__ = (
        "_began",
        "_first",
        "_overflow",
        "_probe",
        "_proven_burst",
        "_was_echo",
        "agreeing",
        "depth",
        "fit",
        "is_proven",
        "is_shallow",
        "marks",
        "units",
    )

    def __init__(self) -> None:
        self.marks = Marks()
        self.depth = Depth()
        self.units = Unit()
        self.agreeing = 0
        self.is_proven = False
        self.is_shallow = False
        self.fit: Fit | None = None
        self._began = math.inf
        self._first: tuple[float, Sequence[float]] = (0.0, (0.0, 0.0, 0.0, 0.0))
        self._probe: tuple[float, float] | None = None  # when the present one began, with total
        self._proven_burst = 0.0
        self._overflow = Overflow()
        self._was_echo = False  # the refusal before came right after another, and was let pass

    # -- what was sent

    def begin(self, now: float) -> None:
        """An attempt goes, and nothing has been refused yet."""
        self._began = min(self._began, now)

    def probe(self, unit: int, ticket: Ticket) -> None:
        """An attempt goes that exceeds the rate."""
        if self._probe is None:
            self._probe = (ticket.sent, ticket.total[unit])

    def probe_ended(self) -> None:
        """The next attempt that exceeds the rate begins another probe."""
        self._probe = None

    # -- what is no longer true

    def count_anew(self) -> None:
        """The unit is another: amounts of what was counted mean nothing any more."""
        self.depth.forget()
        self._proven_burst = 0.0
        self._overflow = Overflow()

    def forget_start(self) -> None:
        """The limit is another now, and so may be the bucket."""
        self.is_shallow = self.is_proven = False
        self._first = (math.inf, self._first[1])
        self._overflow = Overflow()
        self.marks.clear()

    # -- refusals

    def mark(
        self, ticket: Ticket, unit: int, rate: float, retry_after_s: float | None, *, is_alone: bool
    ) -> Mark:
        """What a refusal says of the level, counted in that unit.

        Args:
            ticket: The refused attempt.
            unit: What is counted, as far as known.
            rate: The estimate.
            retry_after_s: What the server asked for; exactly, it tells what was left.
            is_alone: Others on the quota are unlikely.
        """
        left, least, cost = None, 0.0, ticket.cost[unit]
        if retry_after_s is not None and retry_after_s != int(retry_after_s) and unit == INPUT:
            left = max(0.0, cost - rate * retry_after_s)
        if unit != REQUESTS and ticket.is_probe and is_alone:
            gap_s = max(0.0, self.depth.gap_s(ticket) - _JITTER_S)
            least = min(1.0, rate * gap_s / max(_NEXT_TO_NOTHING, cost))
        return Mark(ticket, left, least)

    def ran_over(self, ticket: Ticket, rate: float) -> None:
        """The first attempt after a pause: what a full bucket lost meanwhile counts as let in."""
        seconds = self.depth.seconds
        if not self.marks or seconds * rate < _LEAST_DEPTH:
            return  # not known, or a bucket that was empty when we came
        last = self.marks.last
        refilled = last.level(REQUESTS) + rate * (ticket.sent - last.sent)
        if refilled > seconds * rate:
            self.marks.add_let_in(REQUESTS, refilled - seconds * rate)

    def first_refused(self, ticket: Ticket) -> None:
        """The start is over."""
        self._first = (ticket.sent - self._began, list(ticket.total))

    def first_guess(self, ticket: Ticket, per_s: float) -> float:
        """Attempts a second at the first refusal: less where a minute's bucket may be used up."""
        self.depth.first_refused(ticket)
        total = ticket.total[REQUESTS]
        deep = total / (_MINUTE_S + ticket.sent - self._began)
        shallow = max(1e-9, _FIRST_SHARE * per_s)
        guess = shallow * math.pow(min(1.0, deep / shallow), _DEEP * min(1.0, total / _MANY))
        return max(guess, _FIRST_PER_S)

    def refused(self, ticket: Ticket, refusal: Mark, belief: Belief) -> Found:
        """Tell the rate from this refusal and earlier ones.

        Args:
            ticket: The attempt refused now.
            refusal: The same as a mark.
            belief: What was believed until now.
        """
        marks, unit, mean, was = self.marks, belief.unit, belief.mean, belief.rate
        if unit == INPUT and marks:
            fit = self.depth.explain(ticket, marks, was, INPUT, mean)
            if fit is not None:
                return self._take(fit, ticket.sent - marks.first.sent)
        is_deep = self.depth.seconds >= SHALLOW_S
        is_less = unit == INPUT and not is_deep and self._refuses_steadily(ticket)
        bounds = marks.bounds(ticket, refusal, unit=unit, mean=mean, was=was)
        low, high, best, window_s, keep, newest_s = bounds
        is_echo = newest_s < _ECHO_S and self.is_proven
        if is_echo and unit == REQUESTS and not self._was_echo:
            # A window that is used up stays shut for a moment, a lump of another client's passes.
            self._was_echo = True
            return Found(was, 0.0)
        self._was_echo = False
        self.agreeing = keep
        if best != was:
            self.depth.learn(keep, best, unit)
        if not keep:
            return Found(was, 0.0)
        let_in = best
        marks.keep(keep)
        # A competitor takes in lumps: what has proved itself is not given up at one refusal.
        least = _LEAST_KEPT * was if self.is_proven else 0.0
        if is_less and high < math.inf:
            best = 0.5 * (low + high)
        self.is_proven = self.is_proven or best != was
        if low <= 0.0 and not self.is_proven:
            best = high = self._guess(high, unit, mean)
        rate = max(min(high, max(low, best)), least)
        found = self._look_up(ticket, belief, best, rate)
        if found is None:
            return Found(rate, window_s, let_in)
        marks.clear()
        return found._replace(let_in=let_in)

    def burst(self, rate: float, unit: int) -> float:
        """Units the bucket can hold at least, if it refills at `rate`."""
        return max(self._proven_burst, self._start(rate, unit))

    # -- parts of it

    def _take(self, fit: Fit, window_s: float) -> Found:
        self.agreeing = len(self.marks)
        self.fit = fit
        self.units.is_proven = self.units.is_proven or self.agreeing >= _EXPLAINED
        self.is_proven = True
        return Found(fit.rate, window_s, fit.rate)

    def _guess(self, high: float, unit: int, mean: float) -> float:
        """A rate while next to nothing has passed: less than `high`, if it is a minute's limit."""
        total = self._first[1][unit]
        return high if total < _WORTH_A_GUESS * mean else math.sqrt(high * total / _MINUTE_S)

    def _look_up(self, ticket: Ticket, belief: Belief, best: float, rate: float) -> Found | None:
        """What to believe instead of an estimate where a full bucket has hidden some refill."""
        unit, was, pace = belief.unit, belief.rate, belief.pace(rate)
        surplus = self._surplus(best, unit)
        if ticket.is_probe and surplus > self._proven_burst:
            self._proven_burst = surplus
        tried = None
        is_tried = ticket.is_probe or self._overflow.is_trying
        if unit == REQUESTS and is_tried and not belief.is_shared:
            held = max(self._surplus(min(best, was), unit), self._start(best, unit))
            # A trial that was over before anything could be counted shows nothing.
            shown = 0.0 if self._overflow.is_trying and best == was else rate
            tried = self._overflow.refused(shown, pace, held)
        is_tiny = self.is_shallow or self._overflow.is_certain
        if not belief.is_shared and (is_tiny or self._is_tiny(unit, belief.mean, rate)):
            return _where_to_search(ticket, belief, rate, pace)
        if tried is not None:
            return Found(tried, _TRIAL / tried)
        has_leapt = pace > _LEAP * was and surplus > _LEAP_SHARE * self.burst(best, unit)
        if has_leapt and not belief.is_shared:
            # The truth is between what was let through and what we were sending.
            rate = max(rate, was)
            between = _BELOW * math.sqrt(rate * pace)
            return Found(max(rate, min(_MOST_LEAP * rate, between)), 0.0)
        return None

    def _refuses_steadily(self, ticket: Ticket) -> bool:
        """Whether refusals follow one another although nothing was tried: the rate is less."""
        marks = self.marks
        if ticket.is_probe or not marks or ticket.sent - marks.last.sent > _STEADILY_S:
            return False
        marks.keep(2)  # older ones are of another quota
        return True

    def _surplus(self, rate: float, unit: int) -> float:
        """Units the bucket held when the present probe began, if it refills at `rate`."""
        if self._probe is None or not self.marks:
            return 0.0
        mark, (sent, total) = self.marks.last, self._probe
        return rate * (sent - mark.sent) - (total - mark.total[unit])

    def _start(self, rate: float, unit: int) -> float:
        """Units the start got beyond the rate."""
        elapsed, total = self._first
        return total[unit] - rate * elapsed

    def _is_tiny(self, unit: int, mean: float, rate: float) -> bool:
        """Whether the bucket holds no more than an attempt or two, by its start or its depth."""
        seconds = self.depth.seconds
        if seconds >= _PLAUSIBLE_S and seconds * rate < _TINY_DEPTH * mean:
            return True
        return self._first[0] < _EARLY_S and self.burst(rate, unit) < _TINY * mean


def _where_to_search(ticket: Ticket, belief: Belief, rate: float, pace: float) -> Found:
    """The rate of a bucket of one or two: it refuses at its rate.

    It fills between any two attempts, so that little is let through at any other.
    """
    if belief.unit != REQUESTS:
        return Found(_TINY_BELOW * (pace if ticket.is_probe else belief.rate), math.inf)
    start = min(belief.rate, rate) if math.isinf(belief.ceiling) else belief.rate
    if ticket.is_probe:
        start = max(start, min(belief.ceiling, pace))
    return Found(start, math.inf, is_tiny=True)

"""Finds a limit nobody told us, from refusals alone.

A bucket that refuses an attempt of size c holds between 0 and c. So between two refusals
it let through exactly what it was refilled with: amount over time is its rate, to within
one attempt. Every pair of refusals bounds the rate; the bounds are intersected from the
newest pair backwards, and where they contradict, the quota has changed and older refusals
are forgotten.

Between refusals the rate is held a little below the estimate, then exceeded ever faster:
a refusal soon after says that nothing has changed, none says that there is more. The hold
is as long as the share of refusals allows.

What the limit counts (requests, input or output tokens) is guessed from the job's sizes
and learnt from the refused: a token limit refuses long prompts more often.
"""

import math
from collections.abc import Sequence

from batcher.policy.depth import SHALLOW_S, Depth
from batcher.policy.door import Door
from batcher.policy.hold import Hold
from batcher.policy.marks import Mark, Marks
from batcher.policy.overflow import Overflow
from batcher.policy.replay import Fit
from batcher.policy.rivals import Rivals
from batcher.policy.spacing import Spacing
from batcher.policy.ticket import INPUT, OUTPUT, REQUESTS, UNITS, Ticket
from batcher.policy.unit import Unit

_LEAN = 0.3  # of the way to an equal share, each second
_EVEN = 0.04
_BURST_S = 0.2  # what may be sent at once, in seconds of the rate
_JITTER_S = 0.02  # attempts overtake one another on the way
_PEAK = 2.5  # what was saved up is spent at this multiple of the rate: order survives the way
_DIP_S = 0.02  # a sender woken late may catch up by this much
_LEAST_KEPT = 0.5  # of the rate, after one refusal: a competitor comes in lumps
_SPARE = 2.0  # attempts' worth kept back after a refusal
_SPARE_OF_SIZES = 1.5  # one that is bigger than thought
_LEAST_SPARE = 0.5
_LEAST_DEPTH = 2.0  # attempts
_SPARE_SHARE = 0.1  # of what the bucket holds, where that is less
_LEAP = 1.6  # a probe that got this far has found a greater quota
_REGAIN = 1.2
_STEADILY_S = 2.5
_TINY = 2.0
_TINY_DEPTH = 1.5  # attempts; a limit that fell may leave no more of a second's bucket
_PLAUSIBLE_S = 0.3  # a bucket that seems to hold less was not full at the start
_EARLY_S = 3.0  # later the start no longer tells bursts from rate
_TINY_BELOW = 0.96
_NEXT_TO_NOTHING = 1e-6  # a row without text takes no input tokens
_MINUTE_S = 60.0  # most limits are of a minute, and their buckets hold it
_WORTH_A_GUESS = 5.0  # attempts let in at first
_CAUTION_S = 0.25  # between the first attempts after a guess: refusals come sooner
_LESS_CAUTION = 0.6
_FIRST_SHARE = 0.5  # of what was sent of late ...
_DEEP = 0.4  # ... or towards what a bucket of a minute would refill at, on a scale of powers ...
_MANY = 300.0  # ... if so many were let in at first: few limits of a minute are less
_FIRST_PER_S = 0.5  # requests a second, when the very first are refused
_SAVED_SHARE = 0.8  # of a known depth that a pause is taken to fill
_EXPLAINED = 4  # refusals that make the unit sure ...
_SLOWEST_S = 60.0  # an attempt a minute, at least


class Tracker:
    """Paces one unknown limit.

    Attributes:
        is_on: A refusal has shown that there is such a limit.
        is_shallow: Its bucket is known to hold no more than a few attempts.
        unit: What it counts, as an index of DIMENSIONS.
        began: When the first attempt was sent.
        rate: Its estimate, units a second.
        ceiling: The rate is known not to exceed this.
    """

    __slots__ = (
        "_agreeing",
        "_at",
        "_biggest",
        "_capacity",
        "_caution_s",
        "_depth",
        "_door",
        "_first",
        "_fit",
        "_hold",
        "_is_proven",
        "_level",
        "_marks",
        "_next_at",
        "_outgrown",
        "_overflow",
        "_pause_s",
        "_paused_until",
        "_probe",
        "_proven_burst",
        "_rivals",
        "_sent_at",
        "_shut_until",
        "_spacing",
        "_units",
        "began",
        "ceiling",
        "is_on",
        "is_shallow",
        "rate",
        "unit",
    )

    def __init__(self) -> None:
        self.is_on = False
        self.is_shallow = False
        self.unit = REQUESTS
        self.rate = 0.0
        self.ceiling = math.inf
        self._marks = Marks()
        self._level = 0.0
        self._proven_burst = 0.0
        self._capacity = math.inf  # what the bucket holds, as far as standing still has shown
        self._pause_s = 0.0
        self._next_at = -math.inf
        self._at = 0.0
        self._biggest = 1.0
        self._hold = Hold()
        self._paused_until = -math.inf
        self._shut_until = -math.inf
        self._sent_at = -math.inf
        self.began = math.inf
        self._first: tuple[float, list[float]] = (0.0, [0.0, 0.0, 0.0, 0.0])
        self._depth = Depth()
        self._door = Door()
        self._units = Unit()
        self._rivals = Rivals()
        self._overflow = Overflow()
        self._fit: Fit | None = None
        self._caution_s = 0.0
        self._spacing: Spacing | None = None  # of a bucket that holds a single attempt
        self._outgrown = 0  # how often that was left because more was let in
        self._probe: tuple[float, float] | None = None  # when the present probe began, with total
        self._agreeing = 0  # refusals back from the newest that tell of one rate
        self._is_proven = False  # enough was admitted between two refusals to trust the rate

    # -- asking

    @property
    def is_spaced(self) -> bool:
        """Whether the time between attempts is all that paces them, no level of a bucket."""
        return self._spacing is not None

    def pace(self, now: float) -> float:
        """Units a second to send at `now`."""
        rate = self.rate
        if self._spacing is not None:
            return min(self.ceiling, self._spacing.rate)
        if self._rivals.are_there:
            return min(self.ceiling, self._rivals.pace(rate, self._hold.since_s(now)))
        wanted = self._hold.pace(rate, self._door.window_s, now)
        ceiling = self.ceiling
        if self.unit >= OUTPUT:
            # What answers give back lets our level drift from the server's: keep probing.
            return min(wanted, _PEAK * ceiling)
        if rate >= ceiling * 0.999:
            return ceiling
        return wanted if wanted < ceiling else ceiling

    def wait_s(self, cost: Sequence[float], now: float) -> float:
        """Seconds until an attempt of this cost may go."""
        units = self._whole(cost[self.unit])
        pace = self._fill(now, units)
        short = units - self._level
        wait = short / pace if short > 1e-9 * units else 0.0
        return max(wait, self._next_at - now)

    def _whole(self, units: float) -> float:
        """So many units, or a full bucket where its size is known and they are more."""
        if self.unit == REQUESTS or not self._depth.seconds:
            return units
        return min(units, self._depth.seconds * self.rate)

    def _fill(self, now: float, cost: float) -> float:
        pace = self.pace(now)
        at, level = self._at, self._level
        if now > at:
            if self._paused_until > at:  # refilled while standing still: not to be lost
                until = min(now, self._paused_until)
                kept_s = 0.0 if self._door.window_s else until - at  # a window saves nothing
                saved = level + self.rate * kept_s
                level = saved if self._is_proven else max(level, min(saved, cost))
                at = until
                level = min(level, self._capacity if self._spacing is None else cost)
                if self._fit is not None:
                    level = min(level, _SAVED_SHARE * self._depth.seconds * self.rate)
            burst = _BURST_S * self.rate if self._spacing is None else 0.0
            most = self._whole(max(self._biggest, cost, burst))
            if level < most:
                level = min(most, level + pace * (now - at))
            self._level = level
            self._at = now
        return pace

    # -- being told

    def sent(self, ticket: Ticket, mean: Sequence[float], now: float) -> None:
        """An attempt goes now."""
        cost = ticket.cost[self.unit]
        pace = self._fill(now, cost)
        self._level -= cost
        if self._spacing is not None:
            self._spacing.sent()
            if self._spacing.is_outgrown:
                self._leave_spacing(self._spacing.rate, now)
                self._outgrown += 1
        peak = max(pace, _PEAK * self.rate)
        self._next_at = max(self._next_at, now - _DIP_S) + min(cost, mean[self.unit]) / peak
        if self._caution_s > _DIP_S:
            self._next_at = max(self._next_at, now + self._caution_s)
            self._caution_s *= _LESS_CAUTION
        self._biggest = max(cost, self._biggest * 0.999)
        ticket.is_probe = self._hold.is_over(now)
        if not self._rivals.are_there:  # else the hold only tells how long the rate has grown
            self._hold.sent(self._door.window_s, now)
        if ticket.is_probe and self._probe is None:
            self._probe = (now, ticket.total[self.unit])
        self._depth.sent(ticket)
        self._door.sent(ticket)
        if self._paused_until > self._sent_at:
            self._run_over(ticket)
        was_idle = now > max(self._paused_until, self._shut_until) + 2.0
        if was_idle and now - self._sent_at > 2.0 + 4.0 * cost / self.rate:
            self._marks.clear()  # the bucket may have overflowed while we were idle
        self._sent_at = now

    def begin(self, ticket: Ticket, now: float) -> None:
        """An attempt goes now, and nothing has been refused yet."""
        self.began = min(self.began, now)
        self._depth.sent(ticket)
        self._door.sent(ticket)

    def settled(self, ticket: Ticket, actual: Sequence[float]) -> None:
        """An answer took less or more than was set aside."""
        unit = self.unit
        if unit != REQUESTS:
            self._level += ticket.cost[unit] - actual[unit]
            self._marks.correct(ticket, actual[INPUT] - ticket.cost[INPUT])

    def returned(self, ticket: Ticket) -> None:
        """An attempt turned out not to have been admitted."""
        self._marks.take_out(ticket)
        if not self._marks or ticket.sent >= self._marks.last.sent:
            self._level += ticket.cost[self.unit]

    def pin(self, unit: int, per_s: float) -> None:
        """The unit is known, and that its rate is at most this."""
        self.ceiling = per_s
        spacing = self._spacing
        if spacing is not None and (unit != self.unit or spacing.is_told_otherwise(per_s)):
            self._leave_spacing(per_s, self._at)
        is_new = unit != self.unit or not self._units.is_pinned
        if self.is_on and unit != self.unit:
            self._count(unit)
        if self.is_on and is_new:
            self.rate = per_s
            self._marks.clear()
        self.unit, self._units.is_pinned = unit, True
        self.rate = min(self.rate, per_s)

    def refused(
        self,
        ticket: Ticket,
        *,
        admitted: Sequence[float],
        mean: Sequence[float],
        per_s: float,
        retry_after_s: float | None,
        now: float,
    ) -> str | None:
        """Learn from a refusal nothing else explains; returns the change in words.

        Args:
            ticket: The refused attempt.
            admitted: Everything admitted up to now.
            mean: Mean amounts of an attempt, output as really used.
            per_s: Requests a second sent of late.
            retry_after_s: What the server asked for.
            now: Monotonic seconds.
        """
        if not self._hold.takes(ticket.sent, now):
            return None
        was = self.rate if self.is_on else math.inf
        if self._is_still_shut(ticket):
            self._look_later(retry_after_s, now)
            return self._said(was)
        least = 0.0
        if self.is_on and self.unit != REQUESTS and ticket.is_probe and self._rivals.are_unlikely:
            cost = max(_NEXT_TO_NOTHING, ticket.cost[self.unit])
            least = min(1.0, self.rate * max(0.0, self._depth.gap_s(ticket) - _JITTER_S) / cost)
        refusal = Mark(ticket, self._left(ticket, retry_after_s), least)
        self._fit = None
        self._units.refused(ticket.cost[INPUT] / max(1e-9, mean[INPUT]))
        self._choose_unit(mean)
        window_s = 0.0
        if not self.is_on:
            self.is_on = True
            self._at = now
            self.rate = self.ceiling
            if math.isinf(self.rate):
                self.rate = max(self._first_guess(ticket, per_s), _FIRST_PER_S) * mean[self.unit]
                self._depth.first_refused(ticket)
            self._first = (ticket.sent - self.began, list(ticket.total))
            self._biggest = ticket.cost[self.unit]
        else:
            if self._spacing is not None:
                self._spacing.refused()
                self.rate = self._spacing.rate
                self._restart(ticket, admitted, mean, math.inf, now)
                return self._said(was)
            self._size_up(ticket, mean[self.unit])
            pace = self.pace(ticket.sent)
            if not self._door.window_s:
                window_s = self._estimate(ticket, mean[self.unit], refusal)
                self._share(ticket, was, pace, mean[self.unit], now)
        self._close(refusal, retry_after_s, now)
        self._bound(ticket, retry_after_s)
        self._marks.add(refusal)
        self._restart(ticket, admitted, mean, window_s, now)
        return self._said(was)

    def _first_guess(self, ticket: Ticket, per_s: float) -> float:
        """Attempts a second at the first refusal: less where a minute's bucket may be used up."""
        total = ticket.total[REQUESTS]
        deep = total / (_MINUTE_S + ticket.sent - self.began)
        shallow = max(1e-9, _FIRST_SHARE * per_s)
        return shallow * math.pow(min(1.0, deep / shallow), _DEEP * min(1.0, total / _MANY))

    def _leave_spacing(self, rate: float, now: float) -> None:
        """Another limit was told, or found: go on from a rate as with any other bucket."""
        self._spacing, self.is_shallow = None, False
        self.rate = min(self.ceiling, rate)
        self._first = (math.inf, self._first[1])
        self._is_proven = False
        self._marks.clear()
        self._hold.restart(self.rate, self.rate, 0.0, now, alike=True, period_s=0.0)

    # -- windows

    def _close(self, refusal: Mark, retry_after_s: float | None, now: float) -> None:
        """The limit is used up; for how long, the server may say."""
        self._door.closed(refusal, self.unit, self.rate)
        if retry_after_s is not None and retry_after_s > 1.0:
            self._door.shut_until(now + retry_after_s, self.unit)
        self._fit_window()

    def _fit_window(self) -> None:
        rate = self._door.measure(self.unit)
        if rate > 0.0:
            self.rate = min(self.ceiling, rate)
            self._marks.clear()

    def _is_still_shut(self, ticket: Ticket) -> bool:
        """Whether nothing has been let in since the last refusal that was looked at."""
        if not self.is_on or self._spacing is not None or self._rivals.are_there:
            return False
        return self._door.is_still_shut(ticket, self.unit)

    def _look_later(self, retry_after_s: float | None, now: float) -> None:
        """It lets nothing in: try again in a while."""
        said_s = retry_after_s or 0.0
        if self._door.shut_until(now + said_s, self.unit):
            self._fit_window()
        wait_s = max(said_s, self._door.try_later(now))
        self._next_at = max(self._next_at, now + wait_s)
        self._shut_until = now + wait_s
        self._level, self._at = 0.0, now + wait_s
        self._caution_s = _CAUTION_S
        self._hold.resume(now + wait_s)
        self._probe = None

    def _said(self, was: float) -> str:
        kind = "cut" if self.rate < was * 0.999 else "found"
        window_s = self._door.window_s
        shut = f" in windows of {window_s:.3g} s" if window_s else ""
        return f"{kind}: 429 without headers, estimate {self.rate:.3g} {UNITS[self.unit]}/s{shut}"

    def _run_over(self, ticket: Ticket) -> None:
        """The first attempt after a pause: what a full bucket lost meanwhile counts as let in."""
        seconds = self._depth.seconds
        is_shared = self._rivals.are_known or self._rivals.are_there
        if self.unit != REQUESTS or not self._marks or self._door.window_s or is_shared:
            return
        if seconds * self.rate < _LEAST_DEPTH:
            return  # not known, or a bucket that was empty when we came
        last = self._marks.last
        refilled = last.level(REQUESTS) + self.rate * (ticket.sent - last.sent)
        lost = refilled - seconds * self.rate
        if lost > 0.0:
            self._marks.add_let_in(REQUESTS, lost)

    # -- estimating

    def _share(self, ticket: Ticket, was: float, pace: float, mean: float, now: float) -> None:
        """See whether others draw on the quota, and if so leave the estimates and share."""
        rivals = self._rivals
        if rivals.are_there:
            rate = rivals.agreed(self._agreeing, pace)
            self.rate = self.rate if rate is None else rate
            return
        rivals.refused(
            self.rate,
            was,
            now,
            per_s=self.rate / mean,
            is_probe=ticket.is_probe,
            of_sizes=self.unit == INPUT,
            is_sure=self._is_proven,
        )

    def _size_up(self, ticket: Ticket, mean: float) -> None:
        """A refusal while savings are being spent tells what the bucket can save."""
        since = ticket.sent - self._paused_until
        if not 0.0 <= since < self._pause_s or self._level < 2.0 * mean or len(self._marks) < 2:
            return
        saved = self.rate * self._pause_s
        held = min(saved, self._capacity) - self._level
        self._level = 0.0
        self._capacity = max(mean, held)

    def _left(self, ticket: Ticket, retry_after_s: float | None) -> float | None:
        """Units in the bucket at a refusal, when the server says exactly when to come back."""
        if retry_after_s is None or retry_after_s == int(retry_after_s):
            return None
        if not self.is_on or self.unit != INPUT:
            return None
        cost = ticket.cost[self.unit]
        return max(0.0, cost - self.rate * retry_after_s)

    def _estimate(self, ticket: Ticket, mean: float, refusal: Mark) -> float:
        """Set the rate from this and earlier refusals; returns the seconds it rests upon."""
        was = self.rate
        if self.unit == INPUT and self._marks:
            found = self._depth.explain(ticket, self._marks, was, INPUT, mean)
            if found is not None:
                self._take(found)
                return ticket.sent - self._marks.first.sent
        is_deep = self._depth.seconds >= SHALLOW_S
        is_less = self.unit == INPUT and not is_deep and self._refuses_steadily(ticket)
        bounds = self._marks.bounds(ticket, refusal, unit=self.unit, mean=mean, was=was)
        low, high, best, window_s, keep, newest = bounds
        self._agreeing = keep
        if newest is not None:
            self._units.passed(*newest)
        if best != was:
            self._depth.learn(keep, best, self.unit)
        if not keep:
            return 0.0
        self._rivals.proven(best)
        self._marks.keep(keep)
        # A competitor takes in lumps: what has proved itself is not given up at one refusal.
        least = _LEAST_KEPT * was if self._is_proven else 0.0
        if is_less and high < math.inf:
            best = 0.5 * (low + high)
        self._is_proven = self._is_proven or best != was
        if low <= 0.0 and not self._is_proven:
            best = high = self._guess(high, mean)
        self.rate = max(min(high, max(low, best)), least)
        window_s = self._look_up(ticket, mean, best, was, window_s)
        self.rate = max(self.rate, mean / _SLOWEST_S)
        if self.rate > was:
            self._capacity *= self.rate / was  # most servers hold so many seconds of the rate
        return window_s

    def _guess(self, high: float, mean: float) -> float:
        """A rate while next to nothing has passed: less than `high`, if it is a minute's limit."""
        total = self._first[1][self.unit]
        return high if total < _WORTH_A_GUESS * mean else math.sqrt(high * total / _MINUTE_S)

    def _take(self, found: Fit) -> None:
        self._agreeing = len(self._marks)
        self._fit = found
        self._units.is_proven = self._units.is_proven or self._agreeing >= _EXPLAINED
        self.rate = found.rate
        self._is_proven = True
        self._rivals.proven(found.rate)

    def _look_up(
        self, ticket: Ticket, mean: float, best: float, was: float, window_s: float
    ) -> float:
        """Raise the rate where a full bucket has hidden some of it; returns the seconds."""
        pace = self.pace(ticket.sent)
        surplus = self._surplus(best)
        if ticket.is_probe and surplus > self._proven_burst:
            self._proven_burst = surplus
        is_shared = self._rivals.are_known or self._rivals.are_there
        tried = None
        is_tried = ticket.is_probe or self._overflow.is_trying
        if self.unit == REQUESTS and is_tried and not is_shared:
            held = max(self._surplus(min(best, was)), self._start(best))
            tried = self._overflow.refused(self.rate, pace, held)
        is_tiny = self.is_shallow or self._overflow.is_certain or self._is_tiny(mean)
        if self.unit == REQUESTS and not is_shared and is_tiny:
            start = min(was, self.rate) if math.isinf(self.ceiling) else was
            start = max(start, min(self.ceiling, pace)) if ticket.is_probe else start
            self._spacing = Spacing(start, ceiling=self.ceiling, returns=self._outgrown)
            self._spacing.refused()
            self.rate = self._spacing.rate
            self._marks.clear()
            window_s = math.inf
        elif not is_shared and is_tiny:
            # A bucket of one or two fills between any two attempts, so that little is let
            # through at any rate but the right one; it refuses at its rate.
            self.rate = _TINY_BELOW * (pace if ticket.is_probe else was)
            self._marks.clear()
            window_s = math.inf
        elif tried is not None:
            self.rate = tried
            self._marks.clear()
            window_s = 0.0
        elif (
            pace > _LEAP * was and not self._rivals.are_there and surplus > 0.6 * self._burst(best)
        ):
            # Refill may have been lost while the bucket was full: the truth is between what
            # was let through and what we were sending.
            self.rate = max(self.rate, was)
            between = 0.97 * math.sqrt(self.rate * pace)
            self.rate = max(self.rate, min(1.5 * self.rate, between))
            self._marks.clear()
            window_s = 0.0
        return window_s

    def _refuses_steadily(self, ticket: Ticket) -> bool:
        """Whether refusals follow one another although nothing was tried: the rate is less."""
        marks = self._marks
        if ticket.is_probe or not marks or ticket.sent - marks.last.sent > _STEADILY_S:
            return False
        marks.keep(2)  # older ones are of another quota
        return True

    def _surplus(self, rate: float) -> float:
        """Units the bucket held when the present probe began, if it refills at `rate`."""
        if self._probe is None or not self._marks:
            return 0.0
        mark, (sent, total) = self._marks.last, self._probe
        return rate * (sent - mark.sent) - (total - mark.total[self.unit])

    def _burst(self, rate: float) -> float:
        """Units the bucket can hold at least: what the start got beyond the rate."""
        return max(self._proven_burst, self._start(rate))

    def _start(self, rate: float) -> float:
        """Units the start got beyond the rate."""
        elapsed, total = self._first
        return total[self.unit] - rate * elapsed

    def _is_tiny(self, mean: float) -> bool:
        """Whether the bucket holds no more than an attempt or two, by its start or its depth."""
        seconds = self._depth.seconds
        if seconds >= _PLAUSIBLE_S and seconds * self.rate < _TINY_DEPTH * mean:
            return True
        elapsed = self._first[0]
        return elapsed < _EARLY_S and self._burst(self.rate) < _TINY * mean

    def _bound(self, ticket: Ticket, retry_after_s: float | None) -> None:
        """A bucket that needs t seconds for an attempt of size c refills at most at c/t.

        Where an attempt bigger than the bucket has left it in debt, that comes on top.
        """
        self.rate = min(self.rate, self.ceiling)
        if retry_after_s is None or not math.isinf(self.ceiling) or self._door.window_s:
            return
        if self._fit is not None:
            return  # what was let in tells more
        cost = ticket.cost[self.unit]
        if self.unit != REQUESTS:
            cost += max(0.0, self._biggest - self._depth.seconds * self.rate)
        rounded = retry_after_s == int(retry_after_s)
        least = retry_after_s - 1.0 if rounded else retry_after_s
        if least > 0.0 and least < 60.0 and cost > 0.0:
            self.rate = min(self.rate, 1.05 * cost / least)

    def _restart(
        self,
        ticket: Ticket,
        admitted: Sequence[float],
        mean: Sequence[float],
        window_s: float,
        now: float,
    ) -> None:
        unit = self.unit
        per_s = self.rate / max(1e-9, mean[unit])
        period_s = self._door.window_s
        alike = unit == REQUESTS
        self._hold.restart(self.rate, per_s, window_s, now, alike=alike, period_s=period_s)
        self._probe = None
        is_sure = self._is_proven or self.unit or self._spacing is not None
        self._caution_s = 0.0 if is_sure else _CAUTION_S
        passed = admitted[unit] - ticket.total[unit]
        spare = min(_SPARE, max(_LEAST_SPARE, _SPARE_SHARE * self._burst(self.rate) / mean[unit]))
        if unit == INPUT and self._depth.seconds < SHALLOW_S:
            spare = max(spare, _SPARE_OF_SIZES)
        left = self.rate * (now - ticket.sent) - passed - spare * mean[unit]
        self._level = min(left, 0.0) if self._fit is None else left + self._fit.least
        self._at = now

    def lean(self, share: float) -> None:
        """Others on this quota are known, and our share of it is that many units a second.

        All who share move towards it at once, so that what they send together stays the same.
        """
        self._rivals.are_known = True
        own = self.rate
        if abs(share - own) <= _EVEN * share:
            return
        self._spacing = None
        self.rate = min(self.ceiling, own + _LEAN * (share - own))
        self._marks.shift(self.unit, self.rate - own, self._at)

    def alone(self) -> None:
        """Nobody else on this quota is known any more."""
        self._rivals.are_known = False

    def resume(self, now: float) -> None:
        """Sending goes on after a standstill the quota had no part in; hold the rate again."""
        self._hold.resume(now)
        self._probe = None
        self._marks.clear()  # the bucket has filled meanwhile

    def pause(self, until: float, now: float) -> None:
        """Nothing is sent until then; what is refilled meanwhile is not lost."""
        self._pause_s = until - now
        self._capacity *= _REGAIN  # may have been underestimated
        self._paused_until = max(self._paused_until, until)
        self._hold.resume(until + self._pause_s / (_PEAK - 1.0))

    def _choose_unit(self, mean: Sequence[float]) -> None:
        best = self._units.likeliest(self.unit, mean, is_first=not self.is_on)
        if best == self.unit:
            return
        self.rate *= mean[best] / max(1e-9, mean[self.unit])
        self._biggest = mean[best]
        self._spacing = None
        self._count(best)

    def _count(self, unit: int) -> None:
        """Count something else from now on; amounts of what was counted mean nothing any more."""
        self.unit = unit
        self._depth.forget()
        self._proven_burst = 0.0
        self._capacity = math.inf

"""What response headers tell of a quota: its limit, what is left, what its bucket holds.

They are late (they describe the moment the attempt was let in), rounded, and tell of other
clients' use as well as of ours. So the level is corrected by what they cannot mean, and no more.
"""

import math

from batcher.policy.bucket import LEAST_LIMIT, MINUTE_S, TokenBucket
from batcher.policy.lapse import LONGEST_S, Lapse
from batcher.policy.spill import Spill
from batcher.policy.ticket import OUTPUT, REQUESTS, Ticket
from batcher.records import Quota

_FOREIGN_GAIN_S = 8.0  # how long a surplus use must last to be believed in full
_FEW = 4.0  # attempts a bucket holds, of which headers in whole requests tell little
_ONE = 2.0  # requests: a bucket of one is told as one and a half
_COARSE = 4.0  # times what headers may be off by: of less they tell next to nothing
_TINY_S = 0.8  # of refill; what holds no more has no room for a margin
_LEAST_HELD = 0.1  # of a request, where a limit is less than one a minute


class ToldBucket(TokenBucket):
    """A bucket that is put right by headers.

    Attributes:
        credits_late: The server gives back what answers did not take before we hear of it.
    """

    __slots__ = (
        "_is_capped",
        "_is_told",
        "_one",
        "_refused_at",
        "_rounded_off",
        "_spill",
        "_told_at",
        "_tolerance",
        "credits_late",
    )

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.credits_late = index >= OUTPUT
        self._tolerance = 0.5 if index == REQUESTS else 500.0  # servers round tokens to 1,000
        self._rounded_off = 0.5 if index == REQUESTS else 0.0  # on average
        self._one = _ONE if index == REQUESTS else _COARSE * self._tolerance
        self._spill = Spill()
        self._is_capped = False
        self._is_told = False
        self._told_at = -math.inf
        self._refused_at = -math.inf

    def read(self, quota: Quota, ticket: Ticket, since: float, now: float) -> None:
        """Correct limit and level by a header.

        What a header says is rounded, so it allows a range of levels; one within is left alone.

        Args:
            quota: What the header said when `ticket` was let in or refused.
            ticket: The attempt whose response carried it.
            since: Units admitted after the ticket was sent.
            now: Monotonic seconds.
        """
        left = quota.remaining + self._rounded_off
        had = left + ticket.cost[self.index]
        age = now - ticket.sent
        self._company.heard(age)
        if not self._is_told:
            self._is_told = True
            self._unnamed()
        is_other = quota.limit != self.limit or not self.rate
        if is_other and not self._renew(quota, ticket, had, since, now):
            return
        resets = quota.resets_in_s
        if (had > self._seen and self._seen < self._most) or (
            resets is not None and had + self.rate * (resets + 1.0) < self.capacity
        ):
            self._resize(had, resets)
        if now > self._at:
            self.fill(now)
        if self.index == REQUESTS:
            self._company.saw(had / max(1.0, self._seen))
            self._follow(quota.remaining, ticket)
            if self.is_window:
                return
        seen = left + self.rate * age - since
        off = self.level - (seen if seen < self._full else self._full)
        if off > self._tolerance and self._ran_over(off, had, now):
            self._overflowed(off)
        elif off > self._tolerance:
            self._correct(off - self._tolerance, ticket, age, now)
        elif (
            off < -self._tolerance
            and not self._is_capped
            and (quota.remaining > 0.0 or self.index == REQUESTS)  # nought may be any debt
        ):
            self._correct(off + self._tolerance, ticket, age, now)

    def _unnamed(self) -> None:
        """The first header has come, which tells more than any text."""

    def _follow(self, left: float, ticket: Ticket) -> None:
        """See whether the limit is a short window's."""
        holds, lapse = max(_LEAST_HELD, self._seen - self._rounded_off), self._lapse
        if holds >= LONGEST_S * self.rate:
            self._lapse = None
            return
        if lapse is None:
            self._lapse = Lapse(holds, self.rate)
            return
        lapse.limit(holds, self.rate)
        if ticket.is_refused:
            lapse.returned(ticket.sent)
        lapse.read(left, ticket.sent)

    def _renew(self, quota: Quota, ticket: Ticket, had: float, since: float, now: float) -> bool:
        """Take another limit; returns whether there is a level to be corrected."""
        if ticket.sent < self._told_at or not LEAST_LIMIT <= quota.limit < math.inf:
            return False  # overtaken by the news that the limit is another, or no limit at all
        if not self.limit:
            self._seen = 0.0  # the settings tell what is allowed, not what the bucket holds
        self.limit = quota.limit
        rate = min(quota.limit / MINUTE_S, self._ceiling)
        self._is_capped = rate < quota.limit / MINUTE_S  # allows more than the settings do
        if rate == self.rate:
            self._seen = min(rate * MINUTE_S, max(self._seen, had))
            return True
        fresh = not self.rate
        self._told_at = ticket.sent
        seen = self._seen
        is_unsized = quota.resets_in_s is None or self._is_overflowing or self._is_tiny(seen)
        if rate < self.rate and (self.index == REQUESTS or is_unsized):
            seen *= rate / self.rate  # most servers hold so many seconds of the rate
        self._seen = min(rate * MINUTE_S, max(seen, had))
        capacity = self._capacity(had, quota.resets_in_s, rate)
        # The least it may be, until more headers tell how they round.
        level = had - ticket.cost[self.index] + rate * (now - ticket.sent) - since
        level = min(level, capacity) - self._tolerance
        self.learn(quota.limit, level=level, capacity=capacity, now=now)
        return not fresh

    def _resize(self, had: float, resets_in_s: float | None) -> None:
        self._seen = min(self._most, max(self._seen, had))
        capacity = self.capacity
        if self._is_overflowing and not (self._spill.is_proven or self._is_tiny(self._seen)):
            self._is_overflowing = False
            capacity = self._most
        capacity = min(capacity, self._capacity(had, resets_in_s, self.rate))
        capacity = max(1.0, self._seen, capacity)
        if capacity != self.capacity:
            self.capacity = capacity
            self._size_up()

    def _capacity(self, had: float, resets_in_s: float | None, rate: float) -> float:
        """What the bucket holds, out of what it had and the time to full.

        Some servers enforce a minute's limit as a bucket of a second: then `remaining`
        never exceeds a sixtieth of the limit, and time to full (rounded to a second) tells.
        """
        most = rate * MINUTE_S
        if resets_in_s is not None:
            most = min(most, had + rate * (resets_in_s + 1.0))
        return max(1.0, self._seen, most)

    @property
    def _top(self) -> float:
        """As much as was ever seen, as far as rounding lets us tell."""
        return self._seen if self.index == REQUESTS else self._seen - 2.0 * self._tolerance

    def _is_tiny(self, held: float) -> bool:
        """Whether a bucket that holds so much has no room for the usual margin."""
        return held < max(self._one, _TINY_S * self.rate)

    def _ran_over(self, off: float, had: float, now: float) -> bool:
        is_full = had >= self._top
        if self.index != REQUESTS and self._spill.missing(off / self.rate, now, is_full=is_full):
            return True
        return is_full and self._is_tiny(self._seen)

    def _overflowed(self, off: float) -> None:
        """There was less than we thought, and as much as ever: that may be all it holds.

        Where others keep a great bucket empty that looks the same, until more is seen of it.
        """
        self.level -= off
        self.capacity = max(1.0, self._seen)
        self._is_overflowing = True
        self._size_up()

    def _correct(self, off: float, ticket: Ticket, age: float, now: float) -> None:
        """The level is off by so much at least; others may have taken it."""
        if off < 0.0 and self.credits_late:
            off *= 0.2  # may be a credit for output whose answer is still on its way
        is_full = self.level > 0.5 * self.capacity > 0.5 * self._seen
        if off > 0.0 and is_full and self.index != REQUESTS:
            # Refill may have run over: it holds no more than was ever seen, or little more.
            self.capacity = max(self._seen, self.capacity - off)
            self._size_up()
        self.level -= off
        if now - self._known_at <= 5.0 or age >= 20.0:
            return
        gain = max(_FOREIGN_GAIN_S, 3.0 * age)
        if self.index != REQUESTS:  # estimates err by a share of each prompt
            off -= math.copysign(min(abs(off), self._tolerance + ticket.cost[self.index]), off)
        self._foreign = min(0.9 * self.rate, max(0.0, self._foreign + off / gain))
        is_scarce = self.level < 0.5 * self.capacity
        if self.index < OUTPUT and self._foreign > 0.2 * self.rate and is_scarce:
            self._company.noticed(now)

    def refused(self, ticket: Ticket, remaining: float, *, since: float, now: float) -> None:
        """A refusal that a header explains: there was less than the attempt takes.

        More is kept in reserve from then on, once for each cluster of refusals.
        """
        cost = ticket.cost[self.index]
        least = max(0.0, remaining - self._tolerance)
        if not self._company.is_strange(now):  # others come and go in lumps, which say nothing
            level = max(least, cost)
            if self.index != REQUESTS:
                level = 0.5 * (least + level)
            self.emptied(level + self.rate * (now - ticket.sent) - since, now)
        if ticket.sent > self._refused_at:
            self._refused_at = now
            self._care *= 1.25
            lapse = self._lapse
            if lapse is not None and lapse.is_window:
                lapse.refused(ticket.sent)
            if cost >= self.capacity and not self._is_overflowing:
                self.capacity = min(self._most, 1.25 * self.capacity)  # it was not full
            self._size_up()

    def is_shallow(self, cost: float) -> bool:
        """Whether the bucket cannot hold a reserve beside `cost`: only pacing helps then."""
        if self.index != REQUESTS or self.is_window:
            return False  # each takes another amount, or a window paces them
        is_never_full = cost + self._base_margin() > max(cost, self._seen)
        return is_never_full or self.is_rounded_away(cost)

    def is_rounded_away(self, cost: float) -> bool:
        """Whether headers in whole requests tell next to nothing of so small a bucket."""
        if self.index != REQUESTS or self.is_window:
            return False
        return self.capacity < _FEW * cost

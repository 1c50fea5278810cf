"""What is probably left of one quota whose limit is known.

The level is dead-reckoned: refilled by the clock, debited on sending, credited when an
answer took less than was set aside or was refused, and put right by response headers,
which are late (they describe the moment the attempt was let in) and rounded.

Source: token bucket; the vendors document a bucket of the per-minute limit with
continuous refill. Constants: twenty-three simulated quotas, see tests/scenarios.
"""

import math

from batcher.policy.ticket import OUTPUT, REQUESTS, Ticket
from batcher.records import Quota

MINUTE_S = 60.0
_MARGIN_S = 0.5  # seconds of refill kept in reserve against jitter on the way to the server ...
_MARGIN_SHARE = 0.08  # ... but not more than this share of a minute's limit
_MARGIN_OF_BURST = 0.1  # ... nor of what the bucket really holds
_FOREIGN_TAU_S = 15.0  # belief in other users of the quota fades
_FOREIGN_GAIN_S = 8.0  # how long a surplus use must last to be believed in full
_SHARE_S = 7.0  # contended: seconds of refill that are spread over, so that every client sees the
# same level and takes the same share
_CONTENDED_S = 20.0


class Dimension:
    """One known limit: requests, or input, output or all tokens a minute.

    Attributes:
        rate: Units a second; 0.0 while unknown.
        capacity: Units the bucket holds when full, as far as known.
        level: Units left, by our reckoning; negative when in debt.
        margin: Units kept in reserve.
        credits_late: The server gives back what answers did not take before we hear of it.
    """

    __slots__ = (
        "_at",
        "_ceiling",
        "_contended_until",
        "_foreign",
        "_known_at",
        "_next_at",
        "_refused_at",
        "_seen",
        "_told_at",
        "_tolerance",
        "capacity",
        "credits_late",
        "index",
        "level",
        "margin",
        "rate",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.credits_late = index >= OUTPUT
        self.rate = self.capacity = self.level = self.margin = 0.0
        self._tolerance = 0.5 if index == REQUESTS else 500.0  # servers round tokens to 1,000
        self._ceiling = float("inf")
        self._at = 0.0
        self._known_at = 0.0
        self._foreign = 0.0
        self._contended_until = float("-inf")
        self._next_at = float("-inf")
        self._seen = 0.0
        self._told_at = float("-inf")
        self._refused_at = float("-inf")

    def state(self, per_minute: float, *, burst_s: float) -> None:
        """Take a limit from the settings: never exceeded, whatever the server allows."""
        self._ceiling = per_minute / MINUTE_S
        self.rate = self._ceiling
        self.capacity = self.level = self._seen = self.rate * burst_s
        self._at = self._known_at = float("-inf")
        self._set_margin()

    def learn(self, per_minute: float, *, level: float, capacity: float, now: float) -> None:
        """Take a limit the server named, with the level it had at `now`."""
        self.fill(now)
        if not self.rate:
            self._known_at = now
            self.level = level
        if capacity < self.capacity or not self._seen:
            self._seen = min(self._seen or level, capacity)
        self.rate = min(per_minute / MINUTE_S, self._ceiling)
        self.capacity = capacity
        self.level = min(self.level, capacity)
        self._at = now
        self._set_margin()

    def fill(self, now: float) -> None:
        """Bring the level up to `now`."""
        elapsed = now - self._at
        if elapsed > 0.0:
            if elapsed == float("inf"):
                elapsed = 0.0
            foreign = self._foreign
            level = self.level + (self.rate - foreign) * elapsed
            self.level = level if level < self.capacity else self.capacity
            if foreign:
                self._foreign = foreign * max(0.0, 1.0 - elapsed / _FOREIGN_TAU_S)
            self._at = now

    def wait_s(self, cost: float, now: float) -> float:
        """Seconds until `cost` may be taken; what exceeds the bucket waits for a full one."""
        self.fill(now)
        # A reserve is kept only up to levels the bucket is known to reach.
        is_contended = now < self._contended_until
        margin = 0.0 if is_contended else self.margin
        need = min(cost + margin, max(cost, self._seen), self.capacity)
        short = need - self.level
        wait = 0.0
        if short > 1e-9 * need:
            wait = short / max(self.rate - self._foreign, 0.03 * self.rate)
        if self._next_at > now + wait and self.level < self.capacity:
            wait = self._next_at - now
        return wait

    def take(self, cost: float, now: float) -> None:
        """Set `cost` aside."""
        self.fill(now)
        if now < self._contended_until:
            # Pace by the level, which all clients of the quota see alike: fair by construction.
            pace = 2.0 * max(0.0, self.level - 0.3 * self._base_margin()) / self._share_s()
            pace = min(4.0 * self.rate, max(pace, 0.05 * self.rate))
            self._next_at = max(self._next_at, now - 0.2) + cost / pace
        self.level -= cost

    def give(self, amount: float, now: float) -> None:
        """Return what was set aside and not used; negative when more was used."""
        self.fill(now)
        self.level = min(self.capacity, self.level + amount)

    def read(self, quota: Quota, ticket: Ticket, *, since: float, now: float) -> None:
        """Correct limit and level by a header.

        Args:
            quota: What the header said when `ticket` was let in or refused.
            ticket: The attempt whose response carried it.
            since: Units admitted after the ticket was sent.
            now: Monotonic seconds.
        """
        if ticket.sent < self._told_at:
            return  # overtaken by the news that the limit is another
        age = now - ticket.sent
        rate = min(quota.limit / MINUTE_S, self._ceiling)
        left = max(0.0, quota.remaining) + (0.5 if self.index == REQUESTS else 0.0)
        capacity = self._capacity(quota, left + ticket.cost[self.index], rate)
        seen = min(capacity, left + rate * age - since)
        if rate != self.rate or capacity != self.capacity:
            fresh = not self.rate
            if rate != self.rate:
                self._told_at = ticket.sent
            self.learn(quota.limit, level=seen, capacity=capacity, now=now)
            if fresh:
                return
        self.fill(now)
        if quota.limit > self._ceiling * MINUTE_S:
            seen = min(seen, self.level)  # the server allows more than the settings do
        correction = self.level - seen
        if correction < 0.0 and self.credits_late:
            correction *= 0.2  # may be a credit for output whose answer is still on its way
        if abs(correction) <= self._tolerance:
            return
        self.level -= correction
        if now - self._known_at > 5.0 and age < 20.0:
            gain = max(_FOREIGN_GAIN_S, 3.0 * age)
            if self.index != REQUESTS:  # estimates err by a share of each prompt
                noise = min(abs(correction), self._tolerance + ticket.cost[self.index])
                correction -= math.copysign(noise, correction)
            self._foreign = min(0.9 * rate, max(0.0, self._foreign + correction / gain))
            if self.index < 2 and self._foreign > 0.2 * rate and self.level < 0.5 * capacity:
                self._contended_until = now + _CONTENDED_S

    def refused(self, ticket: Ticket, now: float) -> None:
        """A refusal that the level explains: keep more in reserve, once for each cluster."""
        if ticket.sent > self._refused_at:
            self._refused_at = now
            self.margin = min(_MARGIN_SHARE * self.rate * MINUTE_S, self.margin * 1.25)

    def is_shallow(self, cost: float) -> bool:
        """Whether the bucket cannot hold a reserve beside `cost`: only pacing helps then."""
        return cost + self._base_margin() > max(cost, self._seen) or self.capacity < 4.0 * cost

    def emptied(self, level: float, now: float) -> None:
        """A refusal shows that there was no more than `level`."""
        self.fill(now)
        self.level = min(self.level, level)

    def _share_s(self) -> float:
        return min(_SHARE_S, 0.5 * self.capacity / self.rate)

    def _set_margin(self) -> None:
        self.margin = self._base_margin()

    def _base_margin(self) -> float:
        most = min(_MARGIN_SHARE * self.rate * MINUTE_S, _MARGIN_OF_BURST * self.capacity)
        return min(_MARGIN_S * self.rate, most)

    def _capacity(self, quota: Quota, level: float, rate: float) -> float:
        """What the bucket holds, out of `remaining` and the time to full.

        Some servers enforce a minute's limit as a bucket of a second: then `remaining`
        never exceeds a sixtieth of the limit, and time to full (rounded to a second) tells.
        """
        limit = rate * MINUTE_S
        self._seen = min(limit, max(self._seen, level))
        if quota.resets_in_s is None:
            return limit
        most = level + rate * (quota.resets_in_s + 1.0)
        if self.capacity and rate == self.rate:
            most = min(most, self.capacity)
        return max(1.0, self._seen, min(limit, most))

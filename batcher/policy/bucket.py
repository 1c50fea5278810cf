"""What is probably left of one quota whose limit is known, and when to take from it.

The level is dead-reckoned: refilled by the clock, debited on sending, and credited when an
answer took less than was set aside or was refused. headers.py and dimension.py put it right.

Source: token bucket; the vendors document a bucket of the per-minute limit with
continuous refill. Constants: twenty-three simulated quotas, see tests/scenarios.
"""

import math

from batcher.policy.company import Company
from batcher.policy.lapse import Lapse

MINUTE_S = 60.0
LEAST_LIMIT = 0.1  # a minute; a server that names less is not to be believed
_MARGIN_S = 0.5  # seconds of refill kept in reserve against jitter on the way to the server ...
MARGIN_SHARE = 0.08  # ... but not more than this share of a minute's limit
_MARGIN_OF_BURST = 0.1  # ... nor of what the bucket really holds
_MARGIN_OF_SEEN = 0.3  # ... whatever refusals may have been others'
_JITTER_S = 0.03  # the least: kept even where the bucket has no room for it beside an attempt
_WINDOW_PEAK = 2.0  # times the rate at which what a window holds is spent
_WINDOW_DIP_S = 0.02  # a sender woken late may catch up by this much
_FOREIGN_TAU_S = 15.0  # belief in other users of the quota fades


class TokenBucket:
    """A bucket that is refilled all the time.

    Attributes:
        index: What it counts, as an index of DIMENSIONS.
        rate: Units a second; 0.0 while unknown.
        capacity: Units it holds when full, as far as known.
        level: Units left, by our reckoning; negative when in debt.
        margin: Units kept in reserve.
        limit: Units a minute, as the server said; 0.0 while it has not.
    """

    __slots__ = (
        "_at",
        "_care",
        "_ceiling",
        "_company",
        "_foreign",
        "_full",
        "_is_overflowing",
        "_known_at",
        "_lapse",
        "_most",
        "_next_at",
        "_seen",
        "_until",
        "capacity",
        "index",
        "level",
        "limit",
        "margin",
        "rate",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.rate = self.capacity = self.level = self.margin = 0.0
        self.limit = 0.0
        self._full = 0.0  # the level at which filling stops: room for the least margin
        self._ceiling = math.inf
        self._at = 0.0
        self._known_at = 0.0
        self._foreign = 0.0
        self._next_at = -math.inf
        self._seen = 0.0  # most there ever was, as headers tell
        self._care = 1.0  # grows with refusals, and the margin with it
        self._most = 0.0  # a minute's worth: no bucket holds more
        self._is_overflowing = False  # it seems to hold no more than was seen, which is little
        self._company = Company()
        self._lapse: Lapse | None = None  # of a limit that may be a short window's
        self._until = math.inf  # until then the rate is what it is

    @property
    def is_window(self) -> bool:
        """Whether the server counts what was sent in a window, of less than a minute."""
        return self._lapse is not None and self._lapse.is_window

    def state(self, per_minute: float, *, burst_s: float) -> None:
        """Take a limit from the settings: never exceeded, whatever the server allows."""
        self._ceiling = per_minute / MINUTE_S
        self.rate = self._ceiling
        self.capacity = self._seen = self.rate * burst_s
        self._at = self._known_at = -math.inf
        self._size_up()
        self.level = self._full

    def learn(self, per_minute: float, *, level: float, capacity: float, now: float) -> None:
        """Take a limit the server named, with the level it had at `now`."""
        self.fill(now)
        if not self.rate:
            self._known_at = now
            self.level = level
        if capacity < self.capacity or not self._seen:
            self._seen = min(self._seen or level, capacity)
        self.rate = min(per_minute / MINUTE_S, self._ceiling)
        self.limit = per_minute
        self.capacity = capacity
        self.level = min(self.level, capacity)
        self._at = now
        self._care = 1.0
        self._size_up()

    def fill(self, now: float) -> None:
        """Bring the level up to `now`."""
        elapsed = now - self._at
        if elapsed <= 0.0:
            return
        self._at = now
        if elapsed == math.inf:
            return
        if now > self._until:
            self._outlive(now)
        foreign = self._foreign
        users = self._company.users
        if users > 1:
            foreign = max(foreign, self.rate * (1.0 - 1.0 / users))
        level = self.level + (self.rate - foreign) * elapsed
        self.level = level if level < self._full else self._full
        if self._foreign:
            self._foreign *= max(0.0, 1.0 - elapsed / _FOREIGN_TAU_S)

    def _outlive(self, now: float) -> None:
        """The rate has been what it is for as long as it was sure."""

    def wait_s(self, cost: float, now: float) -> float:
        """Seconds until `cost` may be taken; what exceeds the bucket waits for a full one."""
        if now > self._at:
            self.fill(now)
        lapse = self._lapse
        if lapse is not None and lapse.is_window:
            return max(lapse.wait_s(self._company.users, now), self._next_at - now)
        level = self.level
        is_contended = self._company.is_there(now)
        if not is_contended and level >= cost + self.margin and now >= self._next_at:
            return 0.0
        need = cost if cost < self.capacity else self.capacity
        if not is_contended:
            # What the bucket cannot hold beside an attempt runs over while we wait for it.
            need += max(min(self.margin, self.capacity - need), self._full - self.capacity)
        short = need - level
        wait = 0.0
        if short > 1e-9 * need:
            wait = short / max(self.rate - self._foreign, 0.03 * self.rate)
        if self._next_at > now + wait and level < self.capacity:
            wait = self._next_at - now
        return wait

    def take(self, cost: float, now: float) -> None:
        """Set `cost` aside."""
        if now > self._at:
            self.fill(now)
        lapse = self._lapse
        if lapse is not None:
            lapse.sent(now)
        if lapse is not None and lapse.is_window:
            due = max(self._next_at, now - _WINDOW_DIP_S)
            self._next_at = due + cost / (_WINDOW_PEAK * self.rate)
        elif self._company.is_there(now):
            self._space(cost, now)
        level = self.level  # what is more than a full bucket is the margin's room, not saved
        self.level = (level if level < self.capacity else self.capacity) - cost

    def _space(self, cost: float, now: float) -> None:
        """Others take from it too: let the next attempt keep its distance."""
        company = self._company
        if company.users > 1:
            holds = min(self.capacity, self._seen)
            pace = company.agreed_pace(self.level, self.rate, holds)
        else:
            level, fill_s = self.level - 0.3 * self._base_margin(), self.capacity / self.rate
            pace = company.pace(level, self.rate, fill_s, is_coarse=self._is_overflowing)
        self._next_at = max(self._next_at, now - 0.2) + cost / pace

    def give(self, amount: float, now: float) -> None:
        """Return what was set aside and not used; negative when more was used."""
        if now > self._at:
            self.fill(now)
        level = self.level + amount
        self.level = level if level < self._full else self._full

    def emptied(self, level: float, now: float) -> None:
        """A refusal shows that there was no more than `level`."""
        self.fill(now)
        self.level = min(self.level, level)

    def share(self, users: int, part: float) -> None:
        """So many clients, ourselves included, are known; we take so much of an equal part."""
        self._company.share(users, part)

    def _size_up(self) -> None:
        self._most = self.rate * MINUTE_S
        base = self._base_margin()
        most = max(base, _MARGIN_OF_SEEN * self._seen)
        self.margin = min(MARGIN_SHARE * self._most, most, self._care * base)
        self._full = self.capacity + min(self.margin, _JITTER_S * self.rate)

    def _base_margin(self) -> float:
        return min(
            _MARGIN_S * self.rate, MARGIN_SHARE * self._most, _MARGIN_OF_BURST * self.capacity
        )

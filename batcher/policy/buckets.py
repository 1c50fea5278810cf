"""What is probably left of one quota whose limit is known.

The level is dead-reckoned: refilled by the clock, debited on sending, credited when an
answer took less than was set aside or was refused, and put right by response headers,
which are late (they describe the moment the attempt was let in) and rounded.

Source: token bucket; the vendors document a bucket of the per-minute limit with
continuous refill. Constants: twenty-three simulated quotas, see tests/scenarios.
"""

import math

from batcher.policy.company import Company
from batcher.policy.doubt import Doubt
from batcher.policy.lapse import LONGEST_S, Lapse
from batcher.policy.ticket import INPUT, OUTPUT, REQUESTS, Ticket
from batcher.records import Quota

MINUTE_S = 60.0
LEAST_LIMIT = 0.1  # a minute; a server that names less is not to be believed
_MARGIN_S = 0.5  # seconds of refill kept in reserve against jitter on the way to the server ...
_MARGIN_SHARE = 0.08  # ... but not more than this share of a minute's limit
_MARGIN_OF_BURST = 0.1  # ... nor of what the bucket really holds
_NAMED_MARGIN_S = 0.25  # the same of input where no header tells how much is left ...
_NAMED_MARGIN_OF_BURST = 0.3
_CARE = 1.5  # ... so many times as much after a refusal ...
_MOST_CARE = 2.0  # ... until it is as much as this
_DEEPER = 1.25  # what a bucket is taken to hold is too little now and then
_SHALLOW = 0.8  # of what it was taken to hold: it holds less
_MARGIN_OF_SEEN = 0.3  # ... whatever refusals may have been others'
_JITTER_S = 0.03  # the least: kept even where the bucket has no room for it beside an attempt
_FOREIGN_TAU_S = 15.0  # belief in other users of the quota fades
_FOREIGN_GAIN_S = 8.0  # how long a surplus use must last to be believed in full
_FEW = 4.0  # attempts a bucket holds, of which headers in whole requests tell little
_ONE = 2.0  # requests: a bucket of one is told as one and a half
_COARSE = 4.0  # times what headers may be off by: of less they tell next to nothing
_TINY_S = 0.8  # of refill; what holds no more has no room for a margin
_LEAST_HELD = 0.1  # of a request, where a limit is less than one a minute
_WINDOW_PEAK = 2.0  # times the rate at which what a window holds is spent
_WINDOW_DIP_S = 0.02  # a sender woken late may catch up by this much


class Dimension:
    """One known limit: requests, or input, output or all tokens a minute.

    Attributes:
        rate: Units a second; 0.0 while unknown.
        capacity: Units the bucket holds when full, as far as known.
        level: Units left, by our reckoning; negative when in debt.
        margin: Units kept in reserve.
        limit: Units a minute, as the server said; 0.0 while it has not.
        credits_late: The server gives back what answers did not take before we hear of it.
    """

    __slots__ = (
        "_at",
        "_care",
        "_ceiling",
        "_company",
        "_doubt",
        "_foreign",
        "_full",
        "_is_capped",
        "_is_overflowing",
        "_is_told",
        "_known_at",
        "_lapse",
        "_most",
        "_next_at",
        "_one",
        "_refused_at",
        "_rounded_off",
        "_seen",
        "_told_at",
        "_tolerance",
        "capacity",
        "credits_late",
        "index",
        "level",
        "limit",
        "margin",
        "rate",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.credits_late = index >= OUTPUT
        self.rate = self.capacity = self.level = self.margin = 0.0
        self._full = 0.0  # the level at which filling stops: room for the least margin
        self._tolerance = 0.5 if index == REQUESTS else 500.0  # servers round tokens to 1,000
        self._rounded_off = 0.5 if index == REQUESTS else 0.0  # on average
        self._one = _ONE if index == REQUESTS else _COARSE * self._tolerance
        self._ceiling = math.inf
        self._at = 0.0
        self._known_at = 0.0
        self._foreign = 0.0
        self._next_at = -math.inf
        self._seen = 0.0  # most there ever was, as headers tell
        self._care = 1.0  # grows with refusals, and the margin with it
        self._most = 0.0  # a minute's worth: no bucket holds more
        self.limit = 0.0
        self._is_capped = False
        self._is_overflowing = False  # it seems to hold no more than was seen, which is little
        self._company = Company()
        self._told_at = -math.inf
        self._refused_at = -math.inf
        self._is_told = False  # by headers, which say so when it is raised
        self._doubt: Doubt | None = None  # while they do not
        self._lapse: Lapse | None = None  # of a limit that may be a short window's

    @property
    def is_window(self) -> bool:
        """Whether the server counts what was sent in a window, of less than a minute."""
        return self._lapse is not None and self._lapse.is_window

    @property
    def is_doubted(self) -> bool:
        """Whether the rate changes by itself, to see whether there is more."""
        return self._doubt is not None

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

    def name(
        self,
        quota: Quota,
        ticket: Ticket,
        since: float,
        per_s: float,
        now: float,
        *,
        holds: float = math.inf,
    ) -> bool:
        """Take a limit out of the text of a 429; returns whether it explains the refusal.

        Args:
            quota: What the text said.
            ticket: The refused attempt.
            since: Units admitted after it was sent.
            per_s: Attempts a second that are worth the limit.
            holds: Units the bucket seems to hold.
            now: Monotonic seconds.
        """
        doubt, rate = self._doubt, min(quota.limit / MINUTE_S, self._ceiling)
        is_news = is_explained = quota.limit != self.limit or abs(self.rate - rate) > 1e-6 * rate
        # What a text does not tell: a bucket holds as many seconds of one limit as of another.
        held_s = MINUTE_S if doubt is None else min(MINUTE_S, self.capacity / self.rate)
        holds = min(holds, rate * held_s)
        cost = min(holds, ticket.cost[self.index])
        level = 0.5 * cost + quota.limit / MINUTE_S * (now - ticket.sent) - since
        if is_news:
            if doubt is None and not self._is_told:
                doubt = self._doubt = Doubt()
            self.learn(quota.limit, level=level, capacity=holds, now=now)
            self._seen = self.capacity
        if doubt is not None:
            per_s /= self._company.users
            is_explained = doubt.named(self.rate, per_s, ticket.sent, now, anew=is_news)
            if self.index == INPUT and not is_news:
                self.fill(now)
                at_most = doubt.brim.at_most(self.level - level)
                is_explained = self._holds(at_most, cost) or is_explained or self._keep_more()
        if is_news or self.level > level + cost:
            self.emptied(level, now)
            if doubt is not None:
                doubt.brim.emptied(level, ticket.sent)
        return is_explained

    def _holds(self, holds: float | None, cost: float) -> bool:
        """See what a refusal tells of what the bucket holds; returns whether that is news."""
        if holds is None:
            return False
        if cost >= self.capacity:
            holds = min(self._most, _DEEPER * self.capacity)  # it was not full
            is_news = holds > self.capacity
        else:
            holds = max(cost, holds)
            is_news = holds < _SHALLOW * self.capacity
        if is_news:
            self.capacity = self._seen = holds
            self._size_up()
        return is_news

    def _keep_more(self) -> bool:
        """Keep more in reserve after a refusal; returns whether there was more to be kept."""
        if self._care >= _MOST_CARE:
            return False
        self._care *= _CARE
        self._size_up()
        return True

    def fill(self, now: float) -> None:
        """Bring the level up to `now`."""
        elapsed = now - self._at
        if elapsed <= 0.0:
            return
        self._at = now
        if elapsed == math.inf:
            return
        if self._doubt is not None and now > self._doubt.until:
            self._exceed(self._doubt.pace(now))
        foreign = self._foreign
        users = self._company.users
        if users > 1:
            foreign = max(foreign, self.rate * (1.0 - 1.0 / users))
        level = self.level + (self.rate - foreign) * elapsed
        self.level = level if level < self._full else self._full
        if self._foreign:
            self._foreign *= max(0.0, 1.0 - elapsed / _FOREIGN_TAU_S)

    def _exceed(self, rate: float) -> None:
        """The limit may have been raised; a refusal will say so, or that it was not."""
        rate = min(rate, self._ceiling)
        if rate > self.rate:
            self.capacity *= rate / self.rate
            self._seen = self.capacity
            self.rate = rate
            self._size_up()

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
        lapse, company = self._lapse, self._company
        if lapse is not None:
            lapse.sent(now)
        if lapse is not None and lapse.is_window:
            due = max(self._next_at, now - _WINDOW_DIP_S)
            self._next_at = due + cost / (_WINDOW_PEAK * self.rate)
        elif company.is_there(now):
            if company.users > 1:
                holds = min(self.capacity, self._seen)
                pace = company.agreed_pace(self.level, self.rate, holds)
            else:
                level, fill_s = self.level - 0.3 * self._base_margin(), self.capacity / self.rate
                pace = company.pace(level, self.rate, fill_s, is_coarse=self._is_overflowing)
            self._next_at = max(self._next_at, now - 0.2) + cost / pace
        if self._doubt is not None:
            self._doubt.sent(self.level, now)
        level = self.level  # what is more than a full bucket is the margin's room, not saved
        self.level = (level if level < self.capacity else self.capacity) - cost

    def rest(self, now: float) -> None:
        """No quota holds us back: nothing is to be found out about this one."""
        if self._doubt is not None:
            self._doubt.rest(self.rate, now)

    def give(self, amount: float, now: float) -> None:
        """Return what was set aside and not used; negative when more was used."""
        if now > self._at:
            self.fill(now)
        level = self.level + amount
        self.level = level if level < self._full else self._full

    def settle(self, ticket: Ticket, actual: float, now: float) -> None:
        """An answer took `actual` of what was set aside."""
        doubt = self._doubt
        if doubt is None or self.index != INPUT or ticket.sent >= doubt.brim.known_at:
            self.give(ticket.cost[self.index] - actual, now)

    def share(self, users: int, part: float) -> None:
        """So many clients, ourselves included, are known; we take so much of an equal part."""
        self._company.share(users, part)

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
        if self._doubt is not None:
            self._doubt, self.limit = None, 0.0
        self._is_told = True
        if quota.limit != self.limit and not self._renew(quota, ticket, had, since, now):
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
        if off > self._tolerance and had >= self._top and self._is_tiny(self._seen):
            self._overflowed(off)
        elif off > self._tolerance:
            self._correct(off - self._tolerance, ticket, age, now)
        elif (
            off < -self._tolerance
            and not self._is_capped
            and (quota.remaining > 0.0 or self.index == REQUESTS)  # nought may be any debt
        ):
            self._correct(off + self._tolerance, ticket, age, now)

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
        if rate < self.rate and (self.index == REQUESTS or self._is_tiny(seen)):
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
        if self._is_overflowing and not self._is_tiny(self._seen):
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

    def emptied(self, level: float, now: float) -> None:
        """A refusal shows that there was no more than `level`."""
        self.fill(now)
        self.level = min(self.level, level)

    def _size_up(self) -> None:
        self._most = self.rate * MINUTE_S
        base = self._base_margin()
        most = max(base, _MARGIN_OF_SEEN * self._seen)
        self.margin = min(_MARGIN_SHARE * self._most, most, self._care * base)
        self._full = self.capacity + min(self.margin, _JITTER_S * self.rate)

    def _base_margin(self) -> float:
        is_named = self._doubt is not None and self.index == INPUT
        return min(
            (_NAMED_MARGIN_S if is_named else _MARGIN_S) * self.rate,
            _MARGIN_SHARE * self._most,
            (_NAMED_MARGIN_OF_BURST if is_named else _MARGIN_OF_BURST) * self.capacity,
        )

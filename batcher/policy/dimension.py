"""One known limit, whoever told it: the settings, headers, or the text of a 429.

What only a text has named is exact when it is said, and nothing tells when it is raised, nor
what the bucket holds. Both are found out by keeping to it, and by exceeding it now and then.

Constants: simulated servers whose 429s name their limit, see tests/scenarios.
"""

import math

from batcher.policy.bucket import MARGIN_SHARE, MINUTE_S
from batcher.policy.doubt import Doubt
from batcher.policy.headers import ToldBucket
from batcher.policy.proof import Proof
from batcher.policy.ticket import INPUT, Ticket
from batcher.records import Quota

_MARGIN_S = 0.25  # seconds of refill kept in reserve of input that no header tells of ...
_MARGIN_OF_BURST = 0.3  # ... but not more than this share of what the bucket holds
_CARE = 1.5  # ... so many times as much after a refusal ...
_MOST_CARE = 2.0  # ... until it is as much as this
_DEEPER = 1.25  # what a bucket is taken to hold is too little now and then
_SHALLOW = 0.8  # of what it was taken to hold: it holds less


class Dimension(ToldBucket):
    """One known limit: requests, or input, output or all tokens a minute.

    Attributes:
        doubt: Whether it still holds, while no header would say so when it is raised.
    """

    __slots__ = ("_refuted", "doubt")

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.doubt: Doubt | None = None
        self._refuted = 0.0  # units a minute: more than the greatest limit that was no limit

    def name(
        self,
        quota: Quota,
        ticket: Ticket,
        since: float,
        per_s: float,
        now: float,
    ) -> bool:
        """Take a limit out of the text of a 429; returns whether it explains the refusal.

        Args:
            quota: What the text said.
            ticket: The refused attempt.
            since: Units admitted after it was sent.
            per_s: Attempts a second that are worth the limit.
            now: Monotonic seconds.
        """
        doubt, rate = self.doubt, min(quota.limit / MINUTE_S, self._ceiling)
        is_news = is_explained = quota.limit != self.limit or abs(self.rate - rate) > 1e-6 * rate
        # What a text does not tell: a bucket holds as many seconds of one limit as of another.
        held_s = MINUTE_S if doubt is None else min(MINUTE_S, self.capacity / self.rate)
        holds = rate * held_s
        cost = min(holds, ticket.cost[self.index])
        level = 0.5 * cost + quota.limit / MINUTE_S * (now - ticket.sent) - since
        if is_news:
            if doubt is None and not self._is_told:
                doubt = self.doubt = Doubt(Proof(quota.limit, ticket.sent))
            elif doubt is not None and quota.limit != self.limit:
                doubt.proof = Proof(quota.limit, ticket.sent)
            self.learn(quota.limit, level=level, capacity=holds, now=now)
            self._seen = self.capacity
        if doubt is not None:
            per_s /= self._company.users
            is_explained = doubt.named(self.rate, per_s, ticket.sent, now, anew=is_news)
            doubt.proof.named(ticket.sent, now)
            self._until = doubt.until
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

    def is_refuted(self, limit: float, now: float) -> bool:
        """Whether a limit that a text names, units a minute, is less than what is let in."""
        if limit <= self._refuted:
            return True
        return self.doubt is not None and limit == self.limit and self.doubt.proof.is_refuted(now)

    def let_in(self, ticket: Ticket, units: float, now: float) -> bool:
        """An attempt was answered; returns whether a limit was refuted that we do not come back to.

        A minute's debt is what keeps us from being told again.
        """
        doubt = self.doubt
        if doubt is None:
            return False
        doubt.proof.let_in(units, ticket.sent)
        return self.level < -self._most and doubt.proof.is_refuted(now)

    def disown(self) -> None:
        """What a text named is no limit; what the settings allow is all that is left."""
        self._refuted = self.limit
        self.doubt, self.limit, self._until = None, 0.0, math.inf
        holds_s = self.capacity / self.rate
        self.rate = 0.0 if math.isinf(self._ceiling) else self._ceiling
        self.capacity = self._seen = holds_s * self.rate
        self.level = self._foreign = 0.0
        self._care = 1.0
        self._size_up()

    def _outlive(self, now: float) -> None:
        """The limit may have been raised; a refusal will say so, or that it was not."""
        if self.doubt is None:
            return
        rate = min(self.doubt.pace(now), self._ceiling)
        if rate > self.rate:
            self.capacity *= rate / self.rate
            self._seen = self.capacity
            self.rate = rate
            self._size_up()

    def sends(self, now: float) -> None:
        """An attempt is about to go, while the limit is doubted."""
        self.fill(now)
        if self.doubt is not None:
            self.doubt.sent(self.level, now)
            self._until = self.doubt.until

    def rest(self, now: float) -> None:
        """No quota holds us back: nothing is to be found out about this one."""
        if self.doubt is not None:
            self.doubt.rest(self.rate, now)
            self._until = self.doubt.until

    def settle(self, ticket: Ticket, actual: float, now: float) -> None:
        """An answer took `actual` of what was set aside."""
        doubt = self.doubt
        if doubt is None or self.index != INPUT or ticket.sent >= doubt.brim.known_at:
            self.give(ticket.cost[self.index] - actual, now)

    def _unnamed(self) -> None:
        if self.doubt is not None:
            self.doubt, self.limit, self._until = None, 0.0, math.inf

    def _base_margin(self) -> float:
        if self.doubt is None or self.index != INPUT:
            return super()._base_margin()
        return min(
            _MARGIN_S * self.rate, MARGIN_SHARE * self._most, _MARGIN_OF_BURST * self.capacity
        )

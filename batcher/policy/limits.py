"""The known limits of one quota scope: those of the settings, of headers, of texts of 429s.

An attempt goes when each of them has enough left for it.
"""

import math
from collections.abc import Mapping, Sequence

from batcher.policy.dimension import Dimension
from batcher.policy.reserving import Reserving
from batcher.policy.ticket import INDEX, OUTPUT, TOTAL, Amounts, Ticket
from batcher.records import Bucket, Feedback, Quota

_LEAST = 1e-9  # a job without prompt text takes no input tokens
_SLACK = 1.1  # estimates of a prompt err by so much ...
_ROUNDING = 500.0  # ... and headers tell thousands of tokens ...
_HALF = 0.5  # ... and whole requests


class Limits:
    """Dimensions whose limit is known, asked and told as one.

    Args:
        stated: Limits from the settings, units a minute; never exceeded.
        burst_s: Seconds of a stated limit that may be used at once.

    Attributes:
        known: In the order in which they became known.
    """

    __slots__ = ("_all", "_reserving", "known")

    def __init__(self, stated: Mapping[Bucket, float], *, burst_s: float) -> None:
        self._all = [Dimension(index) for index in range(TOTAL + 1)]
        self._reserving = Reserving()
        self.known: list[Dimension] = []
        for bucket, limit in stated.items():
            dimension = self.of(bucket)
            dimension.state(limit, burst_s=burst_s)
            self.known.append(dimension)

    def of(self, bucket: Bucket) -> Dimension:
        """The dimension of that name, known or not."""
        return self._all[INDEX[bucket]]

    @property
    def are_doubted(self) -> bool:
        """Whether the rate of some changes by itself, to see whether there is more."""
        return any(dimension.doubt is not None for dimension in self.known)

    @property
    def reserve_output(self) -> bool:
        """Whether the server sets max_tokens aside on admission, as far as headers tell."""
        return self._reserving.is_on

    def tightest(self, mean: Sequence[float]) -> Dimension:
        """The one that attempts of such a mean amount exhaust first; one must be known."""
        return max(self.known, key=lambda known: max(mean[known.index], _LEAST) / known.rate)

    def per_s(self, mean: Sequence[float]) -> float:
        """Attempts a second they allow; infinite while none is known."""
        rates = (known.rate / max(_LEAST, mean[known.index]) for known in self.known)
        return min(rates, default=math.inf)

    # -- every attempt

    def wait_s(self, cost: Amounts, now: float, *, is_spaced: bool) -> float:
        """Seconds until an attempt may go.

        Args:
            cost: What it takes.
            now: Monotonic seconds.
            is_spaced: What holds no more than an attempt or two is paced by somebody else.
        """
        wait = 0.0
        for dimension in self.known:
            units = cost[dimension.index]
            if not (is_spaced and dimension.is_rounded_away(units)):
                wait = max(wait, dimension.wait_s(units, now))
        return wait

    def take(self, cost: Amounts, now: float) -> bool:
        """Set aside what an attempt takes; returns whether some limit had too little left."""
        is_short = False
        for dimension in self.known:
            if dimension.doubt is not None:
                dimension.sends(now)
            dimension.take(cost[dimension.index], now)
            is_short = is_short or dimension.level <= 0.0
        return is_short

    def settle(self, ticket: Ticket, actual: Amounts, now: float) -> None:
        """An answer took less or more tokens than were set aside."""
        for dimension in self.known:
            if dimension.index:
                dimension.settle(ticket, actual[dimension.index], now)

    def let_in(self, ticket: Ticket, actual: Amounts, now: float) -> Dimension | None:
        """An answer took so much; returns a limit that is refuted by that."""
        for dimension in self.known:
            if dimension.let_in(ticket, actual[dimension.index], now):
                return dimension
        return None

    def give_back(self, ticket: Ticket, now: float) -> None:
        """The attempt was not let in."""
        for dimension in self.known:
            dimension.give(ticket.cost[dimension.index], now)

    def rest(self, now: float) -> None:
        """None of them holds the run back."""
        for dimension in self.known:
            dimension.rest(now)

    def share(self, users: int, own: Sequence[float], fair: Sequence[float]) -> None:
        """So many runs use them; we take `own` a second where `fair` would be equal parts."""
        for dimension in self.known:
            index = dimension.index
            dimension.share(users, own[index] / max(_LEAST, fair[index]))

    # -- what a response tells

    def know(self, dimension: Dimension) -> None:
        """The limit is known from now on."""
        if dimension not in self.known:
            self.known.append(dimension)

    def disown(self, dimension: Dimension) -> None:
        """What a text named is no limit."""
        dimension.disown()
        if not dimension.rate:
            self.known.remove(dimension)

    def read(
        self, ticket: Ticket, feedback: Feedback, admitted: Sequence[float], now: float
    ) -> list[Dimension]:
        """Correct limits and levels by the headers of a response; returns the limits changed."""
        changed = []
        total, reserving = ticket.total, self._reserving
        for quota in feedback.quotas:
            if not 0.0 <= quota.remaining < math.inf:
                continue
            dimension = self.of(quota.bucket)
            index, was = dimension.index, dimension.rate
            since = admitted[index] - total[index]
            if index >= OUTPUT:
                if was and ticket.sent >= reserving.next_at:
                    self._weigh(ticket, feedback, quota.remaining, dimension)
                if not reserving.is_on:  # what is in flight was not charged then
                    since += total[OUTPUT] - ticket.generated
            dimension.read(quota, ticket, since, now)
            if dimension.rate != was:
                self.know(dimension)
                changed.append(dimension)
        return changed

    def _weigh(self, ticket: Ticket, feedback: Feedback, left: float, dimension: Dimension) -> None:
        """See by a header whether the server sets output aside."""
        tokens = feedback.usage.output_tokens if feedback.usage is not None else None
        self._reserving.read(ticket, left, dimension, tokens=tokens, latency_s=feedback.latency_s)
        for known in self._all[OUTPUT:]:
            known.credits_late = self._reserving.is_on

    def refused(
        self, ticket: Ticket, quotas: Sequence[Quota], admitted: Sequence[float], now: float
    ) -> list[Dimension]:
        """A 429 came with headers; returns the limits that explain it."""
        short = []
        for quota in quotas:
            dimension = self.of(quota.bucket)
            index = dimension.index
            cost = ticket.cost[index]
            if quota.remaining < _SLACK * cost + (_HALF if cost == 1.0 else _ROUNDING):
                since = admitted[index] - ticket.total[index]
                dimension.refused(ticket, quota.remaining, since=since, now=now)
                short.append(dimension)
        return short

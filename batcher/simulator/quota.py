"""How much a caller may use: token buckets with continuous refill, one set per quota scope.

Source: the vendors describe a bucket of the per-minute limit that refills continuously and may
be enforced over shorter spans. Output tokens count as generated, or (older and other servers)
by a reservation of max_tokens that is corrected at the end; `reserve_output` chooses.
"""

from typing import NamedTuple

from batcher.job import Simulator as Settings
from batcher.records import Bucket
from batcher.simulator.exchange import Cost, Denial, Reading

_RESIDUE = 1e-6  # float dust: a wait that was named must be enough


class TokenBucket:
    """`per_minute` units a minute, at most `burst_s` seconds of them at once, full at first.

    What is larger than the bucket is let through alone when it is full, and leaves a debt.
    """

    __slots__ = ("_at", "_base", "_burst_s", "capacity", "level", "rate")

    def __init__(self, per_minute: float, burst_s: float, *, now: float) -> None:
        self._base = per_minute / 60
        self._burst_s = burst_s
        self._at = now
        self.rate = self._base
        self.capacity = max(1.0, self.rate * burst_s)
        self.level = self.capacity

    @property
    def per_minute(self) -> float:
        """The limit in force, units a minute."""
        return self.rate * 60

    def refill(self, now: float) -> None:
        """Bring the level up to `now`."""
        if now > self._at:
            self.level = min(self.capacity, self.level + self.rate * (now - self._at))
            self._at = now

    def wait_s(self, need: float) -> float:
        """Seconds until `need` may be taken, reckoned from the last refill; 0.0 for at once."""
        short = min(need, self.capacity) - self.level
        return short / self.rate if short > _RESIDUE else 0.0

    def take(self, units: float) -> None:
        """Use up units; the level may fall below zero."""
        self.level -= units

    def give(self, units: float) -> None:
        """Return units that were reserved and not used."""
        self.level = min(self.capacity, self.level + units)

    def scale(self, multiplier: float, *, now: float) -> None:
        """From now on allow `multiplier` times the configured limit."""
        self.refill(now)
        self.rate = self._base * multiplier
        self.capacity = max(1.0, self.rate * self._burst_s)
        self.level = min(self.capacity, self.level)


class _Layer(NamedTuple):
    dimension: Bucket
    bucket: TokenBucket
    visible: bool


class ScopeQuota:
    """Every limit of one quota scope; a request is let in by all of them or by none."""

    def __init__(self, settings: Settings, *, multiplier: float = 1.0, now: float) -> None:
        self._reserves = settings.reserve_output
        self._rejects_cost = settings.rejects_cost
        self._layers: list[_Layer] = []
        for dimension, limit in (
            (Bucket.REQUESTS, settings.requests_per_minute),
            (Bucket.INPUT, settings.input_tokens_per_minute),
            (Bucket.OUTPUT, settings.output_tokens_per_minute),
            (Bucket.TOTAL, settings.tokens_per_minute),
        ):
            if limit is None:
                continue
            self._add(dimension, limit, settings.burst_s, visible=True, now=now)
            hidden_s = settings.hidden_burst_s
            if hidden_s is not None and dimension in (Bucket.REQUESTS, Bucket.INPUT):
                self._add(dimension, limit, hidden_s, visible=False, now=now)
        for layer in self._layers:
            layer.bucket.scale(multiplier, now=now)
            layer.bucket.level = layer.bucket.capacity

    def _add(
        self, dimension: Bucket, limit: float, burst_s: float, *, visible: bool, now: float
    ) -> None:
        self._layers.append(_Layer(dimension, TokenBucket(limit, burst_s, now=now), visible))

    def admit(self, cost: Cost, *, now: float) -> Denial | None:
        """Charge a request and return None, or say which limit it would break.

        Of several that are short, the one that needs the longest wait is named.
        """
        denial: Denial | None = None
        for dimension, bucket, _ in self._layers:
            bucket.refill(now)
            need = self._need(dimension, cost)
            wait_s = bucket.wait_s(need)
            if wait_s and (denial is None or wait_s > denial.wait_s):
                level = max(0.0, bucket.level)
                denial = Denial(dimension, bucket.per_minute, level, need, wait_s)
        if denial is None:
            for dimension, bucket, _ in self._layers:
                bucket.take(self._charge(dimension, cost))
        elif self._rejects_cost:
            for dimension, bucket, _ in self._layers:
                if dimension is Bucket.REQUESTS:
                    bucket.level = max(bucket.level - self._rejects_cost, -bucket.capacity)
        return denial

    def settle(self, cost: Cost, *, now: float) -> None:
        """Give back what was reserved beyond the real output; once, when the answer is over."""
        unused = cost.max_tokens - cost.output_tokens
        if self._reserves and unused > 0:
            for dimension, bucket, _ in self._layers:
                if dimension in (Bucket.OUTPUT, Bucket.TOTAL):
                    bucket.refill(now)
                    bucket.give(unused)

    def readings(self, *, now: float) -> list[Reading]:
        """What headers may say of the limits that are shown."""
        found = []
        for dimension, bucket, visible in self._layers:
            if visible:
                bucket.refill(now)
                full_in_s = (bucket.capacity - bucket.level) / bucket.rate
                level = max(0.0, bucket.level)
                found.append(Reading(dimension, bucket.per_minute, level, full_in_s))
        return found

    def scale(self, multiplier: float, *, now: float) -> None:
        """Allow `multiplier` times the configured limits from now on."""
        for layer in self._layers:
            layer.bucket.scale(multiplier, now=now)

    def _need(self, dimension: Bucket, cost: Cost) -> float:
        # Unless reserved, output is unknown when a request is let in: anything left is enough.
        output = cost.max_tokens if self._reserves else 1
        if dimension is Bucket.REQUESTS:
            return 1
        if dimension is Bucket.INPUT:
            return cost.input_tokens
        return output if dimension is Bucket.OUTPUT else cost.input_tokens + output

    def _charge(self, dimension: Bucket, cost: Cost) -> float:
        output = cost.max_tokens if self._reserves else cost.output_tokens
        if dimension is Bucket.REQUESTS:
            return 1
        if dimension is Bucket.INPUT:
            return cost.input_tokens
        return output if dimension is Bucket.OUTPUT else cost.input_tokens + output

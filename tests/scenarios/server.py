"""An API's rate limiter in virtual time: buckets, headers, refusals, overload, slots.

A bucket refills continuously, a window at its end. Output is charged as the vendors once
documented it: max_tokens on admission, the unused part given back with the answer.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from batcher.records import Bucket, Quota
from tests.scenarios.workload import Row

_TOKEN_ROUNDING = -3  # headers give tokens to the nearest thousand
_STEAL_FLOOR = 0.02  # a competitor takes a little less from an empty bucket


class Stop(Exception):  # noqa: N818 - no error: it ends a run
    """The run is over."""


class World:
    """Virtual time: calls functions in order of their time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._count = 0

    def at(self, when: float, act: Callable[..., None], *args: object) -> None:
        """Call later; never before now."""
        self._count += 1
        heapq.heappush(self._queue, (max(when, self.now), self._count, act, args))

    def after(self, delay: float, act: Callable[..., None], *args: object) -> None:
        """Call `delay` seconds from now."""
        self.at(self.now + delay, act, *args)

    def run(self, until: float) -> None:
        """Go on until that time, or until somebody raises Stop."""
        try:
            while self._queue and self._queue[0][0] <= until:
                self.now, _, act, args = heapq.heappop(self._queue)
                act(*args)
        except Stop:
            return


@dataclass(frozen=True, slots=True)
class Shape:
    """What a server is like.

    Attributes:
        rpm: Requests a minute, itpm and otpm input and output tokens, tpm all; None for no limit.
        burst_s: Seconds of quota a bucket holds; what headers show.
        hidden_s: Seconds of quota that further, unshown buckets of requests and input hold.
        info: none: a bare 429; retry: with Retry-After; full: rate-limit headers too.
        retry_after: seconds: rounded up to whole ones; exact: to the microsecond.
        reset: Headers tell the time to full.
        hints: A 429's text names the limit.
        named: ... times this: each of several servers behind one address names its own.
        reject_cost: Requests a refusal costs.
        steps: (when, factor of the limits from then on).
        overload: (from, to, share of requests refused with 529).
        shut: (from, to, most seconds Retry-After names): all are refused with 429 meanwhile.
        slots: Requests worked on at once; further ones queue.
        steepest: A growth of requests per second, second over second, beyond which
            requests are refused as growing too fast; None for any.
        reserves: Output is charged as max_tokens on admission; else as generated, at the end.
        window: How a limit comes back: a bucket refills all the time, a fixed window is whole
            again when the next begins, a sliding one forgets what is older than itself. Windows
            are as long as a bucket would hold seconds.
    """

    rpm: float | None = None
    itpm: float | None = None
    otpm: float | None = None
    tpm: float | None = None
    burst_s: float = 60.0
    hidden_s: float | None = None
    info: Literal["none", "retry", "full"] = "none"
    retry_after: Literal["seconds", "exact"] = "seconds"
    reset: bool = False
    hints: bool = False
    named: float = 1.0
    reject_cost: float = 0.0
    steps: tuple[tuple[float, float], ...] = ()
    overload: tuple[tuple[float, float, float], ...] = ()
    shut: tuple[tuple[float, float, float], ...] = ()
    slots: int | None = None
    steepest: float | None = None
    reserves: bool = True
    window: Literal["bucket", "fixed", "sliding"] = "bucket"

    @property
    def counts(self) -> Bucket:
        """What a share of the quota is measured in: input tokens where nothing else is limited."""
        only_input = self.itpm is not None and self.rpm is None and self.otpm is None
        return Bucket.INPUT if only_input else Bucket.REQUESTS


class Answer(NamedTuple):
    """What a server says of one attempt."""

    status: int  # 200, 429, 529; 425 stands for a 429 for growing too fast
    quotas: tuple[Quota, ...] = ()
    retry_after_s: float | None = None
    hint: Quota | None = None


@dataclass(slots=True)
class _Bucket:
    kind: Bucket
    base: float
    burst: float
    visible: bool
    rate: float = 0.0
    capacity: float = 0.0
    level: float = 0.0
    at: float = field(default=0.0)
    window: Literal["bucket", "fixed", "sliding"] = "bucket"
    taken: deque[tuple[float, float]] = field(default_factory=deque)

    def scale(self, factor: float) -> None:
        more = self.burst * factor - self.capacity
        self.rate, self.capacity = self.base * factor, self.burst * factor
        if self.window == "sliding":
            self.level += more  # what was taken stays taken until it is forgotten
        self.level = min(self.level, self.capacity)

    def refill(self, now: float) -> None:
        if now > self.at:
            span = self.capacity / self.rate
            if self.window == "fixed":
                if now // span > self.at // span:
                    self.level = self.capacity
            elif self.window == "sliding":
                while self.taken and self.taken[0][0] <= now - span:
                    self.level = min(self.capacity, self.level + self.taken.popleft()[1])
            else:
                self.level = min(self.capacity, self.level + self.rate * (now - self.at))
            self.at = now

    def short_s(self, need: float, now: float) -> float:
        """Seconds until it holds so much."""
        if need <= self.level + 1e-9:
            return 0.0
        span = self.capacity / self.rate
        if self.window == "fixed":
            return span - now % span + 1e-6
        if self.window == "sliding":
            have = self.level
            for at, units in self.taken:
                have += units
                if have >= need - 1e-9:
                    return at + span - now + 1e-6
            return span
        return max(0.0, need - self.level) / self.rate


class Server:
    """One quota scope of an API."""

    def __init__(self, world: World, rng: random.Random, shape: Shape, scale: float = 1.0) -> None:
        self._world, self._rng, self.shape = world, rng, shape
        self.buckets: list[_Bucket] = []
        limits = {
            Bucket.REQUESTS: shape.rpm,
            Bucket.INPUT: shape.itpm,
            Bucket.OUTPUT: shape.otpm,
            Bucket.TOTAL: shape.tpm,
        }
        for kind, limit in limits.items():
            if limit is not None:
                self._add(kind, limit * scale, shape.burst_s, visible=True)
        for kind, least in ((Bucket.REQUESTS, 1.0), (Bucket.INPUT, 20_000.0)):
            limit = limits[kind]
            if shape.hidden_s is not None and limit is not None:
                self._add(kind, limit * scale, shape.hidden_s, visible=False, least=least)
        self._busy = 0
        self._owed = 0  # output of admitted rows that is yet to be charged
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._admitted: deque[float] = deque()
        self.exempt = False  # from the limit on growth; for the oracle
        for when, factor in shape.steps:
            world.at(when, self._step, factor)

    def _add(
        self, kind: Bucket, limit: float, burst_s: float, *, visible: bool, least: float = 1.0
    ) -> None:
        rate = limit / 60
        bucket = _Bucket(kind, rate, max(least, burst_s * rate), visible)
        bucket.scale(1.0)
        bucket.level = bucket.capacity
        bucket.window = self.shape.window
        self.buckets.append(bucket)

    def _step(self, factor: float) -> None:
        self._refill()
        for bucket in self.buckets:
            bucket.scale(factor)

    def _refill(self) -> None:
        for bucket in self.buckets:
            bucket.refill(self._world.now)

    def cost(self, row: Row, kind: Bucket) -> float:
        """What a row takes on admission."""
        output = row.max_tokens if self.shape.reserves else 0
        if kind is Bucket.REQUESTS:
            return 1
        if kind is Bucket.INPUT:
            return row.inputs
        return output if kind is Bucket.OUTPUT else row.inputs + output

    def _short_s(self, bucket: _Bucket, row: Row) -> float:
        need = min(self.cost(row, bucket.kind), bucket.capacity)
        if not self.shape.reserves and bucket.kind in (Bucket.OUTPUT, Bucket.TOTAL):
            need = max(need, 1.0)
        return bucket.short_s(need, self._world.now)

    def overload(self) -> float:
        """Share of requests refused for load just now."""
        now = self._world.now
        return next((p for a, z, p in self.shape.overload if a <= now < z), 0.0)

    def admit(self, row: Row) -> Answer:
        """Let a row in and charge it, or refuse it."""
        self._refill()
        share = self.overload()
        if share and (share >= 1 or self._rng.random() < share):
            return Answer(529)
        for start, end, most_s in self.shape.shut:
            if start <= self._world.now < end:
                wait_s = min(most_s, end - self._world.now)
                return Answer(429, self._quotas(), self._retry_after(wait_s))
        if self._grows_too_fast():
            return Answer(425, retry_after_s=None if self.shape.info == "none" else 1.0)
        waits = [(self._short_s(bucket, row), bucket) for bucket in self.buckets]
        wait, worst = max(waits, key=lambda pair: pair[0], default=(0.0, None))
        if wait > 1e-9 and worst is not None:
            for bucket in self.buckets:
                if bucket.kind is Bucket.REQUESTS and self.shape.reject_cost:
                    bucket.level = max(bucket.level - self.shape.reject_cost, -bucket.capacity)
            limit = worst.rate * 60 * self.shape.named
            hint = Quota(bucket=worst.kind, limit=limit, remaining=0.0)
            return Answer(
                429, self._quotas(), self._retry_after(wait), hint if self.shape.hints else None
            )
        for bucket in self.buckets:
            bucket.level -= self.cost(row, bucket.kind)
            if bucket.window == "sliding":
                bucket.taken.append((self._world.now, self.cost(row, bucket.kind)))
        if not self.shape.reserves:
            self._owed += row.output
        return Answer(200, self._quotas())

    def _grows_too_fast(self) -> bool:
        if self.shape.steepest is None or self.exempt:
            return False
        now, seen = self._world.now, self._admitted
        while seen and seen[0] < now - 2.0:
            seen.popleft()
        last = sum(t > now - 1.0 for t in seen)
        if last > 20 and last > self.shape.steepest * max(1, len(seen) - last):
            return True
        seen.append(now)
        return False

    def _retry_after(self, wait: float) -> float | None:
        if self.shape.info == "none":
            return None
        return float(math.ceil(wait)) if self.shape.retry_after == "seconds" else wait

    def _quotas(self) -> tuple[Quota, ...]:
        if self.shape.info != "full":
            return ()
        said = []
        for bucket in self.buckets:
            if bucket.visible:
                left = max(0.0, bucket.level)
                is_requests = bucket.kind is Bucket.REQUESTS
                left = int(left) if is_requests else round(left, _TOKEN_ROUNDING)
                full = math.ceil((bucket.capacity - bucket.level) / bucket.rate)
                resets = float(full) if self.shape.reset else None
                said.append(
                    Quota(
                        bucket=bucket.kind,
                        limit=bucket.rate * 60,
                        remaining=left,
                        resets_in_s=resets,
                    )
                )
        return tuple(said)

    def work(self, row: Row, finish: Callable[[], None]) -> None:
        """Work on an admitted row; `finish` is called when its answer is ready."""

        def over() -> None:
            self._settle(row)
            self._busy -= 1
            if self._waiting:
                latency, start = self._waiting.popleft()
                self._busy += 1
                self._world.after(latency, start)
            finish()

        if self.shape.slots is not None and self._busy >= self.shape.slots:
            self._waiting.append((row.latency_s, over))
        else:
            self._busy += 1
            self._world.after(row.latency_s, over)

    def _settle(self, row: Row) -> None:
        self._refill()
        if not self.shape.reserves:
            self._owed -= row.output
        for bucket in self.buckets:
            if bucket.kind in (Bucket.OUTPUT, Bucket.TOTAL):
                back = row.max_tokens - row.output if self.shape.reserves else -row.output
                bucket.level = min(bucket.capacity, bucket.level + back)

    def steal(self, seconds: float, share: float) -> None:
        """A competitor takes this share of every limit's refill in so many seconds, at once."""
        self._refill()
        for bucket in self.buckets:
            wanted = bucket.rate * share * seconds
            room = bucket.level + _STEAL_FLOOR * bucket.capacity
            bucket.level -= max(0.0, min(wanted, room))

    def wait_s(self, row: Row) -> float:
        """Seconds until a row would be let in; only the oracle may ask.

        Where output is charged at the end a server lets in more than it can pay for. That is
        debt, which a run of limited length never pays back, and no throughput: the oracle makes
        none.
        """
        self._refill()
        for start, end, _ in self.shape.shut:
            if start <= self._world.now < end:
                return end - self._world.now
        if self.overload() >= 1:  # a partial overload is not a closed door
            now = self._world.now
            return min(z for a, z, _ in self.shape.overload if a <= now < z) - now + 1e-6
        if self.shape.slots is not None and self._busy >= self.shape.slots:
            return 0.005
        return max((self._unpaid_s(bucket, row) for bucket in self.buckets), default=0.0)

    def _unpaid_s(self, bucket: _Bucket, row: Row) -> float:
        """Seconds until a bucket can pay for a row and for all output yet to be charged."""
        short_s = self._short_s(bucket, row)
        if self.shape.reserves or bucket.kind not in (Bucket.OUTPUT, Bucket.TOTAL):
            return short_s
        need = min(self.cost(row, bucket.kind) + row.output + self._owed, bucket.capacity)
        return max(short_s, (need - bucket.level) / bucket.rate)

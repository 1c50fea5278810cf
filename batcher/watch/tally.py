"""Running totals of a run, from its events: what progress, summary and run.json show."""

import math
from collections import Counter

from batcher import clock
from batcher.events import (
    ALL_KEYS,
    AttemptFailed,
    Event,
    KeyReturned,
    LimitChanged,
    Paused,
    RowSettled,
)
from batcher.records import FailureKind, Outcome, Status, Usage

_STEP = 1.05  # each latency bucket is 5 % wider than the one before
_LOWEST_S = 0.001
_BUCKETS_PER_E = 1 / math.log(_STEP)


class Latencies:
    """A histogram with constant memory; quantiles are right to 5 %."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.total = 0

    def add(self, seconds: float) -> None:
        """Count one latency."""
        bucket = int(math.log(seconds / _LOWEST_S) * _BUCKETS_PER_E) if seconds > _LOWEST_S else 0
        self._counts[bucket] += 1
        self.total += 1

    def quantile(self, share: float) -> float | None:
        """Seconds that `share` of the latencies do not exceed; None when there are none."""
        left = share * self.total
        for bucket in sorted(self._counts):
            left -= self._counts[bucket]
            if left <= 0:
                return _LOWEST_S * _STEP ** (bucket + 1)
        return None


class Tally:
    """Counts what happens; a listener for the run's events.

    Attributes:
        statuses: Rows settled by this run, by status.
        failures: Failed attempts, by kind.
        reasons: Rows that got no usable answer, by kind.
        state: What the rate controller last said.
        standstill: Until when (monotonic seconds) no key may be used, and why; None: some may.
    """

    def __init__(self) -> None:
        self.statuses: Counter[Status] = Counter()
        self.failures: Counter[FailureKind] = Counter()
        self.reasons: Counter[FailureKind] = Counter()
        self.latencies = Latencies()
        self.state: str | None = None
        self.standstill: tuple[float, str] | None = None
        self._input = self._output = self._read = self._written = 0

    def __call__(self, event: Event) -> None:
        """Take note."""
        if type(event) is RowSettled:
            self._settled(event.outcome)
            return
        match event:
            case AttemptFailed():
                self.failures[event.failure.kind] += 1
            case LimitChanged():
                self.state = event.reason
            case Paused():
                self.state = event.reason
                if event.scope == ALL_KEYS:
                    self.standstill = (clock.now() + event.wait_s, event.reason)
            case KeyReturned():
                self.standstill = None
            case _:
                pass

    @property
    def rows(self) -> int:
        """Rows settled by this run."""
        return sum(self.statuses.values())

    @property
    def usage(self) -> Usage:
        """Tokens this run's settled rows were billed for."""
        return Usage(
            input_tokens=self._input,
            output_tokens=self._output,
            cache_read_tokens=self._read,
            cache_write_tokens=self._written,
        )

    def _settled(self, outcome: Outcome) -> None:
        self.statuses[outcome.status] += 1
        if outcome.failure is not None:
            self.reasons[outcome.failure.kind] += 1
        if outcome.reply is None:
            return
        usage = outcome.reply.usage
        self._input += usage.input_tokens
        self._output += usage.output_tokens
        self._read += usage.cache_read_tokens
        self._written += usage.cache_write_tokens
        if outcome.attempts:
            self.latencies.add(outcome.attempts[-1].latency_s)

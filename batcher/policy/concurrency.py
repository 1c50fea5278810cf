"""How many requests at once: as many as make the server faster, and no more.

A server without a rate limit has a knee: beyond it, more in flight only wait longer. The
knee shows in throughput, not in latency, which follows the length of the answers. So the
limit doubles each round while it is what holds us back, and stops where doubling no longer
pays; from there it steps down until a step costs throughput, and stays one step above.
Every so often it looks whether more would pay again.

Throughput in flight n is n over the mean latency (Little), once counted in answers and once
in output tokens: a knee must show in both, because lengths of answers scatter.
"""

import math

from batcher.policy.ticket import Ticket

_FIRST = 16
_SAMPLES = 24  # answers a setting is judged by, at least
_PAYS = 0.4  # growth of throughput per growth in flight, both as logarithms
_STEP = 0.7
_ROOM = 1.25  # above the smallest number that is as fast as any
_FIRST_HOLD_S = 60.0
_LONGEST_HOLD_S = 600.0


class _Setting:
    """Answers of attempts that ran into one setting of the limit."""

    __slots__ = ("answers", "flight", "latency_s", "tokens")

    def __init__(self) -> None:
        self.answers = 0
        self.flight = self.latency_s = self.tokens = 0.0

    def add(self, ticket: Ticket, latency_s: float, tokens: float) -> None:
        self.answers += 1
        self.flight += ticket.in_flight
        self.latency_s += latency_s
        self.tokens += tokens

    def pays(self, less: "_Setting") -> bool:
        """Whether this setting earns its greater number in flight, compared with `less`."""
        more_flight = (self.flight / self.answers) / (less.flight / less.answers)
        if more_flight < 1.1:
            return True
        slower = (self.latency_s / self.answers) / max(1e-9, less.latency_s / less.answers)
        gain = more_flight / max(1e-9, slower)
        if self.tokens and less.tokens:
            slower *= (less.tokens / less.answers) / (self.tokens / self.answers)
            gain = max(gain, more_flight / max(1e-9, slower))
        return math.log(gain) > _PAYS * math.log(more_flight)


class Concurrency:
    """Learns the limit of attempts in flight, up to the operator's ceiling.

    Attributes:
        limit: Attempts that may be in flight.
        era: Counts the settings tried; tickets carry it.
    """

    __slots__ = (
        "_before",
        "_ceiling",
        "_down",
        "_hold_s",
        "_knee_known",
        "_limit",
        "_look_at",
        "_now",
        "_start",
        "era",
        "limit",
    )

    def __init__(self, ceiling: int) -> None:
        self._ceiling = max(1, ceiling)
        self._limit = float(min(_FIRST, self._ceiling))
        self.limit = int(self._limit)
        self.era = 0
        self._start = self._limit  # where this era began
        self._now = _Setting()
        self._before: _Setting | None = None
        self._down = False
        self._knee_known = False
        self._hold_s = _FIRST_HOLD_S
        self._look_at = math.inf  # holding until then, when finite

    def answered(self, ticket: Ticket, latency_s: float, tokens: float, now: float) -> str | None:
        """Learn from an answer to an attempt that met the limit; returns a change in words."""
        if self._look_at < math.inf:
            if now < self._look_at:
                return None
            return self._explore()
        if ticket.era == self.era:
            self._now.add(ticket, latency_s, tokens)
        if self._down:
            return self._descend(now)
        return self._climb()

    def _climb(self) -> str | None:
        current, before = self._now, self._before
        enough = current.answers >= max(_SAMPLES, 0.5 * self._limit)
        if before is not None and enough and not current.pays(before):
            self._before = current
            self._down = True
            return self._set(before.flight / before.answers)
        if self._limit >= self._ceiling:
            if enough and before is not None:
                self._before = None  # the ceiling pays; judged once
            return None
        if self._knee_known and self._limit >= 2.0 * self._start and not enough:
            return None  # one doubling at a time where a knee was found before
        self._limit = min(self._ceiling, self._limit + 1.0)
        self.limit = int(self._limit)
        if self._limit >= 2.0 * self._start and enough:
            self._before = current
            self._begin(self._limit)
        return None

    def _descend(self, now: float) -> str | None:
        current, before = self._now, self._before
        if current.answers < max(_SAMPLES, 2 * self.limit):
            return None
        if before is not None and before.pays(current):
            return self._hold(before.flight / before.answers, now)
        self._before = current
        if self.limit <= 1:
            return self._hold(1.0, now)
        return self._set(min(self._limit - 1.0, self._limit * _STEP))

    def _hold(self, enough: float, now: float) -> str:
        self._knee_known = True
        self._look_at = now + self._hold_s
        self._hold_s = min(_LONGEST_HOLD_S, 2.0 * self._hold_s)
        limit = math.ceil(_ROOM * enough)
        self._begin(float(min(limit, self._ceiling)))
        return f"knee: more than {self.limit} in flight make the server no faster"

    def _explore(self) -> str:
        self._look_at = math.inf
        self._down = False
        self._before = None
        self._begin(self._limit)
        return f"looking whether more than {self.limit} in flight are faster now"

    def _set(self, limit: float) -> str:
        was = self.limit
        self._begin(max(1.0, limit))
        return f"in flight {was} is no faster: trying {self.limit}"

    def _begin(self, limit: float) -> None:
        self.era += 1
        self._limit = self._start = limit
        self.limit = max(1, int(limit))
        self._now = _Setting()

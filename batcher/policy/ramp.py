"""How fast the first requests may follow one another.

Providers refuse usage that grows too sharply, and a short bucket that overflows answers
every surplus request with a 429. So the rate doubles in even steps, and more gently once
a single feedback delay would let many refusals through.
"""

import math

_START_PER_S = 8.0
_DOUBLING_S = 1.0  # of a server that answers in a tenth of a second or more
_FEEDBACKS_PER_DOUBLING = 10.0  # a faster server tells sooner that it is too much
_KNEE_PER_S = 100.0
_BLIND_REQUESTS = 10.0  # above this many sent within one feedback delay, growth is gentle
_GENTLE_DOUBLING_S = 4.0
_SLOWER = 2.0
_SLOWEST_S = 60.0
_ENOUGH_PER_S = 20_000.0
_AHEAD = 4.0  # of what was really sent: where something else holds us back, do not run on
_DIP_S = 0.05  # a sender woken late may catch up by this much


class Ramp:
    """Paces sending while nothing better is known.

    Attributes:
        next_at: The next request may go then.
        ceiling: Highest useful rate, requests a second.
        fastest_s: Time the quickest answer took.
        is_over: The rate has grown beyond any use; pacing has stopped.
    """

    __slots__ = (
        "_count",
        "_doubling_s",
        "_per_s",
        "_set_at",
        "ceiling",
        "fastest_s",
        "is_over",
        "next_at",
    )

    def __init__(self) -> None:
        self._per_s = _START_PER_S
        self._doubling_s = _DOUBLING_S
        self.fastest_s = math.inf
        self._set_at = -math.inf
        self._count = 0  # sent since
        self.next_at = -math.inf
        self.ceiling = math.inf
        self.is_over = False

    def sent(self, now: float) -> None:
        """A request goes now; the next may follow after the interval of the present rate."""
        if self.is_over:
            return
        self._count += 1
        per_s = self.per_s(now)
        base = self.next_at if self.next_at > now - _DIP_S else now - _DIP_S
        self.next_at = (base if self._set_at < now else now) + 1.0 / per_s
        if per_s > _ENOUGH_PER_S:
            self.is_over = True

    def per_s(self, now: float) -> float:
        """The rate reached by now; the first question starts the ramp."""
        since = now - self._set_at
        if since > 0.2 or since < 0.0:
            self._grow(now, since)
        return self._per_s if self._per_s < self.ceiling else self.ceiling

    def _grow(self, now: float, since: float) -> None:
        self._set_at = now
        count, self._count = self._count, 0
        if since == math.inf or _AHEAD * count < self._per_s * since:
            return
        knee = max(_KNEE_PER_S, _BLIND_REQUESTS / self.fastest_s)
        swift = max(0.1, min(1.0, _FEEDBACKS_PER_DOUBLING * self.fastest_s)) * self._doubling_s
        doubling = swift if self._per_s < knee else max(swift, _GENTLE_DOUBLING_S)
        self._per_s *= 2.0 ** min(10.0, min(since, 2.0) / doubling)

    def answered(self, latency_s: float) -> None:
        """The fastest answer bounds the feedback delay."""
        if 0.0 < latency_s < self.fastest_s:
            self.fastest_s = latency_s

    def slow(self, per_s: float, now: float) -> None:
        """The server finds growth too sharp: go on from `per_s`, and more gently."""
        self._doubling_s = min(_SLOWEST_S, self._doubling_s * _SLOWER)
        self.restart(per_s, now)

    def restart(self, per_s: float, now: float) -> None:
        """Grow again from `per_s`."""
        self._per_s = max(0.1, per_s)
        self._set_at = now
        self.is_over = False

"""What came back while so many were in flight, and whether more of them pay.

Throughput is counted in answers and in output tokens, half and half: some servers take equally
long for every answer, others for every token, and counted in the wrong unit it scatters with
the lengths of the answers.
"""

import math

AT_ONCE_S = 0.05  # answers this quick queue for nobody: what limits us then is our own speed
_MORE = 1.1  # times as many in flight; less is the same setting again


class Setting:
    """What came back under one setting of the limit, since it was first met.

    Attributes:
        since: When counting began; never, if infinite.
        until: When the last answer came.
        answers: How many came.
        flight: Sum of the numbers in flight they saw.
        tokens: Their output.
    """

    __slots__ = ("answers", "flight", "since", "tokens", "until")

    def __init__(self) -> None:
        self.since = math.inf
        self.until = 0.0
        self.answers = 0
        self.flight = self.tokens = 0.0

    def add(self, in_flight: int, tokens: float, now: float) -> None:
        """Count an answer; `in_flight` includes it."""
        if now > self.since:
            self.until = now
            self.answers += 1
            self.flight += in_flight
            self.tokens += tokens

    @property
    def mean_flight(self) -> float:
        """Attempts in flight, seen by the answers."""
        return self.flight / self.answers

    @property
    def lasted_s(self) -> float:
        """Seconds it was counted for."""
        return max(1e-9, self.until - self.since)

    @property
    def latency_s(self) -> float:
        """Mean time of an answer, by Little's law."""
        return self.mean_flight * self.lasted_s / self.answers

    def gain(self, less: "Setting") -> float:
        """Throughput as a multiple of that of another setting."""
        answers = self.answers / less.answers
        both = self.tokens + less.tokens
        # In units of the mean length over both.
        mean = both / (self.answers + less.answers) if both else 1.0
        work = (self.answers + self.tokens / mean) / (less.answers + less.tokens / mean)
        return (work if both else answers) * less.lasted_s / self.lasted_s

    def absorb(self, other: "Setting") -> None:
        """Take in what came back under another setting that was as fast."""
        self.flight += self.mean_flight * other.answers
        self.answers += other.answers
        self.tokens += other.tokens
        self.since -= other.lasted_s

    def halve(self) -> None:
        """Forget half of it, so that what comes now tells."""
        self.answers //= 2
        self.flight *= 0.5
        self.tokens *= 0.5
        self.since = self.until - 0.5 * self.lasted_s

    def pays(self, less: "Setting", growth: float) -> bool:
        """Whether this setting earns its greater number in flight, compared with `less`.

        Args:
            less: Fewer in flight.
            growth: Wanted of throughput, per growth in flight, both as logarithms.
        """
        if self.latency_s < AT_ONCE_S:
            return True
        more_flight = self.mean_flight / less.mean_flight
        return more_flight < _MORE or self.gain(less) > more_flight**growth

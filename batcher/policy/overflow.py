"""Notices a bucket so small that it runs over while an estimate is held.

Then less is let through between two refusals than is refilled, and the estimate stays too low
for good: probe after probe gets far above it before it is refused. In a deeper bucket so does
a probe that spends what the hold has saved. Which it is, a trial tells: at a rate half-way to
where the probes end, a small bucket lets that much through, and a deeper one the old rate.
"""

import math

_FAR = 1.25  # times the estimate: where a probe ends that is no slip
_ALIKE = 0.05  # by how much estimates may differ that stay the same
_FIRST_PATIENCE = 3  # such probes in a row before a trial; twice as many after each that failed
_ROOM = 4.0  # attempts; a bucket that was seen to hold more is not small
_BELOW = 0.97
_LET_IN = 0.95  # of the rate that is tried


class Overflow:
    """Watches the probes of one limit.

    Attributes:
        is_certain: The last trial was let through: the bucket is small.
    """

    __slots__ = ("_alike", "_held", "_patience", "_trial", "_was", "is_certain")

    def __init__(self) -> None:
        self.is_certain = False
        self._alike = 0
        self._held = 0.0  # attempts, at least
        self._patience = _FIRST_PATIENCE
        self._trial = 0.0
        self._was = 0.0

    @property
    def is_trying(self) -> bool:
        """Whether the rate is a trial."""
        return self._trial > 0.0

    def refused(self, rate: float, pace: float, held: float) -> float | None:
        """After a probe that ended at `pace`: the rate to try instead of the estimate, if any.

        Args:
            rate: The estimate, from what was let in since the probe before.
            pace: At which the refused attempt was sent.
            held: Attempts the bucket had when the probe began, at least.
        """
        self._held = max(self._held, held)
        trial, self._trial = self._trial, 0.0
        self.is_certain = rate > _LET_IN * trial > 0.0
        if trial:
            self._alike = 0
            self._patience *= 2
            return None
        same = abs(rate - self._was) < _ALIKE * rate
        self._was = rate
        self._alike = self._alike + 1 if same and pace > _FAR * rate else 0
        if self._alike < self._patience or self._held > _ROOM:
            return None
        self._trial = _BELOW * math.sqrt(rate * pace)
        return self._trial

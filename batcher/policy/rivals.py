"""Whether others draw on the same quota, and how to share it with them.

Refusals that nothing we did explains, again and again, are others'. Then the estimates are
left, and the rate grows steadily and is cut at every refusal, as TCP does. Who sends more is
refused more often, and who sends less grows faster, so shares even out.
"""

import math

_SURPRISE = 0.1
_SURPRISE_OF_SIZES = 0.2  # prompts of all sizes make refusals scatter
_STRIFE = 1.8
_STRIFE_OF_SIZES = 2.8
_QUIET = 0.3
_PEACE_S = 40.0
_EXPECTED = 0.7  # is left of the strife after a refusal that is no surprise
_ONE_STEP_S = 3.0  # within it a quota that changed is found ...
_ONE_STEP = 25.0  # ... or within so many attempts
_AGREED = 6
_YIELD = 0.7
_GROWTH = 0.06  # a second, of a rate that is at its peak
_PEAK_KEPT = 0.97


class Rivals:
    """Notices strangers by refusals that surprise.

    Attributes:
        are_there: The quota is shared.
        are_known: It is, with clients whose share is agreed upon in other ways.
    """

    __slots__ = ("_at", "_odd_at", "_peak", "_strife", "are_known", "are_there")

    def __init__(self) -> None:
        self.are_there = False
        self.are_known = False
        self._peak = 0.0  # highest rate proven of late: the scale of growth
        self._strife = 0.0  # refusals of late that nothing we did explains
        self._at = 0.0
        self._odd_at = -math.inf

    @property
    def are_unlikely(self) -> bool:
        """Whether next to nothing of late was odd."""
        return not self.are_there and self._strife < _QUIET

    def proven(self, rate: float) -> None:
        """So much was let through."""
        self._peak = max(_PEAK_KEPT * self._peak, rate)

    def pace(self, rate: float, since_s: float) -> float:
        """What to send of a shared quota, so long after a cut to `rate`."""
        return rate + _GROWTH * math.sqrt(rate * self._peak) * since_s

    def agreed(self, refusals: int, pace: float) -> float | None:
        """After a refusal while sharing: the rate to go on from; None when all were ours.

        Args:
            refusals: How many of the newest agree on one rate.
            pace: At which we were sending.
        """
        if refusals >= _AGREED:
            self.are_there = False
            self._strife = 0.0
            return None
        return _YIELD * pace

    def refused(
        self,
        rate: float,
        was: float,
        now: float,
        *,
        per_s: float,
        is_probe: bool,
        of_sizes: bool,
        is_sure: bool,
    ) -> None:
        """A refusal moved the estimate from `was` to `rate`.

        Args:
            rate: The estimate now.
            was: The estimate before.
            now: Monotonic seconds.
            per_s: The estimate now, in attempts a second.
            is_probe: We were looking for it.
            of_sizes: Prompts of all sizes are counted.
            is_sure: The estimate before had been proven.
        """
        self._strife *= 0.5 ** ((now - self._at) / _PEACE_S)
        self._at = now
        least = _SURPRISE_OF_SIZES if of_sizes else _SURPRISE
        surprise = abs(math.log(max(rate, 1e-9) / was)) > least
        is_odd = is_sure and (surprise or not (is_probe or of_sizes))
        step_s = max(_ONE_STEP_S, _ONE_STEP / per_s)
        if is_odd and now > self._odd_at + step_s:  # a step of the quota is odd only once
            self._strife += 1.0
            self._odd_at = now
        elif not is_odd:
            self._strife *= _EXPECTED
        self.are_there = not self.are_known and self._strife > (
            _STRIFE_OF_SIZES if of_sizes else _STRIFE
        )

"""What may be sent now of a rate, as far as we know.

It fills at the pace we send at, and with what is refilled while nothing may be sent. What was
saved up is spent faster than the rate, but one attempt after another: order survives the way.
"""

import math

_DIP_S = 0.02  # a sender woken late may catch up by this much
_CAUTION_S = 0.25  # between the first attempts after a guess: refusals come sooner
_LESS_CAUTION = 0.6


class Allowance:
    """Our reckoning of a bucket, in units.

    Attributes:
        level: Units that may be sent; negative after a refusal.
        at: When it was that.
        next_at: No attempt goes before.
        biggest: Of the attempts of late.
        paused_until: The server lets nothing in until then.
    """

    __slots__ = (
        "_caution_s",
        "at",
        "biggest",
        "level",
        "next_at",
        "paused_until",
    )

    def __init__(self) -> None:
        self.level = 0.0
        self.at = 0.0
        self.next_at = -math.inf
        self.biggest = 1.0
        self.paused_until = -math.inf
        self._caution_s = 0.0

    def fill(self, pace: float, most: float, now: float) -> None:
        """So many units a second have come since, up to `most` in all."""
        level = self.level
        if level < most:
            self.level = min(most, level + pace * (now - self.at))
        self.at = now

    def save(self, per_s: float, holds: float, least: float | None, now: float) -> None:
        """What was refilled during a pause has come too.

        Args:
            per_s: Units a second that were refilled.
            holds: No more than that is kept.
            least: Where the rate is unsure, no more than this.
            now: Monotonic seconds.
        """
        until = min(now, self.paused_until)
        level = self.level
        saved = level + per_s * (until - self.at)
        if least is not None:
            saved = max(level, min(saved, least))
        self.level = min(saved, holds)
        self.at = until

    def take(self, cost: float, spread: float, peak: float, now: float) -> None:
        """An attempt goes now.

        Args:
            cost: Units it takes.
            spread: So many of them keep the next one waiting ...
            peak: ... at this rate.
            now: Monotonic seconds.
        """
        self.level -= cost
        self.next_at = max(self.next_at, now - _DIP_S) + spread / peak
        if self._caution_s > _DIP_S:
            self.next_at = max(self.next_at, now + self._caution_s)
            self._caution_s *= _LESS_CAUTION
        self.biggest = max(cost, self.biggest * 0.999)

    def restart(self, level: float, now: float, *, is_sure: bool) -> None:
        """A refusal has shown what there is; go on with care where the rate is a guess."""
        self.level, self.at = level, now
        self._caution_s = 0.0 if is_sure else _CAUTION_S

    def shut(self, until: float) -> None:
        """Nothing is let in until then."""
        self.level, self.at = 0.0, until
        self.next_at = max(self.next_at, until)
        self._caution_s = _CAUTION_S

    def pause(self, until: float) -> None:
        """Nothing is sent until then."""
        self.paused_until = max(self.paused_until, until)

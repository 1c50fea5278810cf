"""Whether a limit is still what it was named: nobody says when it is raised.

The text of a 429 is exact when it is said, and a run that keeps to it is never refused again.
So it is kept to for a while and then exceeded ever faster, until a refusal names it anew or
the run needs no more.
"""

import math

from batcher.policy.brim import Brim
from batcher.policy.hold import Hold
from batcher.policy.proof import Proof


class Doubt:
    """Doubts one limit that is known from the text of a 429 alone.

    Attributes:
        until: Until then it is kept to.
        brim: What its bucket holds.
        proof: Whether it can be true.
    """

    __slots__ = ("_forgives", "_hold", "_rate", "brim", "proof", "until")

    def __init__(self, proof: Proof) -> None:
        self._hold = Hold()
        self._rate = 0.0
        self._forgives = False
        self.until = math.inf
        self.brim = Brim()
        self.proof = proof

    def named(self, rate: float, per_s: float, sent: float, now: float, *, anew: bool) -> bool:
        """A 429 names it; returns whether that explains the refusal.

        One of a cluster is explained by the first, and the first after that by what the
        cluster used up.

        Args:
            rate: Units a second.
            per_s: The same in attempts.
            sent: When the refused attempt was sent.
            now: Monotonic seconds.
            anew: More than this was being sent, or less.
        """
        is_first = self._hold.takes(sent, now)
        if is_first or anew:
            self._rate = rate
            self._hold.restart(rate, per_s, math.inf, now, alike=False, period_s=0.0)
            self.until = self._hold.ends_at
        is_explained = anew or not is_first or self._forgives
        if is_first:
            self._forgives = anew
        return is_explained

    def pace(self, now: float) -> float:
        """What to send at `now`, units a second."""
        return max(self._rate, self._hold.pace(self._rate, 0.0, now))

    def sent(self, level: float, now: float) -> None:
        """An attempt goes, out of so much."""
        self.brim.sent(level)
        self._hold.sent(0.0, now)
        self.until = self._hold.ends_at

    def rest(self, rate: float, now: float) -> None:
        """No quota holds us back at the rate in force: it will do for now."""
        self._rate = max(self._rate, rate)
        self._hold.resume(now)
        self.until = self._hold.ends_at

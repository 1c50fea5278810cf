"""Whether what is missing from a bucket has run over, or others have taken it.

Both leave less than we reckon. Only a full bucket runs over, and headers then show as much as
ever; others who use it keep it from being full.
"""

_MOSTLY = 0.5  # of what was missing, with as much left as ever
_ENOUGH_S = 1.0  # of refill, before that says anything
_TAU_S = 10.0


class Spill:
    """Weighs what is missing by how full the bucket was.

    Attributes:
        is_proven: It runs over when it holds as much as was ever seen.
    """

    __slots__ = ("_at", "_full", "_missing", "is_proven")

    def __init__(self) -> None:
        self._at = self._full = self._missing = 0.0
        self.is_proven = False

    def missing(self, seconds: float, now: float, *, is_full: bool) -> bool:
        """So many seconds of refill are missing; returns whether they ran over."""
        kept = max(0.0, 1.0 - (now - self._at) / _TAU_S)
        self._at = now
        self._missing = self._missing * kept + seconds
        self._full = self._full * kept + seconds * is_full
        if self._missing > _ENOUGH_S:
            self.is_proven = self._full > _MOSTLY * self._missing
        return self.is_proven and is_full

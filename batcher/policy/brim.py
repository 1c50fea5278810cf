"""How much a bucket holds whose limit only the text of a 429 names: no text says it.

What is refilled beyond it runs over, and then there is less than we reckon. A refusal shows
by how much, and so where the brim is.
"""

_FEW = 4  # attempts between two refusals; fewer tell of a debt rather than of the brim


class Brim:
    """Watches the level we reckon with between two refusals.

    Attributes:
        known_at: When the attempt was sent whose refusal last told the level.
    """

    __slots__ = ("_count", "_highest", "known_at")

    def __init__(self) -> None:
        self._highest = 0.0
        self._count = 0
        self.known_at = 0.0

    def sent(self, level: float) -> None:
        """An attempt goes, out of so much."""
        self._count += 1
        self._highest = max(self._highest, level)

    def emptied(self, level: float, sent: float) -> None:
        """A refusal of what was sent then tells the level."""
        self._highest = level
        self._count = 0
        self.known_at = sent

    def at_most(self, off: float) -> float | None:
        """What the bucket holds if `off` units ran over; None when too little was sent to tell."""
        return self._highest - off if self._count >= _FEW else None

"""Whether more is let in than a limit allows that the text of a 429 names.

One of several servers behind an address names its own limit, and a text may be plainly wrong.
What is let in cannot be more than a limit, whatever enforces it, but for what a minute saved.
"""

_EXACT = 1.05  # times the limit: clocks and counts differ a little
_SAVED = 0.6  # of a minute's worth; the refusal that named it says that little was left
_FEW = 2.0  # attempts more, the biggest of them: one may have gone into debt


class Proof:
    """Counts what is let in since a limit was named.

    Args:
        limit: Units a minute.
        since: When the attempt was sent whose refusal named it.
    """

    __slots__ = ("_biggest", "_per_s", "_saved", "_since", "_units")

    def __init__(self, limit: float, since: float) -> None:
        self._per_s = _EXACT * limit / 60.0
        self._saved = _SAVED * limit
        self._since = since
        self._units = self._biggest = 0.0

    def named(self, sent: float, now: float) -> None:
        """It is named again: where little was sent there is nothing to be held against it."""
        if self._units < self._per_s * (now - self._since) - self._saved:
            self._since = sent
            self._units = 0.0

    def let_in(self, units: float, sent: float) -> None:
        """An attempt was answered."""
        if sent > self._since:
            self._units += units
            self._biggest = max(self._biggest, units)

    def is_refuted(self, now: float) -> bool:
        """Whether it cannot be what is enforced."""
        most = self._saved + self._per_s * (now - self._since) + _FEW * self._biggest
        return self._units > most

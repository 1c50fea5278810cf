"""Paces a bucket that holds a single attempt, or little more, by the time between two.

Such a bucket ("60 a minute, enforced as one a second") is full again at every attempt that
comes late and refuses every one that comes early, so that what was let in says little about
its rate. The spacing is searched instead: wider at a refusal, narrower after many attempts
without one, in steps that shrink as the search turns.

Several refusals in a row may be those of a server that lets in nobody for a while: after the
first such time the search goes on where it was.
"""

import math

_FIRST_STEP = 1.6  # as a factor of the rate
_KNOWN_STEP = 1.03  # where the server has told it: jitter on the way is all there is to learn
_LEAST_STEP = 1.01
_GREATEST_STEP = 1.5  # upwards: a greater quota is neared quickly, not leapt to
_SHORT = 8  # attempts that prove a rate while the search is on ...
_LONG = 80  # ... and when it has come to rest: one refusal each ...
_KNOWN_LONG = 240  # ... where the server has told the rate, of which little can be missing
_AT_REST = 1.03  # a step
_AGAIN = 0.1  # refused this near to where it was refused before: the search goes in circles
_ANOTHER = 0.1  # share of a rate that was told by which it changes
_SLOWEST_PER_S = 1.0 / 60.0
_SHUT = 3  # refusals in a row: not this rate alone was too much ...
_OFTEN = 16  # ... unless no more than so many attempts go in between
_OUTGROWN = 3.0  # of the rates that were refused: the limit is another now


class Spacing:
    """Searches the rate of a bucket of one.

    Args:
        rate: Where to begin, attempts a second.
        ceiling: What the server has told, and no faster than that.
        returns: How often it was begun again after it was outgrown.

    Attributes:
        rate: Attempts a second to send.
    """

    __slots__ = (
        "_before",
        "_ceiling",
        "_count",
        "_is_up",
        "_last",
        "_outgrown",
        "_patience",
        "_refused",
        "_refused_at",
        "_row",
        "_shut_at",
        "_since_shut",
        "_step",
        "rate",
    )

    def __init__(self, rate: float, *, ceiling: float = math.inf, returns: int = 0) -> None:
        self.rate = rate
        self._ceiling = ceiling
        self._step = _FIRST_STEP if math.isinf(ceiling) else _KNOWN_STEP
        self._before = rate
        self._is_up = False  # the last change made it faster
        self._count = 0
        self._patience = _SHORT
        self._outgrown = _OUTGROWN ** (1 + returns)
        self._last = math.inf  # the rate that was refused last
        self._refused = math.inf  # the highest rate that was too much, of late
        self._refused_at = -math.inf
        self._row = 0  # refusals since something was let in
        # Attempts since the last time nobody was let in; what is told needs no proof.
        self._since_shut = 0 if math.isinf(ceiling) else _OFTEN
        self._shut_at = rate  # the rate then

    @property
    def is_outgrown(self) -> bool:
        """Whether much more than was refused once is let in: it may hold more by now."""
        return self.rate > self._outgrown * self._refused

    def is_told_otherwise(self, rate: float) -> bool:
        """Whether the server tells another rate now than when this search began."""
        return math.isfinite(self._ceiling) and abs(rate - self._ceiling) > _ANOTHER * self._ceiling

    def answered(self, sent: float) -> None:
        """An attempt that was sent then was let in."""
        if self._row and sent > self._refused_at:
            self._let_in()

    def _let_in(self) -> None:
        """Somebody is let in again; where nobody was for a while, go on as before."""
        if self._row >= _SHUT and self._since_shut >= _OFTEN:
            self.rate, self._step = self._shut_at, _FIRST_STEP
            self._since_shut = 0
        self._row = 0

    def sent(self) -> None:
        """An attempt goes now; after enough without a refusal they follow closer."""
        if self._count and self._row:
            self._let_in()  # the one before: a refusal would have come by now
        self._count += 1
        self._since_shut += 1
        if self._count <= self._patience or self.rate >= self._ceiling:
            return
        self._count = 0
        self._patience = _SHORT
        if self._is_up:
            self._step = min(_GREATEST_STEP, self._step * self._step)
        else:
            self._step = max(_LEAST_STEP, self._step**0.5)
        self._is_up = True
        self._before = self.rate
        self.rate = min(self._ceiling, self.rate * self._step)

    def refused(self, now: float) -> None:
        """An attempt came too soon after the one before."""
        self._refused_at = now
        self._row += 1
        if self._row == 1:
            self._shut_at = self.rate
        is_near = abs(self.rate - self._last) < _AGAIN * self.rate
        is_again = is_near and (self._is_up or math.isinf(self._ceiling))  # known steps are small
        self._last = self.rate
        is_first = math.isinf(self._refused) or self._step < _AT_REST
        self._refused = self.rate if is_first else max(self._refused, self.rate)
        if self._is_up:
            self._is_up = False
            self.rate = self._before
            self._step = max(_LEAST_STEP, self._step**0.5)
        else:
            self.rate = max(min(self.rate, _SLOWEST_PER_S), self.rate / self._step)
            self._step = min(_FIRST_STEP, self._step * self._step)
        self._count = 0
        long = _LONG if math.isinf(self._ceiling) else _KNOWN_LONG
        self._patience = long if is_again or self._step < _AT_REST else _SHORT

"""Whether a server sets max_tokens aside on admission, or charges output as it is generated.

The vendors' documents have said both. So both are reckoned: at most how much can be left if it
does, and if it does not. A header that says there is more refutes the one or the other. Nothing
else counts, since other clients, lost refill and charges we have not heard of leave less.

Until a server has shown otherwise, output counts as set aside: that is the safe error.
"""

import math

from batcher.policy.ticket import INPUT, OUTPUT, Ticket

_ROUNDING = 2000.0  # tokens: headers give thousands, and two of them are compared
_WAY_S = 0.1  # an answer is heard of that much after its output was charged, or given back
_ENOUGH = 4  # refutations
_GAIN = 0.02


class Reserving:
    """Compares what is left with what could be.

    Attributes:
        is_on: Output is set aside on admission.
    """

    __slots__ = ("_free", "_last", "_rate", "_refuted", "_reserved", "_tokens", "_work_s", "is_on")

    def __init__(self) -> None:
        self.is_on = True
        self._reserved = self._free = math.inf  # left at most, if set aside and if not
        self._refuted = 0
        self._last: Ticket | None = None
        self._rate = 0.0
        self._tokens = self._work_s = 0.0  # of an answer; seconds are weighed by tokens

    def answered(self, tokens: float, latency_s: float) -> None:
        """Note how long output takes."""
        self._tokens += _GAIN * (tokens - self._tokens)
        self._work_s += _GAIN * (tokens * latency_s - self._work_s)

    @property
    def lasts_s(self) -> float:
        """Seconds an answer takes, the average over tokens: long answers weigh more."""
        return self._work_s / max(1.0, self._tokens)

    def read(
        self, ticket: Ticket, left: float, *, rate: float, capacity: float, index: int
    ) -> bool:
        """Compare with earlier headers; returns whether the verdict has changed.

        Args:
            ticket: The attempt whose response carried the header.
            left: What was left when it was let in, itself charged.
            rate: Units a second that flow in.
            capacity: Units the bucket holds.
            index: Which quota, of output or of all tokens.
        """
        last = self._last
        if last is None or rate != self._rate:
            self._last, self._rate = ticket, rate
            self._reserved = self._free = left
            return False
        if ticket.sent <= last.sent:
            return False
        self._last = ticket
        more = rate * (ticket.sent - last.sent) - (ticket.generated - last.generated)
        if index != OUTPUT:
            more -= ticket.total[INPUT] - last.total[INPUT]
        reserved = min(capacity, self._reserved + more - (ticket.asked - last.asked))
        free = min(capacity, self._free + more)
        unheard = ticket.in_flight * min(1.0, _WAY_S / max(1e-3, self.lasts_s))
        doubt = _ROUNDING + ticket.max_tokens * (1.0 + 3.0 * unheard)
        refutes_reserved, refutes_free = left > reserved + doubt, left > free + doubt
        self._reserved = left if refutes_reserved else min(reserved, left)
        self._free = left if refutes_free else min(free, left)
        if refutes_reserved == refutes_free:
            return False  # neither; or both, and so something else: a quota that starts anew
        was = self.is_on
        self._refuted = self._refuted + 1 if refutes_reserved else 0
        self.is_on = self._refuted < _ENOUGH
        return self.is_on != was

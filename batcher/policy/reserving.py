"""Whether a server sets max_tokens aside on admission, or charges output as it is generated.

The vendors' documents have said both. So both are reckoned: at most how much can be left if it
does, and if it does not. A header that says there is more refutes the one or the other. Nothing
else counts, since other clients, lost refill and charges we have not heard of leave less.

Until a server has shown otherwise, output counts as set aside: that is the safe error.
"""

import math

from batcher.policy.dimension import Dimension
from batcher.policy.ticket import INPUT, OUTPUT, Ticket

_ROUNDING = 2000.0  # tokens: headers give thousands, and two of them are compared
_WAY_S = 0.1  # an answer is heard of that much after its output was charged, or given back
_EVERY_S = 0.05
_ENOUGH = 4  # refutations
_GAIN = 0.02


class Reserving:
    """Compares what is left with what could be.

    Attributes:
        is_on: Output is set aside on admission.
        next_at: Headers of attempts sent before are of no interest.
    """

    __slots__ = (
        "_free",
        "_last",
        "_rate",
        "_refuted",
        "_reserved",
        "_tokens",
        "_work_s",
        "is_on",
        "next_at",
    )

    def __init__(self) -> None:
        self.is_on = True
        self.next_at = -math.inf
        self._reserved = self._free = math.inf  # left at most, if set aside and if not
        self._refuted = 0
        self._last: Ticket | None = None
        self._rate = 0.0
        self._tokens = self._work_s = 0.0  # of an answer; seconds are weighed by tokens

    def read(
        self,
        ticket: Ticket,
        left: float,
        dimension: Dimension,
        *,
        tokens: int | None,
        latency_s: float,
    ) -> None:
        """Compare with earlier headers.

        Args:
            ticket: The attempt whose response carried the header.
            left: What was left when it was let in, itself charged.
            dimension: The quota, of output or of all tokens.
            tokens: Output of the answer, if it was one.
            latency_s: Seconds it took.
        """
        if tokens is not None:
            self._tokens += _GAIN * (tokens - self._tokens)
            self._work_s += _GAIN * (tokens * latency_s - self._work_s)
        last, rate = self._last, dimension.rate
        self._last = ticket
        self.next_at = ticket.sent + _EVERY_S
        if last is None or rate != self._rate:
            self._rate = rate
            self._reserved = self._free = left
            return
        more = rate * (ticket.sent - last.sent) - (ticket.generated - last.generated)
        if dimension.index != OUTPUT:
            more -= ticket.total[INPUT] - last.total[INPUT]
        asked = ticket.asked - last.asked
        self._compare(ticket, left, self._reserved + more - asked, self._free + more, dimension)

    def _compare(
        self, ticket: Ticket, left: float, reserved: float, free: float, dimension: Dimension
    ) -> None:
        reserved, free = min(dimension.capacity, reserved), min(dimension.capacity, free)
        lasts_s = self._work_s / max(1.0, self._tokens)
        unheard = ticket.in_flight * min(1.0, _WAY_S / max(1e-3, lasts_s))
        doubt = _ROUNDING + ticket.max_tokens * (1.0 + 3.0 * unheard)
        refutes_reserved, refutes_free = left > reserved + doubt, left > free + doubt
        self._reserved = left if refutes_reserved else min(reserved, left)
        self._free = left if refutes_free else min(free, left)
        if refutes_reserved != refutes_free:  # both: something else, a quota that starts anew
            self._refuted = self._refuted + 1 if refutes_reserved else 0
            self.is_on = self._refuted < _ENOUGH

"""What the rate controller remembers of one attempt while it is in flight.

Amounts of the four limited dimensions travel as 4-tuples in the order of `DIMENSIONS`.
"""

from batcher.records import Bucket

DIMENSIONS = (Bucket.REQUESTS, Bucket.INPUT, Bucket.OUTPUT, Bucket.TOTAL)
REQUESTS, INPUT, OUTPUT, TOTAL = range(4)
INDEX = {bucket: index for index, bucket in enumerate(DIMENSIONS)}
UNITS = ("requests", "input tokens", "output tokens", "tokens")

Amounts = tuple[float, float, float, float]


class Ticket:
    """One attempt between `reserve` and `settle`.

    Attributes:
        sent: When it was sent, monotonic seconds.
        cost: What was set aside for it; once answered, what it took from a token quota.
        total: Everything admitted up to and including it, corrected when an earlier
            attempt turns out to have been refused. Two of these, subtracted, say how
            much the server let through between two attempts.
        in_flight: Attempts in flight with it, itself included.
        era: Which setting of the in-flight limit it ran into; -1 when it met none.
        chars: Characters of its prompt.
        max_tokens: Most output it may be answered with.
        asked: The same of all attempts in flight with it, itself included.
        generated: Output of all answers by the time it was sent.
        is_refused: The server did not let it in.
        is_short: By our own reckoning a known quota had too little left for it.
        is_probe: It was sent faster than the learnt rate, to see whether there is more.
        verdict: None until settled, then True when the server was overloaded.
    """

    __slots__ = (
        "asked",
        "chars",
        "cost",
        "era",
        "generated",
        "in_flight",
        "is_probe",
        "is_refused",
        "is_short",
        "max_tokens",
        "sent",
        "total",
        "verdict",
    )

    def __init__(
        self, sent: float, cost: Amounts, total: list[float], in_flight: int, chars: int
    ) -> None:
        self.sent = sent
        self.cost = cost
        self.total = total
        self.in_flight = in_flight
        self.chars = chars
        self.max_tokens = 0
        self.asked = self.generated = 0.0
        self.era = -1
        self.is_refused = False
        self.is_short = False
        self.is_probe = False
        self.verdict: bool | None = None

"""The operator's own limit on tokens a minute, over all keys together.

Where all keys draw on one quota their rate controller keeps it. With several quotas each
controller sees only its own share, so the promise is kept here, by estimates that are
corrected as answers come. Requests a minute are the gate's matter (pipeline/gate.py).
"""

from collections.abc import Mapping

from batcher.policy.dimension import Dimension
from batcher.policy.estimate import Estimate
from batcher.policy.ticket import INDEX, Ticket
from batcher.records import Bucket, Feedback, Need, Signal

_BURST_S = 60.0
_ADMITTED = frozenset({Signal.OK, Signal.NEUTRAL})


class Ceiling:
    """Buckets of tokens that every request of the run draws on.

    Args:
        stated: Units a minute, by bucket.
    """

    def __init__(self, stated: Mapping[Bucket, float]) -> None:
        self._estimate = Estimate()
        self._dimensions = []
        for bucket, per_minute in stated.items():
            dimension = Dimension(INDEX[bucket])
            dimension.state(per_minute, burst_s=_BURST_S)
            self._dimensions.append(dimension)

    def wait_s(self, need: Need, *, now: float) -> float:
        """Seconds until it is worth asking again; 0.0 means this need may go now."""
        cost = self._estimate.cost(need)
        return max(dimension.wait_s(cost[dimension.index], now) for dimension in self._dimensions)

    def reserve(self, need: Need, *, now: float) -> Ticket:
        """Set aside tokens for one attempt that is being sent now; returns its ticket."""
        cost = self._estimate.cost(need)
        self._estimate.sent(need)
        for dimension in self._dimensions:
            dimension.take(cost[dimension.index], now)
        return Ticket(now, cost, [], 0, need.input_chars)

    def settle(self, ticket: Ticket, feedback: Feedback, *, now: float) -> None:
        """Give the ticket back, once: what was refused took nothing."""
        actual = (0.0, 0.0, 0.0, 0.0)
        if feedback.usage is not None:
            actual = self._estimate.answered(ticket, feedback.usage)
        elif feedback.signal in _ADMITTED:
            actual = (1.0, ticket.cost[1], 0.0, ticket.cost[1])
        for dimension in self._dimensions:
            index = dimension.index
            dimension.give(ticket.cost[index] - actual[index], now)

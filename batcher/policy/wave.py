"""Whether the first requests already wait for one another at the server.

A server that takes them all at once answers each in its own time, whenever it was sent. Where
they queue, the later a request was sent the longer it takes.

Source: rank correlation (Kendall, 1938) of sixteen pairs; it exceeds a half by chance once in
five hundred times.
"""

from itertools import combinations

from batcher.policy.setting import AT_ONCE_S

_ANSWERS = 16
_TAU = 0.5


class Wave:
    """The first answers of all."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []

    def answered(self, sent: float, latency_s: float) -> bool | None:
        """Note an answer; tells once there are enough, None before."""
        seen = self._seen
        seen.append((sent, latency_s))
        if len(seen) < _ANSWERS:
            return None
        seen.sort()
        times = [latency for _, latency in seen]
        if sum(times) < AT_ONCE_S * len(times):
            return False
        pairs = list(combinations(times, 2))
        longer = sum((later > sooner) - (later < sooner) for sooner, later in pairs)
        return longer > _TAU * len(pairs)

"""Whether the server is overloaded (503, 529), which says nothing about our quota.

Refusals come back in a tenth of a second and answers in seconds, so a share counted in
order of arrival sees refusals only. Attempts are judged in order of sending instead, when
all of them have had the time refusals take: one that was not refused by then counts as let in.
"""

import random
from collections import deque

from batcher.policy.ticket import Ticket

_COHORT = 32  # attempts judged together
_ENOUGH = 20  # of them whose fate is known; three in ten refused must not open by chance
_OPEN_SHARE = 0.65
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0
_HEALED = 64  # probes that may be under way at once when the breaker closes


class Breaker:
    """Open: stand still, then probe with one attempt, two, four, until the server copes.

    A probe that is refused halves their number again, so that a server which refuses some for
    long is found to cope with the others.

    Attributes:
        is_open: Attempts are limited.
    """

    __slots__ = ("_ack_s", "_pause_s", "_probes", "_recent", "_rng", "_until", "_width", "is_open")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._recent: deque[Ticket] = deque(maxlen=_COHORT)
        self._probes: deque[Ticket] = deque()
        self._ack_s = 0.5
        self._pause_s = _FIRST_PAUSE_S
        self._until = 0.0
        self._width = 1
        self.is_open = False

    def sent(self, ticket: Ticket) -> None:
        """Note an attempt."""
        if self.is_open:
            self._probes.append(ticket)
        else:
            self._recent.append(ticket)

    def wait_s(self, now: float) -> float:
        """Seconds until another attempt may go; asked only while open."""
        if now < self._until:
            return self._until - now
        if len(self._probes) < self._width:
            return 0.0
        return max(0.0, self._probes[-self._width].sent + self._ack_s - now)

    def look(self, now: float) -> bool:
        """Count probes that were let in; returns whether the breaker has just closed."""
        probes = self._probes
        while probes and (probes[0].verdict is False or probes[0].sent + self._ack_s <= now):
            probes.popleft()
            self._width *= 2
            self._pause_s = max(_FIRST_PAUSE_S, 0.5 * self._pause_s)
        if self._width < _HEALED:
            return False
        self.is_open = False
        self._pause_s = _FIRST_PAUSE_S
        self._recent.clear()
        probes.clear()
        return True

    def overloaded(self, ticket: Ticket, latency_s: float, now: float) -> float | None:
        """Judge after a refusal for load; returns the pause in seconds when one begins."""
        if latency_s > 0.0:
            self._ack_s += 0.2 * (max(0.3, 3.0 * latency_s) - self._ack_s)
        if self.is_open:
            if ticket not in self._probes:
                return None
            if self._width > 1:
                self._probes.remove(ticket)
                self._width //= 2
                return None
            self._pause_s = min(_LONGEST_PAUSE_S, 2.0 * self._pause_s)
            return self._stand_still(now)
        if not self._is_overloaded(now):
            return None
        self.is_open = True
        return self._stand_still(now)

    def _is_overloaded(self, now: float) -> bool:
        """Whether it refuses all that is known of, or most of what is old enough to tell."""
        known = [t for t in self._recent if t.verdict is not None or now - t.sent > self._ack_s]
        if len(known) < _ENOUGH:
            return False
        if all(t.verdict is True for t in known):
            return True
        old = [t for t in known if now - t.sent > self._ack_s]
        return len(old) >= _ENOUGH and sum(t.verdict is True for t in old) > _OPEN_SHARE * len(old)

    def _stand_still(self, now: float) -> float:
        pause = self._pause_s * (0.75 + 0.5 * self._rng.random())
        self._until = now + pause
        self._width = 1
        self._probes.clear()
        return pause

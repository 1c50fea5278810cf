"""What to try next: a bounded window of untried calls and two heaps of retries.

Retries come first, in the order their rows stood in the input, so an old row is never
overtaken for ever. A sleeping retry is an entry in a heap: no task, no slot, no key.

A row that is refused with 429 again and again lets a few others go first each time: what
little rate is left must not all be spent on one that may be refused for its own sake.
"""

import heapq
from collections import deque

from batcher.records import Attempt, Call

_OFTEN = 2  # 429s of one row
_MOST_COURTESY = 16  # others let go first


class Pending:
    """A call on its way, with what has happened to it so far. Owned by whoever works on it.

    Attributes:
        failures: Failed tries that count against max_attempts.
        refusals: 429s, which do not.
        crowd: Answers and 429s of all rows when it had its first 429, or None.
        first_sent_s: When it was first sent (monotonic), or None.
    """

    __slots__ = ("attempts", "call", "crowd", "failures", "first_sent_s", "refusals", "size_bytes")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.size_bytes = len(call.wire.body)
        self.attempts: list[Attempt] = []
        self.failures = 0
        self.refusals = 0
        self.crowd: tuple[int, int] | None = None
        self.first_sent_s: float | None = None

    def ask_instead(self, call: Call) -> None:
        """Go on with another call for the same row."""
        self.call = call


class Backlog:
    """Rows taken in and not yet settled nor in flight.

    Args:
        window: Most untried calls held; intake waits above it.
        most_rows: Most rows open at all (waiting, sleeping or in flight).
        most_bytes: Most request bytes they may hold together.
    """

    def __init__(self, *, window: int, most_rows: int, most_bytes: int) -> None:
        self._window = window
        self._low = window // 2
        self._most_rows = most_rows
        self._most_bytes = most_bytes
        self._untried: deque[Pending] = deque()
        self._due: list[tuple[int, Pending]] = []
        self._asleep: list[tuple[float, int, Pending]] = []
        self._standing_back: list[tuple[int, int, Pending]] = []
        self._taken = 0
        self.rows_open = 0
        self.bytes_open = 0

    def has_room(self) -> bool:
        """Whether intake may bring another call."""
        return self.rows_open == 0 or (
            len(self._untried) < self._window
            and self.rows_open < self._most_rows
            and self.bytes_open < self._most_bytes
        )

    def runs_low(self) -> bool:
        """Whether it is time to wake intake: later than `has_room`, so that it wakes seldom."""
        return len(self._untried) <= self._low and self.has_room()

    def offer(self, call: Call) -> bool:
        """Take in a new call; returns whether it is the only one never tried."""
        self.rows_open += 1
        self.bytes_open += len(call.wire.body)
        self._untried.append(Pending(call))
        return len(self._untried) == 1

    def later(self, pending: Pending, *, due_s: float) -> None:
        """Take back a call that is to be tried again at due_s (monotonic)."""
        heapq.heappush(self._asleep, (due_s, pending.call.line, pending))

    def closed(self, pending: Pending) -> None:
        """A call has left for good: its row is settled or waits for the next run."""
        self.rows_open -= 1
        self.bytes_open -= pending.size_bytes

    def peek(self, *, now: float, untried_newest: bool = False) -> Pending | None:
        """The call to try next, or None when none is due.

        Args:
            now: Monotonic seconds.
            untried_newest: Rather the untried call furthest from those that failed; a probe's
                choice, because bad rows often stand in a block.
        """
        untried = self._untried
        if self._asleep:
            self._wake(now)
        if untried_newest and untried:
            return untried[-1]
        if self._standing_back:
            self._step_forward(now_or_never=not self._due and not untried)
        if self._due:
            return self._due[0][1]
        return untried[0] if untried else None

    def _step_forward(self, *, now_or_never: bool) -> None:
        back = self._standing_back
        while back and (back[0][0] <= self._taken or now_or_never):
            _, line, pending = heapq.heappop(back)
            heapq.heappush(self._due, (line, pending))
            now_or_never = False

    def _wake(self, now: float) -> None:
        while self._asleep and self._asleep[0][0] <= now:
            _, line, pending = heapq.heappop(self._asleep)
            if pending.refusals < _OFTEN:
                heapq.heappush(self._due, (line, pending))
            else:
                courtesy = min(_MOST_COURTESY, 2 ** min(pending.refusals - 1, 10))
                heapq.heappush(self._standing_back, (self._taken + courtesy, line, pending))

    def pop(self, pending: Pending) -> None:
        """Take out what `peek` showed."""
        self._taken += 1
        if self._due and self._due[0][1] is pending:
            heapq.heappop(self._due)
        elif self._untried[0] is pending:
            self._untried.popleft()
        else:
            self._untried.pop()

    def next_due_s(self) -> float | None:
        """When the first sleeper wakes (monotonic), or None."""
        return self._asleep[0][0] if self._asleep else None

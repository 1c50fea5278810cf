"""What comes back from requests, in the order in which they were sent."""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")

_MOST_WAITING = 64  # for one that was sent before and is not answered; then it is passed over


class InOrder(Generic[_T]):
    """Holds what was settled until all that was sent before it is settled too."""

    def __init__(self) -> None:
        self._sent: deque[int] = deque()
        self._settled: dict[int, _T] = {}

    def sent(self, number: int) -> None:
        """A request was sent; numbers only grow."""
        self._sent.append(number)

    def settled(self, number: int, what: _T) -> Iterator[_T]:
        """A request was settled so; yields what is now in order, oldest first.

        One that was passed over, being waited for by too many, is never yielded.
        """
        if not self._sent or number < self._sent[0]:
            return
        self._settled[number] = what
        while self._sent:
            first = self._sent[0]
            if first not in self._settled and len(self._settled) <= _MOST_WAITING:
                return
            self._sent.popleft()
            if first in self._settled:
                yield self._settled.pop(first)

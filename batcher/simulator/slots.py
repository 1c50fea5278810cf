"""A server that works on so many requests at once and lets the others queue."""

from collections import OrderedDict
from collections.abc import Callable, Hashable


class Slots:
    """First come, first served; who leaves makes room for the next. None: room for everybody."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._busy: set[Hashable] = set()
        # Ordered, so that leaving the queue and taking its head both cost the same at any length.
        self._queue: OrderedDict[Hashable, Callable[[], None]] = OrderedDict()

    @property
    def busy(self) -> int:
        """Slots in use."""
        return len(self._busy)

    @property
    def queued(self) -> int:
        """Who waits for one."""
        return len(self._queue)

    def enter(self, who: Hashable, start: Callable[[], None]) -> None:
        """Call `start` as soon as there is a slot; at once when there is one now."""
        if self._limit is not None and len(self._busy) >= self._limit:
            self._queue[who] = start
        else:
            self._busy.add(who)
            start()

    def leave(self, who: Hashable) -> None:
        """Give the slot or the place in the queue back; harmless for who has neither."""
        if self._queue.pop(who, None) is not None or who not in self._busy:
            return
        self._busy.remove(who)
        if self._queue:
            heir, start = self._queue.popitem(last=False)
            self._busy.add(heir)
            start()

"""The operator's own ceiling on requests per minute, kept by aiolimiter.

The ceiling is a promise to the operator and holds whatever the rate controller believes
about the server. One task waits on the limiter, never the workers: many waiters are served
smallest first and cost a timer each. It takes 10 ms worth of requests at a time, because
the event loop's timers are no finer than 1 ms and a wait below that spins.
"""

import asyncio
from collections.abc import Callable

from aiolimiter import AsyncLimiter

_QUANTUM_S = 0.01
_BURST_S = 1.0  # spread evenly but for one second's worth, so that "600 a minute" is never 1,200


class Gate:
    """Hands out starts at no more than `per_minute`.

    Args:
        per_minute: The ceiling.

    Attributes:
        on_start: Called when starts have become available.
    """

    def __init__(self, per_minute: float) -> None:
        per_s = per_minute / 60
        self._quantum = max(1, int(per_s * _QUANTUM_S))
        capacity = max(float(self._quantum), per_s * _BURST_S)
        self._limiter = AsyncLimiter(capacity, capacity / per_s)
        self._wanted = asyncio.Event()
        self.on_start: Callable[[], None] | None = None
        self._starts = 0

    def try_take(self) -> bool:
        """Take one start if there is one; else `on_start` will be called when there is."""
        if self._starts:
            self._starts -= 1
            return True
        self._wanted.set()
        return False

    async def run(self) -> None:
        """Fetch starts from the limiter as they are wanted, for ever; its only waiter."""
        while True:
            await self._wanted.wait()
            await self._limiter.acquire(self._quantum)
            self._wanted.clear()
            self._starts += self._quantum
            if self.on_start is not None:
                self.on_start()

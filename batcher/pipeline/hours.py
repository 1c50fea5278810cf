"""The hours of keys: in and out of use by the clock, and a word when it is nobody's hour."""

import asyncio
import math
from collections.abc import Callable
from datetime import datetime

from batcher import clock
from batcher.events import ALL_KEYS, Event, Paused
from batcher.policy.keyring import Keyring

_LONGEST_NAP_S = 60.0  # wall clocks are set, machines sleep
_ROUNDING_S = 0.001


class Hours:
    """Keeps the hours of a ring of keys.

    Args:
        keyring: The keys.
        wall: The present, with a zone.
        emit: Told when no key is within its hours any more.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        wall: Callable[[], datetime],
        emit: Callable[[Event], None],
    ) -> None:
        self._keyring = keyring
        self._wall = wall
        self._emit = emit
        self._is_closed = False

    async def keep(self, on_change: Callable[[], None]) -> None:
        """Take keys in and out of use as their hours begin and end; returns when none has any.

        Args:
            on_change: Called when a key may have come into use.
        """
        while (next_s := self.look()) < math.inf:
            on_change()
            await asyncio.sleep(min(next_s + _ROUNDING_S, _LONGEST_NAP_S))

    def look(self) -> float:
        """See whose hours it is, tell when it is nobody's; returns seconds to the next change."""
        now, wall = clock.now(), self._wall()
        next_s = self._keyring.look_at_clock(wall=wall, now=now)
        opening = self._keyring.opening(now=now)
        if opening is None:
            self._is_closed = False
        elif not self._is_closed:
            self._is_closed = True
            wait_s, window = opening
            at = datetime.fromtimestamp(wall.timestamp() + wait_s, wall.tzinfo)
            until = f"{at.astimezone(window.zone):%Y-%m-%d %H:%M %Z}"
            reason = f"outside the hours of every key until {until}"
            self._emit(Paused(scope=ALL_KEYS, reason=reason, wait_s=wait_s))
        return next_s

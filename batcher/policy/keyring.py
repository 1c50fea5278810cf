"""Which key the next request uses.

Every request goes to the key that may send soonest; among several that may send now, to
the one furthest behind its weight. Keys of one quota scope share one rate controller. A key
is out while its hours are over, and while it is benched: refused, spent, or in doubt.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from batcher.events import Event
from batcher.policy.window import Window, closes_in_s, opens_in_s
from batcher.ports import RateController
from batcher.records import Feedback, KeyRef, Need


class _Key:
    __slots__ = ("benched_until", "closed_until", "controller", "ref", "turn", "window")

    def __init__(self, ref: KeyRef, controller: RateController, window: Window | None) -> None:
        self.ref = ref
        self.controller = controller
        self.window = window
        self.benched_until = -math.inf
        self.closed_until = -math.inf
        self.turn = 0.0  # grows by 1/weight with each request


class Keyring:
    """Keys, their health and hours, and the rate controllers of their scopes.

    Args:
        keys: In order of preference among equals; aliases are distinct.
        controllers: The rate controller of every scope the keys name.
        windows: Hours of use, by alias; a key without any is used all day.
    """

    def __init__(
        self,
        keys: Sequence[KeyRef],
        controllers: Mapping[str, RateController],
        *,
        windows: Mapping[str, Window] | None = None,
    ) -> None:
        hours = windows or {}
        self._keys = {
            key.alias: _Key(key, controllers[key.scope], hours.get(key.alias)) for key in keys
        }
        self._order = list(self._keys.values())
        self._only = self._order[0] if len(self._order) == 1 else None
        self._turn = 0.0  # of the latest request

    def pick(self, need: Need, *, now: float) -> tuple[str | None, float]:
        """The key to use and the seconds until it may be used; a question that never acts.

        Returns:
            Alias and 0.0 to send now; alias and a positive wait otherwise; None and infinity
            when no key will come back by itself.
        """
        best: _Key | None = None
        best_rank = (math.inf, math.inf)
        for key in self._order:
            if key.benched_until == math.inf:
                continue
            wait = key.controller.wait_s(need, now=now)
            if key.benched_until > now:
                wait = max(wait, key.benched_until - now)
            if key.closed_until > now:
                wait = max(wait, key.closed_until - now)
            if key is self._only:
                return key.ref.alias, wait
            rank = (wait, key.turn)
            if best is None or rank < best_rank:
                best, best_rank = key, rank
        if best is None:
            return None, math.inf
        return best.ref.alias, best_rank[0]

    def reserve(self, alias: str, need: Need, *, now: float) -> tuple[KeyRef, object]:
        """Set aside capacity of the key's scope for a request that is sent now."""
        key = self._keys[alias]
        if self._only is None:
            # A key that was out, or could not send, does not get all it missed. Source:
            # start-time fair queueing (Goyal, Vin and Cheng, 1996).
            self._turn = max(self._turn, key.turn)
            key.turn = self._turn + 1.0 / key.ref.weight
        return key.ref, key.controller.reserve(need, now=now)

    def settle(
        self, alias: str, ticket: object, feedback: Feedback, *, now: float
    ) -> Iterable[Event]:
        """Give a ticket back with what was learnt; returns changes worth telling."""
        return self._keys[alias].controller.settle(ticket, feedback, now=now)

    def bench(self, alias: str, *, until: float = math.inf) -> bool:
        """Take a key out of use; returns whether it was in use.

        Args:
            alias: Which key.
            until: Monotonic seconds when it comes back by itself; never, when left out.
        """
        key = self._keys[alias]
        was_in_use = key.benched_until != math.inf
        key.benched_until = until
        return was_in_use

    def unbench(self, alias: str) -> bool:
        """Take a key into use again; returns whether it was out for good."""
        key = self._keys[alias]
        was_out = key.benched_until == math.inf
        key.benched_until = -math.inf
        return was_out

    def is_benched(self, alias: str, *, now: float) -> bool:
        """Whether a key is out, for good or for a while."""
        return self._keys[alias].benched_until > now

    def has_usable(self, *, besides: str | None = None) -> bool:
        """Whether any key (but one) is in use, or will be again by itself."""
        return any(
            key.benched_until != math.inf and key.ref.alias != besides for key in self._order
        )

    def scope_mates(self, alias: str) -> list[str]:
        """The keys that draw on the same budget as this one, itself included."""
        scope = self._keys[alias].ref.scope
        return [key.ref.alias for key in self._order if key.ref.scope == scope]

    def scopes(self) -> Iterable[tuple[Sequence[str], RateController]]:
        """The aliases of each scope's keys, with the scope's rate controller."""
        found: dict[str, tuple[list[str], RateController]] = {}
        for key in self._order:
            found.setdefault(key.ref.scope, ([], key.controller))[0].append(key.ref.alias)
        return found.values()

    def look_at_clock(self, *, wall: datetime, now: float) -> float:
        """Take keys out of use whose hours are over, and back whose hours have begun.

        Args:
            wall: The present, with a zone.
            now: The same moment, monotonic seconds.

        Returns:
            Seconds until the next such change; infinity when no key has hours.
        """
        next_s = math.inf
        for key in self._order:
            if key.window is None:
                continue
            wait_s = opens_in_s(key.window, wall)
            key.closed_until = now + wait_s if wait_s else -math.inf
            next_s = min(next_s, wait_s or closes_in_s(key.window, wall))
        return next_s

    def opening(self, *, now: float) -> tuple[float, Window] | None:
        """When hours begin again, if no key that is in use is within its own.

        Returns:
            Seconds, and the window that opens then; None while some key may be used, or none
            will ever be.
        """
        first: tuple[float, Window] | None = None
        for key in self._order:
            if key.benched_until == math.inf:
                continue
            if key.window is None or key.closed_until <= now:
                return None
            if first is None or key.closed_until - now < first[0]:
                first = (key.closed_until - now, key.window)
        return first

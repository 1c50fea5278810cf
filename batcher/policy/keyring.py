"""Which key the next request uses.

Every request goes to the key that may send soonest; among several that may send now, to
the one furthest behind its weight. Keys of one quota scope share one rate controller.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from batcher.events import Event
from batcher.ports import RateController
from batcher.records import Feedback, KeyRef, Need


class _Key:
    __slots__ = ("benched_until", "controller", "ref", "turn")

    def __init__(self, ref: KeyRef, controller: RateController) -> None:
        self.ref = ref
        self.controller = controller
        self.benched_until = -math.inf
        self.turn = 0.0  # grows by 1/weight with each request


class Keyring:
    """Keys, their health, and the rate controllers of their scopes.

    Args:
        keys: In order of preference among equals; aliases are distinct.
        controllers: The rate controller of every scope the keys name.
    """

    def __init__(self, keys: Sequence[KeyRef], controllers: Mapping[str, RateController]) -> None:
        self._keys = {key.alias: _Key(key, controllers[key.scope]) for key in keys}
        self._order = list(self._keys.values())
        self._only = self._order[0] if len(self._order) == 1 else None
        self._paused_until: dict[str, float] = {}

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
            if self._paused_until:
                wait = max(wait, self._paused_until.get(key.ref.scope, now) - now)
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
            # A key that was out does not get all it missed when it returns.
            floor = min(k.turn for k in self._order) if key.turn == 0.0 else key.turn
            key.turn = max(key.turn, floor) + 1.0 / key.ref.weight
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

    def unbench(self, alias: str) -> None:
        """Take a key into use again."""
        self._keys[alias].benched_until = -math.inf

    def pause(self, scope: str, *, until: float) -> None:
        """Let all keys of a scope rest until then."""
        self._paused_until[scope] = max(until, self._paused_until.get(scope, -math.inf))

    def has_usable(self) -> bool:
        """Whether any key is in use, or will be again by itself."""
        return any(key.benched_until != math.inf for key in self._order)

    def alias_of(self, scope: str) -> list[str]:
        """The keys of a scope."""
        return [key.ref.alias for key in self._order if key.ref.scope == scope]

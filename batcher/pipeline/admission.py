"""Leave to send: outage, the operator's ceiling, a key and its quota, granted together.

It is handed back exactly once, with what the attempt taught; then the quota model is
corrected, and the next question gets a better answer.
"""

from collections.abc import Iterable

from batcher.events import Event
from batcher.pipeline.backlog import Pending
from batcher.pipeline.gate import Gate
from batcher.policy.ceiling import Ceiling
from batcher.policy.keyring import Keyring
from batcher.policy.outage import Outage
from batcher.policy.sharing import Mark, Sharing
from batcher.policy.ticket import Ticket
from batcher.records import Feedback, KeyRef

_FOREVER_S = 3600.0  # somebody will wake the dispatcher before that


class Turn:
    """A call and the leave to send it once, with one key."""

    __slots__ = ("is_probe", "key", "mark", "pending", "share", "ticket")

    def __init__(self, pending: Pending, key: KeyRef, ticket: object, *, is_probe: bool) -> None:
        self.pending = pending
        self.key = key
        self.ticket = ticket
        self.is_probe = is_probe
        self.mark: Mark | None = None  # for who watches over shared quotas
        self.share: Ticket | None = None  # of the operator's ceiling on tokens


class Admission:
    """Asks everybody who has a say, and tells them afterwards.

    Args:
        keyring: Keys and the rate controllers of their scopes.
        outage: Whether the server fails everybody.
        gate: The operator's ceiling on requests per minute, or None.
        sharing: Watches for scopes that share one quota; None where there is but one.
        ceiling: The operator's ceiling on tokens over several scopes, or None.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        outage: Outage,
        gate: Gate | None,
        sharing: Sharing | None = None,
        ceiling: Ceiling | None = None,
    ) -> None:
        self.keyring = keyring
        self.outage = outage
        self.gate = gate
        self._sharing = sharing
        self._ceiling = ceiling

    @property
    def untried_newest(self) -> bool:
        """Whether the next call should be one that was never tried (a probe's alternation)."""
        return self.outage.is_open and self.outage.probe_untried

    def ask(self, pending: Pending, *, now: float) -> Turn | float:
        """A turn, or the seconds until it is worth asking again."""
        outage = self.outage
        is_probe = outage.is_open
        if is_probe and (wait_s := outage.wait_s(now=now)) > 0.0:
            return wait_s
        need = pending.call
        alias, wait_s = self.keyring.pick(need, now=now)
        if alias is None or wait_s > 0.0:
            return wait_s
        ceiling = self._ceiling
        if ceiling is not None and (wait_s := ceiling.wait_s(need, now=now)) > 0.0:
            return wait_s
        if self.gate is not None and not self.gate.try_take():
            return _FOREVER_S
        if is_probe:
            outage.probe_sent()
        key, ticket = self.keyring.reserve(alias, need, now=now)
        turn = Turn(pending, key, ticket, is_probe=is_probe)
        if self._sharing is not None:
            turn.mark = self._sharing.sent(key.scope, need.input_chars, now=now)
        if ceiling is not None:
            turn.share = ceiling.reserve(need, now=now)
        return turn

    def give_back(self, turn: Turn, feedback: Feedback, *, now: float) -> Iterable[Event]:
        """Return the leave with what was learnt; returns changes worth telling."""
        key, mark = turn.key, turn.mark
        changes = self.keyring.settle(key.alias, turn.ticket, feedback, now=now)
        if self._ceiling is not None and turn.share is not None:
            self._ceiling.settle(turn.share, feedback, now=now)
        if self._sharing is None or mark is None:
            return changes
        return [*changes, *self._sharing.settled(key.scope, mark, feedback)]

"""What the simulator saw and did, as plain numbers a test or another process can read."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

EARLY_GRACE_S = 0.05  # a request that was already under way when Retry-After was said


class Mark(NamedTuple):
    """One request let in or refused by quota: loop time, its key, its tokens."""

    at_s: float
    key: str
    input_tokens: int
    output_tokens: int


def _counter() -> defaultdict[str, int]:
    return defaultdict(int)


@dataclass(slots=True)
class Stats:
    """Counters since the start or the last reset; read them at any time.

    Attributes:
        requests: Everything received but questions to the simulator itself.
        admitted: Let in by key, model and quota.
        rejected_429: Refused by a quota; scripted and fault 429s are in by_status only.
        early: Came while their scope was told to wait by Retry-After.
        answers: Usable answers sent whole.
        by_status: Responses by status; 0 where no status line was ever sent.
        by_key: Requests by the key they brought; "" for none.
        by_fault: Faults suffered, by kind.
        in_flight: Received and not yet dealt with, queued ones too.
        connections: Open now; `connections_made`: ever.
        delivered: Prompt hash -> usable answers sent whole; kept while `deliveries` is on.
        admissions, refusals: One mark each; kept while `times` is on.
    """

    deliveries: bool = True
    times: bool = False
    requests: int = 0
    admitted: int = 0
    rejected_429: int = 0
    early: int = 0
    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    connections: int = 0
    connections_made: int = 0
    by_status: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    by_key: defaultdict[str, int] = field(default_factory=_counter)
    by_fault: defaultdict[str, int] = field(default_factory=_counter)
    delivered: defaultdict[str, int] = field(default_factory=_counter)
    admissions: list[Mark] = field(default_factory=list)
    refusals: list[Mark] = field(default_factory=list)
    _told: dict[str | None, tuple[float, float]] = field(default_factory=dict)

    def admit(self, mark: Mark) -> None:
        """A request was let in."""
        self.admitted += 1
        self.input_tokens += mark.input_tokens
        self.output_tokens += mark.output_tokens
        if self.times:
            self.admissions.append(mark)

    def reject(self, mark: Mark) -> None:
        """A request was refused by its quota."""
        self.rejected_429 += 1
        if self.times:
            self.refusals.append(mark)

    def deliver(self, digest: str) -> None:
        """A usable answer went out whole."""
        self.answers += 1
        if self.deliveries:
            self.delivered[digest] += 1

    def tell(self, scope: str | None, wait_s: float, *, now: float) -> None:
        """A scope was told to come back in `wait_s`."""
        since, until = self._told.get(scope, (now, now))
        if now >= until:
            since = now
        self._told[scope] = (since, max(until, now + wait_s))

    def arrive(self, scope: str | None, *, now: float) -> None:
        """A request of this scope came; counts it when it should have waited."""
        if self._told:
            since, until = self._told.get(scope, (now, now))
            if since + EARLY_GRACE_S < now < until:
                self.early += 1

    def reset(self) -> None:
        """Count from nothing; what is open and in flight stays counted."""
        fresh = Stats(deliveries=self.deliveries, times=self.times)
        kept = {"in_flight", "connections"}
        for name in self.__slots__:
            if name not in kept:
                setattr(self, name, getattr(fresh, name))
        self.max_in_flight = self.in_flight

    def as_dict(self, *, delivered: bool = False, times: bool = False) -> dict[str, object]:
        """The numbers as JSON takes them; long lists only when asked for."""
        long = {"delivered": delivered, "admissions": times, "refusals": times}
        shown = {
            name: getattr(self, name)
            for name in self.__slots__
            if not name.startswith("_") and long.get(name, True)
        }
        shown["by_status"] = {str(status): n for status, n in self.by_status.items()}
        for name in ("admissions", "refusals"):
            if name in shown:
                shown[name] = [list(mark) for mark in shown[name]]
        return shown

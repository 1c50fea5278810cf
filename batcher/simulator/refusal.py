"""How a request is refused: the fault's or the limit's error, as bytes in the dialect's shape."""

import math
from dataclasses import replace

from batcher.job import Simulator as Settings
from batcher.simulator.exchange import Denial, Ending, Plan, Trouble
from batcher.simulator.faults import FaultKind
from batcher.simulator.http import HTML, whole
from batcher.simulator.script import Say
from batcher.simulator.stats import Stats
from batcher.simulator.visit import Visit

_FAULT_RETRY_AFTER_S = 1.0  # what a 429 names that has no quota behind it
_PAGE = b"<!DOCTYPE html><html><head><title>%b</title></head><body><h1>%b</h1></body></html>"


class Refusals:
    """Makes the plans that answer no question."""

    def __init__(self, settings: Settings, stats: Stats) -> None:
        self._settings = settings
        self._stats = stats

    def suffer(
        self, visit: Visit, kind: FaultKind, *, message: str | None = None, lines: bytes = b""
    ) -> Plan:
        """A fault that comes instead of an answer."""
        self._stats.by_fault[kind.value] += 1
        match kind:
            case FaultKind.RESET:
                return Plan(status=0, pieces=(), ending=Ending.RESET)
            case FaultKind.HANG:
                return Plan(status=0, pieces=(), ending=Ending.HANG)
            case FaultKind.HTML:
                return _page(200, b"Welcome", lines)
            case FaultKind.HTML_502:
                return _page(502, b"Bad Gateway", lines)
            case FaultKind.ECHO_KEY:
                return self.refuse(visit, kind, message=visit.key, lines=lines)
            case _:
                return self.refuse(visit, kind, message=message, lines=lines)

    def refuse(
        self, visit: Visit, kind: FaultKind, *, message: str | None = None, lines: bytes = b""
    ) -> Plan:
        """An error in the vendor's words, or with this message."""
        trouble = visit.dialect.trouble(kind, message)
        if kind in (FaultKind.RATE, FaultKind.RAMP):
            trouble = replace(trouble, retry_after_s=self._told_s(_FAULT_RETRY_AFTER_S))
        return self._error(visit, trouble, lines)

    def over(self, visit: Visit, denial: Denial, model: str) -> Plan:
        """A broken limit, with the wait the settings let it tell."""
        trouble = visit.dialect.over(denial, model, names_limit=self._settings.names_limit)
        told = replace(trouble, retry_after_s=self._told_s(denial.wait_s))
        return self._error(visit, told, b"")

    def say(self, visit: Visit, said: Say, *, lines: bytes) -> Plan:
        """A status laid down by a script; one the vendor has no words for is a server error."""
        name = str(said.status)
        kind = next((kind for kind in FaultKind if kind == name), FaultKind.INTERNAL)
        trouble = visit.dialect.trouble(kind, said.message)
        if (told_s := _seconds(said.headers.get("retry-after"))) is not None:
            self._stats.tell(visit.scope, told_s, now=visit.at_s)
        return self._error(visit, replace(trouble, status=said.status), lines)

    def _error(self, visit: Visit, trouble: Trouble, lines: bytes) -> Plan:
        head = visit.lines(known_key=trouble.known_key)
        if trouble.retry_after_s is not None:
            self._stats.tell(visit.scope, trouble.retry_after_s, now=visit.at_s)
            head += b"retry-after: %b\r\n" % _decimal(trouble.retry_after_s)
        if trouble.should_retry is not None:
            head += b"x-should-retry: %b\r\n" % (b"true" if trouble.should_retry else b"false")
        body = visit.dialect.error(trouble, visit.request_id)
        sent = whole(trouble.status, body, lines=head + lines)
        return Plan(status=trouble.status, pieces=(sent,))

    def _told_s(self, wait_s: float) -> float | None:
        # Rounded up, so that waiting as told is always enough.
        match self._settings.retry_after:
            case "exact":
                return math.ceil(wait_s * 1000) / 1000
            case "seconds":
                return float(max(1, math.ceil(wait_s)))
            case "none":
                return None


def _page(status: int, title: bytes, lines: bytes) -> Plan:
    page = whole(status, _PAGE % (title, title), lines=lines, kind=HTML)
    return Plan(status=status, pieces=(page,))


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:  # a date, or nonsense that a test is about
        return None


def _decimal(seconds: float) -> bytes:
    """Seconds without needless digits: `7`, `0.037`."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".").encode()

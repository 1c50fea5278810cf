"""Is it the row or the server? The same fault on many rows in a row is the server's.

So is one that says the server is down, on whichever rows, once nobody has been answered for
a while: little work may be left, or the rate controller may be trying the same rows again.

While the server fails everybody, dispatch stands still but for one probe at a time, and
no row is charged for it. A probe that succeeds, or fails differently, ends the outage.
Probes alternate between untried rows and tried ones: a block of bad rows is overcome by an
untried one, a server that fails each row's first try by a tried one.
"""

from batcher.records import Failure, FailureKind

STREAK = 10  # equal faults in a row, from different rows, that make an outage
_QUIET_S = 5.0  # without an answer, and a server that says it is down is believed
_QUIET_FAULTS = 3
_FEW = 3  # rows; fewer may themselves be what a server fails at
_DOWN = frozenset({FailureKind.OVERLOADED, FailureKind.CONNECTION})
_TRANSIENT = _DOWN | {FailureKind.SERVER, FailureKind.TIMEOUT, FailureKind.BAD_RESPONSE}
_GATEWAY = (502, 504)
_NEVER_HEALS = frozenset({FailureKind.BAD_REQUEST, FailureKind.TOO_LARGE})
_HOPELESS_STREAK = 25  # equal refusals of the request itself, with no row ever answered
_FIRST_PROBE_S = 0.5
_LAST_PROBE_S = 10.0
_LONGEST_WISH_S = 60.0  # a server that is down does not know until when


def _class_of(failure: Failure) -> str:
    """Faults that mean the same for the server's health have the same name."""
    if failure.kind in _DOWN or (failure.kind is FailureKind.SERVER and failure.status in _GATEWAY):
        return "down"
    if failure.kind in _NEVER_HEALS:
        return f"{failure.kind}:{failure.message}"
    return f"{failure.kind}:{failure.status}"


class Outage:
    """Follows every attempt's end and says whether the server fails everybody.

    Args:
        unanswered_s: How long a server that never answered in this run is waited for.
        answered_s: How long one that did is waited for.
    """

    def __init__(self, *, unanswered_s: float, answered_s: float) -> None:
        self._patience = (unanswered_s, answered_s)
        self._fault = ""
        self._rows: set[int] = set()
        self._faults = 0
        self._blames_rows = False
        self._since_s = 0.0
        self._next_probe_s = 0.0
        self._pause_s = _FIRST_PROBE_S
        self._probing = False
        self.is_open = False
        self.ever_answered = False
        self.probe_untried = True
        self.last: Failure | None = None

    def succeeded(self) -> None:
        """Somebody was answered: the server is well."""
        self.ever_answered = True
        self._blames_rows = False
        if self._rows or self.is_open:
            self._close()

    def failed(self, failure: Failure, *, line: int, is_probe: bool, now: float) -> bool:
        """Take note of a failed attempt; returns whether it belongs to an outage."""
        if is_probe:
            self._probing = False
        if failure.kind not in _TRANSIENT and failure.kind not in _NEVER_HEALS:
            return self.is_open  # a 429, say: tells nothing about the server's health
        fault = _class_of(failure)
        if fault != self._fault:
            self._close()
            self._fault, self._since_s = fault, now
        if len(self._rows) < _HOPELESS_STREAK:
            self._rows.add(line)
        self._faults += 1
        self.last = failure
        if self.is_open and is_probe:
            self._pause_s = min(_LAST_PROBE_S, self._pause_s * 2)
            self._next_probe_s = now + self._pause_s
        elif not self.is_open and self._is_the_server(failure, now):
            self.is_open = True
            wish_s = min(_LONGEST_WISH_S, failure.retry_after_s or 0.0)
            self._next_probe_s = now + max(self._pause_s, wish_s)
        return self.is_open

    def _is_the_server(self, failure: Failure, now: float) -> bool:
        if failure.kind not in _TRANSIENT or self._blames_rows:
            return False
        is_quiet = now - self._since_s >= _QUIET_S and self._faults >= _QUIET_FAULTS
        return len(self._rows) >= STREAK or (is_quiet and self._fault == "down")

    def wait_s(self, *, now: float) -> float:
        """Seconds until the next attempt may be sent; 0.0 when there is no outage."""
        if not self.is_open:
            return 0.0
        if self._probing:
            return _LAST_PROBE_S
        return max(0.0, self._next_probe_s - now)

    def probe_sent(self) -> None:
        """The one attempt an outage allows is under way."""
        self._probing = True
        self.probe_untried = not self.probe_untried

    def probe_lost(self) -> None:
        """It told nothing; another may be sent."""
        self._probing = False

    def verdict(self, *, now: float) -> str | None:
        """Why the run should stop, or None while it is worth going on."""
        if self.last is None:
            return None
        if self.last.kind in _NEVER_HEALS:
            if self.ever_answered or len(self._rows) < _HOPELESS_STREAK:
                return None
            return f"the first {_HOPELESS_STREAK} rows were all refused alike: {self.last.message}"
        limit_s = self._patience[self.ever_answered]
        if not self.is_open or now - self._since_s < limit_s:
            return None
        is_reached = self.last.kind is not FailureKind.CONNECTION
        if self.ever_answered and is_reached and len(self._rows) < _FEW:
            # It has answered everybody else: let these use up their attempts and be recorded.
            self._close()
            self._blames_rows = True
            return None
        return f"the server has failed every request for {limit_s:.0f} s: {self.last.message}"

    def _close(self) -> None:
        self._fault, self._rows, self.last = "", set(), None
        self._faults = 0
        self.is_open = self._probing = False
        self._pause_s = _FIRST_PROBE_S

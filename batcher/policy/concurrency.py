"""How many requests at once: as many as make the server faster, and no more.

A server without a rate limit has a knee: beyond it, more in flight only wait longer. The
knee shows in throughput, not in latency, which follows the length of the answers. So the
limit doubles each round while it is what holds us back, and stops where doubling no longer
pays; from there it is halved until that costs throughput. Where the first requests of all
wait for one another already, it goes down at once. Too few in flight tell where the knee is:
there, throughput follows the number in flight. No fewer are tried than the server must be
working on, which is its throughput times the quickest answer of all. The limit settles a
little above the knee. Every so often it looks whether half of what the knee was found at
would do, and whether more would pay again.

Source: delivery rate and its product with the unqueued delay, as in BBR (Cardwell and others,
2016). Constants: queues of 1 to 40 slots, 0.1 to 9 s an answer, see tests/scenarios.
"""

import math

from batcher.policy.setting import AT_ONCE_S, Setting
from batcher.policy.wave import Wave

_DUST = 1e-3
_FIRST = 16
_NEARLY = 5  # of so many attempts one may be missing: answers come in lumps
_SAMPLES = 40  # answers a setting is judged by, at least
_ROUNDS = 3.0  # of all in flight, on the way down: what was sent before comes in lumps
_PAYS = 0.4  # growth of throughput per growth in flight, both as logarithms
_PLAINLY_PAYS = 0.75
_COSTS = 1.2  # fewer in flight are too few when more are so much faster
_DOUBT = 0.1  # of the logarithm of that, with as many answers as are enough; half fewer will tell
_SHRUNK = 1.3  # times as fast as now was the server at its best: look anew
_CLOSE = 0.8  # the knee is no lower than so much of the limit: fewer are not tried
_UNMET = 0.25  # of the answers; else something else held us back
_KEPT = 4.0  # times as many show how fast the server is while the limit holds
_RARELY = 30.0  # times as many come between two looks downward, which cost throughput
_ROOM = 1.6  # above the knee
_NO_KNEE = 0.8  # of the highest number tried: no knee was found below
_FIRST_HOLD_S = 60.0
_LONGEST_HOLD_S = 600.0
_HOLD_WINDOWS = 10.0  # what looking costs is spread over so much time


class Concurrency:
    """Learns the limit of attempts in flight, up to the operator's ceiling.

    Attributes:
        limit: Attempts that may be in flight.
        near: So many in flight are nearly as many.
        counts: Nearly as many are in flight as may be, and answers are counted.
        era: Counts the settings tried; tickets carry it.
        unmet: Attempts sent below that number under this setting.
    """

    __slots__ = (
        "_before",
        "_ceiling",
        "_held",
        "_hold_s",
        "_is_look",
        "_is_queue",
        "_knee",
        "_limit",
        "_look_at",
        "_now",
        "_start",
        "_top",
        "_wave",
        "counts",
        "era",
        "limit",
        "near",
        "unmet",
    )

    def __init__(self, ceiling: int) -> None:
        self._ceiling = max(1, ceiling)
        self._limit = self._start = float(min(_FIRST, self._ceiling))
        self.limit = self.near = self.era = self.unmet = 0
        self.counts = False
        self._now = Setting()
        self._before: Setting | None = None
        self._top: Setting | None = None  # beyond the knee, while going down
        self._knee: Setting | None = None  # the server at its best
        self._wave = Wave() if self._ceiling > _FIRST else None
        self._is_queue = False  # the first requests wait for one another: no need to climb
        self._is_look = False  # down first, then up
        self._held = 0  # answers since the limit settled
        self._hold_s = _FIRST_HOLD_S
        self._look_at = math.inf  # holding until then, when finite
        self._round()

    def meet(self, in_flight: int, now: float) -> int:
        """An attempt is being sent with nearly as many in flight as may be; returns its era."""
        if not self.counts:
            self._now.since = now
            self.unmet = 0
            self.counts = True
        return self.era if in_flight >= self.limit else -1

    def forget(self) -> None:
        """Count anew; after a refusal, too, which is no matter of the server's speed."""
        self._now = Setting()
        self.counts = False

    def answered(
        self,
        met: bool,
        in_flight: int,
        tokens: float,
        *,
        latency_s: float,
        quickest_s: float,
        now: float,
    ) -> str | None:
        """Learn from an answer; returns a change in words.

        Args:
            met: It answers an attempt that met the limit.
            in_flight: Attempts in flight until then.
            tokens: Output of the answer.
            latency_s: Time it took.
            quickest_s: Time the quickest answer of all took.
            now: Monotonic seconds.
        """
        if self._wave is not None:
            is_queue = self._wave.answered(now - latency_s, latency_s)
            if is_queue is not None:
                self._wave = None
            if is_queue:
                self._is_queue = True
                self._begin(_FIRST)
                return f"requests wait for one another at the server: {self.limit} in flight"
        current = self._now
        current.add(in_flight, tokens, now)
        is_enough = current.answers >= self._enough()
        if is_enough and self.unmet > _UNMET * current.answers:
            self.forget()
            is_enough = False
        if self._look_at < math.inf:
            if is_enough:
                self._keep(current)
            return self._explore(now) if now >= self._look_at else None
        if self._top is not None:
            return self._descend(self._top, is_enough, quickest_s, now)
        if self._is_queue:
            return self._turn_down() if is_enough else None
        return self._climb(met, is_enough, now)

    def _turn_down(self) -> str:
        self._is_queue = False
        self._top = self._now
        return self._set(0.5 * self._limit)

    def _climb(self, met: bool, is_enough: bool, now: float) -> str | None:
        current, before = self._now, self._before
        is_doubled = self._limit >= min(self._ceiling, 2.0 * self._start)
        if is_enough and is_doubled:
            if before is not None and not current.pays(before, _PAYS):
                if self._knee is not None and self._knee.gain(current) < _SHRUNK:
                    return self._hold(self._start, current.lasted_s, now)  # as it was
                self._top = current
                return self._set(0.5 * before.mean_flight)
            self._before = current
            if self._limit >= self._ceiling:
                if before is None or current.pays(before, _PLAINLY_PAYS):
                    self._hold_s = _LONGEST_HOLD_S  # it seems to pay, and fewer may cost much
                self._rest(current.lasted_s, now)
            self._begin(self._limit)
        elif met and self._limit < self._ceiling and not (is_doubled and self._knee is not None):
            self._limit = min(self._ceiling, self._limit + 1.0)
            self._round()
        return None

    def _descend(self, top: Setting, is_enough: bool, quickest_s: float, now: float) -> str | None:
        current, enough = self._now, self._enough()
        if current.answers < 0.5 * enough:
            return None
        gain = top.gain(current)
        knee = gain * current.mean_flight
        doubt = math.exp(_DOUBT * math.sqrt(enough / current.answers))
        costs = gain > _COSTS * doubt
        if not (costs or is_enough):
            return None
        if not costs:
            if gain < _COSTS / doubt:
                top.absorb(current)
            fewer = round(max(0.5 * self._limit, quickest_s * top.answers / top.lasted_s))
            if 1 <= fewer < _CLOSE * self._limit:
                return self._set(fewer)
        self._top = self._before = None
        if costs and knee > _NO_KNEE * top.mean_flight:
            self._is_look = False
            return self._set(top.mean_flight)
        self._knee = top
        if self._is_look:
            return self._look_up(top, _ROOM * knee)
        return self._hold(_ROOM * knee, current.lasted_s, now)

    def _enough(self) -> float:
        """Answers that show what a setting is worth."""
        rounds = 1.0 if self._top is None else _ROUNDS
        return max(_SAMPLES, rounds * self._start)

    def _hold(self, limit: float, window_s: float, now: float) -> str:
        self._rest(window_s, now)
        self._before = None
        self._begin(min(limit, self._ceiling))
        return f"knee: more than {self.limit} in flight make the server no faster"

    def _rest(self, window_s: float, now: float) -> None:
        self._held = 0
        self._look_at = now + max(self._hold_s, _HOLD_WINDOWS * window_s)
        self._hold_s = min(_LONGEST_HOLD_S, 2.0 * self._hold_s)

    def _keep(self, current: Setting) -> None:
        """While the limit holds: how fast the server is with it, of late."""
        self._held += current.answers
        if self._before is None:
            self._before = current
        else:
            if self._before.answers > _KEPT * self._enough():
                self._before.halve()
            self._before.absorb(current)
        self.forget()

    def _explore(self, now: float) -> str | None:
        self._look_at = math.inf
        before, is_most = self._before, self._limit >= self._ceiling
        is_at_once = before is not None and before.latency_s < AT_ONCE_S
        if before is not None and is_most and is_at_once:
            self._rest(before.lasted_s, now)
            return None
        is_time = is_most or self._held > _RARELY * self._enough()
        if before is None or is_at_once or not is_time:
            return self._look_up(before, self._limit)
        self._top = before
        self._is_look = not is_most
        return self._set(0.5 * self._limit / (1.0 if is_most else _ROOM))

    def _look_up(self, before: Setting | None, limit: float) -> str:
        self._is_look = False
        self._before = before
        self._begin(min(self._ceiling, limit))
        return f"looking whether more than {self.limit} in flight are faster now"

    def _set(self, limit: float) -> str:
        was = self.limit
        self._begin(max(1.0, limit))
        return f"in flight: {was} tried, now {self.limit}"

    def _begin(self, limit: float) -> None:
        self.era += 1
        self._limit = self._start = limit
        self.forget()
        self._round()

    def _round(self) -> None:
        self.limit = max(1, math.ceil(self._limit - _DUST))
        self.near = self.limit - self.limit // _NEARLY

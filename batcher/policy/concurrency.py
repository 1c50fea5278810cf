"""How many requests at once: as many as make the server faster, and no more.

A server without a rate limit has a knee: beyond it, more in flight only wait longer. The
knee shows in throughput, not in latency, which follows the length of the answers. So the
limit doubles each round while it is what holds us back, and stops where doubling no longer
pays; from there it is halved until that costs throughput. Too few in flight tell where the
knee is: there, throughput follows the number in flight. The limit settles a little above,
and every so often it looks whether more would pay again, or at the operator's ceiling
whether fewer would do.

Throughput is counted from the moment the limit was first met, in answers and in output
tokens, half and half: some servers take equally long for every answer, others for every
token, and counted in the wrong unit it scatters with the lengths of the answers.

Source: delivery rate and its product with the unqueued delay, as in BBR (Cardwell and others,
2016). Constants: queues of 1 to 40 slots, 0.1 to 9 s an answer, see tests/scenarios.
"""

import math

_DUST = 1e-3
_FIRST = 16
_NEARLY = 5  # of so many attempts one may be missing: answers come in lumps
_SAMPLES = 40  # answers a setting is judged by, at least
_ROUNDS = 3.0  # of all in flight, on the way down: what was sent before comes in lumps
_PAYS = 0.4  # growth of throughput per growth in flight, both as logarithms
_COSTS = 1.4  # fewer in flight are too few when more are so much faster ...
_MAY_COST = 1.25  # ... and from here on twice as many answers tell
_AT_ONCE_S = 0.05  # answers this quick queue for nobody: what limits us then is our own speed
_UNMET = 0.25  # of the answers; else something else held us back
_ROOM = 1.75  # above the knee
_NO_KNEE = 0.8  # of the highest number tried: no knee was found below
_FIRST_HOLD_S = 60.0
_LONGEST_HOLD_S = 600.0
_HOLD_WINDOWS = 10.0  # what looking costs is spread over so much time


class _Setting:
    """What came back under one setting of the limit, since it was first met."""

    __slots__ = ("answers", "flight", "since", "tokens", "until")

    def __init__(self) -> None:
        self.since = math.inf
        self.until = 0.0
        self.answers = 0
        self.flight = self.tokens = 0.0

    def add(self, in_flight: int, tokens: float, now: float) -> None:
        if now > self.since:
            self.until = now
            self.answers += 1
            self.flight += in_flight
            self.tokens += tokens

    @property
    def mean_flight(self) -> float:
        return self.flight / self.answers

    @property
    def lasted_s(self) -> float:
        return max(1e-9, self.until - self.since)

    @property
    def latency_s(self) -> float:
        """Mean time of an answer, by Little's law."""
        return self.mean_flight * self.lasted_s / self.answers

    def gain(self, less: "_Setting") -> float:
        """Throughput as a multiple of that of another setting."""
        answers = self.answers / less.answers
        both = self.tokens + less.tokens
        # In units of the mean length over both.
        mean = both / (self.answers + less.answers) if both else 1.0
        work = (self.answers + self.tokens / mean) / (less.answers + less.tokens / mean)
        return (work if both else answers) * less.lasted_s / self.lasted_s

    def absorb(self, other: "_Setting") -> None:
        """Take in what came back under another setting that was as fast."""
        self.flight += self.mean_flight * other.answers
        self.answers += other.answers
        self.tokens += other.tokens
        self.since -= other.lasted_s

    def pays(self, less: "_Setting") -> bool:
        """Whether this setting earns its greater number in flight, compared with `less`."""
        if self.latency_s < _AT_ONCE_S:
            return True
        more_flight = self.mean_flight / less.mean_flight
        return more_flight < 1.1 or self.gain(less) > more_flight**_PAYS


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
        "_hold_s",
        "_knee",
        "_limit",
        "_look_at",
        "_now",
        "_start",
        "_top",
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
        self._now = _Setting()
        self._before: _Setting | None = None
        self._top: _Setting | None = None  # beyond the knee, while going down
        self._knee: _Setting | None = None  # the server at its best
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
        self._now = _Setting()
        self.counts = False

    def answered(self, met: bool, in_flight: int, tokens: float, now: float) -> str | None:
        """Learn from an answer; returns a change in words.

        Args:
            met: It answers an attempt that met the limit.
            in_flight: Attempts in flight until then.
            tokens: Output of the answer.
            now: Monotonic seconds.
        """
        current = self._now
        current.add(in_flight, tokens, now)
        rounds = _ROUNDS if self._top is not None else 1.0
        is_enough = current.answers >= max(_SAMPLES, rounds * self._start)
        if is_enough and self.unmet > _UNMET * current.answers:
            self.forget()
            is_enough = False
        if self._look_at < math.inf:
            if is_enough:
                self._before = current
                self.forget()
            return self._explore(now) if now >= self._look_at else None
        if self._top is None:
            return self._climb(met, is_enough, now)
        return self._descend(self._top, is_enough, now)

    def _climb(self, met: bool, is_enough: bool, now: float) -> str | None:
        current, before = self._now, self._before
        is_doubled = self._limit >= min(self._ceiling, 2.0 * self._start)
        if is_enough and is_doubled:
            if before is not None and not current.pays(before):
                if self._knee is not None and self._knee.gain(current) < _COSTS:
                    return self._hold(self._start, current.lasted_s, now)  # as it was
                self._top = current
                return self._set(0.5 * before.mean_flight)
            self._before = current
            if self._limit >= self._ceiling:
                self._hold_s = _LONGEST_HOLD_S  # it seems to pay, and fewer may cost much
                self._rest(current.lasted_s, now)
            self._begin(self._limit)
        elif met and self._limit < self._ceiling and not (is_doubled and self._knee is not None):
            self._limit = min(self._ceiling, self._limit + 1.0)
            self._round()
        return None

    def _descend(self, top: _Setting, is_enough: bool, now: float) -> str | None:
        current = self._now
        if current.answers < 0.5 * self._enough():
            return None
        gain = top.gain(current)
        if not is_enough and gain < _COSTS**1.5:
            return None  # what is plain takes fewer answers to see
        if _MAY_COST <= gain < _COSTS and current.answers < 2.0 * self._enough():
            return None
        if gain < _MAY_COST and self.limit > 1:
            top.absorb(current)
            return self._set(0.5 * self._limit)
        self._top = self._before = None
        knee = gain * current.mean_flight
        if knee > _NO_KNEE * top.mean_flight:
            return self._set(top.mean_flight)
        self._knee = top
        return self._hold(_ROOM * knee, current.lasted_s, now)

    def _enough(self) -> float:
        """Answers that show, on the way down, what a setting is worth."""
        return max(_SAMPLES, _ROUNDS * self._start)

    def _hold(self, limit: float, window_s: float, now: float) -> str:
        self._rest(window_s, now)
        self._begin(min(limit, self._ceiling))
        return f"knee: more than {self.limit} in flight make the server no faster"

    def _rest(self, window_s: float, now: float) -> None:
        self._look_at = now + max(self._hold_s, _HOLD_WINDOWS * window_s)
        self._hold_s = min(_LONGEST_HOLD_S, 2.0 * self._hold_s)

    def _explore(self, now: float) -> str | None:
        self._look_at = math.inf
        before = self._before
        if self._limit >= self._ceiling and before is not None:
            if before.latency_s < _AT_ONCE_S:
                self._rest(before.lasted_s, now)
                return None
            self._top = before
            return self._set(0.5 * self._limit)
        self._begin(self._limit)
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

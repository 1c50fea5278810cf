"""How long an estimated rate is held, and how it is exceeded when nothing has been refused.

A refusal soon after a rate was exceeded says that nothing has changed, none says that there
is more. Each such probe costs a refusal or a few, so the hold is as long as their share
allows, and longer where the estimate has stood for long.
"""

import math

_BELOW = 0.99  # of the estimate while holding
_EXCESS = 0.02  # a probe begins this far above the estimate ...
_MOST_UNSURE = 0.2
_EXCESS_DOUBLING_S = 0.7
_QUICKEST = 0.3  # of that, where a refusal is back before the next attempt goes ...
_UNDERWAY = 1.2  # ... up to so many attempts sent meanwhile, which may all be refused
_DOUBLINGS = 2.0  # from one attempt to the next, at most: big ones are waited for
_WINDOW_SHARE = 0.3  # of a window, at least
_BRISK = 0.5  # ... and from this excess on grows in even steps
_BRISK_GROWTH = 1.4  # a second
_MOST_EXCESS = 1e4
_HOLD_S = 4.0
_HOLD_REQUESTS = 58.0  # per refusal a probe costs: keeps refusals near 1 %
_FIRST_HOLD_S = 0.8
_FIRST_HOLD_REQUESTS = 6.0
_LONGEST_HOLD_S = 600.0
_HOLD_SHARE = 0.08  # of the time the estimate has stood: a limit that lasts is doubted seldom
_LONGEST_STEADY_S = 60.0
_SAME = 0.1  # by how much an estimate may differ and be the same
_WIDEST = 3.0
_GAIN = 0.3
_SLOW_PER_S = 2.0  # attempts; below that each refusal weighs, and little is to be found soon ...
_PATIENCE = 1.5  # ... so that a hold is longer by up to so many times
_TRUST = 2.0  # ... and may outlast its evidence by so many


class Hold:
    """The present hold and what follows it.

    Where the limit is one of windows, all of it is slower, by their length (`period_s`, 0 for a
    bucket): only at its end does a window tell whether there was more.
    """

    __slots__ = (
        "_cluster",
        "_clustered",
        "_doubling_s",
        "_epoch",
        "_excess",
        "_late_s",
        "_most_s",
        "_reacted_at",
        "_s",
        "_steady",
    )

    def __init__(self) -> None:
        self._epoch = 0.0  # when it began
        self._s = 0.0
        self._excess = _EXCESS
        self._cluster = 1.0  # refusals one probe costs, averaged
        self._clustered = 0
        self._doubling_s = _EXCESS_DOUBLING_S
        self._most_s = math.inf  # so far the search may go before the next attempt
        self._late_s = 0.0  # a refusal takes to come back
        self._reacted_at = -math.inf
        self._steady = (-math.inf, 0.0)  # since when the estimate has stood, at what rate

    def pace(self, rate: float, period_s: float, now: float) -> float:
        """What to send at `now` of an estimated rate."""
        beyond = now - self._epoch - self._s
        if beyond <= 0.0:
            return rate * _BELOW
        beyond = min(beyond, self._most_s)
        doubling_s = self._doubles_in_s(period_s)
        excess = self._excess * math.exp2(min(beyond / doubling_s, 40.0))
        if excess > _BRISK and not period_s:
            late = beyond - self._doubling_s * math.log2(_BRISK / self._excess)
            brisk = (1.0 + _BRISK) * math.pow(_BRISK_GROWTH, min(late, 60.0)) - 1.0
            excess = min(_MOST_EXCESS, brisk)
        return rate * (1.0 + excess)

    def sent(self, period_s: float, now: float) -> None:
        """An attempt goes; one that had to wait for long was no search all the while."""
        beyond = now - self._epoch - self._s
        if beyond <= 0.0:
            return
        if beyond > self._most_s:
            self._epoch += beyond - self._most_s
            beyond = self._most_s
        self._most_s = beyond + _DOUBLINGS * self._doubles_in_s(period_s)

    def _doubles_in_s(self, period_s: float) -> float:
        return max(self._doubling_s, _WINDOW_SHARE * period_s)

    @property
    def ends_at(self) -> float:
        """When the rate begins to be exceeded."""
        return self._epoch + self._s

    def is_over(self, now: float) -> bool:
        """Whether the rate is being exceeded."""
        return now - self._epoch > self._s

    def since_s(self, now: float) -> float:
        """Seconds since it began."""
        return max(0.0, now - self._epoch)

    def takes(self, sent: float, now: float) -> bool:
        """Whether a refusal of what was sent then is news, and not one of a cluster."""
        if sent <= self._reacted_at:
            self._clustered += 1
            return False
        self._cluster += _GAIN * (min(_WIDEST, 1.0 + self._clustered) - self._cluster)
        self._clustered = 0
        self._late_s = now - sent
        self._reacted_at = now
        return True

    def restart(
        self,
        rate: float,
        per_s: float,
        window_s: float,
        now: float,
        *,
        alike: bool,
        period_s: float,
    ) -> None:
        """Hold a rate from now on.

        Args:
            rate: The estimate.
            per_s: The same in attempts a second.
            window_s: The seconds of evidence it rests upon.
            now: Monotonic seconds.
            alike: All attempts cost the same.
            period_s: The length of the limit's windows.
        """
        shortest = max(_FIRST_HOLD_S, min(_HOLD_S, _FIRST_HOLD_REQUESTS / per_s))
        slow = max(0.0, 1.0 - per_s / _SLOW_PER_S) if alike else 0.0
        patience = 1.0 + 1.0 / (1.0 + per_s) + _PATIENCE * slow
        longest = max(_HOLD_S, _HOLD_REQUESTS * self._cluster * patience / per_s)
        if abs(math.log(rate / max(1e-9, self._steady[1]))) > _SAME:
            self._steady = (now, rate)
        longest = max(longest, min(_LONGEST_STEADY_S, _HOLD_SHARE * (now - self._steady[0])))
        shortest = max(shortest, period_s)
        self._s = min(
            _LONGEST_HOLD_S, max(shortest, min(longest, window_s * (1.0 + _TRUST * slow)))
        )
        unsure = 1.0 / max(1.0, min(window_s, _LONGEST_HOLD_S) * per_s)
        self._excess = min(_MOST_UNSURE, max(_EXCESS, 0.5 * unsure))
        self._epoch = now
        underway = per_s * self._late_s
        self._doubling_s = _EXCESS_DOUBLING_S * min(1.0, max(_QUICKEST, underway / _UNDERWAY))
        self._most_s = _DOUBLINGS * self._doubles_in_s(period_s)

    def resume(self, at: float) -> None:
        """Begin the same hold anew, no earlier than at that time."""
        self._epoch = max(self._epoch, at)

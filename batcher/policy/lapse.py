"""Tells by headers that a limit comes back as a window's does, and keeps to the window.

A bucket is refilled at its rate, whatever was sent. A sliding window has left what was not
sent within its length; a fixed one is whole again all of a sudden. Taken for a bucket, either
seems to be used by others as well, and what seems to be left is not there: with windows of a
second half of the quota was not used, or every seventh request refused.

What a header should have said by our own requests alone is reckoned both ways. Where the
bucket is wrong again and again and the window is right, no more goes in any of its lengths
than the window holds. That suits sliding and fixed ones alike, and buckets too.
"""

import math
from bisect import bisect_right
from collections import deque

LONGEST_S = 15.0  # longer windows do well as buckets, whose first burst is worth having
_FEWEST = 4.0  # requests in a window; fewer are spaced instead
_GRAIN = 0.01  # of a window's length: how finely sending is remembered
_KEPT_S = 40.0  # more than a window's length, for which it is: answers take their time
_GAIN = 0.04
_ENOUGH = 25  # headers, to begin with
_SLIP = 1.5  # requests a header may be off by, for rounding and jitter on the way ...
_SLIP_SHARE = 0.03  # ... and of what the window holds
_LEFT = 2.0  # times that, until a window is none any more
_BETTER = 3.0  # times nearer the truth than a bucket
_LEAST_WRONG = 1.0  # request, by which a bucket is off
_RETURN = 0.3  # of a window, all at once: no refill
_JITTER = 2.0  # requests, by which it may seem to be
_RETURNS = 1.2  # so many of late ...
_LATE = 10.0  # ... which is so many lengths
_OURS = 0.8  # of what a window held when it refused
_MORE_PATIENCE = 4
_SLACK_S = 0.015  # requests draw together on the way
_SLACK_STEP_S = 0.02
_SLACK_SHARE = 0.25  # of a length, at most
_SLACK_ENOUGH_S = 0.045  # for the way; then it holds a request less than was thought ...
_MOST_LESS = 2.0  # ... or two: some servers tell what was left before, and round it up
_EASE = 1e-4  # of it is gone with each header


class Lapse:
    """Follows one limit of requests.

    Args:
        holds: Requests the server had let in at once, at least.
        rate: Requests a second it allows.

    Attributes:
        is_window: Headers agree with a window, and not with a bucket.
    """

    __slots__ = (
        "_above",
        "_at",
        "_bucket",
        "_count",
        "_holds",
        "_less",
        "_log",
        "_mean",
        "_off",
        "_patience",
        "_rate",
        "_returns",
        "_seen",
        "_sent",
        "_slack_s",
        "_spread",
        "_times",
        "_wrong",
        "is_window",
    )

    def __init__(self, holds: float, rate: float) -> None:
        self.is_window = False
        self._holds, self._rate = holds, rate
        self._slack_s = _SLACK_S
        self._less = 0.0
        self._sent = 0.0
        self._times: deque[float] = deque()  # when requests went
        self._log: deque[list[float]] = deque()  # when, sent by then, level of a bucket
        self._at = 0.0
        self._bucket = holds
        self._seen = (-math.inf, 0.0, 0.0)  # the newest header: when sent, left, sent by then
        self._count, self._patience = 0, _ENOUGH  # headers
        self._wrong = 0.0  # by how much a bucket is, averaged ...
        self._off = 0.0  # ... a sliding window ...
        self._above = 0.0  # ... and the same where less was left than it should have
        self._mean = self._spread = 0.0  # of what was left
        self._returns = 0.0

    @property
    def _length_s(self) -> float:
        return self._holds / self._rate

    def limit(self, holds: float, rate: float) -> None:
        """The server allows another rate, or was seen to hold more; windows keep their length."""
        if rate != self._rate:
            self._holds *= rate / self._rate
            self._rate = rate
        if holds > self._holds or not self.is_window:
            self._holds = holds

    def sent(self, now: float) -> None:
        """A request goes."""
        self._bucket = min(self._holds, self._bucket + self._rate * (now - self._at)) - 1.0
        self._at = now
        self._sent += 1.0
        times, log, length_s = self._times, self._log, self._length_s
        times.append(now)
        since = now - length_s - _KEPT_S
        while times[0] < since:
            times.popleft()
        if not log or now - log[-1][0] >= _GRAIN * length_s:
            log.append([now, self._sent, self._bucket])
            while log[0][0] < since:
                log.popleft()

    def wait_s(self, users: int, now: float) -> float:
        """Seconds until a window has room for another request, as one of so many users."""
        holds = max(1, int(self._holds - self._less) // users)
        times = self._times
        if len(times) < holds:
            return 0.0
        return max(0.0, times[-holds] + self._length_s + self._slack_s - now)

    def refused(self, sent: float) -> None:
        """One that was sent then met no room where there should have been some, once a cluster."""
        before = bisect_right(self._times, sent - self._length_s)
        within = bisect_right(self._times, sent) - before
        if within < _OURS * self._holds:
            self.is_window = False  # others fill it too
            self._patience *= _MORE_PATIENCE
            self._count = 0
            return
        if self._slack_s > _SLACK_ENOUGH_S and self._less < _MOST_LESS:
            self._less += 1.0
            self._slack_s = _SLACK_S
            return
        most = _SLACK_SHARE * self._length_s
        self._slack_s = max(self._slack_s, min(most, self._slack_s + _SLACK_STEP_S))

    def returned(self, sent: float) -> None:
        """The server did not let in a request that was sent then."""
        self._sent -= 1.0
        self._bucket += 1.0
        for entry in reversed(self._log):
            if entry[0] < sent:
                break
            entry[1] -= 1.0
            entry[2] += 1.0

    def read(self, left: float, sent: float) -> None:
        """A header says what was left when a request that was sent then had arrived.

        Args:
            left: Requests.
            sent: When it was sent, monotonic seconds.
        """
        log, length_s = self._log, self._length_s
        at = bisect_right(log, [sent, math.inf])
        before = bisect_right(log, [sent - length_s, math.inf])
        if not _FEWEST <= self._holds <= LONGEST_S * self._rate or not at or not before:
            return
        _, by_then, bucket = log[at - 1]
        within = by_then - log[before - 1][1]
        self._look_back(left, sent, by_then)
        sliding = max(0.0, self._holds - within)
        self._wrong += _GAIN * (abs(max(0.0, bucket) - left) - self._wrong)
        self._off += _GAIN * (abs(sliding - left) - self._off)
        self._above += _GAIN * (max(0.0, sliding - left) - self._above)
        self._mean += _GAIN * (left - self._mean)
        self._spread += _GAIN * (abs(left - self._mean) - self._spread)
        self._slack_s += _EASE * (_SLACK_S - self._slack_s)
        self._count += 1
        if self._count >= self._patience:
            self._judge()

    def _look_back(self, left: float, sent: float, by_then: float) -> None:
        """Notice what came back at once since an earlier header."""
        when, was_left, was_sent = self._seen
        if sent <= when:
            return  # overtaken
        back = left - was_left + by_then - was_sent
        self._seen = (sent, left, by_then)
        if math.isinf(when):
            return
        self._returns *= math.exp((when - sent) / (_LATE * self._length_s))
        if back > max(_RETURN * self._holds, self._rate * (sent - when) + _JITTER):
            self._returns += 1.0

    def _judge(self) -> None:
        # A fixed window has more left than a sliding one: what it was told of has lapsed sooner.
        is_fixed = self._returns > _RETURNS
        off = self._above if is_fixed else self._off
        slip = _SLIP + _SLIP_SHARE * self._holds
        if self.is_window:
            self.is_window = off < min(_LEFT * slip, self._wrong + _LEAST_WRONG)
        else:
            varied = self._wrong if is_fixed else min(self._wrong, self._spread)
            self.is_window = off < slip and varied > max(_LEAST_WRONG, _BETTER * off)

"""How fast to take from one quota that others use too.

Clients who know of each other divide the rate and hold the bucket's level half way up.
Strangers all go by the level their headers tell, which they see alike: who would take more
lowers it for everybody, and so the shares become equal.

Constants: simulated strangers on buckets of a second and of a minute, see tests/scenarios.
"""

import math

_SHARE_S = 7.0  # seconds of refill that are spread over, so that the level says the same to all ...
_SHARE_OF_BUCKET = 0.5  # ... or of what fills so much of the bucket, if that is less ...
_SHARE_OF_SMALL = 3.0  # ... or more than it holds, where headers are too coarse to go by
_SHARE_LATE = 3.0  # ... and at least so many times as long as answers take ...
_SHARE_AT_FULL = 2.0  # ... but so that a full bucket is spent at its rate
_GAIN = 0.05
_NOBODY = 0.85  # of what was ever seen is left all the time: nobody else is there after all
_STAY_S = 20.0
_LEAST, _MOST = 0.05, 4.0  # times the rate
_HELD_S = 0.5  # of refill, where clients who share a bucket by agreement hold its level ...
_HELD_SHARE = 0.5  # ... or this much of it, if that is less ...
_SLOWEST, _FASTEST = 0.5, 2.0  # ... by sending slower or faster than their part
_UPRIGHT = 0.9  # else both would lean ever farther the same way
_EVENING = 0.3  # how much of a difference in parts is made up for, each second


class Company:
    """The other users of one quota.

    Attributes:
        users: Clients who know of each other, ourselves included.
    """

    __slots__ = ("_fullness", "_late_s", "_lean", "_until", "users")

    def __init__(self) -> None:
        self.users = 1
        self._until = -math.inf  # strangers were last noticed, and a while after that
        self._lean = 1.0  # what it takes to get an equal part, as a factor of the pace
        self._late_s = 0.0  # age of a header, averaged
        self._fullness = 0.0  # of what was ever seen, averaged

    def is_strange(self, now: float) -> bool:
        """Whether there are others who do not know of us."""
        return now < self._until

    def is_there(self, now: float) -> bool:
        """Whether there is anybody else."""
        return self.users > 1 or now < self._until

    def share(self, users: int, part: float) -> None:
        """So many clients, ourselves included, are known; we take so much of an equal part."""
        self.users = users
        if users == 1:
            self._lean = 1.0
        elif part > 0.0:
            self._lean = min(_FASTEST, max(_SLOWEST, self._lean**_UPRIGHT * part**-_EVENING))

    def noticed(self, now: float) -> None:
        """Strangers take a good part of a quota that is nearly used up."""
        self._until = now + _STAY_S

    def heard(self, age: float) -> None:
        """A header came, so many seconds after its request was sent."""
        self._late_s += _GAIN * (age - self._late_s)

    def saw(self, fullness: float) -> None:
        """It told of so much of what the bucket was ever seen to hold, 0 to 1."""
        self._fullness += _GAIN * (min(1.0, fullness) - self._fullness)

    def agreed_pace(self, level: float, rate: float, holds: float) -> float:
        """Units a second for one of clients who know of each other.

        Args:
            level: Units left.
            rate: Units a second the quota allows to all.
            holds: Units the bucket was seen to hold.
        """
        fullness = level / min(_HELD_S * rate, _HELD_SHARE * holds)
        return rate / self.users * self._lean * min(_FASTEST, max(_SLOWEST, fullness))

    def pace(self, level: float, rate: float, fill_s: float, *, is_coarse: bool) -> float:
        """Units a second among strangers.

        Args:
            level: Units left, above what is kept in reserve.
            rate: Units a second the quota allows to all.
            fill_s: Seconds in which the empty bucket fills.
            is_coarse: Headers in whole units tell little of so small a bucket.
        """
        pace = 2.0 * max(0.0, level) / self.share_s(fill_s, is_coarse=is_coarse)
        least = 1.0 if self._fullness > _NOBODY else _LEAST
        return min(_MOST * rate, max(pace, least * rate))

    def share_s(self, fill_s: float, *, is_coarse: bool) -> float:
        """Seconds over which strangers spread what is left."""
        share = _SHARE_OF_SMALL if is_coarse else _SHARE_OF_BUCKET
        # Headers tell how it was when an attempt was sent: faster than that it would swing.
        slowly_s = min(_SHARE_LATE * self._late_s, _SHARE_AT_FULL * fill_s)
        return min(_SHARE_S, max(share * fill_s, slowly_s))

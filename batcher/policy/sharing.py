"""Whether two keys that should have a budget each really share one.

A server may say whose budget a request drew on; then two answers are enough. Else:

A bucket whose readings we see says how much everybody took from it: what it lost, and what
flowed in meanwhile. What our key did not take, others did. When that follows what another of
our keys took, request by request, the two draw on one budget: the slope of the one over the
other is one, and not the nought of keys with budgets of their own.

A reading is a rate-limit header. Without headers a refusal is one, since it shows an empty
bucket, as soon as the limit is known from the text of a refusal.

Why the slope (2026-11): keys with equal limits run in step. They start alike, probe alike and
are refused in the same second, and another client beside us takes from each key about what we
take from the other. So neither equal limits, levels or amounts nor refusals at once mean
anything; simulated pairs of independent keys had them all. What nobody copies is the moment
at which each request is sent, so short windows and many of them tell. How much everybody sends
at the time is no moment: what a window would hold at the pace around it is a cause beside.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import accumulate, combinations

from batcher.events import SharedQuotaSuspected
from batcher.policy.in_order import InOrder
from batcher.policy.slope import slope
from batcher.records import Bucket, Feedback, Quota, Signal, record

_MINUTE_S = 60.0
_WINDOWS = 400  # kept
_FEWEST = 30  # for a verdict
_FEWEST_REFUSALS = 40  # ... of windows from refusal to refusal, which say less
_EVERY = 5  # windows between two verdicts
_SHORTEST_S = 0.2  # requests overtake one another on the way
_LEAST = {Bucket.REQUESTS: 1.0, Bucket.INPUT: 2_000.0}  # used in a window: above what is rounded
_NEARLY_FULL = 0.9  # of the most ever seen left: refill may have been lost above it
_SLOPE = (0.6, 1.3)  # rounded readings and overtaking requests make it less than one
_SLOPE_OF_HALF = (0.5, 1.5)  # ... also in either half of the windows alone: no passing likeness
_AROUND = 3  # windows on either side of one: their pace is the one it has by itself
_REFUSALS = 100  # kept
_SURE = 5.0  # standard errors above nought
_EXPLAINED = 0.15  # between refusals: what is missing differs from the other's use by no more
_REFUSED = frozenset({Signal.RATE, Signal.RAMP, Signal.OVERLOADED})


@record
class Mark:
    """What all keys together had sent when one request was sent.

    Attributes:
        number: Of the request, counted over all keys.
        sent_s: When, monotonic seconds.
        requests: Requests so far, by scope.
        chars: Characters of prompt so far, by scope.
        own_chars: Of the request itself.
    """

    number: int
    sent_s: float
    own_chars: int
    requests: Sequence[float]
    chars: Sequence[float]


class _Meter:
    """One bucket of one scope, as its readings show it."""

    __slots__ = ("base", "fresh", "last_s", "left", "limit", "most", "windows")

    def __init__(self) -> None:
        self.limit = 0.0
        self.most = 0.0
        self.left = 0.0
        self.last_s = -math.inf
        self.base: tuple[Mark, float] | None = None
        self.windows: deque[tuple[float, float, Sequence[float]]] = deque(maxlen=_WINDOWS)
        self.fresh = 0  # windows since the last verdict

    def begin(self, limit: float) -> None:
        """Forget what was read while the limit was another."""
        self.limit, self.most, self.base = limit, 0.0, None
        self.windows.clear()


class Sharing:
    """Watches the scopes of a run for a budget that two of them share.

    Args:
        keys: Scope to the alias of one of its keys, for the report.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = list(keys.values())
        self._index = {scope: number for number, scope in enumerate(keys)}
        count = len(self._keys)
        self._requests = [0.0] * count
        self._chars = [0.0] * count
        self._sent = 0
        self._in_order: list[InOrder[tuple[Mark, Feedback]]] = [InOrder() for _ in range(count)]
        self._refused: deque[tuple[int, int, int]] = deque(maxlen=_REFUSALS)
        self._tokens_seen = self._chars_seen = 0.0
        self._meters = [{bucket: _Meter() for bucket in _LEAST} for _ in range(count)]
        self._told: set[tuple[int, int]] = set()
        self._accounts: dict[str, set[int]] = {}

    def sent(self, scope: str, chars: int, *, now: float) -> Mark:
        """Note a request that is sent now, so long a prompt; returns what `settled` wants back."""
        own = self._index[scope]
        self._requests[own] += 1.0
        self._chars[own] += chars
        self._sent += 1
        self._in_order[own].sent(self._sent)
        return Mark(
            number=self._sent,
            sent_s=now,
            own_chars=chars,
            requests=tuple(self._requests),
            chars=tuple(self._chars),
        )

    def settled(self, scope: str, mark: Mark, feedback: Feedback) -> Sequence[SharedQuotaSuspected]:
        """Learn from what came back; returns pairs of keys found to share, each once."""
        own = self._index[scope]
        if feedback.signal in _REFUSED:
            self._refused.append((mark.number, own, mark.own_chars))
        elif feedback.usage is not None:
            usage = feedback.usage
            self._tokens_seen += usage.input_tokens + usage.cache_write_tokens
            self._chars_seen += mark.own_chars
        found: list[SharedQuotaSuspected] = []
        if feedback.account is not None:
            found += self._met(own, feedback.account)
        for earlier, told in self._in_order[own].settled(mark.number, (mark, feedback)):
            found += self._learn(own, earlier, told)
        return found

    def _learn(self, own: int, mark: Mark, feedback: Feedback) -> list[SharedQuotaSuspected]:
        """Take the readings of one answer; returns pairs they show to share."""
        found: list[SharedQuotaSuspected] = []
        for quota in feedback.quotas:
            if quota.bucket in _LEAST and self._read(own, mark, quota):
                found += self._judge(own, quota.bucket)
        hint = feedback.limit_hint
        if (
            hint is not None
            and not feedback.quotas
            and hint.bucket in _LEAST
            and self._emptied(own, mark, hint)
        ):
            found += self._judge(own, hint.bucket)
        return found

    def _met(self, own: int, account: str) -> list[SharedQuotaSuspected]:
        """Note whose budget a scope draws on; returns pairs that draw on the same one."""
        members = self._accounts.setdefault(account, set())
        if own in members:
            return []
        pairs = [(min(own, other), max(own, other)) for other in sorted(members)]
        members.add(own)
        found = [pair for pair in pairs if pair not in self._told]
        self._told.update(found)
        return [
            SharedQuotaSuspected(
                keys=(self._keys[one], self._keys[other]),
                reason="these keys share a quota: the server names one account for both; "
                "no extra capacity",
            )
            for one, other in found
        ]

    def _emptied(self, own: int, mark: Mark, hint: Quota) -> bool:
        """Take a refusal that names its limit for a reading of nought."""
        meter = self._meters[own][hint.bucket]
        if hint.limit != meter.limit:
            meter.begin(hint.limit)
        if meter.base is None:
            meter.base = (mark, 0.0)
            return False
        return self._close(own, meter, mark, 0.0, hint.bucket)

    def _read(self, own: int, mark: Mark, quota: Quota) -> bool:
        """Take a reading; returns whether it is time for a verdict."""
        meter = self._meters[own][quota.bucket]
        if quota.limit != meter.limit:
            meter.begin(quota.limit)
        per_s, left = quota.limit / _MINUTE_S, quota.remaining
        was_blind = meter.left + (mark.sent_s - meter.last_s) * per_s > _NEARLY_FULL * meter.most
        meter.last_s, meter.left = mark.sent_s, left
        meter.most = max(meter.most, left)
        if was_blind or left > _NEARLY_FULL * meter.most:
            meter.base = None if left > _NEARLY_FULL * meter.most else (mark, left)
            return False
        if meter.base is None:
            meter.base = (mark, left)
            return False
        return self._close(own, meter, mark, left, quota.bucket)

    def _close(self, own: int, meter: _Meter, mark: Mark, left: float, bucket: Bucket) -> bool:
        """End a window that is long enough; returns whether it is time for a verdict."""
        assert meter.base is not None  # noqa: S101 - the callers have seen to it
        since, had = meter.base
        lasted_s = mark.sent_s - since.sent_s
        used = self._used(bucket, since, mark)
        if lasted_s < _SHORTEST_S or sum(used) < _LEAST[bucket]:
            return False
        missing = had - left + meter.limit / _MINUTE_S * lasted_s - used[own]
        meter.base = (mark, left)
        meter.windows.append((missing, lasted_s, used))
        meter.fresh += 1
        return meter.fresh >= max(_EVERY, len(meter.windows) // 8)

    def _used(self, bucket: Bucket, since: Mark, until: Mark) -> Sequence[float]:
        is_requests = bucket is Bucket.REQUESTS
        after, before = (
            (until.requests, since.requests) if is_requests else (until.chars, since.chars)
        )
        used = [a - b for a, b in zip(after, before, strict=True)]
        for number, scope, chars in self._refused:
            if since.number < number <= until.number:
                used[scope] -= 1.0 if is_requests else chars
        if is_requests:
            return used
        per_char = self._tokens_seen / self._chars_seen if self._chars_seen else 0.0
        return [per_char * chars for chars in used]

    def _judge(self, own: int, bucket: Bucket) -> list[SharedQuotaSuspected]:
        """Pairs with this scope whose readings of this bucket explain one another."""
        meter = self._meters[own][bucket]
        meter.fresh = 0
        like = [
            other
            for other, meters in enumerate(self._meters)
            if other != own and meters[bucket].limit == meter.limit
        ]
        groups: list[tuple[int, ...]] = [(other,) for other in like]
        if len(like) > 1:
            groups.append(tuple(like))
        found = []
        for group in groups:
            members = (own, *group)
            if all(self._explains(one, members, bucket) for one in members):
                for pair in combinations(sorted(members), 2):
                    if pair not in self._told:
                        self._told.add(pair)
                        found.append(self._report(pair, bucket, meter.limit))
        return found

    def _explains(self, own: int, members: Sequence[int], bucket: Bucket) -> bool:
        """Whether what one scope misses in its bucket is what the others of a group took."""
        meter = self._meters[own][bucket]
        has_headers = meter.most > 0.0
        if len(meter.windows) < (_FEWEST if has_headers else _FEWEST_REFUSALS):
            return False
        missing = [window[0] for window in meter.windows]
        lasted_s = [window[1] for window in meter.windows]
        at_pace = _at_pace(meter.windows)
        others = [sum(window[2][m] for m in members if m != own) for window in meter.windows]
        if not has_headers and abs(sum(missing) - sum(others)) > _EXPLAINED * sum(others):
            # A refusal may also come from a limit nobody names, with the bucket half full.
            return False
        found, error = slope(missing, others, (lasted_s, at_pace))
        if not (_SLOPE[0] <= found <= _SLOPE[1] and found >= _SURE * error):
            return False
        half = len(missing) // 2
        for part in (slice(half), slice(half, None)):
            found, _ = slope(missing[part], others[part], (lasted_s[part], at_pace[part]))
            if not _SLOPE_OF_HALF[0] <= found <= _SLOPE_OF_HALF[1]:
                return False
        return True

    def _report(self, pair: tuple[int, int], bucket: Bucket, limit: float) -> SharedQuotaSuspected:
        one, other = self._keys[pair[0]], self._keys[pair[1]]
        what = "requests" if bucket is Bucket.REQUESTS else "input tokens"
        return SharedQuotaSuspected(
            keys=(one, other),
            reason=f"these keys share a quota of {limit:.6g} {what}/min; no extra capacity",
        )


def _at_pace(windows: Sequence[tuple[float, float, Sequence[float]]]) -> Sequence[float]:
    """What all our keys would have used in each window at the pace of the windows around it."""
    lasted_s = list(accumulate((window[1] for window in windows), initial=0.0))
    used = list(accumulate((sum(window[2]) for window in windows), initial=0.0))
    found = []
    for index, window in enumerate(windows):
        first, last = max(0, index - _AROUND), min(len(windows), index + _AROUND + 1)
        pace = (used[last] - used[first]) / (lasted_s[last] - lasted_s[first])
        found.append(window[1] * pace)
    return found

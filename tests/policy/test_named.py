"""A limit known from the text of 429s alone: kept to, doubted in time, and found when raised."""

import math
from collections.abc import Iterator
from itertools import cycle

import pytest

from batcher.events import LimitChanged
from batcher.policy.dimension import Dimension
from batcher.policy.doubt import Doubt
from batcher.policy.limiter import Limiter
from batcher.policy.proof import Proof
from batcher.policy.ticket import INDEX, REQUESTS, Ticket
from batcher.records import Bucket, Feedback, Need, Quota, Signal, Usage

NEED = Need(input_chars=400, max_tokens=256)
OK = Feedback(signal=Signal.OK, latency_s=0.2, usage=Usage(input_tokens=100, output_tokens=50))


class Namer:
    """A bucket of one second whose refusals name the limit, and a run that uses it."""

    def __init__(self, per_s: float, **settings: object) -> None:
        self.limiter = Limiter("s", max_in_flight=64, **settings)  # type: ignore[arg-type]
        self.per_s = self.level = per_s
        self.taken_per_s = 0.0  # by others
        self.headers = False
        self.named = 1.0  # times the limit is what the text says
        self.now = 0.0
        self.news: list[str] = []

    def _feedback(self) -> Feedback:
        quotas: tuple[Quota, ...] = ()
        ok = self.level >= 1.0
        self.level -= ok
        limit = Quota(bucket=Bucket.REQUESTS, limit=60.0 * self.per_s, remaining=int(self.level))
        if self.headers:
            quotas = (limit,)
        if ok:
            return Feedback(signal=Signal.OK, latency_s=0.2, usage=OK.usage, quotas=quotas)
        said = Quota(bucket=Bucket.REQUESTS, limit=self.named * limit.limit, remaining=0.0)
        return Feedback(signal=Signal.RATE, latency_s=0.01, limit_hint=said, quotas=quotas)

    def _waits(self) -> Iterator[float]:
        while (wait := self.limiter.wait_s(NEED, now=self.now)) > 0.0:
            assert math.isfinite(wait)
            yield wait

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        refill = (self.per_s - self.taken_per_s) * seconds
        self.level = min(max(1.0, self.per_s), self.level + refill)

    def run(self, seconds: float, *, every_s: float = 0.0) -> tuple[int, int]:
        """Requests let in and refused, one at a time and no sooner than `every_s`."""
        until, got = self.now + seconds, [0, 0]
        while self.now < until:
            for wait in self._waits():
                self._pass(wait)
            ticket = self.limiter.reserve(NEED, now=self.now)
            feedback = self._feedback()
            got[feedback.signal is not Signal.OK] += 1
            self._pass(1e-4)
            for event in self.limiter.settle(ticket, feedback, now=self.now):
                assert isinstance(event, LimitChanged)
                self.news.append(event.reason)
            self._pass(every_s)
        return got[0], got[1]


@pytest.mark.parametrize("factor", [1.2, 2.0, 10.0])
@pytest.mark.parametrize("per_s", [2.0, 10.0, 50.0])
def test_a_raised_limit_is_found(per_s: float, factor: float) -> None:
    server = Namer(per_s)
    server.run(60.0)
    server.per_s *= factor
    server.run(max(20.0, 150.0 / per_s))

    admitted, refused = server.run(60.0)

    assert admitted >= 0.97 * 60.0 * server.per_s
    assert refused <= 0.02 * admitted + 1


def test_a_limit_that_lasts_is_doubted_ever_more_seldom() -> None:
    server = Namer(10.0)
    _, at_first = server.run(60.0)
    server.run(600.0)

    admitted, refused = server.run(600.0)

    assert admitted >= 0.98 * 6000
    assert 5 <= refused <= 15  # one a minute
    assert refused / 600.0 < at_first / 60.0
    assert server.news[0] == "429 names a limit: 600 requests/min"
    assert set(server.news[1:]) == {"429 names the same limit: 600 requests/min"}


def test_a_limit_that_falls_is_kept_to_at_once() -> None:
    server = Namer(20.0)
    server.run(60.0)
    server.per_s = 5.0

    admitted, refused = server.run(60.0)

    assert admitted >= 0.97 * 60.0 * 5.0
    assert refused <= 8


def test_a_limit_that_headers_tell_is_not_doubted() -> None:
    server = Namer(10.0)
    server.run(60.0)
    server.headers = True
    server.run(5.0)

    assert server.run(300.0)[1] == 0


def test_headers_end_a_doubt_while_the_limit_is_exceeded() -> None:
    server = Namer(10.0)
    server.run(8.0)
    while server.limiter._limits.known[0].rate == 10.0:
        server.run(0.1)
    server.headers = True
    server.run(1.0)

    assert server.limiter._limits.known[0].rate == 10.0


def test_a_run_that_needs_less_raises_nothing() -> None:
    server = Namer(10.0)
    server.run(5.0)
    server.run(300.0, every_s=0.2)

    assert server.limiter._limits.known[0].rate == pytest.approx(10.0)


def test_what_was_raised_stays_where_the_run_needs_no_more() -> None:
    server = Namer(10.0)
    server.run(30.0)
    server.per_s = 1000.0
    server.run(60.0, every_s=1 / 30)

    admitted, refused = server.run(60.0, every_s=1 / 30)

    assert admitted == pytest.approx(60 * 30, rel=0.03)
    assert not refused


def test_the_settings_are_never_exceeded() -> None:
    server = Namer(20.0, stated={Bucket.REQUESTS: 600.0}, burst_s=1.0)
    server.level = 0.0
    server.run(60.0)

    admitted, _ = server.run(60.0)

    assert 570 <= admitted <= 606
    assert len(server.news) <= 1


def test_a_quota_that_others_use_is_not_taken_for_the_named_one() -> None:
    """Refusals come sooner than that limit explains, so that it is no longer gone by."""
    server = Namer(20.0)
    server.run(30.0)
    server.taken_per_s = 12.0
    server.run(60.0)

    admitted, refused = server.run(120.0)

    assert admitted >= 0.93 * 8.0 * 120.0
    assert refused <= 0.03 * admitted


@pytest.mark.parametrize("named", [0.2, 0.5])
def test_a_limit_of_which_more_is_let_in_for_good_is_none(named: float) -> None:
    """Of several servers behind one address each names its own."""
    server = Namer(10.0)
    server.named = named
    server.run(600.0)

    admitted, refused = server.run(300.0)

    assert admitted >= 0.97 * 3000
    assert refused <= 0.02 * admitted
    said = f"more is let in than the {600.0 * named:.6g} requests/min that 429s name"
    assert [news for news in server.news if "let in" in news] == [said]


def test_what_the_settings_allow_holds_when_a_text_is_refuted() -> None:
    server = Namer(10.0, stated={Bucket.REQUESTS: 660.0}, burst_s=60.0)
    server.level, server.named = 0.0, 0.2
    server.run(600.0)
    server.per_s = 20.0
    server.run(30.0)

    admitted, refused = server.run(120.0)

    assert "more is let in than the 120 requests/min that 429s name" in server.news
    assert 0.97 * 1320 <= admitted <= 1321
    assert refused == 0


def test_a_debt_of_more_than_a_minute_is_looked_into() -> None:
    """All that was in flight is answered: nobody would name the limit again for an hour."""
    dimension = Dimension(REQUESTS)
    flying = [Ticket(0.01 * at, (1.0, 0.0, 0.0, 0.0), [0.0] * 4, 1, 0) for at in range(64)]
    quota = Quota(bucket=Bucket.REQUESTS, limit=6.0, remaining=0.0)
    dimension.name(quota, flying[0], 63.0, 0.1, 1.0)

    refuted = [dimension.let_in(ticket, 1.0, 2.0) for ticket in flying[1:]]

    assert not refuted[0]
    assert refuted[-1]
    dimension.disown()
    assert dimension.rate == 0.0
    assert dimension.is_refuted(6.0, 3.0)
    assert not dimension.is_refuted(60.0, 3.0)


def test_one_refusal_after_a_look_is_forgiven_and_further_ones_are_not() -> None:
    doubt = Doubt(Proof(600.0, 0.0))

    assert doubt.named(10.0, 10.0, 0.0, 0.1, anew=True)
    assert doubt.named(10.0, 10.0, 0.05, 0.2, anew=False)  # sent before that was heard
    assert doubt.named(10.0, 10.0, 0.3, 0.4, anew=False)
    assert not doubt.named(10.0, 10.0, 0.5, 0.6, anew=False)
    assert not doubt.named(10.0, 10.0, 0.7, 0.8, anew=False)


def test_who_shares_a_quota_looks_more_seldom() -> None:
    """So that together they look as often as one alone."""
    looked_at = []
    for users in (1, 2):
        dimension, now = Dimension(REQUESTS), 0.1
        dimension.share(users, 1.0)
        ticket = Ticket(0.0, (1.0, 100.0, 50.0, 150.0), [1.0, 100.0, 50.0, 150.0], 1, 400)
        dimension.name(
            Quota(bucket=Bucket.REQUESTS, limit=120.0, remaining=0.0), ticket, 0.0, 2.0, now
        )
        while dimension.rate == 2.0:
            now += 1.0
            dimension.take(1.0, now)
        looked_at.append(now)

    assert looked_at[1] > 1.8 * looked_at[0]


def test_a_share_of_a_limit_grows_with_it() -> None:
    server = Namer(20.0)
    server.run(30.0)
    server.taken_per_s = 12.0
    server.run(120.0)
    tracker, dimension = server.limiter._tracker, server.limiter._limits.known[0]
    was = tracker.rate
    assert tracker.is_below

    server.per_s, server.taken_per_s = 40.0, 24.0
    until = server.now + 60.0
    while dimension.limit == 1200.0 and server.now < until:
        was = tracker.rate
        server.run(0.01)

    assert tracker.rate == pytest.approx(2.0 * was, rel=0.3)


class Prompts:
    """A named limit of input tokens, its bucket, and prompts that go as soon as they may."""

    def __init__(self, per_s: float, holds_s: float, *sizes: float) -> None:
        self.limiter = Limiter("s", max_in_flight=64)
        self.per_s = per_s
        self.holds = self.level = per_s * holds_s
        self.sizes = cycle(sizes)
        self.now = 0.0

    @property
    def dimension(self) -> Dimension:
        return self.limiter._limits.known[0]

    def run(self, seconds: float) -> tuple[float, int]:
        """Tokens let in a second, and requests refused."""
        until, let_in, refused = self.now + seconds, 0.0, 0
        start, size = self.now, next(self.sizes)
        while self.now < until:
            need = Need(input_chars=int(4 * size), max_tokens=50)
            while (wait := self.limiter.wait_s(need, now=self.now)) > 0.0:
                self._pass(wait)
            ticket = self.limiter.reserve(need, now=self.now)
            if self.level >= min(size, self.holds):
                self.level -= size
                let_in += size
                usage = Usage(input_tokens=int(size), output_tokens=50)
                feedback = Feedback(signal=Signal.OK, latency_s=0.01, usage=usage)
                size = next(self.sizes)
            else:
                refused += 1
                hint = Quota(bucket=Bucket.INPUT, limit=60.0 * self.per_s, remaining=0.0)
                feedback = Feedback(signal=Signal.RATE, latency_s=0.01, limit_hint=hint)
            self._pass(0.01)
            tuple(self.limiter.settle(ticket, feedback, now=self.now))
        return let_in / (self.now - start), refused

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.level = min(self.holds, self.level + self.per_s * seconds)


def test_what_is_bigger_than_the_bucket_goes_when_that_is_full() -> None:
    server = Prompts(2500.0, 1.0, *([200.0] * 20), 4000.0)
    server.run(20.0)

    per_s, refused = server.run(120.0)

    assert per_s >= 0.95 * 2500.0
    assert refused <= 0.03 * 120 * per_s / 381.0


@pytest.mark.parametrize(("cost", "expected"), [(100.0, 1080.0), (2000.0, 2000.0)])
def test_what_ran_over_tells_what_the_bucket_holds(cost: float, expected: float) -> None:
    """It was thought to have 2,980 units before the last attempt, and had run over by 1,900."""
    dimension = Dimension(INDEX[Bucket.INPUT])
    limit = Quota(bucket=Bucket.INPUT, limit=60_000.0, remaining=0.0)
    refused = Ticket(0.0, (1.0, 100.0, 50.0, 150.0), [0.0, 0.0, 0.0, 0.0], 1, 400)
    dimension.name(limit, refused, 0.0, 10.0, 0.0)
    for _ in range(3):
        dimension.sends(0.0)
        dimension.take(10.0, 0.0)
    dimension.sends(2.96)
    dimension.take(1030.0, 2.96)

    again = Ticket(2.97, (1.0, cost, 50.0, 150.0), [0.0, 0.0, 0.0, 0.0], 1, 400)
    dimension.level, dimension._at = 1900.0 + 0.5 * cost, 2.97
    assert dimension.name(limit, again, 0.0, 10.0, 2.97)

    assert dimension.capacity == pytest.approx(expected)


def test_a_bucket_that_holds_more_than_it_seemed_is_found_to_by_what_it_refuses() -> None:
    server = Prompts(2500.0, 1.0, *([200.0] * 20), 2400.0)
    server.run(20.0)
    server.dimension.capacity = 300.0
    server.dimension._size_up()

    per_s, refused = server.run(240.0)

    assert per_s >= 0.96 * 2500.0
    assert refused <= 0.02 * 240 * per_s / 305.0


@pytest.mark.parametrize("bucket", [Bucket.INPUT, Bucket.REQUESTS])
def test_after_refusals_of_prompts_that_nothing_explains_more_is_kept_back_at_first(
    bucket: Bucket,
) -> None:
    dimension, now = Dimension(INDEX[bucket]), 0.0
    limit = Quota(bucket=bucket, limit=60_000.0, remaining=0.0)
    explained, margins = [], []
    for _ in range(6):
        ticket = Ticket(now + 0.1, (1.0, 100.0, 50.0, 150.0), [0.0, 0.0, 0.0, 0.0], 1, 400)
        now += 0.2
        explained.append(dimension.name(limit, ticket, 0.0, 10.0, now))
        margins.append(dimension.margin)

    if bucket is Bucket.INPUT:  # the limit, what it used up, twice more in reserve
        assert explained == [True, True, True, True, False, False]
        assert margins == [250.0, 250.0, 375.0, 562.5, 562.5, 562.5]
    else:
        assert explained == [True, True, False, False, False, False]
        assert margins == [500.0] * 6


def test_what_a_refusal_has_told_is_not_corrected_by_answers_to_what_was_sent_before() -> None:
    dimension = Dimension(INDEX[Bucket.INPUT])
    before, refused, after = (
        Ticket(at, (1.0, 100.0, 50.0, 150.0), [0.0, 0.0, 0.0, 0.0], 1, 400) for at in (1, 2, 3)
    )
    limit = Quota(bucket=Bucket.INPUT, limit=60.0, remaining=0.0)
    dimension.name(limit, refused, 0.0, 1.0, 2.0)
    dimension.take(100.0, 2.0)
    level = dimension.level

    dimension.settle(before, 40.0, 2.0)
    assert dimension.level == level
    dimension.settle(after, 40.0, 2.0)
    assert dimension.level == level + 60.0

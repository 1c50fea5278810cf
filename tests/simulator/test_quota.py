"""Token buckets: what is allowed over any stretch of time, and what a caller is told."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from batcher.job import Simulator as Settings
from batcher.records import Bucket
from batcher.simulator.exchange import Cost, Reading
from batcher.simulator.quota import ScopeQuota, TokenBucket

SMALL = Cost(input_tokens=10, output_tokens=20, max_tokens=100)
steps = st.lists(
    st.tuples(st.floats(0, 30), st.integers(1, 400)), min_size=1, max_size=60
)  # seconds since the step before, units wanted


def readings(quota: ScopeQuota, now: float) -> dict[Bucket, Reading]:
    return {reading.bucket: reading for reading in quota.readings(now=now)}


@given(steps, st.floats(1, 6000), st.floats(0.1, 120))
def test_no_stretch_of_time_admits_more_than_burst_and_refill(
    arrivals: list[tuple[float, int]], per_minute: float, burst_s: float
) -> None:
    bucket = TokenBucket(per_minute, burst_s, now=0.0)
    now, taken = 0.0, [(0.0, 0.0)]
    for gap, units in arrivals:
        now += gap
        bucket.refill(now)
        if units <= bucket.capacity and not bucket.wait_s(units):
            bucket.take(units)
            taken.append((now, taken[-1][1] + units))

    for i, (start, before) in enumerate(taken):
        for end, after in taken[i + 1 :]:
            allowed = bucket.capacity + (end - start) * per_minute / 60
            before_start = taken[i - 1][1] if i else before
            assert after - before_start <= allowed * (1 + 1e-9) + 1e-3


@given(steps, st.floats(1, 6000), st.floats(0.1, 120))
def test_waiting_as_told_is_always_enough(
    arrivals: list[tuple[float, int]], per_minute: float, burst_s: float
) -> None:
    bucket = TokenBucket(per_minute, burst_s, now=0.0)
    now = 0.0
    for gap, units in arrivals:
        now += gap
        bucket.refill(now)
        now += bucket.wait_s(units)
        bucket.refill(now)

        assert bucket.wait_s(units) == 0.0
        bucket.take(units)


def test_a_request_larger_than_the_bucket_goes_alone_when_it_is_full() -> None:
    bucket = TokenBucket(60, 10, now=0.0)

    assert bucket.wait_s(1000) == 0.0
    bucket.take(1000)
    assert bucket.wait_s(1) == 991.0


def test_a_burst_below_one_request_still_admits_one() -> None:
    bucket = TokenBucket(6, 0.5, now=0.0)

    assert bucket.capacity == 1
    bucket.take(1)
    assert bucket.wait_s(1) == 10.0


def test_the_limit_that_needs_the_longest_wait_is_named() -> None:
    quota = ScopeQuota(
        Settings(requests_per_minute=60, input_tokens_per_minute=60, burst_s=1), now=0.0
    )
    assert quota.admit(SMALL, now=0.0) is None

    denial = quota.admit(SMALL, now=0.0)
    assert denial is not None
    assert denial.bucket is Bucket.INPUT
    assert denial.limit == 60
    assert denial.wait_s == 10.0


def test_a_refused_request_charges_no_bucket() -> None:
    quota = ScopeQuota(
        Settings(requests_per_minute=600, input_tokens_per_minute=60, burst_s=10), now=0.0
    )
    assert quota.admit(SMALL, now=0.0) is None
    before = readings(quota, 0.0)

    assert quota.admit(SMALL, now=0.0) is not None
    assert readings(quota, 0.0) == before


def test_a_refused_request_can_be_made_to_cost_quota() -> None:
    quota = ScopeQuota(Settings(requests_per_minute=60, burst_s=1, rejects_cost=1), now=0.0)
    assert quota.admit(SMALL, now=0.0) is None

    first, second = quota.admit(SMALL, now=0.0), quota.admit(SMALL, now=0.0)
    assert first is not None
    assert second is not None
    assert (first.wait_s, second.wait_s) == (1.0, 2.0)


def test_output_counts_as_generated_by_default() -> None:
    quota = ScopeQuota(Settings(output_tokens_per_minute=60, burst_s=60), now=0.0)

    for _ in range(3):
        assert quota.admit(SMALL, now=0.0) is None
    assert readings(quota, 0.0)[Bucket.OUTPUT].remaining == 0
    assert quota.admit(SMALL, now=0.0) is not None


def test_reserved_output_is_given_back_down_to_what_was_used() -> None:
    quota = ScopeQuota(
        Settings(output_tokens_per_minute=600, burst_s=60, reserve_output=True), now=0.0
    )

    assert quota.admit(SMALL, now=0.0) is None
    assert readings(quota, 0.0)[Bucket.OUTPUT].remaining == 500
    quota.settle(SMALL, now=0.0)
    assert readings(quota, 0.0)[Bucket.OUTPUT].remaining == 580


def test_total_tokens_count_input_and_output() -> None:
    quota = ScopeQuota(Settings(tokens_per_minute=600), now=0.0)

    assert quota.admit(SMALL, now=0.0) is None
    assert readings(quota, 0.0)[Bucket.TOTAL].remaining == 570


def test_a_hidden_burst_denies_what_no_reading_shows() -> None:
    quota = ScopeQuota(Settings(requests_per_minute=600, hidden_burst_s=1), now=0.0)

    admitted = sum(quota.admit(SMALL, now=0.0) is None for _ in range(20))

    assert admitted == 10
    assert readings(quota, 0.0)[Bucket.REQUESTS].remaining == 590


@given(st.lists(st.floats(0.01, 5), min_size=2, max_size=50))
def test_readings_never_fall_below_nought_or_rise_above_the_bucket(gaps: list[float]) -> None:
    quota = ScopeQuota(Settings(requests_per_minute=60, burst_s=5), now=0.0)
    now = 0.0
    levels = []
    for gap in gaps:
        now += gap
        quota.admit(SMALL, now=now)
        levels.append(readings(quota, now)[Bucket.REQUESTS].remaining)

    assert all(0 <= level <= 5 for level in levels)
    assert all(after <= before + 5.001 for before, after in pairwise(levels))


def test_half_the_quota_is_half_the_burst_and_half_the_refill() -> None:
    quota = ScopeQuota(Settings(requests_per_minute=600, burst_s=10), now=0.0)

    quota.scale(0.5, now=0.0)

    reading = readings(quota, 0.0)[Bucket.REQUESTS]
    assert (reading.limit, reading.remaining, reading.full_in_s) == (300, 50, 0)
    for _ in range(50):
        assert quota.admit(SMALL, now=0.0) is None
    denial = quota.admit(SMALL, now=0.0)
    assert denial is not None
    assert math.isclose(denial.wait_s, 0.2)


def test_doubled_quota_does_not_conjure_up_what_was_used() -> None:
    quota = ScopeQuota(Settings(requests_per_minute=60, burst_s=10), now=0.0)
    for _ in range(10):
        assert quota.admit(SMALL, now=0.0) is None

    quota.scale(2, now=0.0)

    assert quota.admit(SMALL, now=0.0) is not None
    assert quota.admit(SMALL, now=0.5) is None

"""What is left of a quota whose limit is known."""

import math
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.dimension import Dimension
from batcher.policy.ticket import INPUT, REQUESTS, Ticket
from batcher.records import Bucket, Quota

BUCKETS = {REQUESTS: Bucket.REQUESTS, INPUT: Bucket.INPUT}


def an_attempt(sent: float, tokens: float = 500.0) -> Ticket:
    return Ticket(sent, (1.0, tokens, 0.0, tokens), [0.0] * 4, 1, 100)


def read(
    dimension: Dimension,
    remaining: float,
    *,
    sent: float,
    now: float,
    limit: float = 6000.0,
    since: float = 0.0,
    resets_in_s: float | None = None,
) -> None:
    quota = Quota(
        bucket=BUCKETS[dimension.index], limit=limit, remaining=remaining, resets_in_s=resets_in_s
    )
    dimension.read(quota, an_attempt(sent), since, now)


def known(index: int, *, limit: float = 6000.0, remaining: float) -> Dimension:
    dimension = Dimension(index)
    read(dimension, remaining, sent=0.0, now=0.0, limit=limit)
    return dimension


def told_again(
    dimension: Dimension, remaining: float, *, limit: float, steps: range, cost: float = 1.0
) -> None:
    """An attempt every ten seconds, and each time a header says that so much is left."""
    for step in steps:
        now = 10.0 * step
        dimension.take(cost, now)
        read(dimension, remaining, sent=now, now=now, limit=limit)


def refused_again(dimension: Dimension, *, steps: range) -> None:
    """A refusal every ten seconds."""
    for step in steps:
        now = 10.0 * step
        dimension.refused(an_attempt(now), 0.0, since=0.0, now=now)


def test_a_header_makes_the_limit_known() -> None:
    dimension = known(REQUESTS, remaining=100.0)

    assert dimension.rate == 100.0
    assert dimension.level == pytest.approx(100.0)


def test_what_rounding_explains_is_left_alone() -> None:
    dimension = known(INPUT, limit=600_000.0, remaining=100_000.0)
    level = dimension.level
    read(dimension, 100_000.0, sent=0.0, now=0.0, limit=600_000.0)

    assert dimension.level == level


def test_beyond_what_rounding_explains_the_nearest_possible_level_is_taken() -> None:
    dimension = known(INPUT, limit=600_000.0, remaining=100_000.0)
    read(dimension, 90_000.0, sent=0.0, now=0.0, limit=600_000.0)

    assert dimension.level == pytest.approx(90_500.0)


def test_nothing_left_may_be_any_debt_of_tokens() -> None:
    dimension = known(INPUT, limit=60_000.0, remaining=5_000.0)
    dimension.take(20_000.0, 0.0)
    read(dimension, 0.0, sent=0.0, now=0.0, limit=60_000.0)

    assert dimension.level < -14_000.0


def test_the_margin_waits_only_where_the_bucket_has_room_for_it() -> None:
    deep, single = Dimension(REQUESTS), Dimension(REQUESTS)
    deep.state(600.0, burst_s=60.0)
    single.state(60.0, burst_s=1.0)
    for dimension in (deep, single):
        dimension.level = 0.0
        dimension.fill(0.0)
        dimension._at = 0.0

    assert deep.wait_s(1.0, 0.0) == pytest.approx(0.1 + deep.margin / 10.0)
    assert single.wait_s(1.0, 0.0) == pytest.approx(1.03)


def test_a_refusal_shows_that_there_was_less_than_was_asked_for() -> None:
    dimension = known(REQUESTS, limit=60.0, remaining=40.0)
    margin = dimension.margin
    dimension.refused(an_attempt(0.0), 0.0, since=0.0, now=0.0)

    assert dimension.level <= 1.0
    assert dimension.margin > margin


def test_one_cluster_of_refusals_widens_the_margin_once() -> None:
    dimension = known(REQUESTS, limit=600.0, remaining=40.0)
    dimension.refused(an_attempt(0.0), 0.0, since=0.0, now=0.5)
    margin = dimension.margin
    dimension.refused(an_attempt(0.1), 0.0, since=0.0, now=0.6)

    assert dimension.margin == margin


def test_a_bucket_that_is_never_seen_so_full_holds_less() -> None:
    dimension = known(INPUT, limit=60_000.0, remaining=8_000.0)
    for step in range(1, 20):
        read(dimension, 8_000.0, sent=30.0 * step, now=30.0 * step, limit=60_000.0)

    assert dimension.capacity < 12_000.0


def test_a_bucket_that_runs_over_is_believed_to_be_small_until_more_of_it_is_seen() -> None:
    dimension = known(REQUESTS, limit=600.0, remaining=0.0)
    told_again(dimension, 0.0, limit=600.0, steps=range(1, 4))

    assert dimension.capacity == 1.5

    told_again(dimension, 99.0, limit=600.0, steps=range(4, 8))  # who kept it empty is gone

    assert dimension.capacity == 600.0


def test_a_small_bucket_of_tokens_runs_over_too() -> None:
    """Two thousand a second, of which the bucket holds eight hundred, as headers round it."""
    dimension = known(INPUT, limit=120_000.0, remaining=0.0)
    told_again(dimension, 0.0, limit=120_000.0, steps=range(1, 6), cost=500.0)

    assert dimension.capacity == 500.0
    assert dimension._foreign == 0.0


def test_a_limit_of_nought_is_none() -> None:
    dimension = known(INPUT, limit=0.0, remaining=0.0)
    read(dimension, 0.0, sent=1.0, now=1.0, limit=0.0)

    assert dimension.rate == 0.0


def test_a_bucket_of_some_seconds_runs_over_where_it_is_always_full() -> None:
    dimension = known(INPUT, limit=120_000.0, remaining=5_000.0)
    told_again(dimension, 5_000.0, limit=120_000.0, steps=range(1, 6), cost=500.0)

    assert dimension.capacity == 5_500.0
    assert dimension._foreign == 0.0

    told_again(dimension, 5_000.0, limit=120_000.0, steps=range(6, 40), cost=500.0)

    assert dimension.capacity == 5_500.0
    assert dimension._foreign == 0.0


def test_a_bucket_of_some_seconds_that_was_seen_fuller_is_used_by_others() -> None:
    dimension = known(INPUT, limit=120_000.0, remaining=9_000.0)
    told_again(dimension, 5_000.0, limit=120_000.0, steps=range(1, 6), cost=500.0)

    assert dimension._foreign > 0.0


def test_a_bucket_that_runs_over_is_as_great_as_is_seen_of_it() -> None:
    dimension = known(INPUT, limit=120_000.0, remaining=5_000.0)
    told_again(dimension, 5_000.0, limit=120_000.0, steps=range(1, 6), cost=500.0)
    told_again(dimension, 8_000.0, limit=120_000.0, steps=range(6, 7), cost=500.0)

    assert dimension.capacity == 8_500.0


def test_a_lower_limit_of_tokens_makes_less_of_the_bucket_where_no_time_to_full_is_told() -> None:
    dimension = known(INPUT, limit=240_000.0, remaining=9_500.0)
    told_again(dimension, 2_000.0, limit=60_000.0, steps=range(1, 6), cost=500.0)

    assert dimension.capacity == 2_500.0
    assert dimension._foreign == 0.0


def test_where_less_is_left_than_ever_others_take_the_difference() -> None:
    dimension = known(REQUESTS, limit=600.0, remaining=7.0)
    told_again(dimension, 2.0, limit=600.0, steps=range(1, 4))

    assert dimension._foreign > 0.0


def test_refusals_of_a_bucket_that_runs_over_make_it_no_greater() -> None:
    dimension = known(INPUT, limit=120_000.0, remaining=0.0)
    told_again(dimension, 0.0, limit=120_000.0, steps=range(1, 2), cost=500.0)
    refused_again(dimension, steps=range(2, 6))

    assert dimension.capacity == 500.0


def test_refusals_never_make_the_margin_greater_than_the_bucket() -> None:
    dimension = known(REQUESTS, limit=1200.0, remaining=20.0)
    refused_again(dimension, steps=range(1, 60))

    assert dimension.margin < 20.0


def test_headers_tell_how_small_the_bucket_of_a_stated_limit_is() -> None:
    dimension = Dimension(REQUESTS)
    dimension.state(60.0, burst_s=60.0)
    told_again(dimension, 0.0, limit=60.0, steps=range(1, 4))

    assert dimension.capacity == 1.5


def test_a_lower_limit_makes_what_was_seen_of_the_bucket_less() -> None:
    dimension = known(REQUESTS, limit=240.0, remaining=3.0)
    told_again(dimension, 0.0, limit=60.0, steps=range(1, 4))

    assert dimension.capacity == 1.5
    assert dimension._foreign == 0.0


def test_one_prompt_that_a_full_bucket_refuses_shows_that_it_holds_more() -> None:
    dimension = known(INPUT, limit=60_000.0, remaining=8_000.0)
    dimension.capacity = 10_000.0
    dimension.refused(an_attempt(0.0, tokens=20_000.0), 9_000.0, since=0.0, now=0.0)

    assert dimension.capacity == 12_500.0


def test_news_of_another_limit_is_not_overtaken_by_old_answers() -> None:
    dimension = known(REQUESTS, remaining=100.0)
    read(dimension, 50.0, sent=10.0, now=11.0, limit=3000.0)
    read(dimension, 100.0, sent=9.0, now=12.0, limit=6000.0)

    assert dimension.rate == 50.0


@given(
    costs=st.lists(st.floats(1.0, 5_000.0), min_size=20, max_size=60),
    limit=st.floats(60_000.0, 600_000.0),
)
def test_waiting_as_told_never_overdraws_a_full_bucket(costs: list[float], limit: float) -> None:
    dimension = Dimension(INPUT)
    dimension.state(limit, burst_s=60.0)
    now = level = 0.0
    level, at = limit, 0.0
    for cost in costs:
        now += dimension.wait_s(cost, now)
        level, at = min(limit, level + limit / 60 * (now - at)), now
        dimension.take(cost, now)
        level -= cost
        assert level >= -1e-6 * limit


@pytest.mark.parametrize("limit", [0.1, 0.3, 0.5, 1.0])
def test_a_limit_of_less_than_one_a_minute_is_followed(limit: float) -> None:
    dimension = known(REQUESTS, limit=limit, remaining=0.0)
    for step in range(1, 5):
        now = 1000.0 * step
        assert math.isfinite(dimension.wait_s(1.0, now))
        dimension.take(1.0, now)
        read(dimension, 0.0, sent=now, now=now, limit=limit)

    assert dimension.rate == pytest.approx(limit / 60.0)


def in_a_window(seconds: float) -> tuple[Dimension, list[float]]:
    """Ten a second by a sliding window; answers take 0.3 s. Also returns when requests went."""
    dimension = Dimension(REQUESTS)
    sent: list[float] = []
    headers: deque[tuple[float, float]] = deque()
    for step in range(int(seconds / 0.02)):
        now = 0.02 * step
        while headers and headers[0][0] <= now - 0.3:
            at, left = headers.popleft()
            read(dimension, left, sent=at, now=now, limit=600.0)
        wants = dimension.is_window or now % 2.0 < 1.0
        if not wants or (dimension.rate and dimension.wait_s(1.0, now) > 0.0):
            continue
        within = sum(at > now - 1.0 for at in sent[-10:])
        if within < 10:
            dimension.take(1.0, now)
            sent.append(now)
            headers.append((now, 9.0 - within))
        else:
            assert not dimension.is_window
    return dimension, sent


def test_a_short_window_is_kept_to_and_used() -> None:
    dimension, sent = in_a_window(60.0)

    assert dimension.is_window
    assert not dimension.is_shallow(1.0)
    assert sum(at > 30.0 for at in sent) > 0.9 * 300.0


def test_a_window_that_refuses_is_given_more_time_and_given_up_where_others_fill_it() -> None:
    dimension, sent = in_a_window(60.0)
    wait_s = dimension.wait_s(1.0, sent[-1])
    ticket = an_attempt(sent[-1])
    dimension.refused(ticket, 0.0, since=0.0, now=sent[-1] + 0.1)
    assert dimension.is_window
    assert dimension.wait_s(1.0, sent[-1]) == pytest.approx(wait_s + 0.02, abs=1e-3)

    dimension.take(1.0, 100.0)
    dimension.refused(an_attempt(100.0), 0.0, since=0.0, now=100.1)
    assert not dimension.is_window

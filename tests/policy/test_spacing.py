import math
import random

import pytest

from batcher.policy.spacing import Spacing


def search(spacing: Spacing, quota: float, attempts: int) -> int:
    """Send to a bucket of one that refills at `quota`; returns how many it refused."""
    refused = 0
    for _ in range(attempts):
        spacing.sent()
        if spacing.rate > quota:
            spacing.refused(0.0)
            refused += 1
    return refused


@pytest.mark.parametrize("start", [0.2, 0.9, 4.0, 30.0])
def test_the_rate_of_a_bucket_of_one_is_found(start: float) -> None:
    spacing = Spacing(start)

    search(spacing, 1.0, 300)

    assert 0.95 < spacing.rate <= 1.03


def test_once_found_one_in_fifty_at_most_is_refused() -> None:
    spacing = Spacing(2.0)
    search(spacing, 1.0, 300)

    assert search(spacing, 1.0, 1000) <= 20


@pytest.mark.parametrize("quota", [0.25, 4.0])
def test_another_quota_is_found_again(quota: float) -> None:
    spacing = Spacing(2.0)
    search(spacing, 1.0, 500)

    search(spacing, quota, 500)

    assert spacing.rate == pytest.approx(quota, rel=0.06)


def test_what_the_server_told_is_never_exceeded() -> None:
    spacing = Spacing(1.0, ceiling=1.0)
    spacing.refused(0.0)

    fastest = -math.inf
    for _ in range(500):
        spacing.sent()
        fastest = max(fastest, spacing.rate)

    assert fastest == 1.0


def test_a_bucket_that_lets_in_much_more_than_it_refused_once_is_outgrown() -> None:
    spacing = Spacing(1.0)
    search(spacing, 1.0, 300)
    assert not spacing.is_outgrown

    assert any(search(spacing, 10.0, 1) == 0 and spacing.is_outgrown for _ in range(200))


def test_what_was_outgrown_in_vain_takes_more_to_be_outgrown_again() -> None:
    first, again = Spacing(1.0), Spacing(1.0, returns=1)
    for spacing in (first, again):
        search(spacing, 1.0, 300)
        while spacing.rate < 6.0:
            spacing.sent()

    assert first.is_outgrown
    assert not again.is_outgrown


@pytest.mark.parametrize("seed", range(4))
def test_where_attempts_overtake_one_another_few_are_refused_all_the_same(seed: int) -> None:
    """A tenth of a second apart, each up to twenty milliseconds late: no rate is quite safe."""
    rng, spacing = random.Random(seed), Spacing(6.0)
    there = late = 0.0
    refused = []
    for attempt in range(6000):
        spacing.sent()
        gap = 1.0 / spacing.rate - late
        late = 0.02 * rng.random()
        there += gap + late
        if there < 0.1:
            spacing.refused(0.0)
            refused.append(attempt)
        else:
            there = 0.0

    assert spacing.rate > 7.5
    assert sum(attempt >= 1000 for attempt in refused) < 0.021 * 5000


def test_after_a_while_in_which_nobody_was_let_in_it_goes_on_as_before() -> None:
    spacing = Spacing(2.0)
    search(spacing, 1.0, 300)
    rate = spacing.rate
    for number in range(12):
        spacing.sent()
        spacing.refused(float(number))
    assert spacing.rate < 0.1 * rate

    spacing.sent()
    spacing.answered(12.0)

    assert spacing.rate == pytest.approx(rate, rel=0.1)


def test_an_answer_that_comes_late_is_not_waited_for() -> None:
    spacing = Spacing(2.0)
    search(spacing, 1.0, 300)
    rate = spacing.rate
    for number in range(12):
        spacing.sent()
        spacing.refused(float(number))

    spacing.sent()
    spacing.sent()

    assert spacing.rate == pytest.approx(rate, rel=0.1)


def test_an_answer_to_what_was_sent_before_the_refusals_says_nothing() -> None:
    spacing = Spacing(2.0)
    search(spacing, 1.0, 300)
    for number in range(12):
        spacing.sent()
        spacing.refused(10.0 + number)
    slow = spacing.rate

    spacing.answered(9.0)

    assert spacing.rate == slow


def test_a_quota_that_fell_is_believed_the_second_time() -> None:
    spacing = Spacing(2.0)
    search(spacing, 1.0, 300)

    assert search(spacing, 0.1, 60) < 25
    assert spacing.rate < 0.15


def test_an_attempt_a_minute_goes_whatever_is_refused() -> None:
    spacing = Spacing(1.0)
    for number in range(100):
        spacing.sent()
        spacing.refused(float(number))

    assert spacing.rate == pytest.approx(1.0 / 60.0)

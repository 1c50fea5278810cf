"""Telling a bucket that runs over from a deeper one whose rate is right."""

import pytest

from batcher.policy.overflow import Overflow


def after_probes(
    count: int, *, rate: float = 6.0, pace: float = 9.0, held: float = 2.0
) -> Overflow:
    overflow = Overflow()
    for _ in range(count):
        assert overflow.refused(rate, pace, held) is None
    return overflow


def test_probes_that_end_far_above_the_same_estimate_lead_to_a_trial_half_way() -> None:
    trial = after_probes(3).refused(6.0, 9.0, 2.0)

    assert trial == pytest.approx(0.97 * 54.0**0.5)


def test_a_trial_that_is_let_in_shows_a_small_bucket() -> None:
    overflow = after_probes(3)
    trial = overflow.refused(6.0, 9.0, 2.0)
    assert trial is not None
    overflow.refused(trial, 9.0, 2.0)

    assert overflow.is_certain


def test_after_a_trial_that_failed_the_next_one_takes_twice_as_many_probes() -> None:
    overflow = after_probes(3)
    overflow.refused(6.0, 9.0, 2.0)
    told = [overflow.refused(6.0, 9.0, 2.0) for _ in range(7)]

    assert not overflow.is_certain
    assert told[:6] == [None] * 6
    assert told[6] is not None


@pytest.mark.parametrize(
    "rate, pace, held",
    [(6.0, 7.0, 2.0), (6.0, 9.0, 5.0)],
    ids=["probes end near the estimate", "the bucket was seen to hold more"],
)
def test_what_is_no_sign_of_overflow_leads_to_no_trial(
    rate: float, pace: float, held: float
) -> None:
    overflow = after_probes(20, rate=rate, pace=pace, held=held)

    assert not overflow.is_trying

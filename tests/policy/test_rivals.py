"""Strangers on the same quota, noticed by refusals that surprise."""

import math

import pytest

from batcher.policy.rivals import Rivals
from batcher.policy.ticket import Ticket
from batcher.policy.tracker import Tracker

MEAN = (1.0, 100.0, 50.0, 150.0)


def surprised(rivals: Rivals, now: float) -> None:
    rivals.refused(5.0, 10.0, now, per_s=10.0, is_probe=False, of_sizes=False, is_sure=True)


def test_one_surprise_is_a_step_of_the_quota_and_no_rival() -> None:
    rivals = Rivals()
    surprised(rivals, 10.0)
    surprised(rivals, 11.0)

    assert not rivals.are_there


def test_surprise_upon_surprise_tells_of_rivals() -> None:
    rivals = Rivals()
    for now in (10.0, 14.0, 18.0):
        surprised(rivals, now)

    assert rivals.are_there


def test_refusals_that_were_looked_for_and_change_nothing_are_ours() -> None:
    rivals = Rivals()
    for now in (10.0, 14.0, 18.0, 22.0):
        rivals.refused(10.0, 10.1, now, per_s=10.0, is_probe=True, of_sizes=False, is_sure=True)

    assert not rivals.are_there


def test_a_shared_rate_grows_until_it_is_cut() -> None:
    rivals = Rivals()
    rivals.proven(10.0)

    assert rivals.pace(5.0, 2.0) > rivals.pace(5.0, 1.0) > 5.0
    assert rivals.agreed(1, 6.0) == pytest.approx(0.7 * 6.0)


def test_refusals_that_all_agree_end_the_sharing() -> None:
    rivals = Rivals()
    rivals.are_there = True

    assert rivals.agreed(6, 6.0) is None
    assert not rivals.are_there


def test_a_shared_quota_of_few_requests_is_regained_as_time_goes_by() -> None:
    """Ten seconds between two attempts count as ten, not as the little a search may go on."""
    tracker = Tracker()
    tracker.is_on, tracker.rate = True, 0.05
    tracker._rivals.are_there = True
    tracker._rivals.proven(0.2)
    for step in range(1, 11):
        tracker.sent(Ticket(10.0 * step, MEAN, [0.0] * 4, 1, 100), MEAN, 10.0 * step)

    assert tracker.pace(100.0) > 0.05 + 0.8 * 0.06 * math.sqrt(0.05 * 0.2) * 100.0

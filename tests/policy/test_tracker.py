"""Pacing one limit that nobody told us."""

import pytest

from batcher.policy.spacing import Spacing
from batcher.policy.ticket import REQUESTS, Ticket
from batcher.policy.tracker import Tracker

MEAN = (1.0, 100.0, 50.0, 150.0)


def at_rate(rate: float) -> Tracker:
    tracker = Tracker()
    tracker.is_on, tracker.unit, tracker.rate = True, REQUESTS, rate
    return tracker


def gap_s(tracker: Tracker, now: float) -> float:
    """Seconds between an attempt that goes now and the next."""
    ticket = Ticket(now, MEAN, [0.0] * 4, 1, 100)
    assert tracker.wait_s(MEAN, now) <= 0.0
    tracker.sent(ticket, MEAN, now)
    return tracker.wait_s(MEAN, now)


def test_what_is_spaced_never_comes_closer_however_long_nothing_went() -> None:
    tracker = at_rate(10.0)
    tracker._spacing = Spacing(10.0)

    assert gap_s(tracker, 100.0) == pytest.approx(0.1)


def test_a_deeper_bucket_allows_a_little_at_once() -> None:
    assert gap_s(at_rate(10.0), 100.0) < 0.05


def test_what_was_counted_before_says_nothing_of_another_unit() -> None:
    tracker = at_rate(10.0)
    tracker._evidence._overflow.is_certain = True
    tracker._evidence.depth.seconds = 3.0
    tracker.pin(1, 1000.0)

    assert not tracker._evidence._overflow.is_certain
    assert tracker._evidence.depth.seconds == 0.0
    assert tracker.rate == 1000.0

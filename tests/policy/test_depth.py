"""What a bucket of tokens holds, told from what it let through."""

import pytest

from batcher.policy.depth import Depth
from batcher.policy.ticket import INPUT, Ticket


def an_attempt(sent: float, tokens: float) -> Ticket:
    return Ticket(sent, (1.0, tokens, 0.0, tokens), [0.0] * 4, 1, 100)


def a_depth_of_two_seconds() -> Depth:
    """Twice the rate for two seconds, until the refusal: a full bucket gave the other half."""
    depth = Depth()
    for step in range(20):
        depth.sent(an_attempt(step * 0.1, 100.0))
    refused = an_attempt(2.0, 0.0)
    refused.is_refused = True
    depth.sent(refused)
    depth.first_refused(refused)
    depth.learn(2, 500.0, INPUT)
    return depth


def test_the_start_tells_how_many_seconds_of_the_rate_a_full_bucket_holds() -> None:
    assert a_depth_of_two_seconds().seconds == pytest.approx(2.0)


def test_one_refusal_does_not_tell_the_depth() -> None:
    depth = Depth()
    attempt = an_attempt(0.0, 100.0)
    depth.sent(attempt)
    depth.first_refused(attempt)
    depth.learn(1, 500.0, INPUT)

    assert depth.seconds == 0.0


def test_a_start_is_not_judged_by_a_rate_that_came_later() -> None:
    depth = a_depth_of_two_seconds()
    depth.learn(1, 250.0, INPUT)
    depth.learn(3, 250.0, INPUT)

    assert depth.seconds == pytest.approx(2.0)


def test_the_gap_before_an_attempt_reaches_back_to_one_that_was_let_in() -> None:
    depth = Depth()
    refused = an_attempt(0.5, 100.0)
    refused.is_refused = True
    for attempt in (an_attempt(0.2, 100.0), refused):
        depth.sent(attempt)

    assert depth.gap_s(an_attempt(1.0, 100.0)) == pytest.approx(0.8)


def test_attempts_between_two_moments_come_oldest_first() -> None:
    depth = Depth()
    for step in range(5):
        depth.sent(an_attempt(float(step), 100.0))

    assert [one.sent for one in depth.between(1.0, an_attempt(3.0, 0.0))] == [1.0, 2.0, 3.0]


def test_a_start_that_is_over_is_not_told_again() -> None:
    depth = Depth()
    refused = an_attempt(1.0, 100.0)
    refused.is_refused = True
    for attempt in (an_attempt(0.0, 100.0), refused):
        depth.sent(attempt)

    assert len(depth.start(refused)) == 2
    depth.is_over = True
    assert depth.start(refused) == []

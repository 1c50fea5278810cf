"""What a bucket of tokens holds, told from what it let through."""

import pytest

from batcher.policy.depth import Depth
from batcher.policy.ticket import INPUT, Ticket


def an_attempt(sent: float, tokens: float) -> Ticket:
    return Ticket(sent, (1.0, tokens, 0.0, tokens), [0.0] * 4, 1, 100)


class Empty:
    """A refusal that found nothing left."""

    def __init__(self, sent: float) -> None:
        self.sent = sent

    def level(self, unit: int) -> float:
        return 0.0


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


def test_what_a_full_bucket_could_not_take_is_counted() -> None:
    depth = a_depth_of_two_seconds()
    depth.sent(an_attempt(15.0, 0.0))

    over = depth.ran_over_s(Empty(10.0), an_attempt(15.0, 0.0), rate=500.0, unit=INPUT)

    assert over == pytest.approx(3.0)


def test_letting_more_through_than_a_full_bucket_holds_shows_a_greater_rate() -> None:
    depth = a_depth_of_two_seconds()
    for step in range(40):
        depth.sent(an_attempt(10.0 + step * 0.1, 100.0))

    assert depth.least(an_attempt(14.0, 0.0), 9.0, INPUT) == pytest.approx(4000.0 / 6.0)


def test_what_was_refused_and_what_is_older_than_asked_does_not_count() -> None:
    depth = a_depth_of_two_seconds()
    refused = an_attempt(10.0, 9000.0)
    refused.is_refused = True
    depth.sent(refused)

    assert depth.least(an_attempt(11.0, 0.0), 9.0, INPUT) == 0.0

"""A limit that stays shut: when that is a window, and what it holds."""

import pytest

from batcher.policy.door import Door
from batcher.policy.marks import Mark
from batcher.policy.ticket import REQUESTS, Ticket


def an_attempt(sent: float, total: float) -> Ticket:
    return Ticket(sent, (1.0, 0.0, 0.0, 0.0), [total, 0.0, 0.0, 0.0], 1, 100)


def a_refusal(sent: float, total: float) -> Mark:
    return Mark(an_attempt(sent, total), None, 0.0)


def closed_at(sent: float, *, held: int, rate: float, is_sure: bool = False) -> Door:
    """A door that let `held` in during the time before it closed, evenly."""
    door = Door()
    for number in range(held):
        door.sent(an_attempt(sent * number / held, float(number)))
    door.closed(a_refusal(sent, float(held)), REQUESTS, rate, is_sure=is_sure)
    return door


def test_a_refusal_with_nothing_let_in_before_it_is_the_same_closing() -> None:
    door = closed_at(10.0, held=600, rate=40.0)

    assert door.is_still_shut(an_attempt(11.0, 600.0), REQUESTS)
    assert not door.is_still_shut(an_attempt(11.0, 601.0), REQUESTS)


def test_a_moment_is_too_short_to_tell() -> None:
    door = closed_at(10.0, held=600, rate=40.0)

    assert not door.is_still_shut(an_attempt(10.05, 600.0), REQUESTS)


def test_it_is_tried_ever_less_often() -> None:
    door = closed_at(70.0, held=600, rate=40.0)

    assert door.try_later(70.1) == pytest.approx(0.1)
    assert door.try_later(80.0) == pytest.approx(5.0)
    assert door.try_later(1000.0) == pytest.approx(60.0)


def test_it_is_tried_when_a_minute_since_the_first_attempt_is_over() -> None:
    door = closed_at(12.0, held=600, rate=40.0)

    assert door.try_later(48.0) == pytest.approx(12.1)


def test_the_minute_counts_from_the_first_attempt_after_it_was_shut() -> None:
    door = closed_at(12.0, held=600, rate=40.0)
    door.try_later(48.0)
    for sent in range(61, 100):
        door.sent(an_attempt(float(sent), 600.0 + sent))
    door.closed(a_refusal(100.0, 1200.0), REQUESTS, 10.0, is_sure=False)

    assert door.try_later(117.0) == pytest.approx(4.1)


@pytest.mark.parametrize(("shut_s", "window_s"), [(2.5, 10.0), (7.0, 10.0), (40.0, 60.0)])
def test_windows_have_usual_lengths(shut_s: float, window_s: float) -> None:
    door = closed_at(10.0, held=600, rate=40.0)

    assert door.shut_until(10.0 + shut_s, REQUESTS)
    assert door.window_s == window_s


def test_a_longer_one_is_as_long_as_it_stays_shut() -> None:
    door = closed_at(10.0, held=600, rate=40.0)

    assert door.shut_until(310.0, REQUESTS)
    assert door.window_s == pytest.approx(300.0)


@pytest.mark.parametrize(
    ("held", "rate", "until"),
    [
        pytest.param(50, 0.5, 14.0, id="a bucket that refills slowly"),
        pytest.param(600, 40.0, 10.9, id="a window of a second, as good as a bucket"),
    ],
)
def test_what_is_no_window(held: int, rate: float, until: float) -> None:
    door = closed_at(10.0, held=held, rate=rate)

    assert not door.shut_until(until, REQUESTS)
    assert door.window_s == 0.0


def test_a_window_holds_what_was_let_in_during_its_length() -> None:
    door = closed_at(40.0, held=400, rate=40.0)
    door.shut_until(50.0, REQUESTS)

    assert door.window_s == 10.0
    assert door.measure(REQUESTS) == pytest.approx(10.0, rel=0.05)


def test_closings_that_are_soon_over_are_those_of_a_bucket() -> None:
    door = closed_at(10.0, held=600, rate=10.0)
    door.shut_until(60.0, REQUESTS)
    for number in range(6):
        mark = a_refusal(70.0 + number, 700.0 + 10.0 * number)
        door.closed(mark, REQUESTS, 10.0, is_sure=False)

    assert door.window_s == 0.0


def test_where_next_to_nothing_was_let_in_there_is_no_window() -> None:
    door = closed_at(40.0, held=400, rate=40.0)
    door.shut_until(50.0, REQUESTS)
    door.closed(a_refusal(90.0, 405.0), REQUESTS, 10.0, is_sure=False)

    assert door.measure(REQUESTS) == 0.0
    assert door.window_s == 0.0


def test_a_window_of_an_hour_holds_what_was_let_in_since_it_opened() -> None:
    door = closed_at(600.0, held=9000, rate=15.0)
    door.shut_until(3600.0, REQUESTS)

    assert door.window_s == pytest.approx(3000.0)
    assert door.measure(REQUESTS) == pytest.approx(3.0)


def test_one_closing_does_not_make_windows_of_what_is_known_to_refill() -> None:
    door = closed_at(30.0, held=300, rate=10.0, is_sure=True)

    assert door.shut_until(50.0, REQUESTS)
    assert door.window_s == 0.0


@pytest.mark.parametrize(("held", "window_s"), [(600, 60.0), (440, 0.0), (760, 0.0)])
def test_two_closings_that_tell_the_same_do(held: int, window_s: float) -> None:
    door = closed_at(20.0, held=600, rate=30.0, is_sure=True)
    door.shut_until(60.0, REQUESTS)
    door.try_later(20.0)
    for number in range(held):
        door.sent(an_attempt(80.0 + 20.0 * number / held, 600.0 + number))
    door.closed(a_refusal(100.0, 600.0 + held), REQUESTS, 30.0, is_sure=True)
    door.shut_until(140.0, REQUESTS)

    assert door.window_s == window_s


def test_windows_that_are_known_are_not_given_up_for_one_long_closing() -> None:
    door = closed_at(5.0, held=100, rate=30.0)
    door.shut_until(10.0, REQUESTS)
    assert door.window_s == 10.0
    door.closed(a_refusal(15.0, 200.0), REQUESTS, 10.0, is_sure=True)
    door.shut_until(45.0, REQUESTS)

    assert door.window_s == 10.0


def test_what_runs_over_later_is_nothing_let_in() -> None:
    mark = a_refusal(10.0, 600.0)
    door = Door()
    door.closed(mark, REQUESTS, 40.0, is_sure=True)
    mark.total[REQUESTS] -= 5.0

    assert door.is_still_shut(an_attempt(11.0, 600.0), REQUESTS)

"""How long a rate is held, and how fast it is exceeded afterwards."""

import pytest

from batcher.policy.hold import Hold

RATE = 10.0


def a_hold(*, per_s: float, late_s: float) -> tuple[Hold, float]:
    """A hold begun by a refusal at 100 s that took so long to come back; and when it ends."""
    hold = Hold()
    hold.takes(100.0 - late_s, 100.0)
    hold.restart(RATE, per_s, 60.0, 100.0, alike=True, period_s=0.0)
    end = next(at for at in (100.0 + step * 0.01 for step in range(40_000)) if hold.is_over(at))
    return hold, end


def to_double(hold: Hold, end: float) -> float:
    """Seconds from the end of a hold until twice the rate is sent."""
    for step in range(1000):
        late = step * 0.01
        if hold.pace(RATE, 0.0, end + late) >= 2.0 * RATE:
            return late
        hold.sent(0.0, end + late)
    raise AssertionError("never")


def test_a_rate_is_held_a_little_below_the_estimate_and_then_exceeded() -> None:
    hold, end = a_hold(per_s=5.0, late_s=0.05)

    assert hold.pace(RATE, 0.0, 101.0) < RATE
    assert hold.pace(RATE, 0.0, end + 0.5) > RATE


def test_fewer_requests_a_second_are_held_for_longer() -> None:
    _, slow = a_hold(per_s=2.0, late_s=0.05)
    _, fast = a_hold(per_s=10.0, late_s=0.05)

    assert slow - 100.0 > 3.0 * (fast - 100.0)


def test_where_a_refusal_is_back_before_the_next_attempt_the_search_is_quick() -> None:
    quick = to_double(*a_hold(per_s=5.0, late_s=0.05))
    careful = to_double(*a_hold(per_s=50.0, late_s=0.05))

    assert quick < 0.5 * careful


def test_refusals_of_one_probe_are_one_piece_of_news_and_lengthen_the_next_hold() -> None:
    alone, _ = a_hold(per_s=5.0, late_s=0.05)
    crowd, _ = a_hold(per_s=5.0, late_s=0.05)
    for at in (100.01, 100.02):
        assert not crowd.takes(99.99, at)
    for hold in (alone, crowd):
        assert hold.takes(110.0, 110.1)
        hold.restart(RATE, 5.0, 60.0, 110.1, alike=True, period_s=0.0)

    ends = [next(s for s in range(110, 400) if hold.is_over(s)) for hold in (alone, crowd)]
    assert ends[1] > ends[0]


@pytest.mark.parametrize("period_s", [10.0, 60.0])
def test_a_limit_of_windows_is_exceeded_more_slowly(period_s: float) -> None:
    hold, end = a_hold(per_s=5.0, late_s=0.05)

    assert hold.pace(RATE, period_s, end + 1.0) < hold.pace(RATE, 0.0, end + 1.0)


def test_waiting_for_a_big_prompt_is_no_search() -> None:
    waited, end = a_hold(per_s=0.5, late_s=0.05)
    waited.sent(0.0, end + 0.1)

    assert waited.pace(RATE, 0.0, end + 60.0) < 2.0 * RATE
    waited.sent(0.0, end + 60.0)
    assert waited.pace(RATE, 0.0, end + 60.0) < 2.0 * RATE

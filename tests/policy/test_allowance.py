"""Our reckoning of what may be sent of a learnt rate."""

import pytest

from batcher.policy.allowance import Allowance


def after_a_refusal(level: float = 0.0, *, is_sure: bool = True) -> Allowance:
    allowance = Allowance()
    allowance.restart(level, 100.0, is_sure=is_sure)
    return allowance


def test_it_fills_at_the_pace_and_no_further_than_it_may() -> None:
    allowance = after_a_refusal(-3.0)
    allowance.fill(2.0, 4.0, 101.0)
    assert allowance.level == pytest.approx(-1.0)

    allowance.fill(2.0, 4.0, 200.0)
    assert allowance.level == 4.0


@pytest.mark.parametrize(
    "holds, least, saved",
    [(100.0, None, 20.0), (15.0, None, 15.0), (100.0, 1.0, 1.0)],
    ids=["all of it", "what the bucket holds", "one attempt where the rate is unsure"],
)
def test_what_is_refilled_during_a_pause_is_saved(
    holds: float, least: float | None, saved: float
) -> None:
    allowance = after_a_refusal()
    allowance.pause(110.0)
    allowance.save(2.0, holds, least, 115.0)

    assert allowance.level == pytest.approx(saved)
    assert allowance.at == 110.0


def test_attempts_follow_one_another_and_a_late_sender_catches_up_a_little() -> None:
    allowance = after_a_refusal(10.0)
    allowance.take(1.0, 1.0, 5.0, 100.0)
    assert allowance.next_at == pytest.approx(100.18)

    allowance.take(1.0, 1.0, 5.0, 107.0)
    assert allowance.next_at == pytest.approx(107.18)


def test_after_a_guess_the_first_attempts_keep_their_distance() -> None:
    allowance, gaps, now = after_a_refusal(100.0, is_sure=False), [], 100.0
    for _ in range(4):
        allowance.take(1.0, 1.0, 1000.0, now)
        gaps.append(allowance.next_at - now)
        now = allowance.next_at

    assert gaps == pytest.approx([0.25, 0.15, 0.09, 0.054])


def test_while_it_is_shut_nothing_is_saved_and_nothing_goes() -> None:
    allowance = after_a_refusal(7.0)
    allowance.shut(130.0)

    assert (allowance.level, allowance.at, allowance.next_at) == (0.0, 130.0, 130.0)

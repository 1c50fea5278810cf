"""How fast to take from one quota that others use too."""

import pytest

from batcher.policy.company import Company

RATE = 50.0


@pytest.mark.parametrize(
    ("late_s", "share_s"),
    [(0.1, 0.5), (0.25, 0.75), (1.0, 2.0)],  # a bucket of a second: half of it, thrice, twice it
)
def test_the_later_headers_come_the_slower_a_shared_bucket_is_taken_from(
    late_s: float, share_s: float
) -> None:
    """Faster than news of it comes, clients who all see the same level would overshoot it."""
    company = Company()
    for _ in range(200):
        company.heard(late_s)

    assert company.share_s(1.0, is_coarse=False) == pytest.approx(share_s, rel=0.02)


def test_strangers_take_more_where_more_is_left() -> None:
    company = Company()

    assert company.pace(20.0, RATE, 1.0, is_coarse=False) == pytest.approx(80.0)
    assert company.pace(10.0, RATE, 1.0, is_coarse=False) == pytest.approx(40.0)
    assert company.pace(-5.0, RATE, 1.0, is_coarse=False) == pytest.approx(0.05 * RATE)
    assert company.pace(1e9, RATE, 1.0, is_coarse=False) == pytest.approx(4.0 * RATE)


@pytest.mark.parametrize(("fullness", "is_alone"), [(0.96, True), (0.4, False)])
def test_where_nearly_all_is_left_all_the_time_nobody_is_shared_with(
    fullness: float, is_alone: bool
) -> None:
    company = Company()
    for _ in range(200):
        company.saw(fullness)

    assert (company.pace(0.0, RATE, 1.0, is_coarse=False) == RATE) == is_alone


def test_strangers_are_reckoned_with_for_a_while() -> None:
    company = Company()
    assert not company.is_there(0.0)
    company.noticed(100.0)

    assert company.is_strange(119.0)
    assert company.is_there(119.0)
    assert not company.is_there(121.0)


def test_clients_who_know_of_each_other_hold_the_level_half_way_up() -> None:
    company = Company()
    company.share(2, 1.0)

    assert company.is_there(0.0)
    assert not company.is_strange(0.0)
    assert company.agreed_pace(25.0, RATE, 50.0) == pytest.approx(25.0)  # half of the rate each
    assert company.agreed_pace(50.0, RATE, 50.0) == pytest.approx(50.0)
    assert company.agreed_pace(5.0, RATE, 50.0) == pytest.approx(12.5)


def test_who_has_more_than_its_part_slows_down_until_it_is_alone() -> None:
    company = Company()
    for _ in range(50):
        company.share(2, 1.3)
    assert 0.2 * RATE < company.agreed_pace(25.0, RATE, 50.0) < 0.3 * RATE

    company.share(1, 1.0)
    assert company.agreed_pace(25.0, RATE, 50.0) == RATE
    assert not company.is_there(0.0)

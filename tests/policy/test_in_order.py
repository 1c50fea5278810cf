"""What comes back out of order is handed on in the order of sending."""

from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.in_order import InOrder


def yielded(settled: list[int], sent: int) -> list[int]:
    line: InOrder[int] = InOrder()
    for number in range(sent):
        line.sent(number)
    return [what for number in settled for what in line.settled(number, number)]


@given(st.permutations(range(40)))
def test_all_that_was_settled_comes_in_the_order_of_sending(settled: list[int]) -> None:
    assert yielded(settled, 40) == list(range(40))


def test_what_was_sent_later_waits() -> None:
    assert yielded([2, 1], 3) == []
    assert yielded([2, 1, 0], 3) == [0, 1, 2]


def test_one_that_is_not_settled_is_passed_over_when_too_many_wait_and_never_comes() -> None:
    others = list(range(1, 200))
    found = yielded([*others, 0], 200)

    assert found == others

"""The first answers: of a server that takes all at once, and of one where they queue."""

import random

import pytest

from batcher.policy.wave import Wave


def tell(pairs: list[tuple[float, float]]) -> bool | None:
    """What is made of these (sent, latency) pairs, in the order of their answers."""
    wave, said = Wave(), None
    for sent, latency_s in sorted(pairs, key=sum):
        assert said is None
        said = wave.answered(sent, latency_s)
    return said


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_those_sent_later_wait_longer_where_requests_queue(slots: int) -> None:
    queued = [(0.1 * number, 1.0 + number // slots) for number in range(16)]

    assert tell(queued) is True


@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0])
def test_a_server_that_takes_all_at_once_is_not_taken_for_a_queue(spread: float) -> None:
    chance = random.Random(1)
    said = [
        tell([(0.1 * number, chance.lognormvariate(0.0, spread)) for number in range(16)])
        for _ in range(200)
    ]

    assert said.count(False) >= 195
    assert said.count(None) == 0


def test_a_few_answers_tell_nothing() -> None:
    assert tell([(0.1 * number, 1.0 + number) for number in range(15)]) is None


def test_quick_answers_queue_for_nobody() -> None:
    assert tell([(0.001 * number, 0.001 * number) for number in range(16)]) is False

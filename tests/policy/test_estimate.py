"""What a call will probably use."""

import pytest

from batcher.policy.estimate import Estimate
from batcher.policy.ticket import Ticket
from batcher.records import Need, Usage

NEED = Need(input_chars=1000, max_tokens=400)


def answered(estimate: Estimate, usage: Usage, count: int = 1) -> tuple[float, ...]:
    actual: tuple[float, ...] = ()
    for _ in range(count):
        cost = estimate.cost(NEED)
        estimate.sent(NEED)
        ticket = Ticket(0.0, cost, [0.0] * 4, 1, NEED.input_chars)
        actual = estimate.answered(ticket, usage)
    return actual


def test_tokens_a_character_are_learnt_from_the_answers() -> None:
    estimate = Estimate()
    answered(estimate, Usage(input_tokens=500, output_tokens=10), 50)

    assert estimate.cost(NEED)[1] == pytest.approx(500, rel=0.02)


def test_the_most_an_answer_may_take_is_set_aside() -> None:
    estimate = Estimate()
    answered(estimate, Usage(input_tokens=500, output_tokens=10), 50)

    assert estimate.cost(NEED)[2] == 400


def test_where_the_server_sets_nothing_aside_the_mean_is_enough() -> None:
    estimate = Estimate()
    estimate.reserves = False
    answered(estimate, Usage(input_tokens=500, output_tokens=40), 50)

    assert estimate.cost(NEED)[2] == pytest.approx(40)
    assert estimate.cost(Need(input_chars=1000, max_tokens=5))[2] == 5


def test_what_is_read_from_a_cache_counts_as_tokens_but_not_as_input() -> None:
    usage = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=900, cache_write_tokens=20)

    assert answered(Estimate(), usage) == (1.0, 30.0, 5.0, 935.0)


def test_the_mean_follows_a_job_that_changes() -> None:
    estimate = Estimate()
    answered(estimate, Usage(input_tokens=500, output_tokens=10), 200)
    answered(estimate, Usage(input_tokens=500, output_tokens=100), 200)

    assert estimate.output == pytest.approx(100, rel=0.05)


def test_the_mean_prompt_is_one_of_all_sent_not_the_first() -> None:
    estimate = Estimate()
    for chars in (40_000, 400, 400, 400):
        estimate.sent(Need(input_chars=chars, max_tokens=16))

    assert estimate.mean[1] == pytest.approx(
        estimate.cost(Need(input_chars=10_300, max_tokens=16))[1]
    )

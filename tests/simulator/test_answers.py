"""Answers name their prompt and every draw repeats."""

from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from batcher.simulator.answers import draw, expected_answer, lognormal, prompt_hash


def test_two_prompts_have_two_answers() -> None:
    answers = {expected_answer(f"Summarise ticket {n}") for n in range(2000)}

    assert len(answers) == 2000


def test_the_answer_is_the_same_in_every_release() -> None:
    """Golden: recorded runs and other processes rely on it."""
    assert expected_answer("Hello there you") == "Answer 1bc13de15d2ef6f7 to: Hello there you"


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_any_text_has_an_answer(prompt: str) -> None:
    assert prompt_hash(prompt) in expected_answer(prompt)


@given(st.text(), st.integers(min_value=0, max_value=2**40), st.integers(0, 7))
def test_a_draw_lies_strictly_between_nought_and_one(prompt: str, seed: int, salt: int) -> None:
    assert 0.0 < draw(prompt_hash(prompt), seed, salt) < 1.0


def test_draws_are_evenly_spread_and_seeds_and_salts_differ() -> None:
    hashes = [prompt_hash(str(n)) for n in range(4000)]
    one = [draw(h, 1, 1) for h in hashes]

    assert abs(sum(u < 0.1 for u in one) / 4000 - 0.1) < 0.02
    for other in ([draw(h, 2, 1) for h in hashes], [draw(h, 1, 2) for h in hashes]):
        both = sum(a < 0.5 and b < 0.5 for a, b in zip(one, other, strict=True))
        assert abs(both / 4000 - 0.25) < 0.03


def test_a_lognormal_has_the_median_it_was_given() -> None:
    values = [lognormal(200, 0.5, draw(prompt_hash(str(n)), 1, 2)) for n in range(4000)]

    assert abs(median(values) / 200 - 1) < 0.05
    assert lognormal(200, 0, 0.9) == 200

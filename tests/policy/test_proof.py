"""Whether more is let in than a limit allows that the text of a 429 names."""

import pytest

from batcher.policy.proof import Proof


def let_in(proof: Proof, per_s: float, *, start: int, seconds: int, units: float = 1.0) -> int:
    """Answers every tenth of a second; returns after how many it is refuted, or -1."""
    for step in range(10 * start, 10 * (start + seconds)):
        now = step / 10.0
        proof.let_in(units * per_s / 10.0, now)
        if proof.is_refuted(now):
            return step - 10 * start
    return -1


@pytest.mark.parametrize("limit", [6.0, 600.0, 400_000.0])
def test_a_limit_that_is_kept_to_is_never_refuted(limit: float) -> None:
    proof = Proof(limit, 0.0)

    assert let_in(proof, limit / 60.0, start=0, seconds=36_000) == -1


def test_what_half_a_minute_has_saved_refutes_nothing() -> None:
    """Windows of a minute let in as much at once, after one that was not used up."""
    proof = Proof(600.0, 0.0)
    let_in(proof, 5.0, start=0, seconds=30)
    let_in(proof, 300.0, start=30, seconds=1)

    assert not proof.is_refuted(31.0)


@pytest.mark.parametrize("factor", [1.3, 2.0, 10.0])
def test_what_goes_on_beyond_it_refutes_it(factor: float) -> None:
    proof = Proof(600.0, 0.0)

    assert 0 <= let_in(proof, 10.0 * factor, start=0, seconds=600) <= 7_000 / (factor - 1.1)


def test_what_was_sent_before_it_was_named_says_nothing() -> None:
    proof = Proof(60.0, 10.0)
    for _ in range(1_000):
        proof.let_in(1.0, 10.0)

    assert not proof.is_refuted(10.1)


def test_what_was_not_used_long_ago_is_not_saved() -> None:
    proof = Proof(600.0, 0.0)
    proof.named(3_000.0, 3_000.0)

    assert let_in(proof, 30.0, start=3_001, seconds=60) > 0


def test_named_again_in_the_middle_it_counts_on() -> None:
    proof = Proof(600.0, 0.0)
    refuted_at = []
    for at in range(0, 300, 10):
        if let_in(proof, 13.0, start=at, seconds=10) >= 0:
            refuted_at.append(at)
        proof.named(at + 10.0, at + 10.0)

    assert refuted_at[0] <= 150


def test_two_prompts_that_are_bigger_than_the_bucket_refute_nothing() -> None:
    proof = Proof(1_000.0, 0.0)
    proof.let_in(5_000.0, 1.0)
    proof.let_in(5_000.0, 2.0)

    assert not proof.is_refuted(3.0)

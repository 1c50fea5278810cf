"""Who suffers a fault depends on seed and prompt, and on nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.errors import ConfigError
from batcher.simulator.answers import prompt_hash
from batcher.simulator.faults import DAMAGE, OUTCOMES, FaultKind, Faults, is_refusal

HASHES = [prompt_hash(str(n)) for n in range(5000)]


def test_every_kind_has_its_share() -> None:
    faults = Faults({"500": 0.2, "reset": 0.1}, once=False, seed=3)
    met = [faults.of(digest) for digest in HASHES]

    assert abs(met.count(FaultKind.INTERNAL) / 5000 - 0.2) < 0.02
    assert abs(met.count(FaultKind.RESET) / 5000 - 0.1) < 0.02
    assert set(met) == {FaultKind.INTERNAL, FaultKind.RESET, None}


@given(st.permutations(HASHES[:60]))
def test_the_order_of_arrival_changes_nothing(order: list[str]) -> None:
    shares = {"529": 0.3, "hang": 0.3}
    faults = Faults(shares, once=True, seed=1)
    met = {}
    for digest in order:
        met[digest] = faults.of(digest)
        faults.suffered(digest)

    fresh = Faults(dict(reversed(shares.items())), once=True, seed=1)
    assert {digest: fresh.of(digest) for digest in HASHES[:60]} == met


def test_another_seed_picks_other_prompts() -> None:
    met = [
        {d for d in HASHES if Faults({"500": 0.2}, once=False, seed=seed).of(d)} for seed in (1, 2)
    ]

    assert len(met[0] & met[1]) / len(met[0]) < 0.3


def test_once_means_the_first_try_only() -> None:
    once, always = (Faults({"500": 1.0}, once=once, seed=1) for once in (True, False))
    for faults in (once, always):
        assert faults.of(HASHES[0]) is faults.of(HASHES[0]) is FaultKind.INTERNAL
        faults.suffered(HASHES[0])

    assert once.of(HASHES[0]) is None
    assert once.of(HASHES[1]) is FaultKind.INTERNAL
    assert always.of(HASHES[0]) is FaultKind.INTERNAL


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ({"501": 0.1}, "no fault is called '501'; known: 400, 401"),
        ({"500": 1.5}, "share of 500 must be 0 to 1"),
        ({"500": 0.6, "reset": 0.6}, "add up to 1.2"),
    ],
)
def test_a_wrong_setting_names_the_fix(shares: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Faults(shares, once=False, seed=1)


def test_every_kind_is_of_one_sort() -> None:
    for kind in FaultKind:
        assert [is_refusal(kind), kind in DAMAGE, kind in OUTCOMES].count(True) == 1

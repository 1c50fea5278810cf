"""How strongly one thing follows another, and when that cannot be known."""

import math
import random

import pytest

from batcher.policy.slope import slope

RANDOM = random.Random(3)
CAUSE = [RANDOM.uniform(1, 5) for _ in range(200)]
OTHER = [RANDOM.uniform(1, 5) for _ in range(200)]
NOISE = [RANDOM.gauss(0, 0.3) for _ in range(200)]


def test_what_follows_has_its_slope_and_what_does_not_has_nought() -> None:
    follows = [2.0 * cause + noise for cause, noise in zip(CAUSE, NOISE, strict=True)]

    assert slope(follows, CAUSE, ())[0] == pytest.approx(2.0, abs=0.1)
    assert abs(slope(OTHER, CAUSE, ())[0]) < 3 * slope(OTHER, CAUSE, ())[1]


def test_what_another_cause_explains_is_not_ascribed_to_this_one() -> None:
    shared = [cause + other for cause, other in zip(CAUSE, OTHER, strict=True)]
    effect = [3.0 * other + noise for other, noise in zip(OTHER, NOISE, strict=True)]

    assert slope(effect, shared, ())[0] > 1.0
    assert slope(effect, shared, (OTHER,))[0] == pytest.approx(0.0, abs=0.1)


def test_a_cause_in_perfect_step_with_another_tells_nothing() -> None:
    assert slope(NOISE, CAUSE, ([2.0 * cause for cause in CAUSE],)) == (0.0, math.inf)
    assert slope(NOISE, [1.0] * 200, ()) == (0.0, math.inf)


def test_a_slow_change_that_all_share_is_no_cause() -> None:
    drift = [index / 100 for index in range(200)]
    one = [value + noise for value, noise in zip(drift, NOISE, strict=True)]
    other = [value + cause / 10 for value, cause in zip(drift, CAUSE, strict=True)]
    found, error = slope(one, other, ())

    assert abs(found) < 3 * error

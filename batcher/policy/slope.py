"""How strongly one thing follows another, from window to window, by least squares."""

import math
from collections.abc import Sequence
from itertools import pairwise

_DUST = 1e-4  # of what varied: the rounding of floats


def slope(
    effect: Sequence[float], cause: Sequence[float], besides: Sequence[Sequence[float]]
) -> tuple[float, float]:
    """Slope of `effect` over `cause` with its standard error; 0.0 and infinity for no knowing.

    Taken over the differences from window to window: what all have in common and changes
    slowly, such as everybody's start, drops out. So does what `besides` explains. Windows in
    which more is caused are noisier and weigh less.

    Args:
        effect: One value a window, of at least as many windows as there are causes, and three.
        cause: Likewise, as all the others.
        besides: Other causes.
    """
    weights = [1.0 / math.sqrt(1.0 + max(0.0, one + next_)) for one, next_ in pairwise(cause)]
    y, x = _changes(effect, weights), _changes(cause, weights)
    varied = _product(x, x)
    others: list[Sequence[float]] = []
    for values in besides:
        other = _without(_changes(values, weights), others)
        if _product(other, other) > _DUST * len(other):
            others.append(other)
    y, x = _without(y, others), _without(x, others)
    xx = _product(x, x)
    if xx <= _DUST * max(varied, len(x)):
        return 0.0, math.inf  # in perfect step with the other causes
    found = _product(x, y) / xx
    unexplained = max(0.0, _product(y, y) - found * found * xx)
    return found, math.sqrt(unexplained / (len(y) - len(others) - 1) / xx)


def _changes(values: Sequence[float], weights: Sequence[float]) -> Sequence[float]:
    return [
        (after - before) * weight
        for (before, after), weight in zip(pairwise(values), weights, strict=True)
    ]


def _without(values: Sequence[float], causes: Sequence[Sequence[float]]) -> Sequence[float]:
    """What is left of values when causes, each at right angles to all others, have their part."""
    for cause in causes:
        part = _product(values, cause) / _product(cause, cause)
        values = [value - part * caused for value, caused in zip(values, cause, strict=True)]
    return values


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))

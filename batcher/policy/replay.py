"""What a bucket of known depth must refill at, to let in and refuse what it did.

Every attempt that was let in shows that the bucket held at least so much, every refusal
that it held less. At the right rate both agree all along; at a wrong one they contradict,
by the more the farther it is off. Replaying what was sent at several rates finds the right
one, also where the bucket stood full for a while and lost refill.
"""

from collections.abc import Sequence
from typing import NamedTuple

from batcher.policy.ticket import Ticket

_COARSE = 1.12  # from one rate tried to the next, as a factor
_COARSE_STEPS = 9  # to either side
_FINE = 1.015
_FINE_STEPS = 8
_JITTER_S = 0.03  # attempts overtake one another on the way
_SIZE_ERROR = 0.1  # of a prompt not yet answered
_EQUAL = 1e-9
# Depths tried, as shares of the one believed in.
_DEPTHS = (0.72, 0.82, 0.88, 0.94, 0.97, 1.03, 1.06, 1.13, 1.21, 1.4)
_NEAR = range(-5, 6)
_MIDDLING = 1.04
_BY_MUCH = range(-4, 9)  # what ran over unseen makes rates look too low
_NEAREST = range(-3, 4)
_BETTER = 0.5  # of its misfit another depth must leave at most
_ALIKE = 0.02  # misfits this near one another
_ALIKE_DEPTHS = 1.7  # the farthest apart that still tell the depth
_SHALLOWEST_S = 0.4
_DEEPEST_S = 12.0
_DEEPER = 1.12


class Fit(NamedTuple):
    """What a replay found.

    Attributes:
        rate: Units a second, in the middle of those that fit best.
        least: What the bucket held at least when the last attempt came to it.
        most: What it held at most.
        misfit: By how much attempts contradict even that rate, in mean attempts.
    """

    rate: float
    least: float
    most: float
    misfit: float


def replay(
    trail: Sequence[Ticket], rate: float, seconds: float, unit: int, is_full: bool = False
) -> Fit:
    """How well one rate explains what was let in and refused, oldest first."""
    full = rate * seconds
    least, most, misfit, total = full if is_full else 0.0, full, 0.0, 0.0
    at = trail[0].sent
    before = (least, most)
    slack = _JITTER_S * rate
    for attempt in trail:
        cost = attempt.cost[unit]
        total += cost
        refill = rate * (attempt.sent - at)
        at = attempt.sent
        least = min(full, least + refill)
        most = min(full, most + refill)
        before = (least, most)
        if attempt.is_refused:
            if least > cost:
                misfit += max(0.0, least - cost - slack - _SIZE_ERROR * cost)
                least = cost
            most = min(most, cost)
            continue
        needed = min(cost, full)
        if most < needed:
            misfit += max(0.0, needed - most - slack - _SIZE_ERROR * cost)
            most = needed
        # What is bigger than the bucket goes alone, and may leave it in debt.
        least = full - cost if cost > full else max(0.0, least - cost)
        most -= needed
        least = min(least, most)
    cost = trail[-1].cost[unit]
    return Fit(
        rate, min(before[0], cost), min(before[1], cost), misfit * len(trail) / max(total, 1e-9)
    )


def fit(
    trail: Sequence[Ticket], around: float, seconds: float, unit: int, *, is_sure: bool = False
) -> Fit:
    """The rate that explains best what was let in and refused.

    Args:
        trail: Attempts, oldest first; the first and the last were refused.
        around: Where to look.
        seconds: Of its rate the bucket holds.
        unit: What it counts.
        is_sure: The rate is near that.
    """
    if not is_sure:
        coarse = range(-_COARSE_STEPS, _COARSE_STEPS + 1)
        around = _best(trail, [around * _COARSE**step for step in coarse], seconds, unit).rate
    fine = range(-_FINE_STEPS, _FINE_STEPS + 1)
    return _best(trail, [around * _FINE**step for step in fine], seconds, unit)


def refine(trail: Sequence[Ticket], found: Fit, seconds: float, unit: int) -> tuple[Fit, float]:
    """A depth near `seconds`, with its rate, that explains the same trail better."""
    best = (found, seconds)
    for factor in _DEPTHS:
        for step in _NEAR:
            one = replay(trail, found.rate * _FINE**step, seconds * factor, unit)
            if one.misfit < _BETTER * found.misfit and one.misfit < best[0].misfit - _EQUAL:
                best = (one, seconds * factor)
    return best


def fit_start(trail: Sequence[Ticket], unit: int) -> tuple[Fit, float] | None:
    """Rate and depth that explain best what a full bucket let in from the start.

    The first refusal says that the bucket and what it was refilled with were used up, so
    that each depth goes with one rate.
    """
    first = next(place for place, attempt in enumerate(trail) if attempt.is_refused)
    tried: list[tuple[Fit, float]] = []
    seconds = _SHALLOWEST_S
    while seconds < _DEEPEST_S:
        around = _emptied(trail[: first + 1], seconds, unit)
        tried += [
            (replay(trail, around * _FINE ** (2 * step), seconds, unit, is_full=True), seconds)
            for step in _NEAREST
        ]
        seconds *= _DEEPER
    return _agreed(tried)


def fit_both(trail: Sequence[Ticket], around: float, unit: int) -> tuple[Fit, float] | None:
    """Rate and depth that explain best what went since a refusal; None when many depths do."""
    tried: list[tuple[Fit, float]] = []
    seconds = _SHALLOWEST_S
    while seconds < _DEEPEST_S:
        tried += [
            (replay(trail, around * _MIDDLING**step, seconds, unit), seconds) for step in _BY_MUCH
        ]
        seconds *= _DEEPER**1.5
    return _agreed(tried)


def _agreed(tried: Sequence[tuple[Fit, float]]) -> tuple[Fit, float] | None:
    """The middle one of those that fit best, shallowest first, if their depths are alike."""
    least = min(one.misfit for one, _ in tried) + _ALIKE
    good = [pair for pair in tried if pair[0].misfit <= least]
    if good[-1][1] > _ALIKE_DEPTHS * good[0][1] or good[0][1] == _SHALLOWEST_S:
        return None
    return good[len(good) // 2]


def _emptied(trail: Sequence[Ticket], seconds: float, unit: int) -> float:
    """The rate at which a bucket of that depth was empty at the last attempt."""
    end = trail[-1]
    passed, most = 0.5 * end.cost[unit], 0.0
    for attempt in reversed(trail[:-1]):
        passed += attempt.cost[unit]
        most = max(most, passed / (end.sent - attempt.sent + seconds))
    return most


def _best(trail: Sequence[Ticket], rates: Sequence[float], seconds: float, unit: int) -> Fit:
    tried = [replay(trail, rate, seconds, unit) for rate in rates]
    least = min(one.misfit for one in tried) + _EQUAL
    good = [one for one in tried if one.misfit <= least]
    return good[len(good) // 2]

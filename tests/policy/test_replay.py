"""What a bucket refills at and holds, told from what it let in and refused."""

import random

import pytest

from batcher.policy.replay import fit, fit_both, fit_start, refine, replay
from batcher.policy.ticket import INPUT, Ticket

RATE = 5000.0


def a_trail(
    *, rate: float, depth_s: float, pace: float, seed: int, until: int, rests: bool = False
) -> list[Ticket]:
    """Prompts of all sizes sent at `pace` to a full bucket, until so many were refused.

    Where it rests, each refusal is followed by a second in which nothing is sent, and what was
    refilled meanwhile is then sent at 2.5 times the rate.
    """
    rng = random.Random(seed)
    full = rate * depth_s
    level, now, saved, refused = full, 0.0, 0.0, 0
    trail: list[Ticket] = []
    while refused < until:
        tokens = min(2400.0, rng.lognormvariate(6.1, 0.7))
        gap = tokens / (2.5 * rate if saved > 0.0 else pace)
        if rests and trail and trail[-1].is_refused:
            gap, saved = 1.0, rate
        saved -= tokens
        now += gap
        level = min(full, level + rate * gap)
        ticket = Ticket(now, (1.0, tokens, 0.0, tokens), [0.0] * 4, 1, 100)
        ticket.is_refused = level < tokens
        refused += ticket.is_refused
        level -= 0.0 if ticket.is_refused else tokens
        trail.append(ticket)
    return trail


def since_refusal(trail: list[Ticket], place: int) -> list[Ticket]:
    refused = [at for at, ticket in enumerate(trail) if ticket.is_refused]
    return trail[refused[place] :]


@pytest.mark.parametrize("seed", range(1, 7))
def test_the_true_rate_contradicts_nothing(seed: int) -> None:
    trail = a_trail(rate=RATE, depth_s=1.0, pace=1.3 * RATE, seed=seed, until=4)

    assert replay(trail, RATE, 1.0, INPUT, is_full=True).misfit == pytest.approx(0.0)


@pytest.mark.parametrize("seed", range(1, 7))
@pytest.mark.parametrize("around", [0.5, 1.0, 2.0])
def test_the_rate_is_found_wherever_the_search_begins(seed: int, around: float) -> None:
    trail = a_trail(rate=RATE, depth_s=1.0, pace=1.2 * RATE, seed=seed, until=5)

    found = fit(since_refusal(trail, 0), around * RATE, 1.0, INPUT)

    assert found.rate == pytest.approx(RATE, rel=0.05)


@pytest.mark.parametrize("seed", range(1, 7))
def test_the_level_at_a_refusal_is_less_than_what_was_refused(seed: int) -> None:
    trail = a_trail(rate=RATE, depth_s=1.0, pace=1.2 * RATE, seed=seed, until=5)

    found = fit(since_refusal(trail, 0), RATE, 1.0, INPUT)

    assert 0.0 <= found.least <= found.most <= trail[-1].cost[INPUT]


def test_a_quota_that_changed_shows_as_a_misfit() -> None:
    before = since_refusal(a_trail(rate=RATE, depth_s=1.0, pace=1.2 * RATE, seed=1, until=4), 0)
    after = a_trail(rate=0.5 * RATE, depth_s=1.0, pace=0.6 * RATE, seed=2, until=4)
    for ticket in after:
        ticket.sent += before[-1].sent

    assert fit(before + after, RATE, 1.0, INPUT).misfit > 1.0


def test_what_a_start_out_of_a_full_bucket_tells_is_right() -> None:
    trail = a_trail(rate=RATE, depth_s=1.0, pace=1.6 * RATE, seed=6, until=6)

    told = fit_start(trail, INPUT)

    assert told is not None
    assert told[0].rate == pytest.approx(RATE, rel=0.05)
    assert told[1] == pytest.approx(1.0, rel=0.1)


def test_a_start_that_fits_many_depths_tells_nothing() -> None:
    trail = a_trail(rate=RATE, depth_s=1.0, pace=4.0 * RATE, seed=1, until=1)

    assert fit_start(trail, INPUT) is None


def test_rate_and_depth_are_found_without_the_start() -> None:
    trails = (
        a_trail(rate=RATE, depth_s=1.0, pace=1.2 * RATE, seed=seed, until=20, rests=True)
        for seed in range(8)
    )

    found = [fit_both(since_refusal(trail, 1), 0.9 * RATE, INPUT) for trail in trails]

    told = [both for both in found if both is not None]
    assert len(told) >= 6
    assert [fit.rate for fit, _ in told] == pytest.approx([RATE] * len(told), rel=0.1)
    assert [seconds for _, seconds in told] == pytest.approx([1.0] * len(told), rel=0.25)


def test_a_trail_that_never_filled_the_bucket_tells_no_depth() -> None:
    trail = since_refusal(a_trail(rate=RATE, depth_s=1.0, pace=1.3 * RATE, seed=3, until=6), 2)

    assert fit_both(trail, RATE, INPUT) is None


def test_a_better_depth_is_taken_only_when_it_explains_much_more() -> None:
    trail = since_refusal(a_trail(rate=RATE, depth_s=1.0, pace=1.2 * RATE, seed=3, until=5), 0)
    right = fit(trail, RATE, 1.0, INPUT)

    assert refine(trail, right, 1.0, INPUT) == (right, 1.0)

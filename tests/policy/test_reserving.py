"""Whether output is set aside, told from what headers say is left."""

import math
from collections import deque

import pytest

from batcher.policy.dimension import Dimension
from batcher.policy.reserving import Reserving
from batcher.policy.ticket import OUTPUT, Ticket

LIMIT = 60_000.0
MOST = 2000
TAKEN = 200


def a_run(*, reserves: bool, seconds: float = 60.0, fresh_every_s: float = math.inf) -> Reserving:
    """Waves of attempts that last 3 s, headers rounded to a thousand."""
    reserving, dimension = Reserving(), Dimension(OUTPUT)
    dimension.learn(LIMIT, level=LIMIT, capacity=LIMIT, now=0.0)
    level, now, fresh = LIMIT, 0.0, fresh_every_s
    asked = generated = 0.0
    flying: deque[tuple[Ticket, float]] = deque()
    while now < seconds:
        now += 0.1
        level = min(LIMIT, level + 0.1 * LIMIT / 60)
        if now >= fresh:
            level, fresh = LIMIT, fresh + fresh_every_s
        if now % 8.0 < 4.0 and (not reserves or level > MOST):
            level -= MOST if reserves else 0
            asked += MOST
            total = [0.0, 0.0, asked + generated, 0.0]
            cost = (1.0, 0.0, float(MOST), float(MOST))
            ticket = Ticket(now, cost, total, len(flying) + 1, 100)
            ticket.max_tokens, ticket.asked, ticket.generated = MOST, asked, generated
            flying.append((ticket, round(level, -3)))
        while flying and flying[0][0].sent < now - 3.0:
            ticket, left = flying.popleft()
            level += MOST - TAKEN if reserves else -TAKEN
            asked -= MOST
            generated += TAKEN
            reserving.read(ticket, left, dimension, tokens=TAKEN, latency_s=3.0)
    return reserving


def test_a_server_that_sets_output_aside_is_believed_to() -> None:
    assert a_run(reserves=True).is_on


def test_a_server_that_charges_what_is_generated_is_found_within_a_minute() -> None:
    assert not a_run(reserves=False).is_on


@pytest.mark.parametrize("every_s", [5.0, 7.0, 13.0])
def test_a_quota_that_starts_anew_is_not_mistaken_for_one_that_sets_nothing_aside(
    every_s: float,
) -> None:
    assert a_run(reserves=True, seconds=300.0, fresh_every_s=every_s).is_on


def test_output_counts_as_set_aside_until_shown_otherwise() -> None:
    assert Reserving().is_on

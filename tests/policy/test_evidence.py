"""The rate, told from what was let in and what was refused."""

import pytest

from batcher.policy.evidence import Belief, Evidence, Found
from batcher.policy.marks import Mark
from batcher.policy.ticket import INPUT, REQUESTS, Ticket


def an_attempt(sent: float, before: float, tokens: float = 100.0) -> Ticket:
    """One that goes after so many were let in."""
    total = [before, before * tokens, 0.0, before * tokens]
    return Ticket(sent, (1.0, tokens, 0.0, tokens), total, 1, 100)


def belief(rate: float, *, pace: float = 1.0, is_shared: bool = False) -> Belief:
    return Belief(
        unit=REQUESTS,
        mean=1.0,
        rate=rate,
        ceiling=1e9,
        pace=lambda estimate: pace * estimate,
        is_shared=is_shared,
        has_rivals=False,
    )


def started(*, let_in: float, elapsed: float) -> Evidence:
    """After the first refusal."""
    evidence = Evidence()
    evidence.begin(0.0)
    first = an_attempt(elapsed, let_in)
    evidence.first_refused(first)
    evidence.marks.add(Mark(first, None, 0.0))
    return evidence


def refuse(evidence: Evidence, ticket: Ticket, held: Belief) -> Found:
    refusal = Mark(ticket, None, 0.0)
    found = evidence.refused(ticket, refusal, held)
    evidence.marks.add(refusal)
    return found


def test_between_two_refusals_the_bucket_let_in_its_refill() -> None:
    evidence = started(let_in=60.0, elapsed=2.0)

    found = refuse(evidence, an_attempt(12.0, 160.0), belief(5.0))

    assert found.rate == pytest.approx(10.0)
    assert found.window_s == pytest.approx(10.0)
    assert evidence.burst(10.0, REQUESTS) == pytest.approx(40.0)


def test_refusals_that_contradict_one_another_are_of_another_quota() -> None:
    evidence = started(let_in=60.0, elapsed=2.0)
    refuse(evidence, an_attempt(12.0, 160.0), belief(10.0))

    found = refuse(evidence, an_attempt(32.0, 260.0), belief(10.0))

    assert found.rate == pytest.approx(5.0)
    assert found.window_s == pytest.approx(20.0)


def test_a_refusal_right_after_another_is_let_pass_once() -> None:
    """A window that is used up stays shut for a moment; a rate that fell is refused again."""
    evidence = started(let_in=60.0, elapsed=2.0)
    refuse(evidence, an_attempt(12.0, 160.0), belief(8.0))

    found = refuse(evidence, an_attempt(12.15, 160.0), belief(10.0))
    assert found == Found(10.0, 0.0)

    found = refuse(evidence, an_attempt(12.3, 161.0), belief(10.0))
    assert found.rate < 9.0


def test_a_start_that_let_in_no_more_than_the_rate_shows_a_bucket_of_one() -> None:
    evidence = started(let_in=1.0, elapsed=0.1)
    ticket = an_attempt(10.1, 51.0)
    ticket.is_probe = True

    found = refuse(evidence, ticket, belief(4.0, pace=1.2))

    assert found.is_tiny
    assert found.rate == pytest.approx(1.2 * 5.0, rel=0.03)


def test_beside_others_a_start_shows_nothing_of_the_bucket() -> None:
    evidence = started(let_in=1.0, elapsed=0.1)

    assert not refuse(evidence, an_attempt(10.1, 51.0), belief(4.0, is_shared=True)).is_tiny


def test_a_probe_that_leapt_beyond_the_estimate_doubts_what_was_let_in() -> None:
    evidence = started(let_in=1.0, elapsed=3.5)
    evidence.probe(REQUESTS, an_attempt(13.0, 21.0))
    ticket = an_attempt(13.5, 41.0)
    ticket.is_probe = True

    found = refuse(evidence, ticket, belief(2.0, pace=4.0))

    assert found.rate == pytest.approx(1.5 * 4.0)  # half-way to sixteen, and not more than this
    assert found.window_s == 0.0
    assert len(evidence.marks) == 1  # the newest: what was before it may mislead


def test_a_trial_that_was_over_at_once_shows_nothing() -> None:
    evidence = started(let_in=1.0, elapsed=3.5)
    sent, before, found = 3.5, 1.0, Found(5.0, 0.0)
    while found.rate < 5.5:
        sent, before = sent + 20.0, before + 100.0
        evidence.probe(REQUESTS, an_attempt(sent - 1.0, before - 5.0))
        ticket = an_attempt(sent, before)
        ticket.is_probe = True
        found = refuse(evidence, ticket, belief(5.0, pace=1.5))
        evidence.probe_ended()

    assert found.window_s == pytest.approx(30.0 / found.rate)
    assert not refuse(evidence, an_attempt(sent + 1.0, before + 6.0), belief(found.rate)).is_tiny


def test_an_exact_time_to_wait_tells_what_was_left() -> None:
    evidence, ticket = Evidence(), an_attempt(1.0, 0.0, tokens=500.0)

    assert evidence.mark(ticket, INPUT, 100.0, 1.5, is_alone=False).left == pytest.approx(350.0)
    assert evidence.mark(ticket, INPUT, 100.0, 2.0, is_alone=False).left is None


def test_what_a_full_bucket_lost_during_a_pause_counts_as_let_in() -> None:
    evidence = started(let_in=20.0, elapsed=1.0)
    evidence.depth.seconds = 1.0
    evidence.ran_over(an_attempt(4.0, 20.0), 10.0)

    assert evidence.marks.last.total[REQUESTS] == pytest.approx(20.0 - (0.5 + 30.0 - 10.0))


def test_the_first_guess_leans_towards_a_minutes_bucket_the_more_it_let_in() -> None:
    few, many = Evidence(), Evidence()
    for evidence in (few, many):
        evidence.begin(0.0)

    assert few.first_guess(an_attempt(1.0, 10.0), 50.0) > many.first_guess(
        an_attempt(1.0, 300.0), 50.0
    )

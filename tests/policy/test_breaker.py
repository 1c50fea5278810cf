"""Overload: when to stand still, and how to come back."""

import random

import pytest

from batcher.policy.breaker import Breaker
from batcher.policy.ticket import Ticket


def an_attempt(sent: float) -> Ticket:
    return Ticket(sent, (1.0, 0.0, 0.0, 0.0), [0.0] * 4, 1, 100)


def after(refused: float, *, sent: int = 32) -> tuple[Breaker, float | None]:
    """A breaker that has seen this share of attempts refused, and the pause it then asks for."""
    breaker, pause = Breaker(random.Random(1)), None
    attempts = [an_attempt(0.01 * step) for step in range(sent)]
    for attempt in attempts:
        breaker.sent(attempt)
    for number, attempt in enumerate(attempts):
        attempt.verdict = number < refused * sent
        if attempt.verdict:
            pause = breaker.overloaded(attempt, 0.1, 1.0) or pause
    return breaker, pause


def test_a_server_that_refuses_nearly_all_is_left_alone() -> None:
    breaker, pause = after(0.9)

    assert breaker.is_open
    assert pause is not None
    assert breaker.wait_s(1.0) == pytest.approx(pause)


def test_three_in_ten_refused_are_no_reason_to_stand_still() -> None:
    breaker, pause = after(0.3)

    assert not breaker.is_open
    assert pause is None


def test_a_few_refusals_say_nothing_yet() -> None:
    breaker, _ = after(1.0, sent=10)

    assert not breaker.is_open


def test_attempts_that_were_not_refused_in_time_count_as_let_in() -> None:
    breaker = Breaker(random.Random(1))
    for step in range(31):
        breaker.sent(an_attempt(0.01 * step))
    refused = an_attempt(0.32)
    refused.verdict = True
    breaker.sent(refused)

    assert breaker.overloaded(refused, 0.1, 5.0) is None


def test_after_the_pause_one_goes_then_two_then_four() -> None:
    breaker, pause = after(1.0)
    assert pause is not None
    now, widths = 1.0 + pause, []
    for _ in range(3):
        width = 0
        while breaker.wait_s(now) == 0.0:
            breaker.sent(an_attempt(now))
            width += 1
        widths.append(width)
        now += breaker.wait_s(now)
        breaker.look(now)

    assert widths == [1, 2, 8]  # each that is let in doubles the number


def test_a_refused_probe_doubles_the_pause() -> None:
    breaker, first = after(1.0)
    assert first is not None
    probe = an_attempt(1.0 + first)
    breaker.sent(probe)
    probe.verdict = True
    second = breaker.overloaded(probe, 0.1, 2.0 + first)

    assert second is not None
    assert second > 1.1 * first


def test_probes_let_in_close_it() -> None:
    breaker, pause = after(1.0)
    assert pause is not None
    now, closed = 1.0 + pause, False
    for _ in range(64):
        while not closed and breaker.wait_s(now) == 0.0:
            probe = an_attempt(now)
            probe.verdict = False
            breaker.sent(probe)
            closed = breaker.look(now)
        now += 0.1

    assert closed
    assert not breaker.is_open


def test_refusals_that_came_first_are_not_all_there_is() -> None:
    """Those sent in the last moment are known only where they were refused."""
    breaker = Breaker(random.Random(1))
    attempts = [an_attempt(0.02 * step) for step in range(32)]
    for attempt in attempts:
        breaker.sent(attempt)
    pauses = []
    for number, attempt in enumerate(attempts):
        if number < 5 or number > 12:
            attempt.verdict = True
            pauses.append(breaker.overloaded(attempt, 0.1, 0.68))

    assert not any(pauses)
    assert not breaker.is_open


@pytest.mark.parametrize("seed", range(20))
def test_a_server_that_refuses_three_in_ten_is_asked_again(seed: int) -> None:
    """It would have to let in 64 in a row by chance if each refusal began the count anew."""
    rng = random.Random(seed)
    breaker, pause = after(1.0)
    assert pause is not None
    now, closed = 1.0 + pause, False
    while not closed and now < 60.0:
        while breaker.wait_s(now) == 0.0:
            probe = an_attempt(now)
            breaker.sent(probe)
            probe.verdict = rng.random() < 0.3
            if probe.verdict:
                breaker.overloaded(probe, 0.1, now)
        now += 0.1
        closed = breaker.look(now)

    assert closed
    assert now < 30.0


def test_a_server_that_breaks_down_again_gets_one_probe_at_a_time() -> None:
    breaker, pause = after(1.0)
    assert pause is not None
    now, sent = 1.0 + pause, 0
    for good in (True, True, False):
        probes = []
        while breaker.wait_s(now) == 0.0:
            probes.append(an_attempt(now))
            breaker.sent(probes[-1])
        sent = len(probes)
        for probe in probes:
            probe.verdict = not good
            if not good:
                breaker.overloaded(probe, 0.1, now + 0.1)
        now += 0.1
        breaker.look(now)

    assert sent == 8
    assert breaker.wait_s(now) > 0.1
    now += breaker.wait_s(now)
    breaker.sent(an_attempt(now))
    assert breaker.wait_s(now) > 0.0


def test_probes_nobody_has_answered_hold_back_the_next_all_the_same() -> None:
    breaker, pause = after(1.0)
    assert pause is not None
    now, sent = 1.0 + pause, 0
    until = now + 10.0
    while now < until:
        if breaker.wait_s(now) == 0.0:
            breaker.sent(an_attempt(now))
            sent += 1
        now += 0.01

    assert sent <= 40  # one each time a refusal would have come by now

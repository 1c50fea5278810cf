"""The operator's limit on tokens holds over all keys together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.ceiling import Ceiling
from batcher.records import Bucket, Feedback, Need, Signal, Usage


def answered(need: Need, *, inputs: int, outputs: int) -> Feedback:
    return Feedback(signal=Signal.OK, usage=Usage(input_tokens=inputs, output_tokens=outputs))


def test_no_more_than_a_minutes_tokens_go_in_a_minute_after_the_first() -> None:
    ceiling = Ceiling({Bucket.INPUT: 60_000.0})
    need = Need(input_chars=4000, max_tokens=10)
    now, sent = 0.0, []
    while now < 300.0:
        wait = ceiling.wait_s(need, now=now)
        if wait:
            now += wait
            continue
        ticket = ceiling.reserve(need, now=now)
        sent.append(now)
        ceiling.settle(ticket, answered(need, inputs=1000, outputs=5), now=now)

    last_minutes = [at for at in sent if at >= 120.0]
    assert len(last_minutes) == pytest.approx(180, abs=3)


def test_what_was_refused_costs_nothing() -> None:
    ceiling = Ceiling({Bucket.OUTPUT: 1000.0})
    need = Need(input_chars=400, max_tokens=900)
    for _ in range(20):
        assert ceiling.wait_s(need, now=0.0) == 0.0
        ticket = ceiling.reserve(need, now=0.0)
        ceiling.settle(ticket, Feedback(signal=Signal.RATE), now=0.0)


def test_one_call_larger_than_the_limit_goes_alone() -> None:
    ceiling = Ceiling({Bucket.OUTPUT: 100.0})
    need = Need(input_chars=400, max_tokens=5000)

    assert ceiling.wait_s(need, now=0.0) == 0.0
    ceiling.reserve(need, now=0.0)
    assert ceiling.wait_s(need, now=0.0) > 60.0


@given(
    st.lists(st.tuples(st.integers(1, 4000), st.integers(0, 2000), st.sampled_from(Signal))),
    st.floats(100.0, 1e6),
)
def test_waiting_as_long_as_told_is_enough(calls, per_minute: float) -> None:
    ceiling = Ceiling({Bucket.INPUT: per_minute, Bucket.OUTPUT: per_minute})
    now = 0.0
    for chars, outputs, signal in calls:
        need = Need(input_chars=chars, max_tokens=outputs + 1)
        for _ in range(3):
            wait = ceiling.wait_s(need, now=now)
            if not wait:
                break
            now += wait + 1e-6
        assert ceiling.wait_s(need, now=now) == 0.0
        ticket = ceiling.reserve(need, now=now)
        usage = Usage(input_tokens=chars, output_tokens=outputs) if signal is Signal.OK else None
        ceiling.settle(ticket, Feedback(signal=signal, usage=usage), now=now + 0.5)
        now += 0.5

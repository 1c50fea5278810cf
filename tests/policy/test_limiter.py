"""The rate controller as a whole: progress whatever happens, and what each signal does."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.events import LimitChanged, Paused
from batcher.policy.limiter import Limiter
from batcher.policy.ticket import Ticket
from batcher.records import Bucket, Feedback, Need, Quota, Signal, Usage

NEED = Need(input_chars=400, max_tokens=256)
OK = Feedback(signal=Signal.OK, latency_s=0.2, usage=Usage(input_tokens=100, output_tokens=50))


def a_limiter(**settings: object) -> Limiter:
    return Limiter("s", **{"max_in_flight": 64, **settings})  # type: ignore[arg-type]


def send_soon(limiter: Limiter, now: float, need: Need = NEED) -> tuple[Ticket, float]:
    """Wait as told until the need may go; fails when that never ends."""
    for _ in range(2000):
        wait = limiter.wait_s(need, now=now)
        assert 0.0 <= wait < math.inf
        if wait == 0.0:
            return limiter.reserve(need, now=now), now
        now += wait
    raise AssertionError("no progress")


def run_for(
    limiter: Limiter, now: float, seconds: float, feedback: Feedback = OK, need: Need = NEED
) -> float:
    """One request after another, each answered at once."""
    until = now + seconds
    while now < until:
        ticket, now = send_soon(limiter, now, need)
        limiter.settle(ticket, feedback, now=now)
    return now


amounts = st.floats(min_value=0.0, max_value=1e9, allow_nan=False)
quotas = st.builds(
    Quota,
    bucket=st.sampled_from(Bucket),
    limit=st.one_of(amounts, st.just(math.inf), st.just(math.nan), st.just(-1.0)),
    remaining=st.one_of(amounts, st.just(-5.0), st.just(math.inf), st.just(math.nan)),
    resets_in_s=st.none() | st.floats(min_value=0.0, max_value=1e5),
)
feedbacks = st.builds(
    Feedback,
    signal=st.sampled_from(Signal),
    latency_s=st.floats(min_value=0.0, max_value=600.0),
    usage=st.none()
    | st.builds(
        Usage,
        input_tokens=st.integers(0, 10**6),
        output_tokens=st.integers(0, 10**6),
        cache_read_tokens=st.integers(0, 10**6),
    ),
    quotas=st.lists(quotas, max_size=4).map(tuple),
    retry_after_s=st.none()
    | st.floats(min_value=-1.0, max_value=1e4)
    | st.sampled_from([math.inf, math.nan]),
    limit_hint=st.none() | quotas,
)
needs = st.builds(Need, input_chars=st.integers(0, 10**7), max_tokens=st.integers(0, 10**6))
steps = st.lists(st.tuples(feedbacks, needs, st.floats(min_value=0.0, max_value=30.0)), max_size=40)


@given(script=steps, start=st.sampled_from([0.0, 1e6, -50.0, 1.7e9]), known=st.booleans())
@settings(max_examples=100, deadline=None)
def test_there_is_progress_whatever_the_server_says(
    script: list[tuple[Feedback, Need, float]], start: float, known: bool
) -> None:
    """With nothing in flight, waiting as told always ends; waits are never NaN or infinite."""
    limiter = a_limiter(stated={Bucket.INPUT: 1000.0} if known else {})
    now = start
    flying: list[Ticket] = []
    for feedback, need, pause in script:
        wait = limiter.wait_s(need, now=now)
        assert 0.0 <= wait < math.inf
        if wait == 0.0:
            flying.append(limiter.reserve(need, now=now))
        now += pause
        if len(flying) > 3:
            limiter.settle(flying.pop(0), feedback, now=now)
    for ticket in flying:
        limiter.settle(ticket, script[0][0], now=now)
    for need in (NEED, Need(input_chars=10**8, max_tokens=10**6)):
        ticket, now = send_soon(limiter, now, need)
        limiter.settle(ticket, OK, now=now)


@given(
    limit=st.sampled_from([60.0, 600.0, 60_000.0]),
    bucket=st.sampled_from([Bucket.REQUESTS, Bucket.INPUT]),
    told=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.0, 1.0, 9.0, 1000.0, 3000.0]),
            st.booleans(),
            st.sampled_from([0.5, 1.0, 1.0, 1.0]),
            st.sampled_from([0.0, 0.5, 10.0]),
            st.sampled_from([100, 700, 2500]),
        ),
        min_size=3,
        max_size=30,
    ),
    resets_in_s=st.none() | st.just(1.0),
)
@settings(max_examples=150, deadline=None)
def test_there_is_progress_whatever_the_headers_of_a_bucket_say_is_left(
    limit: float,
    bucket: Bucket,
    told: list[tuple[float, bool, float, float, int]],
    resets_in_s: float | None,
) -> None:
    limiter, now = a_limiter(), 0.0
    for remaining, is_in, factor, pause, tokens in told:
        limit *= factor
        left = Quota(bucket=bucket, limit=limit, remaining=remaining, resets_in_s=resets_in_s)
        need = Need(input_chars=4 * tokens, max_tokens=50)
        ticket, now = send_soon(limiter, now, need)
        usage = Usage(input_tokens=tokens, output_tokens=50) if is_in else None
        signal = Signal.OK if is_in else Signal.RATE
        feedback = Feedback(signal=signal, latency_s=0.1, usage=usage, quotas=(left,))
        now += 0.1
        limiter.settle(ticket, feedback, now=now)
        now += pause
    send_soon(limiter, now, Need(input_chars=8000, max_tokens=50))

    assert limiter.in_flight == 1


def test_asking_twice_changes_nothing() -> None:
    asked, silent = a_limiter(), a_limiter()
    for limiter in (asked, silent):
        for _ in range(3):
            ticket = limiter.reserve(NEED, now=0.0)
            limiter.settle(ticket, Feedback(signal=Signal.RATE, latency_s=0.1), now=0.2)
    for step in range(50):
        asked.wait_s(NEED, now=0.2 + step / 100)

    assert silent.wait_s(NEED, now=1.0) == pytest.approx(asked.wait_s(NEED, now=1.0), abs=1e-6)


def test_retry_after_pauses_the_scope_for_as_long_as_it_says() -> None:
    limiter = a_limiter()
    ticket = limiter.reserve(NEED, now=0.0)
    refusal = Feedback(signal=Signal.RATE, latency_s=0.1, retry_after_s=3600.0)

    events = list(limiter.settle(ticket, refusal, now=1.0))

    assert limiter.wait_s(NEED, now=1.0) == pytest.approx(3600.0)
    assert limiter.wait_s(NEED, now=3590.0) == pytest.approx(11.0)
    assert next(e for e in events if isinstance(e, Paused)).wait_s == 3600.0


def test_a_fraction_of_a_second_is_a_pause_too() -> None:
    limiter = a_limiter()
    ticket = limiter.reserve(NEED, now=0.0)
    limiter.settle(ticket, Feedback(signal=Signal.RATE, retry_after_s=0.25), now=1.0)

    assert limiter.wait_s(NEED, now=1.0) >= 0.25


def test_a_bare_refusal_says_in_numbers_what_it_taught() -> None:
    limiter = a_limiter()
    now = run_for(limiter, 0.0, 3.0)
    ticket, now = send_soon(limiter, now)

    (event,) = limiter.settle(ticket, Feedback(signal=Signal.RATE, latency_s=0.1), now=now + 0.1)

    assert isinstance(event, LimitChanged)
    assert event.reason.startswith("cut: 429 without headers, estimate ")
    assert event.requests_per_s is not None


def test_overload_never_touches_what_was_learnt() -> None:
    limiter = a_limiter(max_in_flight=500)
    full = Quota(bucket=Bucket.REQUESTS, limit=600.0, remaining=500.0)
    now = run_for(limiter, 0.0, 5.0, Feedback(signal=Signal.OK, latency_s=0.2, quotas=(full,)))
    level = limiter._limits.of(Bucket.REQUESTS)
    before = (level.rate, level.capacity)

    paused = []
    for _ in range(30):
        ticket, now = send_soon(limiter, now)
        refusal = Feedback(signal=Signal.OVERLOADED, latency_s=0.1)
        events = limiter.settle(ticket, refusal, now=now + 0.1)
        paused += [e for e in events if isinstance(e, Paused)]

    assert before == (level.rate, level.capacity)
    assert not limiter._tracker.is_on
    assert paused


def test_the_text_of_a_429_names_the_limit() -> None:
    limiter = a_limiter()
    ticket = limiter.reserve(NEED, now=0.0)
    hint = Quota(bucket=Bucket.INPUT, limit=40_000.0, remaining=0.0)

    (event,) = limiter.settle(ticket, Feedback(signal=Signal.RATE, limit_hint=hint), now=0.1)

    assert isinstance(event, LimitChanged)
    assert event.reason == "429 names a limit: 40000 input tokens/min"


def test_what_headers_show_of_a_bucket_counts_what_the_answer_took_of_it() -> None:
    limiter = a_limiter()
    ticket = limiter.reserve(NEED, now=0.0)
    left = Quota(bucket=Bucket.INPUT, limit=60_000.0, remaining=5_000.0, resets_in_s=0.0)
    usage = Usage(input_tokens=3_000, output_tokens=10)

    limiter.settle(ticket, Feedback(signal=Signal.OK, usage=usage, quotas=(left,)), now=0.1)

    held = 5_000.0 + 3_000.0
    assert limiter._limits.of(Bucket.INPUT).capacity == pytest.approx(held + 1_000.0)


def test_a_ramp_refusal_slows_the_ramp_and_learns_no_quota() -> None:
    limiter = a_limiter(max_in_flight=1000)
    now = run_for(limiter, 0.0, 4.0)
    before = limiter._ramp.per_s(now)
    ticket, now = send_soon(limiter, now)

    (event,) = limiter.settle(ticket, Feedback(signal=Signal.RAMP, latency_s=0.1), now=now + 0.1)

    assert isinstance(event, LimitChanged)
    assert "ramp" in event.reason
    assert limiter._ramp.per_s(now + 0.1) < before
    assert not limiter._tracker.is_on


def test_a_need_bigger_than_the_bucket_goes_alone_when_it_is_full() -> None:
    limiter = a_limiter(stated={Bucket.INPUT: 600.0}, burst_s=60.0)
    huge = Need(input_chars=100_000, max_tokens=1)

    assert limiter.wait_s(huge, now=0.0) == 0.0
    limiter.reserve(huge, now=0.0)

    assert limiter.wait_s(NEED, now=0.5) > 60.0


def test_a_stated_limit_is_kept_in_the_long_run() -> None:
    limiter = a_limiter(stated={Bucket.REQUESTS: 600.0}, burst_s=1.0)
    generous = Quota(bucket=Bucket.REQUESTS, limit=60_000.0, remaining=60_000.0)
    sent, now = 0, 0.0
    while now < 60.0:
        ticket, now = send_soon(limiter, now)
        limiter.settle(ticket, Feedback(signal=Signal.OK, quotas=(generous,)), now=now)
        sent += 1

    assert 570 <= sent <= 611


def test_no_more_in_flight_than_the_operator_allows() -> None:
    limiter = a_limiter(max_in_flight=3)
    now, flying = 0.0, 0
    for _ in range(100):
        if limiter.wait_s(NEED, now=now) == 0.0:
            limiter.reserve(NEED, now=now)
            flying += 1
        now += 0.5

    assert flying == 3


@given(limit=st.floats(min_value=300.0, max_value=60_000.0), seed=st.integers(0, 5))
@settings(max_examples=10, deadline=None)
def test_a_bare_bucket_is_found_to_within_a_few_percent(limit: float, seed: int) -> None:
    """A bucket of one second, refusals at once, no latency: the plainest server there is."""
    limiter = a_limiter(max_in_flight=1000, seed=seed)
    rate = limit / 60
    level = capacity = max(1.0, rate)
    now, filled, admitted, refused = 0.0, 0.0, 0, 0
    horizon = max(40.0, 150.0 / rate)
    while now < horizon:
        ticket, now = send_soon(limiter, now)
        level, filled = min(capacity, level + rate * (now - filled)), now
        if level >= 1.0:
            level -= 1.0
            feedback = OK
            admitted += now > horizon / 2
        else:
            feedback = Feedback(signal=Signal.RATE, latency_s=0.01)
            refused += now > horizon / 2
        now += 1e-4
        limiter.settle(ticket, feedback, now=now)

    assert admitted >= 0.93 * rate * horizon / 2 - 2
    assert refused <= 0.05 * admitted + 2


def test_a_named_limit_is_used_whole_once_prompts_turn_out_smaller_than_thought() -> None:
    """Nothing but the sizes of answers tells; there are no headers to look at."""
    limiter = a_limiter()
    long = Need(input_chars=40_000, max_tokens=16)
    small = Feedback(
        signal=Signal.OK, latency_s=0.2, usage=Usage(input_tokens=100, output_tokens=10)
    )
    named = Quota(bucket=Bucket.INPUT, limit=60_000.0, remaining=0.0)
    ticket, now = send_soon(limiter, 0.0, long)
    limiter.settle(ticket, Feedback(signal=Signal.RATE, latency_s=0.1, limit_hint=named), now=now)
    now = run_for(limiter, now, 120.0, small)
    now = run_for(limiter, now, 20.0, small, long)

    until, sent = now + 10.0, 0
    while now < until:
        ticket, now = send_soon(limiter, now, long)
        limiter.settle(ticket, small, now=now)
        sent += 1

    assert sent > 0.9 * 10.0 * 60_000.0 / 60.0 / 100.0


def held_back() -> tuple[Limiter, float]:
    """A controller that has found its quota, sends what that allows, and looks every second."""
    limiter = a_limiter()
    now = 0.0
    refused = Feedback(signal=Signal.RATE, latency_s=0.1)
    for feedback in [OK] * 30 + [refused, OK, refused]:
        ticket, now = send_soon(limiter, now)
        limiter.settle(ticket, feedback, now=now)
    for _ in range(20):
        now = run_for(limiter, now, 1.0)
        limiter.share([], now=now)
    assert limiter.wait_s(NEED, now=now) > 0.0
    return limiter, now


def rate_beside(others: float) -> float:
    """Requests a second, once another is known to take so many times as much."""
    limiter, now = held_back()
    own = limiter.pace(now=now)
    assert own is not None
    told = list(limiter.share([[others * amount for amount in own]], now=now))
    assert isinstance(told[0], LimitChanged)
    assert told[0].requests_per_s is not None
    return told[0].requests_per_s


def test_who_sends_more_than_an_equal_part_yields_and_who_sends_less_gains() -> None:
    assert rate_beside(0.5) < 0.95 * rate_beside(1.0) < 0.9 * rate_beside(2.0)


def test_parts_that_are_nearly_equal_change_next_to_nothing() -> None:
    assert rate_beside(1.02) == pytest.approx(rate_beside(1.0), rel=0.02)


def test_who_shares_is_told_once_and_once_more_when_it_is_over() -> None:
    limiter, now = held_back()
    own = limiter.pace(now=now)
    assert own is not None
    told = [
        [
            event.reason
            for event in limiter.share(others, now=now + 0.1 * step)
            if isinstance(event, LimitChanged)
        ]
        for step, others in enumerate([[own], [own], []])
        if limiter.wait_s(NEED, now=now + 0.1 * step) >= 0.0
    ]

    assert told == [
        ["runs on this machine that share this quota: 2"],
        [],
        ["no other run shares this quota now"],
    ]


def test_who_is_not_held_back_takes_no_part() -> None:
    limiter = a_limiter()
    run_for(limiter, 0.0, 5.0)

    assert limiter.pace(now=5.0) is None
    assert list(limiter.share([[5.0, 500.0, 50.0, 550.0]], now=5.0)) == []


def test_what_a_full_bucket_lost_while_the_server_asked_to_wait_is_no_slower_rate() -> None:
    """A second's bucket runs over in a second's pause, and by more on the way to and fro."""
    limiter, rate, way = a_limiter(), 5.0, 0.1
    level, now, filled = rate, 0.0, 0.0
    told: list[float] = []
    while now < 240.0:
        ticket, now = send_soon(limiter, now)
        level, filled = min(rate, level + rate * (now - filled)), now
        feedback = OK
        if level < 1.0:
            now += way
            feedback = Feedback(signal=Signal.RATE, latency_s=way, retry_after_s=1.0)
        else:
            level -= 1.0
        events = limiter.settle(ticket, feedback, now=now)
        told += [e.requests_per_s or 0.0 for e in events if isinstance(e, LimitChanged)]

    assert told[-4:] == pytest.approx([rate] * 4, rel=0.03)


class SecondsBucket:
    """A server whose bucket holds a second of its limit, a request at least; 0 to 20 ms away.

    Args:
        seed: Of the way's length.
        is_told: Its answers have rate-limit headers.
        holds: Requests the bucket holds whatever its limit; None for a second's.
    """

    def __init__(self, *, seed: int, is_told: bool, holds: float | None = None) -> None:
        self._rng = random.Random(seed)
        self._is_told = is_told
        self._holds = holds
        self._at = 0.0
        self._level = math.inf

    def answers(self, limiter: Limiter, now: float, rate: float) -> tuple[bool, float]:
        """Send one request as soon as may be; returns whether it was let in, and when told."""
        ticket, now = send_soon(limiter, now)
        there = max(self._at, now + 0.02 * self._rng.random())
        full = self._holds or max(1.0, rate)
        self._level = min(full, self._level + rate * (there - self._at))
        self._at = there
        is_in = self._level >= 1.0
        self._level -= is_in
        left = Quota(
            bucket=Bucket.REQUESTS,
            limit=60.0 * rate,
            remaining=float(int(self._level)),
            resets_in_s=None if self._holds else 1.0,
        )
        feedback = Feedback(
            signal=Signal.OK if is_in else Signal.RATE,
            latency_s=0.02,
            usage=Usage(input_tokens=100, output_tokens=50) if is_in else None,
            quotas=(left,) if self._is_told else (),
        )
        now = there + 0.02
        limiter.settle(ticket, feedback, now=now)
        return is_in, now


def use_bucket(
    rate_at: Callable[[float], float],
    *,
    is_told: bool,
    count_from: float,
    until: float,
    holds: float | None = None,
) -> tuple[int, int]:
    """How many requests a SecondsBucket lets in and refuses in the last part of a run."""
    limiter, now = a_limiter(), 0.0
    server = SecondsBucket(seed=1, is_told=is_told, holds=holds)
    admitted = refused = 0
    while now < until:
        is_in, now = server.answers(limiter, now, rate_at(now))
        if now > count_from:
            admitted, refused = admitted + is_in, refused + (not is_in)
    return admitted, refused


@pytest.mark.parametrize("is_told", [True, False])
def test_a_bucket_of_one_that_becomes_a_greater_quota_is_used_whole(is_told: bool) -> None:
    """One request a second, then ten: with headers the news is at once, without it is found."""
    admitted, refused = use_bucket(
        lambda now: 10.0 if now > 200.0 else 1.0, is_told=is_told, count_from=600.0, until=700.0
    )

    assert admitted > 0.95 * 10.0 * 100.0
    assert refused < 0.02 * admitted


def test_a_seconds_bucket_that_is_left_with_a_single_request_is_still_used() -> None:
    """Nine a second fall to seven tenths: between two probes the bucket runs over unseen."""
    admitted, refused = use_bucket(
        lambda now: 0.7 if now > 400.0 else 9.0, is_told=False, count_from=900.0, until=1500.0
    )

    assert admitted > 0.88 * 0.7 * 600.0
    assert refused < 0.04 * admitted


def test_a_limit_that_rises_in_small_steps_is_followed_out_of_a_bucket_of_one() -> None:
    """Nine per cent a minute, thirty times, as headers tell."""
    admitted, _ = use_bucket(
        lambda now: 1.09 ** min(30, max(0, int((now - 100.0) / 60.0))),
        is_told=True,
        count_from=2100.0,
        until=2400.0,
    )

    assert admitted > 0.85 * 13.26 * 300.0


@pytest.mark.parametrize("rate, holds", [(1.0, 1.0), (3.0, 1.0), (10.0, 2.0), (20.0, 5.0)])
def test_a_small_bucket_that_runs_over_is_not_taken_for_other_clients(
    rate: float, holds: float
) -> None:
    """Headers tell the limit of a minute and what is left, and not when it is full again."""
    admitted, refused = use_bucket(
        lambda now: rate, is_told=True, count_from=100.0, until=400.0, holds=holds
    )

    assert admitted > 0.9 * rate * 300.0
    assert refused < 0.02 * admitted


def share_bucket(rate: float, holds: float, *, leaves_at: float, until: float) -> list[int]:
    """Two strangers on a SecondsBucket with headers, one of whom leaves.

    Returns what was let in and refused while both were there, each one's, and then the first's.
    """
    server = SecondsBucket(seed=1, is_told=True, holds=holds)
    clients = [a_limiter(), a_limiter()]
    times = [0.0, 30.0]
    counts = [0] * 6  # let in, refused: of the first, of the second, of the first alone
    while min(times) < until:
        who = 0 if times[0] <= times[1] else 1
        if who == 1 and times[1] > leaves_at:
            times[1] = math.inf
            continue
        wait = clients[who].wait_s(NEED, now=times[who])
        if wait > 0.0:
            times[who] += wait
            continue
        is_in, times[who] = server.answers(clients[who], times[who], rate)
        if 100.0 < times[who] < leaves_at:
            counts[2 * who + (not is_in)] += 1
        elif times[who] > leaves_at + 100.0:
            counts[4 + (not is_in)] += 1
    return counts


@pytest.mark.parametrize("rate, holds", [(10.0, 5.0), (20.0, 10.0)])
def test_strangers_on_a_small_bucket_waste_little_and_who_stays_uses_it_whole(
    rate: float, holds: float
) -> None:
    first, refused_first, second, refused_second, alone, _ = share_bucket(
        rate, holds, leaves_at=400.0, until=700.0
    )

    assert first + second > 0.85 * rate * 300.0
    assert refused_first + refused_second < 0.1 * (first + second)
    assert alone > 0.9 * rate * 200.0


def test_a_bucket_of_one_that_is_refilled_faster_is_searched_by_spacing_again() -> None:
    """One a second, then six: left as outgrown, it settled where probes ended: at 62 %."""
    admitted, refused = use_bucket(
        lambda now: 6.0 if now > 200.0 else 1.0,
        is_told=False,
        count_from=600.0,
        until=1200.0,
        holds=1.0,
    )

    assert admitted > 0.8 * 6.0 * 600.0
    assert refused < 0.05 * admitted


def test_rows_without_text_are_refused_without_harm() -> None:
    limiter, now = a_limiter(), 0.0
    long, empty = Need(input_chars=200_000, max_tokens=16), Need(input_chars=0, max_tokens=16)
    taken = Feedback(signal=Signal.OK, latency_s=0.1, usage=Usage(input_tokens=50_000))
    refused = Feedback(signal=Signal.RATE, latency_s=0.1)
    for need, feedback in [(long, taken)] * 5 + [(long, refused)] + [(long, taken)] * 40:
        ticket, now = send_soon(limiter, now, need)
        limiter.settle(ticket, feedback, now=now + 0.1)
        now += 0.1
    for wait_s in range(0, 400, 7):
        ticket, now = send_soon(limiter, now + wait_s, empty)
        limiter.settle(ticket, refused, now=now + 0.1)
        now += 0.1

    assert limiter.in_flight == 0
    assert limiter.wait_s(long, now=now) < math.inf


def test_a_server_that_fails_otherwise_than_by_load_is_not_overloaded_for_ever() -> None:
    limiter, now = a_limiter(), 0.0
    overloaded = Feedback(signal=Signal.OVERLOADED, latency_s=0.1)
    for _ in range(40):
        ticket, now = send_soon(limiter, now)
        limiter.settle(ticket, overloaded, now=now + 0.1)
    events: list[object] = []
    begun = now
    for _ in range(200):
        ticket, now = send_soon(limiter, now)
        events += limiter.settle(ticket, Feedback(signal=Signal.NEUTRAL, latency_s=0.1), now=now)

    reasons = [event.reason for event in events if isinstance(event, LimitChanged)]
    assert "the server copes again" in reasons
    assert now - begun < 30.0

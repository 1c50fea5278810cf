"""How many in flight: a queue in numbers, and where the limit settles."""

import heapq
import math
import random

import pytest

from batcher.policy.concurrency import Concurrency


class Queue:
    """A server of some slots; whatever exceeds them waits. Offers as many as are allowed."""

    def __init__(
        self,
        slots: int,
        *,
        ceiling: int = 64,
        per_token_s: float = 0.0,
        spread: float = 0.3,
        seed: int = 1,
    ):
        self.limits = Concurrency(ceiling)
        self.free = [0.0] * slots
        self.per_token_s, self.spread = per_token_s, spread
        self.random = random.Random(seed)
        self.now = 0.0
        self.least_s = math.inf
        self.flying: list[tuple[float, float, bool, int]] = []
        self.limits_seen: list[int] = []
        self.told: list[str] = []

    def send(self) -> None:
        limits = self.limits
        tokens = max(1, int(self.random.lognormvariate(math.log(100), 0.8)))
        takes_s = self.per_token_s * tokens or self.random.lognormvariate(0.0, self.spread)
        met, in_flight = False, len(self.flying) + 1
        if in_flight >= limits.near:
            met = limits.meet(in_flight, self.now) >= 0
        else:
            limits.unmet += 1
        ends = max(self.now, heapq.heappop(self.free)) + takes_s
        heapq.heappush(self.free, ends)
        heapq.heappush(self.flying, (ends, self.now, met, tokens))

    def answer(self, count: int, *, offered: float = math.inf) -> None:
        for _ in range(count):
            while len(self.flying) < min(self.limits.limit, offered):
                self.send()
            self.now, sent, met, tokens = heapq.heappop(self.flying)
            took_s, in_flight = self.now - sent, len(self.flying) + 1
            self.least_s = min(self.least_s, took_s)
            reason = self.limits.answered(
                met, in_flight, tokens, latency_s=took_s, quickest_s=self.least_s, now=self.now
            )
            self.told += [] if reason is None else [reason]
            self.limits_seen.append(self.limits.limit)


@pytest.mark.parametrize("per_token_s", [0.0, 0.02])
@pytest.mark.parametrize("slots", [1, 2, 4, 8, 16])
def test_the_limit_settles_between_one_and_three_times_the_slots(
    slots: int, per_token_s: float
) -> None:
    """In nearly every run: what a setting is worth is judged by a few dozen answers."""
    settled = []
    for seed in range(20):
        queue = Queue(slots, per_token_s=per_token_s, seed=seed)
        queue.answer(2000)
        late = queue.limits_seen[1000:]
        settled.append(sum(late) / len(late))

    assert min(settled) >= slots
    assert sum(limit <= 3 * slots for limit in settled) >= 17


@pytest.mark.parametrize("slots", [2, 4, 8])
def test_where_the_first_requests_queue_no_more_are_tried(slots: int) -> None:
    queue = Queue(slots)
    queue.answer(300)

    assert queue.told[0] == "requests wait for one another at the server: 16 in flight"
    assert max(queue.limits_seen[16:]) == 16


def test_no_fewer_are_tried_than_the_server_works_on() -> None:
    """All answers take one second, so ten slots need ten in flight; halving would try eight."""
    queue = Queue(10, spread=0.0)
    queue.answer(400)

    assert min(queue.limits_seen) >= 10
    assert queue.limits.limit <= 20


def test_answers_that_come_at_once_are_no_sign_of_a_queue() -> None:
    """The one who is busy then is ourselves, and fewer in flight would only cost more turns."""
    queue = Queue(1, per_token_s=2e-6)
    queue.answer(3000)
    queue.now += 700.0
    queue.answer(3000)

    assert queue.limits_seen[500:] == [64] * 5500
    assert queue.told == []


def test_without_a_knee_the_limit_grows_to_the_ceiling() -> None:
    queue = Queue(10_000, ceiling=200)
    queue.answer(1000)

    assert queue.limits.limit == 200


def test_a_ceiling_within_reach_at_once_is_tried_from_below_later() -> None:
    queue = Queue(2, ceiling=10)
    queue.answer(2000)

    assert queue.limits.limit <= 6


def test_where_something_else_holds_us_back_nothing_is_tried() -> None:
    queue = Queue(10_000)
    queue.answer(2000, offered=5)

    assert set(queue.limits_seen) == {16}
    assert queue.told == []


@pytest.mark.parametrize(("slots", "more"), [(4, 28), (8, 24)])
def test_a_server_that_grows_is_used_again(slots: int, more: int) -> None:
    for seed in range(10):
        queue = Queue(slots, seed=seed)
        queue.answer(1000)
        settled = queue.limits.limit
        queue.free += [queue.now] * more
        heapq.heapify(queue.free)
        queue.answer(12_000)

        assert settled <= 3 * slots
        assert queue.limits.limit >= 0.8 * (slots + more)


@pytest.mark.parametrize(("slots", "left"), [(16, 4), (8, 4)])
def test_a_server_that_shrinks_is_found_out(slots: int, left: int) -> None:
    for seed in range(10):
        queue = Queue(slots, seed=seed)
        queue.answer(1000)
        queue.free = queue.free[:left]
        queue.answer(6000)

        assert queue.limits.limit <= 4 * left


def test_it_says_where_the_knee_is() -> None:
    queue = Queue(8)
    queue.answer(1000)

    assert any(text.startswith("knee: more than ") for text in queue.told)

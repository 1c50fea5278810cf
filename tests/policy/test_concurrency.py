"""How many in flight: a queue in numbers, and where the limit settles."""

import heapq
import math
import random

import pytest

from batcher.policy.concurrency import Concurrency


class Queue:
    """A server of some slots; whatever exceeds them waits. Offers as many as are allowed."""

    def __init__(self, slots: int, *, ceiling: int = 64, per_token_s: float = 0.0, seed: int = 1):
        self.limits = Concurrency(ceiling)
        self.free = [0.0] * slots
        self.per_token_s = per_token_s
        self.random = random.Random(seed)
        self.now = 0.0
        self.flying: list[tuple[float, bool, int]] = []
        self.limits_seen: list[int] = []
        self.told: list[str] = []

    def send(self) -> None:
        limits = self.limits
        tokens = max(1, int(self.random.lognormvariate(math.log(100), 0.8)))
        takes_s = self.per_token_s * tokens or self.random.lognormvariate(0.0, 0.3)
        met, in_flight = False, len(self.flying) + 1
        if in_flight >= limits.near:
            met = limits.meet(in_flight, self.now) >= 0
        else:
            limits.unmet += 1
        ends = max(self.now, heapq.heappop(self.free)) + takes_s
        heapq.heappush(self.free, ends)
        heapq.heappush(self.flying, (ends, met, tokens))

    def answer(self, count: int, *, offered: float = math.inf) -> None:
        for _ in range(count):
            while len(self.flying) < min(self.limits.limit, offered):
                self.send()
            self.now, met, tokens = heapq.heappop(self.flying)
            reason = self.limits.answered(met, len(self.flying) + 1, tokens, self.now)
            self.told += [] if reason is None else [reason]
            self.limits_seen.append(self.limits.limit)


@pytest.mark.parametrize("per_token_s", [0.0, 0.02])
@pytest.mark.parametrize("slots", [1, 2, 4, 8, 16])
def test_the_limit_settles_between_one_and_three_times_the_slots(
    slots: int, per_token_s: float
) -> None:
    queue = Queue(slots, per_token_s=per_token_s)
    queue.answer(2000)

    late = queue.limits_seen[1000:]
    assert slots <= sum(late) / len(late) <= 3 * slots


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


def test_a_server_that_grows_is_used_again() -> None:
    queue = Queue(4)
    queue.answer(1000)
    settled = queue.limits.limit
    queue.free += [queue.now] * 28
    heapq.heapify(queue.free)
    queue.answer(12_000)

    assert settled <= 12
    assert queue.limits.limit >= 28


def test_a_server_that_shrinks_is_found_out() -> None:
    queue = Queue(16)
    queue.answer(1000)
    queue.free = queue.free[:2]
    queue.answer(6000)

    assert queue.limits.limit <= 8


def test_it_says_where_the_knee_is() -> None:
    queue = Queue(8)
    queue.answer(1000)

    assert any(text.startswith("knee: more than ") for text in queue.told)

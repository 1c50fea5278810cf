"""Windows are told from buckets by headers, and kept to."""

from collections import deque
from typing import Protocol

import pytest

from batcher.policy.lapse import Lapse

HOLDS, RATE = 50.0, 25.0


class Counter(Protocol):
    def left(self, now: float) -> float:
        """Requests that would be let in."""

    def take(self, now: float) -> None:
        """Let one in."""


class Bucket:
    def __init__(self) -> None:
        self._level, self._at = HOLDS, 0.0

    def left(self, now: float) -> float:
        self._level = min(HOLDS, self._level + RATE * (now - self._at))
        self._at = now
        return self._level

    def take(self, now: float) -> None:
        self._level = self.left(now) - 1.0


class Sliding:
    def __init__(self) -> None:
        self._taken: deque[float] = deque()

    def left(self, now: float) -> float:
        while self._taken and self._taken[0] <= now - HOLDS / RATE:
            self._taken.popleft()
        return HOLDS - len(self._taken)

    def take(self, now: float) -> None:
        self._taken.append(now)


class Fixed:
    def __init__(self) -> None:
        self._window, self._count = 0, 0

    def left(self, now: float) -> float:
        window = int((now + 0.7) // (HOLDS / RATE))
        if window != self._window:
            self._window, self._count = window, 0
        return HOLDS - self._count

    def take(self, now: float) -> None:
        self._count += 1


def drive(
    server: Counter, *, seconds: float, others: float = 0.0, late_s: float = 0.4
) -> tuple[Lapse, int]:
    """Send in bursts of two seconds; headers come back later. Returns how many were refused."""
    lapse = Lapse(HOLDS, RATE)
    now, refused, owed = 0.0, 0, 0.0
    headers: deque[tuple[float, float, float]] = deque()
    while now < seconds:
        now += 0.02
        owed += 0.02 * others
        while owed >= 1.0 and server.left(now) >= 1.0:
            server.take(now)
            owed -= 1.0
        while headers and headers[0][0] <= now:
            _, left, sent = headers.popleft()
            lapse.read(left, sent)
        wants = now % 4.0 < 2.0 or lapse.is_window
        if not wants or (lapse.is_window and lapse.wait_s(1, now) > 0.0):
            continue
        lapse.sent(now)
        if server.left(now) < 1.0:
            refused += 1
            lapse.returned(now)
            headers.append((now + 0.05, 0.0, now))
            continue
        server.take(now)
        headers.append((now + late_s, float(int(server.left(now))), now))
    return lapse, refused


@pytest.mark.parametrize("kind", [Sliding, Fixed])
def test_a_window_is_recognized_and_what_it_holds_never_exceeded_again(
    kind: type[Sliding | Fixed],
) -> None:
    server = kind()
    lapse, before = drive(server, seconds=12.0)
    assert lapse.is_window

    lapse, in_all = drive(kind(), seconds=60.0)
    assert lapse.is_window
    assert in_all == before


def test_what_a_window_holds_is_used() -> None:
    lapse, _ = drive(Sliding(), seconds=60.0)

    assert lapse._sent > 0.9 * RATE * 48.0


@pytest.mark.parametrize("others", [0.0, 2.0, 8.0, 16.0])
def test_a_bucket_is_none_whoever_else_uses_it(others: float) -> None:
    lapse, _ = drive(Bucket(), seconds=60.0, others=others)

    assert not lapse.is_window


def test_another_client_in_the_window_ends_it() -> None:
    """Then it is treated as a quota that is shared, by what headers say is left."""
    lapse, _ = drive(Sliding(), seconds=20.0)
    assert lapse.is_window
    now = 20.0
    for _ in range(200):
        now += 0.1
        lapse.sent(now)
        lapse.read(3.0, now)

    assert not lapse.is_window


def test_a_window_has_room_for_every_user() -> None:
    lapse = Lapse(10.0, 10.0)
    for step in range(5):
        lapse.sent(0.01 * step)

    assert lapse.wait_s(1, 0.05) == 0.0
    assert lapse.wait_s(2, 0.05) == pytest.approx(0.95 + lapse._slack_s)


def test_refusals_keep_requests_farther_apart_to_some_length() -> None:
    lapse = Lapse(10.0, 10.0)
    for step in range(10):
        lapse.sent(0.01 * step)
    near = lapse.wait_s(1, 0.1)
    lapse.refused(0.09)
    assert lapse.wait_s(1, 0.1) > near

    for _ in range(100):
        lapse.refused(0.09)
    assert lapse.wait_s(1, 0.1) < 0.9 + 0.3


def test_a_refusal_when_few_were_sent_ends_the_window_and_it_takes_longer_to_be_found_again() -> (
    None
):
    lapse, _ = drive(Sliding(), seconds=12.0)
    lapse.refused(30.0)
    assert not lapse.is_window

    now = 30.0
    for step in range(60):
        now += 0.01
        lapse.sent(now)
        lapse.read(HOLDS - step - 1.0, now)
    assert not lapse.is_window


def test_windows_keep_their_length_when_the_limit_changes() -> None:
    lapse, _ = drive(Sliding(), seconds=12.0)
    lapse.limit(HOLDS / 2.0, RATE / 2.0)

    assert lapse._length_s == pytest.approx(HOLDS / RATE)


def test_a_minute_is_no_short_window() -> None:
    lapse = Lapse(600.0, 10.0)
    for step in range(400):
        lapse.sent(0.05 * step)
        lapse.read(600.0 - step, 0.05 * step)

    assert not lapse.is_window


def test_what_is_remembered_is_bounded_by_time() -> None:
    lapse = Lapse(1e12, 1e12)
    for step in range(100_000):
        lapse.sent(0.01 * step)

    assert len(lapse._times) < 5000
    assert len(lapse._log) < 5000


def test_a_window_is_recognized_though_answers_take_much_longer() -> None:
    lapse, _ = drive(Sliding(), seconds=120.0, late_s=30.0)

    assert lapse.is_window


def test_a_window_that_goes_on_refusing_holds_a_request_or_two_less_than_was_told() -> None:
    """Some servers tell what was left before the request, or round it up."""
    lapse = Lapse(10.0, 10.0)
    for step in range(8):
        lapse.sent(0.01 * step)
    assert lapse.wait_s(1, 0.1) == 0.0

    for _ in range(20):
        lapse.refused(0.07)

    assert lapse.wait_s(1, 0.1) > 0.8


def test_a_refusal_heard_of_late_counts_what_was_sent_before_it() -> None:
    lapse, _ = drive(Sliding(), seconds=12.0)
    now = 20.0
    for step in range(int(HOLDS)):
        lapse.sent(now + 0.01 * step)
    refused_at = now + 0.01 * HOLDS
    for step in range(int(HOLDS)):
        lapse.sent(now + 3.0 + 0.01 * step)
    lapse.refused(refused_at)

    assert lapse.is_window

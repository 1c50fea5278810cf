"""Which key is next: the soonest, by weight, within its hours, and not benched."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.events import Event
from batcher.policy.keyring import Keyring
from batcher.policy.window import parse
from batcher.records import Feedback, KeyRef, Need

NEED = Need(input_chars=40, max_tokens=10)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Pace:
    """A controller that lets one through every `gap_s`."""

    def __init__(self, gap_s: float = 0.0) -> None:
        self.gap_s = gap_s
        self.next_s = -math.inf

    def wait_s(self, need: Need, *, now: float) -> float:
        return max(0.0, self.next_s - now)

    def reserve(self, need: Need, *, now: float) -> object:
        self.next_s = now + self.gap_s
        return None

    def settle(self, ticket: object, feedback: Feedback, *, now: float) -> Iterable[Event]:
        return ()

    def pace(self, *, now: float) -> Sequence[float] | None:
        return None

    def share(self, others: Sequence[Sequence[float]], *, now: float) -> Iterable[Event]:
        return ()


def a_ring(weights: dict[str, float], gaps: dict[str, float] | None = None, **more) -> Keyring:
    keys = [KeyRef(alias=a, scope=a, base_url="", weight=w) for a, w in weights.items()]
    return Keyring(keys, {a: Pace((gaps or {}).get(a, 0.0)) for a in weights}, **more)


def used(ring: Keyring, times: int, *, now: float = 0.0) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(times):
        alias, wait = ring.pick(NEED, now=now)
        assert alias is not None
        assert wait == 0.0
        ring.reserve(alias, NEED, now=now)
        found[alias] += 1
    return found


def test_among_keys_that_may_send_now_weights_decide() -> None:
    assert used(a_ring({"a": 1, "b": 2, "c": 5}), 800) == {"a": 100, "b": 200, "c": 500}


def test_the_key_that_may_send_soonest_is_named_with_its_wait() -> None:
    ring = a_ring({"a": 1, "b": 1}, {"a": 5.0, "b": 3.0})
    used(ring, 2)

    assert ring.pick(NEED, now=1.0) == ("b", 2.0)
    assert ring.pick(NEED, now=3.0) == ("b", 0.0)


def test_no_key_stands_idle_while_calls_wait() -> None:
    ring = a_ring({"slow": 100, "fast": 1}, {"slow": 1.0, "fast": 0.1})
    found: Counter[str] = Counter()
    now = 0.0
    while now < 100.0:
        alias, wait = ring.pick(NEED, now=now)
        assert alias is not None
        if wait:
            now += wait
            continue
        ring.reserve(alias, NEED, now=now)
        found[alias] += 1

    assert found["slow"] == pytest.approx(100, abs=1)
    assert found["fast"] == pytest.approx(1000, abs=10)


@pytest.mark.parametrize("sent_before", [0, 500])
def test_a_key_that_was_out_does_not_get_all_it_missed(sent_before: int) -> None:
    ring = a_ring({"a": 1, "b": 1})
    used(ring, sent_before)
    ring.bench("a")
    used(ring, 1000)
    ring.unbench("a")

    assert used(ring, 20)["a"] == pytest.approx(10, abs=1)


def test_a_benched_key_is_not_used_and_a_last_one_is_none() -> None:
    ring = a_ring({"a": 1, "b": 1})

    assert ring.bench("a")
    assert not ring.bench("a")
    assert used(ring, 5) == {"b": 5}
    assert ring.has_usable()
    assert not ring.has_usable(besides="b")
    ring.bench("b")
    assert ring.pick(NEED, now=0.0) == (None, math.inf)
    assert not ring.has_usable()


def test_a_key_benched_for_a_while_comes_back_by_itself() -> None:
    ring = a_ring({"a": 1})
    ring.bench("a", until=30.0)

    assert ring.pick(NEED, now=10.0) == ("a", 20.0)
    assert ring.has_usable()
    assert ring.is_benched("a", now=29.0)
    assert not ring.is_benched("a", now=30.0)
    assert used(ring, 1, now=30.0) == {"a": 1}


def test_keys_of_one_scope_are_known_as_mates() -> None:
    keys = [KeyRef(alias=a, scope=s, base_url="") for a, s in (("a", "x"), ("b", "y"), ("c", "x"))]
    ring = Keyring(keys, {"x": Pace(), "y": Pace()})

    assert ring.scope_mates("c") == ["a", "c"]


class TestHours:
    def ring(self) -> Keyring:
        return a_ring({"day": 1, "night": 1}, windows={"night": parse("22:00-06:00", UTC)})

    def test_outside_its_hours_a_key_is_not_used(self) -> None:
        ring = self.ring()
        ring.look_at_clock(wall=NOON, now=0.0)

        assert used(ring, 4) == {"day": 4}
        ring.look_at_clock(wall=NOON + timedelta(hours=11), now=11 * 3600.0)
        assert used(ring, 4, now=11 * 3600.0) == {"day": 2, "night": 2}

    def test_the_next_change_is_told(self) -> None:
        ring = self.ring()

        assert ring.look_at_clock(wall=NOON, now=0.0) == 10 * 3600.0
        assert ring.look_at_clock(wall=NOON + timedelta(hours=11), now=0.0) == 7 * 3600.0
        assert a_ring({"a": 1}).look_at_clock(wall=NOON, now=0.0) == math.inf

    def test_when_no_key_is_within_its_hours_the_wait_is_known(self) -> None:
        ring = self.ring()
        ring.look_at_clock(wall=NOON, now=100.0)
        assert ring.opening(now=100.0) is None
        ring.bench("day")

        opening = ring.opening(now=100.0)
        assert opening is not None
        assert (opening[0], opening[1].text) == (36_000.0, "22:00-06:00")
        assert ring.pick(NEED, now=100.0) == ("night", 36_000.0)
        assert ring.has_usable()

    def test_a_key_that_is_refused_for_good_has_no_hours_to_wait_for(self) -> None:
        ring = self.ring()
        ring.look_at_clock(wall=NOON, now=0.0)
        ring.bench("day")
        ring.bench("night")

        assert ring.opening(now=0.0) is None


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["bench", "unbench", "rest", "send"])),
        max_size=60,
    )
)
def test_a_key_that_is_out_is_never_picked(steps: list[tuple[str, str]]) -> None:
    ring = a_ring({"a": 1, "b": 2, "c": 3})
    now, out = 0.0, dict.fromkeys("abc", -math.inf)
    for alias, step in steps:
        now += 1.0
        if step == "send":
            picked, wait = ring.pick(NEED, now=now)
            assert (picked is None) == all(until == math.inf for until in out.values())
            if picked is not None and wait == 0.0:
                assert out[picked] <= now
                ring.reserve(picked, NEED, now=now)
            continue
        out[alias] = {"bench": math.inf, "unbench": -math.inf, "rest": now + 2.5}[step]
        if step == "unbench":
            ring.unbench(alias)
        else:
            ring.bench(alias, until=out[alias])


def test_every_scope_is_named_once_with_all_its_keys() -> None:
    keys = [KeyRef(alias=a, scope=s, base_url="") for a, s in [("a", "x"), ("b", "y"), ("c", "x")]]
    controllers = {"x": Pace(), "y": Pace()}

    found = Keyring(keys, controllers).scopes()

    assert list(found) == [(["a", "c"], controllers["x"]), (["b"], controllers["y"])]

"""Keys that share a budget are found; keys that merely look alike are not.

The production keyring and limiters work against simulated quotas, in virtual time.
"""

import heapq
import itertools
import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence

import pytest

from batcher.events import SharedQuotaSuspected
from batcher.policy.keyring import Keyring
from batcher.policy.limiter import Limiter
from batcher.policy.sharing import Mark, Sharing
from batcher.records import Bucket, Feedback, KeyRef, Need, Quota, Signal, Usage

TOKENS_PER_CHAR = 0.25


class Budget:
    """One quota as a server keeps it: a bucket that refills continuously."""

    def __init__(self, bucket: Bucket, per_minute: float, *, burst_s: float) -> None:
        self.bucket = bucket
        self.limit = per_minute
        self.rate = per_minute / 60
        self.level = self.capacity = self.rate * burst_s
        self.at = 0.0

    def take(self, cost: float, now: float) -> float:
        """Take and return 0.0, or say how long to wait."""
        self.level = min(self.capacity, self.level + self.rate * (now - self.at))
        self.at = now
        short = min(cost, self.capacity) - self.level
        if short > 1e-9:
            return short / self.rate
        self.level -= cost
        return 0.0

    def reading(self) -> Quota:
        left = max(0.0, self.level)
        rounded = math.floor(left) if self.bucket is Bucket.REQUESTS else round(left / 1000) * 1000
        return Quota(
            bucket=self.bucket,
            limit=self.limit,
            remaining=rounded,
            resets_in_s=math.ceil((self.capacity - self.level) / self.rate),
        )


class World:
    """Virtual time and what is to happen in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._todo: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, when: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._todo, (when, next(self._order), do))

    def run(self, seconds: float) -> None:
        while self._todo and self._todo[0][0] < seconds:
            self.now, _, do = heapq.heappop(self._todo)
            do()


class Client:
    """A run with some keys, each with a budget at the server.

    Attributes:
        found: The pairs reported.
        found_s: When the first was.
    """

    def __init__(
        self,
        world: World,
        budgets: Mapping[str, Budget],
        *,
        seed: int,
        headers: bool = True,
        workers: int = 64,
        tokens: int = 0,
        start: float = 0.0,
    ) -> None:
        self.found_s = math.inf
        self.world, self.budgets, self.headers, self.tokens = world, budgets, headers, tokens
        self.random = random.Random(seed)
        self.free = workers
        self.wake = -math.inf
        refs = [KeyRef(alias=key, scope=key, base_url="") for key in budgets]
        limiters = {key: Limiter(key, max_in_flight=workers) for key in budgets}
        self.keyring = Keyring(refs, limiters)
        self.sharing = Sharing({key: key for key in budgets})
        self.found: list[tuple[str, str]] = []
        world.at(start, self.pump)

    def pump(self) -> None:
        while self.free:
            size = self.random.lognormvariate(math.log(self.tokens), 0.7) if self.tokens else 10
            need = Need(input_chars=int(size / TOKENS_PER_CHAR), max_tokens=10)
            now = self.world.now
            alias, wait = self.keyring.pick(need, now=now)
            assert alias is not None
            if wait > 0.0:
                wake = now + max(wait, 0.002)
                if not now < self.wake <= wake:
                    self.wake = wake
                    self.world.at(wake, self.pump)
                return
            self.send(alias, need)

    def send(self, alias: str, need: Need) -> None:
        self.free -= 1
        now = self.world.now
        _, ticket = self.keyring.reserve(alias, need, now=now)
        mark = self.sharing.sent(alias, need.input_chars, now=now)
        trip = self.random.uniform(0.005, 0.025)
        self.world.at(now + trip, lambda: self.arrive(alias, need, ticket, mark))

    def arrive(self, alias: str, need: Need, ticket: object, mark: Mark) -> None:
        budget = self.budgets[alias]
        tokens = need.input_chars * TOKENS_PER_CHAR
        wait = budget.take(tokens if budget.bucket is Bucket.INPUT else 1.0, self.world.now)
        quotas = [budget.reading()] if self.headers else []
        if wait:
            takes_s = 0.015
            hint = None if self.headers else Quota(
                bucket=budget.bucket, limit=budget.limit, remaining=0.0
            )  # fmt: skip
            feedback = Feedback(
                signal=Signal.RATE,
                latency_s=0.03,
                quotas=quotas,
                retry_after_s=math.ceil(wait),
                limit_hint=hint,
            )
        else:
            takes_s = self.random.lognormvariate(0.0, 0.3)
            usage = Usage(input_tokens=int(tokens), output_tokens=5)
            feedback = Feedback(signal=Signal.OK, latency_s=takes_s, usage=usage, quotas=quotas)
        self.world.at(
            self.world.now + takes_s, lambda: self.settle(alias, need, ticket, mark, feedback)
        )

    def settle(
        self, alias: str, need: Need, ticket: object, mark: Mark, feedback: Feedback
    ) -> None:
        self.free += 1
        self.keyring.settle(alias, ticket, feedback, now=self.world.now)
        self.found += [e.keys for e in self.sharing.settled(alias, mark, feedback)]
        if self.found:
            self.found_s = min(self.found_s, self.world.now)
        self.pump()


def requests(*, burst_s: float = 10.0, per_minute: float = 600.0) -> Budget:
    return Budget(Bucket.REQUESTS, per_minute, burst_s=burst_s)


def tokens(*, burst_s: float = 60.0) -> Budget:
    return Budget(Bucket.INPUT, 300_000.0, burst_s=burst_s)


SEEDS = pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])


def found_within_s(seed: int, one: Budget, **more: float) -> float:
    """Seconds until two keys of one budget are reported."""
    world = World()
    client = Client(world, {"a": one, "b": one}, seed=seed, **more)  # type: ignore[arg-type]  # as named
    world.run(120)
    assert client.found in ([], [("a", "b")])
    return client.found_s


@SEEDS
@pytest.mark.parametrize("per_minute", [600.0, 3000.0])
@pytest.mark.parametrize("burst_s", [1.0, 10.0, 60.0])
def test_two_keys_of_one_budget_are_found(seed: int, burst_s: float, per_minute: float) -> None:
    assert found_within_s(seed, requests(burst_s=burst_s, per_minute=per_minute)) < 75


def heedless(seed: int, budgets: Mapping[str, Budget], *, per_s: float) -> tuple[float, float]:
    """Keys that send at random, whatever they hear; returns when a report came, share of 429s."""
    world, draw, sharing = World(), random.Random(seed), Sharing({key: key for key in budgets})
    found_s, sent, refused = math.inf, 0, 0

    def send(key: str) -> None:
        nonlocal sent, refused
        sent += 1
        mark = sharing.sent(key, 40, now=world.now)
        is_refused = budgets[key].take(1.0, world.now) > 0.0
        refused += is_refused
        feedback = Feedback(
            signal=Signal.RATE if is_refused else Signal.OK, quotas=[budgets[key].reading()]
        )
        takes_s = draw.uniform(0.3, 0.5) if is_refused else draw.lognormvariate(0.0, 0.3)
        world.at(world.now + takes_s, lambda: settle(key, mark, feedback))
        world.at(world.now + draw.expovariate(per_s), lambda: send(key))

    def settle(key: str, mark: Mark, feedback: Feedback) -> None:
        nonlocal found_s
        if sharing.settled(key, mark, feedback):
            found_s = world.now

    for key in budgets:
        send(key)
    world.run(120)
    return found_s, refused / sent


TWENTY = pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 21))]
)


@TWENTY
def test_they_are_found_where_many_are_refused(seed: int) -> None:
    """What a refused request did not take is not taken from what is sent when that is heard."""
    one = requests()
    found_s, refused = heedless(seed, {"a": one, "b": one}, per_s=6.5)

    assert 0.08 < refused < 0.25
    assert found_s < 60


@TWENTY
def test_equal_keys_of_which_many_are_refused_raise_no_alarm(seed: int) -> None:
    found_s, refused = heedless(seed, {"a": requests(), "b": requests()}, per_s=13.0)

    assert 0.08 < refused < 0.25
    assert found_s == math.inf


@pytest.mark.slow
@pytest.mark.parametrize("burst_s", [1.0, 10.0, 60.0])
def test_they_are_found_in_half_a_minute_mostly(burst_s: float) -> None:
    found_s = [found_within_s(seed, requests(burst_s=burst_s)) for seed in range(1, 21)]

    assert statistics.median(found_s) < 35
    assert sum(at < 90 for at in found_s) >= 18


@pytest.mark.slow
@pytest.mark.parametrize("burst_s", [1.0, 10.0, 60.0])
def test_keys_with_equal_quotas_of_their_own_raise_no_alarm_beside_another_client(
    burst_s: float,
) -> None:
    """The other one, of the same kind, starts up to two seconds later."""
    for seed in range(1, 21):
        world = World()
        budgets = {"a": requests(burst_s=burst_s), "b": requests(burst_s=burst_s)}
        client = Client(world, budgets, seed=seed)
        other = Client(world, budgets, seed=seed + 50, start=seed / 10)
        world.run(120)

        assert client.found == other.found == []


@SEEDS
def test_a_shared_budget_of_tokens_is_found(seed: int) -> None:
    world, one = World(), tokens()
    client = Client(world, {"a": one, "b": one}, seed=seed, tokens=800)
    world.run(240)

    assert client.found == [("a", "b")]


@pytest.mark.slow
def test_without_headers_refusals_that_name_the_limit_tell() -> None:
    world, one = World(), requests(burst_s=1.0)
    client = Client(world, {"a": one, "b": one}, seed=1, headers=False)
    world.run(900)

    assert client.found == [("a", "b")]


@SEEDS
def test_of_three_keys_the_two_that_share_are_named(seed: int) -> None:
    world, one = World(), requests()
    client = Client(world, {"a": one, "b": requests(), "c": one}, seed=seed, workers=96)
    world.run(180)

    assert client.found == [("a", "c")]


@SEEDS
def test_three_keys_of_one_budget_are_found(seed: int) -> None:
    world, one = World(), requests(burst_s=60.0)
    client = Client(world, dict.fromkeys("abc", one), seed=seed, workers=96)
    world.run(240)

    assert set(client.found) == {("a", "b"), ("a", "c"), ("b", "c")}


INDEPENDENT: Mapping[str, tuple[Callable[[], Budget], dict[str, int]]] = {
    "minute bursts": (lambda: requests(burst_s=60.0), {}),
    "short bursts": (lambda: requests(burst_s=1.0), {}),
    "bursts of ten seconds": (requests, {}),
    "held back by workers": (requests, {"workers": 14}),
    "tokens": (tokens, {"tokens": 800}),
    "tokens, short bursts": (lambda: tokens(burst_s=5.0), {"tokens": 800}),
}


@SEEDS
@pytest.mark.parametrize("kind", INDEPENDENT)
def test_keys_with_equal_limits_of_their_own_raise_no_alarm(kind: str, seed: int) -> None:
    make, more = INDEPENDENT[kind]
    world = World()
    client = Client(world, {"a": make(), "b": make()}, seed=seed, **more)  # type: ignore[arg-type]  # whole numbers only
    world.run(240)

    assert client.found == []


@SEEDS
@pytest.mark.parametrize("burst_s", [10.0, 60.0])
@pytest.mark.parametrize("behind_s", [0.0, 7.0])
def test_another_client_of_both_keys_is_not_taken_for_our_own(
    seed: int, burst_s: float, behind_s: float
) -> None:
    world = World()
    budgets = {"a": requests(burst_s=burst_s), "b": requests(burst_s=burst_s)}
    clients: Sequence[Client] = [
        Client(world, budgets, seed=seed),
        Client(world, budgets, seed=seed + 50, start=behind_s),
    ]
    world.run(180)

    assert [client.found for client in clients] == [[], []]


@pytest.mark.slow
@SEEDS
def test_without_headers_keys_of_their_own_raise_no_alarm(seed: int) -> None:
    world = World()
    budgets = {"a": requests(burst_s=1.0), "b": requests(burst_s=1.0)}
    client = Client(world, budgets, seed=seed, headers=False)
    other = Client(world, budgets, seed=seed + 50, headers=False)
    world.run(900)

    assert client.found == other.found == []


def test_two_keys_of_one_account_are_told_of_at_their_first_answers_and_once() -> None:
    sharing = Sharing({"one": "a", "two": "b", "three": "c"})
    told: list[SharedQuotaSuspected] = []
    for _ in range(3):
        for scope, account in (("one", "o/w"), ("two", "o/x"), ("three", "o/w")):
            mark = sharing.sent(scope, 100, now=0.0)
            told += sharing.settled(scope, mark, Feedback(signal=Signal.OK, account=account))

    assert [each.keys for each in told] == [("a", "c")]
    assert "no extra capacity" in told[0].reason

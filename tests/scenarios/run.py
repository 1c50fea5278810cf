"""Runs a scenario and measures it against an oracle."""

import math
import random
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from batcher.records import Bucket
from tests.scenarios.client import Client, Oracle, Path, Sender
from tests.scenarios.server import Server, Shape, World
from tests.scenarios.workload import Row, rows

FOLDER = FilePath(__file__).parent
LONGEST = 3.0  # times what the oracle takes, before a run is given up
SETTLED_S = 10.0  # after a start or a step, this long is allowed for learning
_STEAL_S = 0.25
_T95_S = 20

QUOTAS: dict[str, dict[str, float]] = {
    "tier1": {"rpm": 50, "itpm": 30_000, "otpm": 8_000},
    "tier2": {"rpm": 1000, "itpm": 450_000, "otpm": 90_000},
    "tier4": {"rpm": 4000, "itpm": 2_000_000, "otpm": 400_000},
    "odd": {"rpm": 300, "itpm": 60_000, "otpm": 60_000},
}


class Expected(NamedTuple):
    """Ranges a scenario must stay in, in percent."""

    share: float  # at least, of what the oracle completes
    refused: float  # at most, of attempts
    in_flight: float = math.inf  # at most, over the second half
    part: float = 40.0  # a twin has at least this much of what both get
    overloaded: float = 0.0  # at most, of attempts refused for load


WITH_HEADERS = Expected(98.0, 1.0)
REFUSALS_ONLY = Expected(97.0, 2.0)
NO_LIMIT = Expected(95.0, 0.0)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One server, one job, and what is expected.

    Attributes:
        name: Short, unique.
        why: What it shows, in a sentence.
        job: Name in workload.JOBS.
        count: Rows of the job.
        shape: The server.
        goal: What every server of its kind should give.
        expected: The range it stays in: the goal, or what `why` says is short of it.
        known: The client's settings state the limits.
        keys: One scope per entry, with that factor of the limits.
        steal: (from, to): a competitor takes half of every limit.
        most: The operator's ceiling of requests in flight.
        latency: Median seconds and sigma of an answer's time, instead of the job's own.
        reject_s: Seconds a server takes to refuse.
        seconds: Fixed length; then shares are measured per phase, ten seconds after each
            start or step.
        twins: Another client of the same kind starts this many seconds later.
        quick: Part of the fast tests.
        neighbours: The twins know of each other, as two runs on one machine do.
    """

    name: str
    why: str
    job: str
    count: int
    shape: Shape
    goal: Expected
    expected: Expected
    known: bool = False
    keys: tuple[float, ...] = (1.0,)
    steal: tuple[tuple[float, float], ...] = ()
    most: int = 2000
    latency: tuple[float, float] | None = None
    reject_s: float = 0.04
    seconds: float | None = None
    twins: float | None = None
    quick: bool = False
    neighbours: bool = False


class Result(NamedTuple):
    """How a scenario went.

    Attributes:
        share: Percent of what the oracle completes; of a run in phases, the worst phase.
        refused: Percent of attempts refused with 429; of a run in phases, the worst phase.
        t95: Seconds to the first 20 s window with 95 % of the oracle's mean rate.
        part: Least percent of the quota a twin had 30 s after the second one's start.
        in_flight: Mean number in flight over the second half of the run.
        overall: Percent of all attempts refused, the start included.
        overloaded: Percent of all attempts refused for load, with 529.
    """

    share: float
    refused: float
    t95: float | None
    part: float | None
    in_flight: float
    overall: float
    overloaded: float = 0.0


def load() -> dict[str, Scenario]:
    """Every scenario of the folder's TOML files, by name."""
    found: dict[str, Scenario] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        for name, table in tomllib.loads(path.read_text()).items():
            found[name] = _scenario(name, table)
    return found


def _tuples(value: object) -> object:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _scenario(name: str, table: Mapping[str, Any]) -> Scenario:
    fields: dict[str, Any] = {key: _tuples(value) for key, value in table.items()}
    server: dict[str, Any] = {k: _tuples(v) for k, v in fields.pop("server").items()}
    quota = server.pop("quota", None)
    shape = Shape(**{**(QUOTAS[quota] if quota else {}), **server})
    goal = WITH_HEADERS if shape.info == "full" else REFUSALS_ONLY
    goal = goal if shape.slots is None else NO_LIMIT
    expected = goal._replace(**fields.pop("expected", {}))
    return Scenario(name=name, shape=shape, goal=goal, expected=expected, **fields)


@dataclass(slots=True)
class Stage:
    """One server farm with a job, ready for a sender."""

    world: World
    servers: list[Server]
    work: list[Row]
    path: Path
    stated: list[dict[Bucket, float]] | None = field(default=None)


def stage(scenario: Scenario, seed: int, *, job_seed: int | None = None) -> Stage:
    """Build the world of a scenario."""
    world, rng = World(), random.Random(seed + 77)
    servers = [Server(world, rng, scenario.shape, scale) for scale in scenario.keys]
    # The same competitor for the oracle and for us: its lumps must not hang on what we send.
    lumps = random.Random(seed + 78)
    for start, end in scenario.steal:
        world.at(start, _competitor(world, lumps, servers, end))
    work = rows(scenario.job, scenario.count, job_seed or seed, scenario.latency)
    stated = None
    if scenario.known:
        stated = [{b.kind: b.base * 60 for b in s.buckets if b.visible} for s in servers]
    path = Path(rng, reject_s=scenario.reject_s)
    return Stage(world, servers, work, path, stated)


def _competitor(
    world: World, rng: random.Random, servers: list[Server], end: float
) -> Callable[[], None]:
    def tick() -> None:
        pause = rng.expovariate(1 / _STEAL_S)
        for server in servers:
            server.steal(_STEAL_S * rng.expovariate(1.0), 0.5)
        if world.now + pause < end:
            world.after(pause, tick)

    return tick


def client(scenario: Scenario, seed: int, built: Stage) -> Client:
    """The production controller on a stage."""
    return Client(
        built.world,
        built.path,
        built.servers,
        built.work,
        most=scenario.most,
        seed=seed,
        stated=built.stated,
    )


def stays(results: Sequence[Result], within: Expected) -> bool:
    """Whether all of these are in a range."""
    return all(
        one.share >= within.share
        and one.refused <= within.refused
        and one.in_flight <= within.in_flight
        and (one.part is None or one.part >= within.part)
        and one.overloaded <= within.overloaded
        for one in results
    )


def run(scenario: Scenario, seed: int) -> Result:
    """Run a scenario with the oracle and with the production controller, and compare."""
    if scenario.twins is not None:
        return _twins(scenario, seed)
    built = stage(scenario, seed)
    oracle = Oracle(built.world, built.path, built.servers, built.work, most=scenario.most)
    _go(built, oracle, scenario.seconds or math.inf)
    built = stage(scenario, seed)
    ours = client(scenario, seed, built)
    _go(built, ours, scenario.seconds or LONGEST * oracle.finished[-1][0])
    share, refused = _compare(scenario, oracle, ours)
    each = 100.0 / max(1, len(ours.sent))
    overall, overloaded = each * len(ours.refused), each * ours.overloaded
    return Result(share, refused, _t95(oracle, ours), None, _in_flight(ours), overall, overloaded)


def _go(built: Stage, sender: Sender, until: float) -> None:
    built.world.at(0.0, sender.start)
    built.world.run(until)


def _compare(scenario: Scenario, oracle: Sender, ours: Client) -> tuple[float, float]:
    if scenario.seconds is None:
        if scenario.shape.slots is not None:
            best, took = oracle.finished[-1][0], ours.finished[-1][0]
        else:
            best = oracle.admitted[-1]
            is_whole = len(ours.finished) == scenario.count
            took = ours.admitted[-1] if is_whole else LONGEST * oracle.finished[-1][0]
        return 100.0 * best / took, 100.0 * len(ours.refused) / len(ours.sent)
    share, refused = 1000.0, 0.0
    what = scenario.shape.counts
    edges = [0.0, *(when for when, _ in scenario.shape.steps), scenario.seconds]
    for edge, end in pairwise(edges):
        start = edge + SETTLED_S
        best, got = oracle.taken(start, end, what), ours.taken(start, end, what)
        if not best:
            continue  # all was refused: there was nothing to have a share of
        share = min(share, 100.0 * got / best)
        tries = ours.between(ours.sent, start, end)
        refused = max(refused, 100.0 * ours.between(ours.refused, start, end) / max(1, tries))
    return share, refused


def _t95(oracle: Sender, ours: Client) -> float | None:
    mean = len(oracle.admitted) / oracle.admitted[-1] * 0.9
    wanted = 0.95 * _T95_S * mean
    last = int(ours.admitted[-1]) if ours.admitted else 0
    for t in range(last):
        if ours.between(ours.admitted, t, t + _T95_S) >= wanted:
            return float(t)
    return None


def _in_flight(ours: Client) -> float:
    late = ours.finished[len(ours.finished) // 2 :]
    return sum(n for _, n in late) / max(1, len(late))


def _tell(world: World, pair: list[Client]) -> None:
    """Every second, each twin hears at what rate the other one sends."""
    limiters = [one.limiters[0] for one in pair]
    paces = [limiter.pace(now=world.now) for limiter in limiters]
    for limiter, other in zip(limiters, reversed(paces), strict=True):
        limiter.share([] if other is None else [other], now=world.now)
    world.after(1.0, _tell, world, pair)


def _twins(scenario: Scenario, seed: int) -> Result:
    """Two clients on one quota; the second starts later."""
    assert scenario.twins is not None
    assert scenario.seconds is not None
    assert scenario.shape.rpm is not None
    built = stage(scenario, seed)
    pair = []
    for index in range(2):
        built.work = rows(scenario.job, scenario.count, seed + index, scenario.latency)
        one = client(scenario, seed + index, built)
        one.stops = False
        built.world.at(index * scenario.twins, one.start)
        pair.append(one)
    if scenario.neighbours:
        built.world.at(0.0, _tell, built.world, pair)
    built.world.run(scenario.seconds)
    start, end = scenario.twins + 30.0, scenario.seconds
    got = [one.between(one.admitted, start, end) for one in pair]
    quota = scenario.shape.rpm / 60 * (end - start)
    refused = sum(one.between(one.refused, start, end) for one in pair)
    tries = sum(one.between(one.sent, start, end) for one in pair)
    overall = 100 * sum(len(c.refused) for c in pair) / sum(len(c.sent) for c in pair)
    part = 100.0 * min(got) / sum(got)
    return Result(100.0 * sum(got) / quota, 100.0 * refused / tries, None, part, 0.0, overall)

"""`python -m tests.scenarios [PREFIX] [--seeds 1,2,3] [--jobs N]`: the table of all scenarios."""

import argparse
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from os import cpu_count

from tests.scenarios.run import Result, Scenario, load, run


def _one(task: tuple[Scenario, int]) -> Result:
    return run(*task)


def _number(value: float | None, form: str) -> str:
    return format("-" if value is None else format(value, form), ">7")


def _line(scenario: Scenario, seeds: list[int], results: list[Result]) -> tuple[str, bool]:
    share = min(r.share for r in results)
    refused = max(r.refused for r in results)
    mean_share = sum(r.share for r in results) / len(results)
    parts = [r.part for r in results if r.part is not None]
    t95s = [r.t95 for r in results if r.t95 is not None]
    good = share >= scenario.expected.share and refused <= scenario.expected.refused
    good = good and all(part >= scenario.expected.part for part in parts)
    good = good and all(r.in_flight <= scenario.expected.in_flight for r in results)
    cells = [
        _number(share, ".1f"),
        _number(mean_share, ".1f"),
        _number(refused, ".2f"),
        _number(max(r.overall for r in results), ".2f"),
        _number(max(t95s, default=None), ".0f"),
        _number(min(parts, default=None), ".1f"),
        _number(sum(r.in_flight for r in results) / len(seeds), ".1f"),
    ]
    goal = f"{scenario.expected.share:g}/{scenario.expected.refused:g}"
    mark = "ok" if good else "MISSED"
    return f"{scenario.name:34s}{''.join(cells)}  {goal:>8}  {mark}", good


def main(arguments: Iterable[str]) -> int:
    """Run, print, and return how many scenarios left their range."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios")
    parser.add_argument("prefix", nargs="?", default="")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--jobs", type=int, default=cpu_count() or 1)
    asked = parser.parse_args(list(arguments))
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    chosen = [s for name, s in load().items() if name.startswith(asked.prefix)]
    tasks = [(scenario, seed) for scenario in chosen for seed in seeds]
    print(f"{'scenario':34s}  share%   mean%    429%    all%  t95 s   least%  flight      goal")
    missed = 0
    with ProcessPoolExecutor(asked.jobs) as pool:
        results = pool.map(_one, tasks)
        for scenario in chosen:
            line, good = _line(scenario, seeds, [next(results) for _ in seeds])
            missed += not good
            print(line, flush=True)
    print(f"{len(chosen)} scenarios, {missed} outside their range")
    return missed


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))

"""`python -m tests.scenarios [PREFIX] [--seeds 1,2,3] [--jobs N]`: the table of all scenarios.

Each is `ok` at its goal, `short` of it but in the range its file states and explains, or `MISSED`.
"""

import argparse
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from os import cpu_count

from tests.scenarios.run import Result, Scenario, load, run, stays


def _one(task: tuple[Scenario, int]) -> Result:
    return run(*task)


def _number(value: float | None, form: str) -> str:
    return format("-" if value is None else format(value, form), ">7")


def _line(scenario: Scenario, results: list[Result]) -> tuple[str, str]:
    """A line of the table, and its mark."""
    shares = [result.share for result in results]
    parts = [result.part for result in results if result.part is not None]
    t95s = [result.t95 for result in results if result.t95 is not None]
    cells = [
        _number(min(shares), ".1f"),
        _number(sum(shares) / len(shares), ".1f"),
        _number(max(result.refused for result in results), ".2f"),
        _number(max(result.overall for result in results), ".2f"),
        _number(max(result.overloaded for result in results), ".2f"),
        _number(max(t95s, default=None), ".0f"),
        _number(min(parts, default=None), ".1f"),
        _number(sum(result.in_flight for result in results) / len(results), ".1f"),
    ]
    goal = f"{scenario.goal.share:g}/{scenario.goal.refused:g}"
    expected = scenario.expected
    limits = scenario.goal._replace(in_flight=expected.in_flight, overloaded=expected.overloaded)
    mark = "MISSED"
    if stays(results, expected):
        mark = "ok" if stays(results, limits) else "short"
    return f"{scenario.name:34s}{''.join(cells)}  {goal:>8}  {mark}", mark


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
    columns = ("share%", "mean%", "429%", "all%", "529%", "t95 s", "least%", "flight")
    print(f"{'scenario':34s}" + "".join(f"{name:>7s}" for name in columns) + "      goal")
    marks: list[str] = []
    with ProcessPoolExecutor(asked.jobs) as pool:
        results = pool.map(_one, tasks)
        for scenario in chosen:
            line, mark = _line(scenario, [next(results) for _ in seeds])
            marks.append(mark)
            print(line, flush=True)
    short, missed = marks.count("short"), marks.count("MISSED")
    print(
        f"{len(chosen)} scenarios: {marks.count('ok')} at their goal, {short} short of it as "
        f"their files say, {missed} outside the range stated there"
    )
    return missed


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))

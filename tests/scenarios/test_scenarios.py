"""Every scenario stays in its range: a few quick ones always, all of them in the slow suite.

Each has one of the seeds 1 to 3 here, for time's sake; `python -m tests.scenarios --seeds 1,2,3`
runs all of them with all.
"""

import pytest

from tests.scenarios.run import Scenario, load, run, stays

ALL = load()
SEEDS = {name: 1 + place % 3 for place, name in enumerate(ALL)}


def check(scenario: Scenario, seed: int) -> None:
    result = run(scenario, seed)

    assert stays([result], scenario.expected), f"{scenario.name}, seed {seed}: {result}"


@pytest.mark.parametrize("name", [name for name, scenario in ALL.items() if scenario.quick])
def test_a_quick_scenario_stays_in_its_range(name: str) -> None:
    check(ALL[name], 1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seed"), SEEDS.items())
def test_every_scenario_stays_in_its_range(name: str, seed: int) -> None:
    check(ALL[name], seed)


def test_every_scenario_says_why_it_is_there() -> None:
    assert [name for name, scenario in ALL.items() if not scenario.why.endswith(".")] == []


def test_the_same_seed_gives_the_same_result() -> None:
    scenario = ALL["d3-headers-50rpm"]

    assert run(scenario, 5) == run(scenario, 5)

"""The Python doors: the same engine and the same files as the command line."""

from pathlib import Path

import pytest

import batcher
from tests.e2e.conftest import each_row_once

ROWS = [{"id": f"r{number}", "prompt": f"Question {number}"} for number in range(20)]


def a_job(out: Path, **request: object) -> batcher.Job:
    return batcher.Job.model_validate(
        {
            "input": {"path": "-"},
            "output": {"path": str(out)},
            "request": {"provider": "simulated", "model": "m", "max_tokens": 100, **request},
            "simulator": {"latency_ms": 5},
        }
    )


def test_rows_of_a_program_are_run_and_resumed(tmp_path: Path) -> None:
    job = a_job(tmp_path / "out")

    first = batcher.run(job, ROWS[:12])
    again = batcher.run(job, ROWS)

    assert (first.exit_code, first.answered) == (0, 12)
    assert (again.exit_code, again.answered, again.requests) == (0, 8, 8)
    each_row_once(tmp_path / "out", 20)


@pytest.mark.real_time
async def test_outcomes_are_yielded_as_they_are_recorded(tmp_path: Path) -> None:
    seen = [outcome async for outcome in batcher.stream(a_job(tmp_path / "out"), ROWS)]

    assert {outcome.id for outcome in seen} == {row["id"] for row in ROWS}
    assert all(outcome.reply is not None and outcome.reply.text for outcome in seen)
    each_row_once(tmp_path / "out", 20)


@pytest.mark.real_time
async def test_leaving_the_loop_early_leaves_the_rest_to_the_next_run(tmp_path: Path) -> None:
    job = a_job(tmp_path / "out")
    outcomes = batcher.stream(job, ROWS)
    async for _ in outcomes:
        break
    await outcomes.aclose()  # type: ignore[attr-defined]

    ended = await batcher.arun(job, ROWS)

    assert ended.exit_code == 0
    each_row_once(tmp_path / "out", 20)


def test_changed_settings_are_refused_unless_a_way_on_is_named(tmp_path: Path) -> None:
    batcher.run(a_job(tmp_path / "out"), ROWS[:5])
    warmer = a_job(tmp_path / "out", max_tokens=200)

    with pytest.raises(batcher.ConfigError, match="max_tokens"):
        batcher.run(warmer, ROWS)
    accepted = batcher.run(warmer, ROWS, way=batcher.Way.ACCEPT)
    afresh = batcher.run(warmer, ROWS[:3], fresh=True)

    assert (accepted.answered, afresh.answered) == (15, 3)
    assert Path(afresh.output) != tmp_path / "out"
    each_row_once(tmp_path / "out", 20)

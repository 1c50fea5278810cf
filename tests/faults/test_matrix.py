"""Every fault kind, once, always and mixed, on every wire format, streaming and not.

The whole engine against the simulator on a real socket, on the virtual clock: a hang costs its
deadline and no real time.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from batcher.job import Job
from batcher.job import Simulator as Settings
from batcher.launch import launch
from batcher.simulator.server import Simulator

WIRES = ["anthropic", "anthropic-complete", "openai"]
# fault -> kind of the record it leaves when it never stops
TRANSIENT = {
    "500": "server_error",
    "502": "server_error",
    "503": "overloaded",
    "504": "server_error",
    "529": "overloaded",
    "reset": "connection",
    "html": "bad_response",
    "html_502": "server_error",
    "hang": "timeout",
}
DAMAGED = {
    "reset_body": "connection",
    "cut_body": "connection",
    "cut_json": "bad_response",
    "invalid_utf8": "bad_response",
    "empty_body": "bad_response",
    "error_200": None,
    "wrong_shape": "bad_response",
    "slow_loris": "timeout",
}
LASTING = {
    "400": "bad_request",
    "413": "too_large",
    "truncated": "truncated",
    "refused": "refused",
    "empty_text": "empty",
}
ROWS = 40


def a_job(tmp_path: Path, wire: str, base_url: str, *, stream: bool, rows: int = ROWS) -> Job:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_bytes(
        b"".join(
            orjson.dumps({"id": f"r{n}", "prompt": f"Question {n}?"}) + b"\n"
            for n in range(1, rows + 1)
        )
    )
    return Job.model_validate(
        {
            "input": str(prompts),
            "output": str(tmp_path / "out"),
            "request": {
                "provider": wire,
                "model": "model-a",
                "base_url": base_url,
                "max_tokens": 200,
                "stream": stream,
            },
            "limits": {"concurrency": 8},
            "patience": {"max_attempts": 3, "timeout_s": 20, "backoff_max_s": 0.5},
        }
    )


def records(tmp_path: Path, name: str) -> list[dict[str, Any]]:
    path = tmp_path / "out" / name
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def check_one_record_a_row(tmp_path: Path, rows: int = ROWS) -> None:
    lines = Counter(
        record["line"]
        for name in ("results.jsonl", "failures.jsonl")
        for record in records(tmp_path, name)
    )
    assert lines == Counter(range(1, rows + 1))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("wire", WIRES)
async def test_faults_met_once_cost_no_row(tmp_path: Path, wire: str, stream: bool) -> None:
    kinds = [*TRANSIENT, *DAMAGED]
    settings = Settings(faults=dict.fromkeys(kinds, 0.05), faults_once=True, latency_ms=50)
    async with Simulator(settings) as simulator:
        summary = await launch(a_job(tmp_path, wire, simulator.base_url, stream=stream))

    assert summary.exit_code == 0, summary
    check_one_record_a_row(tmp_path)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("wire", WIRES)
async def test_a_mix_of_lasting_faults_costs_just_the_rows_that_have_them(
    tmp_path: Path, wire: str, stream: bool
) -> None:
    kinds = [*TRANSIENT, *DAMAGED, *LASTING]
    settings = Settings(faults=dict.fromkeys(kinds, 0.01), latency_ms=50, seed=3)
    async with Simulator(settings) as simulator:
        summary = await launch(a_job(tmp_path, wire, simulator.base_url, stream=stream, rows=300))
        faults = simulator.stats.by_fault

    assert summary.exit_code == 1, summary
    check_one_record_a_row(tmp_path, 300)
    failures = records(tmp_path, "failures.jsonl")
    assert len(faults) >= 15
    assert 20 <= len(failures) <= 120
    assert all(len(record["attempts"]) <= 10 for record in failures)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("kind", [*TRANSIENT, *DAMAGED, *LASTING])
async def test_one_row_with_a_lasting_fault_is_one_record_of_the_right_kind(
    tmp_path: Path, wire: str, stream: bool, kind: str
) -> None:
    settings = Settings(faults={kind: 0.2}, latency_ms=50, seed=5)
    async with Simulator(settings) as simulator:
        summary = await launch(a_job(tmp_path, wire, simulator.base_url, stream=stream))

    assert summary.exit_code == 1, summary
    check_one_record_a_row(tmp_path)
    failures = records(tmp_path, "failures.jsonl")
    assert 0 < len(failures) < ROWS
    expected = {**TRANSIENT, **DAMAGED, **LASTING}[kind]
    if expected is not None:
        cut_short = {"connection"} if stream else set()  # a stream without its end, so to speak
        assert {record["error"]["kind"] for record in failures} <= {expected, *cut_short}


@pytest.mark.parametrize("kind", ["stream_error", "stream_cut", "reset_body", "cut_body"])
@pytest.mark.parametrize("wire", WIRES)
async def test_a_stream_that_breaks_off_is_tried_again(
    tmp_path: Path, wire: str, kind: str
) -> None:
    settings = Settings(faults={kind: 0.5}, faults_once=True, latency_ms=50)
    async with Simulator(settings) as simulator:
        summary = await launch(a_job(tmp_path, wire, simulator.base_url, stream=True))

    assert summary.exit_code == 0, summary
    assert simulator.stats.by_fault[kind] > 5


@pytest.mark.parametrize("wire", WIRES)
async def test_a_streamed_record_is_the_same_as_a_whole_one(tmp_path: Path, wire: str) -> None:
    found = []
    for stream in (False, True):
        folder = tmp_path / str(stream)
        folder.mkdir()
        async with Simulator(Settings(latency_ms=20)) as simulator:
            await launch(a_job(folder, wire, simulator.base_url, stream=stream, rows=10))
        rows = sorted(records(folder, "results.jsonl"), key=lambda record: record["line"])
        found.append([(r["id"], r["text"], r["stop_reason"], r["usage"], r["model"]) for r in rows])

    assert found[0] == found[1]

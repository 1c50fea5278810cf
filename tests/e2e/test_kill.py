"""SIGKILL at any moment, then the same command: nothing lost, nothing twice, nothing paid twice."""

import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.conftest import (
    command,
    each_row_once,
    environment,
    records,
    run_batcher,
    write_prompts,
)

IN_FLIGHT = 32


def killed_run(prompts: Path, out: Path, base_url: str, after_s: float) -> None:
    process = subprocess.Popen(
        command(prompts, out, base_url, "--concurrency", str(IN_FLIGHT)),
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.wait()


def check_bill(simulator, out: Path, kills: int) -> None:
    delivered = Counter(simulator.stats(delivered=True)["delivered"])
    again = sum(count - 1 for count in delivered.values())
    assert again <= kills * IN_FLIGHT


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_killed_run_goes_on_where_it_stopped(simulate, tmp_path: Path, seed: int) -> None:
    simulator = simulate(latency_ms=30)
    prompts = write_prompts(tmp_path / "prompts.jsonl", 300)
    out = tmp_path / "out"
    rng = random.Random(seed)
    kills = 3
    for _ in range(kills):
        killed_run(prompts, out, simulator.base_url, rng.uniform(0.5, 1.6))

    ended = run_batcher(prompts, out, simulator.base_url)

    assert ended.returncode == 0, ended.stderr
    each_row_once(out, 300)
    check_bill(simulator, out, kills)
    before = simulator.stats()["requests"]
    assert run_batcher(prompts, out, simulator.base_url).returncode == 0
    assert simulator.stats()["requests"] == before


@pytest.mark.parametrize("damage", ["cut", "half a record", "nul", "garbage"])
def test_a_damaged_end_costs_at_most_the_damaged_record(
    simulate, tmp_path: Path, damage: str
) -> None:
    simulator = simulate()
    prompts = write_prompts(tmp_path / "prompts.jsonl", 30)
    out = tmp_path / "out"
    run_batcher(prompts, out, simulator.base_url)
    results = out / "results.jsonl"
    whole = results.read_bytes()
    tails = {
        "cut": whole[:-20],
        "half a record": whole + whole[:40],
        "nul": whole + b"\x00\x00",
        "garbage": whole + b"}{,\xff",
    }
    results.write_bytes(tails[damage])

    ended = run_batcher(prompts, out, simulator.base_url)

    assert ended.returncode == 0, ended.stderr
    each_row_once(out, 30)
    assert simulator.stats()["answers"] == 30 + (damage == "cut")


def test_a_signal_drains_and_the_next_run_finishes(simulate, tmp_path: Path) -> None:
    simulator = simulate(latency_ms=100)
    prompts = write_prompts(tmp_path / "prompts.jsonl", 400)
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(prompts, out, simulator.base_url, "--concurrency", str(IN_FLIGHT)),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    while not records(out):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 143, said
    assert "Interrupted" in said
    delivered = simulator.stats()["answers"]
    assert len(records(out)) == delivered
    assert run_batcher(prompts, out, simulator.base_url).returncode == 0
    each_row_once(out, 400)
    assert simulator.stats()["answers"] == 400


def test_a_second_run_in_the_same_directory_is_refused(simulate, tmp_path: Path) -> None:
    simulator = simulate(latency_ms=8000, latency_sigma=0)
    prompts = write_prompts(tmp_path / "prompts.jsonl", 3)
    out = tmp_path / "out"
    first = subprocess.Popen(
        command(prompts, out, simulator.base_url), env=environment(), stderr=subprocess.DEVNULL
    )
    try:
        while not (out / "log.jsonl").exists():
            time.sleep(0.05)
        second = run_batcher(prompts, out, simulator.base_url)
    finally:
        first.kill()
        first.wait()

    assert second.returncode == 75, second.stderr
    third = run_batcher(prompts, out, simulator.base_url)
    assert third.returncode == 0, third.stderr


def test_a_closed_terminal_does_not_end_a_run_and_a_moved_log_is_begun_anew(
    simulate, tmp_path: Path
) -> None:
    simulator = simulate(latency_ms=200)
    prompts = write_prompts(tmp_path / "prompts.jsonl", 100)
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(prompts, out, simulator.base_url, "--concurrency", "8"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not records(out):
        time.sleep(0.05)
    for pipe in (process.stdout, process.stderr):  # nobody reads what it says any more
        assert pipe is not None
        pipe.close()
    (out / "log.jsonl").rename(out / "log.1.jsonl")
    process.send_signal(signal.SIGHUP)
    process.wait(120)

    assert process.returncode == 0
    each_row_once(out, 100)
    assert b"run.finished" in (out / "log.jsonl").read_bytes()

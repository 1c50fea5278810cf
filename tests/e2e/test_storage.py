"""A disk that fills up, a directory that cannot be written: said plainly, and nothing lost."""

import os
import subprocess
from collections.abc import Iterator
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


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_ends_the_run_with_4_and_the_next_run_goes_on(
    simulate, tmp_path: Path, tiny_disk: Path
) -> None:
    simulator = simulate(latency_ms=5)
    prompts = write_prompts(tmp_path / "prompts.jsonl", 2000)
    out = tiny_disk / "out"

    full = run_batcher(prompts, out, simulator.base_url)

    assert full.returncode == 4, full.stderr
    assert "the disk is full" in full.stderr
    assert "rows were answered but could not be stored" in full.stderr
    stored = len(records(out))
    assert 0 < stored < 2000
    subprocess.run(["mount", "-o", "remount,size=20m", str(tiny_disk)], check=True)
    rest = run_batcher(prompts, out, simulator.base_url)
    assert rest.returncode == 0, rest.stderr
    each_row_once(out, 2000)
    assert simulator.stats()["answers"] <= 2000 + 64


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file system root can make read-only")
def test_a_directory_that_cannot_be_written_is_named(simulate, tmp_path: Path) -> None:
    simulator = simulate()
    prompts = write_prompts(tmp_path / "prompts.jsonl", 3)
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")

    ended = run_batcher(prompts, blocked / "out", simulator.base_url)

    assert ended.returncode == 4, ended.stderr
    assert str(blocked) in ended.stderr.replace("\n", "")
    assert simulator.stats()["requests"] == 0


@pytest.mark.slow
def test_a_file_that_may_not_grow_ends_the_run_with_4_whoever_runs_it(
    simulate, tmp_path: Path
) -> None:
    """What a full disk does, for those who may not mount a small one."""
    simulator = simulate(latency_ms=20)
    prompts = write_prompts(tmp_path / "prompts.jsonl", 200)
    out = tmp_path / "out"
    typed = command(prompts, out, simulator.base_url, "-c", "32")

    full = subprocess.run(
        ["bash", "-c", 'ulimit -f 64; exec "$@"', "bash", *typed],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert full.returncode == 4, full.stderr
    assert "ulimit -f" in full.stderr
    assert 0 < len((out / "results.jsonl").read_bytes().splitlines()) < 200
    rest = run_batcher(prompts, out, simulator.base_url)
    assert rest.returncode == 0, rest.stderr
    each_row_once(out, 200)
    assert simulator.stats()["answers"] <= 200 + 32

"""What is shown is shown as it is, and at the end of a run whatever the end was."""

import asyncio
import io
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from batcher.events import ALL_KEYS, Paused
from batcher.watch.progress import Glance, ProgressView
from batcher.watch.screen import Screen
from batcher.watch.tally import Tally

NO_FILE_CAN_BE_OPENED_AT_THE_END = """
import asyncio
import resource
import sys

from batcher import Job
from batcher.events import RunFinished
from batcher.launch import launch


def starve(event):
    if isinstance(event, RunFinished):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, most))


job = Job(
    input=sys.argv[1],
    output=sys.argv[2],
    request={"provider": "simulated", "model": "m"},
    simulator={"latency_ms": 0},
)
summary = asyncio.run(launch(job, show=True, listener=starve))
sys.exit(summary.exit_code)
"""


def test_a_run_out_of_file_descriptors_ends_with_its_table(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_bytes(b'{"prompt": "Hello"}\n')

    ended = subprocess.run(
        [sys.executable, "-c", NO_FILE_CAN_BE_OPENED_AT_THE_END, prompts, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 4, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Answers are in" in ended.stderr
    assert len((tmp_path / "out" / "results.jsonl").read_bytes().splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("flags", [[], ["--quiet"]])
def test_a_run_outlives_a_full_disk_under_its_screen(tmp_path: Path, flags: list[str]) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_bytes(b'{"prompt": "Hello"}\n')
    command = ["run", str(prompts), "-o", str(tmp_path / "out"), "-p", "simulated", "-m", "m"]

    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "batcher", *command, *flags],
            stdout=full,
            stderr=full,
            check=False,
        )

    assert ended.returncode == 0
    assert len((tmp_path / "out" / "results.jsonl").read_bytes().splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_what_cannot_be_printed_ends_a_command_with_the_code_of_a_full_disk() -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "batcher", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert ended.returncode == 4
    assert "could not be written" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_looks_like_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A directory may be called anything, and closing tags of nothing must not end a run."""
    Screen(show=True).print("Going on in runs/[/x] [red] :smile:")

    assert "runs/[/x] [red] :smile:" in capsys.readouterr().err


async def test_a_pause_whose_reason_looks_like_markup_does_not_end_a_run() -> None:
    tally = Tally()
    tally(Paused(scope=ALL_KEYS, reason="closed [/x] until 22:00", wait_s=50.0))
    terminal = Console(file=io.StringIO(), force_terminal=True, width=200)
    glance = Glance(in_flight=0, requests=0, total=None, settled_before=0)
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            await ProgressView(tally, look=lambda: glance, console=terminal).show()

    assert "closed [/x] until 22:00" in terminal.file.getvalue()  # type: ignore[attr-defined]  # a StringIO

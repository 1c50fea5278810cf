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
from batcher.records import Summary, Usage
from batcher.watch.progress import Glance, Progress
from batcher.watch.screen import Screen
from batcher.watch.tally import Tally
from batcher.watch.terminal import Terminal

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


@pytest.mark.parametrize("screen", [Screen, Terminal])
def test_what_looks_like_markup_is_shown_as_it_is(
    screen: type[Screen], capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory may be called anything, and closing tags of nothing must not end a run."""
    screen().say("Going on in runs/[/x] [red] :smile:")

    assert "runs/[/x] [red] :smile:" in capsys.readouterr().err


def test_a_line_in_a_log_is_as_long_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().say("Answers are in " + "deep/" * 60)

    assert capsys.readouterr().err == "Answers are in " + "deep/" * 60 + "\n"


async def test_a_pause_whose_reason_looks_like_markup_does_not_end_a_run() -> None:
    tally = Tally()
    tally(Paused(scope=ALL_KEYS, reason="closed [/x] until 22:00", wait_s=50.0))
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    glance = Glance(in_flight=0, requests=0, total=None, settled_before=0)
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            await Terminal(console).show(Progress(tally), lambda: glance)

    assert "closed [/x] until 22:00" in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


SUMMARY = Summary(
    output="runs/x",
    counts={"ok": 1200, "failed": 3},
    usage=Usage(input_tokens=5_000_000, output_tokens=7),
    requests=1210,
    answered=1203,
    waiting=5,
    seconds=61.0,
    exit_code=130,
    reason="stopped by a signal",
)


@pytest.mark.parametrize("screen", [Screen, Terminal])
def test_the_end_says_what_became_of_the_rows(
    screen: type[Screen], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    tally = Tally()

    screen().finish(SUMMARY, tally)

    said = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]
    assert [line for line in said if line] == [
        "answered 1,200",
        "failed 3",
        "waiting 5 the same command goes on with them",
        "in all 1,208",
        "time 1 min 01 s 19.7 rows/s",
        "requests 1,210 7 more than rows",
        "tokens in 5,000,000",
        "tokens out 7",
        "Answers are in runs/x/results.jsonl, the other rows with their reasons in "
        "runs/x/failures.jsonl.",
        "Interrupted: stopped by a signal",
    ]


LOOK_FOR_RICH = """
import sys
from batcher.cli.start import main

try:
    main()
finally:
    print("rich.console" in sys.modules)
"""


def test_rich_is_loaded_only_for_a_terminal(tmp_path: Path) -> None:
    """It is a tenth of the memory of a run that nobody looks at."""
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_bytes(b'{"prompt": "Hello"}\n')
    command = ["run", str(prompts), "-o", str(tmp_path / "out"), "-p", "simulated", "-m", "m"]

    ended = subprocess.run(
        [sys.executable, "-c", LOOK_FOR_RICH, *command], capture_output=True, check=True
    )

    assert b"Answers are in" in ended.stderr
    assert ended.stdout.split() == [b"False"]

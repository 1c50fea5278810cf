"""Signals in the first moments and the last ones, and standard streams that are closed."""

import gzip
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batcher.errors import Exit

RUN = ("run", "rows.jsonl", "-p", "simulated", "-o", "out", "--set", "simulator.latency_ms=0")

SIGNALLED = """
import os, signal, sys
from importlib.abc import MetaPathFinder
from batcher.cli.start import main

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup

class Signaller(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "batcher.job":
            os.kill(os.getpid(), int(sys.argv.pop()))

sys.meta_path.insert(0, Signaller())
main()
"""

HUNG_UP_WHILE_PACKING = """
import os, signal
from batcher import output
from batcher.cli.start import main

def pack(*what, own=output.pack):
    os.kill(os.getpid(), signal.SIGHUP)
    own(*what)

output.pack = pack
main()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    return tmp_path


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


def signalled(number: signal.Signals, *words: str) -> tuple[int, str]:
    """How a command ends that gets a signal in the middle of being loaded."""
    done = python("-c", SIGNALLED, *words, str(int(number)))
    return done.returncode, done.stderr


def test_an_interrupt_while_it_is_loaded_is_130_and_quiet() -> None:
    assert signalled(signal.SIGINT, "run", "nowhere.jsonl") == (Exit.INTERRUPTED, "")


def test_a_terminal_that_is_closed_while_it_is_loaded_ends_no_run() -> None:
    said = "batcher: nowhere.jsonl does not exist\n"

    assert signalled(signal.SIGHUP, "run", "nowhere.jsonl") == (Exit.USAGE, said)


def test_what_serves_a_terminal_ends_with_it() -> None:
    assert signalled(signal.SIGHUP, "simulate", "--rpm", "-1") == (-signal.SIGHUP, "")


@pytest.mark.socket
def test_a_terminal_that_is_closed_while_results_are_packed_ends_no_run(here: Path) -> None:
    done = python("-c", HUNG_UP_WHILE_PACKING, *RUN, "--set", "output.compress=gz")

    assert done.returncode == 0, done.stderr
    packed = gzip.decompress((here / "out/results.jsonl.gz").read_bytes())
    assert packed == (here / "out/results.jsonl").read_bytes()


@pytest.mark.socket
@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_run_needs_no_standard_streams(here: Path, closed: str) -> None:
    words = shlex.join([sys.executable, "-m", "batcher", *RUN])
    run = subprocess.run(f"exec {words} {closed}", shell=True, check=False)
    words = shlex.join([sys.executable, "-m", "batcher", "verify", "out"])
    verify = subprocess.run(f"exec {words} {closed}", shell=True, check=False)

    assert (run.returncode, verify.returncode) == (0, 0)
    assert (here / "out/results.jsonl").read_bytes().count(b"\n") == 2


def test_what_nobody_can_be_told_is_still_an_exit_code(here: Path) -> None:
    words = shlex.join([sys.executable, "-m", "batcher", "verify", "nowhere"])
    done = subprocess.run(f"exec {words} 1>&- 2>&-", shell=True, check=False)

    assert done.returncode == Exit.USAGE

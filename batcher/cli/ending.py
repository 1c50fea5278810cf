"""How a command that ran a job ends: its exit code, and its reason where nothing else shows it."""

import os
import sys
from contextlib import suppress
from typing import NoReturn

import typer

from batcher.records import Summary


def end(summary: Summary, *, quiet: bool) -> NoReturn:
    """Leave with the run's exit code; a quiet run still says why it ended early."""
    if quiet and summary.reason is not None:
        say(f"batcher: {summary.reason}")
    raise typer.Exit(int(summary.exit_code))


def say(text: str) -> None:
    """A line on standard error; where nobody can be told, the exit code still tells."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def let_go() -> None:
    """Write what is left; what cannot be written must not change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # Nobody reads it, or the disk is full: the interpreter's own last flush must not fail.
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

"""How a command that ran a job ends: its exit code, and its reason where nothing else shows it."""

from typing import NoReturn

import typer

from batcher.records import Summary


def end(summary: Summary, *, quiet: bool) -> NoReturn:
    """Leave with the run's exit code; a quiet run still says why it ended early."""
    if quiet and summary.reason is not None:
        typer.echo(f"batcher: {summary.reason}", err=True)
    raise typer.Exit(int(summary.exit_code))

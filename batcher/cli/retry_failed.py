"""`batcher retry-failed`: the failed rows of a run once more, and no others."""

from pathlib import Path
from typing import Annotated

import typer

from batcher.cli.ending import end
from batcher.cli.flags import Given, with_settings
from batcher.cli.run import Quiet
from batcher.cli.verify import check_directory
from batcher.records import FailureKind

EXAMPLES = (
    ("batcher retry-failed runs/nightly", "after an outage, or with more credit"),
    (
        "batcher retry-failed runs/nightly --only truncated --set request.max_tokens=2000",
        "only answers that were cut short, with more room",
    ),
)


@with_settings(
    "request.max_tokens",
    "keys",
    "limits.concurrency",
    "patience.max_attempts",
    "patience.timeout_s",
)
def retry_failed(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A run's output directory.", show_default=False),
    ],
    *,
    settings: Given,
    only: Annotated[
        list[FailureKind] | None,
        typer.Option(
            "--only",
            metavar="KIND",
            help="Only rows that failed for this reason (error.kind in failures.jsonl), e.g. "
            "truncated, timeout, server_error. Repeatable.",
            show_default=False,
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Ask the failed rows of a run again, with the settings the run had.

    Settings, template and input are those that run.json names; flags and [bold]--set[/bold]
    change them for these rows only. The old records move to [bold]failures.1.jsonl[/bold] (2,
    3 ...), answers stay as they are. Rows that could not be asked at all are taken when their
    input line has been mended, or with [bold]--only invalid_row[/bold].

    Stopped or killed, the same command goes on with the same rows. Exit codes are those of
    [bold]batcher run[/bold].
    """
    check_directory(directory)
    from batcher.launch import execute
    from batcher.retry import plan

    job, retry = plan(
        directory, only=only or [], overrides=settings.overrides, flags=settings.flags
    )
    summary = execute(job, retry=retry, show=not quiet)
    end(summary, quiet=quiet)

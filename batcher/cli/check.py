"""`batcher check`: what is wrong with jobs, found without sending anything."""

from pathlib import Path
from typing import Annotated

import typer

from batcher.cli.flags import Given, with_settings
from batcher.cli.target import job_from_flags
from batcher.errors import BatcherError, Exit

EXAMPLES = (
    ("batcher check jobs/*.toml", "every job of a folder"),
    ("batcher check jobs/nightly.toml --set request.max_tokens=2000", "as it would run with that"),
)


@with_settings("input.limit")
def check(
    jobs: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB.toml...", help="Job files, or files of rows.", show_default=False
        ),
    ],
    *,
    settings: Given,
) -> None:
    """Load jobs and render their first row; name every mistake with its field and fix.

    Nothing is sent. Exit code 2 when a job has a mistake, 0 when all are fine.
    """
    wrong = 0
    for target in jobs:
        problems, note = _verdict(target, settings)
        if problems:
            wrong += 1
            typer.echo(f"{target}: {_count(len(problems), 'mistake')}", err=True)
            for problem in problems:
                typer.echo(f"  {problem}", err=True)
        else:
            typer.echo(f"{target}: {note}")
    if wrong:
        raise typer.Exit(int(Exit.USAGE))


def _verdict(target: str, settings: Given) -> tuple[list[str], str]:
    """A job's mistakes, or a sentence that says it is fine."""
    try:
        job = job_from_flags(target, settings)
    except BatcherError as error:
        return [line.removeprefix(f"{Path(target)}: ") for line in str(error).splitlines()], ""
    from batcher.trial import check_job, first_row

    problems = check_job(job)
    return list(problems), "" if problems else "fine" + first_row(job)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

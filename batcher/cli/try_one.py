"""`batcher try`: one row, sent and shown whole: how a prompt is tuned before a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batcher.cli.flags import Given, with_settings
from batcher.cli.target import is_job, job_from_flags
from batcher.errors import ConfigError, Exit
from batcher.job import Job
from batcher.load import from_flags
from batcher.policy.help import hint
from batcher.records import Outcome, Status

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = (
    ('batcher try "Name three rivers." -m claude-haiku-5-5', "a prompt"),
    ("batcher try jobs/nightly.toml", "the first row of a job"),
    ("batcher try jobs/nightly.toml --line 17 --max-tokens 50", "another row, another setting"),
)
_ROWS = (".jsonl", ".ndjson", ".gz", ".zst")


@with_settings(
    "request.provider",
    "request.model",
    "request.base_url",
    "request.system",
    "request.template",
    "request.max_tokens",
    "request.temperature",
    "request.top_p",
    "request.stop",
    "request.preset",
    "request.api_version",
    "request.auth",
    "patience.timeout_s",
    "keys",
)
def try_one(
    what: Annotated[
        str,
        typer.Argument(
            metavar='JOB.toml | ROWS.jsonl | "a prompt"',
            help="A job or file of rows, of which one row is taken; or the prompt itself.",
            show_default=False,
        ),
    ],
    *,
    settings: Given,
    line: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Which line of the input (the first row).", show_default=False
        ),
    ] = None,
) -> None:
    """Send one row, and show the request, the answer, the tokens and the time.

    Nothing is recorded. Exit code 0 when it was answered, 1 when not.
    """
    job, prompt = job_and_prompt(what, settings, line=line)
    from rich.console import Console

    from batcher.trial import try_one as send_one

    report = send_one(job, prompt, line)
    console = Console(highlight=False)
    _section(console, "request", report.request.decode("utf-8", "replace"))
    answered = _show_answer(console, report.outcome)
    _show_numbers(console, report.outcome, report.latency_s)
    if not answered:
        raise typer.Exit(int(Exit.ROWS_FAILED))


def job_and_prompt(what: str, settings: Given, *, line: int | None) -> tuple[Job, str | None]:
    """The job, and the prompt when it was given itself and is not a row of the job's input.

    Raises:
        ConfigError: A file is missing, settings are wrong, or a prompt is given a line.
    """
    if is_job(what) or _names_rows(what):
        return job_from_flags(what, settings), None
    if line is not None:
        raise ConfigError("--line goes with a job or a file of rows, not with a prompt")
    if not what.strip():
        raise ConfigError("the prompt is empty")
    return from_flags(settings.overrides, flags=settings.flags), what


def _names_rows(what: str) -> bool:
    # A prompt can look like anything, so only an existing file, or one word with a telling end.
    if len(what) > 1000 or "\n" in what:
        return False
    return (" " not in what and what.endswith(_ROWS)) or Path(what).is_file()


def _show_answer(console: "Console", outcome: Outcome) -> bool:
    """Print the answer or why there is none; returns whether it is a result."""
    failure = outcome.failure
    reply = outcome.reply or (failure.reply if failure else None)
    if reply is not None:
        _section(console, "answer", reply.text)
    if failure is not None:
        _section(console, f"{outcome.status}: {failure.kind}", failure.message)
        if fix := hint(failure):
            console.print(f"fix: {fix}", markup=False, style="bold", soft_wrap=True)
    return outcome.status is Status.OK


def _show_numbers(console: "Console", outcome: Outcome, latency_s: float) -> None:
    failure = outcome.failure
    reply = outcome.reply or (failure.reply if failure else None)
    said = []
    if reply is not None:
        usage = reply.usage
        cached = usage.cache_read_tokens + usage.cache_write_tokens
        said += [
            f"{usage.input_tokens:,} tokens in",
            *([f"{cached:,} cached"] if cached else []),
            f"{usage.output_tokens:,} out",
            f"stopped by {reply.stop_reason}",
            reply.model,
        ]
    said.append(f"{latency_s:.2f} s")
    console.rule(style="dim")
    console.print(" · ".join(said), markup=False, style="dim")


def _section(console: "Console", title: str, text: str) -> None:
    console.rule(f"[bold]{title}", align="left", style="dim")
    # A model can be made to say anything, so no escape sequence reaches the terminal.
    console.print(text.replace("\x1b", "\N{SYMBOL FOR ESCAPE}"), markup=False, soft_wrap=True)

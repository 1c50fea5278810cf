"""`batcher run`: every row of a job answered, or its reason recorded."""

from typing import TYPE_CHECKING, Annotated

import typer

from batcher.cli.ending import end
from batcher.cli.flags import Given, with_settings
from batcher.cli.quick import load_structlog_alone
from batcher.cli.target import job_from_flags, refuse_a_terminal
from batcher.errors import ConfigError

if TYPE_CHECKING:
    from batcher.resume import Way

EXAMPLES = (
    ("batcher run jobs/quickstart.toml", "a job; the same command again goes on with it"),
    ("batcher run prompts.jsonl -o runs/first -m claude-haiku-5-5", "rows and flags, no job file"),
    ("batcher run job.toml --limit 20 --out runs/trial", "a job, with some settings changed"),
    ("gunzip -c rows.gz | batcher run - -o runs/piped -m claude-haiku-5-5", "rows from a pipe"),
    (
        "batcher run rows.jsonl -p openai --base-url http://127.0.0.1:8080 -m any",
        "any server that speaks OpenAI's chat completions",
    ),
)

Target = Annotated[
    str,
    typer.Argument(
        metavar="JOB.toml | ROWS.jsonl | -",
        help="A job file; or rows, one JSON object a line (also .gz, .zst); or - for rows from "
        "standard input. Flags win over a job file.",
        show_default=False,
    ),
]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Start over in a new directory beside the old one, which stays as it is.",
        rich_help_panel="More",
    ),
]
Reuse = Annotated[
    bool,
    typer.Option(
        "--reuse",
        help="When settings or the input have changed: keep every record whose request still "
        "occurs, wherever its row stands now; ask the others.",
        rich_help_panel="More",
    ),
]
Accept = Annotated[
    bool,
    typer.Option(
        "--accept-changes",
        help="When settings have changed: leave what is recorded as it is, and ask what remains "
        "with what is said now.",
        rich_help_panel="More",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Show no progress and no summary; errors are still said.",
        rich_help_panel="More",
    ),
]


@with_settings()
def run(
    target: Target,
    *,
    settings: Given,
    fresh: Fresh = False,
    reuse: Reuse = False,
    accept_changes: Accept = False,
    quiet: Quiet = False,
) -> None:
    """Answer every row of a job, and go on where an earlier run stopped.

    A row is an object with [bold]prompt[/bold], or [bold]messages[/bold] and
    [bold]system[/bold], or a line of Anthropic's or OpenAI's batch format; with a
    [bold]template[/bold], any object. Its fields [bold]model[/bold],
    [bold]max_tokens[/bold] and the like win over the job's.

    Answers go to [bold]results.jsonl[/bold], everything else with its reason to
    [bold]failures.jsonl[/bold]; each row has exactly one record. Ctrl-C lets requests in
    flight finish, a second one cancels them; the same command goes on afterwards. When
    settings or rows have changed meanwhile it shows how and does nothing until you choose
    [bold]--reuse[/bold], [bold]--accept-changes[/bold] or [bold]--fresh[/bold].

    Exit codes:

      0  every row is answered
      1  finished, some rows are in failures.jsonl
      2  wrong usage, settings or input
      3  stopped because no row could succeed
      4  records could not be written (disk full, read-only)
     75  another run is at work in the same directory
    130  interrupted (143: terminated); the same command goes on
    """
    job = job_from_flags(target, settings)
    refuse_a_terminal(job)
    way = chosen_way(reuse=reuse, accept_changes=accept_changes, fresh=fresh)
    load_structlog_alone()
    from batcher.launch import execute

    summary = execute(job, fresh=fresh, way=way, show=not quiet)
    end(summary, quiet=quiet)


def chosen_way(*, reuse: bool, accept_changes: bool, fresh: bool) -> "Way":
    """What the flags say about records that belong to other settings or rows.

    Raises:
        ConfigError: More than one is given.
    """
    from batcher.resume import Way

    flags = {"--reuse": reuse, "--accept-changes": accept_changes, "--fresh": fresh}
    given = [flag for flag, is_given in flags.items() if is_given]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} contradict each other; choose one")
    return Way.REUSE if reuse else Way.ACCEPT if accept_changes else Way.REFUSE

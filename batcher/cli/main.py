"""The command `batcher`: its verbs, and the last word on everything that goes wrong.

What an operator must fix is one sentence on standard error and an exit code. A bug is one
sentence too; its traceback goes to a file, or to the screen with --traceback.
"""

import errno
import inspect
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from batcher.cli import check, rehearse, retry_failed, run, simulate, try_one, verify
from batcher.cli.ending import let_go, say
from batcher.cli.streams import open_streams
from batcher.errors import BatcherError, Exit, StorageError
from batcher.secret import Redactor
from batcher.version import __version__

BUG_EXIT_CODE = 70  # sysexits EX_SOFTWARE: unlike 1 it can never mean "some rows failed"
_TRACEBACK = "--traceback"
_NO_MORE_FILES = (errno.EMFILE, errno.ENFILE)  # may strike at any open, also a library's
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # also of what this command prints

app = typer.Typer(
    name="batcher",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _epilog(examples: Sequence[tuple[str, str]]) -> str:
    """Examples for the end of a help page."""
    lines = ["[bold]Examples[/bold]"]
    for command, why in examples:
        lines += [f"  [dim]# {why}[/dim]", "  [cyan]" + command.replace("[", r"\[") + "[/cyan]"]
    return "\n".join(lines)


def _help(command: Callable[..., None]) -> str:
    """The docstring as a help page: paragraphs are filled anew, indented ones are kept."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(p if p.startswith(" ") else p.replace("\n", " ") for p in paragraphs)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"batcher {__version__}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            callback=_print_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
    show_traceback: Annotated[
        bool, typer.Option(_TRACEBACK, help="Show where a bug happened; goes with every command.")
    ] = False,
) -> None:
    """Send many prompts to a language model: fast, within its limits, and losing nothing.

    Rows come from a file of JSON lines; each ends as exactly one record, an answer or the
    reason why there is none. A run can be stopped or killed at any moment and goes on where
    it was with the same command. How fast the provider may be asked is found by itself.

    Keys come from [bold]ANTHROPIC_API_KEY[/bold] or [bold]OPENAI_API_KEY[/bold], or from
    where the job says. Every setting is explained in [bold]jobs/reference.toml[/bold].
    """


_ROOT_EXAMPLES = (
    ("batcher run jobs/quickstart.toml", "real answers of a small local model, no key needed"),
    ('batcher try "Name three rivers." -m claude-haiku-5-5', "one prompt, shown whole"),
    ("batcher check jobs/*.toml", "every mistake, before anything is spent"),
)
app.callback(help=_help(_root), epilog=_epilog(_ROOT_EXAMPLES))(_root)
for _name, _command, _examples in (
    ("run", run.run, run.EXAMPLES),
    ("try", try_one.try_one, try_one.EXAMPLES),
    ("check", check.check, check.EXAMPLES),
    ("rehearse", rehearse.rehearse, rehearse.EXAMPLES),
    ("simulate", simulate.simulate, simulate.EXAMPLES),
    ("verify", verify.verify, verify.EXAMPLES),
    ("retry-failed", retry_failed.retry_failed, retry_failed.EXAMPLES),
):
    app.command(
        _name,
        help=_help(_command),
        epilog=_epilog(_examples),
        no_args_is_help=_command is not simulate.simulate,
    )(_command)


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code.

    Args:
        words: What follows the command's name; None: what the process was started with.
    """
    if words is None:
        open_streams()
    given = list(sys.argv[1:] if words is None else words)
    shows_traceback = _TRACEBACK in given
    code = _run([word for word in given if word != _TRACEBACK], shows_traceback=shows_traceback)
    let_go()
    sys.exit(code)


def _run(words: Sequence[str], *, shows_traceback: bool) -> int:
    try:
        app(args=list(words), prog_name="batcher")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(Exit.OK if not end.code else 1)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:
        return int(Exit.OK)
    except BatcherError as error:
        return _say(error)
    except Exception as error:  # noqa: BLE001 - the last boundary: no bare traceback reaches a user
        known = _known(error)
        return _say(known) if known else _confess(error, shows_traceback=shows_traceback)
    return int(Exit.OK)


def _known(error: BaseException) -> BatcherError | None:
    """The operator's fault inside a group of errors, when there is one."""
    if isinstance(error, BatcherError):
        return error
    if isinstance(error, OSError) and error.errno in _NO_MORE_FILES:
        return StorageError(
            "too many files are open to go on; raise `ulimit -n`, lower limits.concurrency or "
            "close other programs, then run the same command again: it goes on where it stopped."
        )
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return StorageError(
            f"something could not be written ({error.strerror}); free some space, then run the "
            "same command again: it goes on where it stopped."
        )
    inside = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return next((found for each in inside if (found := _known(each))), None)


def _say(error: BatcherError) -> int:
    say(f"batcher: {Redactor().clean_text(str(error))}")
    return int(error.exit_code)


def _confess(error: Exception, *, shows_traceback: bool) -> int:
    """Say that this is our fault, and keep the traceback where it can be sent from."""
    text = Redactor().clean_text("".join(traceback.format_exception(error)))
    what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    where = f"here is where it happened:\n{text}" if shows_traceback else _kept(text)
    message = f"batcher: This is a bug in batcher {__version__} ({what}); {where}"
    say(Redactor().clean_text(message).rstrip())
    return BUG_EXIT_CODE


def _kept(text: str) -> str:
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="batcher-bug-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
    except OSError:
        return f"run it again with {_TRACEBACK} and report what it shows"
    return f"please report it with {file.name}"

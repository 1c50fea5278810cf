"""What the first word of a command names: a job file, rows, or standard input."""

import difflib
import sys
from pathlib import Path

import orjson

from batcher.cli.flags import Given
from batcher.errors import ConfigError
from batcher.job import Job
from batcher.load import from_flags, load

_NOT_ROWS = {
    ".csv": "write each row as one JSON object a line, e.g. with pandas: "
    'to_json("x.jsonl", orient="records", lines=True)',
    ".json": 'write one JSON object a line and call it .jsonl, e.g. with jq -c ".[]"',
    ".yaml": "jobs are TOML files; jobs/reference.toml shows one",
    ".zip": "unpack it, or pack it as .gz or .zst",
    ".md": "a template goes with --template FILE",
}
_ALSO = {
    ".tsv": ".csv",
    ".parquet": ".csv",
    ".xlsx": ".csv",
    ".yml": ".yaml",
    ".bz2": ".zip",
    ".xz": ".zip",
    ".j2": ".md",
    ".jinja": ".md",
}

_LONGEST_LOOK = 10_000_000


def is_job(target: str) -> bool:
    """Whether it names a job file; everything else names rows."""
    return target.endswith(".toml")


def job_from_flags(target: str, settings: Given) -> Job:
    """The job a command line describes; flags win over the job file.

    Args:
        target: A job file, a file of rows, an address of one, or `-`.
        settings: What the flags say.

    Raises:
        ConfigError: The file is missing or of another kind, or settings are wrong.
    """
    if is_job(target):
        return load(Path(target), overrides=settings.overrides, flags=settings.flags)
    if target != "-" and "://" not in target:
        check_rows(Path(target))
    return from_flags({**settings.overrides, "input.path": target}, flags=settings.flags)


def check_rows(path: Path) -> None:
    """Refuse what is certainly no file of rows, with what to do about it.

    Raises:
        ConfigError: It is missing, a directory, or of another kind.
    """
    suffix = path.suffix.lower()
    fix = _NOT_ROWS.get(_ALSO.get(suffix, suffix))
    if fix and not (suffix == ".json" and _begins_with_a_row(path)):
        raise ConfigError(f"{path} is neither a job (.toml) nor JSON lines (.jsonl): {fix}")
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.suffix in (".toml", ".jsonl"))[:5]
        found = f": it has {', '.join(inside)}" if inside else ""
        raise ConfigError(f"{path} is a directory; name a job or a file of rows{found}")
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, siblings, n=1)
        meant = f"; did you mean {path.with_name(close[0])}?" if close else ""
        raise ConfigError(f"{path} does not exist{meant}")


def _begins_with_a_row(path: Path) -> bool:
    """Whether the first line is an object: many call their JSON lines .json."""
    if not path.is_file():
        return True  # what is wrong with it is said below
    with path.open("rb") as file:
        try:
            return isinstance(orjson.loads(file.readline(_LONGEST_LOOK)), dict)
        except orjson.JSONDecodeError:
            return False


def refuse_a_terminal(job: Job) -> None:
    """Say what is awaited when rows would come from somebody's keyboard.

    Raises:
        ConfigError: Standard input is the input, and a terminal.
    """
    if job.input.path == "-" and sys.stdin is not None and sys.stdin.isatty():
        raise ConfigError(
            "rows would come from standard input, which is the terminal: "
            "pipe them in, or name a file"
        )

"""`batcher verify`: proof that every input row has exactly one record, or which have not."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batcher.errors import ConfigError, Exit
from batcher.policy.render import row_name
from batcher.records import Row

if TYPE_CHECKING:
    from batcher.storage.verify import Mended, Report

EXAMPLES = (
    ("batcher verify runs/nightly", "proof, or what is wrong"),
    ("batcher verify runs/nightly --repair", "make it true; nothing is thrown away"),
)


def verify(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A run's output directory.", show_default=False),
    ],
    *,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Move torn and odd lines, second records and those of no row to "
            "quarantine.jsonl, and records into the file they belong to. Rows left without a "
            "record are asked by the next run.",
        ),
    ] = False,
    input_path: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="ROWS.jsonl",
            help="The input, when it has moved.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Prove that every input row has exactly one record, and say which has not.

    Reads the input, results.jsonl, failures.jsonl and run.json whole and compares them:
    every row one record, the right id, the right file, every line whole, the counts right.
    Exit code 0 when all of it holds, 1 when something does not.
    """
    check_directory(directory)
    from batcher.storage import manifest
    from batcher.storage.expected import strays
    from batcher.storage.swap import finish_if_idle
    from batcher.storage.verify import repair as mend
    from batcher.storage.verify import verify as prove

    finish_if_idle(directory)
    found = manifest.read(directory)
    id_field = found.settings.get("input", {}).get("id_field") if found else None

    def name(row: Row) -> str:
        return row_name(row, id_field)

    if repair:
        stray = strays(directory, row_id=name, input_path=input_path)
        typer.echo(f"{directory}: {_mended(mend(directory, stray=stray))}")
    report = prove(directory, row_id=name, input_path=input_path)
    if report.ok:
        typer.echo(f"{directory}: {_counted(report)}: every row has exactly one.")
        return
    typer.echo(f"{directory}: {_counted(report)}, but:", err=True)
    for sentence in report.sentences():
        typer.echo(f"  {sentence}", err=True)
    raise typer.Exit(int(Exit.ROWS_FAILED))


def check_directory(path: Path) -> None:
    """Refuse what is no output directory of a run.

    Raises:
        ConfigError: It is missing, a file, or a directory of something else.
    """
    if not path.exists():
        raise ConfigError(f"{path} does not exist")
    if not path.is_dir():
        raise ConfigError(f"{path} is a file; name the output directory of a run")
    if not any((path / name).exists() for name in ("run.json", "results.jsonl", "failures.jsonl")):
        raise ConfigError(
            f"{path} is no output directory of batcher: it has neither run.json nor results.jsonl"
        )


def _counted(report: "Report") -> str:
    kinds = ", ".join(f"{count:,} {status}" for status, count in sorted(report.counts.items()))
    total = sum(report.counts.values())
    return f"{report.rows:,} rows, {total:,} records" + (f" ({kinds})" if kinds else "")


def _mended(mended: "Mended") -> str:
    done = [
        f"{count} {what}"
        for count, what in (
            (len(mended.tails), "torn ends mended"),
            (mended.quarantined, "lines moved to quarantine.jsonl"),
            (mended.moved, "records moved to the right file"),
        )
        if count
    ]
    return ", ".join(done) or "nothing to repair"

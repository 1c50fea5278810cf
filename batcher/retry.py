"""Failed rows asked again: which they are, and how a retry that was killed goes on.

First their records move to failures.N.jsonl, and run.json notes that a retry has begun; then
they run like rows without a record. A second start finds the note and goes on with the same
rows; the note goes when the retry has come to its end.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from batcher import clock
from batcher.errors import ConfigError, InputError
from batcher.job import Job
from batcher.kept import job_again
from batcher.records import FailureKind, Outcome, Status, record
from batcher.resume import Asked, listed, made_rows
from batcher.storage import manifest as manifests
from batcher.storage import swap as swaps
from batcher.storage.again import kind_of, set_aside
from batcher.storage.compare import Recorded
from batcher.storage.identity import Verdict, changed, known_input
from batcher.storage.inspect import Inspected, inspect
from batcher.storage.journal import NAME as JOURNAL
from batcher.storage.ledger import Ledger
from batcher.storage.manifest import Manifest, diff
from batcher.storage.results import FAILURES
from batcher.storage.swap import Swap


@record
class Retry:
    """What a retry was told.

    Attributes:
        only: Kinds of failure to ask again; empty for all but rows that could not be asked.
        before: The job as the directory was filled by it, without this retry's settings.
    """

    only: Sequence[FailureKind]
    before: Job


@record
class Free:
    """Rows set free to be asked again.

    Attributes:
        lines: Those whose records were moved, also where they have a new one already.
        manifest: What run.json says now.
        was: How the directory stood before: whether other rows may wait.
        told: The same for a person.
    """

    lines: Ledger
    manifest: Manifest
    was: str
    told: str


def plan(
    directory: Path,
    *,
    only: Sequence[FailureKind],
    overrides: Mapping[str, object],
    flags: Mapping[str, str],
) -> tuple[Job, Retry]:
    """The job that asks the failed rows of a directory again.

    Args:
        directory: The output directory.
        only: Kinds of failure; empty for all but rows that could not be asked.
        overrides: Dotted setting -> value, for this retry.
        flags: Dotted setting -> the flag it came from, for messages.

    Raises:
        ConfigError: run.json is missing, or settings are wrong.
    """
    swaps.finish_if_idle(directory)
    old = manifests.read(directory)
    if old is None:
        raise ConfigError(
            f"{directory} has no run.json, which says what its rows were asked; start the run's "
            "own command again, it makes a new one"
        )
    job = job_again(directory, old, overrides=overrides, flags=flags)
    before = job_again(directory, old, overrides={"request.headers": dict(job.request.headers)})
    return job, Retry(only=only, before=before)


def set_free(
    directory: Path,
    old: Manifest,
    *,
    only: Sequence[FailureKind],
    asked: Asked,
    before: Asked,
    clean: Callable[[bytes], bytes],
) -> Free:
    """Move the records of the rows to ask again, or find where an earlier start left off.

    Args:
        directory: The output directory, locked, its torn ends repaired.
        old: Its run.json.
        only: Kinds of failure; empty for all but rows that could not be asked.
        asked: The input and how its rows are asked by this retry.
        before: The same as the directory was filled by it.
        clean: Masks secrets in run.json.

    Raises:
        InputError: Rows that are not to be asked again are no longer those of the input.
        StorageError: The directory cannot be written.
    """
    told = {"only": sorted(only), "settings": asked.settings}
    begun = old.retry or {"files": [], "was": old.status}
    goes_on = old.retry is not None and {name: old.retry.get(name) for name in told} == told
    chosen = _nothing if goes_on else _chosen(directory, only, asked)
    verdict: Verdict = "same" if old.input is None else changed(old.input, before.source)
    manifest = old
    if verdict != "same":
        if verdict != "appended":
            _refuse_other_rows(directory, old, before, chosen)
        manifest = old.model_copy(update={"input": known_input(before.source)})
        begun = {**begun, "was": "interrupted"}  # there may be rows that nobody has asked yet
    with Swap(directory) as swap:
        name = set_aside(directory, chosen, swap)
        if name is not None:
            note = told | {"files": [*begun["files"], name], "was": begun["was"]}
            manifest = _noted(manifest, note, asked)
            swap.file(manifests.NAME)(manifests.content(manifest, clean=clean))
            swap.file(JOURNAL)  # what it told is in the manifest now
            swap.commit()
    lines = Ledger()
    for file in manifest.retry["files"] if manifest.retry is not None else ():
        lines.read(directory / file)
    return Free(
        lines=lines, manifest=manifest, was=begun["was"], told=_sentence(lines, name, begun)
    )


def _noted(manifest: Manifest, note: dict[str, Any], asked: Asked) -> Manifest:
    settings = [each.lstrip(".") for each in diff(manifest.request, asked.settings, name="")]
    change = {
        "at": clock.stamp(),
        "way": "retry-failed",
        "only": note["only"],
        "settings": settings,
        "records": note["files"][-1],
    }
    return manifest.model_copy(
        update={
            "status": "running",
            "reason": None,
            "finished_at": None,
            "retry": note,
            "changes": [*manifest.changes, change],
            "mixed": manifest.mixed or bool(settings),
        }
    )


def _sentence(lines: Ledger, name: str | None, begun: Mapping[str, Any]) -> str:
    if name is not None:
        return f"{lines.settled:,} failed rows are asked again; their records are in {name}."
    if begun["files"]:
        return f"Going on with {lines.settled:,} failed rows, set free by an earlier start."
    return "There are no failed rows to ask again."


def _nothing(_: Inspected) -> bool:
    return False


def _chosen(
    directory: Path, only: Sequence[FailureKind], asked: Asked
) -> Callable[[Inspected], bool]:
    kinds = {kind.value for kind in only}
    if kinds:
        return lambda each: kind_of(each) in kinds
    mended = _mended(directory, asked)
    return lambda each: each.status is not Status.INVALID or each.line in mended


def _mended(directory: Path, asked: Asked) -> frozenset[int]:
    """Lines of rows that could not be asked, and are something else now."""
    was = {
        each.line: (orjson.loads(each.raw).get("error") or {}).get("message")
        for each in inspect(directory / FAILURES)
        if each.status is Status.INVALID
    }
    if not was:
        return frozenset()
    return frozenset(
        made.line
        for made in made_rows(asked, only=was)
        if not isinstance(made, Outcome)
        or (made.failure is not None and made.failure.message != was[made.line])
    )


def _refuse_other_rows(
    directory: Path, old: Manifest, before: Asked, chosen: Callable[[Inspected], bool]
) -> None:
    """Go on only where the rows that keep their record are still those of the input."""
    asked_again = {e.line for e in inspect(directory / FAILURES) if not e.why_odd and chosen(e)}
    recorded = Recorded(directory)
    rows = recorded.differences(
        made_rows(before, only=recorded), requests=not old.mixed, apart=asked_again
    )
    if rows.count:
        told = listed(rows, "Recorded rows that are no longer what they were")
        raise InputError(
            f"{before.source} has been edited since {directory} was begun with it{told}\n"
            "Put the old file back, or take the new one up with --reuse of the run's own command"
        )

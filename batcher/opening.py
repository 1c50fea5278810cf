"""Between the lock and the first request: what an output directory holds, and what is made of it.

`take_up` goes on with a run, `set_free` asks failed rows again. Both leave run.json saying so,
and every kill on the way leaves a directory from which the same command goes on.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from batcher import clock, kept
from batcher import retry as retries
from batcher.build import Target, has_own_server, make_intake, target_of
from batcher.errors import ConfigError
from batcher.job import Job
from batcher.ports import Settled
from batcher.records import record
from batcher.resume import Asked, Found, Way, made_rows, settle_differences
from batcher.secret import Redactor
from batcher.storage import manifest as manifests
from batcher.storage.again import OnlyThese
from batcher.storage.identity import known_input
from batcher.storage.journal import NAME as JOURNAL
from batcher.storage.journal import scan as scan_journal
from batcher.storage.ledger import Ledger, scan
from batcher.storage.manifest import Manifest
from batcher.storage.reuse import Reused, reuse
from batcher.storage.spool import SPOOL
from batcher.storage.swap import Swap
from batcher.version import __version__


@record
class TakenUp:
    """A directory ready to be worked in.

    Attributes:
        asked: What is asked of it.
        manifest: What run.json says now.
        ledger: What is settled.
        settled: Which lines this run leaves alone.
        doubts: Attempts of an earlier run that may have been billed without a record.
        was: In a retry, how the directory stood before it; None otherwise.
        notes: What a person should know about all this.
    """

    asked: Asked
    manifest: Manifest
    ledger: Ledger
    settled: Settled
    doubts: Sequence[dict[str, Any]]
    was: str | None = None
    notes: Sequence[str] = ()


def take_up(
    directory: Path, job: Job, target: Target, *, is_streamed: bool, way: Way, redactor: Redactor
) -> TakenUp:
    """Begin a run, or go on with it, in the way that was chosen.

    Args:
        directory: The output directory, locked, its torn ends repaired.
        job: What to do.
        target: Whom it asks.
        is_streamed: Whether its rows come once only.
        way: What to do when the directory was begun with other settings or another input.
        redactor: Masks secrets in what is written.

    Raises:
        ConfigError: It was begun with other settings; names each difference.
        InputError: It was begun with another input.
        StorageError: It cannot be written.
    """
    old, ledger = manifests.read(directory), scan(directory)
    doubts = _doubts(directory, ledger)
    asked = _asked(directory, job, target, is_streamed=is_streamed)
    # Where nothing is recorded there is nothing to mix up: whatever is said now holds.
    found = settle_differences(
        directory, old, ledger, asked, way=way if ledger.settled else Way.ACCEPT
    )
    kept.keep_template(directory, job)
    manifest = _begun(job, old, asked, found, doubts)
    notes = []
    if not ledger.settled:
        pass
    elif way is Way.REUSE:
        manifest = _changed(manifest, found, way, mixed=False)
        complete = old is None or old.complete or not is_streamed
        reused = _reuse(directory, made_rows(asked, complete=complete), manifest, redactor)
        notes.append(_told(reused))
        ledger = scan(directory)
    elif way is Way.ACCEPT and not found.is_same:
        manifest = _changed(manifest, found, way, mixed=True)
        notes.append(
            f"{ledger.settled:,} records stay as they are; what remains is asked with what is "
            "said now."
        )
    elif found.rows is not None:
        notes.append("The input may have changed; every recorded row is still as it was.")
    manifests.write(directory, manifest, clean=redactor.clean)
    return TakenUp(
        asked=asked,
        manifest=manifest,
        ledger=ledger,
        settled=ledger,
        doubts=doubts,
        notes=notes,
    )


def set_free(
    directory: Path, job: Job, target: Target, *, retry: retries.Retry, redactor: Redactor
) -> TakenUp:
    """Begin to ask failed rows again, or go on with it, and with no other row.

    Args:
        directory: The output directory, locked, its torn ends repaired.
        job: The job that asks them, made by retry.plan.
        target: Whom it asks.
        retry: Which rows.
        redactor: Masks secrets in what is written.

    Raises:
        InputError: Rows that keep their record are no longer those of the input.
        StorageError: It cannot be written.
    """
    old, doubts = manifests.read(directory), _doubts(directory, scan(directory))
    if old is None:
        raise ConfigError(f"{directory}/run.json was removed meanwhile; put it back")
    own = target.base_url if has_own_server(job) else None
    asked = _asked(directory, job, target)
    before = replace(
        _asked(directory, retry.before, target_of(retry.before, base_url=own)),
        source=asked.source,
        choice=asked.choice,
    )
    manifest = _again(old, doubts)
    free = retries.set_free(
        directory, manifest, only=retry.only, asked=asked, before=before, clean=redactor.clean
    )
    manifests.write(directory, free.manifest, clean=redactor.clean)
    ledger = scan(directory)
    return TakenUp(
        asked=asked,
        manifest=free.manifest,
        ledger=ledger,
        settled=OnlyThese(free.lines, ledger),
        doubts=doubts,
        was=free.was,
        notes=[free.told],
    )


def _asked(directory: Path, job: Job, target: Target, *, is_streamed: bool = False) -> Asked:
    return Asked(
        settings=kept.deciding_settings(job, target),
        choice=kept.choice_of(job),
        intake=make_intake(job, target),
        source=directory / SPOOL if is_streamed else Path(job.input.path),
        is_streamed=is_streamed,
    )


def _doubts(directory: Path, ledger: Ledger) -> list[dict[str, Any]]:
    return [
        {part.name: getattr(doubt, part.name) for part in fields(doubt)}
        for doubt in scan_journal(directory, ledger)
    ]


def _begun(
    job: Job, old: Manifest | None, asked: Asked, found: Found, doubts: list[dict[str, Any]]
) -> Manifest:
    known = None
    if not asked.is_streamed and asked.source.exists():
        known = known_input(asked.source)
        if old is not None and old.input is not None and found.verdict == "same":
            known["sha256"] = known["sha256"] or old.input["sha256"]
    begun: dict[str, Any] = {
        "batcher": __version__,
        "name": job.name,
        "status": "running",
        "reason": None,
        "updated_at": clock.stamp(),
        "request": asked.settings,
        "settings": kept.settings_without_secrets(job),
        "choice": asked.choice.settings(),
        "input": known,
    }
    if old is None:
        complete = not asked.is_streamed
        return Manifest(**begun, started_at=clock.stamp(), in_doubt=doubts, complete=complete)
    more = {"runs": old.runs + 1, "in_doubt": [*old.in_doubt, *doubts]}
    return old.model_copy(update=begun | more)


def _again(old: Manifest, doubts: list[dict[str, Any]]) -> Manifest:
    """What run.json says when failed rows are asked again: the run's own settings stay in it."""
    update: dict[str, Any] = {
        "batcher": __version__,
        "updated_at": clock.stamp(),
        "runs": old.runs + 1,
        "in_doubt": [*old.in_doubt, *doubts],
    }
    return old.model_copy(update=update)


def _changed(manifest: Manifest, found: Found, way: Way, *, mixed: bool) -> Manifest:
    """The manifest with a note of what was changed on the way."""
    if found.is_same:
        return manifest.model_copy(update={"mixed": mixed})
    note = {
        "at": clock.stamp(),
        "way": way.value,
        "settings": [each.lstrip(".") for each in found.settings],
        "input": found.verdict,
    }
    return manifest.model_copy(update={"mixed": mixed, "changes": [*manifest.changes, note]})


def _reuse(directory: Path, rows: Any, manifest: Manifest, redactor: Redactor) -> Reused:
    with Swap(directory) as swap:
        reused = reuse(directory, rows, swap, clean=redactor.clean)
        swap.file(manifests.NAME)(manifests.content(manifest, clean=redactor.clean))
        swap.file(JOURNAL)  # what it told is in the manifest now
        swap.commit()
    return reused


def _told(reused: Reused) -> str:
    moved = f", {reused.moved:,} of them for another line or id" if reused.moved else ""
    gone = f"; {reused.superseded:,} moved to {reused.file}" if reused.superseded else ""
    return f"{reused.kept:,} records are kept{moved}{gone}."

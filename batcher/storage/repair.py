"""Makes the two record files true again without dropping a byte."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batcher import clock
from batcher.storage import manifest as manifests
from batcher.storage.durable import DirectoryLock, Repair, repair_tail, replacing
from batcher.storage.inspect import inspect
from batcher.storage.ledger import Ledger, scan
from batcher.storage.quarantine import quarantine
from batcher.storage.results import FAILURES, RESULTS


@dataclass(slots=True)
class Mended:
    """What `repair` did.

    Attributes:
        tails: Torn ends that were cut off or completed.
        quarantined: Lines moved to quarantine.jsonl.
        moved: Records moved to the other of the two files.
    """

    tails: list[Repair]
    quarantined: int = 0
    moved: int = 0


def repair(
    directory: Path, *, stray: Callable[[int, str], str | None] = lambda _line, _id: None
) -> Mended:
    """Leave one whole record per input line, each in its file, in the order they had.

    Torn ends, lines that are no records, stray records and second ones go to quarantine.jsonl;
    of two records the first counts, and results.jsonl comes before failures.jsonl. Rows that are
    left without a record are asked again by the next run. Takes the directory's lock.

    Args:
        directory: The output directory.
        stray: Why a record's line and id are of no row of the run; None when they are of one.

    Raises:
        LockedError: A run holds the directory.
        StorageError: It cannot be written; the files are as they were.
    """
    with DirectoryLock(directory):
        tails = [repair_tail(directory / name) for name in (RESULTS, FAILURES)]
        mended = Mended(tails=[tail for tail in tails if tail])
        if _is_untidy(directory, stray):
            with (
                replacing(directory / FAILURES) as failures,
                replacing(directory / RESULTS) as results,
            ):
                _sort(directory, {RESULTS: results, FAILURES: failures}, mended, stray)
        _recount(directory)
    return mended


def _is_untidy(directory: Path, stray: Callable[[int, str], str | None]) -> bool:
    seen = Ledger()
    for name in (RESULTS, FAILURES):
        for each in inspect(directory / name):
            if each.why_odd or each.line in seen or each.home != name:
                return True
            if stray(each.line, each.id):
                return True
            seen.add(each.line)
    return False


def _sort(
    directory: Path,
    files: dict[str, Callable[[bytes], object]],
    mended: Mended,
    stray: Callable[[int, str], str | None],
) -> None:
    seen = Ledger()
    for name in (RESULTS, FAILURES):
        for each in inspect(directory / name):
            why = each.why_odd or stray(each.line, each.id)
            if why is None and each.line in seen:
                why = f"a second record of line {each.line}"
            elif why is None and each.home != name:
                # Kept there as well, for the two files are replaced one after the other.
                quarantine(directory, name, each.offset, each.raw, why=f"moved to {each.home}")
                mended.moved += 1
            if why is not None:
                quarantine(directory, name, each.offset, each.raw, why=why)
                mended.quarantined += 1
                continue
            seen.add(each.line)
            files[each.home](each.raw)


def _recount(directory: Path) -> None:
    """Let run.json say what is there now."""
    manifest = manifests.read(directory)
    if manifest is None:
        return
    counts = dict(scan(directory).counts)
    if counts == manifest.counts:
        return
    update: dict[str, object] = {"counts": counts, "updated_at": clock.stamp()}
    if manifest.status == "finished" and sum(counts.values()) < sum(manifest.counts.values()):
        update |= {
            "status": "interrupted",
            "finished_at": None,
            "reason": "repaired: the same command goes on",
        }
    manifests.write(directory, manifest.model_copy(update=update))

"""Proof that every input row has exactly one record, or the list of those that have not.

Reads everything: each record is parsed whole, each input row is named anew and compared with
its record. Memory is 9 bytes an input line, 8 of them for the hash of its id.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batcher.records import Row
from batcher.storage import manifest as manifests
from batcher.storage.choice import Choice
from batcher.storage.expected import expected_ids, id_hash, input_of, is_known
from batcher.storage.inspect import Inspected, inspect
from batcher.storage.manifest import Manifest
from batcher.storage.repair import Mended, repair
from batcher.storage.results import FAILURES, RESULTS
from batcher.storage.spool import SPOOL

__all__ = ["Findings", "Mended", "Report", "repair", "verify"]

_EXAMPLES = 20


@dataclass(slots=True)
class Findings:
    """Things of one kind: how many, and the first of them for a person."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, example: str) -> None:
        """One more."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(example)


@dataclass(slots=True)
class Report:
    """What `verify` found.

    Attributes:
        rows: Input rows that a run takes.
        counts: Records by status.
        finished: Whether run.json says that every row had its record.
        missing: Input lines without a record: still waiting, or lost when finished.
        added: Input lines that a finished run did not have yet.
        repeated: Second records of a line.
        strangers: Records of lines that the input does not have.
        mismatched: Records whose id is not that of their input line.
        odd: Lines of the files that are no records.
        misplaced: Records in the wrong one of the two files.
        disagreements: Sentences on what run.json, the input and the files say differently.
        is_known: Whether the input is the run's own, so that `repair` may go by it.
    """

    rows: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    finished: bool = False
    missing: Findings = field(default_factory=Findings)
    added: Findings = field(default_factory=Findings)
    repeated: Findings = field(default_factory=Findings)
    strangers: Findings = field(default_factory=Findings)
    mismatched: Findings = field(default_factory=Findings)
    odd: Findings = field(default_factory=Findings)
    misplaced: Findings = field(default_factory=Findings)
    disagreements: list[str] = field(default_factory=list)
    is_known: bool = False

    @property
    def ok(self) -> bool:
        """Whether every row has exactly one record and nothing else is there."""
        return not self.sentences()

    @property
    def waiting(self) -> int:
        """Rows that the next run will ask for."""
        return self.added.count + (0 if self.finished else self.missing.count)

    def sentences(self) -> list[str]:
        """What is wrong, for a person; none when all is well."""
        missing = "whose record is lost" if self.finished else "that wait for the next run"
        moves = ", which --repair moves away" if self.is_known else ""
        kinds = (
            (self.missing, f"input lines {missing}"),
            (self.added, "input lines added to a finished run, that wait for the next run"),
            (self.repeated, "second records of a row, which --repair moves away"),
            (self.strangers, f"records that belong to no row of the input{moves}"),
            (self.mismatched, f"records whose id is not that of their input row{moves}"),
            (self.odd, "lines that are no records, which --repair moves away"),
            (self.misplaced, "records in the wrong file, which --repair moves"),
        )
        found = [f"{what}: {each.count} ({_listed(each)})" for each, what in kinds if each.count]
        return found + self.disagreements


def verify(
    directory: Path,
    *,
    row_id: Callable[[Row], str],
    input_path: Path | None = None,
    choice: Choice | None = None,
) -> Report:
    """Compare the input with both record files and run.json. Blocking; changes nothing.

    Args:
        directory: The output directory.
        row_id: The id that a run gives an input row, also one with a problem.
        input_path: The input; left out, the one run.json names, or the copy of a stream.
        choice: Which rows of it were taken; left out, what run.json says.

    Raises:
        StorageError: The output cannot be read.
        InputError: The input cannot be read.
    """
    manifest = manifests.read(directory)
    if choice is None:
        choice = Choice.from_settings(manifest.choice if manifest else {})
    path = input_path or input_of(directory, manifest)
    report = Report(finished=manifest is not None and manifest.status == "finished")
    complete = manifest is None or manifest.complete or path != directory / SPOOL
    expected = expected_ids(path, choice, row_id, complete=complete)
    seen = _compare(directory, expected, report)
    _note_missing(expected, seen, manifest, report)
    if manifest is not None:
        report.is_known, is_changed = is_known(
            path, manifest, choice=choice, copy=directory / SPOOL
        )
        _compare_with(manifest, path, report, is_changed=is_changed)
    if not complete and (choice.limit is None or report.rows < choice.limit):
        report.disagreements.append(
            f"the end of the input has never been seen: rows behind those of its copy {path} may "
            "be missing; supply that input again, or the copy itself if there is no more of it"
        )
    return report


def _note_missing(
    expected: "array[int]", seen: bytearray, manifest: Manifest | None, report: Report
) -> None:
    """Which rows have no record; those behind all that a finished run had were added to it."""
    had = sum(manifest.counts.values()) if manifest is not None else 0
    for line, name in enumerate(expected):
        if not name:
            continue
        report.rows += 1
        if not seen[line]:
            is_new = report.finished and report.rows > had
            (report.added if is_new else report.missing).note(str(line))


def _compare(directory: Path, expected: "array[int]", report: Report) -> bytearray:
    """Hold every record against its input line; returns which lines have one."""
    seen = bytearray(len(expected))
    counts: Counter[str] = Counter()
    for name in (RESULTS, FAILURES):
        for each in inspect(directory / name):
            where = f"{name}:{each.number}"
            if each.why_odd is not None or each.status is None:
                report.odd.note(f"{where} ({each.why_odd})")
                continue
            if each.home != name:
                report.misplaced.note(f"{where} (line {each.line}, {each.status})")
            counts[each.status] += 1
            _compare_one(each, where, expected, seen, report)
    report.counts = dict(counts)
    return seen


def _compare_one(
    each: Inspected, where: str, expected: "array[int]", seen: bytearray, report: Report
) -> None:
    line = each.line
    if line >= len(expected) or not expected[line]:
        report.strangers.note(f"{where} (line {line})")
    elif seen[line]:
        report.repeated.note(f"{where} (line {line})")
    else:
        seen[line] = 1
        if expected[line] != id_hash(each.id):
            report.mismatched.note(f"{where} (line {line}, id {each.id!r})")


def _compare_with(manifest: Manifest, path: Path, report: Report, *, is_changed: bool) -> None:
    """Hold run.json against what was found."""
    if is_changed and manifest.input and manifest.input.get("path") == str(path.absolute()):
        report.disagreements.append(
            f"{path} was changed since the run began with it; the run's own command says what "
            "differs and how to go on"
        )
    if report.finished and dict(manifest.counts) != report.counts:
        report.disagreements.append(
            f"run.json counts {_counted(manifest.counts)}, the files hold {_counted(report.counts)}"
        )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "nothing"


def _listed(findings: Findings) -> str:
    more = findings.count - len(findings.examples)
    return ", ".join(findings.examples) + (f" and {more} more" if more else "")

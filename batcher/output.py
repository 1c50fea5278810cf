"""The output directory of a run: opened, checked against what it already holds, closed.

Opening repairs torn ends, counts what is settled and what an earlier run left in doubt, and
refuses to mix answers: other settings or another input need another directory.
"""

import asyncio
import hashlib
import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from batcher import clock, logs
from batcher.build import OWN_SERVERS, Target
from batcher.errors import ConfigError, Exit, InputError
from batcher.job import Job
from batcher.load import read_template
from batcher.policy.help import hint
from batcher.records import Summary, record
from batcher.secret import MASK, Redactor
from batcher.storage.durable import DirectoryLock, make_directory
from batcher.storage.journal import Journal
from batcher.storage.journal import scan as scan_journal
from batcher.storage.ledger import Ledger, scan
from batcher.storage.manifest import Manifest, RunStatus, diff
from batcher.storage.manifest import read as read_manifest
from batcher.storage.manifest import write as write_manifest
from batcher.storage.results import RecordSink
from batcher.storage.rows import FileSource, SpooledSource, changed, count_rows, identity
from batcher.version import __version__

STANDARD_INPUT = "-"
_SPOOL = "input.jsonl"
_HASHED_AT_ONCE_BYTES = 128 << 20  # a tenth of a second; larger ones are hashed beside the run
_STATUS: Mapping[int, RunStatus] = {
    Exit.OK: "finished",
    Exit.ROWS_FAILED: "finished",
    Exit.INTERRUPTED: "interrupted",
    Exit.TERMINATED: "interrupted",
}


def fresh_directory(path: Path) -> Path:
    """The first of PATH, PATH-2, PATH-3 ... that does not exist yet."""
    if not path.exists():
        return path
    for number in itertools.count(2):
        candidate = path.with_name(f"{path.name}-{number}")
        if not candidate.exists():
            return candidate
    raise AssertionError("unreachable")


@record
class Opened:
    """What an opened directory offers a run.

    Attributes:
        settled_before: Rows that had their record already.
        in_doubt: Attempts of an earlier run that may have been billed without a record.
        settings: What decides an answer, without secrets, as run.json keeps it.
    """

    source: FileSource | SpooledSource
    ledger: Ledger
    sink: RecordSink
    journal: Journal
    settled_before: int
    in_doubt: Sequence[Any]
    settings: Mapping[str, object]


class OutputDirectory:
    """One run's hold on its output directory, from opening to run.json's last word.

    Raises:
        LockedError: Another run holds it.
        StorageError: It cannot be written.
    """

    def __init__(self, path: Path, *, job: Job, redactor: Redactor) -> None:
        self.path = path
        self.total_rows: int | None = None
        self._job = job
        self._redactor = redactor
        self._lock = DirectoryLock(path)
        self._log: logs.LogFile | None = None
        self._opened: Opened | None = None
        self._manifest: Manifest | None = None

    def __enter__(self) -> Self:
        make_directory(self.path)
        self._lock.acquire()
        self._log = logs.LogFile(self.path / "log.jsonl")
        self.logger = logs.make_logger(
            self._log, level=self._job.log.level, redactor=self._redactor
        )
        return self

    def open(self, target: Target, *, rows: Iterable[Mapping[str, Any]] | None = None) -> Opened:
        """Repair, count, compare with what is here, and begin a new note of a run.

        Args:
            target: Whom the job asks.
            rows: Rows in place of the job's input.

        Raises:
            ConfigError: The directory was begun with other settings; names each difference.
            InputError: It was begun with another input.
            StorageError: It cannot be written.
        """
        job, clean = self._job, self._redactor.clean
        old = read_manifest(self.path)
        settings = deciding_settings(job, target)
        if old is not None:
            self._refuse_other_settings(old, settings)
        source = self._source(old, rows)
        if old is not None and isinstance(source, FileSource):
            self._refuse_other_input(old)
        sink = RecordSink(self.path, clean=clean, hint=hint, response=job.output.response)
        for repair in sink.repairs:
            self.logger.warning("output.repaired", repair=str(repair))
        ledger = scan(self.path)
        doubts = [_as_dict(doubt) for doubt in scan_journal(self.path, ledger)]
        self._manifest = self._begun(old, settings, doubts)
        self._write()
        self._opened = Opened(
            source=source,
            ledger=ledger,
            sink=sink,
            journal=Journal(self.path, clean=clean),
            settled_before=ledger.settled,
            in_doubt=doubts,
            settings=settings,
        )
        return self._opened

    @property
    def ledger(self) -> Ledger:
        """What is settled; after `open`."""
        if self._opened is None:
            raise RuntimeError("the directory is not open")
        return self._opened.ledger

    async def study_input(self) -> None:
        """Count the input's rows, for the progress bar, and take its digest, for resuming."""
        path = self._input_file()
        if path is None:
            return
        self.total_rows = await asyncio.to_thread(self._count, path)
        found = self._manifest.input if self._manifest is not None else None
        if found is not None and found.get("sha256") is None:
            stopped = False
            try:
                whole = await asyncio.to_thread(identity, path, stop=lambda: stopped)
            finally:
                stopped = True  # a cancelled task leaves its thread running
            self._update(input=whole)

    def waiting(self) -> int:
        """Rows of the input without a record; 0 where the input was never counted."""
        path = self._input_file()
        if self.total_rows is None and path is not None:
            self.total_rows = self._count(path)
        return max(0, (self.total_rows or 0) - self.ledger.settled)

    def finish(self, summary: Summary) -> None:
        """Leave the last word in run.json."""
        manifest = self._manifest
        if manifest is None:
            return
        status = _STATUS.get(summary.exit_code, "halted")
        source = self._opened.source if self._opened is not None else None
        usage = Counter(manifest.usage)
        usage.update(_as_dict(summary.usage))
        self._update(
            status=status,
            reason=summary.reason,
            finished_at=clock.stamp() if status == "finished" else None,
            counts=dict(summary.counts),
            requests=manifest.requests + summary.requests,
            seconds=round(manifest.seconds + summary.seconds, 3),
            usage=dict(usage),
            rows=sum(summary.counts.values()) if status == "finished" else self.total_rows,
            complete=source.complete if isinstance(source, SpooledSource) else True,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            self._opened.sink.close()
            self._opened.journal.close()
        if self._log is not None:
            self._log.close()
        self._lock.release()

    def _source(
        self, old: Manifest | None, rows: Iterable[Mapping[str, Any]] | None
    ) -> FileSource | SpooledSource:
        settings = self._job.input
        if rows is None and settings.path != STANDARD_INPUT:
            return FileSource(Path(settings.path), limit=settings.limit)
        return SpooledSource(
            sys.stdin.buffer if rows is None else rows,
            self.path / _SPOOL,
            complete=old.complete if old is not None else False,
            name="standard input" if rows is None else "the rows",
            limit=settings.limit,
        )

    def _input_file(self) -> Path | None:
        if self._opened is None or not isinstance(self._opened.source, FileSource):
            return None
        return Path(self._job.input.path)

    def _count(self, path: Path) -> int:
        return count_rows(path, limit=self._job.input.limit)

    def _refuse_other_settings(self, old: Manifest, settings: Mapping[str, object]) -> None:
        differences = diff(old.request, settings, name="")
        if differences:
            told = "\n".join(f"  {difference.lstrip('.')}" for difference in differences)
            raise ConfigError(
                f"{self.path} was begun with other settings:\n{told}\n"
                "Set them back to go on, or start over beside it with --fresh, or choose another "
                "directory with --out."
            )

    def _refuse_other_input(self, old: Manifest) -> None:
        if old.input is None:
            return
        path = Path(self._job.input.path)
        verdict = changed(old.input, path)
        if verdict in {"same", "appended"}:
            return
        how = "has been edited" if verdict == "changed" else "may have been edited"
        raise InputError(
            f"{path} {how} since {self.path} was begun with it, so its lines may no longer be the "
            "rows that are recorded there. Put the old file back to go on, or start over beside "
            "it with --fresh, or choose another directory with --out."
        )

    def _begun(
        self, old: Manifest | None, settings: Mapping[str, object], doubts: list[dict[str, Any]]
    ) -> Manifest:
        path = None
        if self._job.input.path != STANDARD_INPUT:
            path = Path(self._job.input.path)
        known = _known_input(path) if path is not None and path.exists() else None
        fields: dict[str, Any] = {
            "batcher": __version__,
            "name": self._job.name,
            "status": "running",
            "reason": None,
            "updated_at": clock.stamp(),
            "request": settings,
            "settings": settings_without_secrets(self._job),
            "choice": {"limit": self._job.input.limit},
            "input": known,
            "complete": path is not None,
        }
        if old is None:
            return Manifest(**fields, started_at=clock.stamp(), in_doubt=doubts)
        if old.input is not None and known is not None and old.input["size"] == known["size"]:
            fields["input"] = known | {"sha256": known["sha256"] or old.input["sha256"]}
        if path is None:
            fields["complete"] = old.complete
        return old.model_copy(
            update=fields | {"runs": old.runs + 1, "in_doubt": [*old.in_doubt, *doubts]}
        )

    def _update(self, **fields: Any) -> None:
        if self._manifest is not None:
            self._manifest = self._manifest.model_copy(
                update=fields | {"updated_at": clock.stamp()}
            )
            self._write()

    def _write(self) -> None:
        if self._manifest is not None:
            write_manifest(self.path, self._manifest, clean=self._redactor.clean)


def deciding_settings(job: Job, target: Target) -> dict[str, object]:
    """The settings that decide an answer: a directory holds answers to one set of them."""
    request = target.request.model_dump(
        mode="json", exclude={"auth", "template", "preset", "headers", "stream", "base_url"}
    )
    template = read_template(job)
    own_server = job.rehearsal or job.request.provider in OWN_SERVERS
    return {
        "request": request
        | {
            "base_url": None if own_server else target.base_url,
            "template_sha256": hashlib.sha256(template.encode()).hexdigest() if template else None,
        },
        "input": {"id_field": job.input.id_field},
    }


def settings_without_secrets(job: Job) -> dict[str, Any]:
    """Every setting of a job, with header values masked."""
    settings = job.model_dump(mode="json")
    settings["request"]["headers"] = dict.fromkeys(job.request.headers, MASK)
    return settings


def _known_input(path: Path) -> dict[str, Any]:
    """The input's identity; the digest of a large file is left for later."""
    small = path.stat().st_size <= _HASHED_AT_ONCE_BYTES
    return identity(path, stop=lambda: not small)


def _as_dict(value: Any) -> dict[str, Any]:
    return {part.name: getattr(value, part.name) for part in fields(value)}

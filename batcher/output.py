"""The output directory of a run: opened, kept while it works, closed.

What is made of the records that are already here is opening.py's affair.
"""

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from batcher import clock, kept, logs
from batcher.build import Target
from batcher.errors import Exit, InputError, StorageError
from batcher.job import Job
from batcher.opening import TakenUp, set_free, take_up
from batcher.policy.help import hint
from batcher.ports import Settled
from batcher.records import Summary, record
from batcher.resume import Way
from batcher.retry import Retry
from batcher.secret import Redactor
from batcher.storage import swap
from batcher.storage.durable import DirectoryLock, make_directory, repair_tail
from batcher.storage.journal import Journal
from batcher.storage.ledger import Ledger
from batcher.storage.manifest import Manifest, RunStatus
from batcher.storage.manifest import write as write_manifest
from batcher.storage.pack import check_packing, drop_stale, pack
from batcher.storage.remote import RemoteStream, is_remote
from batcher.storage.results import FAILURES, RESULTS, RecordSink
from batcher.storage.rows import FileSource, SpooledSource, count_rows, identity

_STATUS: Mapping[int, RunStatus] = {
    Exit.OK: "finished",
    Exit.ROWS_FAILED: "finished",
    Exit.USAGE: "interrupted",  # the input could not be read to its end
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
        settled: Which lines this run leaves alone.
        notes: What a person should know about how the directory was taken up.
    """

    source: FileSource | SpooledSource
    ledger: Ledger
    settled: Settled
    sink: RecordSink
    journal: Journal
    settled_before: int
    in_doubt: Sequence[Any]
    settings: Mapping[str, object]
    notes: Sequence[str]


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
        self._was: str | None = None
        self._remote: RemoteStream | None = None

    def __enter__(self) -> Self:
        make_directory(self.path)
        self._lock.acquire()
        self._log = logs.LogFile(self.path / "log.jsonl")
        self.logger = logs.make_logger(
            self._log, level=self._job.log.level, redactor=self._redactor
        )
        return self

    def open(
        self,
        target: Target,
        *,
        rows: Iterable[Mapping[str, Any]] | None = None,
        way: Way = Way.REFUSE,
        retry: Retry | None = None,
    ) -> Opened:
        """Repair, count, compare with what is here, and begin a new note of a run.

        Args:
            target: Whom the job asks.
            rows: Rows in place of the job's input.
            way: What to do when the directory was begun with other settings or another input.
            retry: Ask failed rows again, and no others.

        Raises:
            ConfigError: The directory was begun with other settings; names each difference.
            InputError: It was begun with another input.
            StorageError: It cannot be written.
        """
        if self._job.output.compress is not None:
            check_packing(self._job.output.compress)
        swap.finish(self.path)
        for name in (RESULTS, FAILURES):
            if repair := repair_tail(self.path / name):
                self.logger.warning("output.repaired", repair=str(repair))
        job, redactor = self._job, self._redactor
        if retry is not None:
            taken = set_free(self.path, job, target, retry=retry, redactor=redactor)
        else:
            is_streamed = rows is not None or kept.is_streamed(job)
            taken = take_up(
                self.path, job, target, is_streamed=is_streamed, way=way, redactor=redactor
            )
        self._manifest, self._was = taken.manifest, taken.was
        self._opened = Opened(
            source=self._source(taken, rows),
            ledger=taken.ledger,
            settled=taken.settled,
            sink=RecordSink(
                self.path, clean=redactor.clean, hint=hint, response=job.output.response
            ),
            journal=Journal(self.path, clean=redactor.clean),
            settled_before=taken.ledger.settled,
            in_doubt=taken.doubts,
            settings=taken.asked.settings,
            notes=taken.notes,
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
        with suppress(InputError):  # the run meets what is wrong with it, and says so
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
        """Rows of the input without a record; 0 where the input could not be counted."""
        path = self._input_file()
        if self.total_rows is None and path is not None:
            with suppress(InputError):
                self.total_rows = self._count(path)
        return max(0, (self.total_rows or 0) - self.ledger.settled)

    @property
    def has_others(self) -> bool:
        """Whether rows may wait that are not this run's: a retry takes up no others."""
        return self._was not in {None, "finished"}

    def finish(self, summary: Summary) -> None:
        """Leave the last word in run.json."""
        manifest = self._manifest
        if manifest is None:
            return
        status, reason = _STATUS.get(summary.exit_code, "halted"), summary.reason
        done = status == "finished"
        source = self._opened.source if self._opened is not None else None
        complete = source.complete if isinstance(source, SpooledSource) else manifest.complete
        if done and self.has_others and (summary.waiting or not complete):
            status, reason = "interrupted", "other rows still wait for the run's own command"
        usage = Counter(manifest.usage)
        usage.update(_as_dict(summary.usage))
        self._update(
            status=status,
            reason=reason,
            finished_at=clock.stamp() if status == "finished" else None,
            counts=dict(summary.counts),
            requests=manifest.requests + summary.requests,
            seconds=round(manifest.seconds + summary.seconds, 3),
            usage=dict(usage),
            rows=sum(summary.counts.values()) if status == "finished" else self.total_rows,
            complete=complete,
            retry=None if done else manifest.retry,
        )
        if (packing := self._job.output.compress) is not None:
            (pack if status == "finished" else drop_stale)(self.path / RESULTS, packing)

    def reopen_log(self) -> None:
        """Go on in a new log.jsonl, after somebody has moved the old one away."""
        if self._log is not None:
            self._log.reopen()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            with suppress(StorageError):  # a full disk; nothing is settled by it
                self._opened.journal.close()
            self._opened.sink.close()
        if self._remote is not None:
            self._remote.close()
        if self._log is not None:
            self._log.close()
        self._lock.release()

    def _source(
        self, taken: TakenUp, rows: Iterable[Mapping[str, Any]] | None
    ) -> FileSource | SpooledSource:
        asked, path = taken.asked, self._job.input.path
        if not asked.is_streamed:
            return FileSource(asked.source, choice=asked.choice)
        stream: Any = sys.stdin.buffer if rows is None else rows
        name = "standard input" if rows is None else "the rows"
        if rows is None and is_remote(path):
            # Once the copy is whole there is no need to ask for the original again.
            name = path
            stream = self._remote = None if taken.manifest.complete else RemoteStream(path)
        return SpooledSource(
            stream,
            asked.source,
            complete=taken.manifest.complete,
            name=name,
            choice=asked.choice,
        )

    def _input_file(self) -> Path | None:
        if self._opened is None or not isinstance(self._opened.source, FileSource):
            return None
        return Path(self._job.input.path)

    def _count(self, path: Path) -> int:
        return count_rows(path, choice=kept.choice_of(self._job))

    def _update(self, **fields: Any) -> None:
        if self._manifest is not None:
            self._manifest = self._manifest.model_copy(
                update=fields | {"updated_at": clock.stamp()}
            )
            write_manifest(self.path, self._manifest, clean=self._redactor.clean)


def _as_dict(value: Any) -> dict[str, Any]:
    return {part.name: getattr(value, part.name) for part in fields(value)}

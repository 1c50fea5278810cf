"""Answers kept for the rows that ask the same, wherever those rows stand now.

Records and rows are matched by the fingerprint of their calls in a database on disk, so that
memory does not grow with either. What serves no row goes to superseded.N.jsonl.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from batcher.records import Call, Fingerprint, Outcome, Status
from batcher.storage.faults import storage_error
from batcher.storage.inspect import Inspected, inspect
from batcher.storage.rekey import fingerprint_of, rekeyed
from batcher.storage.results import FAILURES, RESULTS
from batcher.storage.swap import Swap

if TYPE_CHECKING:
    import sqlite3

_SCRATCH = ".draft-reuse"  # a draft: whoever takes the lock next removes what a kill leaves
_TABLES = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE records (n INTEGER PRIMARY KEY, print TEXT, line INT, is_ok INT);
    CREATE TABLE rows (line INTEGER PRIMARY KEY, print TEXT, id TEXT, kept BLOB);
    CREATE TABLE fits (n INTEGER PRIMARY KEY, line INT);
"""
_Fit = tuple[int, int]  # a record's number, the line of the row it serves


@dataclass(slots=True)
class Reused:
    """What became of the records.

    Attributes:
        kept: Records that serve a row.
        moved: How many of them stand at another line, or under another id, than before.
        superseded: Records that serve none any more.
        file: Where those went; None when there were none.
    """

    kept: int = 0
    moved: int = 0
    superseded: int = 0
    file: str | None = None


def reuse(
    directory: Path,
    made: Iterable[Call | Outcome],
    swap: Swap,
    *,
    clean: Callable[[bytes], bytes] = bytes,
) -> Reused:
    """Write both record files anew into `swap`, each record with the row that asks the same.

    One record serves one row, an answer before a failure, its own line before another. Records
    of rows that could not be asked serve none: they are made again at no cost. Lines that are
    no records stay where they are.

    Args:
        directory: The output directory, locked, its torn ends repaired.
        made: What each row of the input becomes now.
        swap: Takes the new files; committing it is the caller's affair.
        clean: Masks secrets in what is written anew.

    Raises:
        StorageError: The directory cannot be read or written.
    """
    import sqlite3  # a megabyte that other runs spare

    path = directory / _SCRATCH
    _remove(path)
    try:
        with closing(sqlite3.connect(path)) as scratch:
            scratch.executescript(_TABLES)
            scratch.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", _prints(directory))
            scratch.execute("CREATE INDEX by_print ON records (print)")
            _note_rows(scratch, made)
            scratch.execute("CREATE INDEX rows_by_print ON rows (print, line)")
            scratch.executemany("INSERT INTO fits VALUES (?, ?)", _fits(scratch))
            return _write(directory, scratch, swap, clean)
    except sqlite3.Error as fault:
        raise storage_error(path, "write", OSError(0, str(fault))) from fault
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def first_free(directory: Path, stem: str) -> str:
    """The first of STEM.1.jsonl, STEM.2.jsonl ... that does not exist."""
    names = (f"{stem}.{number}.jsonl" for number in itertools.count(1))
    return next(name for name in names if not (directory / name).exists())


def _all(directory: Path) -> Iterator[tuple[str, Inspected]]:
    """Every line of both files with the file's name, always in the same order."""
    for name in (RESULTS, FAILURES):
        for each in inspect(directory / name):
            yield name, each


def _prints(directory: Path) -> Iterator[tuple[int, Fingerprint, int, bool]]:
    """Number, fingerprint, line and worth of each record that could serve a row."""
    for number, (_, each) in enumerate(_all(directory)):
        if each.why_odd is None and (fingerprint := fingerprint_of(each.raw)) is not None:
            yield number, fingerprint, each.line, each.status is Status.OK


def _note_rows(scratch: "sqlite3.Connection", made: Iterable[Call | Outcome]) -> None:
    known = "SELECT 1 FROM records WHERE print = ? LIMIT 1"
    for call in made:
        if isinstance(call, Call) and scratch.execute(known, (call.fingerprint,)).fetchone():
            kept = orjson.dumps(dict(call.kept), default=str) if call.kept else None
            scratch.execute(
                "INSERT INTO rows VALUES (?, ?, ?, ?)",
                (call.line, call.fingerprint, call.id, kept),
            )


def _fits(scratch: "sqlite3.Connection") -> Iterator[_Fit]:
    """Which record serves which row."""
    rows = scratch.execute("SELECT print, line FROM rows ORDER BY print, line")
    best = scratch.execute("SELECT print, n, line, is_ok FROM records ORDER BY print, n")
    groups = itertools.groupby(best, lambda each: each[0])
    here, records = next(groups, (None, iter(())))
    for fingerprint, asking in itertools.groupby(rows, lambda each: each[0]):
        while here is not None and here != fingerprint:
            here, records = next(groups, (None, iter(())))
        yield from _fit([line for _, line in asking], [each[1:] for each in records])


def _fit(lines: list[int], records: list[tuple[int, int, int]]) -> Iterator[_Fit]:
    """The best records of one fingerprint, at their own line where a row there asks for it."""
    free = dict.fromkeys(lines)
    best = sorted(records, key=lambda each: (not each[2], each[1] not in free, each[0]))
    wandering = []
    for number, line, _ in best[: len(lines)]:
        if line in free:
            del free[line]
            yield number, line
        else:
            wandering.append(number)
    yield from zip(wandering, free, strict=False)


def _write(
    directory: Path, scratch: "sqlite3.Connection", swap: Swap, clean: Callable[[bytes], bytes]
) -> Reused:
    done = Reused()
    files = {name: swap.file(name) for name in (RESULTS, FAILURES)}
    serving = scratch.execute(
        "SELECT n, line, id, kept FROM fits JOIN rows USING (line) ORDER BY n"
    )
    upcoming = next(serving, None)
    for number, (name, each) in enumerate(_all(directory)):
        if upcoming is not None and upcoming[0] == number:
            _, line, row_id, kept = upcoming
            fields = orjson.loads(kept) if kept else {}
            raw = rekeyed(each.raw, row_id=row_id, line=line, kept=fields, clean=clean)
            files[each.home](raw)
            done.kept += 1
            done.moved += (each.line, each.id) != (line, row_id)
            upcoming = next(serving, None)
        elif each.why_odd is not None:
            files[name](each.raw)
        else:
            done.file = done.file or first_free(directory, "superseded")
            swap.file(done.file)(each.raw)
            done.superseded += 1
    return done

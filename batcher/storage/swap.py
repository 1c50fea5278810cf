"""New content for several files of a directory, put in place together or not at all.

The new files are written beside the old ones, then one small file says that they are whole and
which they are; only after that do they take their places. A process killed before leaves the
old state, one killed after it a state that `finish` completes.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import orjson

from batcher.errors import LockedError
from batcher.storage.durable import DirectoryLock, write_atomic
from batcher.storage.faults import storage_error
from batcher.storage.quarantine import quarantine
from batcher.storage.replace import sync_directory

_MARK = ".swap.json"
_NEXT = ".next-"


class Swap:
    """Files being written anew; nothing of them counts before `commit`.

    Raises:
        StorageError: On entering or leaving the block: the directory cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        """Name the directory, whose lock is the caller's affair."""
        self._directory = directory
        self._files: dict[str, BinaryIO] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        finish(self._directory)
        return self

    def file(self, name: str) -> Callable[[bytes], object]:
        """What adds bytes to the new content of the file of this name; empty at first.

        Raises:
            StorageError: It cannot be made.
        """
        if name not in self._files:
            path = self._next(name)
            try:
                self._files[name] = self._open.enter_context(path.open("wb"))
            except OSError as fault:
                raise storage_error(path, "write", fault) from fault
        return self._files[name].write

    def commit(self) -> None:
        """Put every file in its place.

        Raises:
            StorageError: They cannot be written whole (nothing has changed), or not be put in
                place (the next `finish` does it).
        """
        try:
            for file in self._files.values():
                file.flush()
                os.fsync(file.fileno())
            self._open.close()
            sync_directory(self._directory)
        except OSError as fault:
            raise storage_error(self._directory, "write to", fault) from fault
        write_atomic(self._directory / _MARK, orjson.dumps(sorted(self._files)))
        finish(self._directory)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # a full disk: what could not be flushed is thrown away anyhow
            self._open.close()
        if not (self._directory / _MARK).exists():
            _throw_away(self._directory)

    def _next(self, name: str) -> Path:
        return self._directory / f"{_NEXT}{name}"


def finish(directory: Path) -> None:
    """Complete what a killed process had committed; throw away what it had not.

    Doing it twice is harmless. The directory's lock is the caller's affair.

    A mark that cannot be read still says that the new files are whole, for nothing else writes
    it; it goes to quarantine.jsonl, and all new files that are there take their places.

    Raises:
        StorageError: The files cannot be put in place.
    """
    mark = directory / _MARK
    try:
        if mark.exists():
            names = _names(mark.read_bytes())
            if names is None:
                quarantine(directory, _MARK, 0, mark.read_bytes(), why="it is no list of files")
                names = [path.name.removeprefix(_NEXT) for path in directory.glob(f"{_NEXT}*")]
            _put_in_place(directory, names)
            sync_directory(directory)
            mark.unlink()
            sync_directory(directory)
        else:
            _throw_away(directory)
    except OSError as fault:
        raise storage_error(directory, "replace the files of", fault) from fault


def finish_if_idle(directory: Path) -> None:
    """`finish` for a reader: only where something was committed and no run is at work.

    Raises:
        StorageError: The files cannot be put in place.
    """
    if not (directory / _MARK).exists():
        return
    with suppress(LockedError), DirectoryLock(directory):
        finish(directory)


def _names(mark: bytes) -> list[str] | None:
    """The files that a mark names, none of them outside of its directory; None when damaged."""
    try:
        found: object = orjson.loads(mark)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, list):
        return None
    names = [name for name in found if isinstance(name, str) and name and "/" not in name]
    return names if len(names) == len(found) else None


def _put_in_place(directory: Path, names: Iterable[str]) -> None:
    for name in names:
        with suppress(FileNotFoundError):  # it took its place before the process was killed
            (directory / f"{_NEXT}{name}").replace(directory / name)


def _throw_away(directory: Path) -> None:
    for path in directory.glob(f"{_NEXT}*"):
        with suppress(OSError):
            path.unlink()

"""An output directory held by one run at a time."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from batcher.errors import LockedError, StorageError
from batcher.storage.faults import storage_error
from batcher.storage.replace import make_directory, remove_drafts

_TRIES_TO_LOCK = 10  # each lost try means that somebody removed the lock file in between


class DirectoryLock:
    """At most one run per output directory.

    The kernel holds the lock for the process and lets it go when the process ends, however
    it ends; the file `.lock` itself says nothing and stays.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / ".lock"
        self._fd = -1

    def acquire(self) -> Self:
        """Take the lock, making the directory where it is missing.

        Raises:
            LockedError: Another run holds it; the message names its process.
            StorageError: The directory cannot be written.
        """
        make_directory(self._path.parent)
        for _ in range(_TRIES_TO_LOCK):
            fd = self._open()
            if self._take(fd):
                self._fd = fd
                remove_drafts(self._path.parent)
                return self
            os.close(fd)
        raise StorageError(f"{self._path} keeps disappearing; leave the output directory alone")

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as fault:
            raise storage_error(self._path, "open", fault) from fault

    def _take(self, fd: int) -> bool:
        """Lock fd and sign it; False when its name has gone meanwhile, so that it locks nothing."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            os.close(fd)
            raise LockedError(
                f"{self._path.parent} is in use by another run (process {holder or 'unknown'}); "
                "wait until it ends, stop it, or choose another output directory"
            ) from None
        except OSError as fault:
            os.close(fd)
            raise storage_error(self._path, "lock", fault) from fault
        try:
            if not os.path.samestat(os.fstat(fd), self._path.stat()):
                return False
        except FileNotFoundError:
            return False
        with suppress(OSError):  # a full disk: the lock holds without its signature
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        return True

    def release(self) -> None:
        """Let others in; may be called twice."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

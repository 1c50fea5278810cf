"""Bytes that stay: whole lines appended, files replaced at once, a directory held by one run.

What a file's lines mean is for the other files of this room. A killed process loses nothing
here, because every line is in the kernel's hands when `append` returns; power loss may take
what was not yet synced.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from batcher.errors import StorageError
from batcher.storage.faults import AGAIN, storage_error
from batcher.storage.lock import DirectoryLock
from batcher.storage.replace import make_directory, replacing, write_atomic
from batcher.storage.tail import Repair, repair_tail

__all__ = [
    "AppendFile",
    "DirectoryLock",
    "Repair",
    "make_directory",
    "repair_tail",
    "replacing",
    "write_atomic",
]


class AppendFile:
    """A file that only ever grows by whole lines, or not at all."""

    def __init__(
        self,
        path: Path,
        *,
        clean: Callable[[bytes], bytes] | None = None,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        """Open for appending; created when missing.

        Args:
            path: The file; its directory exists.
            clean: Masks secrets in each line; keeps its newline.
            write: os.write, or a fake that fails.

        Raises:
            StorageError: It cannot be opened.
        """
        self.path = path
        self._clean = clean
        self._write = write
        self._closing = threading.Lock()  # a sync in a thread and close() must not meet
        self._torn = False
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self.size = self._synced = os.fstat(self._fd).st_size
        except OSError as fault:
            raise storage_error(path, "open", fault) from fault

    def append(self, line: bytes) -> None:
        """Add these bytes (whole lines with their newlines) or nothing of them.

        Raises:
            StorageError: The system would not take them whole; the file is as it was before.
        """
        data = self._clean(line) if self._clean else line
        try:
            if self._torn:
                self._cut()
            written = self._write(self._fd, data)
            if written != len(data):
                self._write_rest(data[written:])
        except OSError as fault:
            self._torn = True
            with suppress(OSError):
                self._cut()
            raise storage_error(self.path, "write", fault) from fault
        self.size += len(data)

    def _write_rest(self, data: bytes) -> None:
        """Finish a short write; most often the system now says why it was short."""
        while data:
            written = self._write(self._fd, data)
            if not written:
                raise OSError(0, "the system took only part of a line")
            data = data[written:]

    def _cut(self) -> None:
        """Drop what a failed append left behind."""
        os.ftruncate(self._fd, self.size)
        self._torn = False

    def sync(self) -> None:
        """Force everything appended so far to the disk. Blocking; safe in a thread.

        Raises:
            StorageError: The disk would not take it, or the file was removed meanwhile.
        """
        with self._closing:
            if self._fd < 0:
                return
            size = self.size
            try:
                if size != self._synced:
                    os.fsync(self._fd)
                still_there = os.path.samestat(os.fstat(self._fd), self.path.stat())
            except FileNotFoundError:
                still_there = False
            except OSError as fault:
                raise storage_error(self.path, "sync", fault) from fault
            if not still_there:
                raise StorageError(
                    f"{self.path} was removed, moved or replaced while it was being written, and "
                    f"what this run wrote to it may be gone; put it back, {AGAIN}."
                )
            self._synced = size

    def close(self) -> None:
        """Close without syncing; may be called twice."""
        with self._closing:
            if self._fd >= 0:
                fd, self._fd = self._fd, -1
                os.close(fd)

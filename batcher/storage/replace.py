"""A file's whole content replaced at once, so that no reader ever sees half of it."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batcher.storage.faults import storage_error

_DRAFT = ".draft-"
_drafts = itertools.count()


def make_directory(directory: Path) -> None:
    """Create the output directory and its parents where missing.

    Raises:
        StorageError: It cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise storage_error(directory, "create the directory", fault) from fault


@contextmanager
def replacing(path: Path) -> Iterator[Callable[[bytes], object]]:
    """Write a file's new content beside it; it takes the old one's place when the block ends well.

    Readers see the old file or the new one, never a mixture, also after power loss.

    Yields:
        A function that adds bytes to the new content.

    Raises:
        StorageError: It cannot be written; the old file is untouched.
    """
    # Not named after the file: a name near the limit of 255 bytes has no room for a suffix.
    draft = path.with_name(f"{_DRAFT}{os.getpid()}-{next(_drafts)}")
    try:
        with draft.open("wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_directory(path.parent)
    except OSError as fault:
        raise storage_error(path, "write", fault) from fault
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file's content at once.

    Raises:
        StorageError: It cannot be written; the old file is untouched.
    """
    with replacing(path) as write:
        write(data)


def remove_drafts(directory: Path) -> None:
    """Remove what a process left behind that was killed while replacing a file."""
    for draft in directory.glob(f"{_DRAFT}*"):
        with suppress(OSError):
            draft.unlink()


def sync_directory(directory: Path) -> None:
    """Make new and renamed names in a directory survive power loss."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

"""What the operating system refused, as a sentence that names the fix.

Every OSError of this room passes through `storage_error` or `input_error`, so that a full
disk reads the same whichever file met it.
"""

import errno
import os
from pathlib import Path

from batcher.errors import InputError, StorageError

AGAIN = "then run the same command again: it goes on where it stopped"

_SAYING: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", f"free some space, {AGAIN}"),
    errno.EDQUOT: ("the disk quota is used up", f"free some space or raise the quota, {AGAIN}"),
    errno.EROFS: ("the file system is read-only", f"make it writable, {AGAIN}"),
    errno.EACCES: ("permission denied", "give this user the right to it or choose another place"),
    errno.EPERM: ("not permitted", "give this user the right to it or choose another place"),
    errno.EIO: ("the device reported an I/O error", f"check the disk, {AGAIN}"),
    errno.EMFILE: (
        "this process has too many files open",
        f"raise `ulimit -n` or lower limits.concurrency, {AGAIN}",
    ),
    errno.ENFILE: ("the machine has too many files open", f"close some programs, {AGAIN}"),
    errno.EFBIG: ("the file has reached the largest size allowed", f"raise `ulimit -f`, {AGAIN}"),
    errno.ENAMETOOLONG: ("the path is too long", "choose a shorter one"),
    errno.ENOTDIR: ("part of the path is a file", "choose another place"),
    errno.EISDIR: ("it is a directory", "name a file"),
    errno.ENOENT: ("there is no such file or directory", "check the path"),
    errno.ENOLCK: ("the file system offers no locks", "choose an output directory on a local disk"),
    errno.ENOTSUP: (
        "the file system does not offer what is needed",
        "choose an output directory on a local disk",
    ),
}


def storage_error(path: Path, doing: str, fault: OSError) -> StorageError:
    """The error of an output file: which one, what happened, what to do.

    Args:
        path: The file or directory.
        doing: What was tried, as a verb with its file after it: "write", "open", "sync".
        fault: What the system said.
    """
    return StorageError(_sentence(path, doing, fault))


def input_error(path: Path, fault: OSError) -> InputError:
    """The error of an input file that cannot be read."""
    return InputError(_sentence(path, "read", fault))


def _sentence(path: Path, doing: str, fault: OSError) -> str:
    default = (os.strerror(fault.errno) if fault.errno else str(fault), f"mend that, {AGAIN}")
    what, fix = _SAYING.get(fault.errno or 0, default)
    return f"cannot {doing} {path}: {what}; {fix}."

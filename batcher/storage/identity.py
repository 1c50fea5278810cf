"""Whether an input file is still the one a run began with."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from batcher.errors import InputError
from batcher.storage.blocks import blocks, is_packed, opened

_CHUNK = 1 << 17
_HASHED_AT_ONCE_BYTES = 128 << 20  # a tenth of a second

Verdict = Literal["same", "appended", "changed", "unknown"]


def identity(path: Path, *, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """What tells this file from another: `path`, `size`, `mtime_ns`, `sha256`.

    Reads the whole file, about a gigabyte a second; call it from a thread.

    Args:
        path: The input as it is on disk, packed or not.
        stop: Asked between chunks; when it says so, `sha256` is None.

    Raises:
        InputError: It cannot be read.
    """
    with opened(path) as read:
        stat = path.stat()
        digest = _digest(read, stat.st_size, stop)
    return {
        "path": str(path.absolute()),
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "sha256": digest,
    }


def known_input(path: Path) -> dict[str, Any]:
    """`identity` at once: the digest of a large file is left for later.

    Raises:
        InputError: It cannot be read.
    """
    with opened(path):
        small = path.stat().st_size <= _HASHED_AT_ONCE_BYTES
    return identity(path, stop=lambda: not small)


def changed(old: Mapping[str, Any], path: Path) -> Verdict:
    """How a file differs from what `identity` said of it earlier.

    A file of the same path, size and time is taken to be the same without being read; else the
    first bytes decide. Blocking; call it from a thread.

    Returns:
        "appended" when it only grew by whole lines; "unknown" when it is not obviously the same
        and the earlier run ended before it knew the file's digest.

    Raises:
        InputError: It cannot be read.
    """
    size = old["size"]
    with opened(path) as read:
        stat = path.stat()
        unmoved = str(path.absolute()) == old["path"]
        if unmoved and stat.st_size == size and stat.st_mtime_ns == old["mtime_ns"]:
            return "same"
        if stat.st_size < size:
            return "changed"
        if old["sha256"] is None:
            return "unknown"
        if _digest(read, size, lambda: False) != old["sha256"]:
            return "changed"
    if stat.st_size == size:
        return "same"
    return "appended" if _ends_a_line(path, size) else "changed"


def _digest(read: Callable[[int], bytes], size: int, stop: Callable[[], bool]) -> str | None:
    """SHA-256 of the next `size` bytes."""
    digest = hashlib.sha256()
    while size and (chunk := read(min(_CHUNK, size))):
        if stop():
            return None
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()


def _ends_a_line(path: Path, size: int) -> bool:
    """Whether what was added after `size` bytes begins a new line."""
    if not size:
        return True
    if is_packed(path):
        return _packed_text_ends_a_line(path, size)
    with path.open("rb") as file:
        file.seek(size - 1)
        last, added = file.read(1), file.read(2)
    return last == b"\n" or added.startswith((b"\n", b"\r\n"))


def _packed_text_ends_a_line(path: Path, size: int) -> bool:
    """Whether the first `size` packed bytes are whole and end a line.

    They are not whole where the file was cut, or still being written, when the run began.
    """
    last = b""
    with opened(path) as read:

        def read_old(count: int) -> bytes:
            nonlocal size
            chunk = read(min(count, size))
            size -= len(chunk)
            return chunk

        try:
            for block in blocks(read_old, str(path)):
                last = block
        except InputError:
            return False
    return last.endswith(b"\n")

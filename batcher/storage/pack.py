"""A packed copy of a finished file, for handing on.

A copy, because the file itself must stay what it is: lines that can be added to one by one, of
which a kill tears at most the last. Packed as it grows, it could be neither mended nor searched.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from batcher.errors import MissingExtraError
from batcher.storage.faults import storage_error
from batcher.storage.replace import replacing

Packing = Literal["gz", "zst"]

_BLOCK = 1 << 17
_GZIP_LEVEL = 6
_GZIP_CONTAINER = 31  # zlib's wbits for a gzip file
_ZSTD_LEVEL = 3


def packed_path(path: Path, packing: Packing) -> Path:
    """Where the packed copy of a file lies: beside it, with the packing behind its name."""
    return path.with_name(f"{path.name}.{packing}")


def check_packing(packing: Packing) -> None:
    """Refuse early what could only fail when the work is done.

    Raises:
        MissingExtraError: zstandard is not installed.
    """
    if packing == "zst":
        _zstd()


def pack(path: Path, packing: Packing) -> None:
    """Put a packed copy beside a file, unless there is one as new. Blocking: 50 MB/s or more.

    Raises:
        StorageError: It cannot be written; an older copy is untouched.
        MissingExtraError: zstandard is not installed.
    """
    copy = packed_path(path, packing)
    try:
        if copy.exists() and copy.stat().st_mtime_ns >= path.stat().st_mtime_ns:
            return
        with path.open("rb") as source, replacing(copy) as write, _packing(packing, write) as add:
            while block := source.read(_BLOCK):
                add(block)
    except OSError as fault:
        raise storage_error(copy, "write", fault) from fault


def drop_stale(path: Path, packing: Packing) -> None:
    """Remove a packed copy that is older than its file, so that nobody takes it for the whole.

    Raises:
        StorageError: It cannot be removed.
    """
    copy = packed_path(path, packing)
    try:
        if copy.exists() and copy.stat().st_mtime_ns < path.stat().st_mtime_ns:
            copy.unlink()
    except OSError as fault:
        raise storage_error(copy, "remove", fault) from fault


@contextmanager
def _packing(
    packing: Packing, write: Callable[[bytes], object]
) -> Iterator[Callable[[bytes], object]]:
    """A function that takes blocks and hands them packed to `write`."""
    packer: Any
    if packing == "gz":
        packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_CONTAINER)
    else:
        packer = _zstd().ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
    yield lambda block: write(packer.compress(block))
    write(packer.flush())


def _zstd() -> Any:
    try:
        import zstandard
    except ImportError as missing:
        raise MissingExtraError(
            "writing .zst needs the package zstandard: pip install 'batcher[zstd]', "
            'or set output.compress = "gz"'
        ) from missing
    return zstandard

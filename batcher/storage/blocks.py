"""The bytes of an input, an eighth of a megabyte at a time, whatever they are packed in.

Plain, gzip (also of several members) and zstd (also of several frames) are told apart by
their first bytes, not by the file's name. What is no text at all is refused here.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from batcher.errors import InputError, MissingExtraError
from batcher.storage.faults import input_error

BLOCK = 1 << 17
_PIECE = 1 << 14  # of compressed bytes: what one unpacks to must stay small as well
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW = 1 << 31  # as `zstd --long=31` writes it; the frame decides how much is used

_NOT_TEXT = {
    b"PK\x03\x04": "a zip archive (or a spreadsheet)",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"Obj\x01": "an Avro file",
    b"%PDF-": "a PDF",
    b"SQLite format 3\x00": "an SQLite database",
    b"BZh91AY&SY": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
}
_WIDE = (b'{\x00"\x00', b'\x00{\x00"', b"\xff\xfe{\x00", b"\xfe\xff\x00{")
_LOOK = 1 << 16  # a file without a line break in so much, but with NULs, is binary

Read = Callable[[int], bytes]
"""Gives the next bytes, at most so many; none at the end."""


@contextmanager
def opened(path: Path) -> Iterator[Read]:
    """An input file's raw bytes.

    Raises:
        InputError: It cannot be opened or read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            yield file.read
    except OSError as fault:
        raise input_error(path, fault) from fault


def file_blocks(path: Path) -> Iterator[bytes]:
    """The text of a file in blocks; closing the iterator closes the file.

    Raises:
        InputError: It cannot be read, is damaged, or is not text; every whole block before
            the damage was given.
        MissingExtraError: It is packed with zstd, and zstandard is not installed.
    """
    with opened(path) as read:
        yield from blocks(read, str(path))


def blocks(read: Read, name: str) -> Iterator[bytes]:
    """The text that `read` gives, unpacked, without a byte order mark at its start.

    Args:
        read: Where bytes come from.
        name: What errors call it.

    Raises:
        InputError: It is damaged or not text.
        MissingExtraError: It is packed with zstd, and zstandard is not installed.
    """
    first = _first_bytes(read)
    if first.startswith(_GZIP):
        source = _unpacked(_pieces(first, read), name, _gzip_member, zlib.error)
    elif first.startswith(_ZSTD):
        frame, fault = _zstd()
        source = _unpacked(_pieces(first, read), name, frame, fault)
    else:
        source = _plain(first, read)
    fresh = True
    for block in source:
        if fresh:
            fresh = False
            _refuse_what_is_not_text(block, name)
            block = block.removeprefix(_BOM)  # noqa: PLW2901 - the mark is no part of the text
        yield block


def is_packed(path: Path) -> bool:
    """Whether a file is compressed.

    Raises:
        InputError: It cannot be read.
    """
    with opened(path) as read:
        return _first_bytes(read).startswith((_GZIP, _ZSTD))


def _first_bytes(read: Read) -> bytes:
    """Enough to tell what it is, though a pipe may give a byte at a time."""
    first = b""
    while len(first) < len(_ZSTD) and (more := read(_LOOK)):
        first += more
    return first


def _plain(first: bytes, read: Read) -> Iterator[bytes]:
    if first:
        yield first
    while block := read(BLOCK):
        yield block


def _pieces(first: bytes, read: Read) -> Iterator[bytes]:
    """Compressed bytes, few at a time."""
    for at in range(0, len(first), _PIECE):
        yield first[at : at + _PIECE]
    while piece := read(_PIECE):
        yield piece


def _unpacked(
    pieces: Iterator[bytes], name: str, member: Callable[[], Any], fault: type[Exception]
) -> Iterator[bytes]:
    """Text of gzip members or zstd frames one after another."""
    unpack = None
    for piece in pieces:
        data = piece
        while data:
            if unpack is None:
                data = data.lstrip(b"\0")  # padding that tapes and block devices leave behind
                if not data:
                    break
                unpack = member()
            spare = unpack.copy() if hasattr(unpack, "copy") else None
            try:
                text = unpack.decompress(data)
            except fault as error:
                yield from _text_before(spare, data, fault)
                raise _damaged(name, str(error)) from error
            if text:
                yield text
            data = b""
            if unpack.eof:
                data, unpack = unpack.unused_data, None
    if unpack is not None:
        raise _damaged(name, "it ends in the middle")


def _text_before(spare: Any, data: bytes, fault: type[Exception]) -> Iterator[bytes]:
    """What a damaged piece gives before the damage; zstd cannot go back, so nothing there."""
    if spare is not None:
        with suppress(fault):
            for at in range(len(data)):
                if text := spare.decompress(data[at : at + 1]):
                    yield text


def _gzip_member() -> Any:
    return zlib.decompressobj(wbits=31)


def _zstd() -> tuple[Callable[[], Any], type[Exception]]:
    try:
        import zstandard
    except ImportError as missing:
        raise MissingExtraError(
            "reading .zst needs the package zstandard: pip install 'batcher[zstd]', "
            "or unpack the file first"
        ) from missing
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    return unpacker.decompressobj, zstandard.ZstdError


def _damaged(name: str, what: str) -> InputError:
    return InputError(
        f"{name} is damaged: {what}. The rows before the damage are kept; supply a whole file "
        "under the same name and run the same command again"
    )


def _refuse_what_is_not_text(start: bytes, name: str) -> None:
    if start.startswith(_WIDE):
        raise InputError(
            f"{name} is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 {name} > utf8.jsonl"
        )
    kind = next((kind for mark, kind in _NOT_TEXT.items() if start.startswith(mark)), None)
    if kind is None and len(start) >= _LOOK and b"\n" not in start[:_LOOK] and 0 in start[:_LOOK]:
        kind = "a binary file"
    if kind is not None:
        raise InputError(
            f"{name} is {kind}; an input is JSONL: text in UTF-8 with one JSON object a line"
        )

"""A packed copy is the file, or is not there."""

import gzip
import os
import sys
from pathlib import Path

import pytest
import zstandard

from batcher.errors import MissingExtraError, StorageError
from batcher.storage.blocks import file_blocks
from batcher.storage.pack import Packing, check_packing, drop_stale, pack, packed_path

TEXT = b"".join(b'{"line":%d}\n' % number for number in range(300_000))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results.jsonl"
    path.write_bytes(TEXT)
    return path


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_it_unpacks_to_the_same_bytes(results: Path, packing: Packing) -> None:
    pack(results, packing)

    copy = packed_path(results, packing)
    assert b"".join(file_blocks(copy)) == TEXT
    if packing == "gz":
        assert gzip.decompress(copy.read_bytes()) == TEXT
    else:
        with copy.open("rb") as file:
            assert zstandard.ZstdDecompressor().stream_reader(file).read() == TEXT
    assert results.read_bytes() == TEXT


def test_it_is_made_anew_only_when_the_file_is_newer(results: Path) -> None:
    pack(results, "gz")
    copy = packed_path(results, "gz")
    made = copy.stat().st_ino
    pack(results, "gz")
    drop_stale(results, "gz")
    assert copy.stat().st_ino == made

    os.utime(results, ns=(0, copy.stat().st_mtime_ns + 1))
    pack(results, "gz")
    assert copy.stat().st_ino != made
    os.utime(results, ns=(0, copy.stat().st_mtime_ns + 1))
    drop_stale(results, "gz")
    assert not copy.exists()
    drop_stale(results, "gz")


def test_a_copy_that_cannot_be_written_is_said(results: Path) -> None:
    packed_path(results, "gz").mkdir()
    os.utime(results, ns=(0, packed_path(results, "gz").stat().st_mtime_ns + 1))
    with pytest.raises(StorageError, match=r"results\.jsonl\.gz"):
        pack(results, "gz")


def test_a_missing_package_is_said_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingExtraError, match=r"batcher\[zstd\]"):
        check_packing("zst")
    check_packing("gz")

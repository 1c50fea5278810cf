"""Inputs behind an address, read through fsspec."""

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batcher.errors import InputError, MissingExtraError
from batcher.storage.remote import RemoteStream, is_remote
from batcher.storage.spool import SpooledSource
from tests.storage.contract import rows_of

fsspec = pytest.importorskip("fsspec")


def put(name: str, data: bytes) -> str:
    fsspec.filesystem("memory").pipe(f"/{name}", data)
    return f"memory://{name}"


@pytest.mark.real_time
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
async def test_rows_of_an_address_are_spooled(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    url = put("rows", pack(b'{"prompt":"a"}\n{"prompt":"b"}\n'))
    spool = tmp_path / "input.jsonl"

    stream: Any = RemoteStream(url)
    source = SpooledSource(stream, spool, name=url)

    assert [row.line for row in await rows_of(source)] == [1, 2]
    assert source.complete
    stream.close()
    stream.close()
    assert spool.read_bytes() == b'{"prompt":"a"}\n{"prompt":"b"}\n'


@pytest.mark.real_time
async def test_another_content_under_the_same_address_is_refused(tmp_path: Path) -> None:
    spool = tmp_path / "input.jsonl"
    spool.write_bytes(b'{"prompt":"a"}\n')
    url = put("other", b'{"prompt":"z"}\n')
    stream: Any = RemoteStream(url)

    with pytest.raises(InputError, match="memory://other is not the input"):
        await rows_of(SpooledSource(stream, spool, name=url))


def test_what_cannot_be_read_is_said_with_its_address() -> None:
    with pytest.raises(InputError, match="memory://nothing does not exist"):
        RemoteStream("memory://nothing").read(1)
    with pytest.raises(InputError, match="zz is no kind of address"):
        RemoteStream("zz://bucket/rows")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"batcher\[remote\]"):
        RemoteStream("s3://bucket/rows.jsonl")


def test_only_addresses_are_remote() -> None:
    assert is_remote("s3://bucket/rows.jsonl")
    assert not is_remote("data/rows.jsonl")
    assert not is_remote("-")

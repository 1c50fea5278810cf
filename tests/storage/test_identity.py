import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from batcher.errors import InputError
from batcher.storage.rows import changed, identity

OLD = b'{"a":1}\n{"a":2}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_bytes(OLD)
    os.utime(path, ns=(1, 1))
    return path


def test_an_untouched_file_is_the_same_without_being_read(path: Path) -> None:
    old = identity(path) | {"sha256": None}

    assert changed(old, path) == "same"


def test_a_touched_or_moved_file_is_the_same_when_its_bytes_are(path: Path) -> None:
    old = identity(path)
    moved = path.rename(path.with_name("moved.jsonl"))

    assert changed(old, moved) == "same"
    moved.write_bytes(OLD)
    assert changed(old, moved) == "same"


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        (OLD + b'{"a":3}\n', "appended"),
        (OLD + b"\n\n", "appended"),
        (OLD.replace(b"1", b"7"), "changed"),
        (b'{"a":0}\n' + OLD, "changed"),
        (OLD[:-3], "changed"),
        (b"", "changed"),
    ],
)
def test_what_happened_to_a_file_is_told_by_its_bytes(path: Path, new: bytes, verdict: str) -> None:
    old = identity(path)
    path.write_bytes(new)

    assert changed(old, path) == verdict


@pytest.mark.parametrize(
    ("added", "verdict"),
    [(b"\n", "appended"), (b'\r\n{"a":3}', "appended"), (b" }", "changed"), (b"\r", "changed")],
)
def test_a_last_line_that_grew_is_a_change(path: Path, added: bytes, verdict: str) -> None:
    path.write_bytes(OLD.rstrip())
    old = identity(path)
    path.write_bytes(OLD.rstrip() + added)

    assert changed(old, path) == verdict


def test_the_same_time_and_size_elsewhere_prove_nothing(path: Path) -> None:
    """Archives and checkouts give every file the same time."""
    other = path.with_name("other.jsonl")
    other.write_bytes(OLD.replace(b"1", b"7"))
    os.utime(other, ns=(1, 1))

    assert changed(identity(path), other) == "changed"


def test_without_a_digest_only_an_untouched_file_is_known(path: Path) -> None:
    old = identity(path, stop=lambda: True)
    path.write_bytes(OLD + OLD)

    assert old["sha256"] is None
    assert changed(old, path) == "unknown"


def test_an_empty_file_can_only_grow(path: Path) -> None:
    path.write_bytes(b"")
    old = identity(path)
    path.write_bytes(OLD)

    assert changed(old, path) == "appended"


@pytest.mark.parametrize(("old", "verdict"), [(OLD, "appended"), (OLD.rstrip(), "changed")])
def test_a_packed_file_may_grow_by_a_member_that_begins_a_line(
    path: Path, old: bytes, verdict: str
) -> None:
    path.write_bytes(gzip.compress(old))
    known = identity(path)
    path.write_bytes(gzip.compress(old) + gzip.compress(OLD))

    assert changed(known, path) == verdict


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_packed_file_that_was_cut_and_is_whole_now_has_changed(
    path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """What it held when it was cut cannot be told any more, so its rows are to be compared."""
    whole = pack(OLD)
    path.write_bytes(whole[: len(whole) // 2])
    known = identity(path)
    path.write_bytes(whole)

    assert changed(known, path) == "changed"


def test_a_missing_input_is_named(path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        identity(path.with_name("nowhere"))
    with pytest.raises(InputError, match="nowhere"):
        changed(identity(path), path.with_name("nowhere"))

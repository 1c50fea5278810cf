"""Several files change together, at whatever moment the process is killed."""

import base64
from pathlib import Path

import orjson
import pytest

from batcher.errors import StorageError
from batcher.storage.durable import DirectoryLock
from batcher.storage.swap import Swap, finish, finish_if_idle

NAMES = ("a.jsonl", "b.jsonl", "c.jsonl")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A directory with the old content of two of the three files."""
    for name in NAMES[:2]:
        (tmp_path / name).write_bytes(b"old\n")
    return tmp_path


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


NEW = dict.fromkeys(NAMES, b"new\n")


def write(swap: Swap) -> None:
    for name in NAMES:
        swap.file(name)(b"ne")
        swap.file(name)(b"w\n")


def test_all_files_are_replaced_together(old: Path) -> None:
    with Swap(old) as swap:
        write(swap)
        assert (old / "a.jsonl").read_bytes() == b"old\n"
        swap.commit()

    assert content(old) == NEW


def test_without_a_commit_nothing_changes(old: Path) -> None:
    before = content(old)
    with Swap(old) as swap:
        write(swap)

    assert content(old) == before


def test_a_kill_before_the_commit_leaves_the_old_files(old: Path) -> None:
    before = content(old)
    for name in NAMES:
        (old / f".next-{name}").write_bytes(b"half")

    finish(old)

    assert content(old) == before


@pytest.mark.parametrize("moved", range(4))
def test_a_kill_after_the_commit_is_completed(old: Path, moved: int) -> None:
    """The mark is on the disk, and so many files had taken their places."""
    for name in NAMES:
        (old / f".next-{name}").write_bytes(b"new\n")
    (old / ".swap.json").write_bytes(orjson.dumps(NAMES))
    for name in NAMES[:moved]:
        (old / f".next-{name}").rename(old / name)

    finish(old)
    finish(old)

    assert content(old) == NEW


@pytest.mark.parametrize("mark", [b"", b'["a.jso', b"{}", b'[1, "a.jsonl"]', b'["../a.jsonl"]'])
@pytest.mark.parametrize("moved", [0, 2])
def test_a_damaged_mark_is_kept_and_what_was_committed_is_completed(
    old: Path, mark: bytes, moved: int
) -> None:
    for name in NAMES:
        (old / f".next-{name}").write_bytes(b"new\n")
    (old / ".swap.json").write_bytes(mark)
    for name in NAMES[:moved]:
        (old / f".next-{name}").rename(old / name)

    finish(old)
    finish(old)

    (kept,) = (old / "quarantine.jsonl").read_bytes().splitlines()
    record = orjson.loads(kept)
    assert (record["file"], base64.b64decode(record["base64"])) == (".swap.json", mark)
    assert {name: data for name, data in content(old).items() if name in NAMES} == NEW
    assert not list(old.glob(".*"))


def test_a_reader_completes_only_what_nobody_works_on(old: Path) -> None:
    (old / ".next-a.jsonl").write_bytes(b"new\n")
    finish_if_idle(old)
    assert (old / ".next-a.jsonl").exists()

    (old / ".swap.json").write_bytes(orjson.dumps(["a.jsonl"]))
    with DirectoryLock(old):
        finish_if_idle(old)
        assert (old / "a.jsonl").read_bytes() == b"old\n"
    finish_if_idle(old)
    assert (old / "a.jsonl").read_bytes() == b"new\n"


def test_a_directory_that_takes_no_files_is_said(old: Path) -> None:
    (old / ".next-a.jsonl").mkdir()
    with Swap(old) as swap, pytest.raises(StorageError, match="cannot write"):
        swap.file("a.jsonl")

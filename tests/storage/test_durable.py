import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from batcher.errors import Exit, LockedError, StorageError
from batcher.storage.durable import AppendFile, DirectoryLock, replacing, write_atomic


class FailingWriter:
    """os.write that fails as told: (bytes it takes first, errno then)."""

    def __init__(self, takes: int, error: int) -> None:
        self.takes, self.error, self.broken = takes, error, True

    def __call__(self, fd: int, data: bytes) -> int:
        if not self.broken:
            return os.write(fd, data)
        if self.takes <= 0:
            raise OSError(self.error, os.strerror(self.error))
        taken = os.write(fd, data[: self.takes])
        self.takes -= taken
        return taken


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, 0])
@pytest.mark.parametrize("takes", [0, 1, 5])
def test_a_failed_append_leaves_nothing_behind(tmp_path: Path, error: int, takes: int) -> None:
    path = tmp_path / "f.jsonl"
    writer = FailingWriter(takes, error)
    writer.broken = False
    file = AppendFile(path, write=writer)
    file.append(b"whole\n")
    writer.broken = True

    with pytest.raises(StorageError) as caught:
        file.append(b"never\n")

    assert path.read_bytes() == b"whole\n"
    assert caught.value.exit_code == Exit.STORAGE
    assert str(path) in str(caught.value)
    writer.broken = False
    file.append(b"after\n")
    file.close()
    assert path.read_bytes() == b"whole\nafter\n"
    assert file.size == 12


def test_a_short_write_is_finished(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "f", write=lambda fd, data: os.write(fd, data[:3]))

    file.append(b"0123456789\n")

    file.close()
    assert (tmp_path / "f").read_bytes() == b"0123456789\n"


def test_a_writer_that_takes_nothing_is_a_fault_and_no_endless_loop(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "f", write=lambda fd, data: 0)

    with pytest.raises(StorageError):
        file.append(b"x\n")

    file.close()


def test_every_line_passes_through_clean(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "f", clean=lambda data: data.replace(b"secret", b"***"))

    file.append(b"a secret\n")

    file.close()
    assert (tmp_path / "f").read_bytes() == b"a ***\n"


@pytest.mark.parametrize("how", ["unlink", "rename", "replace"])
def test_sync_notices_that_the_file_has_gone(tmp_path: Path, how: str) -> None:
    path = tmp_path / "f"
    file = AppendFile(path)
    file.append(b"x\n")
    if how == "rename":
        path.rename(tmp_path / "g")
    else:
        path.unlink()
        if how == "replace":
            path.write_bytes(b"other")

    with pytest.raises(StorageError, match="removed, moved or replaced"):
        file.sync()

    file.close()


def test_sync_in_a_thread_and_close_do_not_meet(tmp_path: Path) -> None:
    """A descriptor closed under fsync may by then belong to another file."""
    for _ in range(20):
        file = AppendFile(tmp_path / "f")
        file.append(b"x\n")
        thread = threading.Thread(target=file.sync)
        thread.start()
        file.close()
        file.close()
        thread.join()
        file.sync()

    assert (tmp_path / "f").read_bytes() == b"x\n" * 20


def test_opening_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError, match="part of the path is a file"):
        AppendFile(tmp_path / "file" / "f")
    with pytest.raises(StorageError, match="no such file"):
        AppendFile(tmp_path / "nowhere" / "f")
    with pytest.raises(StorageError, match="too long"):
        AppendFile(tmp_path / ("x" * 300))
    with pytest.raises(StorageError, match="is a directory"):
        AppendFile(tmp_path)


def test_the_limit_of_open_files_is_named(tmp_path: Path) -> None:
    code = (
        "import resource, pathlib, sys\n"
        "from batcher.errors import StorageError\n"
        "from batcher.storage.durable import AppendFile, DirectoryLock\n"
        "held = [open('/dev/null')]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (held[0].fileno() + 1,) * 2)\n"
        "for make in (lambda p: AppendFile(p / 'f'), lambda p: DirectoryLock(p).acquire()):\n"
        "    try: make(pathlib.Path(sys.argv[1]))\n"
        "    except StorageError as error: assert 'too many files open' in str(error), error\n"
        "    else: raise AssertionError\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], check=False, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr


def test_a_file_size_limit_leaves_whole_lines_only(tmp_path: Path) -> None:
    """A real short write: the kernel takes what fits below the limit, then says EFBIG."""
    code = (
        "import resource, pathlib, sys\n"
        "from batcher.errors import StorageError\n"
        "from batcher.storage.durable import AppendFile\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "file = AppendFile(pathlib.Path(sys.argv[1]))\n"
        "try:\n"
        "    while True: file.append(b'0123456789abcde\\n')\n"
        "except StorageError as error: assert 'largest size' in str(error), error\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "f"], check=True)

    assert (tmp_path / "f").read_bytes() == b"0123456789abcde\n" * 6


def test_unicode_and_long_names_work(tmp_path: Path) -> None:
    directory = tmp_path / ("ü" * 100) / ("日本" * 40)
    with DirectoryLock(directory):
        path = directory / ("é" * 127)
        write_atomic(path, b"a")
        file = AppendFile(path)
        file.append(b"b\n")
        file.close()

    assert path.read_bytes() == b"ab\n"


def test_a_failed_replacement_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_atomic(path, b"old")

    with pytest.raises(ZeroDivisionError), replacing(path) as write:
        write(b"new")
        raise ZeroDivisionError

    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["run.json"]


def test_replacing_into_a_missing_directory_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"run\.json"):
        write_atomic(tmp_path / "gone" / "run.json", b"")


def hold(directory: Path, ready: "multiprocessing.synchronize.Event") -> None:
    DirectoryLock(directory).acquire()
    ready.set()
    signal.pause()


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    first = context.Process(target=hold, args=(tmp_path, ready), daemon=True)
    first.start()
    assert ready.wait(20)

    with pytest.raises(LockedError, match=f"process {first.pid}") as caught:
        DirectoryLock(tmp_path).acquire()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    first.join()

    assert caught.value.exit_code == Exit.LOCKED
    with DirectoryLock(tmp_path):
        pass


def test_the_same_process_cannot_take_it_twice_either(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path)
    with lock, pytest.raises(LockedError, match=str(os.getpid())):
        DirectoryLock(tmp_path).acquire()
    lock.release()

    DirectoryLock(tmp_path).acquire().release()


def test_taking_the_lock_removes_drafts_of_a_killed_run(tmp_path: Path) -> None:
    (tmp_path / ".draft-1-1").write_bytes(b"half")

    with DirectoryLock(tmp_path):
        left = [each.name for each in tmp_path.iterdir()]

    assert left == [".lock"]


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_locks_hold_no_file_open_after_release(tmp_path: Path) -> None:
    before = open_files()
    for _ in range(10):
        with DirectoryLock(tmp_path), pytest.raises(LockedError):
            DirectoryLock(tmp_path).acquire()

    assert open_files() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_a_full_disk_stops_between_whole_lines_and_goes_on_when_freed(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        line = b"x" * 999 + b"\n"
        (tmp_path / "ballast").write_bytes(b"b" * 20_000)
        file = AppendFile(tmp_path / "f")
        with pytest.raises(StorageError, match="disk is full"):
            for _ in range(100):
                file.append(line)
        stored = (tmp_path / "f").read_bytes()
        with pytest.raises(StorageError, match="disk is full"):
            write_atomic(tmp_path / "run.json", b"y" * 65_000)
        (tmp_path / "ballast").unlink()
        file.append(line)
        file.sync()
        file.close()
        after = (tmp_path / "f").read_bytes()
    finally:
        subprocess.run(["umount", tmp_path], check=True)

    assert stored
    assert stored == line * (len(stored) // len(line))
    assert after == stored + line

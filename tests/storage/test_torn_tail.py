"""The record files cut at every byte of their last two records, with and without garbage after."""

import base64
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from batcher.records import Failure, FailureKind, Outcome, RowId, Status
from batcher.storage.ledger import scan
from batcher.storage.results import FAILURES, RESULTS, RecordSink
from batcher.storage.tail import repair_tail
from tests.storage.contract import an_outcome

HALF = b'{"id":"r-9","line":9,"status":"ok","text":"hal'
GARBAGE = [
    b"",
    b"\0" * 40,
    b"\0\n",
    HALF,
    HALF + b"\n",
    b"\xff\xfe garbage",
    b"]\n{\n",
    b"\n\n",
    b"{}\n",
    b"{}",
]
THOROUGH = [b"", HALF]
SHARED_MEMORY = Path("/dev/shm")


def a_failure(line: int) -> Outcome:
    failure = Failure(kind=FailureKind.SERVER, message='said "no" \\ and\nbroke off')
    return Outcome(
        id=RowId(f'quote " and \\ {line}'),
        line=line,
        status=Status.FAILED,
        failure=failure,
        body="hé".encode(),
    )


@pytest.fixture(params=[RESULTS, FAILURES])
def whole(request: pytest.FixtureRequest) -> Iterator[tuple[Path, list[bytes]]]:
    """A record file of four records, and its lines; in memory, for thousands of repairs sync."""
    place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as name:
        yield whole_files(Path(name), request.param)


def whole_files(directory: Path, name: str) -> tuple[Path, list[bytes]]:
    make = an_outcome if name == RESULTS else a_failure
    sink = RecordSink(directory)
    for line in range(1, 5):
        sink.write(make(line))
    sink.close()
    path = directory / name
    return path, path.read_bytes().splitlines(keepends=True)


def quarantined(path: Path) -> bytes:
    kept = path.with_name("quarantine.jsonl")
    if not kept.exists():
        return b""
    records = [orjson.loads(line) for line in kept.read_bytes().splitlines()]
    return b"".join(base64.b64decode(each["base64"]) for each in records)


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_a_file_cut_at_any_byte_keeps_every_whole_record_and_every_byte(
    whole: tuple[Path, list[bytes]], garbage: bytes
) -> None:
    path, lines = whole
    data = b"".join(lines)
    last_two = len(lines[0]) + len(lines[1])
    # A record that lacks only its newline is whole.
    ends = [len(b"".join(lines[:count])) - 1 for count in range(1, 5)]
    step = 1 if garbage in THOROUGH else 7
    for cut in [*range(last_two, len(data), step), *ends[2:], len(data)]:
        path.with_name("quarantine.jsonl").unlink(missing_ok=True)
        path.write_bytes(data[:cut] + garbage)
        expected = sum(end <= cut for end in ends)

        settled_before_repair = scan(path.parent).settled
        repair_tail(path)

        kept = path.read_bytes()
        assert kept == b"".join(lines[:expected]), cut
        odd = quarantined(path)
        assert (kept + odd).replace(b"\n", b"") == (data[:cut] + garbage).replace(b"\n", b""), cut
        ledger = scan(path.parent)
        assert ledger.settled == expected
        assert ledger.odd == 0
        # Reading before the repair never says otherwise than reading after it.
        assert settled_before_repair == expected
        assert repair_tail(path) is None


def test_what_is_whole_is_left_alone(whole: tuple[Path, list[bytes]]) -> None:
    path, lines = whole

    assert repair_tail(path) is None

    assert path.read_bytes() == b"".join(lines)
    assert not path.with_name("quarantine.jsonl").exists()


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"{", b"garbage", b"\0" * 5000, b"[1]\n", b"1", b"{}\n"]
)
def test_a_file_without_any_record_becomes_empty(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / RESULTS
    path.write_bytes(data)

    repair_tail(path)

    assert path.read_bytes() == b""
    assert quarantined(path).strip() == data.strip()


def test_a_missing_file_needs_no_repair(tmp_path: Path) -> None:
    assert repair_tail(tmp_path / RESULTS) is None


def test_a_torn_record_of_many_megabytes_is_found(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    torn = b'{"id":"x","text":"' + b"y" * 5_000_000
    path.write_bytes(b'{"id":"a","line":1,"status":"ok"}\n' + torn)

    repair = repair_tail(path)

    assert repair is not None
    assert repair.cut_bytes == len(torn)
    assert quarantined(path) == torn


def test_opening_the_sink_repairs_before_it_appends(tmp_path: Path) -> None:
    """A record glued to half a record is two lost."""
    (tmp_path / RESULTS).write_bytes(HALF)

    sink = RecordSink(tmp_path)
    sink.write(an_outcome(1))
    sink.close()

    assert [each.file for each in sink.repairs] == [RESULTS]
    assert [orjson.loads(x)["line"] for x in (tmp_path / RESULTS).read_bytes().splitlines()] == [1]

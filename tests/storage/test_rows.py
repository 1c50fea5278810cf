import gzip
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.errors import InputError, MissingExtraError
from batcher.ports import Source
from batcher.records import Row
from batcher.storage.choice import Choice
from batcher.storage.ledger import Ledger
from batcher.storage.lines import LineCutter
from batcher.storage.parse import parse
from batcher.storage.rows import FileSource, count_rows
from tests.storage.contract import LINES, ROWS, SourceContract, rows_of


class TestPlainFile(SourceContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[..., Source]:
        return lambda data, **how: FileSource(stored(tmp_path, data), **how)


class TestGzip(SourceContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[..., Source]:
        return lambda data, **how: FileSource(stored(tmp_path, gzip.compress(data)), **how)


class TestGzipOfManyMembers(SourceContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[..., Source]:
        def packed(data: bytes) -> bytes:
            step = max(1, len(data) // 5)
            parts = [data[at : at + step] for at in range(0, len(data) or 1, step)]
            return b"".join(gzip.compress(part) for part in parts) + b"\0" * 512

        return lambda data, **how: FileSource(stored(tmp_path, packed(data)), **how)


class TestZstd(SourceContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[..., Source]:
        def packed(data: bytes) -> bytes:
            step = max(1, len(data) // 3)
            parts = [data[at : at + step] for at in range(0, len(data), step)]
            return b"".join(zstandard.ZstdCompressor().compress(part) for part in parts)

        return lambda data, **how: FileSource(stored(tmp_path, packed(data)), **how)


def stored(directory: Path, data: bytes, name: str = "in.jsonl") -> Path:
    path = directory / name
    path.write_bytes(data)
    return path


async def rows_and_error(path: Path) -> tuple[list[Row], InputError | None]:
    rows: list[Row] = []
    try:
        async for row in FileSource(path).rows(Ledger()):
            rows.append(row)  # noqa: PERF401 - those before the error count
    except InputError as error:
        return rows, error
    return rows, None


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{broken", "not valid JSON"),
        (b'{"a":1,}', "character 7"),
        (b'{"a":1} {"b":2}', "not valid JSON"),
        (b"{'a':1}", "not valid JSON"),
        (b'{"a":NaN}', "not valid JSON"),
        (b'{"a":1', "not valid JSON"),
        (b"[1,2]", "an array"),
        (b"null", "null"),
        (b'"text"', "a string"),
        (b"12", "a number"),
        (b"1.5", "a number"),
        (b"true", "true or false"),
        (b'{"a":"\0"}', "NUL byte at character 7"),
        (b"\0\0\0", "NUL byte"),
        (b'{"a":"\\ud800"}', "half a character"),
        (b'{"a":"\\udc00x"}', "half a character"),
        (b'{"a":"\xff"}', "not UTF-8: byte 0xff at byte 7"),
        (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
        (b'{"a":1}\r{"a":2}\r', "CR only"),
        (b"[" * 5000, "not valid JSON"),
    ],
)
def test_a_bad_line_says_what_is_wrong_with_it(raw: bytes, words: str) -> None:
    row = parse(3, raw)

    assert row.line == 3
    assert row.data is None
    assert row.problem is not None
    assert words in row.problem
    assert len(row.problem) < 250


@settings(max_examples=300)
@given(
    st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))),
    st.integers(1, 40),
)
def test_any_bytes_are_one_row_a_line_however_they_are_cut_into_blocks(
    lines: list[bytes], block: int
) -> None:
    data = b"\n".join(lines)
    cutter = LineCutter()
    found = []
    for at in range(0, len(data), block):
        found += list(cutter.feed(data[at : at + block]))
    if cutter.holds:
        found += list(cutter.flush())

    rows = [parse(number, raw or b"") for number, raw in found]
    expected = [(n, line) for n, line in enumerate(lines, 1) if line.strip()]
    assert expected == found
    counter = LineCutter()
    counted = sum(counter.count(data[at : at + block]) for at in range(0, len(data), block))
    assert counted + len(list(counter.flush())) == len(found)
    assert all((row.data is None) == (row.problem is not None) for row in rows)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=30))
def test_any_file_gives_rows_or_one_sentence(lines: list[bytes]) -> None:
    import asyncio
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = stored(Path(directory), b"\n".join(lines))
        rows, error = asyncio.run(rows_and_error(path))

    if error is None:
        text = b"\n".join(lines).removeprefix(b"\xef\xbb\xbf")
        expected = [n for n, line in enumerate(text.split(b"\n"), 1) if line.strip()]
        assert expected == [row.line for row in rows]


async def test_a_line_beyond_the_limit_is_one_row_and_the_next_is_fine(tmp_path: Path) -> None:
    data = b'{"a":1}\n' + b"x" * 3_000_000 + b'\n{"a":2}\n' + b"y" * 3_000_000

    rows = await rows_of(FileSource(stored(tmp_path, data), max_line_bytes=2 << 20))

    assert [(row.line, row.problem is None) for row in rows] == [
        (1, True),
        (2, False),
        (3, True),
        (4, False),
    ]
    assert "longer than 2 MB" in str(rows[1].problem)


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def flipped(data: bytes) -> bytes:
    middle = len(data) * 2 // 3
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 40])


def without_checksum(data: bytes) -> bytes:
    return data[:-8] + bytes(8)


MANY = b"".join(b'{"n":%d,"x":"%08x"}\n' % (n, zlib.crc32(b"%d" % n)) for n in range(1, 20_001))


@pytest.mark.parametrize(
    ("packed", "damage"),
    [
        (gzip.compress(MANY), cut),
        (gzip.compress(MANY), flipped),
        (gzip.compress(MANY), without_checksum),
        (zstandard.ZstdCompressor(write_checksum=True).compress(MANY), cut),
        (zstandard.ZstdCompressor(write_checksum=True).compress(MANY), flipped),
        (gzip.compress(MANY) + b"trailing garbage", bytes),
    ],
)
async def test_rows_before_the_damage_of_a_packed_file_are_kept(
    tmp_path: Path, packed: bytes, damage: Callable[[bytes], bytes]
) -> None:
    path = stored(tmp_path, damage(packed), "in.gz")

    rows, error = await rows_and_error(path)

    assert error is not None
    assert str(path) in str(error)
    assert "damaged" in str(error)
    assert [row.line for row in rows] == list(range(1, len(rows) + 1))
    if damage is cut:
        assert len(rows) > 10_000
        assert [row.data["n"] for row in rows] == list(range(1, len(rows) + 1))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ('{"a":1}\n'.encode("utf-16"), "iconv"),
        ('{"a":1}\n'.encode("utf-16-be"), "iconv"),
        ('{"a":1}\n'.encode("utf-16-le"), "iconv"),
        (b"PK\x03\x04rest", "zip"),
        (b"PAR1rest", "Parquet"),
        (b"SQLite format 3\0rest", "SQLite"),
        (b"\x7fELF" + bytes(100_000), "binary"),
        (gzip.compress('{"a":1}\n'.encode("utf-16")), "iconv"),
    ],
)
async def test_what_is_no_text_is_refused_with_a_fix(
    tmp_path: Path, data: bytes, words: str
) -> None:
    _, error = await rows_and_error(stored(tmp_path, data))

    assert error is not None
    assert words in str(error)


async def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.jsonl", tmp_path):
        _, error = await rows_and_error(path)

        assert error is not None
        assert str(path) in str(error)


async def test_zstd_without_its_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stored(tmp_path, zstandard.ZstdCompressor().compress(b"{}"))
    monkeypatch.setitem(sys.modules, "zstandard", None)

    with pytest.raises(MissingExtraError, match=r"batcher\[zstd\]"):
        await rows_of(FileSource(path))


def open_files() -> set[Path]:
    return {each.resolve() for each in Path("/proc/self/fd").iterdir()}


async def test_a_reader_that_stops_early_leaves_no_file_open(tmp_path: Path) -> None:
    source = FileSource(stored(tmp_path, MANY))
    rows = source.rows(Ledger())
    async for _ in rows:
        break
    await rows.aclose()

    assert tmp_path / "in.jsonl" not in open_files()


def test_counting_follows_the_choice(tmp_path: Path) -> None:
    path = stored(tmp_path, b"\n".join(LINES))

    assert count_rows(path) == len(ROWS)
    assert count_rows(path, limit=2) == 2
    assert count_rows(path, choice=Choice(shard=(1, 2))) == 4


async def test_every_row_is_in_exactly_one_shard(tmp_path: Path) -> None:
    path = stored(tmp_path, MANY)

    shards = [await lines_of(path, shard=(i, 7)) for i in range(1, 8)]

    assert sorted(line for shard in shards for line in shard) == list(range(1, 20_001))


async def test_a_sample_is_exact_repeatable_and_spread(tmp_path: Path) -> None:
    path = stored(tmp_path, MANY)

    one = await lines_of(path, sample=1000, seed=1)
    again = await lines_of(path, sample=1000, seed=1)
    other = await lines_of(path, sample=1000, seed=2)
    all_of_them = await lines_of(path, sample=30_000)
    shard = await lines_of(path, sample=100, shard=(2, 4))

    assert one == again
    assert len(one) == len(other) == 1000
    assert len(set(one) & set(other)) < 100
    assert 400 < sum(line <= 10_000 for line in one) < 600
    assert len(all_of_them) == 20_000
    assert len(shard) == 100
    assert {line % 4 for line in shard} == {2}


async def test_a_limit_counts_what_the_rest_of_the_choice_takes(tmp_path: Path) -> None:
    assert await lines_of(stored(tmp_path, MANY), shard=(3, 10), limit=2) == [3, 13]


async def lines_of(path: Path, **choice: Any) -> list[int]:
    return [row.line for row in await rows_of(FileSource(path, choice=Choice(**choice)))]


def test_a_choice_survives_its_settings() -> None:
    for choice in (
        Choice(),
        Choice(limit=3),
        Choice(shard=(2, 3)),
        Choice(sample=9, seed=4, shard=(1, 2)),
    ):
        assert Choice.from_settings(choice.settings()) == choice


MEASURE = """
import asyncio, resource, sys
from pathlib import Path
from batcher.storage.ledger import Ledger
from batcher.storage.rows import FileSource
async def main():
    ledger = Ledger()
    async for row in FileSource(Path(sys.argv[1])).rows(ledger):
        ledger.add(row.line)
    return ledger.settled
print(asyncio.run(main()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    peaks = []
    for rows in (2_000, 200_000):
        path = tmp_path / f"{rows}.jsonl"
        with path.open("wb") as file:
            for n in range(rows):
                file.write(b'{"id":"r-%d","prompt":"%s"}\n' % (n, b"x" * 900))
        told = subprocess.run(
            [sys.executable, "-c", MEASURE, path], check=True, capture_output=True, text=True
        ).stdout.split()
        assert int(told[0]) == rows
        peaks.append(int(told[1]))

    assert peaks[1] - peaks[0] < 4_000, "kilobytes"

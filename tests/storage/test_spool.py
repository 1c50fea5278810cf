import asyncio
import gzip
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import orjson
import pytest

from batcher.errors import BatcherError, InputError, StorageError
from batcher.ports import Source
from batcher.records import Row
from batcher.storage.choice import Choice
from batcher.storage.ledger import Ledger
from batcher.storage.rows import SpooledSource
from tests.storage.contract import SourceContract, rows_of

ITEMS = [{"n": n, "text": "x" * 50} for n in range(1, 1001)]
TEXT = b"".join(orjson.dumps(item) + b"\n" for item in ITEMS)


class TestStream(SourceContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[..., Source]:
        return lambda data, **how: SpooledSource(io.BytesIO(data), tmp_path / "spool", **how)


class TestPackedStream(SourceContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[..., Source]:
        return lambda data, **how: SpooledSource(
            io.BytesIO(gzip.compress(data)), tmp_path / "spool", **how
        )


class TestPipe(SourceContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Iterator[Callable[..., Source]]:
        ends: list[BinaryIO] = []

        def make(data: bytes, **how: int) -> Source:
            reader, writer = os.pipe()
            ends.append(os.fdopen(reader, "rb"))
            threading.Thread(target=pour, args=(writer, data), daemon=True).start()
            return SpooledSource(ends[0], tmp_path / "spool", **how)  # type: ignore[arg-type]

        yield make
        for end in ends:
            end.close()


class TestReplay(SourceContract):
    """The copy alone."""

    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[..., Source]:
        def make(data: bytes, **how: int) -> Source:
            (tmp_path / "spool").write_bytes(data.removeprefix(b"\xef\xbb\xbf"))
            return SpooledSource(None, tmp_path / "spool", complete=True, **how)  # type: ignore[arg-type]

        return make


def pour(fd: int, data: bytes) -> None:
    try:
        with os.fdopen(fd, "wb") as pipe:
            pipe.write(data)
    except BrokenPipeError:  # the reader had enough
        pass


async def taken(
    source: SpooledSource, count: int | None = None, settled: Ledger | None = None
) -> tuple[list[int], BatcherError | None]:
    """Lines of the first rows, and the error that ended them."""
    lines: list[int] = []
    rows = source.rows(settled or Ledger())
    try:
        async for row in rows:
            lines.append(row.line)
            if len(lines) == count:
                break
    except BatcherError as error:
        return lines, error
    finally:
        await rows.aclose()
    return lines, None


async def test_the_copy_is_the_input_byte_for_byte(tmp_path: Path) -> None:
    source = SpooledSource(io.BytesIO(TEXT + b'{"last":1}'), tmp_path / "spool")

    lines, _ = await taken(source)

    assert lines == list(range(1, 1002))
    assert (tmp_path / "spool").read_bytes() == TEXT + b'{"last":1}'
    assert source.complete


async def test_every_row_is_in_the_copy_before_it_is_given(tmp_path: Path) -> None:
    source = SpooledSource(iter(ITEMS), tmp_path / "spool")
    async for row in source.rows(Ledger()):
        held = (tmp_path / "spool").read_bytes()
        if row.line % 100 == 1:
            assert b'{"n":%d,' % row.line in held


@pytest.mark.parametrize("torn_at", [0, 1, 500, 30_000, len(TEXT) - 1, len(TEXT)])
async def test_a_stream_supplied_again_goes_on_where_the_copy_ends(
    tmp_path: Path, torn_at: int
) -> None:
    spool = tmp_path / "spool"
    spool.write_bytes(TEXT[:torn_at])
    settled = Ledger()
    for line in range(1, 10):
        settled.add(line)

    source = SpooledSource(io.BytesIO(TEXT), spool)
    lines, error = await taken(source, settled=settled)

    assert error is None
    assert lines == list(range(10, 1001))
    assert spool.read_bytes() == TEXT
    assert source.complete


async def test_an_iterable_supplied_again_goes_on_where_the_copy_ends(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    first, _ = await taken(SpooledSource(iter(ITEMS), spool), 5)

    source = SpooledSource(iter(ITEMS), spool)
    lines, error = await taken(source)

    assert error is None
    assert first == [1, 2, 3, 4, 5]
    assert lines == list(range(1, 1001))
    assert spool.read_bytes() == TEXT


@pytest.mark.parametrize("stream", [None, io.BytesIO(b"")])
async def test_without_the_stream_the_copy_serves_but_not_its_torn_line(
    tmp_path: Path, stream: BinaryIO | None
) -> None:
    """Half a line would become an invalid row, and settle it for ever."""
    spool = tmp_path / "spool"
    spool.write_bytes(TEXT[:205])
    whole = TEXT[:205].count(b"\n")

    source = SpooledSource(stream, spool)
    lines, error = await taken(source)

    assert lines == list(range(1, whole + 1))
    assert isinstance(error, InputError)
    assert "ends in the middle of a line" in str(error)
    assert not source.complete


async def test_without_the_stream_even_whole_lines_may_not_be_all(tmp_path: Path) -> None:
    """The copy, supplied as the stream, says that there is no more of it."""
    spool = tmp_path / "spool"
    spool.write_bytes(TEXT)

    alone, error = await taken(SpooledSource(None, spool))
    source = SpooledSource(io.BytesIO(TEXT), spool)
    again, nothing = await taken(source)

    assert alone == again == list(range(1, 1001))
    assert "before the end of the input was seen" in str(error)
    assert nothing is None
    assert source.complete


async def test_a_whole_copy_needs_no_stream(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(TEXT + b'{"last":1}')

    source = SpooledSource(None, tmp_path / "spool", complete=True)
    lines, _ = await taken(source)

    assert len(lines) == 1001
    assert source.complete


@pytest.mark.real_time
async def test_a_whole_copy_does_not_wait_for_a_silent_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batcher.storage.spool._FIRST_BYTE_S", 0.01)
    (tmp_path / "spool").write_bytes(TEXT)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb"):
        lines, error = await taken(SpooledSource(stream, tmp_path / "spool", complete=True))

    assert error is None
    assert len(lines) == 1000


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (TEXT.replace(b'"n":700,', b'"n":701,'), "differs from line 700 on"),
        (b'{"other":1}\n' * 2000, "differs from line 1 on"),
        (TEXT[:30_000], "ends in line"),
    ],
)
async def test_another_stream_is_refused(
    tmp_path: Path, stream: bytes, words: str, complete: bool
) -> None:
    (tmp_path / "spool").write_bytes(TEXT)

    source = SpooledSource(io.BytesIO(stream), tmp_path / "spool", complete=complete)
    _, error = await taken(source)

    assert isinstance(error, InputError)
    assert words in str(error)
    assert (tmp_path / "spool").read_bytes() == TEXT


async def test_a_longer_stream_appends_to_the_copy(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(TEXT)

    source = SpooledSource(io.BytesIO(TEXT + TEXT), tmp_path / "spool", complete=True)
    lines, error = await taken(source)

    assert error is None
    assert len(lines) == 2000
    assert (tmp_path / "spool").read_bytes() == TEXT + TEXT


async def test_an_iterable_that_raises_ends_the_input_after_what_it_gave(tmp_path: Path) -> None:
    def items() -> Iterator[object]:
        yield from ITEMS[:3]
        raise ValueError("no more")

    source = SpooledSource(items(), tmp_path / "spool", name="rows")
    lines, error = await taken(source)

    assert lines == [1, 2, 3]
    assert isinstance(error, InputError)
    assert "rows failed after row 3: ValueError: no more" in str(error)
    assert not source.complete


async def test_items_that_are_no_json_objects_are_rows_with_a_problem(tmp_path: Path) -> None:
    items: Iterable[object] = [{"a": 1}, {"s": {1, 2}}, "text", {"x": "\ud800"}, {1: 2}, None]

    rows: list[Row] = await rows_of(SpooledSource(items, tmp_path / "spool"))
    again: list[Row] = await rows_of(SpooledSource(None, tmp_path / "spool", complete=True))

    assert [row.problem is None for row in rows] == [True] + [False] * 5
    assert "cannot be written as JSON" in str(rows[1].problem)
    assert [row.problem for row in rows] == [row.problem for row in again]


@pytest.mark.real_time
async def test_rows_of_a_slow_stream_are_given_as_they_come(tmp_path: Path) -> None:
    """A producer that waits for the answer to its first row must get it."""
    answered = threading.Event()

    def items() -> Iterator[object]:
        yield {"n": 1}
        assert answered.wait(10)
        yield {"n": 2}

    lines = []
    async for row in SpooledSource(items(), tmp_path / "spool").rows(Ledger()):
        lines.append(row.line)
        answered.set()

    assert lines == [1, 2]


@pytest.mark.real_time
async def test_the_loop_is_free_while_a_stream_is_silent(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb") as pipe:
        rows = SpooledSource(stream, tmp_path / "spool").rows(Ledger())

        async def one() -> Row:
            return await anext(rows)

        async with asyncio.TaskGroup() as group:
            first = group.create_task(one())
            await asyncio.sleep(0.01)
            assert not first.done()
            pipe.write(b'{"n":1}\n')
            pipe.flush()
        await rows.aclose()

    assert first.result().data == {"n": 1}


async def test_a_fast_iterable_is_not_read_far_ahead(tmp_path: Path) -> None:
    given = 0

    def items() -> Iterator[object]:
        nonlocal given
        while given < 1_000_000:
            given += 1
            yield {"text": "x" * 1000}

    await taken(SpooledSource(items(), tmp_path / "spool"), 10)

    assert given < 10_000


async def test_a_copy_that_cannot_be_written_stops_the_run(tmp_path: Path) -> None:
    _, error = await taken(SpooledSource(iter(ITEMS), tmp_path / "missing" / "spool"))

    assert isinstance(error, StorageError)


def test_a_sample_of_a_stream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="write it to a file"):
        SpooledSource(None, tmp_path / "spool", choice=Choice(sample=3))

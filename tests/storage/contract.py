"""What every Source and every Sink must do, whatever stands behind it."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from batcher.ports import Sink, Source
from batcher.records import Attempt, Fingerprint, Outcome, Reply, Row, RowId, Status, Usage
from batcher.storage.ledger import Ledger

LINES = [
    b'{"prompt":"one"}',
    b"",
    b'{"prompt":"two"}\r',
    b"  \t ",
    b"[1,2]",
    b'{"prompt":"\xe2\x80\xa8 is no line end"}',
    b"{broken",
    b'{"prompt":"last"}',
]
ROWS = [1, 3, 5, 6, 7, 8]
BAD = [5, 7]


def an_outcome(line: int, *, text: str = "hello", body: bytes = b'{"a":1}') -> Outcome:
    """An answered row."""
    return Outcome(
        id=RowId(f"r-{line}"),
        line=line,
        status=Status.OK,
        reply=Reply(
            text=text,
            stop_reason="end_turn",
            model="m",
            usage=Usage(input_tokens=3, output_tokens=4),
            request_id=f"req_{line}",
        ),
        attempts=[Attempt(number=2, key="a", sent_at="2026-11-22T00:00:00.000Z", latency_s=0.25)],
        fingerprint=Fingerprint(f"{line:016x}" + "0" * 16),
        body=body,
    )


async def rows_of(source: Source, settled: Ledger | None = None) -> list[Row]:
    """All rows of a source."""
    return [row async for row in source.rows(settled or Ledger())]


class SourceContract:
    """Subclass it with a fixture `make` that turns the bytes of an input into a Source."""

    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[..., Source]:
        raise NotImplementedError

    async def test_every_line_that_holds_something_is_one_row(
        self, make: Callable[..., Source]
    ) -> None:
        rows = await rows_of(make(b"\n".join(LINES)))

        assert [row.line for row in rows] == ROWS
        assert [row.line for row in rows if row.problem] == BAD
        assert rows[0].data == {"prompt": "one"}

    async def test_settled_lines_are_skipped(self, make: Callable[..., Source]) -> None:
        settled = Ledger()
        for line in (1, 7):
            settled.add(line)

        rows = await rows_of(make(b"\n".join(LINES)), settled)

        assert [row.line for row in rows] == [3, 5, 6, 8]

    async def test_a_limit_counts_lines_that_hold_something(
        self, make: Callable[..., Source]
    ) -> None:
        settled = Ledger()
        settled.add(1)

        rows = await rows_of(make(b"\n".join(LINES), limit=3), settled)

        assert [row.line for row in rows] == [3, 5]

    async def test_an_empty_input_has_no_rows(self, make: Callable[..., Source]) -> None:
        assert await rows_of(make(b"")) == []

    async def test_a_byte_order_mark_at_the_start_is_no_fault(
        self, make: Callable[..., Source]
    ) -> None:
        rows = await rows_of(make(b'\xef\xbb\xbf{"a":1}\n\xef\xbb\xbf{"a":1}\n'))

        assert [row.problem is None for row in rows] == [True, False]

    async def test_a_line_of_five_megabytes_is_a_row(self, make: Callable[..., Source]) -> None:
        long = b'{"prompt":"' + b"x" * 5_000_000 + b'"}'

        rows = await rows_of(make(b'{"a":1}\n' + long + b'\n{"a":2}\n'))

        assert [len(row.data.get("prompt", "")) for row in rows] == [0, 5_000_000, 0]


class SinkContract:
    """Subclass it with fixtures `sink` and `records`, which reads back what was written."""

    def test_each_outcome_is_one_whole_line_at_once(
        self, sink: Sink, records: Callable[[], list[bytes]]
    ) -> None:
        sink.write(an_outcome(1))

        before_sync = records()

        sink.write(an_outcome(2, text="two\nlines \u2028 and more"))
        after = records()
        assert len(before_sync) == 1
        assert [orjson.loads(line)["line"] for line in after] == [1, 2]

    def test_sync_and_close_may_be_repeated(
        self, sink: Sink, records: Callable[[], list[bytes]]
    ) -> None:
        sink.write(an_outcome(1))
        sink.sync()
        sink.sync()
        sink.close()
        sink.close()
        sink.sync()

        assert len(records()) == 1

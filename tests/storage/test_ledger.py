from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.records import RowId, Status
from batcher.storage.ledger import Ledger, scan
from batcher.storage.results import FAILURES, RESULTS, RecordSink
from tests.storage.contract import an_outcome


def record(line: object, status: object = "ok", id_: object = "r", **more: Any) -> bytes:
    return orjson.dumps({"id": id_, "line": line, "status": status, **more}) + b"\n"


def scanned(tmp_path: Path, results: bytes, failures: bytes = b"") -> Ledger:
    (tmp_path / RESULTS).write_bytes(results)
    (tmp_path / FAILURES).write_bytes(failures)
    return scan(tmp_path)


def test_both_files_settle_rows(tmp_path: Path) -> None:
    ledger = scanned(
        tmp_path,
        record(1) + record(70_000),
        record(2, "failed") + record(9, "invalid") + record(3, "failed"),
    )

    assert [line for line in range(1, 100_000) if line in ledger] == [1, 2, 3, 9, 70_000]
    assert ledger.settled == 5
    assert ledger.max_line == 70_000
    assert ledger.counts == {"ok": 2, "failed": 2, "invalid": 1}
    assert ledger.status(9) is Status.INVALID
    assert ledger.status(10) is None
    assert (ledger.duplicates, ledger.odd) == (0, 0)


def test_no_directory_settles_nothing(tmp_path: Path) -> None:
    ledger = scan(tmp_path / "nowhere")

    assert ledger.settled == ledger.max_line == 0
    assert ledger.counts == {}
    assert 1 not in ledger


@pytest.mark.parametrize(
    "id_",
    [
        '","line":5,"status":"ok"',
        '\\","line":5,"status":"failed","x":"',
        "ends in a backslash \\",
        '"',
        "",
        "\n\u2028\0",
        "line",
    ],
)
def test_no_id_can_pose_as_a_line_number(tmp_path: Path, id_: str) -> None:
    ledger = scanned(tmp_path, record(7, id_=id_))

    assert [line for line in range(20) if line in ledger] == [7]
    assert ledger.counts == {"ok": 1}


@given(st.lists(st.tuples(st.text(), st.integers(1, 50), st.sampled_from(list(Status)))))
def test_the_prefix_reader_agrees_with_the_parser(rows: list[tuple[str, int, Status]]) -> None:
    expected: dict[int, Status] = {}
    for _, line, status in rows:
        expected.setdefault(line, status)
    ledger = Ledger()
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / RESULTS
        path.write_bytes(b"".join(record(n, s, i.replace("\ud800", "")) for i, n, s in rows))
        ledger.read(path)

    assert {line: ledger.status(line) for line in range(60) if line in ledger} == expected
    assert ledger.duplicates == len(rows) - len(expected)


def test_other_key_orders_and_spaces_are_read_too(tmp_path: Path) -> None:
    ledger = scanned(tmp_path, b'{"status": "ok", "line": 4, "id": "x"}\n')

    assert 4 in ledger


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"[]\n",
        b'{"id":"a","line":0,"status":"ok"}\n',
        b'{"id":"a","line":-3,"status":"ok"}\n',
        b'{"id":"a","line":1.5,"status":"ok"}\n',
        b'{"id":"a","line":true,"status":"ok"}\n',
        b'{"id":"a","line":1,"status":"great"}\n',
        b'{"id":"a","line":1,"status":7}\n',
        b'{"id":"a","line":1,"status":"ok","text":"half\n',
        b'{"id":"a","line":1,"status":"ok","text":"hole \0\0\0"}\n',
        b"\xff\xff\n",
        b'{"id":"a","line":1,"status":"ok"',
    ],
)
def test_what_is_no_record_settles_nothing_and_is_counted(tmp_path: Path, line: bytes) -> None:
    ledger = scanned(tmp_path, record(5) + line)

    assert ledger.settled == 1
    assert ledger.odd == 1


def test_blank_lines_are_not_odd(tmp_path: Path) -> None:
    assert scanned(tmp_path, b"\n  \n" + record(5)).odd == 0


def test_the_first_record_of_a_line_counts(tmp_path: Path) -> None:
    ledger = scanned(tmp_path, record(5) + record(5), record(5, "failed") + record(6, "failed"))

    assert ledger.duplicates == 2
    assert ledger.counts == {"ok": 1, "failed": 1}


def test_a_stray_huge_line_number_costs_no_memory(tmp_path: Path) -> None:
    far = 10**15
    ledger = scanned(tmp_path, record(far) + record(3) + record(far) + record(10**18))

    assert far in ledger
    assert ledger.max_line == max(far, 10**18)
    assert ledger.settled == 3
    assert ledger.duplicates == 1
    assert ledger.counts == {"ok": 3}


def test_lines_far_apart_are_all_known(tmp_path: Path) -> None:
    """A shard or a sample of a long input."""
    lines = [1, 20_000_000, 40_000_000, 60_000_000]

    ledger = scanned(tmp_path, b"".join(record(line) for line in reversed(lines)))

    assert all(line in ledger for line in lines)
    assert ledger.settled == 4


def test_add_settles_a_line(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.add(4)
    ledger.add(4, Status.FAILED)

    assert 4 in ledger
    assert ledger.counts == {"ok": 1}


def test_what_the_sink_writes_is_read_by_its_prefix(tmp_path: Path) -> None:
    sink = RecordSink(tmp_path)
    for line in (1, 2, 3):
        outcome = an_outcome(line, text='"line":9,"status":"failed", \\"line\\":')
        named = RowId(f'"line":{line + 5}')
        sink.write(replace(outcome, id=named, kept={"fingerprint": "f" * 32}))
    sink.close()

    ledger = scan(tmp_path)

    assert ledger.counts == {"ok": 3}
    assert [line for line in range(20) if line in ledger] == [1, 2, 3]

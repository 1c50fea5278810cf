"""Every answer that still has a row keeps one, and no record is lost."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.errors import StorageError
from batcher.records import Call, Failure, FailureKind, Fingerprint, Outcome, RowId, Status
from batcher.storage.again import OnlyThese, kind_of, set_aside
from batcher.storage.compare import Recorded
from batcher.storage.inspect import inspect
from batcher.storage.ledger import Ledger, scan
from batcher.storage.results import FAILURES, RESULTS, RecordSink
from batcher.storage.reuse import Reused, reuse
from batcher.storage.swap import Swap
from tests.storage.contract import an_outcome
from tests.support.builders import a_call

Old = tuple[int, bool]  # what the row asks, whether it was answered


def print_of(asks: int) -> Fingerprint:
    return Fingerprint(f"{asks:032x}")


def record(directory: Path, rows: Iterable[Old]) -> None:
    """Write the records of rows 1, 2, 3 ..."""
    sink = RecordSink(directory)
    for line, (asks, answered) in enumerate(rows, 1):
        outcome = replace(an_outcome(line), fingerprint=print_of(asks))
        if not answered:
            late = Failure(kind=FailureKind.TIMEOUT, message="late")
            outcome = replace(outcome, status=Status.FAILED, reply=None, failure=late)
        sink.write(outcome)
    sink.close()


def calls(asked: Iterable[int]) -> Iterator[Call]:
    for line, asks in enumerate(asked, 1):
        yield replace(a_call(line), fingerprint=print_of(asks))


def reused(directory: Path, made: Iterable[Call | Outcome]) -> Reused:
    with Swap(directory) as swap:
        done = reuse(directory, made, swap)
        swap.commit()
    return done


def records(directory: Path, name: str) -> list[dict[str, object]]:
    return [orjson.loads(each.raw) for each in inspect(directory / name)]


class TestReuse:
    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=12),
        st.lists(st.integers(0, 4), max_size=12),
    )
    def test_the_best_records_serve_the_rows_that_ask_the_same(
        self, old: list[Old], new: list[int]
    ) -> None:
        with TemporaryDirectory() as name:
            directory = Path(name)
            record(directory, old)

            done = reused(directory, calls(new))

            kept = records(directory, RESULTS) + records(directory, FAILURES)
            gone = records(directory, done.file) if done.file else []
            assert len(kept) == done.kept
            assert len(gone) == done.superseded == len(old) - len(kept)
            lines = [r["line"] for r in kept]
            assert len(set(lines)) == len(lines)
            for r in kept:
                assert isinstance(r["line"], int)
                assert r["fingerprint"] == print_of(new[r["line"] - 1])
                assert r["id"] == f"row-{r['line']}"
            had, answered = Counter(a for a, _ in old), Counter(a for a, ok in old if ok)
            want = Counter(new)
            assert len(kept) == sum((had & want).values())
            assert len(records(directory, RESULTS)) == sum((answered & want).values())

    def test_a_record_stays_at_its_line_where_it_can(self, tmp_path: Path) -> None:
        record(tmp_path, [(7, True), (7, True), (8, True)])

        done = reused(tmp_path, calls([8, 7, 7]))

        found = {r["line"]: r["request_id"] for r in records(tmp_path, RESULTS)}
        assert found == {1: "req_3", 2: "req_2", 3: "req_1"}
        assert done.moved == 3  # the second has another id

    def test_what_is_no_record_stays_where_it_is(self, tmp_path: Path) -> None:
        record(tmp_path, [(1, True), (2, True)])
        with (tmp_path / FAILURES).open("ab") as file:
            file.write(b"odd\n")

        reused(tmp_path, calls([2]))

        assert (tmp_path / FAILURES).read_bytes() == b"odd\n"

    def test_further_superseded_records_get_a_file_of_their_own(self, tmp_path: Path) -> None:
        record(tmp_path, [(1, True), (2, True)])

        assert reused(tmp_path, calls([2])).file == "superseded.1.jsonl"
        assert reused(tmp_path, calls([])).file == "superseded.2.jsonl"
        assert not list(tmp_path.glob(".*"))

    def test_a_directory_that_cannot_be_written_is_said(self, tmp_path: Path) -> None:
        record(tmp_path, [(1, True)])
        (tmp_path / ".draft-reuse").mkdir()
        with pytest.raises(StorageError, match="cannot write"):
            reused(tmp_path, calls([1]))


class TestRecorded:
    def test_gone_renamed_and_edited_rows_are_told_apart(self, tmp_path: Path) -> None:
        record(tmp_path, [(line, True) for line in range(1, 8)])
        now = [replace(call, id=RowId(f"r-{call.line}")) for call in calls(range(1, 6))]
        now[1] = replace(now[1], id=RowId("other"))
        now[3] = replace(now[3], fingerprint=print_of(99))

        found = Recorded(tmp_path).differences(now)

        assert [(d.line, d.what, d.old, d.new) for d in found.first] == [
            (2, "other id", "r-2", "other"),
            (4, "other request", "r-4", "r-4"),
            (6, "gone", "r-6", ""),
            (7, "gone", "r-7", ""),
        ]
        assert (found.count, found.misplaced) == (4, 3)
        assert Recorded(tmp_path).differences(now, requests=False).count == 3
        assert Recorded(tmp_path).differences(now, apart={4}).count == 3

    def test_the_first_five_are_named_and_all_are_counted(self, tmp_path: Path) -> None:
        record(tmp_path, [(line, True) for line in range(1, 100)])

        found = Recorded(tmp_path).differences([])

        assert [d.line for d in found.first] == [1, 2, 3, 4, 5]
        assert found.count == 99

    def test_a_stray_line_number_costs_no_memory(self, tmp_path: Path) -> None:
        (tmp_path / RESULTS).write_bytes(b'{"id":"x","line":999999999999,"status":"ok"}\n')

        recorded = Recorded(tmp_path)

        assert 999999999999 in recorded
        assert recorded.differences([]).count == 1


class TestSetAside:
    def test_chosen_records_move_and_the_others_stay(self, tmp_path: Path) -> None:
        record(tmp_path, [(1, False), (2, True), (3, False)])
        with Swap(tmp_path) as swap:
            name = set_aside(tmp_path, lambda each: each.line == 3, swap)
            swap.commit()

        assert name == "failures.1.jsonl"
        assert [r["line"] for r in records(tmp_path, name)] == [3]
        assert [r["line"] for r in records(tmp_path, FAILURES)] == [1]
        assert [kind_of(each) for each in inspect(tmp_path / FAILURES)] == ["timeout"]

    def test_a_run_sees_only_rows_that_were_set_free(self, tmp_path: Path) -> None:
        record(tmp_path, [(1, True), (2, True)])
        lines, ledger = Ledger(), scan(tmp_path)
        lines.add(3)
        lines.add(4)
        only = OnlyThese(lines, ledger)

        assert [line for line in range(1, 7) if line not in only] == [3, 4]
        only.add(3, Status.OK)
        assert [line for line in range(1, 7) if line not in only] == [4]
        assert ledger.settled == 3

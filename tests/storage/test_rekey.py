"""A record keeps every byte but those that name its row."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from batcher.records import Failure, FailureKind, Outcome, RowId, Status
from batcher.storage.rekey import fingerprint_of, rekeyed
from batcher.storage.results import FAILURES, RESULTS, RecordSink
from tests.storage.contract import an_outcome

BODY = b'{"big":123456789012345678901234567890,"response":{"a":1.10},"fingerprint":"no"}'


def written(tmp_path: Path, outcome: Outcome) -> bytes:
    sink = RecordSink(tmp_path)
    sink.write(outcome)
    sink.close()
    name = RESULTS if outcome.status is Status.OK else FAILURES
    return (tmp_path / name).read_bytes()


@pytest.fixture
def answered(tmp_path: Path) -> Outcome:
    outcome = an_outcome(3, text='a "fingerprint":"x" and ,"response": in it', body=BODY)
    return replace(
        outcome,
        id=RowId('quote " and \\ and é'),
        kept={"tag": {"response": [1], "fingerprint": "kept"}, "text": "own"},
    )


def test_the_same_row_is_the_same_bytes(tmp_path: Path, answered: Outcome) -> None:
    raw = written(tmp_path, answered)

    assert rekeyed(raw, row_id=answered.id, line=3, kept=answered.kept) == raw
    assert fingerprint_of(raw) == answered.fingerprint


def test_another_row_changes_id_and_line_and_nothing_else(
    tmp_path: Path, answered: Outcome
) -> None:
    raw = written(tmp_path, answered)

    new = rekeyed(raw, row_id='new "', line=77, kept=answered.kept)

    assert new.startswith(b'{"id":"new \\"","line":77,"status":"ok",')
    assert new.partition(b'"status"')[2] == raw.partition(b'"status"')[2]
    assert orjson.loads(new)["line"] == 77


def test_other_kept_fields_leave_the_body_as_it_came(tmp_path: Path, answered: Outcome) -> None:
    raw = written(tmp_path, answered)

    new = rekeyed(raw, row_id="r", line=1, kept={"tag": 2, "id": "own"})

    assert new.endswith(b',"response":' + BODY + b"}\n")
    value = orjson.loads(new)
    assert value["tag"] == 2
    assert value["input.id"] == "own"
    assert "input.text" not in value
    assert fingerprint_of(new) == answered.fingerprint


def test_a_secret_in_a_kept_field_stays_masked(tmp_path: Path, answered: Outcome) -> None:
    raw = written(tmp_path, answered)

    def clean(data: bytes) -> bytes:
        return data.replace(b"hush-hush", b"***")

    new = rekeyed(raw, row_id="hush-hush", line=1, kept={"tag": "hush-hush"}, clean=clean)

    assert b"hush" not in new


def test_a_failure_is_rekeyed_too(tmp_path: Path) -> None:
    failure = Failure(kind=FailureKind.TRUNCATED, message='"fingerprint":"0"')
    outcome = Outcome(
        id=RowId("f"), line=2, status=Status.TRUNCATED, failure=failure, kept={"a": 1}
    )
    raw = written(tmp_path, outcome)

    assert fingerprint_of(raw) is None
    assert orjson.loads(rekeyed(raw, row_id="g", line=9, kept={})) == {
        **{k: v for k, v in orjson.loads(raw).items() if k != "a"},
        "id": "g",
        "line": 9,
    }


def test_a_record_in_another_order_is_rekeyed_all_the_same() -> None:
    raw = b'{"status":"ok","line":4,"response":1,"fingerprint":"' + b"a" * 32 + b'","id":"x"}\n'

    assert orjson.loads(rekeyed(raw, row_id="y", line=5, kept={})) == {
        "status": "ok",
        "line": 5,
        "id": "y",
        "fingerprint": "a" * 32,
        "response": 1,
    }

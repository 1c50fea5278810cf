import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.errors import StorageError
from batcher.ports import Sink
from batcher.records import (
    Attempt,
    Failure,
    FailureKind,
    Fingerprint,
    Outcome,
    Reply,
    RowId,
    Status,
    Usage,
)
from batcher.secret import Redactor, Secret
from batcher.storage.encode import embedded, json_line
from batcher.storage.results import FAILURES, RESULTS, RecordSink
from tests.storage.contract import SinkContract, an_outcome


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


class TestRecordSink(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> Sink:
        return RecordSink(tmp_path)

    @pytest.fixture
    def records(self, tmp_path: Path) -> Callable[[], list[bytes]]:
        return lambda: (tmp_path / RESULTS).read_bytes().split(b"\n")[:-1]


def written(tmp_path: Path, outcome: Outcome, **settings: Any) -> dict[str, Any]:
    """The one record of this outcome."""
    sink = RecordSink(tmp_path, **settings)
    sink.write(outcome)
    sink.close()
    found = lines(tmp_path / RESULTS) + lines(tmp_path / FAILURES)
    assert len(found) == 1
    record: dict[str, Any] = orjson.loads(found[0])
    return record


def test_a_result_has_its_keys_in_the_documented_order(tmp_path: Path) -> None:
    kept = {"topic": ["a"], "text": "mine", "input.text": "mine too"}
    outcome = replace(an_outcome(17), kept=kept)

    record = written(tmp_path, outcome)

    finished_at = record.pop("finished_at")
    assert finished_at.endswith("Z")
    assert list(record.items()) == [
        ("id", "r-17"),
        ("line", 17),
        ("status", "ok"),
        ("text", "hello"),
        ("stop_reason", "end_turn"),
        (
            "usage",
            {
                "input_tokens": 3,
                "output_tokens": 4,
                "cache_read_tokens": 0,
                "cache_write_tokens": 0,
            },
        ),
        ("model", "m"),
        ("attempts", 2),
        ("latency_s", 0.25),
        ("key", "a"),
        ("request_id", "req_17"),
        ("fingerprint", "0000000000000011" + "0" * 16),
        ("topic", ["a"]),
        ("input.text", "mine"),
        ("input.input.text", "mine too"),
        ("response", {"a": 1}),
    ]
    line = lines(tmp_path / RESULTS)[0]
    assert line.startswith(b'{"id":"r-17","line":17,"status":"ok","text":')


def test_a_failure_has_its_keys_in_the_documented_order(tmp_path: Path) -> None:
    failure = Failure(
        kind=FailureKind.TRUNCATED,
        message="cut at max_tokens",
        status=200,
        error_type="max_tokens",
        reply=Reply(text="half", stop_reason="max_tokens", model="m", usage=Usage(output_tokens=9)),
    )
    outcome = Outcome(
        id=RowId("r"),
        line=3,
        status=Status.TRUNCATED,
        failure=failure,
        attempts=[
            Attempt(number=1, key="a", sent_at="s1", latency_s=1.23456, failure=failure),
            Attempt(number=2, key="b", sent_at="s2", latency_s=0.1),
        ],
        fingerprint=Fingerprint("f" * 32),
        kept={"topic": 1, "error": 2},
        body=b'{"id": "msg",\r\n "x": 1}',
    )

    record = written(tmp_path, outcome, hint=lambda given: f"raise it ({given.kind})")

    record.pop("finished_at")
    assert list(record.items()) == [
        ("id", "r"),
        ("line", 3),
        ("status", "truncated"),
        (
            "error",
            {
                "kind": "truncated",
                "status": 200,
                "type": "max_tokens",
                "message": "cut at max_tokens",
                "hint": "raise it (truncated)",
            },
        ),
        (
            "attempts",
            [
                {
                    "number": 1,
                    "key": "a",
                    "sent_at": "s1",
                    "latency_s": 1.235,
                    "kind": "truncated",
                    "status": 200,
                    "message": "cut at max_tokens",
                },
                {
                    "number": 2,
                    "key": "b",
                    "sent_at": "s2",
                    "latency_s": 0.1,
                    "kind": None,
                    "status": None,
                    "message": None,
                },
            ],
        ),
        ("fingerprint", "f" * 32),
        ("topic", 1),
        ("input.error", 2),
        ("text", "half"),
        ("stop_reason", "max_tokens"),
        (
            "usage",
            {
                "input_tokens": 0,
                "output_tokens": 9,
                "cache_read_tokens": 0,
                "cache_write_tokens": 0,
            },
        ),
        ("model", "m"),
        ("response", {"id": "msg", "x": 1}),
    ]


def test_a_failure_before_any_answer_says_nothing_of_one(tmp_path: Path) -> None:
    failure = Failure(kind=FailureKind.CONNECTION, message="refused")
    outcome = Outcome(id=RowId("r"), line=1, status=Status.FAILED, failure=failure)

    record = written(tmp_path, outcome)

    assert " ".join(record) == "id line status error attempts finished_at fingerprint"


def test_the_body_can_be_left_out(tmp_path: Path) -> None:
    assert "response" not in written(tmp_path, an_outcome(1), response=False)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"n": 123456789012345678901234567890}', None),
        (b'{\n  "a":\r\n [1,\n 2]\n}\n', {"a": [1, 2]}),
        (b"<html>\n502</html>", "<html>\n502</html>"),
        (b'data: {"x":1}\n\ndata: [DONE]\n\n', 'data: {"x":1}\n\ndata: [DONE]\n\n'),
        (b'{"a": "\xff"}', '{"a": "\ufffd"}'),
        (b'{"a": "\\ud800"}', '{"a": "\\ud800"}'),
        (b"", ""),
        (b'{"a":1', '{"a":1'),
        (b'{"a":"\xe2\x80\xa8"}', {"a": "\u2028"}),
        (b"[" * 1024 + b"]" * 1024, "[" * 1024 + "]" * 1024),
    ],
)
def test_any_body_is_kept_on_one_line(tmp_path: Path, body: bytes, expected: object) -> None:
    failure = Failure(kind=FailureKind.BAD_RESPONSE, message="x")
    outcome = Outcome(id=RowId("r"), line=1, status=Status.FAILED, failure=failure, body=body)

    record = written(tmp_path, outcome)

    assert record["response"] == (orjson.loads(body) if expected is None else expected)
    assert (tmp_path / FAILURES).read_bytes().count(b"\n") == 1


def test_numbers_of_a_body_are_kept_to_the_last_digit(tmp_path: Path) -> None:
    outcome = an_outcome(1, body=b'{"n":\n123456789012345678901234567890}')
    written(tmp_path, outcome)

    assert b'"response":{"n":123456789012345678901234567890}' in lines(tmp_path / RESULTS)[0]


def test_a_stream_of_events_is_kept_as_text(tmp_path: Path) -> None:
    body = b'event: message_start\ndata: {"type":"message_start"}\n\n'

    assert written(tmp_path, an_outcome(1, body=body))["response"] == body.decode()


@pytest.mark.parametrize("body", [b'{"n": NaN}', b'{"t": "a\tb"}', b'{"t": "\\ud83d"}'])
def test_a_body_that_was_read_with_patience_is_kept_as_text(tmp_path: Path, body: bytes) -> None:
    """It holds an answer, so the row is ok; as JSON it would make the record unreadable."""
    assert written(tmp_path, an_outcome(1, body=body))["response"] == body.decode()


def test_a_body_that_the_reply_names_as_strictly_read_is_kept_as_it_came(tmp_path: Path) -> None:
    """Nothing reads it again: even what is no JSON would go into the record."""
    body = b'{"n":1.50,\n"m":?}'
    outcome = an_outcome(1, body=body)
    assert outcome.reply is not None
    sink = RecordSink(tmp_path)
    sink.write(replace(outcome, reply=replace(outcome.reply, json=body)))
    sink.close()

    assert lines(tmp_path / RESULTS)[0].endswith(b'"response":{"n":1.50,"m":?}}')


@given(st.binary(max_size=60))
def test_whatever_a_server_sends_can_be_embedded(body: bytes) -> None:
    line = json_line({"response": embedded(body, parsed=False)}, bytes)

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert list(orjson.loads(line)) == ["response"]


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.dictionaries(st.text(), ANYTHING, max_size=3))
def test_nothing_that_is_kept_can_stop_the_writer(kept: dict[str, Any]) -> None:
    line = json_line({"id": "x", **kept}, bytes)

    assert line.count(b"\n") == 1
    assert isinstance(orjson.loads(line), dict)


def test_half_characters_and_bottomless_nesting_are_written_all_the_same(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(600):
        deep = {"d": deep}
    kept = {"deep": deep, "pair": "\ud83d\ude00", "big": 2**70}
    outcome = replace(an_outcome(1), id=RowId("half \ud83d"), kept=kept)

    record = written(tmp_path, outcome)

    assert record["id"] == "half \ufffd"
    assert record["pair"] == "\U0001f600"
    assert record["big"] == str(2**70)
    assert record["response"] == {"a": 1}


def test_secrets_are_masked_wherever_they_stand(tmp_path: Path) -> None:
    redactor = Redactor()
    redactor.learn(Secret("sk-ant-canary"))
    failure = Failure(kind=FailureKind.AUTH, message="key sk-ant-canary is wrong")
    outcome = Outcome(
        id=RowId("r"),
        line=1,
        status=Status.FAILED,
        failure=failure,
        attempts=[Attempt(number=1, key="a", sent_at="s", latency_s=0, failure=failure)],
        kept={"sk-ant-canary": "sk-ant-canary"},
        body=b'{"echo":"sk-ant-canary"}',
    )

    written(tmp_path, outcome, clean=redactor.clean)

    assert b"sk-ant-canary" not in (tmp_path / FAILURES).read_bytes()
    assert (tmp_path / FAILURES).read_bytes().count(b"***") == 5


def test_a_secret_that_is_a_number_breaks_no_record(tmp_path: Path) -> None:
    """A dummy key such as 123456 for a local server also occurs in line numbers."""
    redactor = Redactor()
    redactor.learn(Secret("123456"))
    outcome = an_outcome(123456, text="my key is 123456", body=b'{"k":"123456","n":1234567}')

    record = written(tmp_path, outcome, clean=redactor.clean)

    assert record["line"] == 123456
    assert record["text"] == "my key is ***"
    assert record["response"] == {"k": "***", "n": 1234567}


def test_a_full_disk_costs_no_whole_record(tmp_path: Path) -> None:
    room = 1500

    def write(fd: int, data: bytes) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(errno.ENOSPC, "full")
        taken = os.write(fd, data[:room])
        room -= taken
        return taken

    sink = RecordSink(tmp_path, write=write)
    stored = 0
    with pytest.raises(StorageError, match="the disk is full"):
        for line in range(1, 100):
            sink.write(an_outcome(line))
            stored = line
    room = 10_000
    sink.write(an_outcome(stored + 1))
    sink.close()

    found = [orjson.loads(line)["line"] for line in lines(tmp_path / RESULTS)]
    assert found == list(range(1, stored + 2))

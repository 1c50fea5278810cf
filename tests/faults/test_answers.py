"""Whatever a server answers, its row gets one line that verify and resume read as its record."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.launch import launch
from batcher.pipeline.attempt import Exchange, understood
from batcher.pipeline.backlog import Pending
from batcher.pipeline.settle import outcome_of
from batcher.records import Attempt, Failure, Outcome, Reply, Response
from batcher.secret import Redactor
from batcher.storage.durable import repair_tail
from batcher.storage.ledger import scan
from batcher.storage.results import FAILURES, RESULTS, RecordSink
from batcher.storage.verify import verify
from tests.faults.test_matrix import a_job, check_one_record_a_row
from tests.providers.anthropic import test_complete, test_messages
from tests.providers.contract import Contract
from tests.providers.openai import test_chat
from tests.support.builders import a_call

SUITES: list[type[Contract]] = [
    test_messages.TestMessages,
    test_complete.TestComplete,
    test_chat.TestChat,
]
EVERY = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.provider.name)

# Values that some JSON writers make, and texts they do not escape.
_VALUES = [
    *(b"NaN", b"-Infinity", b"1e999", b"9" * 30, b"9" * 400, b"-0", b"1e-999", b"null", b"{}"),
    *(b'"\\ud83d"', b'"\\udc00\\ud83d"', b'"a\tb"', b'"\x01"', b'"\xff"', b'"\\u0000"', b'"\n"'),
    *(b"[" * depth + b"]" * depth for depth in (254, 300, 1022, 1023, 1024, 5000)),
]
# Deeper than any parser reads, or no UTF-8: such a body is no answer.
_READABLE = [each for each in _VALUES if len(each) < 2 * 1024 and b"\xff" not in each]
_TEXTS = [b"\\ud83d", b"\\ude00", b"\t", b"\x00", b"\x1f", b"\x7f", b"\xc2", b"\xed\xa0\x80", b"\n"]
_MARKS = [b"\xef\xbb\xbf", b"\n", b"\r\n", b"\xe2\x80\xa8", b"}", b"]", b'"', b"\\", b",", b"data:"]
ODD = st.sampled_from(_VALUES + _TEXTS + _MARKS) | st.binary(max_size=3)


@st.composite
def damaged(draw: st.DrawFn, body: bytes) -> bytes:
    """A body with odd values, odd texts or anything else put into it."""
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["value", "value", "text", "splice", "cut"]))
        if kind == "value":
            field = b'{"odd":' + draw(st.sampled_from(_VALUES)) + b","
            body = body.replace(b"{", field, draw(st.sampled_from([1, -1])))
        elif kind == "text":
            place = body.find(b"Li") + 1 or len(body)
            body = body[:place] + draw(st.sampled_from(_TEXTS)) + body[place:]
        else:
            place = draw(st.integers(0, len(body)))
            end = len(body) if kind == "cut" else place + draw(st.integers(0, 9))
            body = body[:place] + draw(ODD) + body[end:]
    return body


def exchanged(suite: type[Contract], body: bytes, *, status: int, is_stream: bool) -> Exchange:
    """What came of one try that the server answered so."""
    return understood(
        Response(status=status, headers={"request-id": "req_\udcff"}, body=body),
        provider=suite.provider,
        redactor=Redactor(),
        is_stream=is_stream,
        sent_at="2026-11-22T00:00:00.000Z",
        latency_s=0.25,
    )


def outcome(line: int, exchange: Exchange) -> Outcome:
    """The last word on the row of a line."""
    pending, result = Pending(a_call(line)), exchange.result
    pending.attempts.append(
        Attempt(
            number=1,
            key="a",
            sent_at=exchange.sent_at,
            latency_s=exchange.latency_s,
            failure=result if isinstance(result, Failure) else None,
        )
    )
    return outcome_of(pending, result, exchange.body)


def refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def check_all_are_records(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Write outcomes, the last one last in its file, and read them as everybody else does."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "out"
        prompts = Path(name) / "in.jsonl"
        prompts.write_bytes(b"{}\n" * len(outcomes))
        sink = RecordSink(directory)
        for each in outcomes:
            sink.write(each)
        sink.close()
        paths = directory / RESULTS, directory / FAILURES
        sound = [repair_tail(path) for path in paths]
        ledger = scan(directory)
        found = [line for path in paths for line in path.read_bytes().split(b"\n")[:-1]]
        report = verify(directory, row_id=lambda row: f"row-{row.line}", input_path=prompts)

    assert sound == [None, None]
    assert ledger.odd == 0
    assert [ledger.status(each.line) for each in outcomes] == [each.status for each in outcomes]
    assert report.sentences() == []
    for line in found:
        if b"[" * 900 not in line:  # Python's own parser goes no deeper
            json.loads(line, parse_constant=refuse)
    return [orjson.loads(line) for line in found]


@EVERY
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_is_answered_is_written_as_that_rows_record(
    suite: type[Contract], data: st.DataObject
) -> None:
    whole, stream = orjson.dumps(suite.answer), b"".join(suite.stream)
    outcomes = []
    for line in range(1, data.draw(st.integers(1, 3)) + 1):
        body = data.draw(damaged(data.draw(st.sampled_from([whole, whole, stream]))))
        status = data.draw(st.sampled_from([200, 200, 200, 400, 429, 503]))
        exchange = exchanged(suite, body, status=status, is_stream=data.draw(st.booleans()))
        outcomes.append(outcome(line, exchange))

    check_all_are_records(outcomes)


@EVERY
@pytest.mark.parametrize("value", _READABLE, ids=lambda value: f"{value[:9]!a}, {len(value)}")
def test_an_odd_value_beside_the_answer_costs_neither_answer_nor_record(
    suite: type[Contract], value: bytes
) -> None:
    """An answer that only patience can read is paid for, and must not be asked for again."""
    body = orjson.dumps(suite.answer).replace(b"{", b'{"odd":' + value + b",", 1)
    exchange = exchanged(suite, body, status=200, is_stream=False)
    record = check_all_are_records([outcome(1, exchange)])[0]

    assert isinstance(exchange.result, Reply)
    assert record["status"] == "ok"
    assert record["text"] == exchange.result.text
    try:
        orjson.loads(b"[%b]" % body)
    except orjson.JSONDecodeError:
        assert record["response"] == body.decode()
    else:
        assert record["response"].keys() == {"odd", *suite.answer}


@EVERY
def test_a_body_read_strictly_stands_in_the_record_as_it_came(suite: type[Contract]) -> None:
    """It is not read a second time: the reply names the very body."""
    body = b" " + orjson.dumps(suite.answer).replace(
        b"{", b'{"n":[\n1.50,12345678901234567890],', 1
    )
    exchange = exchanged(suite, body, status=200, is_stream=False)

    assert isinstance(exchange.result, Reply)
    assert exchange.result.json is exchange.body


@EVERY
def test_a_stream_nobody_asked_for_is_kept_as_text(suite: type[Contract]) -> None:
    """Its reply was read strictly, but from another body than the one that is kept."""
    body = b"".join(suite.stream)
    exchange = exchanged(suite, body, status=200, is_stream=False)
    record = check_all_are_records([outcome(1, exchange)])[0]

    assert record["status"] == "ok"
    assert record["response"] == body.decode()


@asynccontextmanager
async def streaming(stream: bytes, *, then_close: bool) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that says so to every request and never ends the body; and what it was asked."""
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            asked.append(await reader.readexactly(length))
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(stream), stream)
            )
            if not then_close:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", asked
    finally:
        listener.close()


@EVERY
@pytest.mark.parametrize("then_close", [True, False], ids=["closed", "left open"])
async def test_a_whole_stream_is_paid_for_once_however_its_connection_ends(
    suite: type[Contract], tmp_path: Path, then_close: bool
) -> None:
    async with streaming(b"".join(suite.stream), then_close=then_close) as (url, asked):
        job = a_job(tmp_path, suite.provider.name, url, stream=True, rows=6)
        summary = await launch(job)

    assert summary.exit_code == 0, summary
    assert len(asked) == 6
    check_one_record_a_row(tmp_path, 6)

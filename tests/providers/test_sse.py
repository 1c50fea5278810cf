"""Event streams split into their events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.providers.sse import Happening, happenings, is_stream, whole_events
from batcher.records import Response


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"", []),
        (b": comment\n\n", []),
        (b"data: 1\n\n", [("", b"1")]),
        (b"data:1\n\n\n\ndata:  2\n\n", [("", b"1"), ("", b" 2")]),
        (b"event: a\ndata: 1\ndata: 2\nid: 5\n\n", [("a", b"1\n2")]),
        (b"\xef\xbb\xbfevent: a\r\ndata: 1\r\n\r\nevent: b\r\n\r\n", [("a", b"1")]),
        (b"data: 1\r\rdata: 2", [("", b"1"), ("", b"2")]),
        (b"data\n\ndata: x", [("", b"x")]),
    ],
)
def test_a_body_is_split_at_its_blank_lines(body: bytes, events: list[tuple[str, bytes]]) -> None:
    assert list(happenings(body)) == [Happening(*event) for event in events]


@given(
    st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b""))),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_what_goes_into_events_comes_out(data: list[bytes], eol: bytes) -> None:
    body = b"".join(b"event: e" + eol + b"data: " + each + eol + eol for each in data)

    assert [event.data for event in happenings(body)] == data
    assert list(whole_events(body)) == list(happenings(body))


@pytest.mark.parametrize("end", [b"", b"data: 2", b"data: 2\n", b"event: a\n\n", b": c"])
def test_an_event_is_whole_when_its_blank_line_is_there(end: bytes) -> None:
    assert list(whole_events(end)) == []
    assert list(whole_events(b"data: 1\n\n" + end)) == [Happening("", b"1")]


@pytest.mark.parametrize(
    ("status", "content_type", "body", "expected"),
    [
        (200, "text/event-stream", b"data: {}\n\n", True),
        (200, "application/json", b"data: {}\n\n", True),
        (200, "text/event-stream", b"da", True),
        (200, "text/event-stream", b"", True),
        (200, "text/event-stream", b'{"id": 1}', False),
        (200, "text/event-stream", b"<html>", False),
        (200, "application/json", b"", False),
        (500, "text/event-stream", b"data: {}\n\n", False),
    ],
)
def test_a_stream_is_known_by_what_it_holds(
    status: int, content_type: str, body: bytes, expected: bool
) -> None:
    headers = {"content-type": content_type}

    assert is_stream(Response(status=status, headers=headers, body=body)) is expected

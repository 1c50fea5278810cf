"""Requests are found however their bytes are cut or joined."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.simulator.exchange import Request
from batcher.simulator.http import MAX_BODY_BYTES, MalformedError, Parser

ONE = b"POST /v1/messages?beta=true HTTP/1.1\r\nX-Api-Key:  k \r\nContent-Length: 5\r\n\r\nhello"
TWO = b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"
THREE = (
    b"POST /v1/complete HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"
)
FOUR = b"POST /t HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\nA: t\r\nB: c\r\n\r\n"


def summary(request: Request) -> tuple[str, str, bytes, bool]:
    return request.method, request.path, request.body, request.keep_alive


@given(st.lists(st.integers(1, 400), max_size=40))
def test_any_cut_of_the_bytes_gives_the_same_requests(cuts: list[int]) -> None:
    data = ONE + TWO + THREE + FOUR + ONE
    parser, found = Parser(), []
    for cut in cuts:
        found += parser.feed(data[:cut])
        data = data[cut:]
    found += parser.feed(data)

    assert [summary(request) for request in found] == [
        ("POST", "/v1/messages", b"hello", True),
        ("GET", "/health", b"", False),
        ("POST", "/v1/complete", b"abc0123456789", True),
        ("POST", "/t", b"z", False),
        ("POST", "/v1/messages", b"hello", True),
    ]


def test_header_names_are_lower_case_and_repeats_are_joined() -> None:
    (request,) = Parser().feed(b"GET / HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\n\r\n")

    assert request.headers == {"x-a": "1, 2"}


def test_the_query_is_not_part_of_the_path() -> None:
    (request,) = Parser().feed(ONE)

    assert (request.path, request.query) == ("/v1/messages", "beta=true")


def test_a_client_that_waits_for_leave_is_noticed() -> None:
    parser = Parser()
    head = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"

    assert parser.feed(head) == []
    assert parser.wants_continue
    assert len(parser.feed(b"ok")) == 1
    assert not parser.wants_continue


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413),
        (b"x" * 70_000, 400),
    ],
)
def test_what_is_no_http_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(MalformedError) as caught:
        Parser().feed(data)

    assert caught.value.status == status


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_crash_the_parser(data: bytes) -> None:
    try:
        Parser().feed(data)
    except MalformedError as fault:
        assert fault.status in {400, 413}

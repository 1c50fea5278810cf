"""A whole answer counts, however its connection ends; half of one never does."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from socket import SO_LINGER, SOL_SOCKET
from unittest.mock import Mock

import aiohttp
import orjson
import pytest

from batcher.records import AuthStyle, Failure, FailureKind, KeyRef, Response, Wire
from batcher.secret import Redactor
from batcher.transport.ending import whole
from batcher.transport.http import HttpTransport
from tests.providers.anthropic import test_complete, test_messages
from tests.providers.contract import Contract
from tests.providers.openai import test_chat

WIRE = Wire(path="/v1/messages", headers={"content-type": "application/json"}, body=b"{}")
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
SUITES: list[type[Contract]] = [
    test_messages.TestMessages,
    test_complete.TestComplete,
    test_chat.TestChat,
]
EVERY = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.provider.name)
Say = Callable[[asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=["direct", "proxied"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How requests go; a proxy for plain HTTP is just the server that is asked instead."""
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return str(request.param)


class Server:
    """Says the same to every request; `connections` counts them, `open` those not yet closed."""

    def __init__(self, say: Say) -> None:
        self.connections = self.open = 0
        self._say = say

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                await self._say(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def asking(
    say: Say, way: str, is_over: Callable[[bytes], bool]
) -> AsyncIterator[tuple[Server, Callable[[], Awaitable[Response | Failure]]]]:
    """A server, and how to ask it."""
    server = Server(say)
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    key = KeyRef(alias="a", scope="a", base_url=url if way == "direct" else "http://api.test")
    with pytest.MonkeyPatch.context() as patch:
        if way == "proxied":
            patch.setenv("http_proxy", url)
        http = HttpTransport(
            values={},
            auth={"a": AuthStyle.NONE},
            redactor=Redactor(),
            connect_timeout_s=5.0,
            user_agent="t",
            is_over=is_over,
        )
        try:
            yield server, lambda: http.send(WIRE, key, deadline_s=5.0)
        finally:
            await http.close()
            listener.close()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def says(*pieces: bytes, then: str = "open") -> Say:
    """Writes pieces one after another, then leaves the connection open, closes or resets it."""

    async def say(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)
        if then == "reset":
            writer.get_extra_info("socket").setsockopt(
                SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0)
            )
        if then != "open":
            writer.close()

    return say


async def said(say: Say, way: str, suite: type[Contract]) -> Response | Failure:
    async with asking(say, way, suite.provider.stream_is_over) as (_, ask):
        return await ask()


@EVERY
@pytest.mark.real_time
@pytest.mark.parametrize("then", ["open", "close", "reset"])
@pytest.mark.parametrize("pieces", ["at once", "by events", "by bytes"])
async def test_a_stream_counts_once_its_end_event_is_here(
    suite: type[Contract], way: str, then: str, pieces: str
) -> None:
    """The chunk that ends the body never comes."""
    events = list(suite.stream)
    if pieces == "by bytes":
        last = [bytes([each]) for each in events[-1]]
        say = says(CHUNKED, *(chunk(each) for each in [b"".join(events[:-1]), *last]), then=then)
    else:
        parts = [b"".join(events)] if pieces == "at once" else events
        say = says(CHUNKED + chunk(parts[0]), *(chunk(each) for each in parts[1:]), then=then)
    began_s = asyncio.get_running_loop().time()
    response = await said(say, way, suite)

    assert isinstance(response, Response), response
    assert response.body == b"".join(events)
    assert asyncio.get_running_loop().time() - began_s < 2.0


@EVERY
@pytest.mark.real_time
@pytest.mark.parametrize("cut", [1, 2])
async def test_the_last_blank_line_may_break_off_with_the_connection(
    suite: type[Contract], way: str, cut: int
) -> None:
    body = b"".join(suite.stream)[:-cut]
    response = await said(says(CHUNKED + chunk(body), then="close"), way, suite)

    assert isinstance(response, Response)
    assert response.body == body


@EVERY
@pytest.mark.real_time
@pytest.mark.parametrize("then", ["close", "reset"])
async def test_half_a_stream_is_a_broken_connection(
    suite: type[Contract], way: str, then: str
) -> None:
    body = b"".join(suite.stream[:-1])
    failure = await said(says(CHUNKED + chunk(body), then=then), way, suite)

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.CONNECTION


_JSON = orjson.dumps(
    {"text": "hi", "why": 'data: [DONE]\n\nevent: message_stop\ndata: {"error":1}'}
)
_PLAIN = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.real_time
@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    "head",
    [b"content-length: %d\r\n\r\n" % len(_JSON), b"content-length: 1000\r\n\r\n", None],
    ids=["all that was declared", "less than was declared", "chunks without the last"],
)
async def test_whole_json_counts_though_the_connection_breaks_after_it(
    way: str, head: bytes | None, then: str
) -> None:
    whole_body = CHUNKED + chunk(_JSON) if head is None else _PLAIN + head + _JSON
    response = await said(says(whole_body, then=then), way, test_chat.TestChat)

    assert isinstance(response, Response), response
    assert response.body == _JSON


@pytest.mark.real_time
async def test_whole_json_counts_after_blank_lines_that_kept_the_connection_alive(way: str) -> None:
    pieces = [b"\n"] * 3 + [_JSON]
    say = says(CHUNKED, *(chunk(each) for each in pieces), then="close")
    response = await said(say, way, test_chat.TestChat)

    assert isinstance(response, Response), response
    assert response.body == b"".join(pieces)


@pytest.mark.real_time
@pytest.mark.parametrize("cut", [1, 2, 20])
async def test_json_that_breaks_off_is_a_broken_connection(way: str, cut: int) -> None:
    pieces = chunk(_JSON[:30]), chunk(_JSON[30:-cut])
    failure = await said(says(CHUNKED, *pieces, then="close"), way, test_chat.TestChat)

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.CONNECTION


@pytest.mark.real_time
async def test_words_of_an_end_event_within_json_end_nothing(way: str) -> None:
    """A server that does not escape line breaks, and a model that explains event streams."""
    body = b'{"text": "\n\n', b"data: [DONE]\n\n", b'"}'
    say = says(CHUNKED, *(chunk(each) for each in body), b"0\r\n\r\n")
    response = await said(say, way, test_chat.TestChat)

    assert isinstance(response, Response)
    assert response.body == b"".join(body)


@pytest.mark.real_time
async def test_a_connection_without_its_formal_end_serves_nobody_else(way: str) -> None:
    """What comes late would be taken for the next answer."""
    suite = test_messages.TestMessages
    say = says(CHUNKED + chunk(b"".join(suite.stream)))
    async with asking(say, way, suite.provider.stream_is_over) as (server, ask):
        await ask()
        await ask()
        assert (server.connections, server.open) == (2, 2)
        await asyncio.sleep(1.3)
        open_after_a_second = server.open

    assert open_after_a_second == 0


@pytest.mark.real_time
async def test_a_connection_whose_formal_end_comes_a_little_later_is_used_again(way: str) -> None:
    suite = test_messages.TestMessages
    stream = chunk(b"".join(suite.stream))
    say = says(CHUNKED + stream, b"0\r\n\r\n")
    async with asking(say, way, suite.provider.stream_is_over) as (server, ask):
        for _ in range(5):
            response = await ask()
            assert isinstance(response, Response)
            await asyncio.sleep(0.1)

        assert (server.connections, server.open) == (1, 1)


@pytest.mark.real_time
async def test_closing_the_transport_waits_for_no_formal_end(way: str) -> None:
    suite = test_messages.TestMessages
    say = says(CHUNKED + chunk(b"".join(suite.stream)))
    async with asking(say, way, suite.provider.stream_is_over) as (server, ask):
        await ask()
    await asyncio.sleep(0.1)

    assert server.open == 0


async def test_what_was_not_yet_read_when_the_connection_broke_counts_too() -> None:
    """Loops may deliver the last bytes and the fault in one go."""
    stream = test_chat.TestChat.stream
    content = aiohttp.StreamReader(Mock(), limit=2**16, loop=asyncio.get_running_loop())
    for event in stream:
        content.feed_data(event)
    content.set_exception(aiohttp.ClientPayloadError("cut"))

    body = await whole(content, test_chat.TestChat.provider.stream_is_over)

    assert body == b"".join(stream)


async def test_an_endless_body_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batcher.transport.ending._MOST_BODY_BYTES", 100)
    content = aiohttp.StreamReader(Mock(), limit=2**16, loop=asyncio.get_running_loop())
    content.feed_data(b'{"a":"' + b"x" * 100 + b'"}')

    with pytest.raises(ValueError, match="larger than 100 bytes"):
        await whole(content, lambda _: False)

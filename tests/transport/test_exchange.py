"""What a request looks like on the wire, to the byte, and what may come back."""

import asyncio
import gzip
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from batcher.transport.ending import Partings
from batcher.transport.exchange import Answer, Direct, common_headers

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
Say = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Notes whole requests; `connections` counts them."""

    def __init__(self, say: Say | None = None, *, early: bool = False) -> None:
        self.seen: list[bytes] = []
        self.connections = 0
        self._say = say
        self._early = early  # answer the first before it was read

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                too_early = self._early and not self.seen
                if too_early:
                    writer.write(_ANSWER)
                    await asyncio.sleep(0.1)
                self.seen.append(head + await reader.readexactly(length))
                if self._say is not None:
                    await self._say(writer)
                elif not too_early:
                    writer.write(_ANSWER)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[URL]:
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0, limit=1 << 16)
    try:
        yield URL(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1/messages?beta=true")
    finally:
        listener.close()


@asynccontextmanager
async def direct(url: URL) -> AsyncIterator[Direct]:
    headers = common_headers(url)
    headers.update(CIMultiDict({"content-type": "application/json", "User-Agent": "t"}))
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
    try:
        yield Direct(
            connector,
            url,
            headers,
            timeout=timeout,
            is_over=lambda _: False,
            partings=Partings(),
        )
    finally:
        await connector.close()


async def asked(server: Server, *bodies: bytes) -> list[Answer]:
    async with listening(server) as url, direct(url) as way:
        return [await way.ask(body) for body in bodies]


def in_pieces(*pieces: bytes) -> Say:
    async def say(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)

    return say


@pytest.mark.real_time
async def test_head_and_body_go_out_as_given_and_each_header_once() -> None:
    server = Server()
    bodies = [b'{"a":1}', b"{}", b"x" * 3_000_000]
    answers = await asked(server, *bodies)

    assert [each.body for each in answers] == [b"{}"] * 3
    assert [each.split(b"\r\n\r\n", 1)[1] for each in server.seen] == bodies
    for each in server.seen:
        line, *lines = each.split(b"\r\n\r\n", 1)[0].decode().split("\r\n")
        names = Counter(each.split(":")[0].lower() for each in lines)
        assert line == "POST /v1/messages?beta=true HTTP/1.1"
        assert names == Counter(
            ["host", "accept", "accept-encoding", "content-type", "user-agent", "content-length"]
        )


@pytest.mark.real_time
async def test_a_connection_serves_one_request_after_another() -> None:
    server = Server()
    await asked(server, *[b"{}"] * 20)

    assert server.connections == 1


@pytest.mark.real_time
async def test_a_server_that_wants_to_close_gets_a_new_connection_for_the_next() -> None:
    closing = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
    server = Server(in_pieces(closing))
    answers = await asked(server, b"{}", b"{}")

    assert [each.body for each in answers] == [b"{}", b"{}"]
    assert server.connections == 2


@pytest.mark.real_time
async def test_a_request_behind_an_unread_body_is_not_torn() -> None:
    """The server has answered and still reads, so the connection is free and its buffer full."""
    server = Server(early=True)
    bodies = [b"a" * 30_000_000, b'{"second":true}']
    await asked(server, *bodies)

    assert [each.split(b"\r\n\r\n", 1)[1] for each in server.seen] == bodies


_HEAD = b"HTTP/1.1 200 OK\r\n"
_CHUNKS = b"transfer-encoding: chunked\r\n\r\n2\r\n{ \r\n", b"1\r\n}\r\n0\r\n\r\n"
_ZIPPED = gzip.compress(b'{"text":"hi"}' * 5000)


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("say", "body"),
    [
        (in_pieces(_HEAD + b"content-le", b"ngth: 4\r\n\r", b"\n{", b"  ", b"}"), b"{  }"),
        (in_pieces(_HEAD, *_CHUNKS), b"{ }"),
        (in_pieces(b"HTTP/1.1 100 Continue\r\n\r\n", _ANSWER), b"{}"),
        (in_pieces(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + _ANSWER), b"{}"),
        (
            in_pieces(
                _HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(_ZIPPED),
                _ZIPPED[:50],
                _ZIPPED[50:],
            ),
            b'{"text":"hi"}' * 5000,
        ),
        (in_pieces(b"HTTP/1.1 204 No Content\r\n\r\n"), b""),
    ],
)
async def test_an_answer_is_read_whole_however_it_comes(say: Say, body: bytes) -> None:
    answers = await asked(Server(say), b"{}", b"{}")

    assert [each.body for each in answers] == [body, body]


@pytest.mark.real_time
async def test_a_body_that_ends_with_the_connection_is_read_to_its_end() -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{")
        await asyncio.sleep(0.02)
        writer.write(b"}")
        writer.close()

    answers = await asked(Server(say), b"{}")

    assert answers[0].body == b"{}"


async def test_a_header_with_a_line_break_is_refused_before_anything_is_sent() -> None:
    url = URL("http://host/")
    with pytest.raises(ValueError, match="x-mine"):
        Direct(
            aiohttp.TCPConnector(),
            url,
            CIMultiDict({"x-mine": "a\r\nx-other: b"}),
            timeout=aiohttp.ClientTimeout(),
            is_over=lambda _: False,
            partings=Partings(),
        )

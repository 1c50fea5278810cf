"""What a request looks like on the wire, to the byte."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from batcher.transport.request import Parcel, ReadyRequest, common_headers

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@asynccontextmanager
async def listening(seen: list[bytes], *, early: bool = False) -> AsyncIterator[str]:
    """A server that notes whole requests; `early`: it answers the first before it has read it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                too_early = early and not seen
                if too_early:
                    writer.write(_ANSWER)
                    await asyncio.sleep(0.1)
                seen.append(head + await reader.readexactly(length))
                if not too_early:
                    writer.write(_ANSWER)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=1 << 16)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def parcel(url: URL, body: bytes, pattern: dict[str, object]) -> Parcel:
    headers = common_headers(url)
    headers.update(CIMultiDict({"content-type": "application/json", "User-Agent": "t"}))
    headers["Content-Length"] = str(len(body))
    return Parcel(headers, body, pattern)


async def asked(url: URL, bodies: list[bytes]) -> list[bytes]:
    answers = []
    pattern: dict[str, object] = {}
    async with aiohttp.ClientSession(request_class=ReadyRequest) as session:
        for body in bodies:
            response = await session.post(url, data=parcel(url, body, pattern))
            answers.append(await response.read())
    return answers


@pytest.mark.real_time
async def test_head_and_body_go_out_as_given_and_each_header_once() -> None:
    seen: list[bytes] = []
    bodies = [b'{"a":1}', b"{}", b"x" * 3_000_000]
    async with listening(seen) as base:
        answers = await asked(URL(base + "/v1/messages?beta=true"), bodies)

    assert answers == [b"{}"] * 3
    assert [each.split(b"\r\n\r\n", 1)[1] for each in seen] == bodies
    for each in seen:
        assert_head(each)


def assert_head(request: bytes) -> None:
    line, *lines = request.split(b"\r\n\r\n", 1)[0].decode().split("\r\n")
    names = Counter(each.split(":")[0].lower() for each in lines)
    assert line == "POST /v1/messages?beta=true HTTP/1.1"
    assert names == Counter(
        ["host", "accept", "accept-encoding", "content-type", "user-agent", "content-length"]
    )


@pytest.mark.real_time
async def test_a_request_behind_an_unread_body_is_not_torn() -> None:
    """The server has answered and still reads, so the connection is free and its buffer full."""
    seen: list[bytes] = []
    bodies = [b"a" * 30_000_000, b'{"second":true}']
    async with listening(seen, early=True) as base:
        await asked(URL(base + "/v1/messages"), bodies)

    assert [each.split(b"\r\n\r\n", 1)[1] for each in seen] == bodies

"""One request and its whole answer, over connections that aiohttp keeps.

aiohttp's session prepares for redirects, cookies, tracing, netrc, middlewares, a body of any
kind and a timer for each request. A prompt needs none of that, and its head is the last one's
but for the length, so `Direct` uses what is below the session: the connector (pool, DNS, TLS)
and the parser. That takes a third off the instructions of a whole request, ours included
(measured 2026-11). Behind a proxy the session does its work: tunnels have cases of their own.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from batcher.transport.ending import IsOver, Partings, whole

_JOINED_BYTES = 64 * 1024  # joining head and body copies the body, and saves a system call
_SWITCHING, _FIRST_FINAL, _PROXY_WANTS_USER = 101, 200, 407


class Answer(NamedTuple):
    """What a server said, its body decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Way(Protocol):
    """How bodies get to one URL with one set of headers."""

    async def ask(self, body: bytes, begun: Callable[[], None] | None = None) -> Answer:
        """Send a body and read the whole answer; `begun` is called when its head is here.

        Raises:
            aiohttp.ClientError, OSError, EOFError, ValueError: A fault of server or network.
        """
        ...


class Direct:
    """Straight to the server.

    Args:
        connector: Keeps the connections.
        url: Where to.
        headers: All but Content-Length.
        timeout: Its `sock_connect` bounds connecting.
        is_over: Knows the end of an event stream.
        partings: Takes connections whose answer is whole.

    Raises:
        ValueError: A header cannot be sent.
    """

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        url: URL,
        headers: CIMultiDict[str],
        *,
        timeout: aiohttp.ClientTimeout,
        is_over: IsOver,
        partings: Partings,
    ) -> None:
        self._connector = connector
        self._is_over = is_over
        self._partings = partings
        self._timeout = timeout
        self._target = aiohttp.ClientRequest("POST", url)  # tells the connector where; never sent
        self._head = _head(url, headers)

    async def ask(self, body: bytes, begun: Callable[[], None] | None = None) -> Answer:
        """See Way.ask."""
        try:
            connection = await self._connector.connect(
                self._target, traces=[], timeout=self._timeout
            )
        except TimeoutError as fault:
            raise aiohttp.ConnectionTimeoutError(str(self._target.url.origin())) from fault
        protocol = connection.protocol
        if protocol is None or protocol.transport is None:
            connection.close()
            raise aiohttp.ClientConnectionResetError("before anything was sent")
        try:
            protocol.set_response_params(read_until_eof=True)
            head = b"%b%d\r\n\r\n" % (self._head, len(body))
            if len(body) <= _JOINED_BYTES:
                protocol.transport.write(head + body)
            else:
                protocol.transport.write(head)
                protocol.transport.write(body)
            while True:
                message, content = await protocol.read()
                status = message.code
                if status >= _FIRST_FINAL or status == _SWITCHING:
                    break
            if begun is not None:
                begun()
            if content.is_eof():
                answer = content.read_nowait()
            else:
                answer = await whole(content, self._is_over)
        except HttpProcessingError as fault:
            connection.close()
            raise ValueError(fault.message) from fault
        except BaseException:
            connection.close()
            raise
        self._partings.part(content, connection)
        return Answer(status, message.headers, answer)


class Proxied:
    """Through a proxy.

    Args:
        session: Sends no headers, cookies or credentials of its own.
        url: Where to.
        headers: All but Content-Length.
        proxy: Credentials in it are used.
        is_over: Knows the end of an event stream.
        partings: Takes connections whose answer is whole.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: URL,
        headers: CIMultiDict[str],
        *,
        proxy: URL,
        is_over: IsOver,
        partings: Partings,
    ) -> None:
        self._session = session
        self._url = url
        self._headers = headers
        self._proxy = proxy
        self._is_over = is_over
        self._partings = partings

    async def ask(self, body: bytes, begun: Callable[[], None] | None = None) -> Answer:
        """See Way.ask."""
        response = await self._session.post(
            self._url, data=body, headers=self._headers, proxy=self._proxy, allow_redirects=False
        )
        try:
            if begun is not None:
                begun()
            _refuse_proxys_own(response)
            answer = await whole(response.content, self._is_over)
        except BaseException:
            response.close()
            raise
        self._partings.part(response.content, response)
        return Answer(response.status, response.headers, answer)


def _refuse_proxys_own(response: aiohttp.ClientResponse) -> None:
    """Raise for a proxy's wish for a user, as aiohttp does where no tunnel is opened then."""
    if response.status == _PROXY_WANTS_USER:
        raise aiohttp.ClientHttpProxyError(
            response.request_info, (), status=response.status, message=response.reason or ""
        )


def common_headers(url: URL) -> CIMultiDict[str]:
    """What aiohttp's session would send to this URL of its own accord."""
    headers = CIMultiDict({"Host": str(url.host_port_subcomponent)})
    headers.update(aiohttp.ClientRequest.DEFAULT_HEADERS)
    return headers


def _head(url: URL, headers: CIMultiDict[str]) -> bytes:
    """The head of a request up to the value of Content-Length."""
    lines = [f"POST {url.raw_path_qs} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    for line in lines:
        if not line.replace("\t", " ").isprintable():
            raise ValueError(f"a line break or such in the header {line.split(':')[0]!a}")
    return "\r\n".join([*lines, "Content-Length: "]).encode()

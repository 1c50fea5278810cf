"""Moves bytes over HTTP: the only import of aiohttp, and the only place a secret is revealed.

Adds the key to the request, bounds the whole exchange by one deadline, turns every fault of
the network into a Failure by one table, and masks the key in whatever comes back.
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from batcher.errors import ConfigError
from batcher.records import AuthStyle, Failure, KeyRef, Response, Wire
from batcher.secret import Redactor, Secret
from batcher.transport.deadline import Begin, Deadlines, late
from batcher.transport.ending import IsOver, Partings
from batcher.transport.exchange import Direct, Proxied, Way, common_headers
from batcher.transport.faults import NETWORK_FAULTS, failure_of
from batcher.transport.proxies import proxy_for

_KEEPALIVE_S = 30.0
_DNS_CACHE_S = 60
_ANSWERED, _REDIRECTED = 200, 300


class _Route(NamedTuple):
    """Where requests with one key go.

    Attributes:
        given: The headers it was made from, and `secret` the key; it holds as long as both do.
    """

    given: Mapping[str, str]
    secret: Secret | None
    way: Way


class HttpTransport:
    """Sends requests over pooled keep-alive connections; implements ports.Transport.

    Args:
        values: Alias to key, read anew for each request, so that a rotated key is used at once.
        auth: Alias to how its key travels.
        redactor: Masks keys in what comes back.
        connect_timeout_s: Connecting, TLS included.
        first_byte_s: From sending to the head of the answer; None: only the whole is bounded.
        user_agent: What the server's operator sees.
        is_over: Whether the bytes at the end of an event stream include its end event.

    Honours HTTPS_PROXY, HTTP_PROXY, NO_PROXY and (through OpenSSL) SSL_CERT_FILE. Redirects
    are not followed: a key must not travel to another host.
    """

    def __init__(
        self,
        *,
        values: Mapping[str, Secret],
        auth: Mapping[str, AuthStyle],
        redactor: Redactor,
        connect_timeout_s: float,
        first_byte_s: float | None = None,
        user_agent: str,
        is_over: IsOver = lambda _: False,
    ) -> None:
        self._values = values
        self._auth = auth
        self._redactor = redactor
        self._first_byte_s = first_byte_s
        self._user_agent = user_agent
        self._is_over = is_over
        self._partings = Partings()
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._connector: aiohttp.TCPConnector | None = None
        self._session: aiohttp.ClientSession | None = None
        self._deadlines: Deadlines | None = None
        self._routes: dict[tuple[str, str, str], _Route] = {}
        self._proxies: dict[URL, URL | None] = {}  # by origin

    async def send(self, wire: Wire, key: KeyRef, *, deadline_s: float) -> Response | Failure:
        """One exchange within deadline_s; every fault of server or network is a value."""
        route = self._routes.get((key.alias, key.base_url, wire.path))
        if (
            route is None
            or not (route.given is wire.headers or route.given == wire.headers)
            or route.secret is not self._values.get(key.alias)
        ):
            route = self._route(wire, key)
        deadlines = self._deadlines or self._watch()
        first_s = self._first_byte_s
        begin: Begin | None = None
        if first_s is None or first_s >= deadline_s:
            task = deadlines.begin(deadline_s)
        else:
            task = deadlines.begin(first_s)
            due = asyncio.get_running_loop().time() + deadline_s
            begin = Begin(deadlines, task, due=due)
        try:
            answer = await route.way.ask(wire.body, begin)
        except NETWORK_FAULTS as fault:
            return failure_of(fault)
        except asyncio.CancelledError:
            if deadlines.took(task):
                if first_s is not None and begin is not None and not begin.has_come:
                    return late(first_s, what="beginning of an answer")
                return late(deadline_s)
            raise
        finally:
            deadlines.end(task)
        status, headers = answer.status, answer.headers
        if not _ANSWERED <= status < _REDIRECTED:
            headers = self._masked(headers)
        return Response(status=status, headers=headers, body=self._redactor.clean_body(answer.body))

    async def close(self) -> None:
        """Let the connections go."""
        self._routes.clear()
        self._partings.close()
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._connector is not None:
            await self._connector.close()
            self._connector = None
        if self._deadlines is not None:
            self._deadlines.close()
            self._deadlines = None

    def _watch(self) -> Deadlines:
        self._deadlines = Deadlines()
        return self._deadlines

    def _way(self, url: URL, headers: CIMultiDict[str]) -> Way:
        connector = self._connector
        if connector is None:
            connector = self._connector = aiohttp.TCPConnector(
                limit=0, ttl_dns_cache=_DNS_CACHE_S, keepalive_timeout=_KEEPALIVE_S
            )
        origin = url.origin()
        if origin not in self._proxies:
            self._proxies[origin] = proxy_for(url)
        proxy = self._proxies[origin]
        is_over, partings = self._is_over, self._partings
        if proxy is None:
            return Direct(
                connector,
                url,
                headers,
                timeout=self._timeout,
                is_over=is_over,
                partings=partings,
            )
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=connector,
                connector_owner=False,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return Proxied(self._session, url, headers, proxy=proxy, is_over=is_over, partings=partings)

    def _route(self, wire: Wire, key: KeyRef) -> _Route:
        """Everything of a request that is the same for the next one with this key."""
        url = _url(key.base_url, wire.path)
        headers = common_headers(url)
        headers.update(wire.headers)
        headers["User-Agent"] = self._user_agent
        secret = self._values.get(key.alias)
        style = self._auth.get(key.alias, AuthStyle.NONE)
        if secret is not None and style is AuthStyle.BEARER:
            headers["Authorization"] = f"Bearer {secret.reveal()}"
        elif secret is not None and style is AuthStyle.X_API_KEY:
            headers["x-api-key"] = secret.reveal()
        try:
            way = self._way(url, headers)
        except ValueError as fault:
            raise ConfigError(f"request.headers: {fault}") from fault
        route = self._routes[key.alias, key.base_url, wire.path] = _Route(wire.headers, secret, way)
        return route

    def _masked(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Headers of a refusal, whose texts are shown: the address of a redirect, say."""
        clean = self._redactor.clean_text
        return CIMultiDict((name, clean(value)) for name, value in headers.items())


def _url(base_url: str, path: str) -> URL:
    try:
        url = URL(base_url + path)
        host = url.host
    except ValueError as fault:
        raise ConfigError(f"request.base_url {base_url!r} is not a URL: {fault}") from fault
    if url.scheme not in {"http", "https"} or not host:
        raise ConfigError(
            f"request.base_url {base_url!r} needs a scheme and a host, as in https://host/v1"
        )
    return url

"""Moves bytes over HTTP: the only import of aiohttp, and the only place a secret is revealed.

Adds the key to the request, bounds the whole exchange by one deadline, turns every fault of
the network into a Failure by one table, and masks the key in whatever comes back.
"""

from collections.abc import Mapping
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from batcher.errors import ConfigError
from batcher.records import AuthStyle, Failure, KeyRef, Response, Wire
from batcher.secret import Redactor, Secret
from batcher.transport.deadline import Deadline
from batcher.transport.faults import NETWORK_FAULTS, failure_of

_MOST_BODY_BYTES = 256 * 1024 * 1024  # an answer is kilobytes; an endless one must not fill memory
_KEEPALIVE_S = 30.0
_DNS_CACHE_S = 60


class HttpTransport:
    """Sends requests over pooled keep-alive connections; implements ports.Transport.

    Args:
        values: Alias to key, read anew for each request, so that a rotated key is used at once.
        auth: Alias to how its key travels.
        redactor: Masks keys in what comes back.
        connect_timeout_s: Connecting, TLS included.
        user_agent: What the server's operator sees.

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
        user_agent: str,
    ) -> None:
        self._values = values
        self._auth = auth
        self._redactor = redactor
        self._user_agent = user_agent
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[tuple[str, str], URL] = {}
        self._proxies: dict[str, URL | None] = {}

    async def send(self, wire: Wire, key: KeyRef, *, deadline_s: float) -> Response | Failure:
        """One exchange within deadline_s; every fault of server or network is a value."""
        session = self._session or self._open()
        url = self._urls.get((key.base_url, wire.path)) or self._url(key.base_url, wire.path)
        with Deadline(deadline_s) as deadline:
            try:
                async with session.post(
                    url,
                    data=wire.body,
                    headers=self._headers(wire, key),
                    allow_redirects=False,
                    proxy=self._proxies[key.base_url],
                ) as response:
                    body = await self._read(response)
            except NETWORK_FAULTS as fault:
                return self._masked(failure_of(fault))
            return Response(
                status=response.status,
                headers=response.headers,
                body=self._redactor.clean(body),
            )
        return deadline.failure

    async def close(self) -> None:
        """Let the connections go."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0, ttl_dns_cache=_DNS_CACHE_S, keepalive_timeout=_KEEPALIVE_S
        )
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self._session

    def _url(self, base_url: str, path: str) -> URL:
        try:
            url = URL(base_url + path)
            host = url.host
        except ValueError as fault:
            raise ConfigError(f"request.base_url {base_url!r} is not a URL: {fault}") from fault
        if url.scheme not in {"http", "https"} or not host:
            raise ConfigError(
                f"request.base_url {base_url!r} needs a scheme and a host, as in https://host/v1"
            )
        self._urls[base_url, path] = url
        self._proxies[base_url] = _proxy_for(url, host)
        return url

    def _headers(self, wire: Wire, key: KeyRef) -> CIMultiDict[str]:
        headers = CIMultiDict(wire.headers)
        headers["User-Agent"] = self._user_agent
        secret = self._values.get(key.alias)
        style = self._auth.get(key.alias, AuthStyle.NONE)
        if secret is not None and style is AuthStyle.BEARER:
            headers["Authorization"] = f"Bearer {secret.reveal()}"
        elif secret is not None and style is AuthStyle.X_API_KEY:
            headers["x-api-key"] = secret.reveal()
        return headers

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        length = response.content_length
        if length is not None and length <= _MOST_BODY_BYTES:
            return await response.read()
        chunks = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > _MOST_BODY_BYTES:
                raise ValueError(f"the answer is larger than {_MOST_BODY_BYTES} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    def _masked(self, failure: Failure) -> Failure:
        return Failure(
            kind=failure.kind,
            scope=failure.scope,
            message=self._redactor.clean_text(failure.message),
        )


def _proxy_for(url: URL, host: str) -> URL | None:
    """The proxy the environment names for this URL; looked up once, not per request."""
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(host):
        return None
    return URL(proxy if "://" in proxy else f"http://{proxy}")

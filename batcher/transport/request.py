"""An aiohttp request whose headers are ready and whose body is at hand as bytes.

aiohttp prepares for anything: before Python 3.12 it starts a task to write each body, and it
copies every header three times. A prompt needs none of that, which saves a tenth of what a
request costs (measured 2026-12).
"""

from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

Parcel = tuple[CIMultiDict[str], bytes]
"""All headers of one request, Host and Content-Length among them, and its body; given as `data`."""


def common_headers(url: URL) -> CIMultiDict[str]:
    """What aiohttp would send to this URL of its own accord."""
    headers = CIMultiDict({"Host": str(url.host_port_subcomponent)})
    headers.update(aiohttp.ClientRequest.DEFAULT_HEADERS)
    return headers


class ReadyRequest(aiohttp.ClientRequest):
    """Sends a Parcel as it stands, head and body in one stretch."""

    def __init__(self, method: str, url: URL, *, data: Parcel, **rest: Any) -> None:
        self._own_headers, self._own_body = data
        super().__init__(method, url, **rest)

    def update_headers(self, headers: object) -> None:
        """Take the headers that came with the body instead of the session's."""
        del headers
        self.headers = self._own_headers

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """Write the request; its answer is read from what is returned."""
        if conn.protocol.writing_paused:  # an earlier body is not through: aiohttp's own way waits
            await self.update_body(self._own_body)
            return await super().send(conn)
        response = await super().send(conn)
        conn.transport.write(self._own_body)
        return response

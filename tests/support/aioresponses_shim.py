"""aioresponses 0.7.9 does not know the `stream_writer` that aiohttp 3.14 asks for.

Its response class is replaceable, so that is where the argument is filled in. Remove when a
release of aioresponses supports aiohttp 3.14.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock

from aiohttp import ClientResponse
from aioresponses import aioresponses


class PatchedResponse(ClientResponse):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **kwargs)


class Mocked:
    """aioresponses whose answers aiohttp 3.14 accepts."""

    def __init__(self, mocked: aioresponses) -> None:
        self._mocked = mocked

    def post(self, url: str, **answer: Any) -> None:
        self._mocked.post(url, response_class=PatchedResponse, **answer)

    @property
    def calls(self) -> list[Any]:
        return [call for calls in self._mocked.requests.values() for call in calls]


@contextmanager
def mocked_http() -> Iterator[Mocked]:
    with aioresponses() as mocked:
        yield Mocked(mocked)

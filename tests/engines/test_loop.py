"""Connecting on the run's own event loop."""

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from batcher.engines.loop import loop_factory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there it is the standard loop")


T = TypeVar("T")


def on_our_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(work())


async def connections(host: str, family: socket.AddressFamily, *, count: int = 50) -> int:
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(lambda _, writer: writer.close(), host, 0, family=family)
    address = server.sockets[0].getsockname()
    made = 0
    for _ in range(count):
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, (host, *address[1:]))
            made += sock.getpeername()[1] == address[1]
    server.close()
    return made


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_socket_is_connected(host: str) -> None:
    assert on_our_loop(lambda: connections(host, socket.AF_INET)) == 50


def test_an_address_of_version_six_too() -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")

    assert on_our_loop(lambda: connections("::1", socket.AF_INET6)) == 50


def test_a_port_nobody_listens_on_is_refused() -> None:
    async def work() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = free.getsockname()
        with socket.socket() as sock:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, address)

    with pytest.raises(ConnectionRefusedError, match="Connect"):
        on_our_loop(work)

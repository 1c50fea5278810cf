"""Connecting and reading on the run's own event loop."""

import asyncio
import socket
import sys
import threading
import time
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


def in_threads(*works: Callable[[], object]) -> list[object]:
    """What becomes of each in a thread; nobody may wake the loop meanwhile."""

    async def work() -> list[object]:
        loop = asyncio.get_running_loop()
        assert type(loop).run_in_executor is not asyncio.BaseEventLoop.run_in_executor
        return await asyncio.gather(*map(asyncio.to_thread, works), return_exceptions=True)

    factory = loop_factory()

    def deaf() -> asyncio.AbstractEventLoop:
        class Deaf(factory):  # type: ignore[misc, valid-type]
            def call_soon_threadsafe(self, *_: object, **__: object) -> None:
                raise AssertionError("a thread woke the loop")

        return Deaf()

    with asyncio.Runner(loop_factory=deaf) as runner:
        return runner.run(work())


def test_a_thread_is_waited_for_without_its_waking_the_loop() -> None:
    def slowly() -> str:
        time.sleep(0.05)
        return threading.current_thread().name

    names = in_threads(slowly, lambda: 7)

    assert str(names[0]).startswith("batcher")
    assert names[1] == 7


def test_what_fails_in_a_thread_fails_where_it_is_awaited() -> None:
    def fail() -> None:
        raise OSError(5, "broken")

    assert repr(in_threads(fail)) == repr([OSError(5, "broken")])


def test_a_name_is_looked_up_without_waking_the_loop() -> None:
    async def work() -> object:
        found = await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        return {address[0] for *_, address in found}

    assert on_our_loop(work) & {"127.0.0.1", "::1"}  # type: ignore[operator]


def test_who_waits_for_a_thread_may_give_up() -> None:
    released = threading.Event()

    async def work() -> bool:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(released.wait, 5.0), 0.02)
        released.set()
        return True

    assert on_our_loop(work)

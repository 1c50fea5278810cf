"""The event loop a run is driven by."""

import asyncio
import socket
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

_THREADS = 8
_SPIN_S = 0.0003  # what is in memory is read by then
_SHORTEST_LOOK_S = 0.001  # the loop's timers are no finer
_LONGEST_LOOK_S = 0.02


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Makes uvloop's loop where it runs, else the standard one."""
    if sys.platform == "win32":
        return asyncio.new_event_loop
    import uvloop

    class Loop(uvloop.Loop):
        """uvloop that no thread needs to wake.

        A thread wakes it by writing to a pipe, and the whole process is ended where that
        write fails, as it does under fault injection. So we look whether a thread is done.

        It connects to an address as it stands. Its own way looks every address up again, in
        one of four threads, even where it is nothing but numbers: hundreds of connections
        wait for one another.
        """

        _pool: ThreadPoolExecutor | None = None

        def run_in_executor(  # type: ignore[override]
            self, executor: ThreadPoolExecutor | None, func: Callable[..., Any], *args: Any
        ) -> "asyncio.Future[Any]":
            if executor is None:
                executor = self._pool = self._pool or ThreadPoolExecutor(_THREADS, "batcher")
            done: asyncio.Future[Any] = self.create_future()
            self.call_soon(_look, self, executor.submit(func, *args), done, self.time())
            return done

        async def getaddrinfo(self, host: Any, port: Any, **how: Any) -> Any:
            return await self.run_in_executor(None, partial(socket.getaddrinfo, host, port, **how))

        def close(self) -> None:
            if self._pool is not None:
                self._pool.shutdown(wait=False)
            super().close()

        async def sock_connect(self, sock: socket.socket, address: Any) -> None:
            if not _is_numeric(sock, address):
                await super().sock_connect(sock, address)
                return
            try:
                sock.connect(address)
            except (BlockingIOError, InterruptedError):
                await self._connected(sock, address)

        async def _connected(self, sock: socket.socket, address: Any) -> None:
            done = self.create_future()
            self.add_writer(sock, _settle, done, sock, address)
            try:
                await done
            finally:
                self.remove_writer(sock)

    return Loop


def _look(
    loop: asyncio.AbstractEventLoop,
    work: "Future[Any]",
    done: "asyncio.Future[Any]",
    since_s: float,
) -> None:
    """See whether a thread is done: at once again for a moment, then ever less often."""
    if done.done():
        work.cancel()
        return
    if not work.done():
        waited_s = loop.time() - since_s
        if waited_s < _SPIN_S:
            loop.call_soon(_look, loop, work, done, since_s)
        else:
            pause_s = min(_LONGEST_LOOK_S, max(_SHORTEST_LOOK_S, waited_s / 4))
            loop.call_later(pause_s, _look, loop, work, done, since_s)
    elif (fault := work.exception()) is not None:
        done.set_exception(fault)
    else:
        done.set_result(work.result())


def _is_numeric(sock: socket.socket, address: Any) -> bool:
    try:
        socket.inet_pton(sock.family, address[0])
    except (OSError, TypeError, ValueError):
        return False
    return True


def _settle(done: "asyncio.Future[None]", sock: socket.socket, address: Any) -> None:
    """The socket has connected, or will not."""
    if done.done():
        return
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        done.set_exception(OSError(error, f"Connect call failed {address}"))
    else:
        done.set_result(None)

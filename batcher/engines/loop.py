"""The event loop a run is driven by."""

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Makes uvloop's loop where it runs, else the standard one."""
    if sys.platform == "win32":
        return asyncio.new_event_loop
    import uvloop

    class Loop(uvloop.Loop):
        """uvloop that connects to an address as it stands.

        Its own way looks every address up again, in one of four threads, even where it is
        nothing but numbers: hundreds of connections wait for one another. And each thread must
        wake the loop, which ends the process when it cannot: fault injection does that.
        """

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

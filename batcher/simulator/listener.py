"""A listening port that can be shut and opened again, and stays ours while it is shut."""

import asyncio
import socket
from collections.abc import Callable, Coroutine

_BACKLOG = 4096  # ten thousand clients connect at once
_BIND_TRIES = 50
_PAUSE_S = 0.01


class Listener:
    """Accepts connections on one address.

    While it refuses, the port is held by a socket that is bound and does not listen: clients
    get a refusal, and nobody else gets the port.

    Args:
        connected: Makes the protocol of one connection.
        drop: Ends all open connections at once.
    """

    def __init__(self, connected: Callable[[], asyncio.Protocol], drop: Callable[[], None]) -> None:
        self.host = ""
        self.port = 0
        self._connected = connected
        self._drop = drop
        self._server: asyncio.Server | None = None
        self._placeholder: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None  # will shut or open the port

    async def open(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one.

        Raises:
            OSError: The address cannot be had.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connected, host, port, backlog=_BACKLOG)
        self.host = host
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Let go of port and connections; may be called twice."""
        await self._forget()
        await self._shut()
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    async def refuse(self, for_s: float | None) -> None:
        """Refuse connections for so long, or (None) until `accept`; open ones are dropped."""
        await self._forget()
        await self._shut()
        if self._placeholder is None:
            self._placeholder = await _bound(self.host, self.port)
        if for_s is not None:
            self._later(self._accept_after(for_s))

    def refuse_soon(self, for_s: float) -> None:
        """The same as soon as what is being said now has been sent."""
        if self._task is not None:
            self._task.cancel()
        self._later(self._refuse_then_accept(for_s))

    async def accept(self) -> None:
        """Take connections again, on the same port."""
        await self._forget()
        if self._placeholder is not None:
            held, self._placeholder = self._placeholder, None
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._connected, sock=held, backlog=_BACKLOG)

    def _later(self, work: Coroutine[object, object, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(work)

    async def _refuse_then_accept(self, for_s: float) -> None:
        await asyncio.sleep(_PAUSE_S)
        await self.refuse(None)
        await self._accept_after(for_s)

    async def _accept_after(self, for_s: float) -> None:
        await asyncio.sleep(for_s)
        await self.accept()

    async def _forget(self) -> None:
        """Cancel what was to happen later, unless that is what is happening now."""
        task = self._task
        if task is not None and task is not asyncio.current_task():
            self._task = None
            task.cancel()
            await asyncio.wait([task])

    async def _shut(self) -> None:
        self._drop()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None


async def _bound(host: str, port: int) -> socket.socket:
    """A socket bound to this address that does not listen.

    Some loops close a listener a turn later than they say, so a few tries are made.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(_BIND_TRIES):
        holder = socket.socket(family, socket.SOCK_STREAM)
        holder.setblocking(False)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind((host, port))
        except OSError:
            holder.close()
            await asyncio.sleep(_PAUSE_S)
        else:
            return holder
    raise OSError(f"port {port} was taken while connections were refused")

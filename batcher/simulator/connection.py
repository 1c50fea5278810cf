"""One client's connection: requests in their order, each answered as its plan says.

Works, waits and ends with timers of the loop and no task, so that an instant answer leaves in
the same call its request came in.
"""

import asyncio
import socket
import struct
from collections import deque
from functools import partial
from typing import Protocol, cast

from batcher.simulator.exchange import Ending, Plan, Request
from batcher.simulator.http import MalformedError, Parser, chunk, whole

_LINGER_0 = struct.pack("ii", 1, 0)  # closing then sends RST instead of FIN
_RESET_PAUSE_S = 0.01  # lets what was written leave before RST throws the rest away
_DRIP_S = 1.0
_DROP = chunk(b" ")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Host(Protocol):
    """What a connection needs of its server."""

    def opened(self, connection: "Connection") -> None:
        """A client connected."""
        ...

    def closed(self, connection: "Connection") -> None:
        """It is gone."""
        ...

    def came(self, request: Request) -> Plan:
        """A request's turn has come: how to deal with it."""
        ...

    def received_some(self, requests: int) -> None:
        """So many requests came in."""
        ...

    def over(self, plan: Plan | None, *, sent: bool) -> None:
        """A request is dealt with: sent whole, or not. None: it never had its turn."""
        ...

    def enter(self, connection: "Connection") -> None:
        """Ask for a slot; `work` is called as soon as there is one."""
        ...

    def leave(self, connection: "Connection") -> None:
        """Give the slot or the place in the queue back."""
        ...


class Connection(asyncio.Protocol):
    """Reads requests and carries out their plans, one at a time."""

    __slots__ = (
        "_host",
        "_keep_alive",
        "_loop",
        "_next_piece",
        "_parser",
        "_plan",
        "_timer",
        "_transport",
        "_waiting",
    )

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop
        self._parser = Parser()
        self._waiting: deque[Request] = deque()
        self._plan: Plan | None = None  # the request being dealt with
        self._keep_alive = True
        self._next_piece = 0
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by shape only
        self._host.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        """Give up what was under way."""
        self._transport = None
        self._stop_timer()
        self._host.leave(self)
        if self._plan is not None:
            self._host.over(self._plan, sent=False)
            self._plan = None
        for _ in self._waiting:
            self._host.over(None, sent=False)
        self._waiting.clear()
        self._host.closed(self)

    def data_received(self, data: bytes) -> None:
        """Take in what came and begin with it."""
        try:
            requests = self._parser.feed(data)
        except MalformedError as fault:
            self._give_up(fault)
            return
        if requests:
            self._host.received_some(len(requests))
            self._waiting.extend(requests)
            if self._plan is None:
                self._go_on()
        elif self._parser.wants_continue and self._transport is not None:
            self._parser.wants_continue = False
            self._transport.write(_CONTINUE)

    def drop(self) -> None:
        """End it at once; the client sees a reset."""
        if self._transport is not None:
            reset(self._transport)

    def _give_up(self, fault: MalformedError) -> None:
        if self._transport is not None:
            text = f"{fault}\n".encode()
            self._transport.write(whole(fault.status, text, kind=b"text/plain"))
            self._transport.close()

    def _go_on(self) -> None:
        """Deal with waiting requests until one takes time."""
        while self._plan is None and self._waiting:
            if self._transport is None or self._transport.is_closing():
                return
            request = self._waiting.popleft()
            self._plan = plan = self._host.came(request)
            self._keep_alive = request.keep_alive
            self._next_piece = 0
            if plan.latency_s is None:
                self._speak()
            else:
                self._host.enter(self)

    def work(self) -> None:
        """Called when there is a slot: let the plan's latency pass, then speak."""
        if self._plan is not None:
            self._later(self._plan.latency_s or 0.0)

    def _later(self, delay_s: float) -> None:
        # A timer for 0 s too: a queue of instant answers must not call one another ever deeper.
        self._timer = self._loop.call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._speak()
        self._go_on()

    def _speak(self) -> None:
        """Send the next piece; after the last one come to the plan's end."""
        plan, transport = self._plan, self._transport
        if plan is None or transport is None:
            return
        if self._next_piece < len(plan.pieces):
            transport.write(plan.pieces[self._next_piece])
            self._next_piece += 1
        if self._next_piece < len(plan.pieces):
            self._later(plan.gap_s)
        else:
            self._end(plan, transport)

    def _end(self, plan: Plan, transport: asyncio.Transport) -> None:
        match plan.ending:
            case Ending.KEEP:
                self._over(plan, transport)
                if not self._keep_alive:
                    transport.close()
            case Ending.CLOSE:
                self._over(plan, transport)
                transport.close()
            case Ending.RESET if not plan.pieces:
                self._over(plan, transport)
                reset(transport)
            case Ending.RESET:
                self._timer = self._loop.call_later(_RESET_PAUSE_S, partial(reset, transport))
            case Ending.HANG:
                self._host.leave(self)
            case Ending.DRIP:
                self._host.leave(self)
                self._drip()

    def _over(self, plan: Plan, transport: asyncio.Transport) -> None:
        self._plan = None
        self._host.leave(self)
        self._host.over(plan, sent=not transport.is_closing())

    def _drip(self) -> None:
        if self._transport is not None:
            self._transport.write(_DROP)
            self._timer = self._loop.call_later(_DRIP_S, self._drip)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def reset(transport: asyncio.Transport) -> None:
    """End a connection with RST."""
    if not transport.is_closing():
        peer = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        transport.abort()

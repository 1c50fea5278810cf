"""A provider on a real socket: stands in for a vendor's API in tests, rehearsals and benchmarks.

    async with Simulator(Settings(requests_per_minute=600)) as simulator:
        ... simulator.base_url, simulator.stats, simulator.says(429, retry_after=30)

Runs inside the caller's loop and takes every time from it, a virtual clock's too.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from types import TracebackType

from batcher import clock
from batcher.job import Simulator as Settings
from batcher.simulator import control
from batcher.simulator.connection import Connection
from batcher.simulator.exchange import Plan, Request
from batcher.simulator.faults import fault_kind
from batcher.simulator.keys import DEFAULT_SCOPE, Keys
from batcher.simulator.listener import Listener
from batcher.simulator.script import Line, Received, Script, What
from batcher.simulator.slots import Slots
from batcher.simulator.stats import Stats
from batcher.simulator.vendor import Vendor


class Simulator:
    """A simulated provider; start it, talk HTTP to `base_url`, read `stats`.

    Args:
        settings: What it does by itself; None: the defaults.
        keys: Accepted key -> quota scope; None: every key and none, on one scope.
        scopes: Quota scope -> how many times the configured quota it has; 1 when not named.
        script: What a test laid down; made by the first `says` when left out.
        deliveries: Whether `stats.delivered` is kept, about 150 bytes a prompt.
        times: Whether `stats.admissions` and `stats.refusals` are kept.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        keys: Mapping[str, str] | None = None,
        scopes: Mapping[str, float] | None = None,
        script: Script | None = None,
        deliveries: bool = True,
        times: bool = False,
    ) -> None:
        self.settings = settings or Settings()
        self.stats = Stats(deliveries=deliveries, times=times)
        self._keys = Keys(keys)
        self._vendor = Vendor(self.settings, keys=self._keys, scopes=scopes or {}, stats=self.stats)
        self._vendor.script = script
        self._slots = Slots(self.settings.slots)
        self._connections: set[Connection] = set()
        self._listener = Listener(self._connected, self._drop_all)

    # Starting and stopping

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one.

        Raises:
            OSError: The address cannot be had.
        """
        self._loop = asyncio.get_running_loop()
        # uvloop's time stands still within a turn and moves in milliseconds; too coarse for a
        # quota that says to the millisecond when to come back.
        is_stdlib = isinstance(self._loop, asyncio.BaseEventLoop)
        self._now = self._loop.time if is_stdlib else clock.cpu
        await self._listener.open(host, port)

    async def stop(self) -> None:
        """Let go of everything; may be called twice."""
        await self._listener.close()

    async def __aenter__(self) -> "Simulator":
        if not self.port:
            await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def host(self) -> str:
        """Address it listens at."""
        return self._listener.host

    @property
    def port(self) -> int:
        """Port it listens at; 0 before it has been started."""
        return self._listener.port

    @property
    def base_url(self) -> str:
        """Root of every path, without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    # Scripting

    def says(self, what: What, **how: object) -> Line:
        """Lay down what to say next; see script.Script.says."""
        if self._vendor.script is None:
            self._vendor.script = Script()
        return self._vendor.script.says(what, **how)  # type: ignore[arg-type]  # as there

    @property
    def received(self) -> Sequence[Received]:
        """What came, where there is a script; else nothing is kept."""
        return self._vendor.script.received if self._vendor.script is not None else ()

    # Steering

    def scale(self, multiplier: float, *, scope: str | None = None) -> None:
        """From now on allow `multiplier` times the configured quota, in one scope or in all."""
        self._vendor.scale(multiplier, scope=scope, now=self._now())

    def add_key(self, key: str, scope: str = DEFAULT_SCOPE) -> None:
        """Accept a key from now on, and none that is not named."""
        self._keys.add(key, scope)

    def revoke(self, key: str) -> None:
        """Accept a key no longer."""
        self._keys.revoke(key)

    def down(self, kind: str, *, for_s: float | None = None) -> None:
        """Answer everything with this fault for so long, or (None) until `up`.

        Raises:
            ConfigError: There is no such fault, or it needs an answer to happen to.
        """
        until_s = math.inf if for_s is None else self._now() + for_s
        self._vendor.down(fault_kind(kind), until_s=until_s)

    def up(self) -> None:
        """End what `down` began."""
        self._vendor.up()

    async def refuse(self, for_s: float | None = None) -> None:
        """Refuse connections for so long, or (None) until `accept`; open ones are reset."""
        await self._listener.refuse(for_s)

    def refuse_soon(self, for_s: float) -> None:
        """The same as soon as what is being said now has been sent."""
        self._listener.refuse_soon(for_s)

    async def accept(self) -> None:
        """Take connections again, on the same port."""
        await self._listener.accept()

    def _drop_all(self) -> None:
        for connection in tuple(self._connections):
            connection.drop()

    def _connected(self) -> Connection:
        return Connection(self, self._loop)

    # What connections need (connection.Host)

    def opened(self, connection: Connection) -> None:
        """A client connected."""
        self._connections.add(connection)
        self.stats.connections += 1
        self.stats.connections_made += 1

    def closed(self, connection: Connection) -> None:
        """It is gone."""
        self._connections.discard(connection)
        self.stats.connections -= 1

    def received_some(self, requests: int) -> None:
        """So many requests came in."""
        stats = self.stats
        stats.in_flight += requests
        stats.max_in_flight = max(stats.max_in_flight, stats.in_flight)

    def came(self, request: Request) -> Plan:
        """A request's turn has come."""
        if request.path.startswith(control.PREFIX):
            return control.answer(request, self)
        return self._vendor.plan(request, now=self._now())

    def over(self, plan: Plan | None, *, sent: bool) -> None:
        """A request is dealt with."""
        self.stats.in_flight -= 1
        if plan is not None and (admission := plan.admission) is not None:
            self._vendor.settle(admission, now=self._now())
            if sent and plan.answers:
                self.stats.deliver(admission.digest)

    def enter(self, connection: Connection) -> None:
        """A connection asks for a slot."""
        self._slots.enter(connection, connection.work)

    def leave(self, connection: Connection) -> None:
        """It gives it back."""
        self._slots.leave(connection)

"""Who sends: the production controller, and an oracle that sees the server's buckets.

Both serve rows in input order; a refused row rests for a moment, off the queue, and
returns to its place.
"""

import heapq
import random
from bisect import bisect_left

from batcher.policy.backoff import busy_delay_s
from batcher.policy.keyring import Keyring
from batcher.policy.limiter import Limiter
from batcher.records import Bucket, Feedback, KeyRef, Need, Signal, Usage
from tests.scenarios.server import Answer, Server, Stop, World
from tests.scenarios.workload import Row

_SIGNALS = {
    200: Signal.OK,
    425: Signal.RAMP,
    429: Signal.RATE,
    529: Signal.OVERLOADED,
}
_NEVER = float("inf")


class Path:
    """The way to the server and back.

    Attributes:
        up_s: Median seconds to the server, 30 % either way.
        down_s: Seconds back.
        reject_s: Seconds a server takes to refuse.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        up_s: float = 0.03,
        down_s: float = 0.03,
        reject_s: float = 0.04,
    ) -> None:
        self.up_s, self.down_s, self.reject_s = up_s, down_s, reject_s
        self._rng = rng

    def up(self) -> float:
        """Seconds one request takes to the server."""
        return self.up_s * (0.7 + 0.6 * self._rng.random())


class Sender:
    """Serves rows in order, as soon as `wait` allows; subclasses say when."""

    def __init__(
        self, world: World, path: Path, servers: list[Server], work: list[Row], *, most: int
    ) -> None:
        self._world, self._path, self._servers = world, path, servers
        self._work = work
        self._ready = [(row.seq, row) for row in work]
        heapq.heapify(self._ready)
        self._left = len(work)
        self._most = most
        self._wake = _NEVER
        self._pumping = False
        self.stops = True
        self.in_flight = 0
        self.sent: list[float] = []
        self.admitted: list[float] = []
        self.refused: list[float] = []
        self.overloaded = 0
        self.finished: list[tuple[float, int]] = []

    def start(self) -> None:
        """Begin."""
        self.pump()

    def choose(self, row: Row) -> tuple[int, float]:
        """Which server, and seconds to wait; 0.0 for now."""
        raise NotImplementedError

    def transmit(self, row: Row, server: int) -> None:
        """Put a row on its way."""
        raise NotImplementedError

    def pump(self) -> None:
        """Send what may go now, and wake up when the next may."""
        if self._pumping:
            return
        self._pumping = True
        while self._ready and self.in_flight < self._most:
            row = self._ready[0][1]
            server, wait = self.choose(row)
            if wait > 0.0:
                self._sleep(wait)
                break
            heapq.heappop(self._ready)
            self.in_flight += 1
            row.attempts += 1
            if row.first_sent < 0.0:
                row.first_sent = self._world.now
            self.sent.append(self._world.now)
            self.transmit(row, server)
        self._pumping = False

    def _sleep(self, wait: float) -> None:
        when = self._world.now + max(wait, 1e-3)
        if when < self._wake - 1e-9 or self._wake <= self._world.now:
            self._wake = when
            self._world.at(when, self._awake, when)

    def _awake(self, when: float) -> None:
        if self._wake == when:
            self._wake = _NEVER
            self.pump()

    def taken(self, start: float, end: float, what: Bucket) -> int:
        """Requests, or input tokens, let in within."""
        rows = [row for row in self._work if start <= row.admitted < end]
        return sum(row.inputs for row in rows) if what is Bucket.INPUT else len(rows)

    def done(self, row: Row) -> None:
        """A row has its answer."""
        row.done = self._world.now
        self.finished.append((self._world.now, self.in_flight))
        self._left -= 1
        if self._left == 0 and self.stops:
            raise Stop

    def again(self, row: Row, delay: float) -> None:
        """A row comes back after a rest."""
        self._world.after(delay, self._requeue, row)

    def _requeue(self, row: Row) -> None:
        heapq.heappush(self._ready, (row.seq, row))
        self.pump()


class Oracle(Sender):
    """Sends exactly when a server will let the row in."""

    def start(self) -> None:
        """Begin, and grow as fast as the buckets allow."""
        for server in self._servers:
            server.exempt = True
        self.pump()

    def choose(self, row: Row) -> tuple[int, float]:
        """The server that admits soonest."""
        wait, server = min((s.wait_s(row), i) for i, s in enumerate(self._servers))
        return server, wait + 1e-6 if wait > 1e-9 else 0.0

    def transmit(self, row: Row, server: int) -> None:
        """No way to go: the server decides at once."""
        if self._servers[server].admit(row).status == 200:
            row.admitted = self._world.now
            self.admitted.append(self._world.now)
            self._servers[server].work(row, lambda: self._answered(row))
        else:
            self.in_flight -= 1
            self.again(row, 0.1)

    def _answered(self, row: Row) -> None:
        # No request is faster than its way, which the next in its place has to go as well.
        self._world.after(self._path.up_s + self._path.down_s, self._freed)
        self.done(row)

    def _freed(self) -> None:
        self.in_flight -= 1
        self.pump()


class Client(Sender):
    """The production keyring and limiters, one scope per server."""

    def __init__(
        self,
        world: World,
        path: Path,
        servers: list[Server],
        work: list[Row],
        *,
        most: int,
        seed: int,
        stated: list[dict[Bucket, float]] | None = None,
    ) -> None:
        super().__init__(world, path, servers, work, most=most)
        self._rng = random.Random(seed)
        self.limiters = [
            Limiter(
                f"s{index}", stated=stated[index] if stated else {}, max_in_flight=most, seed=seed
            )
            for index in range(len(servers))
        ]
        keys = [
            KeyRef(alias=str(index), scope=f"s{index}", base_url="")
            for index in range(len(servers))
        ]
        scopes = {f"s{index}": limiter for index, limiter in enumerate(self.limiters)}
        self._keyring = Keyring(keys, scopes)
        self.events: list[tuple[float, object]] = []

    def choose(self, row: Row) -> tuple[int, float]:
        """What the keyring says."""
        need = Need(input_chars=row.chars, max_tokens=row.max_tokens)
        alias, wait = self._keyring.pick(need, now=self._world.now)
        return int(alias or 0), wait

    def transmit(self, row: Row, server: int) -> None:
        """Reserve, and send over the path."""
        need = Need(input_chars=row.chars, max_tokens=row.max_tokens)
        _, ticket = self._keyring.reserve(str(server), need, now=self._world.now)
        self._world.after(self._path.up(), self._arrive, row, server, ticket, self._world.now)

    def _arrive(self, row: Row, server: int, ticket: object, sent: float) -> None:
        answer = self._servers[server].admit(row)
        path = self._path
        if answer.status == 200:
            row.admitted = self._world.now
            self.admitted.append(self._world.now)

            def finished() -> None:
                self._world.after(path.down_s, self._deliver, row, server, ticket, sent, answer)

            self._servers[server].work(row, finished)
            return
        if answer.status == 529:
            row.overloads += 1
            self.overloaded += 1
        else:
            row.refusals += 1
            self.refused.append(self._world.now)
        delay = path.reject_s + path.down_s
        self._world.after(delay, self._deliver, row, server, ticket, sent, answer)

    def _deliver(self, row: Row, server: int, ticket: object, sent: float, answer: Answer) -> None:
        now = self._world.now
        is_ok = answer.status == 200
        feedback = Feedback(
            signal=_SIGNALS[answer.status],
            latency_s=now - sent,
            usage=Usage(input_tokens=row.inputs, output_tokens=row.output) if is_ok else None,
            quotas=answer.quotas,
            retry_after_s=answer.retry_after_s,
            limit_hint=answer.hint,
        )
        for event in self._keyring.settle(str(server), ticket, feedback, now=now):
            self.events.append((now, event))
        self.in_flight -= 1
        if is_ok:
            self.done(row)
        elif answer.status == 529:
            longest = min(8.0, 0.5 * 2 ** min(row.overloads - 1, 6))
            self.again(row, longest * (0.5 + 0.5 * self._rng.random()))
        else:
            self.again(row, busy_delay_s(refusals=row.refusals, random=self._rng.random()))
        self.pump()

    def between(self, times: list[float], start: float, end: float) -> int:
        """How many of these sorted times lie within."""
        return bisect_left(times, end) - bisect_left(times, start)

"""Hands ready calls to waiting workers, as soon as leave to send is given and no sooner.

One synchronous `pump` is the only place where a call meets a permit. It runs whenever
something has changed (a worker is free, a permit came back, a call was offered) and on one
timer, set for the moment the earliest wait is over. Workers wait on futures; nobody polls.
"""

import asyncio
from collections import deque

from batcher import clock
from batcher.pipeline.admission import Admission, Turn
from batcher.pipeline.backlog import Backlog, Pending
from batcher.records import Call

# uvloop's timers are no finer than 1 ms and a shorter wait would spin; at high rates one tick
# grants what has accrued meanwhile.
TICK_S = 0.002
_LONGEST_NAP_S = 60.0


class Dispatcher:
    """Where workers get their turns.

    Attributes:
        in_flight: Turns handed out and not yet given back.
    """

    def __init__(self, backlog: Backlog, admission: Admission) -> None:
        self._backlog = backlog
        self._admission = admission
        self._idle: deque[asyncio.Future[Turn | None]] = deque()
        self._room: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0
        self._input_ended = False
        self._closed = False
        self.in_flight = 0
        if admission.gate is not None:
            admission.gate.on_start = self.pump

    def take(self) -> Turn | None:
        """The next turn, when there is one right now."""
        if self._closed:
            return None
        turn = self._try_turn()
        if turn is not None and self._idle:
            self.pump()  # what freed this turn may have freed another
        return turn

    async def wait(self) -> Turn | None:
        """The next turn, after `take` had none; None when there will be no more."""
        if self._closed or self._is_over():
            self.close()
            return None
        future: asyncio.Future[Turn | None] = asyncio.get_running_loop().create_future()
        self._idle.append(future)
        return await future

    def offer(self, call: Call) -> bool:
        """Take in a new call; returns whether there is room for another."""
        backlog = self._backlog
        is_only_one = backlog.offer(call)
        # A worker that waits beside an untried call waits for leave, which this does not bring.
        if is_only_one and self._idle:
            self.pump()
        return not self._closed and backlog.has_room()

    def offer_ended(self) -> None:
        """No more calls will be offered."""
        self._input_ended = True
        self.pump()

    async def room(self) -> bool:
        """Wait until another call may be offered; False when none will be wanted."""
        while not self._closed and not self._backlog.has_room():
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        return not self._closed

    def give_back(self, pending: Pending, *, retry_at_s: float | None) -> None:
        """A turn is over: its call is settled (None) or comes back at `retry_at_s`.

        The worker asks for its next turn at once, which serves the idle ones and intake as well.
        """
        self.in_flight -= 1
        if retry_at_s is None:
            self._backlog.closed(pending)
        else:
            self._backlog.later(pending, due_s=retry_at_s)

    def close(self) -> None:
        """No more turns: idle workers go home, calls not sent stay unsettled."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._let_in()
        while self._idle:
            future = self._idle.popleft()
            if not future.done():
                future.set_result(None)

    def pump(self) -> None:
        """Give turns to idle workers while calls are ready and leave is given."""
        if self._closed:
            return
        while self._idle:
            if self._idle[0].done():  # its worker was cancelled
                del self._idle[0]
                continue
            turn = self._try_turn()
            if turn is None:
                break
            self._idle.popleft().set_result(turn)
        if self._is_over():
            self.close()

    def _try_turn(self) -> Turn | None:
        now = clock.now()
        backlog, admission = self._backlog, self._admission
        is_probe = admission.outage.is_open
        pending = backlog.peek(now=now, untried_newest=is_probe and admission.untried_newest)
        if pending is None:
            due_s = backlog.next_due_s()
            if due_s is not None:
                self._wake_in(due_s - now, now)
            if self._room is not None and backlog.runs_low():
                self._let_in()
            return None
        turn = admission.ask(pending, now=now)
        if not isinstance(turn, Turn):
            self._wake_in(turn, now)
            return None
        backlog.pop(pending)
        if self._room is not None and backlog.runs_low():
            self._let_in()
        self.in_flight += 1
        if pending.first_sent_s is None:
            pending.first_sent_s = now
        return turn

    def _is_over(self) -> bool:
        return self._input_ended and self.in_flight == 0 and self._backlog.rows_open == 0

    def _let_in(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def _wake_in(self, wait_s: float, now: float) -> None:
        wake_s = now + min(max(wait_s, TICK_S), _LONGEST_NAP_S)
        if self._timer is not None:
            if self._timer_s <= wake_s and self._timer_s > now:
                return
            self._timer.cancel()
        self._timer_s = wake_s
        self._timer = asyncio.get_running_loop().call_at(wake_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.pump()

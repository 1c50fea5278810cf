"""One run in one process: wires intake, backlog, admission, attempt and settlement.

Rows come in through one task; a fixed set of workers takes turns; whatever a turn brings
is settled, tried later, or ends the run. First signal drains, second cancels: both leave
files from which the next run continues.
"""

import asyncio
from contextlib import aclosing

from batcher import clock
from batcher.errors import Exit, InputError, StorageError
from batcher.events import RunDraining, RunHalted
from batcher.pipeline.dispatch import Dispatcher
from batcher.pipeline.parts import Parts
from batcher.pipeline.settle import Settler
from batcher.pipeline.turns import Turns
from batcher.policy.when import seconds_until
from batcher.records import Failure, Outcome

_SPARE = 1.25  # the last answers may take longer than any before
_LOOK_S = 0.1  # between two looks at a near deadline
_YIELD_EVERY = 200  # rows settled without sending, between two looks at the rest of the loop


class Run:
    """One pass over the input.

    Attributes:
        exit_code: Why it ended early; None when it came to its end.
        reason: The same in a sentence.
        halted_by: The failure that ended it, when one did.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._dispatcher = Dispatcher(parts.backlog, parts.admission)
        parts.keys.on_change = self._dispatcher.pump
        self._settler = Settler(
            parts.sink,
            index=parts.settled,
            emit=parts.emit,
            on_storage_fault=self._storage_failed,
        )
        self._turns = Turns(
            parts, self._settler, halt=self._halt, on_storage_fault=self._storage_failed
        )
        self._group: asyncio.TaskGroup | None = None
        self._workers: list[asyncio.Task[None]] = []
        self._reading: asyncio.Future[None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self.exit_code: Exit | None = None
        self.reason: str | None = None
        self.halted_by: Failure | None = None

    @property
    def answered(self) -> int:
        """Rows this run gave their record."""
        return self._settler.settled

    @property
    def requests(self) -> int:
        """Attempts sent."""
        return self._turns.requests

    @property
    def in_flight(self) -> int:
        """Requests on their way."""
        return self._dispatcher.in_flight

    async def go(self) -> None:
        """Work until the input is done, nothing can succeed, or somebody stops it.

        Raises:
            StorageError: Some records could not be written.
        """
        parts = self._parts
        self._reading = asyncio.ensure_future(parts.keys.read_all())
        try:
            await self._reading
        except asyncio.CancelledError:
            if self.exit_code is None:
                raise
            if self._grace is not None:
                self._grace.cancel()
            return  # stopped before anything was sent
        async with asyncio.TaskGroup() as group:
            self._group = group
            background = [
                group.create_task(self._take_in()),
                group.create_task(parts.keys.refresh()),
                group.create_task(parts.keys.hours.keep(self._dispatcher.pump)),
            ]
            if parts.admission.gate is not None:
                background.append(group.create_task(parts.admission.gate.run()))
            if parts.neighbours is not None:
                background.append(group.create_task(parts.neighbours.keep()))
            if parts.sync_every_s is not None:
                background.append(group.create_task(self._sync_every(parts.sync_every_s)))
            if parts.patience.deadline is not None:
                self._keep_deadline(seconds_until(parts.patience.deadline, now=clock.local()))
            self._workers = [group.create_task(self._work()) for _ in range(parts.workers)]
            await asyncio.wait(self._workers)
            for task in background:
                task.cancel()
        if self._grace is not None:
            self._grace.cancel()
        self._settler.write_rest()

    def drain(self, reason: str, code: Exit) -> None:
        """Send nothing more; let what is in flight finish within the grace period."""
        if self.exit_code is not None:
            return
        self.exit_code, self.reason = code, reason
        parts = self._parts
        parts.emit(RunDraining(reason=reason, in_flight=self._dispatcher.in_flight))
        self._dispatcher.close()
        parts.keys.end()
        if self._reading is not None:
            self._reading.cancel()
        loop = asyncio.get_running_loop()
        self._grace = loop.call_later(parts.patience.grace_s, self.cancel)

    def read_keys_again(self) -> None:
        """Have every key's value read anew, beside the run."""
        if self._group is not None and self.exit_code is None:
            self._group.create_task(self._parts.keys.read_all_again())

    def _keep_deadline(self, left_s: float) -> None:
        """Stop sending early enough for what is in flight to be answered by then."""
        loop = asyncio.get_running_loop()

        def look_again() -> None:
            left = due_s - loop.time()
            if left <= _SPARE * self._turns.longest_s:
                self.drain("the deadline has come", Exit.INTERRUPTED)
                loop.call_at(due_s, self.cancel)
            else:
                loop.call_later(
                    max(_LOOK_S, left - max(_SPARE * self._turns.longest_s, grace_s)), look_again
                )

        due_s, grace_s = loop.time() + left_s, self._parts.patience.grace_s
        look_again()

    def cancel(self) -> None:
        """Stop now; what is in flight is left to the next run."""
        for task in (self._reading, *self._workers):
            if task is not None:
                task.cancel()

    async def _take_in(self) -> None:
        parts, dispatcher = self._parts, self._dispatcher
        quiet = 0
        try:
            async with aclosing(parts.source.rows(parts.settled)) as rows:
                async for row in rows:
                    if parts.brake is not None:
                        await parts.brake()
                    made = parts.intake.call(row)
                    if isinstance(made, Outcome):
                        self._settler.settle(made)
                        quiet += 1
                        if quiet % _YIELD_EVERY == 0:
                            await asyncio.sleep(0)
                        if self.exit_code is not None:
                            return
                    elif not dispatcher.offer(made) and not await dispatcher.room():
                        return
        except InputError as fault:
            self.exit_code, self.reason = fault.exit_code, str(fault)
        dispatcher.offer_ended()

    async def _work(self) -> None:
        dispatcher = self._dispatcher
        while (turn := dispatcher.take() or await dispatcher.wait()) is not None:
            retry_at_s = await self._turns.take(turn)
            dispatcher.give_back(turn.pending, retry_at_s=retry_at_s)

    def _halt(self, reason: str, failure: Failure | None) -> None:
        if self.exit_code is not None:
            return
        self.halted_by = failure
        self._parts.emit(RunHalted(reason=reason))
        self.drain(reason, Exit.HALTED)

    def _storage_failed(self, fault: StorageError) -> None:
        self.drain(str(fault), Exit.STORAGE)

    async def _sync_every(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await asyncio.to_thread(self._parts.sink.sync)
            except StorageError as fault:
                self._storage_failed(fault)
                return

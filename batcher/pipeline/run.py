"""One run in one process: wires intake, backlog, admission, attempt and settlement.

Rows come in through one task; a fixed set of workers takes turns; whatever a turn brings
is settled, tried later, or ends the run. First signal drains, second cancels: both leave
files from which the next run continues.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from batcher import clock
from batcher.errors import Exit, InputError, StorageError
from batcher.events import AttemptFailed, Event, RunDraining, RunHalted
from batcher.job import Patience
from batcher.pipeline.admission import Admission, Turn
from batcher.pipeline.attempt import Exchange, understood
from batcher.pipeline.backlog import Backlog, Pending
from batcher.pipeline.dispatch import Dispatcher
from batcher.pipeline.intake import Intake
from batcher.pipeline.keys import Keys
from batcher.pipeline.settle import Settler, outcome_of
from batcher.policy.backoff import busy_delay_s, delay_s
from batcher.policy.grow import grown
from batcher.policy.outage import Outage
from batcher.policy.verdict import (
    GiveUp,
    Grow,
    Halt,
    Keep,
    LeaveScope,
    ReplaceKey,
    RestKey,
    RetryIn,
    Verdict,
    verdict,
)
from batcher.policy.when import seconds_until
from batcher.ports import Journal, Provider, Settled, Sink, Source, Transport
from batcher.records import (
    Attempt,
    Call,
    Failure,
    FailureKind,
    Outcome,
    Reply,
    Scope,
    record,
)

_BUGS_IN_A_ROW = 3
_SPARE = 1.25  # the last answers may take longer than any before
_LOOK_S = 0.1  # between two looks at a near deadline
_YIELD_EVERY = 200  # rows settled without sending, between two looks at the rest of the loop


@record
class Parts:
    """What a run is made of; build.py chooses them."""

    source: Source
    settled: Settled
    intake: Intake
    backlog: Backlog
    admission: Admission
    keys: Keys
    transport: Transport
    provider: Provider
    sink: Sink
    journal: Journal
    outage: Outage
    patience: Patience
    workers: int
    sync_every_s: float | None
    emit: Callable[[Event], None]
    brake: Callable[[], Awaitable[None]] | None = None  # awaited before each row is taken in


class Run:
    """One pass over the input.

    Attributes:
        requests: Attempts sent.
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
        self._bugs = 0
        self._longest_s = 0.0
        self._group: asyncio.TaskGroup | None = None
        self._workers: list[asyncio.Task[None]] = []
        self._grace: asyncio.TimerHandle | None = None
        self.requests = 0
        self.exit_code: Exit | None = None
        self.reason: str | None = None
        self.halted_by: Failure | None = None

    @property
    def answered(self) -> int:
        """Rows this run gave their record."""
        return self._settler.settled

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
        await parts.keys.read_all()
        async with asyncio.TaskGroup() as group:
            self._group = group
            background = [
                group.create_task(self._take_in()),
                group.create_task(parts.keys.refresh()),
                group.create_task(parts.keys.keep_hours()),
            ]
            if parts.admission.gate is not None:
                background.append(group.create_task(parts.admission.gate.run()))
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
            if left <= _SPARE * self._longest_s:
                self.drain("the deadline has come", Exit.INTERRUPTED)
                loop.call_at(due_s, self.cancel)
            else:
                loop.call_later(
                    max(_LOOK_S, left - max(_SPARE * self._longest_s, grace_s)), look_again
                )

        due_s, grace_s = loop.time() + left_s, self._parts.patience.grace_s
        look_again()

    def cancel(self) -> None:
        """Stop now; what is in flight is left to the next run."""
        for worker in self._workers:
            worker.cancel()

    async def _take_in(self) -> None:
        parts, dispatcher = self._parts, self._dispatcher
        quiet = 0
        try:
            async for row in parts.source.rows(parts.settled):
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
                    continue
                if not dispatcher.offer(made) and not await dispatcher.room():
                    return
        except InputError as fault:
            self.exit_code, self.reason = fault.exit_code, str(fault)
        dispatcher.offer_ended()

    async def _work(self) -> None:
        dispatcher = self._dispatcher
        while (turn := dispatcher.take() or await dispatcher.wait()) is not None:
            retry_at_s = await self._take_turn(turn)
            dispatcher.give_back(turn.pending, retry_at_s=retry_at_s)

    async def _take_turn(self, turn: Turn) -> float | None:
        """One attempt and what follows; returns when the call is to be tried again, or None."""
        parts, pending, key = self._parts, turn.pending, turn.key
        call = pending.call
        key_version = parts.keys.version(key.alias)
        self.requests += 1
        try:
            sent_at, sent_s = clock.stamp(), clock.now()
            number = len(pending.attempts) + 1
            parts.journal.began(call, attempt=number, key=key.alias, sent_at=sent_at)
            response = await parts.transport.send(
                call.wire, key, deadline_s=parts.patience.timeout_s
            )
            now = clock.now()
            exchange = understood(
                response,
                provider=parts.provider,
                is_stream=call.wire.stream,
                sent_at=sent_at,
                latency_s=now - sent_s,
            )
            for event in parts.admission.give_back(turn, exchange.feedback, now=now):
                parts.emit(event)
            retry_at_s = None
            if isinstance(exchange.result, Reply):
                self._answered(turn, exchange, exchange.result, key_version)
            else:
                retry_at_s = await self._failed(turn, exchange, exchange.result, key_version)
            parts.journal.ended(call)
        except StorageError as fault:
            self._storage_failed(fault)
            return None
        except Exception as bug:  # noqa: BLE001 - the worker boundary: a bug costs a row, not the run
            self._bug(pending, bug)
            return None
        self._bugs = 0
        self._longest_s = max(self._longest_s, exchange.latency_s)
        return retry_at_s

    def _answered(self, turn: Turn, exchange: Exchange, reply: Reply, key_version: int) -> None:
        parts, pending = self._parts, turn.pending
        parts.outage.succeeded()
        parts.keys.worked(turn.key.alias, key_version)
        self._note(pending, turn, exchange, charged=False)
        self._settler.settle(outcome_of(pending, reply, exchange.body))

    async def _failed(
        self, turn: Turn, exchange: Exchange, result: Failure, key_version: int
    ) -> float | None:
        parts, pending, key = self._parts, turn.pending, turn.key.alias
        if result.reply is not None:
            parts.outage.succeeded()
        in_outage = parts.outage.failed(
            result, line=pending.call.line, is_probe=turn.is_probe, now=clock.now()
        )
        ruling = verdict(
            result,
            failures=pending.failures + 1,
            in_outage=in_outage,
            ever_answered=parts.outage.ever_answered,
            key_worked=parts.keys.has_worked(key, key_version),
            other_key=parts.keys.has_other(key),
            delay_s=delay_s(
                parts.patience,
                failures=pending.failures + 1,
                random=random.random(),  # noqa: S311
            ),
            busy_delay_s=busy_delay_s(
                refusals=pending.refusals + 1,
                random=random.random(),  # noqa: S311
            ),
            patience=parts.patience,
            age_s=clock.now() - (pending.first_sent_s or clock.now()),
        )
        retry_at_s = await self._obey(ruling, turn, exchange, result, key_version)
        if (reason := parts.outage.verdict(now=clock.now())) is not None:
            self._halt(reason, parts.outage.last)
        return retry_at_s

    async def _obey(
        self,
        ruling: Verdict,
        turn: Turn,
        exchange: Exchange,
        failure: Failure,
        key_version: int,
    ) -> float | None:
        pending = turn.pending
        match ruling:
            case RetryIn() | RestKey():
                charged = isinstance(ruling, RestKey) or ruling.charged
                pending.failures += charged
                pending.refusals += not charged
                self._note(pending, turn, exchange, charged=charged)
                self._tell(pending, failure, ruling.delay_s)
                if isinstance(ruling, RestKey):
                    self._parts.keys.rest(turn.key.alias, reason=failure.message)
                return clock.now() + ruling.delay_s
            case Grow() if (longer := self._longer(pending)) is not None:
                self._note(pending, turn, exchange, charged=False)
                self._tell(pending, failure, 0.0)
                pending.ask_instead(longer)
                return clock.now()
            case Keep() if failure.reply is not None:
                self._note(pending, turn, exchange, charged=False)
                self._settler.settle(outcome_of(pending, failure.reply, exchange.body))
                return None
            case GiveUp() | Grow() | Keep():
                pending.failures += 1
                self._note(pending, turn, exchange, charged=True)
                self._tell(pending, failure, None)
                self._settler.settle(outcome_of(pending, failure, exchange.body))
                return None
            case ReplaceKey() | LeaveScope():
                self._note(pending, turn, exchange, charged=False)
                self._tell(pending, failure, 0.0)
                await self._leave_key(ruling, turn.key.alias, failure, key_version)
                return clock.now()
            case Halt():
                self._note(pending, turn, exchange, charged=False)
                self._tell(pending, failure, None)
                self._halt(failure.message, failure)
                return None

    def _longer(self, pending: Pending) -> Call | None:
        return grown(pending.call, most=self._parts.patience.grow_to)

    async def _leave_key(
        self, ruling: ReplaceKey | LeaveScope, alias: str, failure: Failure, version: int
    ) -> None:
        """Go on with what other keys or values there are; without any the run is over."""
        keys, message = self._parts.keys, failure.message
        if isinstance(ruling, LeaveScope):
            if not keys.spent(alias, reason=message):
                self._halt(message, failure)
        elif not await keys.refused(alias, version=version, reason=message):
            self._halt(f"the key {alias} was refused: {message}", failure)

    def _note(self, pending: Pending, turn: Turn, exchange: Exchange, *, charged: bool) -> None:
        result = exchange.result
        pending.attempts.append(
            Attempt(
                number=len(pending.attempts) + 1,
                key=turn.key.alias,
                sent_at=exchange.sent_at,
                latency_s=exchange.latency_s,
                failure=result if isinstance(result, Failure) else None,
                charged=charged,
            )
        )

    def _tell(self, pending: Pending, failure: Failure, wait_s: float | None) -> None:
        self._parts.emit(
            AttemptFailed(
                call=pending.call, attempt=pending.attempts[-1], failure=failure, wait_s=wait_s
            )
        )

    def _halt(self, reason: str, failure: Failure | None = None) -> None:
        if self.exit_code is not None:
            return
        self.halted_by = failure
        self._parts.emit(RunHalted(reason=reason))
        self.drain(reason, Exit.HALTED)

    def _storage_failed(self, fault: StorageError) -> None:
        self.drain(str(fault), Exit.STORAGE)

    def _bug(self, pending: Pending, bug: Exception) -> None:
        self._bugs += 1
        failure = Failure(
            kind=FailureKind.BUG, scope=Scope.ROW, message=f"{type(bug).__name__}: {bug}"
        )
        self._settler.settle(outcome_of(pending, failure, None))
        if self._bugs >= _BUGS_IN_A_ROW:
            raise bug

    async def _sync_every(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await asyncio.to_thread(self._parts.sink.sync)
            except StorageError as fault:
                self._storage_failed(fault)
                return

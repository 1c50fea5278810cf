"""One turn: an attempt, and what follows from what it brought.

The row is settled, tried later, or its failure ends the run. verdict.py decides which; here it
is carried out, in one order: give back the permit, write the record, end the attempt's note.
"""

import random
from collections.abc import Callable
from dataclasses import replace

from batcher import clock
from batcher.errors import StorageError
from batcher.events import AttemptFailed
from batcher.pipeline.admission import Turn
from batcher.pipeline.attempt import Exchange, understood
from batcher.pipeline.backlog import Pending
from batcher.pipeline.parts import Parts
from batcher.pipeline.settle import Settler, outcome_of
from batcher.policy.backoff import busy_delay_s, delay_s
from batcher.policy.grow import grown
from batcher.policy.verdict import (
    DoubtKey,
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
from batcher.records import (
    Attempt,
    Call,
    Failure,
    FailureKind,
    Feedback,
    Reply,
    Scope,
    Signal,
)

_BUGS_IN_A_ROW = 3
_PACED = (FailureKind.RATE, FailureKind.RAMP)
_CROWD = 10  # answers, and answers for each 429 of others, that make a row's 429s its own
_NOTHING_LEARNT = Feedback(signal=Signal.NEUTRAL, latency_s=0.0)
_NOT_THE_QUOTA = 3  # 429s of one row while others are let in: they teach nothing, and pause nobody


class Turns:
    """Takes turns.

    Args:
        parts: What the run is made of.
        settler: Gives rows their records.
        halt: Called when no row can succeed, with the reason and the failure that shows it.
        on_storage_fault: Called when something could not be written.

    Attributes:
        requests: Attempts sent.
        longest_s: What the slowest of them took.
    """

    def __init__(
        self,
        parts: Parts,
        settler: Settler,
        *,
        halt: Callable[[str, Failure | None], None],
        on_storage_fault: Callable[[StorageError], None],
    ) -> None:
        self._parts = parts
        self._settler = settler
        self._halt = halt
        self._on_storage_fault = on_storage_fault
        self._bugs = 0
        self._answers = self._refusals = 0  # 429s, of all rows
        self.requests = 0
        self.longest_s = 0.0

    async def take(self, turn: Turn) -> float | None:
        """One attempt and what follows; returns when the call is to be tried again, or None."""
        parts, pending, key = self._parts, turn.pending, turn.key
        call = pending.call
        key_version = parts.keys.version(key.alias)
        self.requests += 1
        try:
            exchange, alone = await self._attempt(turn)
            retry_at_s = None
            if isinstance(exchange.result, Reply):
                self._answered(turn, exchange, exchange.result, key_version)
            else:
                retry_at_s = await self._failed(turn, exchange, exchange.result, key_version, alone)
            parts.journal.ended(call)
        except StorageError as fault:
            self._on_storage_fault(fault)
            return None
        except Exception as bug:  # noqa: BLE001 - the worker boundary: a bug costs a row, not the run
            self._bug(turn, bug)
            return None
        self._bugs = 0
        self.longest_s = max(self.longest_s, exchange.latency_s)
        return retry_at_s

    async def _attempt(self, turn: Turn) -> tuple[Exchange, int]:
        """Send it; returns what came back, and how many 429s of this row are its own."""
        parts, pending = self._parts, turn.pending
        call, lesson = pending.call, _NOTHING_LEARNT
        try:
            sent_at, sent_s = clock.stamp(), clock.now()
            number = len(pending.attempts) + 1
            parts.journal.began(call, attempt=number, key=turn.key.alias, sent_at=sent_at)
            response = await parts.transport.send(
                call.wire, turn.key, deadline_s=parts.patience.timeout_s
            )
            exchange = understood(
                response,
                provider=parts.provider,
                redactor=parts.redactor,
                is_stream=call.wire.stream,
                sent_at=sent_at,
                latency_s=clock.now() - sent_s,
            )
            alone = self._refusals_alone(pending, exchange.result)
            lesson = exchange.feedback
            if alone >= _NOT_THE_QUOTA:
                lesson = _none(lesson)
        finally:
            for event in parts.admission.give_back(turn, lesson, now=clock.now()):
                parts.emit(event)
        return exchange, alone

    def _answered(self, turn: Turn, exchange: Exchange, reply: Reply, key_version: int) -> None:
        parts, pending = self._parts, turn.pending
        parts.outage.succeeded()
        parts.keys.worked(turn.key.alias, key_version)
        self._note(pending, turn, exchange, charged=False)
        self._settler.settle(outcome_of(pending, reply, exchange.body))

    def _refusals_alone(self, pending: Pending, result: Reply | Failure) -> int:
        """How many 429s a row has had while nearly all other rows were let in."""
        if isinstance(result, Reply):
            self._answers += 1
            return 0
        if result.kind not in _PACED:
            return 0
        self._refusals += 1
        if pending.crowd is None:
            pending.crowd = (self._answers, self._refusals)
        answers = self._answers - pending.crowd[0]
        others = self._refusals - pending.crowd[1] - pending.refusals
        is_alone = answers >= _CROWD and answers >= _CROWD * others
        return pending.refusals + 1 if is_alone else 0

    async def _failed(
        self,
        turn: Turn,
        exchange: Exchange,
        result: Failure,
        key_version: int,
        refusals_alone: int,
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
            refusals_alone=refusals_alone,
            ever_answered=parts.outage.ever_answered,
            key_worked=parts.keys.has_worked(key, key_version),
            key_forbidden=parts.keys.forbidden(key, key_version)
            if result.kind is FailureKind.PERMISSION
            else 0,
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
            case ReplaceKey() | LeaveScope() | DoubtKey():
                wait_s = ruling.delay_s if isinstance(ruling, DoubtKey) else 0.0
                self._note(pending, turn, exchange, charged=False)
                self._tell(pending, failure, wait_s)
                await self._leave_key(ruling, turn.key.alias, failure, key_version)
                return clock.now() + wait_s
            case Halt():
                self._note(pending, turn, exchange, charged=False)
                self._tell(pending, failure, None)
                self._halt(failure.message, failure)
                return None

    def _longer(self, pending: Pending) -> Call | None:
        return grown(pending.call, most=self._parts.patience.grow_to)

    async def _leave_key(
        self,
        ruling: ReplaceKey | LeaveScope | DoubtKey,
        alias: str,
        failure: Failure,
        version: int,
    ) -> None:
        """Go on with what other keys or values there are; without any the run is over."""
        keys, message = self._parts.keys, failure.message
        if isinstance(ruling, LeaveScope):
            if not keys.spent(alias, reason=message):
                self._halt(message, failure)
            return
        leave = keys.doubt if isinstance(ruling, DoubtKey) else keys.refused
        if not await leave(alias, version=version, reason=message):
            self._halt(f"the key {keys.called(alias)} was refused: {message}", failure)

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

    def _bug(self, turn: Turn, bug: Exception) -> None:
        self._bugs += 1
        pending = turn.pending
        if turn.is_probe:
            self._parts.outage.probe_lost()
        message = self._parts.redactor.clean_text(f"{type(bug).__name__}: {bug}")
        failure = Failure(kind=FailureKind.BUG, scope=Scope.ROW, message=message)
        if not self._settler.has(pending.call.line):
            self._settler.settle(outcome_of(pending, failure, None))
        elif pending.attempts:
            self._tell(pending, failure, None)  # its record is written and says nothing of this
        if self._bugs >= _BUGS_IN_A_ROW:
            raise bug


def _none(feedback: Feedback) -> Feedback:
    """What a refusal teaches that says nothing about the quota."""
    return replace(feedback, signal=Signal.NEUTRAL, retry_after_s=None, limit_hint=None)

"""Exactly one outcome per row: the record first, then the index, then the telling.

A record that cannot be written (disk full) is kept here, in memory, until it can be; the
run stops admitting and the operator is told which rows were answered but not stored.
"""

from collections.abc import Callable, Sequence

from batcher.errors import StorageError
from batcher.events import Event, RowSettled
from batcher.pipeline.backlog import Pending
from batcher.ports import Settled, Sink
from batcher.records import Failure, FailureKind, Outcome, Reply, Status

_OK = Status.OK  # looking a member up runs Python code (3.11)
_STATUS = {
    FailureKind.TRUNCATED: Status.TRUNCATED,
    FailureKind.REFUSED: Status.REFUSED,
    FailureKind.INVALID: Status.INVALID,
}


def outcome_of(pending: Pending, result: Reply | Failure, body: bytes | None) -> Outcome:
    """The last word on a row whose final try brought `result`."""
    call = pending.call
    if isinstance(result, Reply):
        return Outcome(
            id=call.id,
            line=call.line,
            status=_OK,
            reply=result,
            attempts=pending.attempts,
            fingerprint=call.fingerprint,
            kept=call.kept,
            body=body,
        )
    return Outcome(
        id=call.id,
        line=call.line,
        status=_STATUS.get(result.kind, Status.FAILED),
        reply=result.reply,
        failure=result,
        attempts=pending.attempts,
        fingerprint=call.fingerprint,
        kept=call.kept,
        body=body,
    )


class Settler:
    """Writes outcomes and remembers those it could not write.

    Attributes:
        unwritten: Outcomes without a record, oldest first.
        settled: Rows given their record by this run.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        index: Settled,
        emit: Callable[[Event], None],
        on_storage_fault: Callable[[StorageError], None],
    ) -> None:
        self._sink = sink
        self._index = index
        self._emit = emit
        self._on_storage_fault = on_storage_fault
        self.unwritten: list[Outcome] = []
        self.settled = 0

    def settle(self, outcome: Outcome) -> bool:
        """Give the row its record; returns whether it has one now."""
        if self.unwritten:
            self.unwritten.append(outcome)
            return False
        try:
            self._sink.write(outcome)
        except StorageError as fault:
            self.unwritten.append(outcome)
            self._on_storage_fault(fault)
            return False
        self._note(outcome)
        return True

    def has(self, line: int) -> bool:
        """Whether a row has its record, or one that waits to be written."""
        return line in self._index or any(outcome.line == line for outcome in self.unwritten)

    def write_rest(self) -> None:
        """Try once more to write what could not be written.

        Raises:
            StorageError: It still cannot; the message names the rows' lines.
        """
        while self.unwritten:
            try:
                self._sink.write(self.unwritten[0])
            except StorageError as fault:
                lines = _ranges(sorted(outcome.line for outcome in self.unwritten))
                raise StorageError(
                    f"{fault} {len(self.unwritten)} rows were answered but could not be stored and "
                    f"will be asked again: line {lines}."
                ) from fault
            self._note(self.unwritten.pop(0))

    def _note(self, outcome: Outcome) -> None:
        self._index.add(outcome.line, outcome.status)
        self.settled += 1
        self._emit(RowSettled(outcome=outcome))


def _ranges(lines: Sequence[int]) -> str:
    """Ascending numbers in few words: `3, 7-12, 15`."""
    spans: list[list[int]] = []
    for line in lines:
        if spans and line == spans[-1][1] + 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in spans)

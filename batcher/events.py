"""Everything worth telling. The flow emits; log, progress and metrics listen.

An event's log name is `noun.verb`, its fields are the record's fields.
"""

from collections.abc import Mapping
from typing import ClassVar

from batcher.records import Attempt, Call, Failure, Outcome, record


@record
class RunStarted:
    """A run begins, or goes on."""

    name: ClassVar[str] = "run.started"
    output: str
    settled: int  # rows that already have their record
    in_doubt: int  # attempts of an earlier run that may have been billed without a record
    settings: Mapping[str, object]


@record
class RowSettled:
    """A row has its record."""

    name: ClassVar[str] = "row.settled"
    outcome: Outcome


@record
class AttemptFailed:
    """One try gave no usable answer; `wait_s` is None when the row is not tried again."""

    name: ClassVar[str] = "attempt.failed"
    call: Call
    attempt: Attempt
    failure: Failure
    wait_s: float | None


@record
class LimitChanged:
    """The rate controller changed its mind; `reason` says why, in words with numbers."""

    name: ClassVar[str] = "limit.changed"
    scope: str
    reason: str
    requests_per_s: float | None = None
    in_flight: int | None = None


ALL_KEYS = "all keys"


@record
class Paused:
    """Dispatch of a scope, or of ALL_KEYS, stands still for `wait_s`."""

    name: ClassVar[str] = "dispatch.paused"
    scope: str
    reason: str
    wait_s: float


@record
class KeyBenched:
    """A key is out; `until_s` is None when only a new value brings it back."""

    name: ClassVar[str] = "key.benched"
    key: str
    reason: str
    until_s: float | None = None


@record
class KeyReturned:
    """A key is in use again."""

    name: ClassVar[str] = "key.returned"
    key: str
    reason: str


@record
class KeyRotated:
    """A key that was in use has a new value, which is used from now on."""

    name: ClassVar[str] = "key.rotated"
    key: str


@record
class KeyStale:
    """A key's source could not be read again; the value in use stays. Told once until it can."""

    name: ClassVar[str] = "key.stale"
    key: str
    reason: str


@record
class SharedQuotaSuspected:
    """Two keys drain one budget."""

    name: ClassVar[str] = "keys.share_quota"
    keys: tuple[str, str]
    reason: str


@record
class RunHalted:
    """No row can succeed until a person acts."""

    name: ClassVar[str] = "run.halted"
    reason: str


@record
class RunDraining:
    """No new attempts; what is in flight is settled."""

    name: ClassVar[str] = "run.draining"
    reason: str
    in_flight: int


@record
class RunFinished:
    """The run is over; `counts` are records by status over the whole output."""

    name: ClassVar[str] = "run.finished"
    counts: Mapping[str, int]
    seconds: float
    exit_code: int


Event = (
    RunStarted
    | RowSettled
    | AttemptFailed
    | LimitChanged
    | Paused
    | KeyBenched
    | KeyReturned
    | KeyRotated
    | KeyStale
    | SharedQuotaSuspected
    | RunHalted
    | RunDraining
    | RunFinished
)

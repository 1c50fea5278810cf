"""What follows a failed attempt: try again, settle the row, replace the key, or stop the run.

Pure: the same arguments give the same verdict. The numbers live in job.Patience, the
rules in one match statement, so a reader finds the whole retry policy on one screen.
"""

from typing import assert_never

from batcher.job import Patience
from batcher.records import Failure, FailureKind, record


@record
class RetryIn:
    """Try the call again no earlier than delay_s from now.

    Attributes:
        charged: Whether the failed try counts against the row's max_attempts.
    """

    delay_s: float
    charged: bool = True


@record
class GiveUp:
    """Settle the row as failed."""


@record
class Keep:
    """Settle the row as answered, with the reply the failure carries."""


@record
class Grow:
    """Ask again with room for a longer answer; give up when there is no more room to give."""


@record
class ReplaceKey:
    """The key is refused: read it anew; the row goes on with another key, at no cost."""


@record
class RestKey:
    """Key or row is at fault: let the key rest, try the row again no earlier than delay_s.

    The failed try counts against the row's max_attempts.
    """

    delay_s: float


@record
class DoubtKey:
    """The key has been refused for many rows in a row: let it rest, or replace it.

    The row goes on with another key or value no earlier than delay_s, at no cost.
    """

    delay_s: float


@record
class LeaveScope:
    """The money of the key's scope is used up: the row goes on with another's, at no cost."""


@record
class Halt:
    """Stop the run: no row can succeed until a person acts."""


Verdict = RetryIn | GiveUp | Keep | Grow | ReplaceKey | RestKey | DoubtKey | LeaveScope | Halt

_REFUSED_ALONE = 12  # 429s for one row while the others are let in
_DOUBTFUL = 5  # times in a row that a key was forbidden something, and it may be the key
_OUT = 20  # ... and it is
_TRIES_WITH_KEYS = 3  # a row refused so often, probably by several keys, is itself at fault


def verdict(  # noqa: PLR0912 - one case per rule; the whole policy is to be read in one piece
    failure: Failure,
    *,
    failures: int,
    in_outage: bool,
    refusals_alone: int,
    ever_answered: bool,
    key_worked: bool,
    key_forbidden: int,
    other_key: bool,
    delay_s: float,
    busy_delay_s: float,
    patience: Patience,
    age_s: float = 0.0,
) -> Verdict:
    """Decide what follows a failure.

    Args:
        failure: What the attempt returned.
        failures: Failed tries of this row that count, this one included.
        in_outage: The server is failing everybody, so this try says nothing about the row.
        refusals_alone: 429s of this row while nearly all others were let in, this one included.
        ever_answered: This run has had a usable answer for the same model and path.
        key_worked: The key it was sent with has been answered before.
        key_forbidden: Times in a row, this one included, that the key was forbidden something.
        other_key: There is another key to go on with.
        delay_s: Backoff for a counted failure.
        busy_delay_s: Rest after a 429, which the rate controller paces.
        patience: Limits for one row, and what to do with answers that are no results.
        age_s: Seconds since the row was first sent.
    """
    late = patience.row_deadline_s is not None and age_s >= patience.row_deadline_s
    again = failures < patience.max_attempts and not late
    match failure.kind:
        case FailureKind.RATE | FailureKind.RAMP:
            if late or refusals_alone >= _REFUSED_ALONE:
                return GiveUp()
            return RetryIn(delay_s=busy_delay_s, charged=False)
        case (
            FailureKind.OVERLOADED
            | FailureKind.SERVER
            | FailureKind.CONNECTION
            | FailureKind.TIMEOUT
            | FailureKind.BAD_RESPONSE
        ):
            if in_outage and not late:
                return RetryIn(delay_s=busy_delay_s, charged=False)
            return RetryIn(delay_s=delay_s) if again else GiveUp()
        case FailureKind.TRUNCATED if patience.on_truncated != "fail":
            return Grow() if patience.on_truncated == "grow" else Keep()
        case FailureKind.REFUSED if patience.on_refused == "keep":
            return Keep()
        case FailureKind.EMPTY if patience.on_empty == "retry" and again:
            return RetryIn(delay_s=delay_s)
        case FailureKind.EMPTY if patience.on_empty == "keep":
            return Keep()
        case FailureKind.AUTH:
            return ReplaceKey()
        case FailureKind.PERMISSION:
            if not key_worked or key_forbidden >= _OUT:
                return ReplaceKey()
            if key_forbidden >= _DOUBTFUL:
                return DoubtKey(delay_s=delay_s)
            # Gateways also answer 403 for one row's content; a key that has worked is kept.
            if failures >= _TRIES_WITH_KEYS:
                return GiveUp()
            return RestKey(delay_s=delay_s) if other_key else RetryIn(delay_s=delay_s)
        case FailureKind.BILLING:
            return LeaveScope()
        case FailureKind.TLS:
            return Halt()
        case FailureKind.NOT_FOUND:
            if not ever_answered:
                return Halt()
            # A key that may not use the model is told that there is no such model.
            is_doubtful = not key_worked and other_key and failures < _TRIES_WITH_KEYS
            return RestKey(delay_s=delay_s) if is_doubtful else GiveUp()
        case (
            FailureKind.BAD_REQUEST
            | FailureKind.TOO_LARGE
            | FailureKind.TRUNCATED
            | FailureKind.REFUSED
            | FailureKind.PAUSED
            | FailureKind.EMPTY
            | FailureKind.INVALID
            | FailureKind.BUG
        ):
            return GiveUp()
        case _:
            assert_never(failure.kind)

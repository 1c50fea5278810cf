"""The simulator's own words: what was asked, what is said, and how it goes over the wire.

Request -> Ask -> Answer | Trouble -> Plan. Everything here is a value; the sockets are in
connection.py and the decisions in vendor.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import NamedTuple

from batcher.records import Bucket, record


@record
class Request:
    """One HTTP request as it came; header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    keep_alive: bool = True


@record
class Ask:
    """What a request asks, whatever its dialect.

    Attributes:
        prompt: Text of the last user turn; what the answer and every draw depend on.
        input_tokens: Estimated from all text, four characters a token.
        usage_in_stream: Whether a stream is to end with its usage (chat dialect only).
    """

    model: str
    prompt: str = field(repr=False)
    input_tokens: int
    max_tokens: int
    stream: bool = False
    usage_in_stream: bool = False


class Stop(StrEnum):
    """Why an answer ended, in no vendor's words."""

    END = "end"
    LENGTH = "length"
    REFUSED = "refused"
    PAUSED = "paused"


@record
class Answer:
    """What the model said; `number` makes its ids."""

    number: int
    model: str
    text: str = field(repr=False)
    stop: Stop
    input_tokens: int
    output_tokens: int
    usage_in_stream: bool = False


@record
class Trouble:
    """An error in a dialect's terms.

    Attributes:
        error_type: `error.type`.
        code: `error.details.error_code` or `error.code`, as the dialect has it.
        retry_after_s: Seconds to name, already in the form the settings ask for.
        should_retry: Value of `x-should-retry`, or None for none.
        known_key: Whether the key was accepted; an unknown one learns no workspace.
    """

    status: int
    message: str
    error_type: str
    code: str | None = None
    retry_after_s: float | None = None
    should_retry: bool | None = None
    known_key: bool = True


class Cost(NamedTuple):
    """What one request takes from a quota; `output_tokens` is what the answer will really have."""

    input_tokens: int
    output_tokens: int
    max_tokens: int


class Reading(NamedTuple):
    """What headers may say of one bucket: units per minute, units left, seconds until full."""

    bucket: Bucket
    limit: float
    remaining: float
    full_in_s: float


class Denial(NamedTuple):
    """Which bucket was short, its units per minute, what was there and wanted, seconds to wait."""

    bucket: Bucket
    limit: float
    remaining: float
    need: float
    wait_s: float


class Ending(Enum):
    """What becomes of the connection after the last piece."""

    KEEP = "keep"
    CLOSE = "close"  # an orderly end (FIN), whether or not the response was whole
    RESET = "reset"  # RST: the peer sees ECONNRESET
    HANG = "hang"  # nothing more, for ever
    DRIP = "drip"  # one byte a second, for ever


@record
class Admission:
    """A request that was let in: what its scope's quota still has to hear, and its prompt's hash.

    Attributes:
        scope: None when no quota was charged (a script said it).
    """

    scope: str | None
    cost: Cost
    digest: str


@dataclass(slots=True, kw_only=True)
class Plan:
    """How one request is dealt with; filled in by those who decide about it.

    Attributes:
        status: As sent; 0 when no status line is ever sent.
        pieces: Bytes to send, in order; several only for a paced stream.
        latency_s: Time of work before the first piece, in a slot; None: at once, without a slot.
        gap_s: Time between pieces.
        admission: Set when it was let in, so that it is settled at the end.
        answers: Whether sending it whole gives the client a usable answer.
    """

    status: int
    pieces: Sequence[bytes] = field(repr=False)
    ending: Ending = Ending.KEEP
    latency_s: float | None = None
    gap_s: float = 0.0
    admission: Admission | None = None
    answers: bool = False

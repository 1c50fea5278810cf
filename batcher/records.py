"""The words of the house: immutable records that travel one way.

Row -> Prompt -> Call -> Attempt -> Reply | Failure -> Outcome. Every room speaks
these and nothing else; a room that needs one more field adds it here, not in a dict.

Why `record` and not `dataclass(frozen=True)` (2026-11): a frozen dataclass costs
2.6 us to make, a plain slotted one 0.6 us, and a row makes six of them. The type
checker refuses assignment to a record's field all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NewType, TypeVar, dataclass_transform

RowId = NewType("RowId", str)
Fingerprint = NewType("Fingerprint", str)

_T = TypeVar("_T")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def record(cls: type[_T]) -> type[_T]:
    """Class decorator: a slotted keyword-only record, frozen for the type checker."""
    return dataclass(slots=True, kw_only=True)(cls)


class Status(StrEnum):
    """The last word on a row; `ok` lands in results.jsonl, the rest in failures.jsonl."""

    OK = "ok"
    FAILED = "failed"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    INVALID = "invalid"


class FailureKind(StrEnum):
    """Why an attempt gave no usable reply; each kind has one rule in policy/verdict.py."""

    RATE = "rate_limit"  # 429: a quota of requests or tokens; heals by waiting
    RAMP = "ramp_limit"  # 429: usage grew too fast; heals, the ramp must be gentler
    OVERLOADED = "overloaded"  # 503, 529: the server's load, not our quota
    SERVER = "server_error"  # 500, 502, 504, 408, 409 and the like
    CONNECTION = "connection"  # refused, reset, DNS, cut before the body was whole
    TLS = "tls"  # certificate or handshake refused; no row can succeed
    TIMEOUT = "timeout"  # the attempt's own deadline passed
    BAD_RESPONSE = "bad_response"  # HTTP 200 whose body is not an answer
    AUTH = "auth"  # 401: the key is refused
    PERMISSION = "permission"  # 403: the key may not do this
    BILLING = "billing"  # no credit, spend limit reached; never heals by waiting
    NOT_FOUND = "not_found"  # 404: unknown model or path
    BAD_REQUEST = "bad_request"  # 400, 422: this request is wrong as it stands
    TOO_LARGE = "too_large"  # 413, or the prompt exceeds the model's context
    TRUNCATED = "truncated"  # stopped by max_tokens or the context window
    REFUSED = "refused"  # the model or a content filter declined
    PAUSED = "paused"  # a server-side tool loop stopped half way
    EMPTY = "empty"  # an answer without text
    INVALID = "invalid_row"  # the input line cannot be made into a request
    BUG = "bug"  # our own fault; recorded so that the row is not lost


class Scope(StrEnum):
    """How far a failure reaches."""

    ROW = "row"
    KEY = "key"
    QUOTA = "quota"
    RUN = "run"


class Bucket(StrEnum):
    """A dimension a provider limits per minute."""

    REQUESTS = "requests"
    INPUT = "input_tokens"
    OUTPUT = "output_tokens"
    TOTAL = "tokens"  # input and output together, as OpenAI counts


class AuthStyle(StrEnum):
    """How a key travels; never two at once."""

    X_API_KEY = "x-api-key"
    BEARER = "bearer"
    NONE = "none"


@record
class Row:
    """One input line as read.

    Attributes:
        line: 1-based line number in the input; the row's identity within a run.
        data: The parsed JSON value, or None when `problem` says why there is none.
        problem: What is wrong with the line, in words for its owner.
    """

    line: int
    data: Any = field(default=None, repr=False)
    problem: str | None = None


@record
class Prompt:
    """What one row asks, provider-neutral, before the provider's own wrapping.

    Attributes:
        messages: Chat turns `{"role", "content"}`; content is text or a list of blocks,
            passed through whole.
        system: System text or text blocks; None for none.
        overrides: Request settings of this row (names of job.Request fields).
        extra: Fields of a provider-shaped row that batcher does not interpret; sent as they are.
    """

    messages: Sequence[Mapping[str, Any]] = field(repr=False)
    system: str | Sequence[Mapping[str, Any]] | None = field(default=None, repr=False)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@record
class Wire:
    """A request as it goes over HTTP, without the secret.

    Attributes:
        path: Appended to the base URL, e.g. `/v1/messages`.
        headers: Everything but authentication.
        body: JSON bytes.
        stream: The answer is to be read as server-sent events.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    stream: bool = False


@record
class Need:
    """What one attempt will take from a quota, as far as is known before it is sent.

    Attributes:
        input_chars: Characters of prompt text; the controller learns characters per token.
        max_tokens: Most output tokens the request allows.
    """

    input_chars: int
    max_tokens: int


@record
class Call(Need):
    """What will be asked for one row, final: every try sends the same bytes.

    Attributes:
        fingerprint: 32 hex digits over endpoint, headers and body; the same call has the same one.
        kept: Input fields copied into the result.
    """

    id: RowId
    line: int
    fingerprint: Fingerprint
    model: str
    wire: Wire
    kept: Mapping[str, Any] = field(default_factory=dict, repr=False)


@record
class Usage:
    """Tokens one reply was billed for. Total input = input + cache_read + cache_write."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@record
class Quota:
    """What response headers said about one bucket.

    Attributes:
        limit: Units per minute.
        remaining: Units left now, as the server rounds them.
        resets_in_s: Seconds until full again, or None when not told.
    """

    bucket: Bucket
    limit: float
    remaining: float
    resets_in_s: float | None = None


@record
class Response:
    """HTTP bytes as they came, secrets already masked."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@record
class Reply:
    """A usable answer, decoded.

    Attributes:
        json: The body it was read from, when a strict parser has read the whole of it and would
            read it inside a record too; None where the body had to be read with patience.
    """

    text: str = field(repr=False)
    stop_reason: str | None
    model: str
    usage: Usage
    request_id: str | None = None
    json: bytes | None = field(default=None, repr=False, compare=False)


@record
class Failure:
    """Why there is no usable answer: a value, returned and not raised.

    Attributes:
        kind: Decides what happens next.
        message: Human text, secrets already removed.
        scope: How far it reaches.
        status: HTTP status, or None when no response came.
        error_type: The provider's own name for it (`error.type` or `error.code`).
        retry_after_s: Seconds the server asked for, or None.
        limit_hint: A limit named in the text of a 429: its bucket and units per minute.
        reply: What was paid for all the same (truncated, refused, empty answers).
        request_id: The provider's name for the exchange.
    """

    kind: FailureKind
    message: str
    scope: Scope = Scope.ROW
    status: int | None = None
    error_type: str | None = None
    retry_after_s: float | None = None
    limit_hint: Quota | None = None
    reply: Reply | None = None
    request_id: str | None = None


@record
class Attempt:
    """One finished try of a call, as the row's history keeps it.

    Attributes:
        number: 1 for the first.
        key: Alias of the key it used.
        sent_at: UTC, ISO 8601 with milliseconds.
        latency_s: From sending to the last byte or the fault.
        failure: None for the try that succeeded.
        charged: Whether it counts against the row's max_attempts (a 429 does not).
    """

    number: int
    key: str
    sent_at: str
    latency_s: float
    failure: Failure | None = None
    charged: bool = True


@record
class Outcome:
    """The last word on a row: what results.jsonl or failures.jsonl will say.

    Attributes:
        reply: Set when status is ok.
        failure: Set otherwise.
        attempts: Every try made in this run, in order.
        body: The provider's last body, when one came.
    """

    id: RowId
    line: int
    status: Status
    reply: Reply | None = None
    failure: Failure | None = None
    attempts: Sequence[Attempt] = ()
    fingerprint: Fingerprint | None = None
    kept: Mapping[str, Any] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


class Signal(StrEnum):
    """What an attempt taught the rate controller."""

    OK = "ok"  # admitted and answered
    RATE = "rate"  # refused: over quota
    RAMP = "ramp"  # refused: growing too fast
    OVERLOADED = "overloaded"  # refused: the server's load
    NEUTRAL = "neutral"  # anything else: says nothing about quota or load


@record
class Feedback:
    """What came back for one permit, in the rate controller's terms.

    Attributes:
        signal: Which of the five it was.
        latency_s: Seconds from sending to the answer.
        usage: Tokens really used, when an answer said so.
        quotas: What the response's headers said.
        retry_after_s: Seconds the server asked for, or None.
        limit_hint: A limit named in the text of a 429.
        account: Whose budget the server says it drew on, or None.
    """

    signal: Signal
    latency_s: float = 0.0
    usage: Usage | None = None
    quotas: Sequence[Quota] = ()
    retry_after_s: float | None = None
    limit_hint: Quota | None = None
    account: str | None = None


@record
class KeyRef:
    """A key's name and the budget it draws on; never the key itself.

    Attributes:
        alias: What logs and records call it.
        scope: Quota scope (organisation or workspace); keys of one scope share one budget.
        base_url: Where this key's requests go.
        weight: Relative preference among keys that could go at once.
    """

    alias: str
    scope: str
    base_url: str
    weight: float = 1.0


@record
class Summary:
    """How a run ended.

    Attributes:
        output: The output directory.
        counts: Records by status over the whole output, this run's and earlier ones'.
        answered: Rows settled by this run.
        requests: HTTP requests this run sent.
        usage: Tokens this run was billed for.
        seconds: From start to end.
        waiting: Rows without a record when the run ended, as far as they had been read.
        reason: Why it ended early, in a sentence; None when it came to its end.
        exit_code: See errors.Exit.
    """

    output: str
    counts: Mapping[str, int]
    answered: int
    requests: int
    usage: Usage
    seconds: float
    exit_code: int
    waiting: int = 0
    reason: str | None = None

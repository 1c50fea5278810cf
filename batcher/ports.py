"""The seams: what the flow asks of the outside, one Protocol each.

An adapter implements a seam by shape, without importing it. Adding a provider,
a store or a key source means a new file in its room and one line in build.py.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any, Protocol

from batcher.events import Event
from batcher.job import Request
from batcher.records import (
    Call,
    Failure,
    Feedback,
    KeyRef,
    Need,
    Outcome,
    Prompt,
    Quota,
    Reply,
    Response,
    Row,
    Status,
    Wire,
)
from batcher.secret import Secret


class Source(Protocol):
    """Where rows come from."""

    def rows(self, settled: "Settled") -> AsyncGenerator[Row, None]:
        """Yield unsettled rows in input order, one at a time; never raises for a bad line.

        Lines that `settled` contains are skipped without being parsed.
        """
        ...


class Settled(Protocol):
    """Which lines already have their record: an index over the output files."""

    def __contains__(self, line: int) -> bool:
        """Whether this line has its record."""
        ...

    def has_all(self, first: int, last: int) -> bool:
        """Whether each of these lines has its record; False where that is not known at once."""
        ...

    def add(self, line: int, status: Status) -> object:
        """Note a record just written."""
        ...


class Provider(Protocol):
    """Turns a prompt into bytes and bytes into a Reply or a Failure; does no I/O."""

    name: str

    def encode(self, prompt: Prompt, request: Request) -> Wire:
        """Wire form of a prompt under a row's effective settings.

        Raises:
            InvalidRow: The row asks for something this wire format or model refuses;
                the message names the fix.
        """
        ...

    def decode(self, response: Response) -> Reply | Failure:
        """Meaning of a response; never raises for what a server sends."""
        ...

    def unstream(self, response: Response) -> Response | Failure:
        """What the response would have been without streaming; a cut stream is a Failure."""
        ...

    def stream_is_over(self, tail: bytes) -> bool:
        """Whether whole events at the end of a stream so far include the one that ends it.

        Asked with all that came since it last stood between two events.
        """
        ...

    def quotas(self, headers: Mapping[str, str], *, epoch_s: float) -> Sequence[Quota]:
        """What the rate-limit headers say; epoch_s turns reset dates into seconds."""
        ...

    def account(self, headers: Mapping[str, str]) -> str | None:
        """Whose budget the server says a request drew on, or None."""
        ...


class Transport(Protocol):
    """Moves bytes; the only seam that touches a socket."""

    async def send(self, wire: Wire, key: KeyRef, *, deadline_s: float) -> Response | Failure:
        """One HTTP exchange within deadline_s; raises only on cancellation."""
        ...

    async def close(self) -> None:
        """Let the connections go; may be called twice."""
        ...


class RateController(Protocol):
    """Paces one quota scope. Pure: every method takes `now` (monotonic seconds) and never waits."""

    def wait_s(self, need: Need, *, now: float) -> float:
        """Seconds until it is worth asking again; 0.0 means this need may go now.

        A question that never acts: asking twice changes no answer, though it is noted when a
        quota made somebody wait.
        """
        ...

    def reserve(self, need: Need, *, now: float) -> object:
        """Set aside capacity for one attempt that is being sent now; returns its ticket."""
        ...

    def settle(self, ticket: object, feedback: Feedback, *, now: float) -> Iterable[Event]:
        """Give the ticket back, once, with what was learnt; returns changes worth telling."""
        ...

    def pace(self, *, now: float) -> Sequence[float] | None:
        """What we take of a quota that holds us back; None while none does.

        Requests, input tokens, output tokens and all tokens, each a second.
        """
        ...

    def share(self, others: Sequence[Sequence[float]], *, now: float) -> Iterable[Event]:
        """Others who say so use the quota too, each at such a pace; returns changes worth telling.

        To be called once a second; all who share move towards equal shares at once.
        """
        ...


class Sink(Protocol):
    """Where outcomes end."""

    def write(self, outcome: Outcome) -> None:
        """Append the outcome's one record; in the kernel's hands on return.

        Raises:
            StorageError: It could not be written whole; nothing of it counts.
        """
        ...

    def sync(self) -> None:
        """Force everything written so far to the disk. Blocking; call it from a thread."""
        ...

    def close(self) -> None:
        """Sync and close; may be called twice."""
        ...


class Journal(Protocol):
    """Notes of attempts begun and ended, so that a crash can be accounted for."""

    def began(self, call: Call, *, attempt: int, key: str, sent_at: str) -> None:
        """Note that this call is about to be sent."""
        ...

    def ended(self, call: Call) -> None:
        """Note that its answer or fault has been dealt with."""
        ...


class NoticeBoard(Protocol):
    """Where runs that may share quotas tell each other how fast they send; never raises."""

    def exchange(
        self, quotas: Sequence[str], pace: Sequence[float] | None
    ) -> Sequence[Sequence[float]]:
        """Say what we take of these quotas, None for nothing of note; returns what others do."""
        ...

    def close(self) -> None:
        """Say no more; may be called twice."""
        ...


class SecretSource(Protocol):
    """Where a key's value comes from.

    Attributes:
        name: What it is called in messages.
        is_fixed: It has no other value as long as this process runs.
    """

    name: str
    is_fixed: bool

    async def get(self) -> Secret:
        """The present value; called again on 401 and on an interval (rotation).

        Raises:
            ConfigError: There is no such key; the message names source and fix.
        """
        ...


class Listener(Protocol):
    """Somebody who wants to know; called synchronously, so it must be quick and never raise."""

    def __call__(self, event: Event) -> None:
        """Take note."""
        ...


class Renderer(Protocol):
    """Turns a row's data into a prompt."""

    def __call__(self, data: Mapping[str, Any], /) -> Prompt:
        """The prompt of one row.

        Raises:
            InvalidRow: The row lacks what a prompt needs.
        """
        ...

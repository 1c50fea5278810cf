"""For tests: what the server is to say next, and what it was asked.

    sim.says(429, retry_after=30).then("reset").then(ok("hi"))     in order of arrival
    sim.says(500, prompt="poison", times=None)                     this prompt, always
    sim.script.hook = lambda received: say(503) if ... else None   anything else

What a script says comes before keys, quota and faults; when it has nothing to say, the
settings answer.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import field

import orjson

from batcher.records import record
from batcher.simulator.faults import FaultKind, fault_kind


@record
class Received:
    """One request as the server saw it; `key` is what it brought, header names in lower case."""

    at_s: float
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    key: str
    prompt: str | None

    def json(self) -> object:
        """The body, parsed.

        Raises:
            ValueError: It is not JSON.
        """
        return orjson.loads(self.body)


@record
class Say:
    """One thing to say.

    Attributes:
        text: Of an answer; None for the usual one.
        body: Bytes of the response body instead of the dialect's own.
        headers: More header lines.
        fault: Go wrong in this way instead; `status` does not count then.
        message: Text of an error instead of the dialect's own.
        delay_s: Work so long; None: as the settings say.
    """

    status: int = 200
    text: str | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: FaultKind | None = None
    message: str | None = None
    delay_s: float | None = None


What = int | str | Say
Hook = Callable[[Received], Say | None]


def ok(text: str | None = None, *, delay_s: float | None = None) -> Say:
    """An answer with this text, or the usual one."""
    return Say(text=text, delay_s=delay_s)


def say(
    what: What,
    *,
    retry_after: float | str | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    message: str | None = None,
    delay_s: float | None = None,
) -> Say:
    """One thing to say: a status, a fault kind by name (`"reset"`), or a Say, taken as it is.

    The rest is as in Say; `retry_after` is the header of that name, as given.
    """
    if isinstance(what, Say):
        return what
    lines = dict(headers or {})
    if retry_after is not None:
        lines["retry-after"] = str(retry_after)
    status, fault = (what, None) if isinstance(what, int) else (200, fault_kind(what))
    return Say(
        status=status,
        fault=fault,
        body=body,
        headers=lines,
        message=message,
        delay_s=delay_s,
    )


class Line:
    """What is said one after the other, to everybody or to one prompt."""

    def __init__(self) -> None:
        self._queue: deque[tuple[Say, int | None]] = deque()

    def then(self, what: What, *, times: int | None = 1, **how: object) -> "Line":
        """Add one more thing to say `times` over (None: for ever); `how` as in say()."""
        self._queue.append((say(what, **how), times))  # type: ignore[arg-type]  # as in say()
        return self

    def next(self) -> Say | None:
        """Take the next; None when there is none."""
        if not self._queue:
            return None
        said, times = self._queue[0]
        if times is not None:
            if times > 1:
                self._queue[0] = (said, times - 1)
            else:
                self._queue.popleft()
        return said


class Script:
    """Everything a test laid down, and the log of what came.

    Attributes:
        hook: Asked first; None from it means the lines are asked.
        received: Every request to an answering endpoint, in order of arrival.
    """

    def __init__(self) -> None:
        self.hook: Hook | None = None
        self.received: list[Received] = []
        self._for_all = Line()
        self._by_prompt: defaultdict[str, Line] = defaultdict(Line)

    def says(
        self, what: What, *, prompt: str | None = None, times: int | None = 1, **how: object
    ) -> Line:
        """Lay down what to say next, to one prompt or to whoever comes; chain with .then()."""
        line = self._for_all if prompt is None else self._by_prompt[prompt]
        return line.then(what, times=times, **how)

    def next(self, received: Received) -> Say | None:
        """What to say to this request: the hook's word, else the prompt's line, else the next."""
        self.received.append(received)
        if self.hook is not None and (said := self.hook(received)) is not None:
            return said
        line = self._by_prompt.get(received.prompt or "")
        said = line.next() if line is not None else None
        return said or self._for_all.next()

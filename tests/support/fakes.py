"""Stand-ins for the seams, for tests of the flow itself: lists in, lists out, a scripted wire."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from batcher import clock
from batcher.errors import StorageError
from batcher.events import Event
from batcher.job import Patience, Request
from batcher.pipeline.admission import Admission
from batcher.pipeline.backlog import Backlog
from batcher.pipeline.gate import Gate
from batcher.pipeline.intake import Intake
from batcher.pipeline.keys import Keys
from batcher.pipeline.parts import Parts
from batcher.pipeline.run import Run
from batcher.policy.keyring import Keyring
from batcher.policy.outage import Outage
from batcher.policy.render import effective, make_renderer, row_id
from batcher.policy.window import Window
from batcher.ports import SecretSource
from batcher.records import (
    Call,
    Failure,
    FailureKind,
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
from batcher.secret import Redactor, Secret
from tests.support.builders import a_reply

Answer = Reply | Failure
Script = Callable[[str, int], Answer]


class ListSource:
    """Rows from a list of prompts; implements ports.Source."""

    def __init__(self, prompts: Iterable[str]) -> None:
        self._prompts = prompts
        self.handed_out = 0

    async def rows(self, settled: Any) -> AsyncGenerator[Row, None]:
        for line, prompt in enumerate(self._prompts, 1):
            if line not in settled:
                self.handed_out += 1
                yield Row(line=line, data={"prompt": prompt})


class ListSink:
    """Records in a list; refuses to write while `full`. Implements ports.Sink."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.full = False

    def write(self, outcome: Outcome) -> None:
        if self.full:
            raise StorageError("the disk is full.")
        self.outcomes.append(outcome)

    def sync(self) -> None: ...
    def close(self) -> None: ...


class ListIndex(set[int]):
    """Implements ports.Settled."""

    def has_all(self, first: int, last: int) -> bool:
        return all(line in self for line in range(first, last + 1))

    def add(self, line: int, status: Status = Status.OK) -> None:
        super().add(line)


class ListJournal:
    """Implements ports.Journal."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, int]] = []

    def began(self, call: Call, *, attempt: int, key: str, sent_at: str) -> None:
        self.notes.append(("began", call.line))

    def ended(self, call: Call) -> None:
        self.notes.append(("ended", call.line))


class PlainProvider:
    """The body is the prompt; the transport's answers are decoded already."""

    name = "plain"

    def encode(self, prompt: Prompt, request: Request) -> Wire:
        return Wire(path="/", headers={}, body=str(prompt.messages[0]["content"]).encode())

    def decode(self, response: Response) -> Reply | Failure:
        answer: Answer = response.headers["answer"]  # type: ignore[assignment]
        return answer

    def unstream(self, response: Response) -> Response | Failure:
        return response

    def stream_is_over(self, tail: bytes) -> bool:
        return False

    def quotas(self, headers: Mapping[str, str], *, epoch_s: float) -> Sequence[Quota]:
        return ()

    def account(self, headers: Mapping[str, str]) -> str | None:
        return None


class ScriptedTransport:
    """Answers prompt `p` on its n-th try with script(p, n), after latency_s."""

    def __init__(self, script: Script, *, latency_s: float = 1.0) -> None:
        self._script = script
        self._latency_s = latency_s
        self.sent: list[tuple[float, str]] = []
        self.keys: list[str] = []
        self.in_flight = self.most_in_flight = 0

    async def send(self, wire: Wire, key: KeyRef, *, deadline_s: float) -> Response | Failure:
        prompt = wire.body.decode()
        self.sent.append((asyncio.get_running_loop().time(), prompt))
        self.keys.append(key.alias)
        tries = sum(1 for _, sent in self.sent if sent == prompt)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self._latency_s)
        finally:
            self.in_flight -= 1
        answer = self._script(prompt, tries)
        if isinstance(answer, Failure) and answer.status is None:
            return answer
        headers: Any = {"answer": answer}
        return Response(status=200, headers=headers, body=b"{}")

    async def close(self) -> None: ...


class Unlimited:
    """A rate controller that never says wait; implements ports.RateController."""

    def __init__(self) -> None:
        self.feedback: list[Feedback] = []

    def wait_s(self, need: Need, *, now: float) -> float:
        return 0.0

    def reserve(self, need: Need, *, now: float) -> object:
        return None

    def settle(self, ticket: object, feedback: Feedback, *, now: float) -> Iterable[Event]:
        self.feedback.append(feedback)
        return ()

    def pace(self, *, now: float) -> Sequence[float] | None:
        return None

    def share(self, others: Sequence[Sequence[float]], *, now: float) -> Iterable[Event]:
        return ()


class House:
    """A run with everything faked but the flow, and what became of it."""

    def __init__(
        self,
        prompts: Iterable[str],
        script: Script = lambda *_: a_reply(),
        *,
        workers: int = 4,
        patience: Patience | None = None,
        settled: Iterable[int] = (),
        ceiling: float | None = None,
        sources: Mapping[str, SecretSource] | None = None,
        scopes: Mapping[str, str] | None = None,
        windows: Mapping[str, Window] | None = None,
        refresh_s: Mapping[str, float] | None = None,
        wall: Callable[[], datetime] = clock.wall,
        latency_s: float = 1.0,
    ) -> None:
        self.source = ListSource(prompts)
        self.sink = ListSink()
        self.journal = ListJournal()
        self.events: list[Event] = []
        self.transport = ScriptedTransport(script, latency_s=latency_s)
        self.controller = Unlimited()
        self.settled = ListIndex(settled)
        patience = patience or Patience()
        aliases = list(sources or "a")
        refs = [
            KeyRef(alias=alias, scope=(scopes or {}).get(alias, alias), base_url="http://x")
            for alias in aliases
        ]
        keyring = Keyring(
            refs, dict.fromkeys([ref.scope for ref in refs], self.controller), windows=windows
        )
        outage = Outage(unanswered_s=patience.unanswered_s, answered_s=patience.outage_s)
        provider = PlainProvider()
        self.values: dict[str, Secret] = {}
        self.run = Run(
            Parts(
                source=self.source,
                settled=self.settled,
                intake=Intake(
                    request=Request(model="m"),
                    endpoint="http://x",
                    provider=provider,
                    name_row=row_id,
                    render=make_renderer(None),
                    effective=effective,
                    measure=lambda _: 40,
                ),
                backlog=Backlog(window=2 * workers, most_rows=1000, most_bytes=10**9),
                admission=Admission(
                    keyring, outage=outage, gate=Gate(ceiling) if ceiling else None
                ),
                keys=Keys(
                    sources or {},
                    values=self.values,
                    keyring=keyring,
                    redactor=Redactor(),
                    emit=self.events.append,
                    refresh_s=refresh_s,
                    wall=wall,
                ),
                transport=self.transport,
                provider=provider,
                redactor=Redactor(),
                sink=self.sink,
                journal=self.journal,
                outage=outage,
                patience=patience,
                workers=workers,
                sync_every_s=None,
                emit=self.events.append,
            )
        )

    async def go(self) -> list[Outcome]:
        await self.run.go()
        return self.sink.outcomes

    def names(self) -> list[str]:
        return [event.name for event in self.events]


def fails(kind: FailureKind, *, status: int | None = None, times: int = 10**9) -> Script:
    """A script: every prompt fails so many times, then is answered."""

    def script(_: str, tries: int) -> Answer:
        if tries <= times:
            return Failure(kind=kind, message="it failed", status=status)
        return a_reply()

    return script

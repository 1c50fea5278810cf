"""A bug costs its row and nothing else: no leave to send, no probe, no second record."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from batcher.errors import StorageError
from batcher.events import AttemptFailed, Event, RowSettled
from batcher.records import Call, FailureKind, Outcome, Signal, Status
from tests.support.builders import a_reply
from tests.support.fakes import Answer, House, fails


def every(count: int) -> Iterator[bool]:
    """True for each so-manieth question."""
    number = 0
    while True:
        number += 1
        yield number % count == 0


def breaks(act: Callable[..., object], when: Iterator[bool]) -> Callable[..., object]:
    """The same, but that it raises after its work, when that says so."""

    def broken(*args: object, **settings: object) -> object:
        result = act(*args, **settings)
        if next(when):
            raise RuntimeError("a bug")
        return result

    return broken


def records(outcomes: list[Outcome]) -> list[int]:
    return sorted(outcome.line for outcome in outcomes)


def prompts(count: int) -> list[str]:
    return [f"p{number}" for number in range(1, count + 1)]


async def test_what_breaks_while_an_answer_is_read_gives_the_leave_to_send_back() -> None:
    house = House(prompts(40))
    parse = house.run._parts.provider.decode
    house.run._parts.provider.decode = breaks(parse, every(4))  # type: ignore[method-assign, assignment]
    outcomes = await house.go()

    assert records(outcomes) == list(range(1, 41))
    assert sum(outcome.status is Status.FAILED for outcome in outcomes) == 10
    assert len(house.controller.feedback) == 40
    learnt = [feedback.signal for feedback in house.controller.feedback]
    assert learnt.count(Signal.NEUTRAL) == 10


async def test_a_note_that_cannot_be_written_gives_the_leave_to_send_back() -> None:
    house = House(prompts(4))

    def full(*_: object, **__: object) -> None:
        raise StorageError("no space left")

    house.journal.began = full  # type: ignore[method-assign]
    await house.go()

    assert len(house.controller.feedback) == len(house.transport.sent) + 1 == 1


@pytest.mark.parametrize("part", ["ended", "told"])
async def test_what_breaks_after_the_record_was_written_does_not_write_another(part: str) -> None:
    house = House(prompts(40))
    if part == "ended":
        house.journal.ended = breaks(house.journal.ended, every(4))  # type: ignore[method-assign, assignment]
    else:
        _break_telling(house, every(4))
    outcomes = await house.go()

    assert records(outcomes) == list(range(1, 41))
    assert {outcome.status for outcome in outcomes} == {Status.OK}
    told = [event.failure for event in house.events if isinstance(event, AttemptFailed)]
    assert [failure.kind for failure in told] == [FailureKind.BUG] * 10


def _break_telling(house: House, when: Iterator[bool]) -> None:
    def emit(event: Event) -> None:
        house.events.append(event)
        if isinstance(event, RowSettled) and next(when):
            raise RuntimeError("a bug")

    house.run._settler._emit = emit


async def test_a_record_that_waits_to_be_written_is_not_kept_twice() -> None:
    house = House(prompts(4), workers=1)

    def full(outcome: Outcome) -> None:
        raise StorageError("no space left")

    def broken(call: Call) -> None:
        raise RuntimeError("a bug")

    house.sink.write = full  # type: ignore[method-assign]
    house.journal.ended = broken  # type: ignore[method-assign]
    with pytest.raises(StorageError, match="1 rows were answered"):
        await house.go()


async def test_a_probe_that_breaks_does_not_end_the_probing() -> None:
    """An outage; the second probe breaks, and the third finds the server well again."""
    down = fails(FailureKind.OVERLOADED)
    heals_at = 30.0

    def script(prompt: str, tries: int) -> Answer:
        now = asyncio.get_running_loop().time()
        return a_reply() if now > heals_at else down(prompt, tries)

    house = House(prompts(20), script)
    outage, probes = house.run._parts.outage, []
    began = house.journal.began

    def note(call: Call, **settings: object) -> None:
        began(call, **settings)  # type: ignore[arg-type]
        if outage.is_open:
            probes.append(call.line)
            if len(probes) == 2:
                raise RuntimeError("a bug")

    house.journal.began = note  # type: ignore[method-assign]
    async with asyncio.timeout(600.0):
        outcomes = await house.go()

    assert records(outcomes) == list(range(1, 21))
    assert [outcome.status for outcome in outcomes].count(Status.FAILED) == 1
    assert len(probes) > 2

"""The flow itself, on the virtual clock: what is sent when, and how every row ends."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batcher.errors import Exit, InputError, StorageError
from batcher.job import Patience
from batcher.records import Failure, FailureKind, Reply, Signal, Status
from batcher.secret import Secret
from tests.support.builders import a_reply
from tests.support.fakes import Answer, House, fails


def prompts(count: int) -> list[str]:
    return [f"p{number}" for number in range(1, count + 1)]


async def test_every_row_gets_one_record() -> None:
    outcomes = await House(prompts(50)).go()

    assert sorted(outcome.line for outcome in outcomes) == list(range(1, 51))
    assert {outcome.status for outcome in outcomes} == {Status.OK}


async def test_settled_rows_are_not_asked_again() -> None:
    house = House(prompts(10), settled=range(1, 9))
    await house.go()

    assert [prompt for _, prompt in house.transport.sent] == ["p9", "p10"]


async def test_no_more_are_in_flight_than_there_are_workers() -> None:
    house = House(prompts(40), workers=7)
    await house.go()

    assert house.transport.most_in_flight == 7


async def test_an_input_without_end_is_read_only_as_far_as_needed() -> None:
    def endless() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield f"p{number}"

    house = House(endless(), workers=4)
    async with asyncio.TaskGroup() as group:
        group.create_task(house.go())
        await asyncio.sleep(10.5)
        taken = house.source.handed_out
        house.run.drain("enough", Exit.INTERRUPTED)

    assert taken <= len(house.sink.outcomes) + 4 + 8 + 1


async def test_a_transient_fault_is_tried_again_and_the_history_kept() -> None:
    house = House(["p"], fails(FailureKind.SERVER, status=500, times=2))
    (outcome,) = await house.go()

    assert outcome.status is Status.OK
    assert [attempt.number for attempt in outcome.attempts] == [1, 2, 3]
    assert [a.failure.kind if a.failure else None for a in outcome.attempts] == [
        FailureKind.SERVER,
        FailureKind.SERVER,
        None,
    ]


async def test_a_row_that_always_fails_is_given_up_after_its_attempts() -> None:
    house = House(["p"], fails(FailureKind.SERVER, status=500), patience=Patience(max_attempts=3))
    (outcome,) = await house.go()

    assert outcome.status is Status.FAILED
    assert len(house.transport.sent) == 3


async def test_a_429_is_never_charged_to_the_row() -> None:
    house = House(
        ["p"], fails(FailureKind.RATE, status=429, times=40), patience=Patience(max_attempts=2)
    )
    (outcome,) = await house.go()

    assert outcome.status is Status.OK
    assert len(outcome.attempts) == 41
    assert not any(attempt.charged for attempt in outcome.attempts)


async def test_a_row_that_alone_is_refused_with_429_is_recorded_and_the_run_ends() -> None:
    def script(prompt: str, tries: int) -> Answer:
        if prompt == "p5":
            return Failure(
                kind=FailureKind.RATE, message="long context", status=429, retry_after_s=1.0
            )
        return a_reply()

    house = House(prompts(200), script, workers=4)
    outcomes = await house.go()

    failed = [outcome for outcome in outcomes if outcome.status is Status.FAILED]
    assert len(outcomes) == 200
    assert [outcome.line for outcome in failed] == [5]
    taught = [feedback.signal for feedback in house.controller.feedback]
    assert taught.count(Signal.RATE) < 12


async def test_while_many_are_refused_with_429_no_row_is_given_up() -> None:
    def script(prompt: str, tries: int) -> Answer:
        if tries <= 20:
            return Failure(kind=FailureKind.RATE, message="slow down", status=429)
        return a_reply()

    outcomes = await House(prompts(100), script, workers=4).go()

    assert {outcome.status for outcome in outcomes} == {Status.OK}


async def test_a_sleeping_retry_holds_no_worker() -> None:
    def script(prompt: str, tries: int) -> Answer:
        if prompt == "p1" and tries == 1:
            return Failure(kind=FailureKind.SERVER, message="x", status=500)
        return a_reply()

    patience = Patience(backoff_base_s=1e6, backoff_max_s=1e6)
    house = House(prompts(10), script, workers=1, patience=patience)
    outcomes = await house.go()

    assert outcomes[-1].line == 1
    assert outcomes[-2].line == 10


async def test_a_server_that_is_down_for_ten_minutes_costs_waiting_not_rows() -> None:
    down_until_s = 605.0

    def script(prompt: str, tries: int) -> Answer:
        if 5.0 < asyncio.get_running_loop().time() < down_until_s:
            return Failure(kind=FailureKind.CONNECTION, message="refused")
        return a_reply()

    house = House(prompts(400), script, workers=32, patience=Patience(max_attempts=3))
    outcomes = await house.go()

    assert {outcome.status for outcome in outcomes} == {Status.OK}
    assert len(outcomes) == 400
    assert len(house.transport.sent) < 400 + 32 + 100


async def test_a_server_that_never_answers_stops_the_run_and_keeps_the_rows() -> None:
    house = House(prompts(400), fails(FailureKind.OVERLOADED, status=503), workers=32)
    await house.go()

    assert house.run.exit_code is Exit.HALTED
    assert house.sink.outcomes == []
    assert "120 s" in str(house.run.reason)
    assert house.run.halted_by is not None  # it is what the fix is told by
    assert house.run.halted_by.kind is FailureKind.OVERLOADED


async def test_a_block_of_bad_rows_does_not_look_like_an_outage_for_long() -> None:
    def script(prompt: str, tries: int) -> Answer:
        if int(prompt[1:]) <= 30:
            return Failure(kind=FailureKind.SERVER, message="x", status=500)
        return a_reply()

    house = House(prompts(200), script, workers=8, patience=Patience(max_attempts=4))
    outcomes = await house.go()

    assert sorted(o.line for o in outcomes if o.status is Status.FAILED) == list(range(1, 31))
    assert len(outcomes) == 200


async def test_an_unknown_model_stops_the_run_within_what_is_in_flight() -> None:
    house = House(prompts(500), fails(FailureKind.NOT_FOUND, status=404), workers=16)
    await house.go()

    assert house.run.exit_code is Exit.HALTED
    assert len(house.transport.sent) == 16
    assert house.sink.outcomes == []


class RotatingSource:
    """A key source whose value changes when told."""

    name, is_fixed = "the vault", False

    def __init__(self, value: str) -> None:
        self.value = value
        self.reads = 0

    async def get(self) -> Secret:
        self.reads += 1
        return Secret(self.value)


async def test_a_refused_key_whose_source_has_a_new_value_goes_on_at_no_cost() -> None:
    source = RotatingSource("old-key")

    def script(prompt: str, tries: int) -> Answer:
        if house.values["a"] == Secret("old-key") and len(house.transport.sent) > 10:
            source.value = "new-key"
            return Failure(kind=FailureKind.AUTH, message="invalid key", status=401)
        return a_reply()

    house = House(
        prompts(60), script, workers=4, sources={"a": source}, patience=Patience(max_attempts=1)
    )
    outcomes = await house.go()

    assert {outcome.status for outcome in outcomes} == {Status.OK}
    assert len(outcomes) == 60
    assert source.reads == 2
    assert "key.returned" in house.names()


async def test_a_key_refused_for_good_stops_the_run_and_is_named() -> None:
    house = House(
        prompts(60),
        fails(FailureKind.AUTH, status=401),
        workers=4,
        sources={"main-key": RotatingSource("k")},
    )
    await house.go()

    assert house.run.exit_code is Exit.HALTED
    assert "main-key" in str(house.run.reason)
    assert asyncio.get_running_loop().time() < 2  # nobody waits for the grace period to pass
    assert len(house.transport.sent) == 4
    assert house.names().count("key.benched") == 1


async def test_while_one_key_of_two_is_good_no_row_fails() -> None:
    def script(prompt: str, tries: int) -> Answer:
        if house.transport.keys[-1] == "bad":
            return Failure(kind=FailureKind.AUTH, message="invalid key", status=401)
        return a_reply()

    house = House(
        prompts(30),
        script,
        workers=1,
        sources={"bad": RotatingSource("k1"), "good": RotatingSource("k2")},
    )
    outcomes = await house.go()

    assert {outcome.status for outcome in outcomes} == {Status.OK}
    assert house.run.exit_code is None


async def test_a_ceiling_on_requests_holds_from_the_first_minute() -> None:
    house = House(prompts(300), workers=64, ceiling=600)
    await house.go()

    sent_s = [at for at, _ in house.transport.sent]
    busiest = max(sum(1 for at in sent_s if start <= at < start + 60) for start in sent_s)
    assert busiest <= 611
    assert sent_s[-1] == pytest.approx(29, abs=1)


async def test_draining_settles_what_is_in_flight_and_sends_nothing_more() -> None:
    house = House(prompts(1000), workers=8)
    async with asyncio.TaskGroup() as group:
        group.create_task(house.go())
        await asyncio.sleep(5.5)
        house.run.drain("told to", Exit.TERMINATED)
        sent = len(house.transport.sent)

    assert len(house.transport.sent) == sent == len(house.sink.outcomes)


async def test_what_outlives_the_grace_period_is_left_to_the_next_run() -> None:
    house = House(prompts(8), workers=8, latency_s=500.0, patience=Patience(grace_s=30.0))
    async with asyncio.TaskGroup() as group:
        group.create_task(house.go())
        await asyncio.sleep(1)
        house.run.drain("told to", Exit.TERMINATED)
    ended_s = asyncio.get_running_loop().time()

    assert ended_s == pytest.approx(31, abs=0.5)
    assert house.sink.outcomes == []
    assert [note for note, _ in house.journal.notes] == ["began"] * 8


async def test_a_full_disk_stops_admission_and_names_the_rows_it_could_not_store() -> None:
    house = House(prompts(100), workers=4)
    house.sink.full = True

    with pytest.raises(StorageError, match="4 rows were answered but could not be stored"):
        await house.go()

    assert len(house.transport.sent) == 4


async def test_answers_kept_in_memory_are_written_when_there_is_room_again() -> None:
    house = House(prompts(100), workers=4)

    def script(prompt: str, tries: int) -> Answer:
        house.sink.full = prompt == "p5"
        return a_reply()

    house.transport._script = script
    await house.go()

    assert len(house.sink.outcomes) == len(house.transport.sent)
    assert house.run.exit_code is Exit.STORAGE


async def test_an_input_that_breaks_off_finishes_what_was_read() -> None:
    def broken() -> Iterator[str]:
        yield from prompts(20)
        raise InputError("the file is cut after line 20")

    house = House(broken())
    outcomes = await house.go()

    assert len(outcomes) == 20
    assert house.run.exit_code is Exit.USAGE


async def test_a_bug_costs_its_row_and_not_the_run() -> None:
    def script(prompt: str, tries: int) -> Answer:
        if prompt == "p3":
            raise ZeroDivisionError("oops")
        return a_reply()

    outcomes = await House(prompts(10), script).go()

    assert [o.failure.kind for o in outcomes if o.failure] == [FailureKind.BUG]
    assert len(outcomes) == 10


KINDS = [
    FailureKind.RATE,
    FailureKind.SERVER,
    FailureKind.OVERLOADED,
    FailureKind.CONNECTION,
    FailureKind.BAD_RESPONSE,
    FailureKind.TRUNCATED,
    FailureKind.REFUSED,
    FailureKind.BAD_REQUEST,
    FailureKind.EMPTY,
]
FATES = st.lists(st.sampled_from([*KINDS, None]), min_size=0, max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(fates=st.lists(FATES, min_size=1, max_size=30), workers=st.integers(1, 12))
async def test_whatever_happens_every_row_ends_in_exactly_one_record(
    fates: list[list[FailureKind | None]], workers: int
) -> None:
    def script(prompt: str, tries: int) -> Answer:
        fate = fates[int(prompt[1:]) - 1]
        kind = fate[tries - 1] if tries <= len(fate) else None
        if kind is None:
            return a_reply()
        return Failure(kind=kind, message=str(kind), status=500, reply=_paid(kind))

    house = House(prompts(len(fates)), script, workers=workers, patience=Patience(max_attempts=4))
    outcomes = await house.go()

    assert sorted(outcome.line for outcome in outcomes) == list(range(1, len(fates) + 1))
    assert house.run.exit_code is None


def _paid(kind: FailureKind) -> Reply | None:
    return a_reply("") if kind in {FailureKind.TRUNCATED, FailureKind.REFUSED} else None


def cut_short(_: str, __: int) -> Answer:
    return Failure(kind=FailureKind.TRUNCATED, message="cut", reply=a_reply("half an ans"))


async def test_a_truncated_answer_is_a_failure_with_its_text_by_default() -> None:
    (outcome,) = await House(["p"], cut_short).go()

    assert outcome.status is Status.TRUNCATED
    assert outcome.reply is not None
    assert outcome.reply.text == "half an ans"


async def test_a_truncated_answer_may_be_kept_as_a_result() -> None:
    (outcome,) = await House(["p"], cut_short, patience=Patience(on_truncated="keep")).go()

    assert outcome.status is Status.OK
    assert outcome.reply is not None
    assert len(outcome.attempts) == 1


async def test_a_truncated_answer_grows_to_its_ceiling_and_never_asks_the_same_twice() -> None:
    patience = Patience(on_truncated="grow", grow_to=8192, max_attempts=1)
    house = House(['{"max_tokens":1024}'], cut_short, patience=patience)
    (outcome,) = await house.go()

    asked = [prompt for _, prompt in house.transport.sent]
    assert asked == [f'{{"max_tokens":{n}}}' for n in (1024, 2048, 4096, 8192)]
    assert outcome.status is Status.TRUNCATED
    assert len(outcome.attempts) == 4


async def test_an_empty_answer_may_be_tried_again() -> None:
    def script(_: str, tries: int) -> Answer:
        if tries < 3:
            return Failure(kind=FailureKind.EMPTY, message="no text", reply=a_reply(""))
        return a_reply()

    (outcome,) = await House(["p"], script, patience=Patience(on_empty="retry")).go()

    assert outcome.status is Status.OK
    assert len(outcome.attempts) == 3


async def test_a_row_past_its_deadline_is_not_tried_again() -> None:
    patience = Patience(row_deadline_s=20.0, backoff_base_s=5, max_attempts=1000)
    house = House(["p"], fails(FailureKind.SERVER, status=500), patience=patience)
    (outcome,) = await house.go()

    assert outcome.status is Status.FAILED
    assert 20 <= asyncio.get_running_loop().time() < 40


async def test_a_run_with_a_deadline_stops_sending_in_time_and_is_done_by_then() -> None:
    house = House(prompts(10_000), workers=8, latency_s=4.0, patience=Patience(deadline="60"))
    outcomes = await house.go()

    assert house.run.exit_code is Exit.INTERRUPTED
    assert 50 < asyncio.get_running_loop().time() <= 60
    assert len(outcomes) == len(house.transport.sent)

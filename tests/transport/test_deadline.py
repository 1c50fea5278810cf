"""Many exchanges, one timer: who is cut short, when, and who is not."""

import asyncio

import pytest

from batcher.transport.deadline import Deadlines


async def held(deadlines: Deadlines, seconds: float, work_s: float) -> str:
    task = deadlines.begin(seconds)
    try:
        await asyncio.sleep(work_s)
    except asyncio.CancelledError:
        if deadlines.took(task):
            return "late"
        raise
    finally:
        deadlines.end(task)
    return "done"


async def test_each_is_cut_at_its_own_time_and_the_others_go_on() -> None:
    deadlines = Deadlines()
    started = asyncio.get_running_loop().time()
    ends: dict[str, float] = {}

    async def noted(name: str, seconds: float, work_s: float) -> str:
        end = await held(deadlines, seconds, work_s)
        ends[name] = asyncio.get_running_loop().time() - started
        return end

    async with asyncio.TaskGroup() as group:
        long = group.create_task(noted("long", 100.0, 1e6))
        short = group.create_task(noted("short", 3.0, 1e6))
        quick = group.create_task(noted("quick", 3.0, 1.0))

    assert [each.result() for each in (long, short, quick)] == ["late", "late", "done"]
    assert ends == pytest.approx({"long": 100.0, "short": 3.0, "quick": 1.0}, abs=0.1)


async def test_a_task_may_have_one_deadline_after_another() -> None:
    deadlines = Deadlines()

    ends = [await held(deadlines, 5.0, work_s) for work_s in (1.0, 1e6, 4.9, 1e6)]

    assert ends == ["done", "late", "done", "late"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_somebody_elses_cancellation_is_not_swallowed() -> None:
    deadlines = Deadlines()
    async with asyncio.TaskGroup() as group:
        both = group.create_task(held(deadlines, 5.0, 1e6))
        loop = asyncio.get_running_loop()
        loop.call_at(loop.time() + 5.0, both.cancel)
        loop.call_at(loop.time() + 5.0, both.cancel)
        await asyncio.wait([both])

    assert both.cancelled()


async def test_a_deadline_that_comes_out_as_another_fault_leaves_no_trace() -> None:
    deadlines = Deadlines()
    task = deadlines.begin(1.0)
    with pytest.raises(ConnectionError):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise ConnectionError from None
        finally:
            deadlines.end(task)

    assert task.cancelling() == 0
    assert await held(deadlines, 5.0, 1.0) == "done"

"""From a Job to a Summary: what happens around a run, in order.

Opens the output directory, refuses what does not belong to it, starts what must be started,
lets the engine run, and leaves run.json behind.

Blocking doors (`execute`, `run`) and async ones (`arun`, `stream`) are the same path.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from batcher import clock, logs
from batcher.build import (
    Target,
    compose,
    has_own_server,
    keys_of,
    refuse_what_cannot_work,
    target_of,
)
from batcher.engines.local import drive, run_to_end
from batcher.errors import Exit, StorageError
from batcher.events import Event, RowSettled, RunFinished, RunStarted
from batcher.job import Job, ProviderName
from batcher.load import expanded
from batcher.output import Opened, OutputDirectory, fresh_directory
from batcher.pipeline.run import Run
from batcher.policy.help import hint
from batcher.records import Outcome, Status, Summary
from batcher.resume import Way
from batcher.retry import Retry
from batcher.secret import Redactor
from batcher.watch.progress import Glance, Progress
from batcher.watch.screen import Screen
from batcher.watch.tally import Tally

_AHEAD = 1000  # outcomes a slow reader of `stream` may leave unread before intake waits

Rows = Iterable[Mapping[str, Any]]


def execute(
    job: Job,
    *,
    rows: Rows | None = None,
    fresh: bool = False,
    way: Way = Way.REFUSE,
    retry: Retry | None = None,
    show: bool = False,
) -> Summary:
    """Run a job to its end, from blocking code.

    Args:
        job: What to do.
        rows: Rows in place of the job's input.
        fresh: Start over in a new directory beside the old one, which stays as it is.
        way: What to do when the directory was begun with other settings or another input.
        retry: Ask only failed rows again; the job is the one that retry.plan made.
        show: Progress and a closing table on the screen.

    Raises:
        BatcherError: An operator's fault; the message names the fix.
    """
    return run_to_end(lambda: launch(job, rows=rows, fresh=fresh, way=way, retry=retry, show=show))


def run(
    job: Job, rows: Rows | None = None, *, way: Way = Way.REFUSE, fresh: bool = False
) -> Summary:
    """Run a job to its end and say how it went; the same call again goes on where it stopped.

    Args:
        job: What to do.
        rows: Rows (one dict each) in place of the job's input; on resume the same rows again.
        way: What to do when the directory was begun with other settings or another input.
        fresh: Start over in a new directory beside the old one, which stays as it is.

    Raises:
        BatcherError: An operator's fault; the message names the fix.
    """
    return execute(job, rows=rows, way=way, fresh=fresh)


async def arun(
    job: Job, rows: Rows | None = None, *, way: Way = Way.REFUSE, fresh: bool = False
) -> Summary:
    """`run` for callers that have an event loop."""
    return await launch(job, rows=rows, way=way, fresh=fresh)


async def stream(
    job: Job, rows: Rows | None = None, *, way: Way = Way.REFUSE, fresh: bool = False
) -> AsyncIterator[Outcome]:
    """Run a job and yield each outcome as it gets its record, in completion order.

    Rows settled by an earlier run are not yielded again. Leaving the loop early drains
    nothing: what is in flight is left to the next run.

    Args:
        job: What to do.
        rows: Rows (one dict each) in place of the job's input.
        way: What to do when the directory was begun with other settings or another input.
        fresh: Start over in a new directory beside the old one, which stays as it is.

    Raises:
        BatcherError: An operator's fault; the message names the fix.
    """
    unread: asyncio.Queue[Outcome | None] = asyncio.Queue()
    read = asyncio.Event()

    def listen(event: Event) -> None:
        if isinstance(event, RowSettled):
            unread.put_nowait(event.outcome)

    async def brake() -> None:
        while unread.qsize() > _AHEAD:
            read.clear()
            await read.wait()

    # A TaskGroup cannot span the yields of a generator that its caller may abandon.
    work = asyncio.ensure_future(
        launch(job, rows=rows, fresh=fresh, way=way, listener=listen, brake=brake)
    )
    work.add_done_callback(lambda _: unread.put_nowait(None))
    try:
        while (outcome := await unread.get()) is not None:
            read.set()
            yield outcome
        await work
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait([work])


async def launch(
    job: Job,
    *,
    rows: Rows | None = None,
    fresh: bool = False,
    way: Way = Way.REFUSE,
    retry: Retry | None = None,
    show: bool = False,
    listener: Callable[[Event], None] | None = None,
    brake: Callable[[], Awaitable[None]] | None = None,
) -> Summary:
    """The one path every door leads to; see `execute` for the arguments."""
    job = expanded(job)
    if not has_own_server(job):
        refuse_what_cannot_work(job)
    screen = _screen() if show else None
    say: Callable[[str], None] = screen.say if screen is not None else lambda _: None
    path = Path(job.output.path)
    if fresh:
        path = fresh_directory(path)
        say(f"Starting over in {path}; earlier records stay where they are.")
    redactor = Redactor()
    tally = Tally()
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(OutputDirectory(path, job=job, redactor=redactor))
        server = own_server(job, log=path / "model.log", tell=say)
        base_url = await stack.enter_async_context(server)
        target = target_of(job, base_url=base_url)
        if way is Way.REUSE:
            await _learn_keys(job, target, redactor)
        opened = directory.open(target, rows=rows, way=way, retry=retry)
        log = logs.listener(directory.logger, level=job.log.level)

        def emit(event: Event) -> None:
            tally(event)
            log(event)
            if listener is not None:
                listener(event)

        parts = compose(
            job,
            target,
            source=opened.source,
            settled=opened.settled,
            sink=opened.sink,
            journal=opened.journal,
            redactor=redactor,
            emit=emit,
            brake=brake,
        )
        stack.push_async_callback(parts.transport.close)
        emit(
            RunStarted(
                output=str(path),
                settled=opened.settled_before,
                in_doubt=len(opened.in_doubt),
                settings=opened.settings,
            )
        )
        _say_where_it_stands(say, path, opened)
        work = Run(parts)
        began_s = clock.now()
        background = [directory.study_input()]
        if screen is not None:
            background.append(_progress(work, tally, directory, opened, screen))
        await _with_background(drive(work, on_hangup=directory.reopen_log), background, work)
        summary = _finished(
            _summary(work, tally, directory, redactor, seconds=clock.now() - began_s),
            directory,
            emit,
        )
    if screen is not None:
        screen.finish(summary, tally)
    return summary


def _finished(
    summary: Summary, directory: OutputDirectory, emit: Callable[[Event], None]
) -> Summary:
    """Tell of the end and leave it in run.json; a disk too full for that is the reason then."""
    emit(RunFinished(counts=summary.counts, seconds=summary.seconds, exit_code=summary.exit_code))
    try:
        directory.finish(summary)
    except StorageError as fault:
        if summary.exit_code != Exit.STORAGE:
            return replace(summary, exit_code=int(Exit.STORAGE), reason=str(fault))
    return summary


def _screen() -> Screen:
    with suppress(ValueError, AttributeError):  # standard error is closed, or there is none
        if sys.stderr.isatty():
            from batcher.watch.terminal import Terminal  # rich: 5 MB, a tenth of a second

            return Terminal()
    return Screen()


def _progress(
    work: Run, tally: Tally, directory: OutputDirectory, opened: Opened, screen: Screen
) -> Coroutine[Any, Any, None]:
    def look() -> Glance:
        return Glance(
            in_flight=work.in_flight,
            requests=work.requests,
            total=directory.total_rows,
            settled_before=opened.settled_before,
        )

    return screen.show(Progress(tally), look)


async def _with_background(main: Awaitable[None], others: list[Any], work: Run) -> None:
    """Run `main`, with others beside it that end when it ends."""
    tasks = [asyncio.ensure_future(other) for other in others]
    try:
        await main
    except StorageError as fault:
        work.exit_code, work.reason = Exit.STORAGE, str(fault)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@asynccontextmanager
async def own_server(
    job: Job, *, log: Path | None = None, tell: Callable[[str], None] = lambda _: None
) -> AsyncIterator[str | None]:
    """The base URL of the server a job wants started (simulator or local model), or None.

    Args:
        job: The job.
        log: Where the local model's own messages go.
        tell: Is told what takes a while.
    """
    if job.rehearsal or job.request.provider is ProviderName.SIMULATED:
        from batcher.simulator.server import Simulator

        async with Simulator(job.simulator, deliveries=False) as simulator:
            yield simulator.base_url
    elif job.request.provider is ProviderName.LOCAL:
        from batcher.local.server import LocalModel

        async with LocalModel(job.local, tell=tell, log=log) as model:
            yield model.base_url
    else:
        yield None


async def _learn_keys(job: Job, target: Target, redactor: Redactor) -> None:
    """Let the keys be masked in records that are written anew before the run reads its keys."""
    for key in keys_of(job, target):
        if key.source is not None:
            redactor.learn(await key.source.get())


def _say_where_it_stands(say: Callable[[str], None], path: Path, opened: Opened) -> None:
    if opened.settled_before:
        say(f"Going on in {path}: {opened.settled_before:,} rows are settled.")
    for note in opened.notes:
        say(note)
    if opened.in_doubt:
        say(
            f"{len(opened.in_doubt):,} requests were in flight when the last run died; they may "
            "have been billed and are asked again."
        )


def _summary(
    work: Run, tally: Tally, directory: OutputDirectory, redactor: Redactor, *, seconds: float
) -> Summary:
    counts = directory.ledger.counts
    all_ok = sum(counts.values()) == counts.get(Status.OK, 0)
    code = work.exit_code
    waiting = directory.waiting() if code is not None or directory.has_others else 0
    if code is None:
        code = Exit.OK if all_ok and not waiting else Exit.ROWS_FAILED
    return Summary(
        output=str(directory.path),
        counts=counts,
        answered=work.answered,
        requests=work.requests,
        usage=tally.usage,
        seconds=seconds,
        exit_code=int(code),
        waiting=waiting,
        reason=_reason(work, redactor),
    )


def _reason(work: Run, redactor: Redactor) -> str | None:
    """Why it ended early, with the fix, as run.json and the screen may have it."""
    if work.reason is None:
        return None
    fix = hint(work.halted_by) if work.halted_by is not None else None
    return redactor.clean_text(f"{work.reason}; {fix}" if fix else work.reason)

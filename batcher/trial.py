"""Before a run: what is wrong with a job, what one row asks, and what comes back for it.

Nothing here writes an output directory; `check_job` and `first_row` do not send either.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import orjson

from batcher import clock
from batcher.build import Target, keys_of, make_intake, make_transport, target_of
from batcher.engines.local import run_to_end
from batcher.errors import BatcherError, InputError
from batcher.job import Job, Output
from batcher.kept import is_streamed
from batcher.launch import own_server
from batcher.pipeline.attempt import attempt
from batcher.pipeline.backlog import Pending
from batcher.pipeline.settle import outcome_of
from batcher.providers.catalogue import check
from batcher.records import Attempt, Call, Failure, Outcome, Reply, Row, record
from batcher.secret import Redactor, Secret
from batcher.storage.ledger import Ledger
from batcher.storage.rows import FileSource

_T = TypeVar("_T")


@record
class Report:
    """One row, sent once.

    Attributes:
        request: The body that was sent, as indented JSON.
        outcome: What would be recorded. For the screen, so nothing shaped like a key is in it.
        latency_s: From sending to the last byte.
    """

    request: bytes
    outcome: Outcome
    latency_s: float


def rehearsal(job: Job) -> Job:
    """The same job against the built-in simulator, with an output directory of its own."""
    output = job.output.model_dump() | {"path": f"runs/rehearsal/{job.name}"}
    return job.model_copy(update={"rehearsal": True, "output": Output(**output), "keys": []})


def check_job(job: Job) -> list[str]:
    """Everything wrong with a job that can be known without sending; empty when it is fine."""
    try:
        target = target_of(job)
        problems = list(check(target.request))
        if job.keys:  # those of the environment may be elsewhere when the job is checked
            keys_of(job, target)
    except BatcherError as fault:
        return str(fault).splitlines()
    try:
        made = _first_made(job, target)
    except BatcherError as fault:
        return [*problems, *str(fault).splitlines()]
    if isinstance(made, Outcome) and made.failure is not None:
        told = f"{job.input.path}, line {made.line}: {made.failure.message}"
        if not any(problem in told for problem in problems):
            problems.append(told)
    return problems


def first_row(job: Job) -> str:
    """What the first row becomes, in words to put behind "fine"; empty for a stream."""
    target = target_of(job)
    made = _first_made(job, target)
    if not isinstance(made, Call):
        return ""
    return f" (first row renders to {made.input_chars:,} characters for {made.model})"


def try_one(job: Job, prompt: str | None = None, line: int | None = None) -> Report:
    """Send one row once and say what came back.

    Args:
        job: What to ask and whom.
        prompt: The row, when it is not to come from the job's input.
        line: Which line of the input; the first row when left out.

    Raises:
        BatcherError: There is no such row, or settings are wrong.
    """
    return run_to_end(lambda: _try_one(job, prompt, line))


async def _try_one(job: Job, prompt: str | None, line: int | None) -> Report:
    redactor = Redactor()
    async with own_server(job) as base_url:
        target = target_of(job, base_url=base_url)
        row = await _row(job, line) if prompt is None else Row(line=1, data={"prompt": prompt})
        if row is None:
            raise InputError(f"{job.input.path} has no row to try; name a file with rows")
        made = make_intake(job, target).call(row)
        if isinstance(made, Outcome):
            return Report(request=orjson.dumps(row.data), outcome=made, latency_s=0.0)
        return await _send(job, target, made, redactor)


async def _send(job: Job, target: Target, call: Call, redactor: Redactor) -> Report:
    keys = keys_of(job, target)
    values: dict[str, Secret] = {}
    for key in keys:
        if key.source is not None:
            values[key.ref.alias] = await key.source.get()
            redactor.learn(values[key.ref.alias])
    transport = make_transport(keys, values, job, redactor, target.provider)
    began_s = clock.now()
    try:
        exchange = await attempt(
            call,
            keys[0].ref,
            transport=transport,
            provider=target.provider,
            redactor=redactor,
            deadline_s=job.patience.timeout_s,
        )
    finally:
        await transport.close()
    pending = Pending(call)
    result = exchange.result
    pending.attempts.append(
        Attempt(
            number=1,
            key=keys[0].ref.alias,
            sent_at=exchange.sent_at,
            latency_s=exchange.latency_s,
            failure=result if isinstance(result, Failure) else None,
        )
    )
    request = orjson.dumps(orjson.loads(call.wire.body), option=orjson.OPT_INDENT_2)
    return Report(
        request=redactor.clean_all(request),
        outcome=outcome_of(pending, _shown(result, redactor), exchange.body),
        latency_s=clock.now() - began_s,
    )


def _shown(result: Reply | Failure, redactor: Redactor) -> Reply | Failure:
    """The result with an answer that can be shown; a failure's own texts can be already."""
    if isinstance(result, Failure):
        reply = result.reply
        return result if reply is None else replace(result, reply=_masked(reply, redactor))
    return _masked(result, redactor)


def _masked(reply: Reply, redactor: Redactor) -> Reply:
    return replace(
        reply,
        text=redactor.clean_text(reply.text),
        stop_reason=redactor.clean_known(reply.stop_reason),
        model=redactor.clean_text(reply.model),
        request_id=redactor.clean_known(reply.request_id),
    )


def _first_made(job: Job, target: Target) -> Call | Outcome | None:
    """The first row as it would be asked; None when it comes from a stream or there is none."""
    intake = make_intake(job, target)
    if is_streamed(job):
        return None
    row = _wait(_row(job, None))
    return None if row is None else intake.call(row)


def _wait(work: Coroutine[Any, Any, _T]) -> _T:
    with asyncio.Runner() as runner:
        return runner.run(work)


async def _row(job: Job, line: int | None) -> Row | None:
    """The row of a line, or the first one."""
    if is_streamed(job):
        raise InputError("a stream cannot be tried; give a prompt, or a file of rows")
    source = FileSource(Path(job.input.path))
    async for row in source.rows(Ledger()):
        if line is None or row.line == line:
            return row
        if row.line > line:
            break
    if line is not None:
        raise InputError(f"{job.input.path} has no row on line {line}")
    return None

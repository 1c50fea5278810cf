"""What leave to send costs while very many wait for it.

The real dispatcher, key ring and rate controller, on a clock that jumps: no grant pays for the
sleep before it. A stated limit holds all workers back; nothing is sent, a worker hands its leave
back at once. Counted is the time in the dispatcher: looking whether somebody may go, choosing the
call and the key, setting its cost aside, and waking one worker of many.
"""

import asyncio
import time

from batcher.pipeline.admission import Admission, Turn
from batcher.pipeline.backlog import Backlog
from batcher.pipeline.dispatch import Dispatcher
from batcher.policy.keyring import Keyring
from batcher.policy.limiter import Limiter
from batcher.policy.outage import Outage
from batcher.records import Bucket, Feedback, KeyRef, Signal, Usage
from tests.support.builders import a_call
from tests.support.virtual_clock import VirtualClockLoop

_PER_S = 2_000.0
_RAMP_S, _MEASURED_S = 10.0, 30.0
_ANSWERED = Feedback(
    signal=Signal.OK, latency_s=0.001, usage=Usage(input_tokens=10, output_tokens=5)
)


class _Timed(Dispatcher):
    """Adds up the time it takes."""

    spent_s = 0.0

    def pump(self) -> None:
        begun_s = time.perf_counter()
        super().pump()
        self.spent_s += time.perf_counter() - begun_s

    def take(self) -> Turn | None:
        begun_s = time.perf_counter()
        turn = super().take()
        self.spent_s += time.perf_counter() - begun_s
        return turn


def grant_us(*, waiting: int) -> float:
    """Microseconds a grant at 2,000 grants a second, with so many workers waiting."""
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(_measured(waiting))


async def _measured(waiting: int) -> float:
    limiter = Limiter(
        "bench", stated={Bucket.REQUESTS: _PER_S * 60}, max_in_flight=waiting, burst_s=0.1
    )
    key = KeyRef(alias="bench", scope="bench", base_url="http://127.0.0.1")
    admission = Admission(
        Keyring([key], {"bench": limiter}),
        outage=Outage(unanswered_s=60, answered_s=60),
        gate=None,
    )
    backlog = Backlog(window=2 * waiting, most_rows=4 * waiting, most_bytes=1 << 40)
    dispatcher = _Timed(backlog, admission)
    call, loop, granted = a_call(), asyncio.get_running_loop(), 0

    async def work() -> None:
        nonlocal granted
        while (turn := dispatcher.take() or await dispatcher.wait()) is not None:
            granted += 1
            admission.give_back(turn, _ANSWERED, now=loop.time())
            dispatcher.give_back(turn.pending, retry_at_s=None)
            dispatcher.offer(call)

    for _ in range(waiting):
        dispatcher.offer(call)
    async with asyncio.TaskGroup() as group:
        for _ in range(waiting):
            group.create_task(work())
        await asyncio.sleep(_RAMP_S)
        before, spent_s = granted, dispatcher.spent_s
        await asyncio.sleep(_MEASURED_S)
        spent_s, count = dispatcher.spent_s - spent_s, granted - before
        dispatcher.close()
    if count < 0.9 * _PER_S * _MEASURED_S:
        raise RuntimeError(f"only {count / _MEASURED_S:.0f} grants a second came about")
    return spent_s / count * 1e6

"""One deadline for each whole exchange, and one timer for all of them.

asyncio.timeout sets and cancels a timer for every request, which costs twenty times what
noting the task in a dict does; the timer here goes off once in a deadline's time.
"""

import asyncio

from batcher.records import Failure, FailureKind

_LOOK_AGAIN_S = 0.05  # deadlines that pass within this time are kept together


class Deadlines:
    """Cancels tasks that take longer than they may. A task has one deadline at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: dict[asyncio.Task[object], float] = {}
        self._over: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, seconds: float) -> asyncio.Task[object]:
        """From now on the present task has so many seconds; returns it, for `end`."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task to cancel")
        due = self._due[task] = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > due:
            self._look_at(due)
        return task

    def extend(self, task: asyncio.Task[object], due: float) -> None:
        """Move a task's deadline to a later moment of the loop's time."""
        if task in self._due:
            self._due[task] = due

    def end(self, task: asyncio.Task[object]) -> None:
        """The task is done with what had the deadline, however it ended."""
        self._due.pop(task, None)
        if task in self._over:  # the cancellation came out as another exception
            self._over.remove(task)
            task.uncancel()

    def took(self, task: asyncio.Task[object]) -> bool:
        """Whether the deadline, and nobody else, cancelled the task; that is undone then."""
        if task not in self._over:
            return False
        self._over.remove(task)
        return task.uncancel() == 0

    def close(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at(self, when: float) -> None:
        self.close()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        for task in [task for task, due in self._due.items() if due <= now]:
            del self._due[task]
            self._over.add(task)
            task.cancel()
        if self._due:
            self._look_at(max(min(self._due.values()), now + _LOOK_AGAIN_S))


class Begin:
    """Gives an exchange the rest of its time once the answer has begun.

    Attributes:
        has_come: Whether it has.
    """

    __slots__ = ("_deadlines", "_due", "_task", "has_come")

    def __init__(self, deadlines: Deadlines, task: asyncio.Task[object], *, due: float) -> None:
        self._deadlines = deadlines
        self._task = task
        self._due = due
        self.has_come = False

    def __call__(self) -> None:
        """The head of the answer is here."""
        self.has_come = True
        self._deadlines.extend(self._task, self._due)


def late(seconds: float, *, what: str = "whole answer") -> Failure:
    """What an exchange that was cut short ends in."""
    return Failure(kind=FailureKind.TIMEOUT, message=f"no {what} within {seconds:g} s")

"""Runs one pass in this process: signals, the event loop, the garbage collector's patience."""

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from batcher.engines.loop import loop_factory
from batcher.errors import Exit
from batcher.pipeline.run import Run

_T = TypeVar("_T")

_SIGNALS = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}

# The default thresholds cost 15 % of the CPU at 512 requests in flight and 40 % at 5,000, as
# every collection walks all their objects; memory does not rise (measured 2026-11).
_GC_THRESHOLDS = (100_000, 50, 1000)


def run_to_end(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine from blocking code, also where a loop is running already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run_here(work)
    results: list[_T] = []
    faults: list[BaseException] = []

    def target() -> None:
        try:
            results.append(_run_here(work))
        except BaseException as fault:  # noqa: BLE001 - carried over to the caller's thread
            faults.append(fault)

    thread = threading.Thread(target=target, name="batcher")
    thread.start()
    thread.join()
    if faults:
        raise faults[0]
    return results[0]


def _run_here(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    before = gc.get_threshold()
    gc.set_threshold(*_GC_THRESHOLDS)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(work())
    finally:
        gc.set_threshold(*before)


async def drive(run: Run, *, on_hangup: Callable[[], None] = lambda: None) -> None:
    """Let a run go, with signals: the first drains, the second cancels.

    SIGHUP (a closed terminal, a rotated log) does not end it; `on_hangup` is called, and the
    keys are read again.

    Raises:
        StorageError: Some records could not be written.
    """
    loop = asyncio.get_running_loop()
    hangup = getattr(signal, "SIGHUP", None)
    before: dict[signal.Signals, Any] = {}

    def on_signal(number: signal.Signals) -> None:
        if run.exit_code is None:
            run.drain(f"stopped by {number.name}", _SIGNALS[number])
        else:
            run.cancel()

    def hang_up() -> None:
        on_hangup()
        run.read_keys_again()

    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in (*_SIGNALS, hangup) if number}
        for number in _SIGNALS:
            loop.add_signal_handler(number, on_signal, number)
        if hangup is not None:
            loop.add_signal_handler(hangup, hang_up)
    _allow_many_files()
    try:
        await run.go()
    except BaseExceptionGroup as group:
        raise _first(group) from group
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            # Ctrl-C becomes KeyboardInterrupt again: what is left to do may take minutes.
            if number is not signal.SIGINT and handler is not None:
                signal.signal(number, handler)


def _allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one: each request in flight needs one."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):  # some systems refuse "unlimited"
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    fault: BaseException = group
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return fault

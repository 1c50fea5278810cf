"""The simulator as a process of its own: blocking, until a signal or its parent's end.

`Simulator` itself, for use inside a running loop, can be had from here too.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping

from batcher.errors import ConfigError
from batcher.job import Simulator as Settings
from batcher.simulator.simulator import Simulator

__all__ = ["Simulator", "serve"]


def serve(
    settings: Settings,
    host: str,
    port: int,
    announce: Callable[[str], None],
    *,
    keys: Mapping[str, str] | None = None,
    scopes: Mapping[str, float] | None = None,
    deliveries: bool = False,
    times: bool = False,
    with_parent: bool = False,
) -> None:
    """Run a simulator until SIGINT or SIGTERM; call it in the main thread.

    `announce` hears the base URL once it listens. The rest is as for Simulator; with_parent ends
    it when standard input is closed, so that it never outlives who started it.

    Raises:
        ConfigError: The address cannot be had, or a setting is wrong.
    """
    simulator = Simulator(settings, keys=keys, scopes=scopes, deliveries=deliveries, times=times)
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        runner.run(_until_told(simulator, host, port, announce, with_parent=with_parent))


async def _until_told(
    simulator: Simulator,
    host: str,
    port: int,
    announce: Callable[[str], None],
    *,
    with_parent: bool,
) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    try:
        await simulator.start(host, port)
    except OSError as fault:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({fault}); choose another --port"
        ) from None
    if with_parent:
        threading.Thread(target=_wait_for_end, args=(loop, told), daemon=True).start()
    # Thousands of long-lived connections make the default collector cost a third of the time.
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    try:
        announce(simulator.base_url)
        await told.wait()
    finally:
        await simulator.stop()


def _wait_for_end(loop: asyncio.AbstractEventLoop, told: asyncio.Event) -> None:
    """Read standard input to its end, in a thread: it may be a pipe, a file or a terminal."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    with contextlib.suppress(RuntimeError):  # the loop has closed in the meantime
        loop.call_soon_threadsafe(told.set)


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop

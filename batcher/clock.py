"""The only file that knows time: monotonic seconds for decisions, wall time for stamps."""

import asyncio
import time
from datetime import UTC, datetime


def now() -> float:
    """Monotonic seconds of the running loop, so that a virtual clock rules every decision."""
    return asyncio.get_running_loop().time()


def cpu() -> float:
    """Monotonic seconds outside a loop, for measuring."""
    return time.monotonic()


def wall() -> datetime:
    """The present, in UTC, with a zone."""
    return datetime.now(UTC)


def local() -> datetime:
    """The present in the machine's own zone, for times of day."""
    return datetime.now(UTC).astimezone()


def epoch() -> float:
    """Seconds since 1970, for comparing with dates a server sends."""
    return time.time()


def stamp() -> str:
    """Now as records carry it: UTC, ISO 8601, milliseconds, `Z`."""
    global _stamp, _stamp_ms
    now = time.time()
    milliseconds = int(now * 1000)
    if milliseconds != _stamp_ms:
        _stamp, _stamp_ms = isoformat(now), milliseconds
    return _stamp


def isoformat(epoch_s: float) -> str:
    """Seconds since 1970 as UTC ISO 8601 with milliseconds and `Z`.

    strftime costs 2 us a call; the whole-second part is kept from the call before.
    """
    global _second, _prefix  # noqa: PLW0603 - one cached string, see above
    second = int(epoch_s)
    if second != _second:
        _prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _second = second
    return f"{_prefix}.{int((epoch_s - second) * 1000):03d}Z"


_second = -1
_prefix = ""
_stamp_ms = -1
_stamp = ""

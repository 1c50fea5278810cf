"""How many threads the model gets: one per core that nobody else is using.

llama.cpp's threads wait for one another many times per token, so a thread that has to share
its core holds all of them up. Measured 2026-11 on two cores with SmolLM2-135M: beside other
work (load 2.8) twelve answers took 15 s with one thread and 29 s with two. Four answers beside
four busy loops took 18.6 CPU seconds with two threads, 7.9 with two that stop spinning soon
(SPIN), 7.1 with one.
"""

import asyncio
import os
from collections.abc import Set
from pathlib import Path

SPIN = "5000"
"""GOMP_SPINCOUNT: turns a waiting thread spins before it sleeps. libgomp's own, 300,000 and more,
burns the core it shares; 0 costs a fifth of the speed on a quiet machine."""

_LOOK_S = 0.3
_STAT = Path("/proc/stat")


def usable_cores() -> Set[int]:
    """Numbers of the cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return frozenset(range(os.cpu_count() or 1))


def threads(cores: int, busy: float) -> int:
    """Threads for the model: the cores that are free, rounded, and never none.

    Args:
        cores: Cores this process may use.
        busy: How many of them other work keeps busy, on average.
    """
    return min(cores, max(1, int(cores - busy + 0.5)))


async def busy_cores(cores: Set[int]) -> float:
    """How many of these cores other work keeps busy; 0.0 where the system does not tell.

    Half a look at the kernel's counters, which a moment's lull or burst fools, and half the last
    minute's load average, which still remembers the installation that just ended.
    """
    before = _look(cores)
    await asyncio.sleep(_LOOK_S)
    after = _look(cores)
    worked, total = after[0] - before[0], after[1] - before[1]
    if total <= 0:
        return 0.0
    lately = min(os.getloadavg()[0], len(cores))
    return (worked / total * len(cores) + lately) / 2


def _look(cores: Set[int]) -> tuple[int, int]:
    return spent(_STAT.read_text(), cores) if _STAT.exists() else (0, 0)


def spent(stat: str, cores: Set[int]) -> tuple[int, int]:
    """Ticks these cores worked, and all their ticks, since boot.

    Args:
        stat: Text of /proc/stat: `cpu0 user nice system idle iowait irq softirq steal guest ...`;
            guest time is part of user time already. See proc(5).
        cores: Which cores to count.
    """
    worked = total = 0
    for line in stat.splitlines():
        name, *rest = line.split() or [""]
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            ticks = [int(n) for n in rest[:8]]
            total += sum(ticks)
            worked += sum(ticks) - ticks[3] - ticks[4]
    return worked, total

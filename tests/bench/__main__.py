"""CPU per request of a whole run against a bare aiohttp loop; memory against input length.

Every ratio is of two child processes measured in turns in this very call, start-up and shutdown
included, but where a rate is kept: there they are taken off, as a run of hours has them once.
Python's compiled modules are kept between them, as in any installation. The server has the last
core, the clients the first.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import orjson

from tests.bench.grant import grant_us
from tests.bench.server import serving

CPU_GOAL = 1.3
MEMORY_GOAL_MB = 10.0
PACED_PER_S = 200
PACED_GOAL = 1.3
GRANT_GOAL_US = 10.0
FEW, WAITING = 10, 10_000


class Cost(NamedTuple):
    cpu_us: float  # user and system, per row
    peak_mb: float
    cpu_s: float
    wall_s: float


def write_prompts(path: Path, rows: int) -> None:
    with path.open("wb") as file:
        for number in range(rows):
            prompt = f"Question {number}: " + "what does this function return? " * 28
            file.write(orjson.dumps({"id": f"row-{number}", "prompt": prompt}) + b"\n")


def cost_of(command: list[str], rows: int, compiled: Path) -> Cost:
    cores = sorted(os.sched_getaffinity(0))
    begun_s = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            "ANTHROPIC_API_KEY": "sk-bench",
            "PYTHONPYCACHEPREFIX": str(compiled),
            "PYTHONDONTWRITEBYTECODE": "",
        },
        preexec_fn=lambda: os.sched_setaffinity(0, cores[:1]),  # noqa: PLW1509 - no threads here
    )
    assert process.stderr is not None
    complaint = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command} ended with {process.returncode}: {complaint.decode()}")
    cpu_s, wall_s = used.ru_utime + used.ru_stime, time.monotonic() - begun_s
    return Cost(cpu_s * 1e6 / rows, used.ru_maxrss / 1024, cpu_s, wall_s)


def whole_run(prompts: Path, url: str, out: Path, concurrency: int, *flags: str) -> list[str]:
    return [
        sys.executable, "-m", "batcher", "run", str(prompts), "--out", str(out),
        "--provider", "anthropic", "--base-url", url, "--model", "m", "--max-tokens", "100",
        "--concurrency", str(concurrency), "--quiet", *flags,
    ]  # fmt: skip


def bare_loop(prompts: Path, url: str, concurrency: int, *flags: str) -> list[str]:
    return [
        sys.executable, "-m", "tests.bench.bare", str(prompts), url + "/v1/messages",
        "--concurrency", str(concurrency), *flags,
    ]  # fmt: skip


def bench_cpu(folder: Path, url: str, rows: int, rounds: int, concurrency: int) -> float:
    prompts, one, compiled = folder / "prompts.jsonl", folder / "one.jsonl", folder / "compiled"
    write_prompts(prompts, rows)
    write_prompts(one, 1)
    for command in (whole_run(one, url, folder / "first", 1), bare_loop(one, url, 1, "--uvloop")):
        cost_of(command, 1, compiled)
    print(f"CPU per request, {concurrency} in flight, {rows:,} rows, {rounds} rounds")
    ratios = []
    for turn in range(rounds):
        run = whole_run(prompts, url, folder / f"cpu{turn}", concurrency)
        ours = cost_of(run, rows, compiled)
        bare = cost_of(bare_loop(prompts, url, concurrency), rows, compiled)
        ratios.append(ours.cpu_us / bare.cpu_us)
        line = f"  batcher {ours.cpu_us:6.1f} us · bare aiohttp on asyncio {bare.cpu_us:6.1f} us"
        print(f"{line} · ratio {ratios[-1]:.2f}", flush=True)
        if turn == 0:
            swift = cost_of(bare_loop(prompts, url, concurrency, "--uvloop"), rows, compiled)
            ratio = ours.cpu_us / swift.cpu_us
            print(
                f"  beside it, bare aiohttp on uvloop: {swift.cpu_us:6.1f} us · ratio {ratio:.2f}"
            )
    return statistics.median(ratios)


def bench_pace(folder: Path, url: str, seconds: int, concurrency: int) -> float:
    """What a run costs that its own ceiling holds to a rate, beside a loop that sends at it."""
    compiled = folder / "compiled"
    prompts, one = folder / "paced.jsonl", folder / "one.jsonl"
    rows = PACED_PER_S * seconds
    write_prompts(prompts, rows)
    write_prompts(one, 1)

    def ours(source: Path, name: str) -> list[str]:
        flags = ("--rpm", str(PACED_PER_S * 60))
        return whole_run(source, url, folder / name, concurrency, *flags)

    def bare(source: Path) -> list[str]:
        return bare_loop(source, url, concurrency, "--uvloop", "--per-second", str(PACED_PER_S))

    print(f"CPU at {PACED_PER_S} requests a second, {seconds} s, start and end taken off")
    shares = []
    for name, whole, start in (
        ("batcher", ours(prompts, "paced"), ours(one, "unpaced")),
        ("bare aiohttp on uvloop", bare(prompts), bare(one)),
    ):
        once = cost_of(start, 1, compiled)
        cost = cost_of(whole, rows, compiled)
        busy_s = cost.cpu_s - once.cpu_s
        shares.append(busy_s / (cost.wall_s - once.wall_s))
        print(f"  {name}: {shares[-1]:.1%} of a core, {busy_s * 1e6 / rows:.0f} us a request")
    return shares[0] / shares[1]


def bench_grant() -> float:
    """What it costs each grant that very many wait for theirs, microseconds."""
    grant_us(waiting=FEW)  # warms up
    few = min(grant_us(waiting=FEW) for _ in range(2))
    many = min(grant_us(waiting=WAITING) for _ in range(2))
    print(f"a grant with {FEW} waiting: {few:.1f} us, with {WAITING:,}: {many:.1f} us")
    return many - few


def bench_memory(folder: Path, url: str, few: int, many: int, concurrency: int) -> float:
    peaks = []
    for rows in (few, many):
        prompts = folder / f"memory{rows}.jsonl"
        write_prompts(prompts, rows)
        run = whole_run(prompts, url, folder / f"memory{rows}", concurrency)
        peaks.append(cost_of(run, rows, folder / "compiled").peak_mb)
        print(f"peak memory, {rows:,} rows: {peaks[-1]:.1f} MB", flush=True)
    return peaks[1] - peaks[0]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=30, help="at a kept rate")
    for part in ("pace", "grant", "memory"):
        parser.add_argument(f"--no-{part}", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batcher-bench-") as name:
        folder = Path(name)
        with serving(folder) as (url, server):
            print(f"server: {server}")
            ratio = bench_cpu(folder, url, options.rows, options.rounds, options.concurrency)
            print(f"CPU ratio to bare aiohttp on asyncio: {ratio:.2f} (goal: at most {CPU_GOAL})")
            good = ratio <= CPU_GOAL
            if not options.no_pace:
                ratio = bench_pace(folder, url, options.seconds, options.concurrency)
                print(f"ratio at that rate: {ratio:.2f} (goal: at most {PACED_GOAL})")
                good = good and ratio <= PACED_GOAL
            if not options.no_grant:
                more = bench_grant()
                print(f"{WAITING:,} waiting add {more:+.1f} us (goal: at most {GRANT_GOAL_US})")
                good = more <= GRANT_GOAL_US and good
            if not options.no_memory:
                more = bench_memory(folder, url, 20_000, 200_000, options.concurrency)
                print(f"200,000 rows take {more:+.1f} MB more (goal: at most {MEMORY_GOAL_MB})")
                good = good and more <= MEMORY_GOAL_MB
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

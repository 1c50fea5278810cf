"""The installed command against a simulator in a process of its own, both as users run them."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import orjson
import pytest

KEY = "sk-ant-api03-CANARYcanaryCANARYcanary0123456789"


class RemoteSimulator:
    """A simulator in another process."""

    def __init__(self, **settings: Any) -> None:
        settings = {"latency_ms": 20, **settings}
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "batcher.simulator",
                "--with-parent",
                "--settings",
                orjson.dumps(settings).decode(),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.base_url = self._process.stdout.readline().decode().split()[-1]

    def stats(self, **flags: bool) -> dict[str, Any]:
        query = "&".join(f"{name}=1" for name, on in flags.items() if on)
        with urlopen(f"{self.base_url}/_simulator/stats?{query}") as answer:
            stats: dict[str, Any] = orjson.loads(answer.read())
        return stats

    def control(self, **orders: Any) -> None:
        request = Request(
            f"{self.base_url}/_simulator/control", data=orjson.dumps(orders), method="POST"
        )
        with urlopen(request):
            pass

    def stop(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.terminate()
        self._process.wait()


@pytest.fixture
def simulate() -> Iterator[Callable[..., RemoteSimulator]]:
    started: list[RemoteSimulator] = []

    def start(**settings: Any) -> RemoteSimulator:
        started.append(RemoteSimulator(**settings))
        return started[-1]

    yield start
    for simulator in started:
        simulator.stop()


def write_prompts(path: Path, rows: int) -> Path:
    with path.open("wb") as file:
        for number in range(1, rows + 1):
            file.write(
                orjson.dumps({"id": f"row-{number}", "prompt": f"Question {number}?"}) + b"\n"
            )
    return path


def command(prompts: Path, out: Path, base_url: str, *flags: str) -> list[str]:
    return [
        sys.executable, "-m", "batcher", "run", str(prompts), "--out", str(out),
        "--provider", "anthropic", "--base-url", base_url, "--model", "m",
        "--max-tokens", "200", *flags,
    ]  # fmt: skip


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
    return {**kept, "ANTHROPIC_API_KEY": KEY, **more}


def run_batcher(
    prompts: Path, out: Path, base_url: str, *flags: str, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(prompts, out, base_url, *flags),
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def records(out: Path, name: str = "results.jsonl") -> list[dict[str, Any]]:
    path = out / name
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def each_row_once(out: Path, rows: int) -> None:
    """Check that lines 1 to `rows` have exactly one record over both files."""
    found = Counter(
        r["line"] for name in ("results.jsonl", "failures.jsonl") for r in records(out, name)
    )
    assert sorted(found) == list(range(1, rows + 1))
    assert set(found.values()) == {1}


def assert_no_key(out: Path, *texts: str) -> None:
    for path in out.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), f"the key is in {path}"
    for text in texts:
        assert KEY not in text

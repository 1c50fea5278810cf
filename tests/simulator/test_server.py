"""The simulator as a process, on the loop it is shipped with, and its listening socket."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from batcher.job import Simulator as Settings
from batcher.simulator.__main__ import main
from batcher.simulator.server import Simulator
from tests.simulator.client import ask, send

COMMAND = [sys.executable, "-m", "batcher.simulator"]


class Child:
    """A simulator in another process, addressed as ask() and send() address one in this."""

    def __init__(self, *flags: str, **settings: Any) -> None:
        self._url = ""
        self.process = subprocess.Popen(
            [*COMMAND, "--settings", orjson.dumps(settings).decode(), *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.host = "127.0.0.1"

    @property
    def url(self) -> str:
        """Where it listens, as its first line says; waits for that line."""
        assert self.process.stdout is not None
        self._url = self._url or self.process.stdout.readline().decode().strip()
        return self._url

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def end(self) -> tuple[int, bytes]:
        """Close its standard input; exit code and standard error, within ten seconds."""
        _, errors = self.process.communicate(timeout=10)
        return self.process.returncode, errors


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    child = Child("--with-parent", "--times", latency_ms=0)
    yield child
    child.process.communicate(timeout=10)  # closes its standard input


async def asked(child: Child, prompt: str, **fields: Any) -> Any:
    return await ask(child, prompt=prompt, **fields)  # type: ignore[arg-type]  # same shape


async def controlled(child: Child, **orders: Any) -> Any:
    return await send(child, "POST", "/_simulator/control", orjson.dumps(orders))  # type: ignore[arg-type]  # same shape


@pytest.mark.real_time
async def test_the_first_line_of_a_child_is_its_url(child: Child) -> None:
    assert child.url == f"http://127.0.0.1:{child.port}"
    assert (await asked(child, "Hello there")).status == 200
    stats = (await send(child, "GET", "/_simulator/stats?delivered=1&times=1")).json()  # type: ignore[arg-type]  # same shape
    assert stats["answers"] == len(stats["admissions"]) == sum(stats["delivered"].values())


@pytest.mark.real_time
async def test_a_child_can_be_taken_down_and_up(child: Child) -> None:
    await controlled(child, down="reset")
    reset = await asked(child, "p")
    await controlled(child, down="html_502")  # steering works throughout
    page = await asked(child, "p")
    await controlled(child, up=True)
    well = await asked(child, "p")

    assert (reset.end, page.status, well.status) == ("reset", 502, 200)


@pytest.mark.real_time
async def test_a_child_refuses_connections_and_comes_back_on_its_port(child: Child) -> None:
    assert (await controlled(child, refuse_s=0.3)).status == 200
    refused = 0
    for _ in range(300):
        try:
            seen = await asked(child, "p")
        except ConnectionRefusedError:
            refused += 1
        else:
            if refused and seen.status == 200:
                break
        await asyncio.sleep(0.02)

    assert refused
    assert (await asked(child, "p")).status == 200


@pytest.mark.real_time
async def test_broken_connections_look_the_same_on_the_shipped_loop() -> None:
    """uvloop writes and closes on its own schedule."""
    faults = {"reset_body": 0.25, "cut_body": 0.25, "reset": 0.25, "slow_loris": 0.25}
    child = Child("--with-parent", latency_ms=0, faults=faults)
    seen = [await asked(child, f"p {n}", patience_s=0.2, stream=n % 2 == 0) for n in range(24)]
    by_fault = (await send(child, "GET", "/_simulator/stats")).json()["by_fault"]  # type: ignore[arg-type]  # same shape
    child.end()

    ends = [(s.status, s.end) for s in seen]
    assert ends.count((200, "reset")) == by_fault["reset_body"] > 0
    assert ends.count((200, "eof")) == by_fault["cut_body"] > 0
    assert ends.count((None, "reset")) == by_fault["reset"] > 0
    assert ends.count((200, "silence")) == by_fault["slow_loris"] > 0
    assert all(s.raw for s in seen if s.status == 200)


def test_a_signal_or_its_parents_end_ends_it_in_good_order() -> None:
    children = [Child(), Child(), Child("--with-parent")]
    assert all(child.port for child in children)
    children[0].process.send_signal(signal.SIGINT)
    children[1].process.send_signal(signal.SIGTERM)

    assert [child.end() for child in children] == [(0, b"")] * 3


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--settings", '{"latency": 1}'], "--settings: latency: Extra inputs"),
        (["--settings", '{"faults": {"flood": 1}}'], "no fault is called 'flood'"),
        (["--keys", "[]"], "--keys: "),
        (["--scopes", '{"a": "b"}'], "--scopes: a: "),
    ],
)
def test_wrong_arguments_are_one_sentence_and_exit_two(
    flags: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(flags) == 2
    errors = capsys.readouterr().err
    assert says in errors
    assert errors.count("\n") == 1


def test_an_address_that_cannot_be_had_is_said_so() -> None:
    ended = subprocess.run(
        [*COMMAND, "--host", "203.0.113.7"], capture_output=True, check=False, timeout=30
    )

    assert ended.returncode == 2
    assert b"cannot listen on 203.0.113.7:0" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


async def test_refused_connections_are_refused_and_the_port_stays_ours() -> None:
    async with Simulator(Settings(latency_ms=0)) as simulator:
        port = simulator.port
        reader, writer = await asyncio.open_connection(simulator.host, port)
        await simulator.refuse(30)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                await ask(simulator)
            await asyncio.sleep(14)
        await asyncio.sleep(3)

        assert (await ask(simulator)).status == 200
        assert simulator.port == port


async def test_refusing_ends_when_told() -> None:
    async with Simulator(Settings(latency_ms=0)) as simulator:
        await simulator.refuse()
        with pytest.raises(ConnectionRefusedError):
            await ask(simulator)
        await simulator.accept()

        assert (await ask(simulator)).status == 200


async def test_the_latest_word_on_refusing_counts() -> None:
    async with Simulator(Settings(latency_ms=0)) as simulator:
        await simulator.refuse(10)
        await simulator.accept()
        assert (await ask(simulator)).status == 200
        await simulator.refuse(10)
        await simulator.refuse(100)
        await asyncio.sleep(50)
        with pytest.raises(ConnectionRefusedError):
            await ask(simulator)
        await asyncio.sleep(51)

        assert (await ask(simulator)).status == 200


async def test_stopping_twice_and_while_refusing_is_harmless() -> None:
    simulator = Simulator()
    await simulator.start()
    await simulator.refuse(1000)
    await simulator.stop()
    await simulator.stop()
    await asyncio.sleep(1001)  # nothing is left that would listen again

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(simulator.host, simulator.port)


async def test_stopping_resets_who_is_still_waiting() -> None:
    simulator = Simulator(Settings(latency_ms=60_000))
    await simulator.start()
    waiting = asyncio.ensure_future(ask(simulator, patience_s=100))
    await asyncio.sleep(1)
    await simulator.stop()

    assert (await waiting).end == "reset"
    assert simulator.stats.in_flight == 0

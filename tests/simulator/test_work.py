"""Time and connections: latency, slots, pipelining, streams that take their time."""

import asyncio
from functools import partial
from statistics import median

import orjson
import pytest

from batcher.job import Simulator as Settings
from batcher.simulator.answers import expected_answer
from batcher.simulator.server import Simulator
from batcher.simulator.slots import Slots
from tests.simulator.client import ask, question, read, send


def now() -> float:
    return asyncio.get_running_loop().time()


async def timed(simulator: Simulator, prompt: str) -> float:
    began = now()
    assert (await ask(simulator, prompt=prompt)).status == 200
    return now() - began


async def all_at_once(simulator: Simulator, many: int) -> list[float]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(timed(simulator, f"p {n}")) for n in range(many)]
    return sorted(task.result() for task in tasks)


async def test_instant_answers_take_no_time() -> None:
    async with Simulator(Settings(latency_ms=0)) as simulator:
        assert max(await all_at_once(simulator, 50)) < 0.01


async def test_latency_has_the_median_and_spread_it_was_given() -> None:
    async with Simulator(Settings(latency_ms=2000, latency_sigma=0.5)) as simulator:
        took = await all_at_once(simulator, 400)

    assert median(took) == pytest.approx(2, rel=0.1)
    assert took[40] == pytest.approx(2 * 0.527, rel=0.2)  # the tenth percentile
    assert simulator.stats.max_in_flight == 400
    assert simulator.stats.in_flight == 0


async def test_the_same_seed_gives_the_same_latency() -> None:
    took = []
    for seed in (1, 1, 2):
        async with Simulator(Settings(latency_ms=1000, seed=seed)) as simulator:
            took.append(await timed(simulator, "p"))

    assert took[0] == pytest.approx(took[1], abs=1e-3)
    assert took[0] != pytest.approx(took[2], abs=1e-2)


async def test_a_server_of_two_slots_works_on_two_and_queues_the_rest() -> None:
    settings = Settings(latency_ms=1000, latency_sigma=0, slots=2)
    async with Simulator(settings) as simulator:
        took = await all_at_once(simulator, 6)

    assert took == pytest.approx([1, 1, 2, 2, 3, 3], abs=0.01)


async def test_slots_without_latency_still_answer() -> None:
    async with Simulator(Settings(latency_ms=0, slots=1)) as simulator:
        assert max(await all_at_once(simulator, 300)) < 0.1


async def test_who_leaves_makes_room_for_the_next() -> None:
    settings = Settings(latency_ms=5000, latency_sigma=0, slots=1)
    async with Simulator(settings) as simulator:
        impatient = [asyncio.ensure_future(ask(simulator, patience_s=1)) for _ in range(3)]
        await asyncio.wait(impatient)
        took = await timed(simulator, "patient")

        assert took == pytest.approx(5, abs=0.01)
        assert simulator.stats.answers == 1


async def test_a_hanging_request_holds_no_slot() -> None:
    async with Simulator(Settings(latency_ms=100, latency_sigma=0, slots=1)) as simulator:
        simulator.says("hang", prompt="stuck")
        stuck = asyncio.ensure_future(ask(simulator, prompt="stuck", patience_s=100))
        await asyncio.sleep(1)
        took = await timed(simulator, "free")
        await stuck

    assert took == pytest.approx(0.1, abs=0.01)


def test_slots_serve_in_order_of_arrival() -> None:
    slots, served = Slots(1), list[str]()
    for name in "abcd":
        slots.enter(name, partial(served.append, name))
    assert (slots.busy, slots.queued, served) == (1, 3, ["a"])

    slots.leave("c")  # gives up waiting
    slots.leave("a")
    slots.leave("a")  # twice is harmless
    slots.leave("b")
    slots.leave("d")

    assert served == ["a", "b", "d"]
    assert (slots.busy, slots.queued) == (0, 0)


async def test_a_stream_spreads_over_its_latency() -> None:
    async with Simulator(Settings(latency_ms=1000, latency_sigma=0)) as simulator:
        reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
        body = orjson.dumps(question("messages", stream=True))
        head = b"POST /v1/messages HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
        began, stamps, data = now(), [], b""
        writer.write(head + body)
        while b"message_stop" not in data:
            data += await reader.read(65536)
            stamps.append(now() - began)
        writer.close()

    assert stamps[0] == pytest.approx(0.3, abs=0.01)
    assert stamps[-1] == pytest.approx(1.0, abs=0.01)
    assert len(stamps) > 8


@pytest.mark.parametrize("latency_ms", [0, 100])
async def test_pipelined_requests_are_answered_in_their_order(latency_ms: float) -> None:
    async with Simulator(Settings(latency_ms=latency_ms, latency_sigma=1)) as simulator:
        reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
        for n in range(20):
            body = orjson.dumps(question("messages", f"p {n}"))
            writer.write(b"POST /v1/messages HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body))
            writer.write(body)
        texts: list[str] = []
        while len(texts) < 20:
            line = await reader.readuntil(b"\r\n\r\n")
            length = int(line.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            texts.append(orjson.loads(await reader.readexactly(length))["content"][0]["text"])
        writer.close()

    assert texts == [expected_answer(f"p {n}") for n in range(20)]


async def test_one_connection_serves_many_requests() -> None:
    async with Simulator(Settings(latency_ms=1)) as simulator:
        reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
        body = orjson.dumps(question("messages"))
        for _ in range(5):
            writer.write(b"POST /v1/messages HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body))
            writer.write(body)
            assert (await read(reader)).status == 200
        assert simulator.stats.connections == simulator.stats.connections_made == 1
        writer.close()


async def test_a_client_that_asks_to_close_is_closed() -> None:
    async with Simulator(Settings(latency_ms=0)) as simulator:
        reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
        writer.write(b"GET /health HTTP/1.1\r\nconnection: close\r\n\r\n")
        data = await reader.read()
        writer.close()

    assert data.endswith(b'{"status":"ok"}')


async def test_chunked_and_announced_bodies_are_read() -> None:
    body = orjson.dumps(question("messages"))
    async with Simulator(Settings(latency_ms=0)) as simulator:
        reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
        writer.write(b"POST /v1/messages HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        chunked = await read(reader)
        writer.write(
            b"POST /v1/messages HTTP/1.1\r\nExpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
            % len(body)
        )
        leave = await reader.readuntil(b"\r\n\r\n")
        writer.write(body)
        announced = await read(reader)
        writer.close()

    assert (chunked.status, announced.status) == (200, 200)
    assert leave.startswith(b"HTTP/1.1 100 ")


async def test_what_is_no_http_is_answered_and_closed() -> None:
    async with Simulator(Settings(latency_ms=0)) as simulator:
        reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        data = await reader.read()
        writer.close()
        too_large = await send(
            simulator, "POST", "/v1/messages", headers={"content-length": "99999999999"}
        )

    assert data.startswith(b"HTTP/1.1 400 ")
    assert too_large.status == 413

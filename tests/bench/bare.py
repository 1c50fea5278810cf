"""The yardstick: the least an aiohttp client can do to ask the same questions.

Reads the prompts, builds each body, sends it over `concurrency` keep-alive connections,
checks the status, parses the answer and takes its text. No limiter, no retries, no records. Or
sends them one by one at a given rate.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import orjson


def bodies(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            prompt = orjson.loads(line)["prompt"]
            messages = [{"role": "user", "content": prompt}]
            yield orjson.dumps({"model": "m", "max_tokens": 100, "messages": messages})


async def ask_all(path: Path, url: str, concurrency: int, per_s: float | None) -> int:
    todo = bodies(path)
    headers = {"Content-Type": "application/json", "x-api-key": "sk-bench"}
    connector = aiohttp.TCPConnector(limit=0)
    characters = 0

    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(body: bytes) -> None:
            nonlocal characters
            async with session.post(url, data=body, headers=headers) as response:
                answer = orjson.loads(await response.read())
                assert response.status == 200
                characters += len(answer["content"][0]["text"])

        async def work() -> None:
            for body in todo:
                await ask(body)

        async with asyncio.TaskGroup() as group:
            if per_s is None:
                for _ in range(concurrency):
                    group.create_task(work())
            else:
                loop = asyncio.get_running_loop()
                due_s = loop.time()
                for body in todo:
                    group.create_task(ask(body))
                    due_s += 1 / per_s
                    await asyncio.sleep(max(0.0, due_s - loop.time()))
    return characters


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("prompts", type=Path)
    parser.add_argument("url")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--per-second", type=float, help="send at this rate, whatever comes back")
    parser.add_argument("--uvloop", action="store_true")
    options = parser.parse_args()
    loop_factory = None
    if options.uvloop:
        import uvloop

        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        asked = runner.run(
            ask_all(options.prompts, options.url, options.concurrency, options.per_second)
        )
    sys.exit(0 if asked else 1)


if __name__ == "__main__":
    main()

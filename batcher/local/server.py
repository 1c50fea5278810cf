"""Keeps a local model running beside batcher: starts it, says where it listens, ends it.

The model lives in a process of its own (child.py), because llama.cpp holds the interpreter
while it loads, and could crash. It speaks Anthropic's `/v1/messages` and OpenAI's
`/v1/chat/completions`; requests beyond its slots wait inside it.
"""

import asyncio
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import orjson

from batcher.errors import ConfigError, MissingExtraError
from batcher.job import Local
from batcher.local.cores import SPIN, busy_cores, threads, usable_cores
from batcher.local.model import SMOLLM2, ensure_model

_START_S = 60.0
_LEAVE_S = 3.0
_SHOWN_BYTES = 8192
_CHILD = Path(__file__).with_name("child.py")
_LLAMA_ERROR = re.compile(r"^[\d.]+ E (?:\S+ +)??(\S.*)$")  # `0.00.005.065 E srv  init: text`


class LocalModel:
    """One model server on 127.0.0.1, from `start` to `stop`; also an async context manager.

    It ends with this process, however that ends, and outlives a Ctrl-C until `stop`.

    Attributes:
        name: What the model is called in requests and answers.
        base_url: Where it listens, without /v1; empty while it is not running.
        threads: How many threads it computes with; 0 until started.
    """

    def __init__(
        self, settings: Local, tell: Callable[[str], None], *, log: Path | None = None
    ) -> None:
        """A model that is not started yet.

        Args:
            settings: The job's [local] table.
            tell: Called with a sentence about what makes it slow (a download, a busy machine).
            log: File that llama.cpp's warnings are appended to; None drops them.
        """
        path = settings.model_path
        self.name = SMOLLM2.name if path is None else Path(path).stem
        self.base_url = ""
        self.threads = 0
        self._settings = settings
        self._tell = tell
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Fetch the model if need be, load it and wait until it answers.

        Raises:
            MissingExtraError: xllamacpp is not installed.
            ConfigError: The file cannot be had, or the model does not come up within a minute.
        """
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingExtraError(
                "the local model needs the extra `local`; run: pip install 'batcher[local]'"
            )
        path = await ensure_model(self._settings, self._tell)
        self.threads = self._settings.threads or await self._free_cores()
        with self._open_log() as log:
            begin = log.seek(0, os.SEEK_END)
            try:
                process = await self._spawn(path, log)
                async with asyncio.timeout(_START_S):
                    url = await _address(process)
                    await _answers(url)
            except (TimeoutError, EOFError, OSError) as error:
                await self.stop()
                said = os.pread(log.fileno(), _SHOWN_BYTES, begin).decode(errors="replace")
                why = gist(said) or str(error) or f"no answer within {_START_S:.0f} s"
                raise ConfigError(f"the local model {path} did not start: {why}") from error
            except BaseException:
                await self.stop()
                raise
        self.base_url = url

    async def stop(self) -> None:
        """End the model's process, answers in progress or not; may be called twice."""
        process, self._process, self.base_url = self._process, None, ""
        if process is None:
            return
        try:
            if process.stdin is not None:
                process.stdin.close()  # the sign to leave
            with suppress(TimeoutError):  # it is still loading, or stuck
                async with asyncio.timeout(_LEAVE_S):
                    await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def __aenter__(self) -> Self:
        """Start it."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        await self.stop()

    async def _free_cores(self) -> int:
        cores = usable_cores()
        free = threads(len(cores), await busy_cores(cores))
        if free < len(cores):
            self._tell(
                f"the local model gets {free} of {len(cores)} cores; other work keeps the rest busy"
            )
        return free

    def _open_log(self) -> IO[bytes]:
        """Where the child's stderr goes: the log, or a nameless file gone with the child."""
        return tempfile.TemporaryFile() if self._log is None else self._log.open("a+b")

    async def _spawn(self, path: Path, log: IO[bytes]) -> asyncio.subprocess.Process:
        orders = {
            "model_path": str(path),
            "name": self.name,
            "slots": self._settings.slots,
            "context_tokens": self._settings.context_tokens,
            "threads": self.threads,
            "quiet": self._log is None,
        }
        self._process = await asyncio.create_subprocess_exec(
            # -P: the folder of child.py must not shadow installed modules
            *(sys.executable, "-P", str(_CHILD), orjson.dumps(orders).decode()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={"GOMP_SPINCOUNT": SPIN, **os.environ},
            start_new_session=True,  # Ctrl-C and Ctrl-Z at the terminal are not meant for it
        )
        return self._process


async def _address(process: asyncio.subprocess.Process) -> str:
    """What the child says when its model is loaded. Raises EOFError when it dies instead."""
    assert process.stdout is not None  # noqa: S101 - asked for when spawning
    line = await process.stdout.readline()
    if not line:
        raise EOFError(f"its process ended with code {await process.wait()}")
    return line.decode().strip()


async def _answers(url: str) -> None:
    """Ask /health once. Raises OSError when the server cannot be reached or is not well."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"GET /health HTTP/1.0\r\n\r\n")
        status = await reader.readline()
    finally:
        writer.close()
    if b" 200 " not in status:
        raise OSError(f"{url}/health said {status.decode(errors='replace').strip()!r}")


def gist(stderr: str) -> str:
    """What went wrong, out of what the child wrote: llama.cpp's first error, else the last line.

    The empty text when it wrote nothing.
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [found[1] for line in lines if (found := _LLAMA_ERROR.match(line))]
    why = errors[0] if errors else "".join(lines[-1:])
    if "libgomp" in why:
        why += "; install the system's OpenMP library (Debian: apt-get install libgomp1)"
    return why

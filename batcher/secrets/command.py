"""Keys that a program prints: a password manager, a vault's client, a script of your own."""

import asyncio
import contextlib
import os
import re
import shlex
import signal
from collections.abc import Sequence

from batcher.errors import ConfigError
from batcher.secret import MASK, Redactor, Secret
from batcher.secrets.value import as_key

TIMEOUT_S = 30.0
_LEAVE_S = 2.0
_MOST_BYTES = 64 * 1024  # of each output; what is beyond is read and forgotten
_SHOWN_CHARS = 300
# What may be a key: a long run of a key's characters that mixes letters and digits.
_LONG_RUN = re.compile(r"[A-Za-z0-9_+/=.-]{16,}")
_NAME_IN_PATH = re.compile(r"[A-Za-z_.-]*|[a-z0-9_.-]{,15}")
_BETWEEN = re.compile(rb"[\s\"'`=:,;<>(){}\[\]]+")  # the values of an assignment, JSON, XML
_LEAST_VALUE = 6  # a shorter one would mask innocent text


class CommandSource:
    """`command:PROGRAM ARGUMENTS`, run without a shell; implements ports.SecretSource.

    The program's first line of output is the key. It gets this process's environment and no
    input, so that one which asks for a password fails instead of waiting.

    Args:
        command: Program and arguments, quoted as in a shell; nothing else of a shell works.
        timeout_s: Seconds it may take before it is killed, with all it has started.
    """

    is_fixed = False

    def __init__(self, command: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._words = shlex.split(command)
        self._timeout_s = timeout_s
        self.name = f"the key command {self._words[0]}"

    async def get(self) -> Secret:
        """The first line the program prints now.

        Raises:
            ConfigError: It cannot be started, fails, takes too long, or prints no key.
        """
        where = self.name
        try:
            process = await _started(self._words)
        except (OSError, ValueError) as fault:
            detail = fault.strerror if isinstance(fault, OSError) else fault
            raise ConfigError(
                f"{where} cannot be started ({detail}); name a program that exists, with its "
                "path where it is not on PATH"
            ) from None
        printed, complaints = await self._output(process, where)
        first, _, _ = printed.partition(b"\n")
        if process.returncode != 0:
            raise ConfigError(
                f"{where} ended with {process.returncode}{_told(complaints, printed)}; "
                "run it by hand to see why"
            )
        return as_key(
            first.decode("utf-8", "replace"),
            where=f"the first line of {where}",
            fix=f"it must print the API key{_told(complaints, printed)}",
        )

    async def _output(self, process: asyncio.subprocess.Process, where: str) -> tuple[bytes, bytes]:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101 - both are pipes
        is_done = False
        try:
            async with asyncio.timeout(self._timeout_s), asyncio.TaskGroup() as group:
                printed = group.create_task(_read(process.stdout))
                complaints = group.create_task(_read(process.stderr))
                await process.wait()
            is_done = True
        except TimeoutError:
            raise ConfigError(
                f"{where} took longer than {self._timeout_s:g} s and was killed; it must print "
                "the key without asking anybody, and leave nothing running that holds its output"
            ) from None
        finally:
            if not is_done:
                await _kill(process)
        return printed.result(), complaints.result()


async def _started(words: Sequence[str]) -> asyncio.subprocess.Process:
    """The program, running; asyncio alone, cancelled meanwhile, would wait for its children."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        if starting.exception() is None:
            await _kill(starting.result())
        raise


async def _read(stream: asyncio.StreamReader) -> bytes:
    """What a program says, to its end; only the beginning is kept."""
    kept = b""
    while chunk := await stream.read(_MOST_BYTES):
        kept += chunk[: _MOST_BYTES - len(kept)]
    return kept


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End a program and what it has started, also when only that is still at work."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # Nothing public lets go of pipes that a survivor may hold open.
    process._transport.close()  # type: ignore[attr-defined]
    with contextlib.suppress(TimeoutError):  # so that it does not stay as a zombie
        async with asyncio.timeout(_LEAVE_S):
            await process.wait()


def _told(complaints: bytes, printed: bytes) -> str:
    """What a program wrote to stderr, for a message: short, and without what may be a key.

    It fails before we know the key, so everything it printed, and all that could be one, is masked.
    """
    text = complaints.decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = " / ".join(lines[-3:])
    for value in _values(printed):
        shown = shown.replace(value, MASK)
    shown = Redactor().clean_text(_LONG_RUN.sub(_unless_plain, shown))
    shown = "".join(c if c.isprintable() else "?" for c in shown)[-_SHOWN_CHARS:]
    return f': it says "{shown}"' if shown else ""


def _values(printed: bytes) -> Sequence[str]:
    """Every word a program printed and what the words are made of, longest first."""
    found = {*printed.split(), *_BETWEEN.split(printed)}
    values = (value.decode("utf-8", "replace") for value in found if len(value) >= _LEAST_VALUE)
    return sorted(values, key=len, reverse=True)


def _unless_plain(found: re.Match[str]) -> str:
    run = found[0]
    mixes = any(c.isdigit() for c in run) and any(c.isalpha() for c in run)
    return MASK if mixes and not _is_path(run) else run


def _is_path(run: str) -> bool:
    names = run.split("/")
    return names[0] in {"", ".", ".."} and all(_NAME_IN_PATH.fullmatch(name) for name in names)
